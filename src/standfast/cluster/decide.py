"""`decide`: all policy, as proposals of the coordinator for the state and the cluster time that it sees.

Pure. Source: design sections 1 to 3.
"""

from msgspec import Struct

from standfast.cluster.entry import (
    ActivateConfig,
    BeginEpoch,
    BeginHalt,
    BeginLeave,
    CancelLeave,
    DeclareVictim,
    Evict,
    FinishRollout,
    Hello,
    Joiner,
    Kill,
    Override,
    Proposal,
    Refuse,
    RejectConfig,
    RemoveVotes,
    Tick,
)
from standfast.cluster.membership import may_run_anything
from standfast.cluster.plea import judge
from standfast.cluster.state import (
    PROTOCOL_VERSION_MIN,
    ClusterState,
    ConfigRequest,
    HaltRequest,
    KillRequest,
    LeaveRequest,
    MemberStatus,
    OverrideRequest,
    QuorumRequest,
)
from standfast.fencing import domain as fencing
from standfast.membership.quorum import is_majority
from standfast.services import policy
from standfast.services.placement import Neighbourhood
from standfast.services.proposal import Answer, ServiceRequest
from standfast.services.record import ServiceState
from standfast.terms import NodeId
from standfast.wire.control import Code

HALTING = "the cluster is being stopped for another configuration"


class Outlook(Struct, frozen=True, kw_only=True):
    """What the coordinator sees of the view: who is there, who is synced, and what the others said of themselves."""

    view_id: int
    members: tuple[NodeId, ...]
    hosts: tuple[NodeId, ...]
    synced: tuple[NodeId, ...]
    hellos: tuple[Hello, ...]


def decide(state: ClusterState, outlook: Outlook, me: NodeId, now_ms: int) -> tuple[Proposal, ...]:
    """Return what is to happen next; nothing while all is as it should be. `now_ms` is cluster time."""
    if state.begun_view != outlook.view_id:
        return (BeginEpoch(synced=outlook.synced, hosts=outlook.hosts, because=f"view {outlook.view_id}"),)
    proposals: list[Proposal] = [
        *_daemons_that_stay_away(state, outlook, now_ms),
        *_newcomers(state, outlook),
        *_fencing(state, outlook, me, now_ms),
        *_cluster_requests(state, outlook),
        *_cancelled_leaves(state),
        *_removals(state),
        *_rollout(state),
        *policy.decide(situation(state, now_ms)),
    ]
    if not proposals and fencing.needs_stamp(state.fence):
        proposals.append(Tick(because="a fencing failed; the pause before the next attempt begins"))
    return tuple(proposals)


def joiners(state: ClusterState, outlook: Outlook) -> tuple[Joiner, ...]:
    """Return the nodes that are to get a snapshot: those that said Hello, are not synced, and may come in."""
    return tuple(
        Joiner(nodeid=h.nodeid, incarnation=h.incarnation, boot_id=h.boot_id, protocol=h.protocol)
        for h in _unsynced(outlook)
        if h.lineage is None
        and not h.restarting
        and refusal(state, h) is None
        and not _must_restart(state, h)
    )


def refusal(state: ClusterState, hello: Hello) -> str | None:
    """Return why a node is not let in, as a sentence, None where it may come in."""
    if state.halt is not None:
        return f"{HALTING}; start it when all nodes have left"
    node = state.node(hello.nodeid)
    if node is None:
        return f'node "{hello.name}" with id {hello.nodeid} is not in cluster.conf version {state.config.config_version}'
    if node.name != hello.name:
        return f'node id {hello.nodeid} is "{node.name}" in cluster.conf, not "{hello.name}"'
    if hello.protocol < PROTOCOL_VERSION_MIN or hello.protocol_min > state.protocol:
        return (
            f"it speaks protocol versions {hello.protocol_min} to {hello.protocol}, "
            f"the cluster speaks version {state.protocol}"
        )
    return None


def next_deadline_ms(state: ClusterState) -> int | None:
    """Return the cluster time at which `decide` may have something new although nothing happens; None: never."""
    deadlines = [
        fencing.next_deadline_ms(state.fence),
        policy.next_deadline_ms(state.services),
        *(m.away_until_ms for m in state.members if m.status is MemberStatus.AWAY),
    ]
    return min((d for d in deadlines if d is not None), default=None)


def situation(state: ClusterState, now_ms: int) -> policy.Situation:
    """Return what service policy looks at."""
    online = tuple(
        m.nodeid
        for m in state.members
        if m.status is MemberStatus.ONLINE and state.fence.victim(m.nodeid) is None
    )
    around = Neighbourhood(
        online=online,
        names={n.nodeid: n.name for n in state.config.nodes},
        domains={d.name: d for d in state.config.rm.domains},
        services={s.name: s for s in state.config.rm.services},
        records=state.services,
    )
    configured = {n.nodeid for n in state.config.nodes}
    stops = state.halt is not None and state.halt.begun
    return policy.Situation(
        around=around,
        requests=tuple(r for r in state.requests if isinstance(r, ServiceRequest)),
        victims=frozenset(v.nodeid for v in state.fence.victims),
        leaving=frozenset(
            m.nodeid for m in state.members if stops or m.leaving or m.nodeid not in configured
        ),
        now_ms=now_ms,
    )


def _fencing(state: ClusterState, outlook: Outlook, me: NodeId, now_ms: int) -> tuple[Proposal, ...]:
    """Fence from this node, or from the lowest one that takes part if this one is a victim itself.

    A victim that is there and may come in gets its snapshot now; it is not fenced in the same moment.
    """
    able = [
        m.nodeid
        for m in state.members
        if m.status is MemberStatus.ONLINE and state.fence.victim(m.nodeid) is None and not m.leaving
    ]
    if not able:
        return ()
    returning = {joiner.nodeid for joiner in joiners(state, outlook)}
    by = me if me in able else min(able)
    proposals = fencing.decide(state.fence, state.config.nodes, by, now_ms)
    return tuple(proposal for proposal in proposals if proposal.nodeid not in returning)


def _daemons_that_stay_away(state: ClusterState, outlook: Outlook, now_ms: int) -> tuple[DeclareVictim, ...]:
    returning = {joiner.nodeid for joiner in joiners(state, outlook)}
    return tuple(
        DeclareVictim(
            nodeid=m.nodeid, incarnation=m.incarnation, because="its daemon did not come back in time"
        )
        for m in state.members
        if m.status is MemberStatus.AWAY
        and m.away_until_ms is not None
        and m.away_until_ms <= now_ms
        and m.nodeid not in returning
    )


def _newcomers(state: ClusterState, outlook: Outlook) -> tuple[Refuse | Evict, ...]:
    proposals: list[Refuse | Evict] = []
    for hello in _unsynced(outlook):
        reason = refusal(state, hello)
        if reason is not None:
            proposals.append(Refuse(nodeid=hello.nodeid, incarnation=hello.incarnation, because=reason))
        elif _must_restart(state, hello):
            victim = state.fence.victim(hello.nodeid)
            if victim is not None and not victim.evicted:
                because = "it was declared a victim and came back without a restart"
                proposals.append(Evict(nodeid=hello.nodeid, incarnation=hello.incarnation, because=because))
    return tuple(proposals)


def _must_restart(state: ClusterState, hello: Hello) -> bool:
    victim = state.fence.victim(hello.nodeid)
    return victim is not None and victim.incarnation == hello.incarnation


def _unsynced(outlook: Outlook) -> tuple[Hello, ...]:
    return tuple(h for h in outlook.hellos if h.nodeid not in outlook.synced and h.nodeid in outlook.members)


def _cluster_requests(state: ClusterState, outlook: Outlook) -> tuple[Proposal, ...]:
    """The first pending request of each kind that is about the cluster as a whole."""
    proposals: list[Proposal] = []
    pleas = [r for r in state.requests if isinstance(r, QuorumRequest)]
    if pleas:  # the second is judged when the first is folded
        proposals.append(judge(state.ballot, outlook.members, pleas[0]))
    configs = [r for r in state.requests if isinstance(r, ConfigRequest | HaltRequest)]
    if configs and state.rollout is None:
        asked = configs[0]
        proposals.append(_halt(state, asked) if isinstance(asked, HaltRequest) else _config(state, asked))
    for request in state.requests:
        if isinstance(request, LeaveRequest):
            proposals.append(_leave(state, request))
        elif isinstance(request, OverrideRequest):
            because = "an operator declared its node powered off"
            proposals.append(Override(request=request.id, victim=request.victim, because=because))
        elif isinstance(request, KillRequest):
            proposals.append(_kill(state, request))
    return tuple(proposals)


def _leave(state: ClusterState, request: LeaveRequest) -> Proposal:
    mine = [r for r in state.services if r.owner == request.asked_by]
    frozen = [r.name for r in mine if r.frozen]
    stuck = _stuck_on(state, request.asked_by)
    if request.unless_busy and mine:
        text = f"rgmanager: {len(mine)} service{'' if len(mine) == 1 else 's'}"
        return Answer(request=request.id, code=Code.RUNNING, because=text, text=text)
    if stuck:
        return Answer(request=request.id, code=Code.ABORT, because=stuck, text=stuck)
    if frozen:
        text = f"{frozen[0]} is frozen on it; unfreeze it first with: clusvcadm -U {frozen[0]}"
        return Answer(request=request.id, code=Code.FROZEN, because=text, text=text)
    because = "an operator asked it to leave"
    return BeginLeave(request=request.id, nodeid=request.asked_by, because=because, remove=request.remove)


def _removals(state: ClusterState) -> tuple[RemoveVotes, ...]:
    """Those that leave for good and have nothing left: their votes go before they do."""
    return tuple(
        RemoveVotes(nodeid=m.nodeid, because="it leaves the cluster for good")
        for m in state.members
        if m.leaving
        and m.removing
        and m.nodeid not in state.ballot.leaving
        and not may_run_anything(state, m.nodeid)
    )


def _kill(state: ClusterState, request: KillRequest) -> Proposal:
    member = state.member(request.nodeid)
    if member is None or member.status is MemberStatus.AWAY:
        text = f"{state.name_of(request.nodeid)} is not a member"
        return Answer(request=request.id, code=Code.NODE_DEAD, because=text, text=text)
    because = f"an operator killed it from {state.name_of(request.asked_by)}"
    return Kill(request=request.id, nodeid=request.nodeid, incarnation=member.incarnation, because=because)


def _cancelled_leaves(state: ClusterState) -> tuple[CancelLeave, ...]:
    return tuple(
        CancelLeave(nodeid=m.nodeid, because=stuck)
        for m in state.members
        if m.leaving and (stuck := _stuck_on(state, m.nodeid))
    )


def _stuck_on(state: ClusterState, nodeid: NodeId) -> str:
    """Which service keeps a node from leaving, as a sentence; empty: none."""
    for record in state.services:
        if nodeid in record.may_run_on and record.state in (ServiceState.FAILED, ServiceState.DISABLED):
            return f"{record.name} may still run on it ({record.because}); stop it by hand, then restart the daemon"
    return ""


def _config(state: ClusterState, request: ConfigRequest) -> Proposal:
    proposed, current = request.cluster.config_version, state.config.config_version
    if state.halt is not None:
        return RejectConfig(request=request.id, reason="invalid", because=HALTING)
    if request.cluster.name != state.config.name:
        text = f'cluster name "{request.cluster.name}" differs from running cluster "{state.config.name}"'
        return RejectConfig(request=request.id, reason="other-name", because=text)
    if proposed <= current:
        text = f"version {proposed} is not newer than version {current}"
        return RejectConfig(request=request.id, reason="lost-race", because=text)
    return ActivateConfig(request=request.id, because=f"an operator proposed version {proposed}")


def _halt(state: ClusterState, request: HaltRequest) -> Proposal:
    """Stop all for the request's configuration, unless something then could run on or be lost."""
    proposed, current = request.cluster.config_version, state.config.config_version
    why = ""
    if state.halt is not None:
        why = HALTING
    elif state.fence.victims:
        why = f"{state.name_of(state.fence.victims[0].nodeid)} is to be fenced; wait until it is"
    elif frozen := [r.name for r in state.services if r.frozen]:
        why = f"{frozen[0]} is frozen; unfreeze it first with: clusvcadm -U {frozen[0]}"
    else:
        why = next((stuck for m in state.members if (stuck := _stuck_on(state, m.nodeid))), "")
    if why:
        return RejectConfig(request=request.id, reason="invalid", because=why)
    if proposed > current:
        because = f"an operator wants a full stop for version {proposed}"
        return BeginHalt(request=request.id, because=because)
    text = f"version {proposed} is not newer than version {current}"
    return RejectConfig(request=request.id, reason="lost-race", because=text)


def _rollout(state: ClusterState) -> tuple[FinishRollout, ...]:
    rollout = state.rollout
    if rollout is None:
        return ()
    failed = {nodeid for nodeid, _ in rollout.failures}
    if any(nodeid not in failed for nodeid in rollout.waiting):
        return ()
    failures = tuple((n, text) for n, text in rollout.failures if n in rollout.waiting)
    if not failures and not is_majority(state.ballot, rollout.written):
        return ()  # an update that a minority has could be lost with it
    return (FinishRollout(version=rollout.version, failed=failures, because="every member has answered"),)
