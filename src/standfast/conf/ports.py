"""Which ports the nodes of a cluster use towards each other.

Source: spec membership, section 13.
"""

from standfast.conf.model import Cluster


def link_ports(cluster: Cluster) -> tuple[int, ...]:
    """Return the UDP port of each link, link 0 first: cman/@port, then the altname's or one more for each link."""
    first = cluster.messaging.port
    links = max((len(node.altnames) for node in cluster.nodes), default=0)
    return (first, *(_altname_port(cluster, link) or first + link for link in range(1, links + 1)))


def _altname_port(cluster: Cluster, link: int) -> int | None:
    given = (node.altnames[link - 1].port for node in cluster.nodes if len(node.altnames) >= link)
    return next((port for port in given if port is not None), None)
