"""`apply`: fold one ordered entry into the replicated state; the same on every node.

Pure. What does not fit the state (an older generation, another incarnation, an unknown request) changes nothing.
"""

from typing import assert_never

from msgspec.structs import replace

from standfast.cluster import membership
from standfast.cluster.entry import (
    ActivateConfig,
    BeginEpoch,
    BeginHalt,
    BeginLeave,
    CancelLeave,
    ConfigWritten,
    Decision,
    DeclareVictim,
    EpochKept,
    Evict,
    FenceResult,
    FinishRollout,
    Inventory,
    Kill,
    Observation,
    Override,
    Proposal,
    Refuse,
    RejectConfig,
    RemoveVotes,
    Request,
    SetExpected,
    SetVotes,
    Snapshot,
    Tick,
    Vacant,
)
from standfast.cluster.plea import ballot_after
from standfast.cluster.state import (
    OUTCOMES_MAX,
    ClusterState,
    ConfigRequest,
    Halt,
    HaltRequest,
    MemberStatus,
    Outcome,
    Rollout,
)
from standfast.conf.model import Cluster
from standfast.fencing import domain as fencing
from standfast.fencing.domain import BeginFencing
from standfast.membership.quorum import Configured, step
from standfast.membership.votes import vote_table
from standfast.services import course
from standfast.services.definition import definition
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
from standfast.services.record import ServiceRecord
from standfast.terms import NodeId
from standfast.wire.control import Code


def apply_snapshot(state: ClusterState, snapshot: Snapshot) -> ClusterState:
    """Fold the joiners in (the state that the snapshot carries is for them, not for us)."""
    state = _advance(state, snapshot.now_ms, snapshot.wall_s)
    for joiner in snapshot.joiners:
        state = membership.admit(state, joiner, state.now_ms)
    return state


def apply_decision(state: ClusterState, decision: Decision, coordinator: NodeId) -> ClusterState:
    """Fold what the coordinator decided, in its order."""
    state = _advance(state, decision.now_ms, decision.wall_s)
    for proposal in decision.proposals:
        state = _apply_proposal(state, proposal, coordinator, decision.view_id)
    return state


def apply_inventory(state: ClusterState, inventory: Inventory, sender: NodeId) -> ClusterState:
    """Fold what a node really runs."""
    return membership.take_inventory(_next(state), sender, inventory)


def apply_request(state: ClusterState, request: Request) -> ClusterState:
    """Take an operator's request in: from here on it is executed or ends in a stated failure. A known one is no news."""
    state = _next(state)
    asked = request.request
    known = {r.id for r in state.requests} | {o.request for o in state.outcomes}
    if asked.id in known:
        return state
    return replace(state, requests=(*state.requests, asked))


def apply_observation(state: ClusterState, observation: Observation, sender: NodeId) -> ClusterState:
    """Fold what a node saw, if it is a member in this incarnation."""
    state = _next(state)
    member = state.member(sender)
    if member is None or member.incarnation != observation.incarnation or member.status is MemberStatus.AWAY:
        return state
    fact = observation.fact
    match fact:
        case FenceResult():
            return _fence_result(state, fact, sender)
        case ConfigWritten():
            return _config_written(state, fact, sender)
        case EpochKept():
            if fact.epoch != state.present_epoch or sender in state.kept:
                return state
            return replace(state, kept=tuple(sorted((*state.kept, sender))))
        case Vacant():
            return membership.vacated(state, sender, observation.incarnation)
        case Ran() | Failed() | Gone() | Cleared() | Stuck():
            return _service_fact(state, fact, sender)
        case _:
            assert_never(fact)


def _advance(state: ClusterState, now_ms: int, wall_s: int) -> ClusterState:
    """Cluster time never goes back, whatever the coordinator's clock does."""
    now_ms = max(state.now_ms, now_ms)
    return replace(_next(state), now_ms=now_ms, wall_s=wall_s, fence=fencing.stamp(state.fence, now_ms))


def _next(state: ClusterState) -> ClusterState:
    return replace(state, index=state.index + 1)


def _apply_proposal(
    state: ClusterState, proposal: Proposal, coordinator: NodeId, view_id: int
) -> ClusterState:
    match proposal:
        case BeginEpoch():
            return membership.begin_epoch(state, proposal, coordinator, view_id)
        case DeclareVictim():
            return membership.declare_victim(state, proposal)
        case Refuse() | Tick():
            return state
        case Evict():
            until_ms = state.now_ms + fencing.RETURN_MS
            spared = fencing.spare_victim(state.fence, proposal.nodeid, until_ms=until_ms, evicted=True)
            return replace(state, fence=spared)
        case BeginFencing():
            return replace(state, fence=fencing.begin_attempt(state.fence, proposal, state.now_ms))
        case ActivateConfig():
            return _activate_config(state, proposal)
        case RejectConfig():
            return _finish(state, proposal.request, Code.FAIL, text=proposal.because, reason=proposal.reason)
        case FinishRollout():
            return _finish_rollout(state, proposal)
        case BeginHalt():
            return _begin_halt(state, proposal)
        case BeginLeave():
            state = membership.leaving(state, proposal.nodeid, leaving=True, remove=proposal.remove)
            return _finish(state, proposal.request, Code.SUCCESS)
        case CancelLeave():
            return membership.leaving(state, proposal.nodeid, leaving=False)
        case RemoveVotes():
            return membership.remove_votes(state, proposal.nodeid)
        case SetExpected() | SetVotes():
            changed = replace(state, ballot=ballot_after(state.ballot, proposal))
            return _finish(changed, proposal.request, Code.SUCCESS)
        case Kill():
            state = membership.kill(state, proposal.nodeid, proposal.incarnation, proposal.because)
            return _finish(state, proposal.request, Code.SUCCESS)
        case Override():
            return _override(state, proposal)
        case Start() | Stop() | Settle() | Freeze() | Answer() | Forget() | Evaluated():
            return _apply_service_proposal(state, proposal)
        case _:
            assert_never(proposal)


def _apply_service_proposal(state: ClusterState, proposal: ServiceProposal) -> ClusterState:
    if isinstance(proposal, Answer):
        return _finish(state, proposal.request, proposal.code, owner=proposal.owner, text=proposal.text)
    record = state.service(proposal.service)
    if record is None or record.generation != proposal.generation:
        return state
    changed = course.accept(record, proposal, state.wall_s)
    state = _with_service(state, record, changed)
    if isinstance(proposal, Settle | Stop) and proposal.superseded is not None:
        state = _superseded(state, proposal.superseded)
    if isinstance(proposal, Settle) and proposal.request is not None:
        owner = None if changed is None else changed.owner
        state = _finish(state, proposal.request, proposal.code, owner=owner, text=proposal.text)
    if isinstance(proposal, Freeze):
        state = _finish(state, proposal.request, Code.SUCCESS)
    return state


def _superseded(state: ClusterState, request: str) -> ClusterState:
    return _finish(state, request, Code.FAIL, text="a later request took its place")


def _service_fact(state: ClusterState, fact: ServiceFact, sender: NodeId) -> ClusterState:
    record = state.service(fact.service)
    if record is None:
        return state
    return _with_service(state, record, course.report(record, fact, sender, state.wall_s))


def _with_service(state: ClusterState, record: ServiceRecord, changed: ServiceRecord | None) -> ClusterState:
    if changed is None:
        return replace(state, services=tuple(s for s in state.services if s.name != record.name))
    return replace(state, services=tuple(changed if s.name == record.name else s for s in state.services))


def _finish(
    state: ClusterState,
    request_id: str,
    code: Code,
    *,
    owner: NodeId | None = None,
    text: str = "",
    reason: str = "",
    old_version: int = 0,
    new_version: int = 0,
) -> ClusterState:
    """Answer a request, once: one that is not pending any more changes nothing."""
    request = next((r for r in state.requests if r.id == request_id), None)
    if request is None:
        return state
    outcome = Outcome(
        request=request_id,
        asked_by=request.asked_by,
        code=code,
        owner=owner,
        text=text,
        reason=reason,
        old_version=old_version,
        new_version=new_version,
    )
    return replace(
        state,
        requests=tuple(r for r in state.requests if r.id != request_id),
        outcomes=(*state.outcomes, outcome)[-OUTCOMES_MAX:],
    )


def _fence_result(state: ClusterState, fact: FenceResult, sender: NodeId) -> ClusterState:
    attempt = (fact.victim, fact.generation, fact.number)
    domain = fencing.end_attempt(
        state.fence, attempt, by=sender, fenced=fact.fenced, text=fact.text, now_ms=state.now_ms
    )
    removed = state.fence.victim(fact.victim) is not None and domain.victim(fact.victim) is None
    state = replace(state, fence=domain)
    if not removed:
        return state
    return membership.reconsider(membership.depart(state, fact.victim, "its node was fenced", how="agent"))


def _override(state: ClusterState, proposal: Override) -> ClusterState:
    if state.fence.victim(proposal.victim) is not None:
        state = membership.depart(
            state, proposal.victim, "an operator declared its node powered off", how="override"
        )
        state = membership.reconsider(state)
        return _finish(state, proposal.request, Code.SUCCESS)
    return _finish(state, proposal.request, Code.INVALID, text="the node is not a victim")


def _activate_config(state: ClusterState, proposal: ActivateConfig) -> ClusterState:
    request = next((r for r in state.requests if r.id == proposal.request), None)
    if (
        not isinstance(request, ConfigRequest)
        or request.cluster.config_version <= state.config.config_version
    ):
        return state
    if state.rollout is not None or state.halt is not None:
        return state  # one at a time; decide() waits for the last one
    old, new = state.config, request.cluster
    kept = {node.nodeid for node in new.nodes}
    estranged = tuple(
        sorted(
            {
                *((n, name) for n, name in state.estranged if n not in kept),
                *((node.nodeid, node.name) for node in old.nodes if node.nodeid not in kept),
            }
        )
    )
    table = replace(vote_table(new), leaving=state.ballot.leaving)
    return replace(
        state,
        config=new,
        ballot=step(state.ballot, Configured(table)),
        document=request.document,
        services=_redefine(state, new),
        estranged=estranged,
        requests=tuple(r for r in state.requests if r.id != request.id),
        rollout=Rollout(
            version=new.config_version,
            old_version=old.config_version,
            request=request.id,
            asked_by=request.asked_by,
            waiting=tuple(m.nodeid for m in state.members),
        ),
    )


def _begin_halt(state: ClusterState, proposal: BeginHalt) -> ClusterState:
    request = next((r for r in state.requests if r.id == proposal.request), None)
    if not isinstance(request, HaltRequest) or state.rollout is not None or state.halt is not None:
        return state
    version = request.cluster.config_version
    return replace(
        state,
        halt=Halt(version=version, document=request.document, asked_by=request.asked_by),
        requests=tuple(r for r in state.requests if r.id != request.id),
        rollout=Rollout(
            version=version,
            old_version=state.config.config_version,
            request=request.id,
            asked_by=request.asked_by,
            waiting=tuple(m.nodeid for m in state.members),
        ),
    )


def _redefine(state: ClusterState, new: Cluster) -> tuple[ServiceRecord, ...]:
    """Carry the services over to a new configuration: changed ones are marked, new ones begin, removed ones end."""
    before = {s.name: definition(s, state.config.rm.resources) for s in state.config.rm.services}
    after = {s.name: definition(s, new.rm.resources) for s in new.rm.services}
    records: list[ServiceRecord] = []
    for record in state.services:
        if record.name not in after:
            records.append(replace(record, removed=True))
            continue
        same = before.get(record.name) == after[record.name]
        records.append(
            replace(
                record,
                removed=False,
                definition=record.definition if same else new.config_version,
                parked=False,
                retry_at_ms=None,
            )
        )
    known = {record.name for record in records}
    # A victim may have read of the new service, too, before it was lost (or decides by itself in two-node mode).
    victims = tuple(victim.nodeid for victim in state.fence.victims)
    records.extend(r for r in membership.new_services(new, may_run_on=victims) if r.name not in known)
    return tuple(sorted(records, key=lambda r: r.name))


def _config_written(state: ClusterState, fact: ConfigWritten, sender: NodeId) -> ClusterState:
    rollout = state.rollout
    if rollout is None or rollout.version != fact.version or sender not in rollout.waiting:
        return state
    failures = tuple((n, text) for n, text in rollout.failures if n != sender)
    if fact.ok:
        waiting = tuple(n for n in rollout.waiting if n != sender)
        written = tuple(sorted((*rollout.written, sender)))
        done = replace(rollout, waiting=waiting, written=written, failures=failures)
        return replace(state, rollout=done)
    failures = tuple(sorted((*failures, (sender, fact.text))))
    return replace(state, rollout=replace(rollout, failures=failures))


def _finish_rollout(state: ClusterState, proposal: FinishRollout) -> ClusterState:
    rollout = state.rollout
    if rollout is None or rollout.version != proposal.version:
        return state
    answered = {n for n, _ in rollout.failures}
    if any(nodeid not in answered for nodeid in rollout.waiting):
        return state  # somebody joined meanwhile
    failed = ", ".join(f"{state.name_of(n)}: {text}" for n, text in proposal.failed)
    outcome = Outcome(
        request=rollout.request,
        asked_by=rollout.asked_by,
        code=Code.FAIL if failed else Code.SUCCESS,
        text=failed,
        reason="not-written" if failed else "",
        old_version=rollout.old_version,
        new_version=rollout.version,
    )
    state = replace(state, rollout=None, outcomes=(*state.outcomes, outcome)[-OUTCOMES_MAX:])
    return state if state.halt is None else membership.halt(state, goes_on=not failed)
