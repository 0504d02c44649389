"""Which agents are at work, noted on disk, so that a daemon that starts anew finds those that a killed one left.

Each agent at work has one file with the line `PID START`; see standfast.wire.agents. A file without a pid says that an
agent was about to be started: `- WORDS` with its arguments as a JSON list.
"""

import asyncio
import logging
import os
import signal
from contextlib import suppress
from pathlib import Path

from msgspec import DecodeError, json

from standfast.node.files import remove_file, replace_file
from standfast.node.process import TERM_S, end_group, signal_group, start_time, stat_fields
from standfast.wire.paths import PREFIX_VARIABLE

_SERVICE_MARK = b"OCF_RESKEY_RGMANAGER_meta_refcnt="  # every resource agent gets it: resources.operation
_PREFIX_MARK = os.fsencode(f"{PREFIX_VARIABLE}=")

logger = logging.getLogger(__name__)


def note_intent(path: Path, arguments: tuple[str, ...]) -> None:
    """Note that a process with these arguments is about to be started. Raises OSError."""
    replace_file(path, b"- " + json.encode(arguments) + b"\n")


def note_pid(path: Path, pid: int) -> None:
    """Note an agent's process; one that has ended already is not noted. Raises OSError."""
    started = start_time(pid)
    if started is not None:
        replace_file(path, f"{pid} {started}\n".encode())


def noted_pid(path: Path) -> int | None:
    """Return the process that the file names, None where that is not alive any more. Raises OSError."""
    first, _, rest = path.read_text(errors="replace").strip().partition(" ")
    if first == "-":
        return _find_by_arguments(rest)
    if not (first.isascii() and first.isdigit()):
        return None
    # Another process may have the number now; it did not start at that time.
    return int(first) if start_time(int(first)) == rest else None


async def end_leftovers(folder: Path) -> None:
    """End all agents that are noted in the folder, with all of their groups, and forget them."""
    async with asyncio.TaskGroup() as tasks:
        for path in sorted(folder.iterdir()):
            tasks.create_task(_end_leftover(path))


def kill_services(prefix: str) -> int:
    """Kill every process that an agent of the node below this prefix has started, the agents too; returns how many.

    A process is known by the environment that agents get and hand on. What a service manager started is not found.
    """
    killed = 0
    while found := [pid for pid in _numbers() if _is_of_service(pid, prefix)]:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed


def _numbers() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _is_of_service(pid: int, prefix: str) -> bool:
    fields = stat_fields(pid)
    if pid == os.getpid() or fields is None or fields[0] in "ZX":
        return False
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    homes = [line for line in environment if line.startswith(_PREFIX_MARK)]
    if homes != ([_PREFIX_MARK + os.fsencode(prefix)] if prefix else []):
        return False
    return any(line.startswith(_SERVICE_MARK) for line in environment)


async def _end_leftover(path: Path) -> None:
    with suppress(OSError):
        pid = noted_pid(path)
        if pid is not None:
            logger.warning("agent.left-over", extra={"agent": path.name, "pid": pid})
            signal_group(pid, signal.SIGTERM)
            await end_group(pid, grace_s=TERM_S)
    remove_file(path)


def _find_by_arguments(text: str) -> int | None:
    """Return the leader of a process group whose command line ends with these arguments, the oldest one."""
    try:
        wanted = json.decode(text, type=tuple[str, ...])
    except DecodeError:
        return None
    ending = b"".join(os.fsencode(word) + b"\0" for word in wanted)
    found: list[tuple[int, int]] = []
    for entry in os.scandir("/proc"):
        fields = stat_fields(entry.name) if entry.name.isdigit() else None
        if fields is None or fields[2] != entry.name or fields[0] in "ZX":
            continue
        with suppress(OSError):
            if (b"\0" + Path(entry.path, "cmdline").read_bytes()).endswith(b"\0" + ending):
                found.append((int(fields[19]), int(entry.name)))
    return min(found, default=(0, None))[1]
