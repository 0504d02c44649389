"""Views on corosync: whatever comes and goes, and in whichever order it is heard, the promises of every engine hold."""

from random import Random

import pytest
from tests.contract.engines.promises import broken_promises

from standfast.engine.formation import BEATS_MISSED_MAX
from standfast.engine.group_frames import Expel, Part, encode
from standfast.engine.outbox import PART_BYTES
from standfast.engine.tests.process_group import Member, ProcessGroup
from standfast.membership.view import Departure, DepartureReason, View
from standfast.terms import NodeId

ONE, TWO, THREE = NodeId(1), NodeId(2), NodeId(3)


def together(seed: int, *nodes: NodeId) -> tuple[ProcessGroup, list[Member]]:
    """Machines that reach each other, with a daemon on each, in one view."""
    group = ProcessGroup(Random(seed), max(nodes))
    group.divide([set(nodes)])
    members = [group.start(node) for node in nodes]
    group.settle()
    return group, members


def last_view(member: Member) -> View:
    view = member.view()
    assert view is not None
    return view


def heard(member: Member) -> list[bytes]:
    return [message.payload for message in member.witness.messages()]


@pytest.mark.parametrize("seed", range(5))
def test_daemons_that_reach_each_other_share_a_view(seed: int) -> None:
    _, members = together(seed, ONE, TWO, THREE)
    assert {last_view(m).view_id for m in members} == {last_view(members[0]).view_id}
    assert all(last_view(m).members == last_view(m).hosts == (1, 2, 3) for m in members)


@pytest.mark.parametrize("seed", range(5))
def test_a_daemon_that_hangs_is_left_out_and_learns_it_before_anything_else(seed: int) -> None:
    group, (one, two, three) = together(seed, ONE, TWO, THREE)
    three.is_frozen = True
    for _ in range(BEATS_MISSED_MAX + 2):
        group.beat()
        group.settle()
    assert last_view(one).members == last_view(two).members == last_view(one).hosts == (1, 2)
    assert Departure(THREE, DepartureReason.NODE_DOWN) in last_view(one).left
    one.send(b"meanwhile")
    group.settle()
    views = len(three.witness.views())
    three.is_frozen = False
    group.settle()
    (view,) = three.witness.views()[views:]
    assert (view.members, view.joined) == ((1, 2, 3), (1, 2))
    assert (heard(one), heard(two), heard(three)) == ([b"meanwhile"], [b"meanwhile"], [])
    assert broken_promises(m.witness for m in group.everyone) == []


def test_what_comes_after_the_group_has_changed_is_not_of_the_old_view_and_is_said_again() -> None:
    group, (one, two) = together(1, ONE, TWO)
    old = last_view(one)
    one.send(b"on its way")
    assert one.unordered
    group.divide([{ONE}, {TWO}])
    while one.unread:
        one.read(0)
    assert last_view(one) is old
    group.order(one)
    one.read(0)
    assert heard(one) == []
    group.settle()
    assert last_view(one).members == (ONE,)
    assert (heard(one), heard(two)) == ([b"on its way"], [])


def test_a_daemon_that_was_left_out_is_not_given_what_the_others_say_in_the_old_view() -> None:
    group, (one, two, three) = together(1, ONE, TWO, THREE)
    one.unordered.append(encode(Expel(THREE)))
    group.order(one)
    one.unordered.append(encode(Part(last_view(one).view_id, 1, 0, 1, b"meanwhile")))
    one.formation.outbox.put(b"meanwhile")
    next(one.formation.outbox.parts(last_view(one).view_id))
    group.order(one)
    for _ in range(2):
        for member in (one, two, three):
            member.read(0)
    assert (heard(one), heard(two), heard(three)) == ([b"meanwhile"], [b"meanwhile"], [])


@pytest.mark.parametrize("seed", range(5))
def test_a_second_daemon_of_a_node_is_turned_away_by_name(seed: int) -> None:
    group, (one, two) = together(seed, ONE, TWO)
    second = group.start(TWO)
    group.settle()
    assert f"node id 2 is in use by {two.witness.name}" in second.refusal
    assert second.view() is None
    assert last_view(one).members == last_view(two).members == (1, 2)


@pytest.mark.parametrize("seed", range(5))
def test_a_daemon_started_while_its_predecessor_is_being_buried_takes_its_place(seed: int) -> None:
    group, (one, two) = together(seed, ONE, TWO)
    successor = group.start(TWO)
    group.end(two, DepartureReason.PROCESS_DOWN)
    group.settle()
    assert last_view(successor).members == last_view(one).members == (1, 2)
    assert TWO in last_view(one).joined
    assert broken_promises(m.witness for m in group.everyone if not m.refusal) == []


@pytest.mark.parametrize("seed", range(10))
def test_a_long_message_is_whole_although_its_parts_are_interrupted(seed: int) -> None:
    group, (one, two) = together(seed, ONE, TWO)
    payload = bytes(range(256)) * (7 * PART_BYTES // 256)
    one.send(payload)
    for _ in range(group.rng.randint(0, 30)):
        group.step()
    three = group.start(TWO)
    for _ in range(group.rng.randint(0, 30)):
        group.step()
    if three in group.members:
        group.end(three, DepartureReason.PROCESS_DOWN)
    group.settle()
    assert heard(one) == heard(two) == [payload]


@pytest.mark.parametrize("seed", range(150))
def test_whatever_happens_the_promises_hold_and_all_meet_again(seed: int) -> None:
    rng = Random(seed)
    group = ProcessGroup(rng, rng.randint(2, 5))
    machines = [NodeId(n) for n in range(1, len(group.parts) + 1)]
    for _ in range(rng.choice((5, 20, 60))):
        happen(group, rng, machines)
        for _ in range(rng.choice((0, 1, 5, 40))):
            group.step()
    for member in group.members:
        member.is_frozen = False
    group.divide([set(machines)])
    for _ in range(3 * BEATS_MISSED_MAX):
        group.settle()
        group.beat()
    group.settle()
    assert len({last_view(m).view_id for m in group.members}) <= 1
    assert all(
        last_view(m).members == tuple(sorted(o.seat.nodeid for o in group.members)) for m in group.members
    )
    for member in group.members:
        own = [m.payload for m in member.witness.messages() if m.sender == member.seat.nodeid]
        assert own == member.witness.sent
    assert broken_promises(m.witness for m in group.everyone) == []


def happen(group: ProcessGroup, rng: Random, machines: list[NodeId]) -> None:
    """Let one thing go wrong, or right again, or let somebody say something."""
    act = rng.choice(
        ("start", "start", "end", "divide", "say", "say", "say", "freeze", "thaw", "beat", "beat")
    )
    free = [n for n in machines if n not in {m.seat.nodeid for m in group.members}]
    if act == "start" and free:
        group.start(rng.choice(free))
    elif act == "end" and len(group.members) > 1:
        group.end(
            rng.choice(group.members), rng.choice((DepartureReason.LEAVE, DepartureReason.PROCESS_DOWN))
        )
    elif act == "divide":
        drawn: dict[int, set[NodeId]] = {}
        for node in machines:
            drawn.setdefault(rng.randint(1, 2), set()).add(node)
        group.divide(list(drawn.values()))
    elif act == "say" and group.members:
        member = rng.choice(group.members)
        for _ in range(rng.randint(1, 4)):
            member.sent += 1
            member.send(f"{member.witness.name}:{member.sent}".encode())
    elif act in ("freeze", "thaw") and group.members:
        rng.choice(group.members).is_frozen = act == "freeze"
    elif act == "beat":
        group.beat()
