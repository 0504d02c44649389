"""What cman_tool shows of a cluster and its nodes, beside the votes. Source: spec membership, sections 1, 9.10 and 11."""

import pytest
from msgspec.structs import replace

from standfast.cluster.election import cluster_id, election, membership_of, multicast_address
from standfast.cluster.participant import Participant, Viewed, create, step
from standfast.cluster.session import Identity
from standfast.conf.model import Cluster, ClusterNode
from standfast.membership.view import View
from standfast.terms import BootId, Incarnation, NodeId
from standfast.wire.control import Membership, NodeState

ONE, TWO, THREE = NodeId(1), NodeId(2), NodeId(3)
CLUSTER = Cluster(
    name="VMCluster",
    config_version=4,
    nodes=tuple(ClusterNode(name=f"vapp{n}", nodeid=n) for n in (ONE, TWO, THREE)),
)


@pytest.mark.parametrize(
    ("name", "number", "address"),
    [
        ("VMCluster", 43188, "239.192.168.93"),
        ("MyCluster", 46516, "239.192.181.106"),
        ("build", 3240, "239.192.12.180"),
        ("cluster1", 26777, "239.192.104.2"),
        ("alpha", 3169, "239.192.12.109"),
        ("my-cluster", 40372, "239.192.157.82"),
        ("RHCluster", 41524, "239.192.162.214"),
    ],
)
def test_m28_cluster_has_the_id_and_the_address_that_cman_gave_it(
    name: str, number: int, address: str
) -> None:
    found = cluster_id(replace(CLUSTER, name=name))
    assert (found, multicast_address(found)) == (number, address)


def starting() -> Participant:
    """A daemon that has just begun, and took part in epoch 7 once."""
    me = Identity(
        cluster="VMCluster",
        nodeid=ONE,
        name="vapp1",
        incarnation=Incarnation("life-1"),
        boot_id=BootId("boot-1"),
        epoch_seen=7,
    )
    return create(me, CLUSTER, "")


def alone() -> Participant:
    """The same, at 100 s Unix time in its first view, which it is alone in."""
    view = View(view_id=5, members=(ONE,), joined=(ONE,), left=(), hosts=(ONE,))
    node, _ = step(starting(), Viewed(view), 0, 100)
    return node


def test_m29_daemon_is_joining_before_its_first_view() -> None:
    shown = election(starting(), CLUSTER, 1)
    assert (shown.joining, shown.generation, shown.dirty) == (True, 7, False)
    assert membership_of(starting(), ONE, {}).state is NodeState.DEAD


def test_node_without_quorum_is_a_member_and_counts_by_its_file() -> None:
    shown = election(alone(), CLUSTER, 1)
    assert not shown.joining
    assert (shown.expected_votes, shown.total_votes, shown.quorum) == (3, 1, 2)
    assert membership_of(alone(), ONE, {ONE: ("10.1.4.201",)}) == Membership(
        state=NodeState.MEMBER,
        incarnation=7,
        joined_s=100,
        votes=1,
        expected_votes=3,
        addresses=("10.1.4.201",),
    )


def test_node_that_is_not_there_is_dead() -> None:
    dead = Membership(state=NodeState.DEAD, votes=1, expected_votes=3)
    assert membership_of(alone(), TWO, {}) == dead
