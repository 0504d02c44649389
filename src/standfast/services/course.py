"""How a service's record changes: by decisions, by what nodes report, and by nodes that are gone.

Pure; the same on every node. Source: spec services, sections 3.3 and 3.4.
"""

from typing import assert_never

from msgspec.structs import replace

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
    Flag,
    Goal,
    Intent,
    ServiceRecord,
    ServiceState,
    held,
    released,
)
from standfast.terms import NodeId


def accept(record: ServiceRecord, proposal: ServiceProposal, wall_s: int) -> ServiceRecord | None:
    """Fold an accepted decision into the record it is about; None forgets the record, a stale one changes nothing."""
    if isinstance(proposal, Answer) or proposal.generation != record.generation:
        return record
    following = record.generation + 1
    match proposal:
        case Start():
            return replace(
                held(record, proposal.owner),
                state=ServiceState.STARTING,
                owner=proposal.owner,
                generation=following,
                intent=proposal.intent,
                because=proposal.because,
                transition_s=wall_s,
                restarts=record.restarts + 1 if proposal.count_restart else 0,
                failures_ms=proposal.failures_ms,
                parked=False,
                retry_at_ms=None,
                evaluate=False,
                running_definition=record.definition,
            )
        case Stop():
            recovering = proposal.intent.goal is Goal.RECOVER
            return replace(
                record,
                state=ServiceState.RECOVERABLE if recovering else ServiceState.STOPPING,
                owner=record.owner if proposal.owner is None else proposal.owner,
                generation=following,
                intent=proposal.intent,
                because=proposal.because,
                transition_s=wall_s,
            )
        case Settle():
            state = record.state if proposal.state is None else proposal.state
            rests = state not in RUNNING_STATES
            return replace(
                record,
                state=state,
                generation=following,
                intent=None,
                because=proposal.because,
                parked=proposal.parked,
                retry_at_ms=proposal.retry_at_ms,
                owner=None if rests else record.owner,
                last_owner=record.owner if rests and record.owner is not None else record.last_owner,
                transition_s=record.transition_s if state is record.state else wall_s,
            )
        case Freeze():
            flags = record.flags | Flag.FROZEN if proposal.frozen else record.flags & ~Flag.FROZEN
            return replace(record, flags=int(flags), because=proposal.because, evaluate=True)
        case Forget():
            return None
        case Evaluated():
            return replace(record, evaluate=False)
        case _:
            assert_never(proposal)


def report(record: ServiceRecord, fact: ServiceFact, sender: NodeId, wall_s: int) -> ServiceRecord:
    """Fold what a node reports; what was meant for an older generation, or comes from another node, changes nothing."""
    if fact.generation != record.generation:
        return record
    match fact:
        case Ran(start=True):
            if record.state is not ServiceState.STARTING or record.owner != sender:
                return record
            return _started(record) if fact.ok else _failing(record, f"start failed: {fact.text}", wall_s)
        case Ran():
            if record.state not in _STOPPING or record.owner != sender:
                return record
            return stopped(record, wall_s) if fact.ok else _stop_failed(record, fact.text, wall_s)
        case Failed():
            if record.state is not ServiceState.STARTED or record.owner != sender or record.frozen:
                return record
            return _failing(record, f"status check failed: {fact.text}", wall_s)
        case Gone():
            if record.state not in (ServiceState.STARTED, ServiceState.STARTING) or record.owner != sender:
                return record
            return owner_gone(record, sender, fact.text, wall_s)
        case Cleared():
            if record.owner == sender and record.state in RUNNING_STATES:
                return record
            return released(record, sender)
        case Stuck():
            return _stuck(record, sender, fact.text, wall_s)
        case _:
            assert_never(fact)


def stopped(record: ServiceRecord, wall_s: int) -> ServiceRecord:
    """The owner reported a full stop."""
    owner = record.owner
    assert owner is not None
    goal = Goal.STOP if record.intent is None else record.intent.goal
    following = {
        Goal.STOP: ServiceState.STOPPED,
        Goal.DISABLE: ServiceState.DISABLED,
        Goal.RECOVER: ServiceState.RECOVERING,
        Goal.START: ServiceState.RECOVERING,
    }.get(goal, ServiceState.STOPPED)
    return replace(
        released(record, owner),
        state=following,
        owner=None,
        last_owner=owner,
        generation=record.generation + 1,
        transition_s=wall_s,
        parked=goal is Goal.STOP,
    )


def owner_gone(record: ServiceRecord, nodeid: NodeId, reason: str, wall_s: int) -> ServiceRecord:
    """A node was fenced, was restarted, left, or reports that nothing runs there: the service runs there no more.

    An operation in progress that an operator waits for goes on; one of our own is decided anew.
    """
    record = released(record, nodeid)
    if record.owner != nodeid or record.state not in RUNNING_STATES:
        return record
    intent = record.intent
    goal = None if intent is None else intent.goal
    stops = record.state in _STOPPING
    state = ServiceState.DISABLED if stops and goal is Goal.DISABLE else ServiceState.STOPPED
    asked = intent is not None and intent.request is not None
    return replace(
        record,
        state=state,
        owner=None,
        last_owner=nodeid,
        generation=record.generation + 1,
        transition_s=wall_s,
        parked=stops and goal is Goal.STOP,
        intent=intent if asked else None,
        because=reason,
    )


def adopted(record: ServiceRecord, nodeid: NodeId) -> ServiceRecord:
    """A node reports that it runs the service: it keeps it where nobody else is known to own it, else it must stop it."""
    if record.owner == nodeid and record.state in RUNNING_STATES:
        return held(record, nodeid)
    free = record.owner is None and record.state is ServiceState.STOPPED and not record.parked
    if free and record.intent is None and not record.removed:
        return replace(
            held(record, nodeid),
            state=ServiceState.STARTED,
            owner=nodeid,
            generation=record.generation + 1,
            running_definition=record.definition,
            because="found running when the daemon joined",
        )
    return held(record, nodeid)


_STOPPING = frozenset({ServiceState.STOPPING, ServiceState.RECOVERABLE})


def _started(record: ServiceRecord) -> ServiceRecord:
    return replace(record, state=ServiceState.STARTED)


def _failing(record: ServiceRecord, text: str, wall_s: int) -> ServiceRecord:
    """A start or a status check failed: the owner stops what is left, then it is recovered."""
    owner = record.owner
    assert owner is not None
    starting = record.state is ServiceState.STARTING
    if record.intent is not None and starting:
        intent = replace(record.intent, tried=(*record.intent.tried, owner))
    else:
        # An intent that a started service still has is settled first by the recovery: its request was fulfilled.
        intent = Intent(
            goal=Goal.RECOVER,
            origin=owner,
            request=None if record.intent is None else record.intent.request,
        )
    return replace(
        record,
        state=ServiceState.RECOVERABLE,
        generation=record.generation + 1,
        intent=intent,
        transition_s=wall_s,
        because=text,
    )


def _stuck(record: ServiceRecord, nodeid: NodeId, text: str, wall_s: int) -> ServiceRecord:
    record = held(record, nodeid)
    if record.owner is not None or record.state not in (ServiceState.STOPPED, ServiceState.RECOVERING):
        return record
    return replace(
        record,
        state=ServiceState.FAILED,
        last_owner=nodeid,
        generation=record.generation + 1,
        transition_s=wall_s,
        because=f"a part of it could not be stopped: {text}",
    )


def _stop_failed(record: ServiceRecord, text: str, wall_s: int) -> ServiceRecord:
    """The owner could not stop it: failed; but one that was failed before and is to be disabled becomes disabled."""
    forced = record.intent is not None and record.intent.goal is Goal.DISABLE and record.intent.last_resort
    return replace(
        record,
        state=ServiceState.DISABLED if forced else ServiceState.FAILED,
        owner=None,
        last_owner=record.owner,
        generation=record.generation + 1,
        restarts=0,
        transition_s=wall_s,
        because=f"stop failed: {text}",
    )
