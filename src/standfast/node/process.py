"""Processes of other people's agents: started in a group of their own, watched to their end, found in /proc."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from standfast.node.privilege import ordinary_children

TERM_S = 2.0  # how long an agent has to end by itself once it was asked to
GONE_LOOK_S = 0.01  # how often it is looked whether a killed group is gone
AGENT_UMASK = 0o022


class Exit(Struct, frozen=True, kw_only=True):
    """How an agent ended: with `status`, or (None) by a signal or in a way that nobody knows. `text` says more."""

    status: int | None
    text: str = ""


class Process(Protocol):
    """One agent at work, leader of its own process group. `pid` is None until it is known."""

    pid: int | None
    ended: asyncio.Future[Exit]

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; nothing happens when the agent has ended."""
        ...


class OwnProcess:
    """A child of this daemon. Raises OSError where the program cannot be run."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Sequence[tuple[str, str]],
        given: int,
        output: int,
    ) -> None:
        """`given` and `output` are descriptors; ours may be closed afterwards."""
        self._loop = asyncio.get_running_loop()
        with ordinary_children():
            self._child = subprocess.Popen(
                arguments,
                stdin=given,
                stdout=output,
                stderr=output,
                env=dict(environment),
                cwd="/",
                umask=AGENT_UMASK,
                start_new_session=True,
            )
        self.pid: int | None = self._child.pid
        self.ended: asyncio.Future[Exit] = self._loop.create_future()
        self._descriptor = os.pidfd_open(self._child.pid)
        self._loop.add_reader(self._descriptor, self._reap)

    def signal(self, number: int) -> None:
        """Send a signal to the group while the agent has not been reaped."""
        if not self.ended.done():
            signal_group(self._child.pid, number)

    def _reap(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        status = self._child.wait()
        self.ended.set_result(Exit(status=status if status >= 0 else None))


def signal_group(pgid: int, number: int) -> None:
    """Send a signal to a process group that may be gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)


async def end_group(pgid: int, *, grace_s: float = 0.0) -> None:
    """Return when a process group is gone: by itself within `grace_s`, or killed, however long the kernel takes."""
    deadline = time.monotonic() + grace_s
    while not group_is_gone(pgid):
        if time.monotonic() >= deadline:
            signal_group(pgid, signal.SIGKILL)
        await asyncio.sleep(GONE_LOOK_S)


def group_is_gone(pgid: int) -> bool:
    """Whether nothing of a process group is alive; dead processes that nobody has buried do not count."""
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return True  # the number belongs to another user's group now
    return not any(_is_alive_in(pgid, entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())


def start_time(pid: int) -> str | None:
    """Return when a process started, in the kernel's ticks since boot; None where there is none, or it is dead."""
    fields = stat_fields(pid)
    return None if fields is None or fields[0] in "ZX" else fields[19]


def stat_fields(pid: int | str) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the third, the state, on; None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _is_alive_in(pgid: int, pid: str) -> bool:
    fields = stat_fields(pid)
    return fields is not None and fields[2] == str(pgid) and fields[0] not in "ZX"
