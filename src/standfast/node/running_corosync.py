"""The corosync that runs on this machine: which process it is, what it runs for, and ending it.

It is known by the lock that it holds on its pid file, so that no other process is ever taken for it.
Source: corosync(8); spec membership, section 16.6.
"""

import fcntl
import ipaddress
import os
import signal
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from standfast.engine.corosync_library import CorosyncError
from standfast.engine.corosync_settings import read_map, reload_configuration
from standfast.errors import EngineError
from standfast.node.caller import process_ends, signal_process

PID_FILE = Path("/run/corosync.pid")
ANSWER_S_MAX = 10.0  # longest wait for a corosync that works
LISTENS_S_MAX = 10.0  # longest wait for one that was just started
AGAIN_S = 0.1  # pause between two tries
END_S_MAX = 60.0  # longest wait for its end once it was asked to
_FLOCK = "hhqqi4x"  # struct flock on 64 bit Linux: l_type, l_whence, l_start, l_len, l_pid

T = TypeVar("T")


class Purpose(Struct, frozen=True, kw_only=True):
    """What a corosync runs for. `is_example`: the one that a package starts, for this machine alone."""

    cluster: str
    nodeid: int | None
    is_example: bool = False


class RunningCorosync:
    """The process; a context manager."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor

    def __enter__(self) -> "RunningCorosync":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def end(self, limit_s: float = END_S_MAX) -> None:
        """Ask it to end, and wait until it has. Raises EngineError when it does not."""
        self._signal(signal.SIGTERM)
        if not process_ends(self._descriptor, limit_s):
            raise EngineError(
                f"corosync, process {self.pid}, did not end within {limit_s:.0f} s; see its log, or give it up with: "
                f"standfast down --force",
                code="corosync-stays",
            )

    def kill(self, limit_s: float = END_S_MAX) -> None:
        """End it whatever it does. Raises EngineError when not even that works."""
        self._signal(signal.SIGKILL)
        if not process_ends(self._descriptor, limit_s):
            raise EngineError(
                f"corosync, process {self.pid}, cannot be ended; it hangs in the kernel, restart the machine",
                code="corosync-stays",
            )

    def _signal(self, number: int) -> None:
        try:
            signal_process(self._descriptor, number)
        except ProcessLookupError:
            return


def find_corosync_process(pid_file: Path = PID_FILE) -> RunningCorosync | None:
    """Return the corosync that runs here, None where none does. Raises OSError."""
    pid = _lock_holder(pid_file)
    if pid is None:
        return None
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if _lock_holder(pid_file) != pid:  # it ended in between, and the number may be another's now
        os.close(descriptor)
        return None
    return RunningCorosync(pid, descriptor)


def purpose() -> Purpose:
    """Return what the corosync that runs here runs for. Raises EngineError when it does not answer."""
    keys = (
        "totem.cluster_name",
        "runtime.votequorum.this_node_id",
        "nodelist.node.0.nodeid",
        "nodelist.node.0.ring0_addr",
        "nodelist.node.1.ring0_addr",
    )
    found = _once_it_listens(lambda: read_map(*keys))
    nodeid = found.get("runtime.votequorum.this_node_id")
    return Purpose(
        cluster=str(found.get("totem.cluster_name", "")),
        nodeid=nodeid if isinstance(nodeid, int) else None,
        is_example="nodelist.node.1.ring0_addr" not in found
        and _is_loopback(str(found.get("nodelist.node.0.ring0_addr", ""))),
    )


def reload_corosync() -> None:
    """Let every node's corosync read its corosync.conf again. Raises EngineError."""
    answered(reload_configuration)


def answered(call: Callable[[], T], limit_s: float = ANSWER_S_MAX) -> T:
    """Return what a call to corosync returns. Raises EngineError when it fails, or does not come back in time."""
    results: list[T] = []
    failures: list[CorosyncError | EngineError] = []

    def run() -> None:
        try:
            results.append(call())
        except (CorosyncError, EngineError) as failure:
            failures.append(failure)

    thread = threading.Thread(target=run, name="corosync call", daemon=True)  # a hung one is left behind
    thread.start()
    thread.join(limit_s)
    if results:
        return results[0]
    if failures and isinstance(failures[0], EngineError):
        raise failures[0]
    if failures:
        raise EngineError(
            f"corosync does not answer ({failures[0]}); see its log", code="corosync-down"
        ) from failures[0]
    raise EngineError(
        f"corosync has not answered for {limit_s:.0f} s; it is stopped or starved, see its log, or give it up with: "
        f"standfast down --force",
        code="corosync-hangs",
    )


def _once_it_listens(call: Callable[[], T]) -> T:
    """Return what a call returns; one that has only just been started listens a little later. Raises EngineError."""
    deadline = time.monotonic() + LISTENS_S_MAX
    while True:
        try:
            return answered(call)
        except EngineError as failure:
            if failure.code != "corosync-down" or time.monotonic() >= deadline:
                raise
        time.sleep(AGAIN_S)  # corosync has no event for this where somebody else has started it


def _lock_holder(path: Path) -> int | None:
    """Return the process that holds a lock on the file; None where there is no file or no lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK or pid <= 0 else pid


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
