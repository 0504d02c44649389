import pytest

from standfast.conf.model import Cluster, ClusterNode
from standfast.conf.update import check_update
from standfast.terms import NodeId


def cluster(*ids: int, version: int = 2, name: str = "c", two_node: bool = False) -> Cluster:
    nodes = tuple(ClusterNode(name=f"n{nodeid}", nodeid=NodeId(nodeid)) for nodeid in ids)
    return Cluster(name=name, config_version=version, nodes=nodes, two_node=two_node)


def reasons(old: Cluster, new: Cluster, *members: int) -> list[tuple[str, str]]:
    return [
        (found.code, found.text) for found in check_update(old, new, {NodeId(member) for member in members})
    ]


def test_newer_version_that_adds_a_node_is_welcome() -> None:
    assert reasons(cluster(1, 2, version=1), cluster(1, 2, 3), 1, 2) == []


@pytest.mark.parametrize("version", [1, 2])
def test_version_that_is_not_greater_is_refused(version: int) -> None:
    assert reasons(cluster(1), cluster(1, version=version), 1) == [
        (
            "I64",
            (
                "Proposed updated config file does not have greater version number.\n"
                "  Current config_version :: 2\n"
                f"  Proposed config_version:: {version}"
            ),
        )
    ]


def test_other_cluster_name_is_refused() -> None:
    assert reasons(cluster(1, version=1), cluster(1, name="d"), 1) == [
        ("I65", 'cluster name "d" differs from running cluster "c"')
    ]


def test_changed_nodeid_is_refused() -> None:
    new = Cluster(name="c", config_version=2, nodes=(ClusterNode(name="n1", nodeid=NodeId(7)),))
    assert reasons(cluster(1, version=1), new, 1) == [
        ("I66", "node n1: nodeid changed from 1 to 7; restart needed")
    ]


def test_member_is_not_removed_but_an_absent_node_is() -> None:
    old = cluster(1, 2, 3, version=1)
    assert reasons(old, cluster(1), 1, 2) == [("I67", "node n2 is a member; stop it first")]


def test_third_node_is_refused_while_two_node_stays() -> None:
    assert reasons(cluster(1, 2, version=1, two_node=True), cluster(1, 2, 3, two_node=True), 1, 2) == [
        ("I68", "two_node needs exactly 2 nodes, found 3; stop the cluster and remove two_node")
    ]


@pytest.mark.parametrize(
    ("new", "members"),
    [(cluster(1, 2), (1, 2)), (cluster(1, 2, 3), (1,))],
    ids=["no node more", "a node is down"],
)
def test_two_node_does_not_change_alone_or_while_a_node_is_down(
    new: Cluster, members: tuple[int, ...]
) -> None:
    assert reasons(cluster(1, 2, version=1, two_node=True), new, *members) == [
        ("I68", "two_node cannot change while the cluster runs; stop all nodes, change it, start them")
    ]


def test_two_node_may_go_together_with_a_third_node_while_all_are_up() -> None:
    assert reasons(cluster(1, 2, version=1, two_node=True), cluster(1, 2, 3), 1, 2) == []
