"""The control socket of a real daemon: who may do what, and clients that misbehave."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.processes.daemon.town import Node, eventually, town

from standfast.terms import ServiceName
from standfast.wire.control import (
    PROTOCOL_VERSION,
    Call,
    Failure,
    GetHistory,
    GetStatus,
    History,
    LeaveCluster,
    OperateService,
    Operation,
    Status,
    decode_answer,
    encode_call,
)

pytestmark = pytest.mark.lab

NOBODY = 65534

ASK_AS_NOBODY = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(sys.stdin.buffer.read())
sys.stdout.write(connection.makefile().readline())
"""


def exchange(node: Node, data: bytes) -> object:
    """Send these bytes and return the answer."""
    with node.connect() as connection, connection.makefile("rb") as lines:
        connection.sendall(data)
        return decode_answer(lines.readline())


# Ours may lie in a folder that other users cannot enter.
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


def ask_as_nobody(node: Node, call: Call) -> object:
    """Ask as an ordinary user."""
    if os.getuid() != 0:
        pytest.skip("only root can be another user")
    path = node.run_dir / "control.sock"
    done = subprocess.run(
        [PYTHON, "-I", "-c", ASK_AS_NOBODY, path],
        input=encode_call(call),
        capture_output=True,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        check=True,
        timeout=30,
    )
    return decode_answer(done.stdout)


def test_any_user_may_look() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        assert isinstance(ask_as_nobody(cluster.nodes[0], GetStatus()), Status)
        assert isinstance(ask_as_nobody(cluster.nodes[0], GetHistory()), History)


def test_ordinary_user_may_not_act() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        first = cluster.nodes[0]
        operate = OperateService(operation=Operation.DISABLE, service=ServiceName("service:web"))
        answers = [ask_as_nobody(first, call) for call in (operate, LeaveCluster())]
        assert [isinstance(a, Failure) and a.code for a in answers] == ["permission-denied"] * 2
        assert first.daemon is not None
        assert first.daemon.poll() is None


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"hello\n", "call-unreadable"),
        (b"\n", "call-unreadable"),
        (b"\xff\xfe\x00\n", "call-unreadable"),
        (b"{}\n", "call-unreadable"),
        (b'{"v":1,"call":{"type":"explode"}}\n', "call-unreadable"),
        (b'{"v":%d,"call":{"type":"status"}}\n' % (PROTOCOL_VERSION + 1), "not-our-protocol"),
        (b"x" * (9 * 1024 * 1024), "call-too-long"),
    ],
    ids=["words", "nothing", "bytes", "empty", "unknown", "version", "endless"],
)
def test_line_that_is_no_call_gets_a_sentence_and_harms_nobody(line: bytes, code: str) -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        first = cluster.nodes[0]
        answer = exchange_or_hang_up(first, line)
        assert isinstance(answer, Failure)
        assert answer.code == code
        assert isinstance(first.ask(GetStatus()), Status)


def exchange_or_hang_up(node: Node, data: bytes) -> object:
    """Send these bytes, of which the daemon may not want all, and return the answer."""
    with node.connect() as connection, connection.makefile("rb") as lines:
        with suppress(BrokenPipeError):
            connection.sendall(data)
        return decode_answer(lines.readline())


def test_call_that_arrives_in_pieces_is_answered() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        line = encode_call(GetStatus())
        with cluster.nodes[0].connect() as connection, connection.makefile("rb") as lines:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            for byte in line:
                connection.sendall(bytes([byte]))
            assert isinstance(decode_answer(lines.readline()), Status)


def test_several_calls_on_one_connection_are_answered_in_order() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        with cluster.nodes[0].connect() as connection, connection.makefile("rb") as lines:
            connection.sendall(
                encode_call(GetStatus()) + encode_call(GetHistory()) + encode_call(GetStatus())
            )
            kinds = [type(decode_answer(lines.readline())) for _ in range(3)]
        assert kinds == [Status, History, Status]


def test_clients_that_never_read_or_never_speak_do_not_keep_others_waiting() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        first = cluster.nodes[0]
        silent = [first.connect() for _ in range(50)]
        greedy = first.connect()
        greedy.setblocking(False)
        try:
            while greedy.send(encode_call(GetHistory(2000)) * 50):
                pass
        except BlockingIOError:
            pass
        assert isinstance(first.ask(GetStatus()), Status)
        for connection in (*silent, greedy):
            connection.close()


def test_more_clients_than_the_daemon_takes_are_told_so() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        first = cluster.nodes[0]
        crowd = [first.connect() for _ in range(256)]
        answer = exchange(first, b"")
        assert isinstance(answer, Failure)
        assert answer.code == "daemon-busy"
        for connection in crowd:
            connection.close()
        eventually(lambda: first.status() is not None)


def test_client_sees_the_end_of_a_daemon_that_dies() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        first = cluster.nodes[0]
        with first.connect() as connection:
            assert isinstance(first.ask(GetStatus()), Status)
            first.kill()
            assert connection.recv(1) == b""


def test_socket_is_open_to_all_and_its_folder_cannot_be_written() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        path = Path(cluster.nodes[0].run_dir, "control.sock")
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o022) == (0o666, 0)
