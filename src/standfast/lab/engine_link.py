"""The lab's use of the engine: each machine tells the sequencer that it is there, and links are cut in it, too."""

import socket
from pathlib import Path

from standfast.terms import NodeId


def answers(path: Path) -> bool:
    """Whether a sequencer takes connections at the path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


async def cut(path: Path, one: NodeId, other: NodeId) -> None:
    """Part two nodes; raises EngineError."""


async def heal(path: Path) -> None:
    """Join all nodes again; raises EngineError."""
