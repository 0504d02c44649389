"""The engine on corosync beyond the common contract: what it says when corosync is gone, hangs, or is another's."""

import pytest
from tests.contract.engines.arena import company, equal_votes, flag, gather, heard, last_view, numbered
from tests.contract.engines.corosync_arena import CorosyncArena

from standfast.engine.contract import Notice
from standfast.engine.flow import OWED_BYTES_MAX, SEND_BYTES_MAX
from standfast.errors import RefusedError

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

PAIR = equal_votes(1, 2)
THREE = equal_votes(1, 2, 3)


def test_when_corosync_dies_the_events_end_with_an_error_and_the_others_go_on(
    corosync: CorosyncArena,
) -> None:
    one, two, three = gather(corosync, (1, 2, 3), THREE)
    corosync.signal_corosync(3, "KILL")
    daemon = corosync.daemons[3]
    corosync.wait(lambda: daemon.end is not None)
    assert daemon.end_code == "corosync-gone"
    assert "vapp3: corosync is gone" in str(daemon.end)
    corosync.wait(lambda: company(one) == company(two) == (1, 2))
    corosync.send_one(1, b"on")
    corosync.wait(lambda: heard(two) == [b"on"])
    assert heard(three) == []


def test_a_corosync_that_hangs_is_noticed(corosync: CorosyncArena) -> None:
    gather(corosync, (1, 2), PAIR)
    corosync.signal_corosync(2, "STOP")
    daemon = corosync.daemons[2]
    corosync.wait(lambda: daemon.end is not None)
    assert daemon.end_code == "corosync-hangs"
    assert "vapp2: corosync has not answered for" in str(daemon.end)


def test_without_corosync_a_daemon_is_told_how_to_start_it(corosync: CorosyncArena) -> None:
    gather(corosync, (1,), PAIR)
    corosync.signal_corosync(1, "KILL")
    corosync.wait(lambda: corosync.daemons[1].end is not None)
    with pytest.raises(
        RefusedError, match=r"vapp1.again: corosync does not answer .* standfast up"
    ) as refusal:
        corosync.attach(1, PAIR, name="vapp1.again")
    assert refusal.value.code == "corosync-down"


def test_a_daemon_of_another_cluster_is_turned_away(corosync: CorosyncArena) -> None:
    with pytest.raises(
        RefusedError, match=r'corosync runs for cluster "VMCluster", and cluster.conf is of "Other"'
    ):
        corosync.attach(1, PAIR, cluster="Other")


def test_a_daemon_with_another_node_id_than_corosync_is_turned_away(corosync: CorosyncArena) -> None:
    corosync.host_up(1)
    with pytest.raises(RefusedError, match=r"corosync has node id 1, and cluster.conf gives this node 2"):
        corosync.attach(1, PAIR, name="vapp1", nodeid_told=2)


def test_senders_wait_for_a_receiver_that_takes_nothing_and_nothing_is_lost(corosync: CorosyncArena) -> None:
    one, two = gather(corosync, (1, 2), PAIR)
    corosync.daemons[2].order(takes=False)
    size = 128 * 1024
    total = (OWED_BYTES_MAX + SEND_BYTES_MAX) // size + 60
    corosync.send(1, (payload.ljust(size, b".") for payload in numbered(one, total)))
    corosync.wait(lambda: len(heard(one)) * size >= OWED_BYTES_MAX)
    corosync.daemons[2].order(takes=True)
    corosync.wait(lambda: len(heard(two)) == len(heard(one)) == total)
    assert heard(one) == heard(two)
    assert len(one.sent) == total


def test_a_machine_whose_daemon_is_missing_has_no_vote(corosync: CorosyncArena) -> None:
    (one,) = gather(corosync, (1,), THREE)
    for other in (2, 3):
        corosync.host_up(other)
    corosync.wait(lambda: last_view(one).hosts == (1, 2, 3))
    corosync.wait(lambda: flag(one) is False)
    assert "Quorate:          Yes" in corosync.run(1, "sh", "-c", "corosync-quorumtool -s || true")
    two = corosync.attach(2, THREE)
    corosync.wait(lambda: company(one) == company(two) == (1, 2) and flag(one) is True and flag(two) is True)


def test_a_ring_that_does_not_form_is_said(corosync: CorosyncArena) -> None:
    witnesses = gather(corosync, (1, 2, 3), THREE)
    corosync.cut(1, 2)
    corosync.wait(
        lambda: any(
            isinstance(event, Notice) and "corosync has delivered nothing for" in event.text
            for witness in witnesses
            for event in tuple(witness.events)
        )
    )
    corosync.heal()
    corosync.wait(lambda: all(company(witness) == (1, 2, 3) for witness in witnesses))
