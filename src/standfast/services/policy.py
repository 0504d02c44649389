"""What becomes of each service: where it starts, when it moves, what an operator's request leads to.

Pure; only the coordinator asks it. Source: spec services, sections 2.3, 5, 6, 7 and 8.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from standfast.conf.model import Recovery, Service
from standfast.services.placement import (
    Neighbourhood,
    Score,
    candidates,
    dependency_met,
    obstacle,
    score,
)
from standfast.services.proposal import (
    Evaluated,
    Forget,
    ServiceProposal,
    ServiceRequest,
    Settle,
    Start,
    Stop,
)
from standfast.services.record import Goal, Intent, ServiceRecord, ServiceState
from standfast.services.requests import answer_unknown, preempt, take_request
from standfast.terms import NodeId
from standfast.wire.control import Code

RETRY_START_MS = (
    60_000  # a service that could be started nowhere is tried again after this, or at a membership event
)


class Situation(Struct, frozen=True, kw_only=True):
    """What policy looks at besides the record: everything else that the cluster knows, at one moment of cluster time."""

    around: Neighbourhood
    requests: tuple[ServiceRequest, ...]
    victims: frozenset[NodeId]
    leaving: frozenset[NodeId]
    now_ms: int


def decide(situation: Situation) -> tuple[ServiceProposal, ...]:
    """Propose the next step for each service, in the order of their names, and answer requests for unknown services."""
    proposals: list[ServiceProposal] = []
    records = situation.around.records
    for record in records:
        service = situation.around.services.get(record.name)
        head = _next_request(record, situation.requests)
        proposal = _decide_one(record, service, head, situation)
        if proposal is not None:
            proposals.append(proposal)
            if isinstance(proposal, Start):
                situation = _with_start(situation, proposal)
    proposals.extend(answer_unknown(situation.requests, records))
    return tuple(proposals)


def next_deadline_ms(records: tuple[ServiceRecord, ...]) -> int | None:
    """Return the cluster time at which a service that could not be started is tried again, None if there is none."""
    return min((r.retry_at_ms for r in records if r.retry_at_ms is not None), default=None)


def _next_request(record: ServiceRecord, requests: tuple[ServiceRequest, ...]) -> ServiceRequest | None:
    """The first request for the service, but for the one that is being carried out."""
    own = None if record.intent is None else record.intent.request
    return next((r for r in requests if r.service == record.name and r.id != own), None)


def _decide_one(
    record: ServiceRecord, service: Service | None, head: ServiceRequest | None, situation: Situation
) -> ServiceProposal | None:
    if head is not None and (preempting := preempt(record, head, situation.victims, situation.around.online)):
        return preempting
    match record.state:
        case ServiceState.STARTING | ServiceState.STOPPING | ServiceState.RECOVERABLE:
            return None
        case ServiceState.STARTED:
            return _decide_started(record, service, head, situation)
        case ServiceState.STOPPED | ServiceState.RECOVERING:
            return _decide_stopped(record, service, head, situation)
        case ServiceState.DISABLED | ServiceState.FAILED:
            return _decide_resting(record, service, head, situation)
        case _:
            assert_never(record.state)


def _decide_started(
    record: ServiceRecord, service: Service | None, head: ServiceRequest | None, situation: Situation
) -> ServiceProposal | None:
    owner = record.owner
    assert owner is not None
    if record.intent is not None:
        went_back = record.intent.goal is Goal.RELOCATE and record.intent.last_resort
        return Settle(
            service=record.name,
            generation=record.generation,
            request=record.intent.request,
            code=Code.RELOCATE_FAILED if went_back else Code.SUCCESS,
            because=record.because,
        )
    if owner not in situation.around.online:
        return (
            None  # its daemon is away, or it waits for fencing; preempt() has answered what can be answered
        )
    if head is not None:
        return take_request(record, service, head, situation.around, situation.victims)
    if record.frozen and owner not in situation.leaving:
        return None
    stop = _reason_to_stop(record, service, owner, situation)
    if stop is not None:
        intent, because = stop
        return Stop(service=record.name, generation=record.generation, intent=intent, because=because)
    if record.evaluate and service is not None:
        better = _better_node(record, service, owner, situation)
        if better is None:
            return Evaluated(service=record.name, generation=record.generation, because="no better node")
        intent = Intent(goal=Goal.FAILBACK, target=better, origin=owner)
        name = situation.around.names.get(better, str(better))
        return Stop(
            service=record.name,
            generation=record.generation,
            intent=intent,
            because=f"{name} is a better node of its failover domain",
        )
    return None


def _reason_to_stop(
    record: ServiceRecord, service: Service | None, owner: NodeId, situation: Situation
) -> tuple[Intent, str] | None:
    """Why a started service cannot stay as it is, and what is to follow."""
    if service is None:
        return Intent(goal=Goal.REMOVE), "it is no longer in the configuration"
    if owner in situation.leaving:
        return Intent(goal=Goal.RELOCATE, origin=owner), "its node leaves the cluster"
    if record.definition != record.running_definition:
        return Intent(goal=Goal.RECONFIGURE, origin=owner, target=owner), "its definition changed"
    if service.depend is not None and service.depend_hard and not dependency_met(service, situation.around):
        return Intent(goal=Goal.RECONFIGURE, origin=owner), f"{service.depend} is not started"
    return None


def _better_node(
    record: ServiceRecord, service: Service, owner: NodeId, situation: Situation
) -> NodeId | None:
    here = score(service, record, owner, situation.around)
    usable = candidates(service, record, situation.around, excluding=(owner, *situation.leaving))
    return next((n for n in usable if score(service, record, n, situation.around) > here), None)


def _decide_stopped(
    record: ServiceRecord, service: Service | None, head: ServiceRequest | None, situation: Situation
) -> ServiceProposal | None:
    if service is None:
        if record.intent is not None and record.intent.request is not None:
            return _give_up(record, None, Code.NO_SERVICE, "it is no longer in the configuration")
        if record.may_run_on:
            return None
        return Forget(
            service=record.name, generation=record.generation, because="no longer in the configuration"
        )
    if record.intent is not None:
        if record.intent.goal in (Goal.STOP, Goal.DISABLE, Goal.REMOVE):
            return Settle(
                service=record.name,
                generation=record.generation,
                state=ServiceState.STOPPED,
                parked=record.intent.goal is Goal.STOP,
                request=record.intent.request,
                because=record.because,
            )
        return _continue(record, service, record.intent, situation)
    if head is not None:
        return take_request(record, service, head, situation.around, situation.victims)
    return _start_automatically(record, service, situation)


def _start_automatically(record: ServiceRecord, service: Service, situation: Situation) -> Start | None:
    if record.parked or record.frozen or record.may_run_on:
        return None
    if record.retry_at_ms is not None and record.retry_at_ms > situation.now_ms:
        return None
    if not dependency_met(service, situation.around):
        return None
    usable = candidates(service, record, situation.around, excluding=situation.leaving)
    best = [n for n in usable if score(service, record, n, situation.around) is Score.BEST]
    if not best:
        return None
    return Start(
        service=record.name,
        generation=record.generation,
        owner=best[0],
        intent=Intent(goal=Goal.START),
        because="it is to run, and this is the best node",
        failures_ms=record.failures_ms if best[0] == record.last_owner else (),
    )


def _continue(
    record: ServiceRecord, service: Service, intent: Intent, situation: Situation
) -> ServiceProposal | None:
    """The next step of an operation whose service is stopped now: start it somewhere, or give up."""
    if record.may_run_on:
        return None
    if not dependency_met(service, situation.around):
        return _give_up(record, None, Code.DEPEND, f"{service.depend} is not started")
    if intent.goal is Goal.RECOVER and not intent.tried:
        return _recover(record, service, intent, situation)
    same = record.definition == record.running_definition
    return _start_somewhere(
        record, service, intent, situation, failures_ms=record.failures_ms if same else ()
    )


def _recover(
    record: ServiceRecord, service: Service, intent: Intent, situation: Situation
) -> ServiceProposal:
    """Apply the recovery policy after a failed status check (spec services, sections 6.5 and 7)."""
    if service.recovery is Recovery.DISABLE:
        return Settle(
            service=record.name,
            generation=record.generation,
            state=ServiceState.DISABLED,
            request=intent.request,
            because=f"recovery policy disable: {record.because}",
        )
    if service.recovery is Recovery.RELOCATE:
        return _start_somewhere(record, service, _away(intent), situation, failures_ms=())
    window_ms = service.restart_expire_time_s * 1000
    recent = tuple(t for t in record.failures_ms if not window_ms or situation.now_ms - t < window_ms)
    if service.max_restarts and len(recent) >= service.max_restarts:
        if service.recovery is Recovery.RESTART_DISABLE:
            return Settle(
                service=record.name,
                generation=record.generation,
                state=ServiceState.DISABLED,
                request=intent.request,
                because=f"restart threshold exceeded: {record.because}",
            )
        return _start_somewhere(record, service, _away(intent), situation, failures_ms=())
    return _start_somewhere(
        record,
        service,
        replace(intent, target=intent.origin),
        situation,
        failures_ms=(*recent, situation.now_ms) if service.max_restarts else (),
        count_restart=True,
    )


def _away(intent: Intent) -> Intent:
    """The intent, made to prefer any node but the origin."""
    return intent if intent.origin is None else replace(intent, goal=Goal.RELOCATE)


def _start_somewhere(
    record: ServiceRecord,
    service: Service,
    intent: Intent,
    situation: Situation,
    *,
    failures_ms: tuple[int, ...],
    count_restart: bool = False,
) -> Start | Settle:
    avoided: list[NodeId] = [*intent.tried, *situation.leaving]
    if intent.goal is Goal.RELOCATE and intent.origin is not None and intent.target != intent.origin:
        avoided.append(intent.origin)
    usable = candidates(service, record, situation.around, excluding=avoided)
    target = intent.target
    chosen: NodeId | None = None
    if target is not None and target in usable:
        chosen = target
    elif usable:
        chosen = usable[0]
    elif intent.origin is not None and intent.origin not in (*intent.tried, *situation.leaving):
        back = candidates(service, record, situation.around, excluding=(*intent.tried, *situation.leaving))
        if intent.origin in back:
            chosen = intent.origin
            intent = replace(intent, last_resort=True)
    if chosen is None:
        text = _nobody(service, record, intent, situation)
        return _give_up(record, situation.now_ms, Code.FAIL, text)
    return Start(
        service=record.name,
        generation=record.generation,
        owner=chosen,
        intent=intent,
        because=record.because if intent.goal is Goal.RECOVER else f"{intent.goal.value}: {record.because}",
        failures_ms=failures_ms if chosen == record.last_owner else (),
        count_restart=count_restart,
    )


def _nobody(service: Service, record: ServiceRecord, intent: Intent, situation: Situation) -> str:
    around = situation.around
    if intent.tried:
        names = ", ".join(around.names.get(n, str(n)) for n in intent.tried)
        return f"the start failed on {names}, and no other node can run it"
    staying = tuple(n for n in around.online if n not in situation.leaving)
    return obstacle(service, record, replace(around, online=staying))


def _give_up(record: ServiceRecord, now_ms: int | None, code: Code, text: str) -> Settle:
    return Settle(
        service=record.name,
        generation=record.generation,
        state=ServiceState.STOPPED,
        retry_at_ms=None if now_ms is None else now_ms + RETRY_START_MS,
        request=None if record.intent is None else record.intent.request,
        code=code,
        text=text,
        because=text,
    )


def _decide_resting(
    record: ServiceRecord, service: Service | None, head: ServiceRequest | None, situation: Situation
) -> ServiceProposal | None:
    if record.intent is not None:
        code, text = Code.SUCCESS, ""
        if record.state is ServiceState.FAILED:
            code, text = Code.ABORT, record.because
        elif record.may_run_on:
            names = ", ".join(situation.around.names.get(n, str(n)) for n in record.may_run_on)
            code, text = Code.WARNING, f"it may still run on {names} ({record.because})"
        return Settle(
            service=record.name,
            generation=record.generation,
            request=record.intent.request,
            code=code,
            text=text,
            because=record.because,
        )
    if head is not None:
        return take_request(record, service, head, situation.around, situation.victims)
    if service is None and not record.may_run_on:
        return Forget(
            service=record.name, generation=record.generation, because="no longer in the configuration"
        )
    return None


def _with_start(situation: Situation, start: Start) -> Situation:
    """The situation once the service is on its node: it counts there for the next one (load, exclusive services)."""
    records = tuple(
        replace(r, state=ServiceState.STARTING, owner=start.owner) if r.name == start.service else r
        for r in situation.around.records
    )
    return replace(situation, around=replace(situation.around, records=records))
