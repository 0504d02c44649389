"""Starting corosync and the daemon where no service manager does it: in sessions of their own, with logs of their own."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from standfast.errors import EngineError, StandfastError
from standfast.node.corosync_process import SBIN, start_corosync

COROSYNC_READY_S_MAX = 60.0  # longest time until it takes connections
DAEMON_READY_S_MAX = 120.0  # until it listens; on corosync it first waits 1.5 token times for the others
COROSYNC_LOG = "corosync.out"
DAEMON_LOG = "standfastd.log"
TAIL_LINES = 5  # how much of a log is shown when its program ended
_TAIL_BYTES = 16 * 1024
_HANDED_ON = ("CMAN_", "STANDFAST_", "LANG", "HOME", "TZ")  # what the daemon gets of our environment


def launch_corosync(conf: Path, logs: Path) -> None:
    """Start corosync and wait until it is ready. Raises EngineError with its last words, OSError."""
    log = logs / COROSYNC_LOG
    with _Log(log) as descriptor:
        began = os.fstat(descriptor).st_size
        starting = start_corosync(output=descriptor, conf=conf)
    process = starting.process
    end = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(starting.notified, select.POLLIN)
        poll.register(end, select.POLLIN)
        deadline = time.monotonic() + COROSYNC_READY_S_MAX
        while (left_s := deadline - time.monotonic()) > 0:
            ready = [number for number, _ in poll.poll(left_s * 1000)]
            if end in ready:
                raise EngineError(
                    f"corosync ended {_manner(process.wait())} as it started; its last words ({log}):\n"
                    f"{tail(log, began)}",
                    code="corosync-failed",
                )
            if starting.is_ready():
                return
        process.kill()
        process.wait()
        raise EngineError(
            f"corosync was not ready after {COROSYNC_READY_S_MAX:.0f} s, and was ended; its last words ({log}):\n"
            f"{tail(log, began)}",
            code="corosync-failed",
        )
    finally:
        os.close(end)
        starting.close()


def launch_daemon(arguments: Sequence[str], environ: Mapping[str, str], logs: Path) -> None:
    """Start the daemon in the background and wait until it listens. Raises StandfastError with its last words, OSError."""
    log = logs / DAEMON_LOG
    with _Log(log) as descriptor:
        began = os.fstat(descriptor).st_size
        first = subprocess.Popen(
            [sys.executable, "-m", "standfast.node.daemon", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd="/",
            env=daemon_environment(environ),
            start_new_session=True,
        )
    try:
        status = first.wait(DAEMON_READY_S_MAX)
    except subprocess.TimeoutExpired as failure:
        raise StandfastError(
            f"standfastd does not listen after {DAEMON_READY_S_MAX:.0f} s, and was left as it is; end it with: "
            f"standfast down --force; its last words ({log}):\n{tail(log, began)}",
            code="daemon-failed",
        ) from failure
    if status != 0:
        raise StandfastError(
            f"standfastd ended {_manner(status)} as it started; its last words ({log}):\n{tail(log, began)}",
            code="daemon-failed",
        )


def daemon_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the daemon's environment: nothing of the operator's session but what is meant for it."""
    kept = {name: value for name, value in environ.items() if name.startswith(_HANDED_ON)}
    return {"LANG": "C.UTF-8", **kept, "PATH": f"{Path(sys.executable).parent}:{SBIN}"}


def tail(log: Path, began: int = 0) -> str:
    """Return the last lines of a log, from byte `began` on; why not, where it cannot be read."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(began, size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError as failure:
        return f"   ({failure.strerror})"
    return "\n".join(f"   {line}" for line in lines[-TAIL_LINES:]) or "   (none)"


class _Log:
    """A log file that is written at its end; made with its folder where it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> int:
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o640)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _manner(status: int) -> str:
    return f"with status {status}" if status >= 0 else f"by signal {-status}"
