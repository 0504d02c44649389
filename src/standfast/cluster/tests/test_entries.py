"""Entries cross the engine unchanged; whatever a node reports, the state stays sound; fingerprints tell what differs."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.values import values_of

from standfast.cluster import apply as folding
from standfast.cluster import decide as policy
from standfast.cluster.entry import (
    BeginEpoch,
    Decision,
    Entry,
    Fact,
    Inventory,
    Observation,
    Request,
    decode,
    encode,
)
from standfast.cluster.state import ClusterState, Rollout, digest, is_kept, part_digests
from standfast.cluster.tests.test_late_entries import state_after
from standfast.fencing.domain import RETRY_MS
from standfast.services.proposal import ServiceRequest
from standfast.terms import Incarnation, NodeId, ServiceName

COUNTS = ("index", "epoch", "now_ms")
START = state_after("ask -r web by=1 on=3", "fencing by hand", "dies 2")
NODES = tuple(NodeId(n) for n in (1, 2, 3, 4))
services = st.sampled_from((ServiceName("web"), ServiceName("ftp")))
lives = st.sampled_from(tuple(Incarnation(f"life-{n}-1") for n in NODES))


@given(values_of(Entry))
def test_entry_is_read_back_equal(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"type":"Hello"}', b"\xff", b'{"type":"Jump"}'])
def test_what_no_version_of_ours_wrote_is_not_read(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(payload)


def facts() -> st.SearchStrategy[Fact]:
    """Any fact, most of them about what there is."""

    def about(fact: Fact, name: ServiceName, generation: int) -> Fact:
        fields = {"service": name, "generation": generation, "victim": NodeId(2)}
        known = {k: v for k, v in fields.items() if k in type(fact).__struct_fields__}
        return replace(fact, **known)

    return st.builds(about, values_of(Fact), services, st.integers(0, 8))


reports = st.one_of(
    st.builds(lambda life, fact: Observation(incarnation=life, fact=fact), lives, facts()),
    st.builds(
        lambda life, running, broken: Inventory(incarnation=life, running=running, broken=broken),
        lives,
        st.sampled_from(((), ("web",))),
        st.sampled_from(((), ("web",))),
    ),
    values_of(ServiceRequest).map(
        lambda ask: Request(view_id=1, request=replace(ask, service=ServiceName("web")))
    ),
)


def folded(state: ClusterState, sender: NodeId, entry: Observation | Inventory | Request) -> ClusterState:
    match entry:
        case Observation():
            return folding.apply_observation(state, entry, sender)
        case Inventory():
            return folding.apply_inventory(state, entry, sender)
        case Request():
            return folding.apply_request(state, entry)


def decided(state: ClusterState, ms: int) -> ClusterState:
    """The state after node 1 has decided what it wants to, that much later."""
    outlook = policy.Outlook(
        view_id=state.begun_view, members=NODES, hosts=NODES, synced=(NodeId(1), NodeId(3)), hellos=()
    )
    now_ms = state.now_ms + ms
    proposals = policy.decide(state, outlook, NodeId(1), now_ms)
    decision = Decision(view_id=state.begun_view, now_ms=now_ms, wall_s=0, proposals=proposals)
    return folding.apply_decision(state, decision, NodeId(1)) if proposals else state


def at_rest(state: ClusterState) -> ClusterState:
    """The state after the coordinator has said all that it has to say at this moment."""
    for _ in range(30):
        state = decided(state, 0)
    return state


steps = st.lists(
    st.tuples(st.sampled_from(NODES), reports, st.sampled_from((None, 0, RETRY_MS))), max_size=20
)


def lived(life: list[tuple[NodeId, Observation | Inventory | Request, int | None]]) -> list[ClusterState]:
    """All states that come of reports, true or not, and of what the coordinator decides meanwhile."""
    states = [START]
    for sender, entry, ms in life:
        states.append(folded(states[-1], sender, entry))
        if ms is not None:
            states.append(decided(states[-1], ms))
    return states


@settings(max_examples=150)
@given(steps)
def test_whatever_nodes_report_no_counter_of_the_state_goes_back(
    life: list[tuple[NodeId, Observation | Inventory | Request, int | None]],
) -> None:
    states = lived(life)
    counts = [tuple(getattr(s, name) for name in COUNTS) for s in states]
    assert counts == sorted(counts)
    generations = [s.services[0].generation for s in states]
    assert generations == sorted(generations)


@settings(max_examples=150)
@given(steps)
def test_whatever_nodes_report_the_owner_is_among_those_where_the_service_may_run(
    life: list[tuple[NodeId, Observation | Inventory | Request, int | None]],
) -> None:
    records = [r for s in lived(life) for r in s.services]
    assert [r for r in records if r.owner is not None and r.owner not in r.may_run_on] == []


@settings(max_examples=100)
@given(steps)
def test_whatever_nodes_report_each_request_is_pending_or_answered_and_never_both(
    life: list[tuple[NodeId, Observation | Inventory | Request, int | None]],
) -> None:
    last = lived(life)[-1]
    pending, answered = [r.id for r in last.requests], [o.request for o in last.outcomes]
    both = [*pending, *answered]
    assert len(both) == len(set(both))


@settings(max_examples=100)
@given(steps)
def test_coordinator_that_has_just_decided_has_nothing_new_to_say_in_the_end(
    life: list[tuple[NodeId, Observation | Inventory | Request, int | None]],
) -> None:
    state = at_rest(lived(life)[-1])
    assert decided(state, 0) is state


def test_equal_states_have_equal_fingerprints_and_a_part_that_differs_is_told() -> None:
    other = replace(START, epoch=START.epoch + 1)
    assert digest(START) == digest(replace(START))
    assert digest(START) != digest(other)
    names = ClusterState.__struct_fields__
    pairs = zip(names, part_digests(START), part_digests(other), strict=True)
    assert [name for name, one, two in pairs if one != two] == ["epoch"]


def test_second_begin_of_the_same_view_changes_nothing() -> None:
    begin = BeginEpoch(synced=(NodeId(1),), hosts=(), because="")
    decision = Decision(
        view_id=START.begun_view, now_ms=START.now_ms, wall_s=START.wall_s, proposals=(begin,)
    )
    assert folding.apply_decision(START, decision, NodeId(1)) == replace(START, index=START.index + 1)


def test_epoch_is_kept_when_a_majority_of_the_votes_has_it_on_its_disks() -> None:
    assert is_kept(replace(START, kept=(NodeId(1), NodeId(3))))
    assert not is_kept(replace(START, kept=(NodeId(3),)))


@pytest.mark.parametrize(("written", "ends"), [((1,), 0), ((1, 3), 1)])
def test_update_that_a_minority_has_on_its_disks_is_not_acknowledged(
    written: tuple[NodeId, ...], ends: int
) -> None:
    rollout = Rollout(version=1, old_version=0, request="u1", asked_by=NodeId(1), waiting=(), written=written)
    state = at_rest(replace(START, rollout=rollout))
    assert len([o for o in state.outcomes if o.request == "u1"]) == ends
    assert (state.rollout is None) is bool(ends)
