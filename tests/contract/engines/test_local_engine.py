"""The local engine beyond the common contract: its programs, its sockets, slow daemons and faults on request."""

import asyncio
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.contract.engines.arena import company, equal_votes, gather, heard, last_view, numbered
from tests.contract.engines.local_arena import WAIT_S_MAX, LocalArena, Machine, Sequencer

from standfast.engine import admin, frames
from standfast.engine.contract import MESSAGE_BYTES_MAX, Message, Quorum
from standfast.engine.flow import OWED_BYTES_MAX, SEND_BYTES_MAX
from standfast.engine.host import hold_host
from standfast.engine.local import attach
from standfast.errors import EngineError, RefusedError
from standfast.membership.view import Departure, DepartureReason, View
from standfast.terms import NodeId

PAIR = equal_votes(1, 2)
THREE = equal_votes(1, 2, 3)
ONE, TWO = NodeId(1), NodeId(2)


def run_sequencer(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a sequencer that is expected to refuse."""
    return subprocess.run(
        [sys.executable, "-m", "standfast.engine.sequencer", *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=False,
    )


def test_a_second_sequencer_on_the_socket_refuses_and_the_first_goes_on(local: LocalArena) -> None:
    refused = run_sequencer(local.socket_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"{local.socket_path}: another sequencer is running here; end it first, or choose another socket\n"
    )
    gather(local, (1,), PAIR)


def test_the_socket_of_a_sequencer_that_was_killed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = Sequencer(str(path), token_ms=1000)
    first.process.kill()
    with first.process:
        first.process.wait(WAIT_S_MAX)
    assert path.is_socket()
    second = Sequencer(str(path), token_ms=1000)
    assert admin.answers(str(path))
    assert second.end() == 0


def test_a_sequencer_that_is_told_to_end_removes_its_socket(tmp_path: Path) -> None:
    sequencer = Sequencer(str(tmp_path / "s"), token_ms=1000)
    assert sequencer.end() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_socket_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "s", tmp_path / ("s" * 120)):
        refused = run_sequencer(str(path))
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"{path}: the socket cannot be made: ")
        assert refused.stderr.count("\n") == 1


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    refused = run_sequencer(str(path))
    assert refused.returncode == 1
    assert "the socket cannot be made: Address already in use" in refused.stderr
    assert path.read_text() == "precious"


def test_a_token_time_that_is_no_number_is_said_in_a_sentence(tmp_path: Path) -> None:
    refused = run_sequencer(str(tmp_path / "s"), "--token-ms", "soon")
    assert refused.returncode == 2
    assert '"soon" is not a number of milliseconds between 50 and 300000' in refused.stderr


def test_a_daemon_without_a_sequencer_is_told_how_to_start_one(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with pytest.raises(
        EngineError, match=r"no sequencer answers \(.*\); start it with: python3 -m standfast.engine"
    ):
        asyncio.run(attach(path, ONE, "vapp1", PAIR))
    with pytest.raises(EngineError, match="no sequencer answers"):
        admin.components(path)
    assert not admin.answers(path)


def test_when_the_sequencer_dies_the_events_end_with_an_error_at_once(local: LocalArena) -> None:
    gather(local, (1, 2), PAIR)
    local.sequencer.process.kill()
    daemon = local.daemon(1)
    local.wait(lambda: daemon.has_ended)
    assert isinstance(daemon.end, EngineError)
    assert "the sequencer is gone" in str(daemon.end)
    with pytest.raises(EngineError, match="the sequencer is gone"):
        local.send_one(1, b"nobody hears")


def test_view_ids_grow_and_machines_come_back_when_the_sequencer_is_started_again(local: LocalArena) -> None:
    local.host_up(2)
    (one,) = gather(local, (1,), PAIR)
    local.wait(lambda: last_view(one).hosts == (1, 2))
    local.sequencer.process.kill()
    local.wait(lambda: local.daemon(1).has_ended)
    with local.sequencer.process:
        local.sequencer.process.wait(WAIT_S_MAX)
    local.sequencer = Sequencer(local.socket_path, token_ms=30_000)
    again = local.attach(1, PAIR, name="vapp1.again")
    local.wait(lambda: company(again) == (1,) and last_view(again).hosts == (1, 2))
    assert again.views()[0].view_id > one.views()[-1].view_id


def test_iteration_ends_after_goodbye(local: LocalArena) -> None:
    gather(local, (1, 2), PAIR)
    local.leave(2)
    daemon = local.daemon(2)
    local.wait(lambda: daemon.has_ended)
    assert daemon.end is None


def test_senders_wait_for_a_receiver_that_takes_nothing_and_nothing_is_lost(local: LocalArena) -> None:
    one, two = gather(local, (1, 2), PAIR)
    local.machine(2).run(local.daemon(2).stop_taking())
    size = 128 * 1024
    total = (OWED_BYTES_MAX + SEND_BYTES_MAX) // size + 30
    local.send(1, (payload.ljust(size, b".") for payload in numbered(one, total)))
    local.wait(lambda: len(heard(one)) >= OWED_BYTES_MAX // size)
    local.send(2, [b"not stuck behind the other"])
    assert len(one.sent) <= (OWED_BYTES_MAX + SEND_BYTES_MAX) // size + 2
    local.machine(2).run(local.daemon(2).take_again())
    local.wait(lambda: len(heard(two)) == len(heard(one)) == total + 1)
    assert heard(one) == heard(two)
    assert len(one.views()) <= 2


def test_a_receiver_that_takes_nothing_for_too_long_is_given_up_until_it_does(
    alert_local: LocalArena,
) -> None:
    local = alert_local
    one, two = gather(local, (1, 2), PAIR)
    local.machine(2).run(local.daemon(2).stop_taking())
    payloads = [payload.ljust(MESSAGE_BYTES_MAX, b".") for payload in numbered(one, 12)]
    local.send(1, payloads)
    local.wait(lambda: company(one) == (1,))
    assert last_view(one).left == (Departure(TWO, DepartureReason.NODE_DOWN),)
    local.wait(lambda: heard(one) == payloads)
    local.machine(2).run(local.daemon(2).take_again())
    local.wait(lambda: company(one) == (1, 2) and last_view(two).joined == (1,))
    assert heard(two) == payloads[: len(heard(two))]


def test_a_daemon_that_works_through_a_long_backlog_is_not_given_up(alert_local: LocalArena) -> None:
    local = alert_local
    (one,) = gather(local, (1,), PAIR)
    machine = Machine(local.happened)
    taken: list[bytes] = []
    worth_ms = b"." * 1_000_000  # about 1 ms of work each

    async def work() -> None:
        engine = await attach(local.socket_path, TWO, "vapp2", PAIR)
        async for event in engine.events():
            if isinstance(event, Message):
                hashlib.blake2b(worth_ms).digest()
                machine.tell(lambda: taken.append(event.payload))  # noqa: B023

    machine.start(work())
    local.wait(lambda: company(one) == (1, 2))
    local.send(1, numbered(one, 1200))
    local.wait(lambda: len(taken) == 1200)
    assert len(one.views()) == 2
    machine.end()


def test_a_second_machine_of_one_node_id_is_turned_away(local: LocalArena) -> None:
    local.host_up(2)
    (one,) = gather(local, (1,), PAIR)
    local.wait(lambda: last_view(one).hosts == (1, 2))
    with pytest.raises(RefusedError, match="node id 2: its machine is here already"):
        asyncio.run(hold_host(local.socket_path, TWO))


def test_a_machine_whose_daemon_hangs_is_given_up_although_the_machine_answers(
    alert_local: LocalArena,
) -> None:
    local = alert_local
    machine = Machine(local.happened)
    machine.start(hold_host(local.socket_path, TWO))
    one, two = gather(local, (1, 2), PAIR)
    local.freeze(2)
    local.wait(lambda: company(one) == (1,))
    assert last_view(one).hosts == (1,)
    local.thaw(2)
    local.wait(lambda: company(one) == company(two) == (1, 2) and last_view(one).hosts == (1, 2))
    machine.end()


def test_a_machine_that_dies_before_its_daemon_is_down_at_once(local: LocalArena) -> None:
    machine = Machine(local.happened)
    held = machine.start(hold_host(local.socket_path, TWO))
    one, two = gather(local, (1, 2), PAIR)
    held.cancel()
    local.wait(lambda: company(one) == (1,))
    assert last_view(one).left == (Departure(TWO, DepartureReason.NODE_DOWN),)
    assert last_view(one).hosts == (1,)
    machine.start(hold_host(local.socket_path, TWO))
    local.wait(lambda: company(one) == (1, 2) and last_view(two).joined == (1,))
    machine.end()


def test_a_node_whose_messages_take_longer_than_the_token_is_given_up_until_healed(
    alert_local: LocalArena,
) -> None:
    local = alert_local
    one, two = gather(local, (1, 2), PAIR)
    admin.delay(local.socket_path, TWO, 900)
    local.wait(lambda: company(one) == (1,))
    parts = admin.heal(local.socket_path)
    assert [part.members for part in parts] == [(1,)]
    local.wait(lambda: company(one) == company(two) == (1, 2) and last_view(two).joined == (1,))


def test_what_is_delayed_arrives_in_order(local: LocalArena) -> None:
    one, two = gather(local, (1, 2), PAIR)
    admin.delay(local.socket_path, TWO, 30)
    local.send(1, numbered(one, 50))
    local.wait(lambda: len(heard(one)) == 50)
    assert heard(two) == []
    admin.delay(local.socket_path, TWO, 0)
    local.send(1, numbered(one, 50))
    local.wait(lambda: len(heard(two)) == 100)
    assert heard(two) == heard(one)


def part(*, hosts: tuple[int, ...], members: tuple[int, ...]) -> admin.Component:
    return admin.Component(hosts=tuple(map(NodeId, hosts)), members=tuple(map(NodeId, members)))


def test_the_administrator_sees_who_reaches_whom_and_mends_one_link(local: LocalArena) -> None:
    local.host_up(3)
    (one, _) = gather(local, (1, 2), PAIR)
    local.wait(lambda: last_view(one).hosts == (1, 2, 3))
    assert admin.components(local.socket_path) == (part(hosts=(1, 2, 3), members=(1, 2)),)
    admin.cut(local.socket_path, ONE, TWO)
    assert admin.cut(local.socket_path, ONE, NodeId(3)) == (
        part(hosts=(1,), members=(1,)),
        part(hosts=(2, 3), members=(2,)),
    )
    assert admin.heal_link(local.socket_path, TWO, ONE) == (
        part(hosts=(1, 2), members=(1, 2)),
        part(hosts=(3,), members=()),
    )


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\3abc", frames.encode(frames.Send(b"before attaching"))],
    ids=["another protocol", "no record", "out of turn"],
)
def test_a_stranger_on_the_socket_is_sent_away_and_disturbs_nobody(local: LocalArena, garbage: bytes) -> None:
    one, two = gather(local, (1, 2), PAIR)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.settimeout(WAIT_S_MAX)
        stranger.connect(local.socket_path)
        stranger.sendall(garbage)
        received = b"".join(iter(lambda: stranger.recv(4096), b""))
    (refusal,) = frames.Reader(frames.from_sequencer).feed(received)
    assert isinstance(refusal, frames.Refusal)
    assert refusal.code == "engine-version"
    local.send_one(1, b"on we go")
    local.wait(lambda: heard(one) == heard(two) == [b"on we go"])


def test_a_view_is_judged_by_the_votes_that_were_told_before_it_is_taken(local: LocalArena) -> None:
    async def flags() -> list[bool]:
        one = await attach(local.socket_path, ONE, "vapp1", PAIR)
        two = await attach(local.socket_path, TWO, "vapp2", PAIR)
        events = one.events()
        while not (isinstance(event := await anext(events), View) and event.members == (1, 2)):
            pass
        await two.leave()
        for _ in range(SEND_BYTES_MAX // MESSAGE_BYTES_MAX + 1):
            await one.send(
                b"x" * MESSAGE_BYTES_MAX
            )  # the last one waits: the view without node 2 has arrived
        one.configure(replace(PAIR, expected_votes=1, leaving=(TWO,)))
        while not (isinstance(event := await anext(events), View) and event.members == (1,)):
            pass
        told = await anext(events)
        await one.leave()
        return [told.quorate for told in (told,) if isinstance(told, Quorum)]

    assert asyncio.run(flags()) == [True]


def test_a_node_id_out_of_range_is_refused(local: LocalArena) -> None:
    with pytest.raises(RefusedError, match="node id 0 is not between 1 and 65535"):
        asyncio.run(attach(local.socket_path, NodeId(0), "vapp0", PAIR))


MEMBER = """
import asyncio, sys
from standfast.engine.local import attach
from standfast.membership.votes import VoteTable

async def main():
    engine = await attach(sys.argv[1], 2, "vapp2", VoteTable(votes=((1, 1), (2, 1)), expected_votes=2))
    async for event in engine.events():
        print(event, flush=True)

asyncio.run(main())
"""


@pytest.fixture(name="process")
def _process(alert_local: LocalArena) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", MEMBER, alert_local.socket_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_process_is_stopped_continued_and_killed(
    alert_local: LocalArena, process: subprocess.Popen[str]
) -> None:
    local = alert_local
    (one,) = gather(local, (1,), PAIR)
    local.wait(lambda: company(one) == (1, 2))
    os.kill(process.pid, signal.SIGSTOP)
    local.wait(lambda: company(one) == (1,))
    assert last_view(one).left == (Departure(TWO, DepartureReason.NODE_DOWN),)
    os.kill(process.pid, signal.SIGCONT)
    local.wait(lambda: company(one) == (1, 2))
    assert process.stdout is not None
    assert any(f"view_id={last_view(one).view_id}," in line for line in process.stdout)
    process.kill()
    local.wait(lambda: company(one) == (1,))
    assert last_view(one).left == (Departure(TWO, DepartureReason.PROCESS_DOWN),)
    assert last_view(one).hosts == (1, 2)


def test_a_stopped_process_that_is_killed_is_gone_for_good(
    alert_local: LocalArena, process: subprocess.Popen[str]
) -> None:
    local = alert_local
    (one,) = gather(local, (1,), PAIR)
    local.wait(lambda: company(one) == (1, 2))
    os.kill(process.pid, signal.SIGSTOP)
    local.wait(lambda: company(one) == (1,))
    process.kill()
    process.wait(WAIT_S_MAX)
    two = local.attach(2, PAIR)
    local.wait(lambda: company(one) == company(two) == (1, 2))
