"""A new cluster.conf against the one that is running: what an update may change.

Source: spec configuration, section 11 (I64 to I68); spec membership, section 4 (two_node).
"""

from collections.abc import Collection, Iterator

from standfast.conf.findings import Finding, error
from standfast.conf.model import Cluster
from standfast.terms import NodeId


def check_update(old: Cluster, new: Cluster, members: Collection[NodeId]) -> tuple[Finding, ...]:
    """Return why `new` may not replace the running `old`; `members` are the nodes of the current view."""
    return tuple(_check(old, new, members))


def not_newer_lines(current: int, proposed: int) -> tuple[str, ...]:
    """Return RHCS's words for a version that is not greater than the running one."""
    return (
        "Proposed updated config file does not have greater version number.",
        f"  Current config_version :: {current}",
        f"  Proposed config_version:: {proposed}",
    )


def _check(old: Cluster, new: Cluster, members: Collection[NodeId]) -> Iterator[Finding]:
    if new.config_version <= old.config_version:
        yield error(0, "I64", "\n".join(not_newer_lines(old.config_version, new.config_version)))
    if new.name != old.name:
        yield error(0, "I65", f'cluster name "{new.name}" differs from running cluster "{old.name}"')
    ids = {node.name: node.nodeid for node in new.nodes}
    for node in old.nodes:
        nodeid = ids.get(node.name)
        if nodeid is not None and nodeid != node.nodeid:
            yield error(
                0, "I66", f"node {node.name}: nodeid changed from {node.nodeid} to {nodeid}; restart needed"
            )
        elif nodeid is None and node.nodeid in members:
            yield error(0, "I67", f"node {node.name} is a member; stop it first")
    yield from _check_two_node(old, new, members)


def _check_two_node(old: Cluster, new: Cluster, members: Collection[NodeId]) -> Iterator[Finding]:
    if old.two_node and new.two_node and len(new.nodes) != 2:
        yield error(
            0,
            "I68",
            f"two_node needs exactly 2 nodes, found {len(new.nodes)}; stop the cluster and remove two_node",
        )
    elif old.two_node != new.two_node:
        nodes_change = len(old.nodes) != len(new.nodes)
        all_up = all(node.nodeid in members for node in old.nodes)
        if not (nodes_change and all_up):
            yield error(
                0,
                "I68",
                "two_node cannot change while the cluster runs; stop all nodes, change it, start them",
            )
