"""How nodes come and go in the replicated state: forming, admitting, losing, returning, leaving.

Pure; part of `apply`. Source: design sections 2 and 3; spec fencing, section 2.
"""

from msgspec.structs import replace

from standfast.cluster.entry import BeginEpoch, DeclareVictim, Inventory, Joiner
from standfast.cluster.state import (
    GRACE_MS,
    PROTOCOL_VERSION,
    Boot,
    ClusterState,
    Member,
    MemberStatus,
)
from standfast.conf.model import Cluster
from standfast.fencing import domain as fencing
from standfast.membership.quorum import Ballot, Present, Removed, step
from standfast.services import course
from standfast.services.record import ServiceRecord, ServiceState, held
from standfast.terms import NodeId


def form(
    cluster: Cluster,
    document: str,
    *,
    epoch: int,
    by: NodeId,
    view_id: int,
    present: frozenset[NodeId],
    ballot: Ballot,
    wall_s: int,
) -> ClusterState:
    """Return the first state of a cluster that nobody remembers anything of.

    Whatever could run anywhere may run there: each service waits until every configured node has said what it runs, or was
    fenced (spec fencing, section 2, startup).
    """
    victims = fencing.startup_victims(cluster.nodes, present, cluster.fence_daemon)
    domain = fencing.FenceDomain()
    hold = fencing.hold_until_ms(cluster.fence_daemon.post_join_delay_s, 0)
    for nodeid in victims:
        domain = fencing.add_victim(
            domain,
            nodeid,
            reason="it was not there when the cluster started",
            now_ms=0,
            hold_until_ms=hold,
            incarnation=None,
            boot_id=None,
        )
    uncertain = tuple(sorted(present | set(victims)))
    return ClusterState(
        epoch=epoch,
        begun_by=by,
        begun_view=view_id,
        kept=(),
        index=0,
        now_ms=0,
        wall_s=wall_s,
        protocol=PROTOCOL_VERSION,
        document=document,
        config=cluster,
        ballot=step(ballot, Present(tuple(sorted(present)))),
        fence=domain,
        services=new_services(cluster, may_run_on=uncertain),
    )


def new_services(cluster: Cluster, *, may_run_on: tuple[NodeId, ...]) -> tuple[ServiceRecord, ...]:
    """Return a first record for each configured service."""
    return tuple(
        ServiceRecord(
            name=service.name,
            state=ServiceState.STOPPED if service.autostart else ServiceState.DISABLED,
            may_run_on=may_run_on,
            definition=cluster.config_version,
            running_definition=cluster.config_version,
            because="it was never started" if service.autostart else "autostart is off",
        )
        for service in sorted(cluster.rm.services, key=lambda s: s.name)
    )


def begin_epoch(state: ClusterState, begin: BeginEpoch, by: NodeId, view_id: int) -> ClusterState:
    """Fold the members that are gone into the state; the epoch of this view starts."""
    if state.begun_view == view_id:
        return state
    ballot = step(state.ballot, Present(begin.synced))
    state = replace(state, epoch=state.epoch + 1, begun_by=by, begun_view=view_id, kept=(), ballot=ballot)
    for member in state.members:
        if member.nodeid in begin.synced:
            continue
        if member.killed:
            state = lose(state, member, member.killed)
        elif member.nodeid in begin.hosts:
            if member.leaving and not may_run_anything(state, member.nodeid):
                state = depart(state, member.nodeid, "it left the cluster", how="left")
            else:
                state = _away(state, member)
        elif member.leaving and not may_run_anything(state, member.nodeid):
            state = depart(state, member.nodeid, "it left the cluster", how="left")
        else:
            state = lose(state, member, "its machine does not answer")
    return reconsider(state)


def lose(state: ClusterState, member: Member, reason: str) -> ClusterState:
    """A member is gone without notice: it is a victim."""
    delay_s = state.config.fence_daemon.post_fail_delay_s
    domain = fencing.forget_attempts_by(state.fence, member.nodeid)
    domain = fencing.add_victim(
        domain,
        member.nodeid,
        reason=reason,
        now_ms=state.now_ms,
        hold_until_ms=fencing.hold_until_ms(delay_s, state.now_ms),
        incarnation=member.incarnation,
        boot_id=member.boot_id,
    )
    state = replace(_without_member(state, member.nodeid), fence=domain)
    state = replace(state, services=tuple(_perhaps_started(s, member.nodeid) for s in state.services))
    return _perhaps_given_away(state) if _has_arbiter_of_many(state) else state


def _perhaps_given_away(state: ClusterState) -> ClusterState:
    """Count in what lost owners may have given to other nodes that are lost.

    With an arbiter a part without the majority may have been quorate meanwhile, of which this state knows nothing.
    """

    def counted_in(record: ServiceRecord) -> ServiceRecord:
        if record.owner is not None and state.member(record.owner) is None:
            for victim in state.fence.victims:
                record = held(record, victim.nodeid)
        return record

    return replace(state, services=tuple(counted_in(record) for record in state.services))


def _has_arbiter_of_many(state: ClusterState) -> bool:
    """Whether parts of several nodes may be quorate without the majority; of two nodes each part is one."""
    table = state.ballot.table
    return table.arbiter and len(table.votes) > 2


def declare_victim(state: ClusterState, decision: DeclareVictim) -> ClusterState:
    """Fold the end of a daemon's grace."""
    member = state.member(decision.nodeid)
    if member is None or member.incarnation != decision.incarnation or member.status is not MemberStatus.AWAY:
        return state
    return reconsider(lose(state, member, decision.because))


def admit(state: ClusterState, joiner: Joiner, now_ms: int) -> ClusterState:
    """Take a node in. What it runs is known only after its inventory, unless its machine was booted since we knew it."""
    nodeid = joiner.nodeid
    known = next((b.boot_id for b in state.boots if b.nodeid == nodeid), None)
    victim = state.fence.victim(nodeid)
    if known is not None and known != joiner.boot_id:
        # Its machine was restarted: nothing that we started there runs any more.
        state = depart(state, nodeid, "its machine was restarted", how="member")
    elif victim is not None:
        until_ms = now_ms + fencing.RETURN_MS
        state = replace(
            state, fence=fencing.spare_victim(state.fence, nodeid, until_ms=until_ms, evicted=False)
        )
    if known is None:
        state = replace(state, services=tuple(held(s, nodeid) for s in state.services))
    member = Member(
        nodeid=nodeid,
        incarnation=joiner.incarnation,
        boot_id=joiner.boot_id,
        protocol=joiner.protocol,
        status=MemberStatus.SYNCED,
        joined_epoch=state.epoch,
        joined_s=state.wall_s,
    )
    members = tuple(sorted((*_others(state, nodeid), member), key=lambda m: m.nodeid))
    boots = tuple(
        sorted(
            (*(b for b in state.boots if b.nodeid != nodeid), Boot(nodeid, joiner.boot_id)),
            key=lambda b: b.nodeid,
        )
    )
    rollout = state.rollout
    if rollout is not None and nodeid not in rollout.waiting:
        rollout = replace(rollout, waiting=tuple(sorted((*rollout.waiting, nodeid))))
    protocol = min(m.protocol for m in members)
    ballot = step(state.ballot, Present(tuple(sorted({nodeid, *state.ballot.present}))))
    return replace(state, members=members, boots=boots, protocol=protocol, rollout=rollout, ballot=ballot)


def take_inventory(state: ClusterState, sender: NodeId, inventory: Inventory) -> ClusterState:
    """Fold what a node really runs; from here on it takes part."""
    member = state.member(sender)
    if (
        member is None
        or member.incarnation != inventory.incarnation
        or member.status is not MemberStatus.SYNCED
    ):
        return state
    records = []
    for record in state.services:
        if record.name in inventory.running:
            folded = course.adopted(record, sender)
        elif record.name in inventory.broken:
            folded = _broken(record, sender, state.wall_s)
        else:
            folded = course.owner_gone(record, sender, "it did not run when the daemon joined", state.wall_s)
        records.append(folded)
    online = replace(member, status=MemberStatus.ONLINE)
    state = replace(_with_member(state, online), services=tuple(records))
    if not inventory.broken:
        domain = fencing.remove_victim(state.fence, sender, how="member", now_ms=state.now_ms)
        state = replace(state, fence=domain)
    return reconsider(state)


def depart(state: ClusterState, nodeid: NodeId, reason: str, *, how: str) -> ClusterState:
    """Nothing of the cluster runs on the node any more: it was fenced, restarted, or left in order."""
    domain = fencing.remove_victim(state.fence, nodeid, how=how, now_ms=state.now_ms)
    domain = fencing.forget_attempts_by(domain, nodeid)
    services = tuple(course.owner_gone(s, nodeid, reason, state.wall_s) for s in state.services)
    return replace(_without_member(state, nodeid), fence=domain, services=services)


def vacated(state: ClusterState, nodeid: NodeId, incarnation: str) -> ClusterState:
    """A leaving node reports that nothing runs on it any more."""
    member = state.member(nodeid)
    if member is None or not member.leaving or member.incarnation != incarnation:
        return state
    services = tuple(
        course.owner_gone(s, nodeid, "its node leaves the cluster", state.wall_s) for s in state.services
    )
    return replace(state, services=services)


def leaving(state: ClusterState, nodeid: NodeId, *, leaving: bool, remove: bool = False) -> ClusterState:
    """A node begins to leave, or stays after all; `remove`: its votes go with it."""
    members = tuple(
        replace(m, leaving=leaving, removing=remove) if m.nodeid == nodeid else m for m in state.members
    )
    return replace(state, members=members)


def halt(state: ClusterState, *, goes_on: bool) -> ClusterState:
    """The configuration to come is on every disk, and all begin to leave; or it is not, and nobody does."""
    if state.halt is None or not goes_on:
        return replace(state, halt=None)
    members = tuple(replace(m, leaving=True) for m in state.members)
    return replace(state, members=members, halt=replace(state.halt, begun=True))


def remove_votes(state: ClusterState, nodeid: NodeId) -> ClusterState:
    """A node that leaves for good does not count any more, before it goes: so nobody misses its votes in between.

    Differs from cman, which does it even where those who stay lose their quorum by it (members without a vote): there the
    node leaves as others do.
    """
    member = state.member(nodeid)
    if member is None or not member.removing or nodeid in state.ballot.leaving:
        return state
    ballot = step(state.ballot, Removed(nodeid))
    return replace(state, ballot=ballot) if ballot.quorate else leaving(state, nodeid, leaving=True)


def kill(state: ClusterState, nodeid: NodeId, incarnation: str, because: str) -> ClusterState:
    """An operator ends a node's daemon: as soon as it is gone, it has failed."""
    member = state.member(nodeid)
    if member is None or member.incarnation != incarnation:
        return state
    return _with_member(state, replace(member, killed=because))


def may_run_anything(state: ClusterState, nodeid: NodeId) -> bool:
    """Whether anything of any service may still run on the node."""
    return any(nodeid in record.may_run_on for record in state.services)


def reconsider(state: ClusterState) -> ClusterState:
    """A membership event: stopped services are looked at again, started ones may have a better place now."""
    return replace(
        state,
        services=tuple(replace(s, parked=False, retry_at_ms=None, evaluate=True) for s in state.services),
    )


def _perhaps_started(record: ServiceRecord, lost: NodeId) -> ServiceRecord:
    """Count in what the lost node may have done after the last entry that we share.

    It may have read a decision that never came here, and in two-node mode it decides itself. What a remaining node has
    started it can only start after fencing that node, or after that node gave it away in an epoch that a majority
    remembers (state.is_kept), so that this older state would not count; anything else it may have started.
    """
    safe = record.owner is not None and record.state in (ServiceState.STARTED, ServiceState.STARTING)
    return record if safe else held(record, lost)


def _away(state: ClusterState, member: Member) -> ClusterState:
    if member.status is MemberStatus.AWAY:
        return state
    away = replace(member, status=MemberStatus.AWAY, away_until_ms=state.now_ms + GRACE_MS)
    state = _with_member(state, away)
    services = tuple(_perhaps_started(s, member.nodeid) for s in state.services)
    return replace(state, fence=fencing.forget_attempts_by(state.fence, member.nodeid), services=services)


def _broken(record: ServiceRecord, nodeid: NodeId, wall_s: int) -> ServiceRecord:
    """A part of the service may run on the node and could not be stopped."""
    if record.owner != nodeid:
        return held(record, nodeid)
    return replace(
        held(record, nodeid),
        state=ServiceState.FAILED,
        owner=None,
        last_owner=nodeid,
        generation=record.generation + 1,
        transition_s=wall_s,
        because="a part of it could not be stopped when the daemon joined",
    )


def _others(state: ClusterState, nodeid: NodeId) -> tuple[Member, ...]:
    return tuple(m for m in state.members if m.nodeid != nodeid)


def _with_member(state: ClusterState, member: Member) -> ClusterState:
    return replace(state, members=tuple(member if m.nodeid == member.nodeid else m for m in state.members))


def _without_member(state: ClusterState, nodeid: NodeId) -> ClusterState:
    rollout = state.rollout
    if rollout is not None:
        rollout = replace(rollout, waiting=tuple(n for n in rollout.waiting if n != nodeid))
    return replace(state, members=_others(state, nodeid), rollout=rollout)
