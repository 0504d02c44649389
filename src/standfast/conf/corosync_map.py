"""What stands in the map of a corosync that has taken a configuration, and what of it is missing.

corosync-cfgtool -R says that all is done even where a node kept its old settings, so each node looks for itself.
Pure. Source: spec membership, sections 16.6 and 16.7; cmap_keys(7).
"""

from collections.abc import Mapping
from ipaddress import ip_address

from standfast.conf.addresses import Addresses
from standfast.conf.model import Cluster

Value = str | int | None  # None: the key is not there

TOKEN_KEY = "runtime.config.totem.token"
REFUSAL_KEY = "config.reload_error_message"


def wanted_map(cluster: Cluster, addresses: Addresses) -> dict[str, Value]:
    """Return the keys that this cluster.conf decides, with their values; `addresses` as for render_corosync_conf.

    What of corosync.conf does not come back as it is written (links' settings, logging) is not among them.
    """
    totem = cluster.messaging.totem
    timers = (
        ("join", totem.join_ms),
        ("fail_recv_const", totem.fail_recv_const),
        ("consensus", totem.consensus_ms),
    )
    wanted: dict[str, Value] = {f"totem.{name}": value for name, value in (*timers, *totem.settings)}
    if totem.token_coefficient_ms == 0 or len(cluster.nodes) <= 2:
        wanted[TOKEN_KEY] = cluster.token_ms
    links = max((len(node.altnames) for node in cluster.nodes), default=0) + 1
    for place, node in enumerate(cluster.nodes):
        prefix = f"nodelist.node.{place}"
        wanted[f"{prefix}.nodeid"] = node.nodeid
        wanted[f"{prefix}.name"] = node.name
        wanted[f"{prefix}.quorum_votes"] = node.votes
        given = addresses[node.nodeid]
        for link in range(links + 1):
            address = str(ip_address(given[link])) if link < len(given) else None
            wanted[f"{prefix}.ring{link}_addr"] = address
    wanted[f"nodelist.node.{len(cluster.nodes)}.nodeid"] = None
    return wanted


def missing(wanted: Mapping[str, Value], found: Mapping[str, str | int]) -> tuple[str, ...]:
    """Return a few words for each key of corosync's map that is not as wanted, in order."""
    return tuple(
        f"{key} is {_shown(found.get(key))} instead of {_shown(value)}"
        for key, value in wanted.items()
        if _text(found.get(key)) != _text(value)
    )


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def _shown(value: Value) -> str:
    return "absent" if value is None else str(value)
