"""How records change, whatever is proposed or reported: the stale changes nothing, no node that may run it is forgotten."""

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.values import values_of

from standfast.services import course
from standfast.services.proposal import (
    Answer,
    Cleared,
    Evaluated,
    Failed,
    Forget,
    Freeze,
    Gone,
    Ran,
    ServiceFact,
    ServiceProposal,
    Settle,
    Start,
    Stop,
    Stuck,
)
from standfast.services.record import (
    RUNNING_STATES,
    Goal,
    Intent,
    ServiceRecord,
    ServiceState,
    held,
    released,
)
from standfast.terms import NodeId, ServiceName

WEB = ServiceName("service:web")
ME, OTHER = NodeId(1), NodeId(2)


def consistent(record: ServiceRecord) -> ServiceRecord:
    """A record as the course makes them: an owner in the running states only, and held by it."""
    if record.state not in RUNNING_STATES:
        return replace(record, owner=None)
    owned = replace(record, owner=record.owner or ME, may_run_on=tuple(sorted(set(record.may_run_on))))
    return held(owned, owned.owner or ME)


records = values_of(ServiceRecord).map(consistent)
facts = values_of(ServiceFact)
proposals = values_of(ServiceProposal)
nodeids = st.integers(0, 4).map(NodeId)


def generation_of(proposal: ServiceProposal) -> int | None:
    return None if isinstance(proposal, Answer) else proposal.generation


@given(records, facts, nodeids)
def test_report_for_another_generation_changes_nothing(
    record: ServiceRecord, fact: ServiceFact, sender: NodeId
) -> None:
    assume(fact.generation != record.generation)
    assert course.report(record, fact, sender, 1) is record


@given(records, proposals)
def test_proposal_for_another_generation_changes_nothing(
    record: ServiceRecord, proposal: ServiceProposal
) -> None:
    assume(generation_of(proposal) != record.generation)
    assert course.accept(record, proposal, 1) is record


@given(records, facts, nodeids)
def test_start_or_stop_or_failure_counts_from_the_owner_only(
    record: ServiceRecord, fact: ServiceFact, sender: NodeId
) -> None:
    assume(isinstance(fact, Ran | Failed | Gone) and record.owner != sender)
    assert course.report(record, fact, sender, 1) is record


@given(records, facts, nodeids)
def test_report_takes_no_other_node_than_its_sender_from_those_that_may_run_it(
    record: ServiceRecord, fact: ServiceFact, sender: NodeId
) -> None:
    after = course.report(record, fact, sender, 1)
    assert set(record.may_run_on) - set(after.may_run_on) <= {sender}


@given(records, proposals)
def test_decision_takes_nobody_from_those_that_may_run_it(
    record: ServiceRecord, proposal: ServiceProposal
) -> None:
    after = course.accept(record, proposal, 1)
    assert after is None or set(record.may_run_on) <= set(after.may_run_on)


@given(records, facts, nodeids)
def test_report_leaves_an_owner_in_the_running_states_only(
    record: ServiceRecord, fact: ServiceFact, sender: NodeId
) -> None:
    after = course.report(record, fact, sender, 1)
    assert (after.owner is not None) == (after.state in RUNNING_STATES)


@given(records, facts, nodeids)
def test_whatever_changes_the_state_or_the_owner_is_a_new_generation_unless_the_start_is_done(
    record: ServiceRecord, fact: ServiceFact, sender: NodeId
) -> None:
    after = course.report(record, fact, sender, 1)
    same = (after.state, after.owner) == (record.state, record.owner)
    started = (record.state, after.state) == (ServiceState.STARTING, ServiceState.STARTED)
    assert same or started or after.generation == record.generation + 1


@given(records, nodeids)
def test_nothing_runs_on_a_node_that_is_gone(record: ServiceRecord, nodeid: NodeId) -> None:
    after = course.owner_gone(record, nodeid, "fenced", 1)
    assert nodeid not in after.may_run_on
    assert after.owner != nodeid
    assert set(record.may_run_on) - {nodeid} == set(after.may_run_on)


@given(records, nodeids)
def test_node_that_was_found_running_it_is_held_and_takes_it_from_no_owner(
    record: ServiceRecord, nodeid: NodeId
) -> None:
    after = course.adopted(record, nodeid)
    assert nodeid in after.may_run_on
    assert record.owner is None or after.owner == record.owner


@given(records, nodeids)
def test_held_and_released_are_opposites(record: ServiceRecord, nodeid: NodeId) -> None:
    assert nodeid in held(record, nodeid).may_run_on
    assert nodeid not in released(record, nodeid).may_run_on
    assert held(held(record, nodeid), nodeid) == held(record, nodeid)
    assert released(released(record, nodeid), nodeid) == released(record, nodeid)


@given(records, facts, proposals)
def test_records_reports_and_proposals_are_saved_and_read_back_equal(
    record: ServiceRecord, fact: ServiceFact, proposal: ServiceProposal
) -> None:
    assert msgspec.json.decode(msgspec.json.encode(record), type=ServiceRecord) == record
    assert msgspec.json.decode(msgspec.json.encode(fact), type=ServiceFact) == fact
    assert msgspec.json.decode(msgspec.json.encode(proposal), type=ServiceProposal) == proposal


STARTED = ServiceRecord(name=WEB, state=ServiceState.STARTED, owner=ME, may_run_on=(ME,), generation=7)
IGNORED: list[tuple[ServiceRecord, ServiceFact, NodeId]] = [
    (STARTED, Ran(service=WEB, generation=7, start=True, ok=True), ME),
    (STARTED, Ran(service=WEB, generation=7, start=False, ok=True), ME),
    (replace(STARTED, flags=1), Failed(service=WEB, generation=7), ME),
    (replace(STARTED, state=ServiceState.STARTING), Failed(service=WEB, generation=7), ME),
    (replace(STARTED, state=ServiceState.STOPPING), Gone(service=WEB, generation=7), ME),
    (STARTED, Cleared(service=WEB, generation=7), ME),
    (STARTED, Gone(service=WEB, generation=6), ME),
    (STARTED, Gone(service=WEB, generation=7), OTHER),
]


@pytest.mark.parametrize(("record", "fact", "sender"), IGNORED, ids=lambda v: type(v).__name__)
def test_report_that_does_not_fit_the_state_is_ignored(
    record: ServiceRecord, fact: ServiceFact, sender: NodeId
) -> None:
    assert course.report(record, fact, sender, 1) == record


@pytest.mark.parametrize(
    "proposal",
    [
        Start(service=WEB, generation=6, owner=OTHER, intent=Intent(goal=Goal.START), because=""),
        Stop(service=WEB, generation=8, intent=Intent(goal=Goal.STOP), because=""),
        Settle(service=WEB, generation=0, because=""),
        Freeze(service=WEB, generation=6, frozen=True, request="r1", because=""),
        Forget(service=WEB, generation=6, because=""),
        Evaluated(service=WEB, generation=6, because=""),
    ],
    ids=lambda proposal: type(proposal).__name__,
)
def test_proposal_of_a_dead_coordinator_is_dropped(proposal: ServiceProposal) -> None:
    assert course.accept(STARTED, proposal, 1) is STARTED


def test_stop_whose_purpose_is_not_known_leaves_it_stopped_and_parked() -> None:
    stopping = replace(STARTED, state=ServiceState.STOPPING)
    after = course.report(stopping, Ran(service=WEB, generation=7, start=False, ok=True), ME, 5)
    assert (after.state, after.owner, after.last_owner, after.parked) == (
        ServiceState.STOPPED,
        None,
        ME,
        True,
    )


@pytest.mark.parametrize(
    "record",
    [
        ServiceRecord(name=WEB, parked=True),
        ServiceRecord(name=WEB, removed=True),
        ServiceRecord(name=WEB, intent=Intent(goal=Goal.RELOCATE)),
        ServiceRecord(name=WEB, state=ServiceState.DISABLED),
        ServiceRecord(name=WEB, state=ServiceState.FAILED),
        ServiceRecord(name=WEB, state=ServiceState.RECOVERING),
    ],
    ids=["parked", "removed", "under way", "disabled", "failed", "recovering"],
)
def test_service_that_is_not_to_run_is_not_adopted(record: ServiceRecord) -> None:
    assert course.adopted(record, ME) == replace(record, may_run_on=(ME,))


def test_stopped_service_that_is_found_running_is_kept() -> None:
    after = course.adopted(ServiceRecord(name=WEB, definition=4, running_definition=2), ME)
    assert (after.state, after.owner, after.running_definition) == (ServiceState.STARTED, ME, 4)


def test_stuck_part_makes_a_service_failed_unless_it_has_an_owner() -> None:
    stuck = Stuck(service=WEB, generation=7, text="hangs")
    assert course.report(STARTED, stuck, OTHER, 1) == held(STARTED, OTHER)
    stopped = ServiceRecord(name=WEB, generation=7)
    after = course.report(stopped, stuck, OTHER, 1)
    assert (after.state, after.may_run_on, after.because) == (
        ServiceState.FAILED,
        (OTHER,),
        "a part of it could not be stopped: hangs",
    )


TIMES = [
    (Start(service=WEB, generation=7, owner=OTHER, intent=Intent(goal=Goal.START), because=""), 99),
    (Stop(service=WEB, generation=7, intent=Intent(goal=Goal.STOP), because=""), 99),
    (Settle(service=WEB, generation=7, state=ServiceState.DISABLED, because=""), 99),
    (Settle(service=WEB, generation=7, because=""), 0),
    (Freeze(service=WEB, generation=7, frozen=True, request="r1", because=""), 0),
    (Evaluated(service=WEB, generation=7, because=""), 0),
]


@pytest.mark.parametrize(("proposal", "transition_s"), TIMES, ids=lambda v: type(v).__name__)
def test_time_of_the_last_transition_is_that_of_the_last_start_or_stop(
    proposal: ServiceProposal, transition_s: int
) -> None:
    """Spec services, section 3.4."""
    after = course.accept(STARTED, proposal, 99)
    assert after is not None
    assert after.transition_s == transition_s
