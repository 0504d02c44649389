"""A daemon that says what a test gives it: real Unix socket, real lines, one conversation after the other."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from standfast.terms import NodeId, ServiceName
from standfast.wire.control import (
    Answer,
    Call,
    Election,
    NodeStatus,
    ServiceStatus,
    Status,
    decode_call,
    encode_answer,
)

Reply = list[Answer | bytes]
"""What follows a call: answers, and bytes that go out as they are; then the connection is closed."""

STATUS = Status(
    cluster="VMCluster",
    cluster_id=25917,
    config_version=5,
    view_id=8,
    quorate=True,
    synced=True,
    local=NodeId(2),
    nodes=(
        NodeStatus(name="vapp2", nodeid=NodeId(1), online=True, local=False, estranged=False, manager=True),
        NodeStatus(name="vapp1", nodeid=NodeId(2), online=True, local=True, estranged=False, manager=True),
    ),
    services=(
        ServiceStatus(
            name=ServiceName("service:VirtualHTTP"),
            state="started",
            owner="vapp1",
            last_owner=None,
            restarts=0,
            transition_s=1274771640,
        ),
    ),
    election=Election(
        generation=8,
        joining=False,
        leaving=False,
        expected_votes=2,
        total_votes=2,
        quorum=2,
        two_node=False,
        dirty=True,
        managing=True,
    ),
)


@contextmanager
def serving(path: Path, reply: Callable[[Call], Reply]) -> Iterator[None]:
    """Answer each connection's call with what `reply` returns, until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with listening(path) as listener:
        thread = threading.Thread(target=_serve, args=(listener, reply))
        thread.start()
        try:
            yield
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # ends accept() in the thread
            thread.join()


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket that connections reach and that nobody serves, as of a stopped daemon."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield listener


def _serve(listener: socket.socket, reply: Callable[[Call], Reply]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, suppress(ConnectionError), connection.makefile("rb") as lines:
            line = lines.readline()
            if line:
                for part in reply(decode_call(line)):
                    connection.sendall(part if isinstance(part, bytes) else encode_answer(part))
