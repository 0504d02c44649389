"""The conversation with the daemon, and every way in which there is none."""

import errno
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from standfast.cli import line as plain
from standfast.cli.client import ask, daemon_of
from standfast.cli.line import answer_lines, control_socket, system_reason
from standfast.cli.tests.daemon_double import STATUS, Reply, listening, serving
from standfast.errors import UnreachableError
from standfast.terms import ServiceName
from standfast.wire import control, paths
from standfast.wire.control import (
    Acknowledged,
    Call,
    Failure,
    GetStatus,
    LeaveCluster,
    OperateService,
    Operation,
    Progress,
    UpdateConfig,
    encode_answer,
    encode_call,
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A socket's path that is short enough wherever the tests run."""
    with tempfile.TemporaryDirectory(prefix="sf") as folder:
        yield Path(folder) / "control.sock"


def failure_of(path: Path, *, timeout_s: float | None = None) -> UnreachableError:
    with pytest.raises(UnreachableError) as caught:
        ask(GetStatus(), socket_path=str(path), timeout_s=timeout_s)
    return caught.value


def test_plain_constants_equal_the_wires() -> None:
    assert plain.PROTOCOL_VERSION == control.PROTOCOL_VERSION
    assert plain.LINE_BYTES_MAX == control.LINE_BYTES_MAX
    assert plain.PREFIX_VARIABLE == paths.PREFIX_VARIABLE
    assert encode_call(GetStatus()) == plain.STATUS_LINE
    assert encode_call(GetStatus(local=True)) == plain.LOCAL_STATUS_LINE


@pytest.mark.parametrize("prefix", ["", "/", "/lab/vapp1", "/lab/vapp1/"])
def test_plain_socket_path_equals_the_wires(prefix: str) -> None:
    assert control_socket(prefix) == paths.paths_under(prefix).control_socket


def test_answer_comes_back_as_a_record(place: Path) -> None:
    with serving(place, lambda call: [STATUS]):
        assert ask(GetStatus(), socket_path=str(place)) == STATUS


def test_daemon_receives_the_call_as_it_was_given(place: Path) -> None:
    seen: list[Call] = []

    def reply(got: Call) -> Reply:
        seen.append(got)
        return [Acknowledged()]

    call = OperateService(operation=Operation.RELOCATE, service=ServiceName("service:x"), target="vapp2")
    with serving(place, reply):
        ask(call, socket_path=str(place))
    assert seen == [call]


def test_progress_is_passed_on_until_the_answer(place: Path) -> None:
    said: list[str] = []
    with serving(place, lambda call: [Progress("one"), Progress("two"), Acknowledged("done")]):
        answer = ask(LeaveCluster(), socket_path=str(place), progress=said.append)
    assert (answer, said) == (Acknowledged("done"), ["one", "two"])


def test_progress_may_be_ignored(place: Path) -> None:
    with serving(place, lambda call: [Progress("one"), Acknowledged("done")]):
        assert ask(LeaveCluster(), socket_path=str(place)) == Acknowledged("done")


def test_answer_in_small_pieces_is_put_together(place: Path) -> None:
    pieces = [bytes([byte]) for byte in encode_answer(STATUS)]
    with serving(place, lambda call: [*pieces]):
        assert ask(GetStatus(), socket_path=str(place), timeout_s=30) == STATUS


def test_environment_names_the_node(place: Path) -> None:
    prefix = place.parent / "vapp1"
    with serving(prefix / "run/standfast/control.sock", lambda call: [STATUS]):
        assert daemon_of({"STANDFAST_PREFIX": str(prefix)})(GetStatus()) == STATUS


def test_path_longer_than_a_socket_address_is_reached(place: Path) -> None:
    folder = place.parent / ("long-" * 30)
    folder.mkdir()
    here = os.open(folder, os.O_RDONLY)
    try:
        with serving(Path(f"/proc/self/fd/{here}/control.sock"), lambda call: [STATUS]):
            assert ask(GetStatus(), socket_path=str(folder / "control.sock")) == STATUS
    finally:
        os.close(here)


def test_missing_socket_is_no_daemon(place: Path) -> None:
    error = failure_of(place)
    assert (error.code, system_reason(error)) == ("daemon-down", "No such file or directory")
    assert (
        str(error)
        == f"{place}: No such file or directory: no daemon answers here; start this node with: standfast up"
    )


def test_missing_folder_with_a_long_name_is_no_daemon(place: Path) -> None:
    assert failure_of(place / ("long-" * 30) / "control.sock").code == "daemon-down"


def test_socket_that_a_killed_daemon_left_is_no_daemon(place: Path) -> None:
    with listening(place):
        pass
    error = failure_of(place)
    assert (error.code, system_reason(error)) == ("daemon-down", "Connection refused")


def test_plain_file_in_place_of_the_socket_is_no_daemon(place: Path) -> None:
    place.write_text("", encoding="utf-8")
    assert failure_of(place).code == "daemon-down"


def test_denied_socket_says_who_may(place: Path) -> None:
    error = plain._unreachable(PermissionError(errno.EACCES, "Permission denied"), "/run/control.sock")
    assert error.code == "daemon-denied"
    assert str(error) == (
        "/run/control.sock: Permission denied: you may not talk to the daemon; "
        "become root or a member of the group standfast"
    )


def test_daemon_that_dies_before_the_answer_is_told(place: Path) -> None:
    with serving(place, lambda call: []):
        error = failure_of(place)
    assert (error.code, system_reason(error)) == ("daemon-died", "Connection reset by peer")


def test_daemon_that_dies_within_the_answer_is_told(place: Path) -> None:
    with serving(place, lambda call: [encode_answer(STATUS)[:100]]):
        assert failure_of(place).code == "daemon-died"


def test_daemon_that_dies_after_progress_is_told(place: Path) -> None:
    with serving(place, lambda call: [Progress("one")]):
        assert failure_of(place).code == "daemon-died"


def test_daemon_that_does_not_answer_in_time_is_told(place: Path) -> None:
    with listening(place):
        error = failure_of(place, timeout_s=0.05)
    assert (error.code, system_reason(error)) == ("daemon-timeout", None)
    assert "did not answer within 0.05 s" in str(error)


def test_daemon_that_trickles_does_not_prolong_the_time(place: Path) -> None:
    ended = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while not ended.wait(0.01):
                connection.sendall(b" ")

    with listening(place) as listener:
        thread = threading.Thread(target=trickle, args=(listener,))
        thread.start()
        error = failure_of(place, timeout_s=0.1)
        ended.set()
        thread.join()
    assert error.code == "daemon-timeout"


def test_full_queue_of_connections_is_waited_for_and_then_told(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(place))
            assert failure_of(place, timeout_s=0.05).code == "daemon-timeout"


@pytest.mark.parametrize(
    "said",
    [b"hello\n", b"{}\n", b'{"v":1,"answer":{"type":"nonsense"}}\n', b'{"v":1}\n', b"\xff\xfe\n", b"\n"],
)
def test_answer_that_is_not_ours_is_told(place: Path, said: bytes) -> None:
    with serving(place, lambda call: [said]):
        error = failure_of(place)
    assert error.code == "not-our-protocol"
    assert "restart it" in str(error)


def test_answer_of_another_version_names_both(place: Path) -> None:
    with serving(place, lambda call: [b'{"v":2,"answer":{"type":"status"}}\n']):
        error = failure_of(place)
    assert error.code == "not-our-protocol"
    assert "speaks version 2 of the protocol and this command version 1" in str(error)


def test_answer_without_end_is_cut_off(place: Path) -> None:
    with serving(place, lambda call: [b"x" * (plain.LINE_BYTES_MAX + 1)]):
        error = failure_of(place)
    assert error.code == "not-our-protocol"
    assert "longer than" in str(error)


def test_call_longer_than_a_line_is_not_sent(place: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        ask(UpdateConfig("x" * plain.LINE_BYTES_MAX), socket_path=str(place))
    assert caught.value.code == "call-too-long"


def test_refusal_is_read_although_the_daemon_did_not_take_the_whole_call(place: Path) -> None:
    refusal = Failure(code="not-permitted", text="only root may")

    def refuse(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(encode_answer(refusal))
            connection.shutdown(socket.SHUT_RD)
            connection.recv(1)

    with listening(place) as listener:
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        lines = answer_lines(b"x" * plain.LINE_BYTES_MAX, socket_path=str(place), timeout_s=30)
        answer = control.decode_answer(next(lines))
        del lines
        thread.join()
    assert answer == refusal
