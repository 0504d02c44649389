"""Calls from the node's start and stop to the node's daemon, and the daemon's process, known by the kernel's word."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import Struct as Layout

from msgspec import DecodeError, ValidationError

from standfast.errors import UnreachableError
from standfast.wire.control import (
    LINE_BYTES_MAX,
    Answer,
    Call,
    Failure,
    GetStatus,
    Progress,
    Status,
    decode_answer,
    encode_call,
)

STATUS_S_MAX = 10.0  # longest wait for a daemon that works
_CREDENTIALS = Layout("3i")  # pid, uid, gid
_CHUNK_BYTES = 65536


class DaemonProcess:
    """The process that listens on the control socket; a context manager."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor

    def __enter__(self) -> "DaemonProcess":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def has_ended(self, within_s: float = 0.0) -> bool:
        """Whether it has ended, or ends within this time."""
        return process_ends(self._descriptor, within_s)

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        with suppress(ProcessLookupError):
            signal_process(self._descriptor, number)


def process_ends(descriptor: int, within_s: float) -> bool:
    """Whether the process of a pidfd ends within this time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(within_s * 1000))


def signal_process(descriptor: int, number: int) -> None:
    """Send a signal to the process of a pidfd. Raises ProcessLookupError."""
    signal.pidfd_send_signal(descriptor, number)


def find_daemon(path: Path) -> DaemonProcess | None:
    """Return the process that listens at the socket, None where nobody does. Raises UnreachableError."""
    try:
        with _connect(path, STATUS_S_MAX) as connection:
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, _, _ = _CREDENTIALS.unpack(raw)
            return DaemonProcess(pid, os.pidfd_open(pid))
    except (FileNotFoundError, ConnectionError, ProcessLookupError):
        return None
    except TimeoutError as failure:
        raise _silent(path) from failure
    except OSError as failure:
        raise UnreachableError(
            f"{path}: {failure.strerror or failure}; the daemon cannot be asked", code="daemon-down"
        ) from failure


def ask_status(path: Path) -> Status | None:
    """Return the daemon's status, None where no daemon answers. Raises UnreachableError where it hangs."""
    try:
        answer = converse(path, GetStatus(local=True), limit_s=STATUS_S_MAX)
    except (FileNotFoundError, ConnectionError):
        return None
    if not isinstance(answer, Status):
        raise _foreign(path)
    return answer


def converse(
    path: Path,
    call: Call,
    *,
    limit_s: float | None = None,
    progress: Callable[[str], None] = lambda _text: None,
    every_s: float = 1.0,
    meanwhile: Callable[[], None] = lambda: None,
) -> Answer:
    """Send a call and return its answer, with `meanwhile` called now and then until it comes.

    Raises UnreachableError where none comes in time; FileNotFoundError or ConnectionError where there is no daemon, or
    it goes away.
    """
    deadline = None if limit_s is None else time.monotonic() + limit_s
    with _connect(path, STATUS_S_MAX) as connection:
        connection.sendall(encode_call(call))
        buffer = bytearray()
        while True:
            while (end := buffer.find(b"\n")) >= 0:
                answer = _read(path, bytes(buffer[:end]))
                del buffer[: end + 1]
                if not isinstance(answer, Progress):
                    return answer
                progress(answer.text)
            left_s = every_s if deadline is None else min(every_s, deadline - time.monotonic())
            if left_s <= 0 or len(buffer) > LINE_BYTES_MAX:
                raise _silent(path)
            connection.settimeout(left_s)
            try:
                chunk = connection.recv(_CHUNK_BYTES)
            except TimeoutError:
                meanwhile()
                continue
            if not chunk:
                raise ConnectionResetError
            buffer += chunk


def failure_text(answer: Answer) -> str:
    """Return why a call was not carried out."""
    return answer.text if isinstance(answer, Failure) else f"unexpected answer {type(answer).__name__}"


def _connect(path: Path, limit_s: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(limit_s)
    try:
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _read(path: Path, line: bytes) -> Answer:
    try:
        return decode_answer(line)
    except (ValidationError, DecodeError) as failure:
        raise _foreign(path) from failure


def _silent(path: Path) -> UnreachableError:
    return UnreachableError(
        f"{path}: the daemon is there and does not answer; it is stopped or overloaded, look at its log and at the "
        f"machine's load, or give it up with: standfast down --force",
        code="daemon-timeout",
    )


def _foreign(path: Path) -> UnreachableError:
    return UnreachableError(
        f"{path}: the answer is not of our protocol; the daemon is of another release: restart it",
        code="not-our-protocol",
    )
