"""Cutting, delaying and healing the local engine's links, to show what a cluster does about it; without asyncio."""

import socket

from msgspec import Struct

from standfast.engine import frames
from standfast.errors import EngineError, RefusedError
from standfast.terms import NodeId

ANSWER_S_MAX = 10.0  # longest wait for the sequencer
_READ_BYTES = 65536


class Component(Struct, frozen=True, kw_only=True):
    """Nodes that reach each other: their machines, and those of them that have a daemon; lowest node id first."""

    hosts: tuple[NodeId, ...]
    members: tuple[NodeId, ...]


def cut(socket_path: str, a: NodeId, b: NodeId) -> tuple[Component, ...]:
    """Break the link between two nodes; returns what is left. Raises EngineError when no sequencer answers."""
    return _ask(socket_path, frames.Cut(a, b))


def heal_link(socket_path: str, a: NodeId, b: NodeId) -> tuple[Component, ...]:
    """Mend the link between two nodes."""
    return _ask(socket_path, frames.Heal(a, b))


def heal(socket_path: str) -> tuple[Component, ...]:
    """Mend every link and end every delay."""
    return _ask(socket_path, frames.HealAll())


def delay(socket_path: str, nodeid: NodeId, delay_ms: int) -> tuple[Component, ...]:
    """Hold back what goes to a node's daemon for so long; above the token time the node is given up."""
    return _ask(socket_path, frames.Delay(nodeid, delay_ms))


def components(socket_path: str) -> tuple[Component, ...]:
    """Return who reaches whom."""
    return _ask(socket_path, frames.Show())


def answers(socket_path: str) -> bool:
    """Whether a sequencer answers at the path."""
    try:
        components(socket_path)
    except (EngineError, RefusedError):
        return False
    return True


def _ask(socket_path: str, frame: frames.ToSequencer) -> tuple[Component, ...]:
    reader = frames.Reader(frames.from_sequencer)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_S_MAX)
            connection.connect(socket_path)
            connection.sendall(frames.encode(frame))
            while data := connection.recv(_READ_BYTES):
                for answer in reader.feed(data):
                    return _components(answer)
    except TimeoutError as failure:
        raise _unreachable(socket_path, f"nothing within {ANSWER_S_MAX:g} s") from failure
    except OSError as failure:
        raise _unreachable(socket_path, failure.strerror or str(failure)) from failure
    except frames.FrameError as failure:
        raise _unreachable(socket_path, f"something else answers: {failure}") from failure
    raise _unreachable(socket_path, "the connection ended")


def _components(answer: frames.FromSequencer) -> tuple[Component, ...]:
    match answer:
        case frames.Parts(hosts, members):
            return tuple(Component(hosts=h, members=m) for h, m in zip(hosts, members, strict=True))
        case frames.Refusal(text, code):
            raise RefusedError(text, code=code)
        case _:
            raise frames.FrameError(f"unexpected {type(answer).__name__}")


def _unreachable(socket_path: str, reason: str) -> EngineError:
    return EngineError(
        f"{socket_path}: no sequencer answers ({reason}); "
        f"start it with: python3 -m standfast.engine.sequencer {socket_path}",
        code="engine-unreachable",
    )
