"""The contract of every engine. Each test ends with a judgement of all that was delivered (promises.py)."""

from random import Random

import pytest
from tests.contract.engines.arena import Arena, company, equal_votes, flag, gather, heard, last_view, numbered
from tests.contract.engines.conftest import EMBEDDED
from tests.contract.engines.promises import Witness

from standfast.engine.contract import MESSAGE_BYTES_MAX, Notice
from standfast.errors import EngineError, RefusedError
from standfast.membership.view import Departure, DepartureReason
from standfast.terms import NodeId

PAIR = equal_votes(1, 2)
THREE = equal_votes(1, 2, 3)
FIVE = equal_votes(1, 2, 3, 4, 5)


def gone(nodeid: int, reason: DepartureReason) -> tuple[Departure, ...]:
    return (Departure(NodeId(nodeid), reason),)


def test_concurrent_senders_are_heard_in_one_order_by_all(arena: Arena) -> None:
    one, two, three = gather(arena, (1, 2, 3), THREE)
    for witness in (one, two, three):
        arena.send(witness.nodeid, numbered(witness, 200))
    arena.wait(lambda: all(len(heard(w)) == 600 for w in (one, two, three)))
    assert heard(one) == heard(two) == heard(three)


def test_a_daemon_hears_itself_when_it_is_alone(arena: Arena) -> None:
    (one,) = gather(arena, (1,), PAIR)
    arena.send(1, numbered(one, 3))
    arena.wait(lambda: heard(one) == [b"vapp1:0", b"vapp1:1", b"vapp1:2"])


def test_what_is_sent_before_the_first_view_is_heard_in_it(arena: Arena) -> None:
    one = arena.attach(1, PAIR)
    arena.send(1, numbered(one, 3))
    arena.wait(lambda: heard(one) == [b"vapp1:0", b"vapp1:1", b"vapp1:2"])


def test_a_message_of_the_greatest_length_arrives_whole(arena: Arena) -> None:
    one, two = gather(arena, (1, 2), PAIR)
    payloads = [bytes([n]) * MESSAGE_BYTES_MAX for n in range(1, 7)]
    arena.send(1, payloads[:3])
    arena.send(2, payloads[3:])
    arena.wait(lambda: len(heard(one)) == len(heard(two)) == 6)
    assert heard(one) == heard(two)
    assert sorted(heard(one)) == payloads


def test_an_empty_message_arrives(arena: Arena) -> None:
    one, two = gather(arena, (1, 2), PAIR)
    arena.send_one(1, b"")
    arena.wait(lambda: heard(one) == heard(two) == [b""])


def test_a_message_that_is_too_long_is_refused_with_a_sentence(arena: Arena) -> None:
    gather(arena, (1,), PAIR)
    with pytest.raises(EngineError, match="vapp1: a message of 1048577 bytes is longer than the 1048576"):
        arena.send_one(1, b"x" * (MESSAGE_BYTES_MAX + 1))


def test_a_joiner_sees_everyone_joined_and_the_others_see_it_join(arena: Arena) -> None:
    (one,) = gather(arena, (1,), PAIR)
    two = arena.attach(2, PAIR)
    arena.wait(lambda: company(one) == company(two) == (1, 2))
    assert one.views()[0].joined == (1,)
    assert last_view(one).joined == (2,)
    assert last_view(two).joined == (1, 2)
    assert last_view(one).view_id == last_view(two).view_id


def test_a_joiner_hears_nothing_from_before_its_view(arena: Arena) -> None:
    (one,) = gather(arena, (1,), PAIR)
    arena.send(1, numbered(one, 50))
    arena.wait(lambda: len(heard(one)) == 50)
    two = arena.attach(2, PAIR)
    arena.wait(lambda: company(two) == (1, 2))
    arena.send_one(1, b"after")
    arena.wait(lambda: heard(two) == [b"after"])


def test_who_says_goodbye_leaves_after_all_it_sent(arena: Arena) -> None:
    one, two = gather(arena, (1, 2), PAIR)
    arena.send(2, numbered(two, 50))
    arena.wait(lambda: len(two.sent) == 50)
    arena.leave(2)
    arena.wait(lambda: company(one) == (1,))
    assert last_view(one).left == gone(2, DepartureReason.LEAVE)
    assert last_view(one).hosts == (1, 2)
    assert heard(one) == two.sent


def test_after_goodbye_nothing_can_be_sent(arena: Arena) -> None:
    gather(arena, (1, 2), PAIR)
    arena.leave(2)
    with pytest.raises(EngineError, match="vapp2: this daemon left the engine; attach again"):
        arena.send_one(2, b"too late")


def test_a_daemon_that_dies_leaves_its_machine_behind(arena: Arena) -> None:
    one, _ = gather(arena, (1, 2), PAIR)
    arena.process_down(2)
    arena.wait(lambda: company(one) == (1,))
    assert last_view(one).left == gone(2, DepartureReason.PROCESS_DOWN)
    assert last_view(one).hosts == (1, 2)


def test_a_daemon_that_is_started_again_joins_as_a_new_member(arena: Arena) -> None:
    one, _ = gather(arena, (1, 2), PAIR)
    arena.process_down(2)
    two = arena.attach(2, PAIR, name="vapp2.again")
    arena.wait(lambda: share_a_view({1: one, 2: two}))
    assert one.views()[-2].left == gone(2, DepartureReason.PROCESS_DOWN)
    assert (last_view(one).joined, last_view(two).joined) == ((2,), (1, 2))


def test_a_machine_without_a_daemon_is_a_host_and_not_a_member(arena: Arena) -> None:
    (one,) = gather(arena, (1,), PAIR)
    before = last_view(one)
    arena.host_up(2)
    arena.wait(lambda: last_view(one).hosts == (1, 2))
    assert (last_view(one).members, last_view(one).joined, last_view(one).left) == ((1,), (), ())
    assert last_view(one).view_id > before.view_id


def test_a_machine_that_dies_takes_its_daemon_along(alert_arena: Arena) -> None:
    arena = alert_arena
    arena.host_up(2)
    one, _ = gather(arena, (1, 2), PAIR)
    arena.host_down(2)
    arena.wait(lambda: last_view(one).hosts == (1,))
    assert company(one) == (1,)
    (departure,) = [d for view in one.views() for d in view.left]
    assert departure.nodeid == 2
    assert departure.reason in {DepartureReason.NODE_DOWN, DepartureReason.PROCESS_DOWN}


def test_a_machine_that_is_switched_on_again_joins_as_a_new_member(alert_arena: Arena) -> None:
    arena = alert_arena
    arena.host_up(2)
    one, _ = gather(arena, (1, 2), PAIR)
    arena.host_down(2)
    arena.host_up(2)
    two = arena.attach(2, PAIR, name="vapp2.again")
    arena.wait(
        lambda: company(one) == company(two) == (1, 2) and last_view(one).view_id == last_view(two).view_id
    )
    assert [d.nodeid for view in one.views() for d in view.left] == [2]
    assert 2 in last_view(two).joined


def test_a_machine_dies_on_which_no_daemon_ran(alert_arena: Arena) -> None:
    arena = alert_arena
    arena.host_up(2)
    (one,) = gather(arena, (1,), PAIR)
    arena.wait(lambda: last_view(one).hosts == (1, 2))
    arena.host_down(2)
    arena.wait(lambda: last_view(one).hosts == (1,))
    assert (last_view(one).members, last_view(one).left) == ((1,), ())


def test_a_frozen_node_is_dropped_and_comes_back_with_all_others_joined(alert_arena: Arena) -> None:
    arena = alert_arena
    one, two, three = gather(arena, (1, 2, 3), THREE)
    views_before = len(three.views())
    arena.freeze(3)
    arena.send(1, numbered(one, 20))
    arena.wait(lambda: company(one) == company(two) == (1, 2))
    assert last_view(one).left == gone(3, DepartureReason.NODE_DOWN)
    assert last_view(one).hosts == (1, 2)
    arena.send(2, numbered(two, 20))
    arena.wait(lambda: len(heard(one)) == len(heard(two)) == 40)
    arena.thaw(3)
    arena.wait(lambda: company(one) == company(two) == company(three) == (1, 2, 3))
    arena.wait(lambda: len(three.views()) > views_before)
    (view,) = three.views()[views_before:]
    assert (view.joined, view.left) == ((1, 2), ())
    assert last_view(one).joined == (3,)
    arena.send_one(3, b"back")
    arena.wait(lambda: heard(one)[-1] == heard(three)[-1] == b"back")


def test_a_frozen_node_first_gets_the_rest_of_its_old_view(alert_arena: Arena) -> None:
    arena = alert_arena
    one, two = gather(arena, (1, 2), PAIR)
    arena.freeze(2)
    arena.send(1, numbered(one, 20))
    arena.wait(lambda: len(heard(one)) == 20 and company(one) == (1,))
    arena.thaw(2)
    arena.wait(lambda: len(two.views()) > 1 and len(two.chapters()) > 1 and two.views()[-1].joined == (1,))
    chapters = {view.view_id: messages for view, messages in one.chapters()}
    for view, messages in two.chapters()[:-1]:
        assert messages == chapters[view.view_id]


def test_two_frozen_nodes_wake_up_one_after_the_other(alert_arena: Arena) -> None:
    arena = alert_arena
    one, two, three = gather(arena, (1, 2, 3), THREE)
    arena.freeze(2)
    arena.freeze(3)
    arena.wait(lambda: company(one) == (1,))
    arena.thaw(2)
    arena.wait(lambda: company(one) == company(two) == (1, 2) and last_view(two).joined == (1,))
    assert last_view(two).left == gone(3, DepartureReason.NODE_DOWN)
    arena.thaw(3)
    arena.wait(lambda: company(one) == company(two) == company(three) == (1, 2, 3))
    arena.wait(lambda: last_view(three).joined == (1, 2))


def test_a_node_that_stands_still_for_a_moment_loses_nothing(arena: Arena) -> None:
    one, two = gather(arena, (1, 2), PAIR)
    views = len(one.views())
    arena.freeze(2)
    arena.send(1, numbered(one, 300))
    arena.wait(lambda: len(heard(one)) == 300)
    arena.thaw(2)
    arena.wait(lambda: len(heard(two)) == 300)
    assert heard(two) == heard(one)
    assert len(one.views()) == views


def test_a_partition_makes_two_clusters_with_their_own_order_and_merges(alert_arena: Arena) -> None:
    arena = alert_arena
    one, two, three = gather(arena, (1, 2, 3), THREE)
    arena.cut(1, 3)
    arena.cut(2, 3)
    arena.wait(lambda: company(one) == company(two) == (1, 2) and company(three) == (3,))
    assert last_view(one).left == gone(3, DepartureReason.NODE_DOWN)
    assert sorted(d.nodeid for view in three.views() for d in view.left) == [1, 2]
    assert (last_view(one).hosts, last_view(three).hosts) == ((1, 2), (3,))
    arena.send_one(1, b"one side")
    arena.send_one(3, b"other side")
    arena.wait(lambda: heard(one) == heard(two) == [b"one side"] and heard(three) == [b"other side"])
    arena.heal()
    arena.wait(lambda: company(one) == company(two) == company(three) == (1, 2, 3))
    assert (last_view(one).joined, last_view(three).joined) == ((3,), (1, 2))
    assert last_view(one).left == last_view(three).left == ()


def test_what_a_daemon_sends_around_a_partition_comes_back_to_it(alert_arena: Arena) -> None:
    arena = alert_arena
    everyone = gather(arena, (1, 2, 3), THREE)
    for witness in everyone:
        arena.send(witness.nodeid, numbered(witness, 30))
    arena.cut(1, 2)
    arena.cut(1, 3)
    for witness in everyone:
        arena.send(witness.nodeid, numbered(witness, 30))
    arena.wait(lambda: company(everyone[0]) == (1,))
    arena.heal()
    arena.wait(lambda: all(company(w) == (1, 2, 3) for w in everyone))
    arena.wait(
        lambda: all([m.payload for m in w.messages() if m.sender == w.nodeid] == w.sent for w in everyone)
    )
    assert all(len(witness.sent) == 60 for witness in everyone)


@pytest.mark.parametrize(
    "arena_of", EMBEDDED, indirect=True
)  # on corosync no ring forms before the link is mended
def test_one_broken_link_separates_the_lowest_nodes_company_from_the_rest(alert_arena: Arena) -> None:
    arena = alert_arena
    one, two, three = gather(arena, (1, 2, 3), THREE)
    arena.cut(1, 3)
    arena.wait(lambda: company(three) == (3,))
    arena.wait(lambda: company(one) == company(two) == (1, 2))


def test_a_daemon_that_dies_on_the_other_side_is_not_among_those_who_come_back(alert_arena: Arena) -> None:
    arena = alert_arena
    one, two, _ = gather(arena, (1, 2, 3), THREE)
    arena.cut(1, 2)
    arena.cut(1, 3)
    arena.wait(lambda: company(one) == (1,) and company(two) == (2, 3))
    arena.process_down(3)
    arena.wait(lambda: company(two) == (2,))
    arena.heal()
    arena.wait(lambda: company(one) == company(two) == (1, 2))
    assert last_view(one).hosts == (1, 2, 3)
    assert (last_view(one).joined, last_view(one).left) == ((2,), ())


def test_the_flag_tells_each_view_whether_it_is_quorate(alert_arena: Arena) -> None:
    arena = alert_arena
    (one,) = gather(arena, (1,), THREE)
    arena.wait(lambda: flag(one) is False)
    two = arena.attach(2, THREE)
    arena.wait(lambda: company(one) == company(two) == (1, 2) and flag(one) is True and flag(two) is True)
    arena.attach(3, THREE)
    arena.wait(lambda: company(one) == (1, 2, 3) and flag(one) is True)
    arena.process_down(3)
    arena.wait(lambda: company(one) == (1, 2) and flag(one) is True)
    isolate(arena, 1)
    arena.wait(lambda: company(one) == (1,) and company(two) == (2,))
    arena.wait(lambda: flag(one) is False and flag(two) is False)


def test_both_halves_of_a_two_node_cluster_are_quorate(alert_arena: Arena) -> None:
    arena = alert_arena
    votes = equal_votes(1, 2, expected=1, two_node=True)
    one, two = gather(arena, (1, 2), votes)
    arena.cut(1, 2)
    arena.wait(lambda: company(one) == (1,) and company(two) == (2,))
    arena.wait(lambda: flag(one) is True and flag(two) is True)


def test_a_new_vote_table_is_judged_at_once(arena: Arena) -> None:
    one, _ = gather(arena, (1, 2), PAIR)
    arena.wait(lambda: flag(one) is True)
    arena.configure(1, FIVE)
    arena.wait(lambda: flag(one) is False)
    arena.configure(1, THREE)
    arena.wait(lambda: flag(one) is True)


def test_a_second_daemon_of_one_node_id_is_turned_away(arena: Arena) -> None:
    one, two = gather(arena, (1, 2), PAIR)
    with pytest.raises(RefusedError, match="vapp9: node id 2 is in use by vapp2") as refusal:
        arena.attach(2, PAIR, name="vapp9")
    assert refusal.value.code == "nodeid-in-use"
    arena.wait(lambda: any(isinstance(event, Notice) for event in one.events))
    (notice,) = [event for event in one.events if isinstance(event, Notice)]
    assert "vapp9: node id 2 is in use by vapp2" in notice.text
    arena.send_one(2, b"still here")
    arena.wait(lambda: heard(one) == heard(two) == [b"still here"])


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_promises_hold_and_all_meet_again(alert_arena: Arena, seed: int) -> None:
    arena = alert_arena
    rng = Random(seed)
    living: dict[int, Witness] = {n: arena.attach(n, FIVE) for n in range(1, 6)}
    for round_ in range(12):
        for nodeid, witness in living.items():
            arena.send(nodeid, numbered(witness, rng.randint(0, 6)))
        churn(arena, rng, living, round_)
        watched = living[min(living)]
        known = len(watched.events)
        arena.send(watched.nodeid, numbered(watched, 1))
        arena.wait(lambda: len(watched.events) > known)  # noqa: B023
    arena.heal()
    arena.wait(lambda: share_a_view(living))
    arena.wait(
        lambda: all(
            [m.payload for m in w.messages() if m.sender == w.nodeid] == w.sent for w in living.values()
        )
    )


def own(witness: Witness) -> list[bytes]:
    """What a daemon sent in this run of it and was given."""
    mine = f"{witness.name}:".encode()
    return [payload for payload in heard(witness) if payload.startswith(mine)]


def isolate(arena: Arena, nodeid: int) -> None:
    """Cut a node off from all others."""
    for other in range(1, 6):
        arena.cut(nodeid, other)


def share_a_view(living: dict[int, Witness]) -> bool:
    """Whether all daemons are in one view, and nobody else."""
    members = tuple(sorted(living))
    together = all(company(witness) == members for witness in living.values())
    return together and len({last_view(witness).view_id for witness in living.values()}) == 1


def churn(arena: Arena, rng: Random, living: dict[int, Witness], round_: int) -> None:
    """Let one thing go wrong, or right again; at least two daemons stay."""
    nodeid = rng.choice(range(1, 6))
    act = rng.choice(("kill", "kill", "leave", "start", "start", "start", "cut", "cut", "heal"))
    if act == "kill" and len(living) > 2 and nodeid in living:
        del living[nodeid]
        arena.process_down(nodeid)
    elif act == "leave" and len(living) > 2 and nodeid in living:
        arena.heal()
        arena.wait(lambda: share_a_view(living))
        del living[nodeid]
        arena.leave(nodeid)
        arena.wait(lambda: share_a_view(living))
    elif act == "start" and nodeid not in living:
        living[nodeid] = arena.attach(nodeid, FIVE, name=f"vapp{nodeid}.{round_}")
    elif act == "cut" and arena.takes_single_cuts:
        arena.cut(nodeid, rng.choice(range(1, 6)))
    elif act == "cut":
        isolate(arena, nodeid)
    elif act == "heal":
        arena.heal()
