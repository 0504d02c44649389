"""Which resource agents this node has: our own, and the programs in the agents' folders that describe themselves.

Source: spec resources, section 1.1.
"""

import logging
import signal
import stat
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Timer

from msgspec import Struct

from standfast.errors import AgentError
from standfast.node.process import AGENT_UMASK, signal_group
from standfast.node.walker import Program
from standfast.resources.agent import AgentMetadata, agents_by_type
from standfast.resources.builtin import BUILTIN_AGENTS
from standfast.resources.metadata import METADATA_BYTES_MAX, parse_metadata
from standfast.resources.operation import AGENT_DIRECTORY, AGENT_PATH

METADATA_S_MAX = 10.0  # longest run of `FILE meta-data`
FILES_MAX = 1000  # executable files of one folder that are tried
_AT_ONCE = 4

logger = logging.getLogger(__name__)


class Agents(Struct, frozen=True, kw_only=True):
    """All agents by type in lower case: what they say about themselves, and where they are."""

    metadata: dict[str, AgentMetadata]
    programs: dict[str, Program]


def find_agents(folders: Iterable[Path], *, metadata_s_max: float = METADATA_S_MAX) -> Agents:
    """Try every executable file in the folders. Takes as long as the slowest of them; of each type the first stays."""
    files = [file for folder in folders for file in _executables(folder)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(zip(files, pool.map(partial(_ask, limit_s=metadata_s_max), files), strict=True))
    programs = {kind: Program(kind, AGENT_DIRECTORY) for kind in BUILTIN_AGENTS}
    metadata = list(BUILTIN_AGENTS.values())
    for file, agent in found:
        if agent is not None and agent.type.lower() not in programs:
            programs[agent.type.lower()] = Program(str(file), str(file.parent))
            metadata.append(agent)
    return Agents(metadata=agents_by_type(metadata), programs=programs)


def _executables(folder: Path) -> Sequence[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return ()  # most machines have no such folder
    return [file for file in files if _is_candidate(file)][:FILES_MAX]


def _is_candidate(file: Path) -> bool:
    if file.name.endswith("~") or file.suffix.lower().startswith(".rpm"):
        return False
    try:
        mode = file.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _ask(file: Path, *, limit_s: float) -> AgentMetadata | None:
    """Return what the program says about itself, None where it is no agent."""
    try:
        child = subprocess.Popen(
            (str(file), "meta-data"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": AGENT_PATH, "OCF_ROOT": str(file.parent)},
            cwd="/",
            umask=AGENT_UMASK,
            start_new_session=True,
        )
    except OSError:
        return None
    assert child.stdout is not None
    # The pipe ends with the agent, with the limit of time, or when more came than any agent needs.
    limit = Timer(limit_s, signal_group, (child.pid, signal.SIGKILL))
    limit.start()
    with child:
        text = child.stdout.read(METADATA_BYTES_MAX + 1)
        if len(text) > METADATA_BYTES_MAX:
            signal_group(child.pid, signal.SIGKILL)
    limit.cancel()
    if not text.strip() or len(text) > METADATA_BYTES_MAX:
        return None
    try:
        return parse_metadata(text)
    except AgentError as failure:
        logger.info("agent.unusable", extra={"file": str(file), "reason": str(failure)})
        return None
