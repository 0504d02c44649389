"""One call to this node's daemon: a line out over its Unix socket, lines in until the caller has its answer.

Standard library only, and little of it: clustat must start at once, and msgspec takes longer to load than everything
else that clustat does. The constants repeat those of `wire`; a test holds them equal. Source: design section 7.
"""

from __future__ import annotations

import errno
import os
import socket
import time

from standfast.errors import UnreachableError

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOL_VERSION = 1
PREFIX_VARIABLE = "STANDFAST_PREFIX"
LINE_BYTES_MAX = 8 * 1024 * 1024  # longest line in either direction, newline included
SOCKET_PATH_BYTES_MAX = 107  # of a Unix socket's address on Linux
STATUS_LINE = b'{"v":1,"call":{"type":"status","local":false}}\n'
LOCAL_STATUS_LINE = b'{"v":1,"call":{"type":"status","local":true}}\n'

_CHUNK_BYTES = 65536
_CONNECT_PAUSE_S = 0.01  # between tries while the daemon's queue of connections is full


def control_socket(prefix: str) -> str:
    """Return the path of the daemon's socket below `prefix`; "" is the machine itself."""
    return f"{prefix.rstrip('/')}/run/standfast/control.sock"


def answer_lines(line: bytes, *, socket_path: str, timeout_s: float | None = None) -> Iterator[bytes]:
    """Send one line and yield the daemon's lines, without their newlines, for as long as the caller wants more.

    `timeout_s` bounds the whole conversation; None waits without limit. Raises UnreachableError where no daemon
    answers; where the system says why, its `__cause__` is that OSError.
    """
    if len(line) > LINE_BYTES_MAX:
        raise UnreachableError(
            f"{socket_path}: the call is {len(line)} bytes long, and a daemon reads at most {LINE_BYTES_MAX}; "
            "make it shorter (a cluster.conf of this size is a mistake)",
            code="call-too-long",
        )
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            _connect(connection, socket_path, deadline)
            _send(connection, line, deadline)
            yield from _lines(connection, socket_path, deadline)
    except TimeoutError as error:
        raise UnreachableError(
            f"{socket_path}: the daemon did not answer within {timeout_s:g} s; it is stopped or overloaded, "
            "look at its log",
            code="daemon-timeout",
        ) from error
    except OSError as error:
        raise _unreachable(error, socket_path) from error


def system_reason(error: UnreachableError) -> str | None:
    """Return the system's own words for the failure, such as "No such file or directory"; None where it has none."""
    cause = error.__cause__
    if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
        return cause.strerror or str(cause)
    return None


def _unreachable(error: OSError, socket_path: str) -> UnreachableError:
    where = f"{socket_path}: {error.strerror or error}"
    if isinstance(error, PermissionError):
        return UnreachableError(
            f"{where}: you may not talk to the daemon; become root or a member of the group standfast",
            code="daemon-denied",
        )
    if isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError):
        return UnreachableError(
            f"{where}: the daemon went away before it had answered; look at its log",
            code="daemon-died",
        )
    return UnreachableError(
        f"{where}: no daemon answers here; start this node with: standfast up",
        code="daemon-down",
    )


def _connect(connection: socket.socket, path: str, deadline: float | None) -> None:
    with _Address(path) as address:
        while True:
            connection.settimeout(_left_s(deadline))
            try:
                connection.connect(address)
            except BlockingIOError:
                time.sleep(_CONNECT_PAUSE_S)
            else:
                return


class _Address:
    """A path short enough for a socket address: of a long one, the folder is opened and named by its descriptor."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self.path)) <= SOCKET_PATH_BYTES_MAX:
            return self.path
        folder, name = os.path.split(self.path)
        self.folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self.folder}/{name}"

    def __exit__(self, *_: object) -> None:
        if self.folder >= 0:
            os.close(self.folder)


def _send(connection: socket.socket, line: bytes, deadline: float | None) -> None:
    connection.settimeout(_left_s(deadline))
    try:
        connection.sendall(line)
    except (BrokenPipeError, ConnectionResetError):
        return  # a daemon that refuses us may close before it has read all; what it said can still be read


def _lines(connection: socket.socket, socket_path: str, deadline: float | None) -> Iterator[bytes]:
    buffer = bytearray()
    while True:
        end = buffer.find(b"\n")
        while end >= 0:
            yield bytes(buffer[:end])
            del buffer[: end + 1]
            end = buffer.find(b"\n")
        if len(buffer) >= LINE_BYTES_MAX:
            raise UnreachableError(
                f"{socket_path}: the answer's line is longer than {LINE_BYTES_MAX} bytes; this is not the daemon's "
                "socket, or the daemon is of another release: restart it",
                code="not-our-protocol",
            )
        connection.settimeout(_left_s(deadline))
        chunk = connection.recv(_CHUNK_BYTES)
        if not chunk:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        buffer += chunk


def _left_s(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
    return left
