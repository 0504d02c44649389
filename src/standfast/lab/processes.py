"""The processes of one machine, as its host sees them: found in /proc, stopped, continued and killed all together."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

Find = Callable[[], tuple[int, ...]]
"""Return the processes of a machine that exist now."""

STOP_S_MAX = 5.0  # longest time until every process of a machine stands still, or is dead
_PAUSE_S = 0.001


def namespace_members(pid: int) -> tuple[int, ...]:
    """Return the processes in the PID namespace of a process, itself included."""
    wanted = _link(f"/proc/{pid}/ns/pid")
    return tuple(other for other in _all() if wanted and _link(f"/proc/{other}/ns/pid") == wanted)


def family(pid: int) -> tuple[int, ...]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for other in _all():
        fields = _fields(other)
        if fields:
            children.setdefault(int(fields[1]), []).append(other)
    found = [pid]
    for one in found:
        found.extend(children.get(one, ()))
    return tuple(found)


def children(pid: int) -> tuple[int, ...]:
    """Return the processes whose parent this process is."""
    return tuple(other for other in _all() if (fields := _fields(other)) and int(fields[1]) == pid)


async def stop_all(find: Find) -> None:
    """Stop every process, until a look at all of them finds none that moves; raises TimeoutError."""
    async with asyncio.timeout(STOP_S_MAX):
        while moving := [pid for pid in find() if _state(pid) not in "TtZX"]:
            for pid in moving:
                signal_one(pid, signal.SIGSTOP)
            await asyncio.sleep(_PAUSE_S)


def continue_all(find: Find) -> None:
    """Let every process go on."""
    for pid in find():
        signal_one(pid, signal.SIGCONT)


async def kill_family(pid: int) -> None:
    """Kill a process and all its descendants, which cannot get away meanwhile; raises TimeoutError.

    The first process dies last: while it lives, even stopped, its orphans stay its own.
    """
    await stop_all(lambda: family(pid))
    await kill_descendants(pid)
    signal_one(pid, signal.SIGKILL)


async def kill_descendants(pid: int) -> None:
    """Kill all descendants of a process, which adopts its orphans; raises TimeoutError."""
    async with asyncio.timeout(STOP_S_MAX):
        while alive := [one for one in family(pid) if one != pid and _state(one) not in "ZX"]:
            for one in alive:
                signal_one(one, signal.SIGKILL)
            await asyncio.sleep(_PAUSE_S)


def signal_one(pid: int, number: int) -> None:
    """Send a signal to a process, which may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _all() -> tuple[int, ...]:
    return tuple(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208


def _state(pid: int) -> str:
    fields = _fields(pid)
    return fields[0] if fields else "X"


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on, none if the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
