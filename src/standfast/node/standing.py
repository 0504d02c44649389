"""How this node stands, in a line for a person: what it waits for, or what runs here.

Pure.
"""

from standfast.cluster.participant import Participant, permission
from standfast.cluster.state import ClusterState, MemberStatus
from standfast.services.work import needs_care


def standing(node: Participant) -> str:
    """Return the line."""
    session = node.session
    here = sum(needs_care(work) for work in node.labour.services)
    stopping = f"; stopping {_services(here)}" if here else ""
    if session.evicted:
        return f"evicted from the cluster: {session.evicted}{stopping}"
    if session.view is None or session.quorate is None:
        return "waiting for the cluster engine"
    if not session.quorate:
        return f"waiting for quorum{stopping}"
    if session.state is None or not permission(node).begun:
        return "waiting for the state of the cluster"
    if node.held:
        return "waiting for what it missed while it stood still"
    return _part(session.state, node, here)


def takes_part(node: Participant) -> bool:
    """Whether the node belongs to a quorate cluster and knows its present state."""
    return permission(node).may_act


def may_run(node: Participant, found_at_start: bool) -> bool:
    """Whether anything of a service may run here; `found_at_start`: an earlier daemon of this boot left something."""
    if not node.labour.inventory_taken:
        return found_at_start
    return any(needs_care(work) for work in node.labour.services)


def _part(state: ClusterState, node: Participant, here: int) -> str:
    member = state.member(node.session.me.nodeid)
    victims = ", ".join(state.name_of(victim.nodeid) for victim in state.fence.victims)
    fencing = f"; waiting for the fencing of {victims}" if victims else ""
    if member is None or member.status is not MemberStatus.ONLINE:
        return f"looking what runs here{fencing}"
    if member.leaving:
        return f"leaving the cluster, {_services(here)} still here"
    return f"synced, {_services(here)} here{fencing}"


def _services(count: int) -> str:
    return f"{count or 'no'} service{'' if count == 1 else 's'}"
