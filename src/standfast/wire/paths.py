"""Where a node's files are; one prefix moves them all, so that several nodes fit on one machine."""

from msgspec import Struct

PREFIX_VARIABLE = "STANDFAST_PREFIX"  # read by the programs' entry points only


class Paths(Struct, frozen=True, kw_only=True):
    """Absolute paths of one node."""

    cluster_conf: str
    run_dir: str
    state_dir: str
    control_socket: str


def paths_under(prefix: str) -> Paths:
    """Return the paths below `prefix`; "" is the machine itself."""
    root = prefix.rstrip("/")
    return Paths(
        cluster_conf=f"{root}/etc/cluster/cluster.conf",
        run_dir=f"{root}/run/standfast",
        state_dir=f"{root}/var/lib/standfast",
        control_socket=f"{root}/run/standfast/control.sock",
    )
