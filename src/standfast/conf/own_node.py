"""Which entry of cluster.conf is a machine's own.

Pure. Source: spec membership, section 2.1.
"""

from collections.abc import Sequence

from standfast.conf.model import Cluster, ClusterNode


def own_node(cluster: Cluster, wanted: str, hostname: str) -> ClusterNode | None:
    """Return the machine's entry, None where it has none. `wanted` is a name that the operator gave, "" for none.

    Differs from cman: addresses are not looked up backwards, because a name server must not delay a start.
    """
    names = [node.name for node in cluster.nodes]
    candidates = [wanted] if wanted else _candidates(hostname, names)
    return next((node for name in candidates for node in cluster.nodes if node.name == name), None)


def _candidates(hostname: str, names: Sequence[str]) -> list[str]:
    short = hostname.partition(".")[0]
    exact = [name for name in (hostname, short) if name in names]
    return exact or [name for name in names if name.partition(".")[0] == short]
