"""What an operator's request does to a service, state by state.

Pure. Source: spec services, sections 5 and 6.10.
"""

from collections.abc import Collection
from typing import assert_never

from standfast.conf.model import Service
from standfast.services.placement import (
    Neighbourhood,
    Score,
    candidates,
    dependency_met,
    exclusive_conflict,
    obstacle,
    score,
)
from standfast.services.proposal import Answer, Freeze, ServiceProposal, ServiceRequest, Settle, Start, Stop
from standfast.services.record import Goal, Intent, ServiceRecord, ServiceState
from standfast.terms import NodeId
from standfast.wire.control import Code, Operation

_REST = (Operation.STOP, Operation.DISABLE)
_FREEZING = (Operation.FREEZE, Operation.UNFREEZE)
_ENDING = (Goal.STOP, Goal.DISABLE, Goal.REMOVE)
_GOING_DOWN = (ServiceState.STOPPING, ServiceState.RECOVERABLE, ServiceState.RECOVERING)


def answer_unknown(
    requests: tuple[ServiceRequest, ...], records: tuple[ServiceRecord, ...]
) -> tuple[Answer, ...]:
    """Answer the requests for services that do not exist."""
    known = {record.name for record in records}
    return tuple(
        Answer(
            request=r.id,
            code=Code.NO_SERVICE,
            because="no such service",
            text=f'no service "{r.service}" is configured',
        )
        for r in requests
        if r.service not in known
    )


def preempt(
    record: ServiceRecord, request: ServiceRequest, victims: Collection[NodeId], online: Collection[NodeId]
) -> ServiceProposal | None:
    """What a request may do at once although something is under way, or although the owner cannot be asked."""
    own = record.intent.request if record.intent is not None else None
    rest = request.operation in _REST
    if rest and record.state is ServiceState.STARTING and record.owner in online:
        return Stop(
            service=record.name,
            generation=record.generation,
            intent=Intent(goal=_goal(request.operation), request=request.id, origin=record.owner),
            because=f"an operator asked to {request.operation.value} it",
            superseded=own,
        )
    if record.owner is not None and record.owner in victims:
        if rest:
            return _lay_to_rest(record, request, own, " while its owner was lost")
        return _answer(request, Code.FENCING, "its owner is not fenced yet")
    if request.operation in _FREEZING and record.state in _GOING_DOWN:
        return _answer(request, Code.AGAIN, f"it is {record.state.value}")
    goes_on = record.intent is not None and record.intent.goal not in _ENDING
    if goes_on and record.state in (ServiceState.STOPPED, ServiceState.RECOVERING):
        if rest:
            return _lay_to_rest(record, request, own, "")
        if record.may_run_on:
            return _answer(request, Code.AGAIN, "it waits for a node on which it may still run")
    return None


def take_request(
    record: ServiceRecord,
    service: Service | None,
    request: ServiceRequest,
    around: Neighbourhood,
    victims: Collection[NodeId],
) -> ServiceProposal:
    """Turn a request for a service that is at rest (or simply started) into the first step, or into an answer."""
    if service is None:
        return _answer(request, Code.NO_SERVICE, "it is no longer in the configuration")
    if request.operation in (Operation.FREEZE, Operation.UNFREEZE):
        return _freeze(record, request)
    if record.frozen:
        return _answer(request, Code.FROZEN, "")
    match request.operation:
        case Operation.ENABLE:
            return _enable(record, service, request, around, victims)
        case Operation.RELOCATE:
            return _relocate(record, service, request, around, victims)
        case Operation.RESTART:
            return _restart(record, service, request, around, victims)
        case Operation.STOP:
            return _stop(record, request)
        case Operation.DISABLE:
            return _disable(record, request, around)
        case _:
            assert_never(request.operation)


def _enable(
    record: ServiceRecord,
    service: Service,
    request: ServiceRequest,
    around: Neighbourhood,
    victims: Collection[NodeId],
) -> ServiceProposal:
    if record.state is ServiceState.STARTED:
        return _answer(request, Code.RUNNING, "", record.owner)
    if record.state is ServiceState.FAILED:
        code = Code.FAIL if request.by_domain else Code.ABORT
        return _answer(request, code, f"it failed ({record.because}); disable it first")
    if (busy := _blocked(record, request, victims)) is not None:
        return busy
    target = request.target
    if target is not None:
        if target not in around.online:
            return _answer(request, Code.NODE_DEAD, "the target is not online")
        if score(service, record, target, around) < Score.GOOD:
            return _answer(request, Code.FAIL, f'the target is not in failover domain "{service.domain}"')
    elif not request.by_domain:
        target = request.asked_by
    return _start(
        record, service, request, around, Intent(goal=Goal.START, request=request.id, target=target)
    )


def _relocate(
    record: ServiceRecord,
    service: Service,
    request: ServiceRequest,
    around: Neighbourhood,
    victims: Collection[NodeId],
) -> ServiceProposal:
    if record.state is ServiceState.DISABLED:
        return _answer(request, Code.INVALID, "it is disabled; enable it")
    if record.state is ServiceState.FAILED:
        return _answer(request, Code.ABORT, f"it failed ({record.because}); disable it first")
    target = request.target if request.target in around.online else None
    if target is not None and target != record.owner and exclusive_conflict(service, target, around):
        return _answer(request, Code.DEPEND, "an exclusive service excludes it there")
    if record.state is not ServiceState.STARTED:
        if (busy := _blocked(record, request, victims)) is not None:
            return busy
        intent = Intent(goal=Goal.RELOCATE, request=request.id, target=target, origin=request.asked_by)
        return _start(record, service, request, around, intent)
    if target == record.owner:
        return _restart(record, service, request, around, victims)
    if not candidates(service, record, around, excluding=(record.owner,) if record.owner is not None else ()):
        # Differs from rgmanager: nothing is stopped when no other node could take it; the answer is the same.
        return _answer(request, Code.RELOCATE_FAILED, "no other node can run it", record.owner)
    return Stop(
        service=record.name,
        generation=record.generation,
        intent=Intent(goal=Goal.RELOCATE, request=request.id, target=target, origin=record.owner),
        because="an operator asked to relocate it",
    )


def _restart(
    record: ServiceRecord,
    service: Service,
    request: ServiceRequest,
    around: Neighbourhood,
    victims: Collection[NodeId],
) -> ServiceProposal:
    if record.state is ServiceState.DISABLED:
        return _answer(request, Code.INVALID, "it is disabled; enable it")
    if record.state is ServiceState.FAILED:
        return _answer(request, Code.FAIL, f"it failed ({record.because}); disable it first")
    if record.state is ServiceState.STARTED:
        return Stop(
            service=record.name,
            generation=record.generation,
            intent=Intent(goal=Goal.RESTART, request=request.id, target=record.owner, origin=record.owner),
            because="an operator asked to restart it",
        )
    if (busy := _blocked(record, request, victims)) is not None:
        return busy
    intent = Intent(goal=Goal.START, request=request.id, target=request.asked_by)
    return _start(record, service, request, around, intent)


def _stop(record: ServiceRecord, request: ServiceRequest) -> ServiceProposal:
    if record.state is ServiceState.FAILED:
        return _answer(request, Code.FAIL, f"it failed ({record.because}); disable it")
    if record.state is ServiceState.STARTED:
        return Stop(
            service=record.name,
            generation=record.generation,
            intent=Intent(goal=Goal.STOP, request=request.id, origin=record.owner),
            because="an operator asked to stop it",
        )
    return Settle(
        service=record.name,
        generation=record.generation,
        parked=record.state is ServiceState.STOPPED,
        request=request.id,
        because="an operator asked to stop it",
    )


def _disable(record: ServiceRecord, request: ServiceRequest, around: Neighbourhood) -> ServiceProposal:
    because = "an operator asked to disable it"
    if record.state is ServiceState.STARTED:
        return Stop(
            service=record.name,
            generation=record.generation,
            intent=Intent(goal=Goal.DISABLE, request=request.id, origin=record.owner),
            because=because,
        )
    where = next((n for n in record.may_run_on if n in around.online), None)
    if record.state is ServiceState.FAILED and where is not None:
        # Differs from rgmanager: its stop runs on the node where it failed, not where the command is given.
        return Stop(
            service=record.name,
            generation=record.generation,
            intent=Intent(goal=Goal.DISABLE, request=request.id, origin=where, last_resort=True),
            because=because,
            owner=where,
        )
    uncertain = record.state is ServiceState.FAILED and bool(record.may_run_on)
    return Settle(
        service=record.name,
        generation=record.generation,
        state=ServiceState.DISABLED,
        request=request.id,
        code=Code.WARNING if uncertain else Code.SUCCESS,
        text="it may still run on a node that is not there; it starts nowhere before that is fenced"
        if uncertain
        else "",
        because=because,
    )


def _freeze(record: ServiceRecord, request: ServiceRequest) -> ServiceProposal:
    if record.state not in (ServiceState.STOPPED, ServiceState.STARTED, ServiceState.DISABLED):
        return _answer(request, Code.AGAIN, f"it is {record.state.value}")
    frozen = request.operation is Operation.FREEZE
    return Freeze(
        service=record.name,
        generation=record.generation,
        frozen=frozen,
        request=request.id,
        because=f"an operator asked to {request.operation.value} it",
    )


def _lay_to_rest(record: ServiceRecord, request: ServiceRequest, own: str | None, when: str) -> Settle:
    """Stopped or disabled at once: nothing of it runs on a node that could still be asked to stop it."""
    disable = request.operation is Operation.DISABLE
    return Settle(
        service=record.name,
        generation=record.generation,
        state=ServiceState.DISABLED if disable else ServiceState.STOPPED,
        parked=not disable,
        request=request.id,
        because=f"an operator asked to {request.operation.value} it{when}",
        superseded=own,
    )


def _blocked(record: ServiceRecord, request: ServiceRequest, victims: Collection[NodeId]) -> Answer | None:
    """The answer for a service that may still run somewhere, None where nothing is in the way."""
    if not record.may_run_on:
        return None
    if any(nodeid in victims for nodeid in record.may_run_on):
        return _answer(request, Code.FENCING, "it may still run on a node that is not fenced yet")
    return _answer(request, Code.AGAIN, "a node on which it may still run has not reported yet")


def _start(
    record: ServiceRecord, service: Service, request: ServiceRequest, around: Neighbourhood, intent: Intent
) -> ServiceProposal:
    if not dependency_met(service, around):
        return _answer(request, Code.DEPEND, f"{service.depend} is not started")
    usable = candidates(service, record, around)
    others = tuple(n for n in usable if n != intent.origin)
    chosen = intent.target if intent.target in usable else next(iter(others or usable), None)
    if chosen is None:
        return _answer(request, Code.FAIL, obstacle(service, record, around))
    return Start(
        service=record.name,
        generation=record.generation,
        owner=chosen,
        intent=intent,
        because=f"an operator asked to {request.operation.value} it",
    )


def _goal(operation: Operation) -> Goal:
    return Goal.DISABLE if operation is Operation.DISABLE else Goal.STOP


def _answer(request: ServiceRequest, code: Code, text: str, owner: NodeId | None = None) -> Answer:
    return Answer(
        request=request.id, code=code, because=text or request.operation.value, owner=owner, text=text
    )
