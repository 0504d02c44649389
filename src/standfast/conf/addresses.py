"""The addresses that the nodes' names stand for, against what corosync can use; looked up by the caller, judged here.

Source: spec configuration, section 11 (I33); corosync.conf(5), ip_version and "ADDRESS RESOLUTION".
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from standfast.conf.findings import Finding, error
from standfast.conf.model import Cluster, ClusterNode
from standfast.terms import NodeId

Addresses = Mapping[NodeId, tuple[str, ...]]
"""Of each node, its addresses: link 0 first, then one for each altname."""


def check_addresses(cluster: Cluster, addresses: Addresses) -> tuple[Finding, ...]:
    """Return why corosync cannot use these addresses; nothing where it can. The findings have no line."""
    return tuple(_check(cluster, addresses))


def _check(cluster: Cluster, addresses: Addresses) -> Iterator[Finding]:
    owners: dict[IPv4Address | IPv6Address, str] = {}
    first: dict[int, tuple[str, int]] = {}  # of each link, the first node and its family
    for node in cluster.nodes:
        names = names_of(node)
        given = addresses.get(node.nodeid, ())
        if len(given) != len(names):
            yield _fault(f"node {node.name}: {len(names)} links need as many addresses, found {len(given)}")
            continue
        for link, (name, text) in enumerate(zip(names, given, strict=True)):
            address = _read(text)
            if address is None:
                yield _fault(f'{name}: "{text}" is not an address that corosync can use; use another')
                continue
            if address.is_loopback:
                yield error(0, "I33", f"{name} resolves to {address}; fix /etc/hosts")
                continue
            place = f"link {link} of node {node.name}"
            if address in owners:
                yield _fault(f"{place} has the address {address} of {owners[address]}; give it its own")
            owners.setdefault(address, place)
            other, family = first.setdefault(link, (node.name, address.version))
            if family != address.version:
                yield _fault(
                    f"link {link}: node {other} has an IPv{family} address and node {node.name} an "
                    f"IPv{address.version} one; a link uses one family"
                )


def names_of(node: ClusterNode) -> tuple[str, ...]:
    """Return the names to look up: the node's own for link 0, then its altnames."""
    return (node.name, *(altname.name for altname in node.altnames))


def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    is_other = address.is_multicast or address.is_unspecified or address.is_link_local
    if isinstance(address, IPv6Address):
        is_other = is_other or address.ipv4_mapped is not None or address.scope_id is not None
    return None if is_other else address


def _fault(text: str) -> Finding:
    return error(0, "I98", text)
