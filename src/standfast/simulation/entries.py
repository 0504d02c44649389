"""What daemons send and what they know, as a run's log and chronicle keep it."""

from standfast.cluster.entry import Decision, Entry, Hello, Observation
from standfast.cluster.state import ClusterState
from standfast.simulation.chronicle import Folded
from standfast.terms import NodeId


def folded(now_ms: int, nodeid: NodeId, state: ClusterState) -> Folded:
    """Return the step that says which state a node has."""
    content = hash(
        (
            state.now_ms,
            state.wall_s,
            state.protocol,
            state.document,
            state.config.config_version,
            state.services,
            state.members,
            state.boots,
            state.fence,
            state.requests,
            state.outcomes,
            state.rollout,
            state.kept,
            state.estranged,
        )
    )
    point = (state.epoch, state.begun_view, state.index)
    return Folded(now_ms, nodeid, point, content, cluster_ms=state.now_ms)


def shown(entry: Entry) -> str:
    """Return an entry as the log of a run shows it."""
    match entry:
        case Decision():
            return f"Decision {entry.proposals}"
        case Observation():
            return f"Observation {entry.fact}"
        case Hello():
            return f"Hello {entry.lineage} in view {entry.view_id}"
        case _:
            return type(entry).__name__
