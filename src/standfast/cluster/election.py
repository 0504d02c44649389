"""What cman_tool shows beside clustat: the state of each node as cman has it, and the count of the votes.

Pure. Source: spec membership, sections 1, 9.8 and 9.10.
"""

from collections.abc import Mapping

from standfast.cluster.participant import Participant
from standfast.cluster.session import ballot_of, has_begun, last_epoch
from standfast.cluster.state import ClusterState
from standfast.conf.model import Cluster
from standfast.fencing.domain import Fencing
from standfast.membership.quorum import Ballot, Present, step
from standfast.terms import NodeId
from standfast.wire.control import Election, Membership, NodeState

Addresses = Mapping[NodeId, tuple[str, ...]]


def cluster_id(config: Cluster) -> int:
    """Return the cluster's 16-bit id: the file's, or cman's hash of the name (spec membership, section 11.1)."""
    if config.cluster_id is not None:
        return config.cluster_id & 0xFFFF
    value = 0
    for byte in config.name.encode():
        value = 2 * value + byte
    return value % 65536


def multicast_address(number: int) -> str:
    """Return the address that cman derives from a cluster's id: the last part is modulo 255 (section 11.2)."""
    return f"239.192.{number >> 8}.{number % 255}"


def ballot_now(node: Participant) -> Ballot:
    """Return the votes of those that are here now, as this node's engine counts them."""
    ballot, view = ballot_of(node.session), node.session.view
    return ballot if view is None else step(ballot, Present(view.members))


def election(node: Participant, config: Cluster, clients: int) -> Election:
    """Return what cman_tool status shows of the cluster; `clients` are connections to the control socket."""
    session = node.session
    ballot = ballot_now(node)
    state = session.state
    me = None if state is None else state.member(session.me.nodeid)
    mine = me is not None and me.incarnation == session.me.incarnation
    return Election(
        generation=_generation(node),
        joining=session.view is None,
        leaving=me is not None and me.leaving,
        expected_votes=ballot.expected,
        total_votes=ballot.total,
        quorum=ballot.quorum,
        two_node=config.two_node,
        dirty=mine,
        managing=bool(config.rm.services) and mine and has_begun(session) and session.quorate is True,
        clients=clients,
        multicast=(multicast_address(cluster_id(config)),),
    )


def membership_of(node: Participant, nodeid: NodeId, addresses: Addresses) -> Membership:
    """Return one row of cman_tool nodes."""
    ballot, state = ballot_now(node), node.session.state
    condition = _condition(node, nodeid)
    there = condition is not NodeState.DEAD
    member = None if state is None else state.member(nodeid)
    arrived_s = dict(node.arrivals).get(nodeid, 0)
    fenced = None if state is None else _last_fencing(state, nodeid)
    return Membership(
        state=condition,
        incarnation=0 if not there else _generation(node) if member is None else member.joined_epoch,
        joined_s=0 if not there else arrived_s if member is None else member.joined_s,
        votes=dict(ballot.table.votes).get(nodeid, 0),
        expected_votes=dict(ballot.expects).get(nodeid, ballot.table.expected_votes),
        addresses=addresses.get(nodeid, ()),
        fenced_s=0 if fenced is None or state is None else _wall_s(state, fenced.at_ms),
        fenced_by="" if fenced is None else _agent(fenced),
        unfenced=not there and state is not None and _is_unfenced(state, nodeid, fenced),
    )


def _generation(node: Participant) -> int:
    session = node.session
    return last_epoch(session).number if session.state is None else session.state.epoch


def _condition(node: Participant, nodeid: NodeId) -> NodeState:
    session = node.session
    state, view = session.state, session.view
    if view is None or nodeid not in view.members:
        return NodeState.DEAD
    member = None if state is None else state.member(nodeid)
    if member is not None and (member.leaving or member.killed):
        return NodeState.LEAVING
    decided = any(n != nodeid for n in session.synced) or has_begun(session)
    return NodeState.JOINING if decided and member is None else NodeState.MEMBER


def _last_fencing(state: ClusterState, nodeid: NodeId) -> Fencing | None:
    done = [f for f in state.fence.history if f.nodeid == nodeid and f.how in ("agent", "override")]
    return done[-1] if done else None


def _is_unfenced(state: ClusterState, nodeid: NodeId, fenced: Fencing | None) -> bool:
    """Whether a node that is down was up once, and nobody has made certain since that nothing runs there."""
    was_up = any(boot.nodeid == nodeid for boot in state.boots)
    return was_up and (state.fence.victim(nodeid) is not None or fenced is None)


def _wall_s(state: ClusterState, at_ms: int) -> int:
    return state.wall_s - (state.now_ms - at_ms) // 1000


def _agent(fenced: Fencing) -> str:
    _, _, agent = fenced.text.partition("agent ")
    return agent or fenced.how
