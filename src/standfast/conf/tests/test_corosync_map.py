"""What a corosync that has taken a configuration must say of itself."""

from msgspec.structs import replace

from standfast.conf.corosync_map import TOKEN_KEY, missing, wanted_map
from standfast.conf.messaging import Messaging, Totem
from standfast.conf.model import Altname, Cluster, ClusterNode
from standfast.terms import NodeId

ONE, TWO = NodeId(1), NodeId(2)
PAIR = Cluster(
    name="c",
    config_version=7,
    nodes=(ClusterNode(name="a", nodeid=ONE, votes=1), ClusterNode(name="b", nodeid=TWO, votes=3)),
    token_ms=2000,
)
ADDRESSES = {ONE: ("10.0.0.1",), TWO: ("10.0.0.2",)}
TAKEN: dict[str, str | int] = {
    "totem.join": 60,
    "totem.fail_recv_const": 2500,
    "runtime.config.totem.token": 2000,
    "nodelist.node.0.nodeid": 1,
    "nodelist.node.0.name": "a",
    "nodelist.node.0.quorum_votes": 1,
    "nodelist.node.0.ring0_addr": "10.0.0.1",
    "nodelist.node.1.nodeid": 2,
    "nodelist.node.1.name": "b",
    "nodelist.node.1.quorum_votes": 3,
    "nodelist.node.1.ring0_addr": "10.0.0.2",
}


def test_map_that_has_everything_lacks_nothing() -> None:
    assert missing(wanted_map(PAIR, ADDRESSES), TAKEN) == ()


def test_old_value_is_named_with_the_one_that_is_wanted() -> None:
    found = {**TAKEN, TOKEN_KEY: 1000, "totem.join": 50}
    assert missing(wanted_map(PAIR, ADDRESSES), found) == (
        "totem.join is 50 instead of 60",
        f"{TOKEN_KEY} is 1000 instead of 2000",
    )


def test_node_that_should_be_gone_is_named() -> None:
    found = {**TAKEN, "nodelist.node.2.nodeid": 3}
    assert missing(wanted_map(PAIR, ADDRESSES), found) == ("nodelist.node.2.nodeid is 3 instead of absent",)


def test_node_that_is_not_there_yet_is_named() -> None:
    found = {key: value for key, value in TAKEN.items() if ".1." not in key}
    assert "nodelist.node.1.name is absent instead of b" in missing(wanted_map(PAIR, ADDRESSES), found)


def test_link_that_was_removed_and_one_that_was_added_are_seen() -> None:
    found = {**TAKEN, "nodelist.node.0.ring1_addr": "10.1.0.1"}
    assert missing(wanted_map(PAIR, ADDRESSES), found) == (
        "nodelist.node.0.ring1_addr is 10.1.0.1 instead of absent",
    )
    linked = replace(
        PAIR, nodes=tuple(replace(n, altnames=(Altname(name=f"{n.name}2"),)) for n in PAIR.nodes)
    )
    addresses = {ONE: ("10.0.0.1", "fd00:0::1"), TWO: ("10.0.0.2", "fd00::2")}
    assert missing(wanted_map(linked, addresses), TAKEN) == (
        "nodelist.node.0.ring1_addr is absent instead of fd00::1",
        "nodelist.node.1.ring1_addr is absent instead of fd00::2",
    )


def test_token_that_corosync_lengthens_by_itself_is_not_compared() -> None:
    three = replace(PAIR, nodes=(*PAIR.nodes, ClusterNode(name="c", nodeid=NodeId(3), votes=1)))
    addresses = {**ADDRESSES, NodeId(3): ("10.0.0.3",)}
    lengthened = replace(three, messaging=Messaging(totem=Totem(token_coefficient_ms=650)))
    assert TOKEN_KEY in wanted_map(three, addresses)
    assert TOKEN_KEY not in wanted_map(lengthened, addresses)
