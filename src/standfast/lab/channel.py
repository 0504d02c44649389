"""Whole messages over Unix sockets, with open files beside them where the receiver is to have them."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from msgspec import json

from standfast.errors import StandfastError, UnreachableError
from standfast.lab.calls import MESSAGE_BYTES_MAX

_DESCRIPTORS_MAX = 8
_PATH_BYTES_MAX = 107  # sun_path of unix(7), its final zero left out


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def listen(path: Path) -> socket.socket:
    """Return a socket that takes connections at the path, for its owner alone; raises StandfastError."""
    check_path(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen()
    listener.setblocking(False)
    return listener


def connect(path: Path) -> socket.socket:
    """Return a connection to the path; raises UnreachableError."""
    check_path(path)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(str(path))
    except OSError as failure:
        connection.close()
        raise UnreachableError(f"{path}: {failure.strerror}", code="lab-not-running") from failure
    return connection


def check_path(path: Path) -> None:
    """Raise StandfastError when the kernel has no room for a socket's path."""
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        raise StandfastError(
            f"{path}: longer than the {_PATH_BYTES_MAX} bytes that the kernel allows for a socket;"
            " choose a shorter folder with --dir",
            code="lab-path-too-long",
        )


def send(connection: socket.socket, message: object, descriptors: Sequence[int] = ()) -> None:
    """Send one record; raises StandfastError when it is too long, OSError when the other side is gone."""
    encoded = json.encode(message)
    if len(encoded) > MESSAGE_BYTES_MAX:
        raise StandfastError(
            f"the command line is longer than {MESSAGE_BYTES_MAX} bytes; put it into a script",
            code="lab-too-long",
        )
    socket.send_fds(connection, [encoded], list(descriptors))


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Return one message and its descriptors; no bytes: the other side is gone."""
    data, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_BYTES_MAX, _DESCRIPTORS_MAX)
    return data, descriptors


async def receive_soon(connection: socket.socket) -> tuple[bytes, list[int]]:
    """As `receive`, without blocking the loop; a broken connection is a gone one."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        while True:
            with contextlib.suppress(BlockingIOError):
                return receive(connection)
            readable.clear()
            await readable.wait()
    except ConnectionError:
        return b"", []
    finally:
        loop.remove_reader(connection)
