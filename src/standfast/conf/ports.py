"""Which ports of which machines a cluster needs open.

Source: spec membership, section 13 (the suite's other ports are not used); corosync-qdevice(8).
"""

from enum import StrEnum

from msgspec import Struct

from standfast.conf.model import Cluster


class Protocol(StrEnum):
    """What runs over IP."""

    UDP = "udp"
    TCP = "tcp"


class Port(Struct, frozen=True, kw_only=True):
    """One port that must be open. `host` is the machine that listens; None is every node, for the other nodes."""

    port: int
    protocol: Protocol
    host: str | None = None
    use: str


def link_ports(cluster: Cluster) -> tuple[int, ...]:
    """Return the UDP port of each link, link 0 first: cman/@port, then the altname's or one more for each link."""
    first = cluster.messaging.port
    links = max((len(node.altnames) for node in cluster.nodes), default=0)
    return (first, *(_altname_port(cluster, link) or first + link for link in range(1, links + 1)))


def ports_of(cluster: Cluster) -> tuple[Port, ...]:
    """Return the ports, those of the nodes first, each once."""
    by_port: dict[int, list[int]] = {}
    for link, port in enumerate(link_ports(cluster)):
        by_port.setdefault(port, []).append(link)
    own = (
        Port(port=port, protocol=Protocol.UDP, use=f"corosync, {_links(links)}")
        for port, links in by_port.items()
    )
    asked = Port(
        port=link_ports(cluster)[0], protocol=Protocol.TCP, use="standfastd, asked by a node that was away"
    )
    device = cluster.messaging.device
    if device is None:
        return (*own, asked)
    return (
        *own,
        asked,
        Port(port=device.port, protocol=Protocol.TCP, host=device.host, use="corosync-qnetd"),
    )


def _links(numbers: list[int]) -> str:
    return f"link{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _altname_port(cluster: Cluster, link: int) -> int | None:
    given = (node.altnames[link - 1].port for node in cluster.nodes if len(node.altnames) >= link)
    return next((port for port in given if port is not None), None)
