"""What is true of the fence domain whatever happens: random lives of a domain, and a brute-force look at each."""

from collections.abc import Callable, Iterator

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from standfast.conf.model import ClusterNode, FenceMethod, FenceStep
from standfast.fencing import domain as fencing
from standfast.fencing.domain import AttemptId, BeginFencing, CancelAttempt, FenceDomain, StartAttempt
from standfast.terms import BootId, Incarnation, NodeId

DEVICES = {1: ("a",), 2: ("a",), 3: ("a", "b"), 4: ("b",), 5: ()}
NODES = tuple(
    ClusterNode(
        name=f"node{n}",
        nodeid=NodeId(n),
        methods=tuple(
            FenceMethod(name=f"by {d}", steps=(FenceStep(device=d, agent="fence_x", arguments=()),))
            for d in devices
        ),
    )
    for n, devices in DEVICES.items()
)

nodeids = st.integers(1, 5).map(NodeId)
delays = st.sampled_from((None, 0, 0, 2))
Event = Callable[[FenceDomain, int], FenceDomain]


def decided(domain: FenceDomain, now_ms: int, by: NodeId) -> FenceDomain:
    proposals = fencing.decide(domain, NODES, by, now_ms)
    domain = fencing.stamp(domain, now_ms)
    for proposal in proposals:
        domain = fencing.begin_attempt(domain, proposal, now_ms)
    return domain


def ended(domain: FenceDomain, nodeid: NodeId, now_ms: int, *, fenced: bool) -> FenceDomain:
    victim = domain.victim(nodeid)
    if victim is None or victim.attempt is None:
        return domain
    attempt = victim.attempt
    key = (nodeid, victim.generation, attempt.number)
    return fencing.end_attempt(domain, key, by=attempt.by, fenced=fenced, text="", now_ms=now_ms)


def lost(nodeid: NodeId, delay_s: int | None) -> Event:
    return lambda domain, now_ms: fencing.add_victim(
        domain,
        nodeid,
        reason="it is lost",
        now_ms=now_ms,
        hold_until_ms=fencing.hold_until_ms(delay_s, now_ms),
        incarnation=Incarnation("life"),
        boot_id=BootId("boot"),
    )


def spared(nodeid: NodeId, ms: int, evicted: bool) -> Event:
    return lambda domain, now_ms: fencing.spare_victim(domain, nodeid, until_ms=now_ms + ms, evicted=evicted)


def back(nodeid: NodeId) -> Event:
    return lambda domain, now_ms: fencing.remove_victim(domain, nodeid, how="member", now_ms=now_ms)


def ends(nodeid: NodeId, fenced: bool) -> Event:
    return lambda domain, now_ms: ended(domain, nodeid, now_ms, fenced=fenced)


def gone(nodeid: NodeId) -> Event:
    return lambda domain, _: fencing.forget_attempts_by(domain, nodeid)


def decides(by: NodeId) -> Event:
    return lambda domain, now_ms: decided(domain, now_ms, by)


events: st.SearchStrategy[Event] = st.one_of(
    st.builds(lost, nodeids, delays),
    st.builds(spared, nodeids, st.sampled_from((0, 3_000)), st.booleans()),
    st.builds(back, nodeids),
    st.builds(ends, nodeids, st.booleans()),
    st.builds(gone, nodeids),
    st.builds(decides, nodeids),
)
lives = st.lists(st.tuples(st.sampled_from((0, 500, 3_000)), events), max_size=30)


def states(life: list[tuple[int, Event]]) -> Iterator[tuple[FenceDomain, int]]:
    domain, now_ms = FenceDomain(), 0
    yield domain, now_ms
    for passed_ms, event in life:
        now_ms += passed_ms
        domain = event(domain, now_ms)
        yield domain, now_ms


domains = lives.map(lambda life: tuple(states(life))[-1][0])


def busy_devices(domain: FenceDomain) -> list[str]:
    return [d for v in domain.victims if v.attempt is not None for d in DEVICES[v.nodeid]]


def wanted_by(domain: FenceDomain, me: NodeId) -> frozenset[AttemptId]:
    return frozenset(
        (v.nodeid, v.generation, v.attempt.number)
        for v in domain.victims
        if v.attempt is not None and v.attempt.by == me
    )


def begun(domain: FenceDomain, me: NodeId, running: frozenset[AttemptId]) -> frozenset[AttemptId]:
    """What runs after the tasks were carried out."""
    tasks = fencing.reconcile(domain, me, running)
    started = {(t.nodeid, t.generation, t.number) for t in tasks if isinstance(t, StartAttempt)}
    cancelled = {(t.nodeid, t.generation, t.number) for t in tasks if isinstance(t, CancelAttempt)}
    return (running - cancelled) | started


@given(lives)
def test_no_device_is_ever_used_by_two_attempts_at_once(life: list[tuple[int, Event]]) -> None:
    used = [busy_devices(domain) for domain, _ in states(life)]
    assert used == [sorted(set(devices), key=devices.index) for devices in used]


@given(lives)
def test_victims_are_listed_once_by_node_id_and_no_generation_comes_twice(
    life: list[tuple[int, Event]],
) -> None:
    seen = [domain.victims for domain, _ in states(life)]
    assert all([v.nodeid for v in victims] == sorted({v.nodeid for v in victims}) for victims in seen)
    known = {(v.generation, v.nodeid) for victims in seen for v in victims}
    assert len({generation for generation, _ in known}) == len(known)


@given(lives, nodeids)
def test_nobody_is_fenced_while_held_or_while_a_pause_waits(
    life: list[tuple[int, Event]], by: NodeId
) -> None:
    looks = [(domain, now, fencing.decide(domain, NODES, by, now)) for domain, now in states(life)]
    chosen = [(domain.victim(p.nodeid), now) for domain, now, proposals in looks for p in proposals]
    assert all(
        v is not None and v.attempt is None and not v.pause_ms and v.hold_until_ms is not None
        for v, _ in chosen
    )
    assert all(v is not None and (v.hold_until_ms or 0) <= now for v, now in chosen)


@given(domains, nodeids, st.integers(0, 10**6))
def test_deciding_again_after_folding_has_nothing_new(domain: FenceDomain, by: NodeId, now_ms: int) -> None:
    once = decided(domain, now_ms, by)
    assert fencing.decide(replace(once, generations=0), NODES, by, now_ms) == ()


@given(domains, nodeids, nodeids, st.integers(0, 9), st.integers(0, 9))
def test_proposal_of_another_generation_or_number_changes_nothing(
    domain: FenceDomain, nodeid: NodeId, by: NodeId, generation: int, number: int
) -> None:
    victim = domain.victim(nodeid)
    right = (victim.generation, victim.attempts + 1) if victim is not None else (0, 0)
    stale = BeginFencing(nodeid=nodeid, generation=generation, number=number, by=by, because="")
    changed = fencing.begin_attempt(domain, stale, 10**7)
    assert changed == domain or (generation, number) == right


attempt_ids: st.SearchStrategy[AttemptId] = st.tuples(nodeids, st.integers(0, 9), st.integers(0, 9))


@given(domains, attempt_ids, nodeids, st.booleans())
def test_result_of_an_attempt_that_is_not_under_way_changes_nothing(
    domain: FenceDomain, attempt: AttemptId, by: NodeId, fenced: bool
) -> None:
    changed = fencing.end_attempt(domain, attempt, by=by, fenced=fenced, text="", now_ms=0)
    assert changed == domain or attempt in wanted_by(domain, by)


@given(domains, nodeids, domains, st.data())
def test_reconcile_reaches_what_the_state_wants_in_one_step_and_then_rests(
    domain: FenceDomain, me: NodeId, earlier: FenceDomain, data: st.DataObject
) -> None:
    running = frozenset(
        data.draw(st.sets(st.sampled_from(sorted(wanted_by(earlier, me)) or [(NodeId(9), 9, 9)])))
    )
    assert fencing.reconcile(domain, me, running) == fencing.reconcile(domain, me, running)
    after = begun(domain, me, running)
    assert after == wanted_by(domain, me)
    assert fencing.reconcile(domain, me, after) == ()


@given(lives)
def test_history_is_bounded_and_the_deadline_is_the_earliest_hold(life: list[tuple[int, Event]]) -> None:
    domain = tuple(states(life))[-1][0]
    waiting = [v.hold_until_ms for v in domain.victims if v.attempt is None and v.hold_until_ms is not None]
    assert fencing.next_deadline_ms(domain) == (min(waiting) if waiting else None)
    assert len(domain.history) <= fencing.HISTORY_MAX


@given(domains)
def test_domain_is_saved_and_read_back_equal(domain: FenceDomain) -> None:
    assert msgspec.json.decode(msgspec.json.encode(domain), type=FenceDomain) == domain


@given(domains, st.integers(0, 10**6))
def test_stamp_begins_every_pause_and_nothing_else(domain: FenceDomain, now_ms: int) -> None:
    stamped = fencing.stamp(domain, now_ms)
    assert not fencing.needs_stamp(stamped)
    assert fencing.stamp(stamped, now_ms + 1) == stamped
    untouched = [v for v in domain.victims if not v.pause_ms]
    assert [v for v in stamped.victims if v in untouched] == untouched


def test_pause_of_a_victim_that_is_spared_for_ever_stays_without_effect() -> None:
    domain = lost(NodeId(1), None)(FenceDomain(), 0)
    begin = BeginFencing(nodeid=NodeId(1), generation=1, number=1, by=NodeId(2), because="")
    failed = ended(fencing.begin_attempt(domain, begin, 0), NodeId(1), 0, fenced=False)
    victim = fencing.stamp(failed, 5_000).victim(NodeId(1))
    assert victim is not None
    assert (victim.hold_until_ms, victim.pause_ms) == (None, 0)
