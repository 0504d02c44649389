"""What the engine on corosync says when it cannot go on, or is worried."""

from standfast.engine.corosync_library import ERR_ACCESS, CorosyncError
from standfast.errors import EngineError


def unusable(name: str, failure: CorosyncError) -> EngineError:
    """corosync cannot be used at all."""
    if failure.number == ERR_ACCESS:
        return EngineError(
            f"{name}: corosync refuses this user ({failure}); run the daemon as root", code="corosync-denied"
        )
    return EngineError(
        f"{name}: corosync does not answer ({failure}); start it with: standfast up", code="corosync-down"
    )


def gone(name: str, failure: CorosyncError) -> EngineError:
    """corosync ended under the daemon."""
    return EngineError(
        f"{name}: corosync is gone ({failure}); see its log, then start the node again with: standfast up",
        code="corosync-gone",
    )


def silent(name: str, seconds: float) -> str:
    """corosync hangs."""
    return f"{name}: corosync has not answered for {seconds:.1f} s; see whether it is stopped or starved, then restart it"


def no_ring(name: str, seconds: float) -> str:
    """corosync forms no ring."""
    return (
        f"{name}: corosync has delivered nothing for {seconds:.0f} s, although it answers: the nodes do not agree who is "
        f"there; is a link between two of them broken that others still have?"
    )


def stuck(name: str) -> str:
    """The daemon takes nothing."""
    return f"{name}: the daemon takes nothing from the engine, and all others wait for it; restart it"


def left(name: str) -> EngineError:
    """The daemon has left."""
    return EngineError(f"{name}: this daemon left the engine; attach again", code="engine-left")


def other_cluster(name: str, found: str, wanted: str) -> str:
    """corosync belongs to another cluster."""
    return (
        f'{name}: corosync runs for cluster "{found}", and cluster.conf is of "{wanted}"; '
        f"stop corosync, then start the node with: standfast up"
    )


def other_node(name: str, found: int, wanted: int) -> str:
    """corosync has another node id."""
    return (
        f"{name}: corosync has node id {found}, and cluster.conf gives this node {wanted}; "
        f"stop corosync, then start the node with: standfast up"
    )
