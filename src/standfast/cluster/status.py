"""What clustat shows, made from one node's view of the cluster.

Pure.
"""

from standfast.cluster.election import Addresses, cluster_id, election, membership_of
from standfast.cluster.participant import Participant
from standfast.cluster.session import has_begun
from standfast.cluster.state import ClusterState, MemberStatus
from standfast.conf.model import Cluster
from standfast.fencing.domain import Victim
from standfast.services.record import Flag, ServiceRecord
from standfast.terms import NodeId
from standfast.wire.control import NodeStatus, ServiceStatus, Status


def status(node: Participant, time_s: int, *, addresses: Addresses, clients: int) -> Status:
    """Return this node's answer to GetStatus; `time_s` is Unix time, `clients` are connections to the control socket."""
    session = node.session
    state = session.state
    config = session.config if state is None else state.config
    me = session.me
    synced = has_begun(session)
    quorate = session.quorate is True
    unavailable = ""
    if not quorate:
        unavailable = "Operation requires quorum"
    elif not synced:
        unavailable = "Temporary failure; try again"
    services = None
    if state is not None and not unavailable:
        services = tuple(_service(record, state) for record in state.services)
    return Status(
        cluster=config.name,
        cluster_id=cluster_id(config),
        config_version=config.config_version,
        view_id=0 if session.view is None else session.view.view_id,
        quorate=quorate,
        synced=synced,
        local=me.nodeid,
        nodes=_nodes(node, config, addresses),
        services=services,
        unavailable=unavailable,
        fencing=() if state is None else tuple(waiting_for(v, state) for v in state.fence.victims),
        time_s=time_s,
        election=election(node, config, clients),
    )


def waiting_for(victim: Victim, state: ClusterState) -> str:
    """Return one sentence about a victim: what is waited for."""
    name = state.name_of(victim.nodeid)
    if victim.attempt is not None:
        by = state.name_of(victim.attempt.by)
        return f"{name} is being fenced by {by}, attempt {victim.attempt.number}: {victim.reason}"
    if victim.attempts:
        again = f"fencing {name} failed {victim.attempts} times, last: {victim.last_failure}"
        return f"{again}; power it off by hand, then run: fence_ack_manual {name}"
    if victim.hold_until_ms is None:
        return f"{name} is a victim and spared until it comes back: {victim.reason}"
    return f"{name} is to be fenced: {victim.reason}"


def _nodes(node: Participant, config: Cluster, addresses: Addresses) -> tuple[NodeStatus, ...]:
    session = node.session
    state = session.state
    configured = {n.nodeid for n in config.nodes}
    named = [(n.nodeid, n.name) for n in config.nodes]
    if state is not None:
        forgotten = node.inherited or frozenset()
        named.extend(
            (n, name)
            for n, name in state.estranged
            if n not in configured and (n not in forgotten or _is_online(node, n))
        )
    managed = bool(config.rm.services)  # as RHCS shows it: without services the manager is not started
    lines: list[NodeStatus] = []
    for nodeid, name in sorted(named, key=lambda pair: (pair[0] not in configured, pair[0])):
        member = None if state is None else state.member(nodeid)
        victim = None if state is None else state.fence.victim(nodeid)
        takes_part = member is not None and member.status is MemberStatus.ONLINE
        lines.append(
            NodeStatus(
                name=name,
                nodeid=nodeid,
                online=_is_online(node, nodeid),
                local=nodeid == session.me.nodeid,
                estranged=nodeid not in configured,
                manager=managed and takes_part and _is_online(node, nodeid) and session.quorate is True,
                victim=victim is not None,
                note="" if victim is None or state is None else waiting_for(victim, state),
                membership=membership_of(node, nodeid, addresses),
            )
        )
    return tuple(lines)


def _is_online(node: Participant, nodeid: NodeId) -> bool:
    """Whether the node's machine is in the view; one whose daemon left in order is not, although its machine may be on."""
    state, view = node.session.state, node.session.view
    if view is None or nodeid not in view.hosts:
        return False
    if nodeid in view.members or state is None:
        return True
    return state.member(nodeid) is not None or state.fence.victim(nodeid) is not None


def _service(record: ServiceRecord, state: ClusterState) -> ServiceStatus:
    return ServiceStatus(
        name=record.name,
        state=record.state.value,
        owner=None if record.owner is None else state.name_of(record.owner),
        last_owner=None if record.last_owner is None else state.name_of(record.last_owner),
        restarts=record.restarts,
        transition_s=record.transition_s,
        frozen=record.frozen,
        partial=bool(record.flags & Flag.PARTIAL),
        because=record.because,
    )
