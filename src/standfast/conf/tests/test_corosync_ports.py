"""The ports that a cluster needs."""

from msgspec.structs import replace

from standfast.conf.messaging import Messaging, QuorumDevice
from standfast.conf.model import Altname, Cluster, ClusterNode
from standfast.conf.ports import Port, Protocol, ports_of
from standfast.terms import NodeId

ASKED = Port(port=5405, protocol=Protocol.TCP, use="standfastd, asked by a node that was away")


def cluster(*ports: int | None) -> Cluster:
    altnames = tuple(Altname(name=f"a{number}", port=port) for number, port in enumerate(ports))
    return Cluster(
        name="c", config_version=1, nodes=(ClusterNode(name="a", nodeid=NodeId(1), altnames=altnames),)
    )


def test_each_link_needs_its_port() -> None:
    assert ports_of(cluster(None, 7000)) == (
        Port(port=5405, protocol=Protocol.UDP, use="corosync, link 0"),
        Port(port=5406, protocol=Protocol.UDP, use="corosync, link 1"),
        Port(port=7000, protocol=Protocol.UDP, use="corosync, link 2"),
        ASKED,
    )


def test_port_of_two_links_is_named_once() -> None:
    link = Port(port=5405, protocol=Protocol.UDP, use="corosync, links 0, 1")
    assert ports_of(cluster(5405)) == (link, ASKED)


def test_server_of_a_quorum_device_listens_on_its_own_machine() -> None:
    messaging = Messaging(device=QuorumDevice(host="q", port=99))
    assert ports_of(replace(cluster(), messaging=messaging))[2:] == (
        Port(port=99, protocol=Protocol.TCP, host="q", use="corosync-qnetd"),
    )
