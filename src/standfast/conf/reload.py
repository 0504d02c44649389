"""What an update of cluster.conf means for the corosync that runs: taken at once, in two steps, or after a full stop.

Source: spec membership, sections 16.4 and 16.7; votequorum(5), "VARIOUS NOTES"; the founding document, "Adding and
removing cluster nodes" (two nodes become three); what corosync 3.1.7 took and refused when it was tried.
"""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct, structs

from standfast.conf.addresses import names_of
from standfast.conf.messaging import QuorumDevice, Totem
from standfast.conf.model import Cluster, ClusterNode
from standfast.conf.ports import link_ports
from standfast.conf.quorum import expected_votes_of, quorum_of
from standfast.terms import NodeId


class Effect(StrEnum):
    """How a change reaches the corosync that runs, the hardest first."""

    STOP = "stop"  # all nodes at once
    RESTART = "restart"  # corosync, or its quorum device, reads it at its start only
    TWICE = "twice"  # by two updates, one after the other
    LIVE = "live"  # by corosync-cfgtool -R


class Change(Struct, frozen=True):
    """One thing that differs; `text` says what, and all that has to be done for it."""

    effect: Effect
    text: str


STOP = (
    "stop the cluster on every node (standfast down), put the new cluster.conf on every node, then start every node "
    "(standfast up); all but the last by one command: standfast reconfigure FILE"
)
RESTART = f"corosync reads this at its start only: {STOP}"
RESTART_DEVICE = f"corosync-qdevice reads this at its start only: {STOP}"
LIVE = "taken while the cluster runs"

_STATIC_SETTINGS = frozenset({"netmtu"})  # of totem/@*, those that corosync reads at its start only


def corosync_changes(old: Cluster, new: Cluster) -> tuple[Change, ...]:
    """Return what `new` changes for a corosync that runs with `old`, the hardest first; nothing where all is the same.

    A key with other bytes in the same file is not seen here, nor is a name that stands for another address.
    """
    rank = list(Effect).index
    return tuple(sorted(_changes(old, new), key=lambda change: rank(change.effect)))


def refusals(old: Cluster, new: Cluster) -> tuple[str, ...]:
    """Return why a corosync that runs with `old` cannot take `new` while it runs, each with what to do instead."""
    return tuple(change.text for change in corosync_changes(old, new) if change.effect is not Effect.LIVE)


def announcements(old: Cluster, new: Cluster) -> tuple[str, ...]:
    """Return what a running corosync takes of `new`, and what comes of it."""
    return tuple(change.text for change in corosync_changes(old, new) if change.effect is Effect.LIVE)


def _changes(old: Cluster, new: Cluster) -> Iterator[Change]:
    if old.name != new.name:
        yield _stop(f"the cluster's name {old.name} becomes {new.name}")
    yield from _key_changes(old, new)
    if old.two_node == new.two_node:
        yield from _node_changes(old, new)
    else:
        yield _two_node_change(old, new)
    yield from _link_changes(old, new)
    yield from _timer_changes(old, new)
    yield from _option_changes(old, new)
    yield from _device_changes(old.messaging.device, new.messaging.device)
    if (old.messaging.log, old.messaging.log_subsystems) != (new.messaging.log, new.messaging.log_subsystems):
        yield Change(Effect.LIVE, f"the log of corosync changes: {LIVE}")


def _stop(what: str) -> Change:
    return Change(Effect.STOP, f"{what}: {STOP}")


def _key_changes(old: Cluster, new: Cluster) -> Iterator[Change]:
    if old.messaging.keyfile != new.messaging.keyfile:
        yield _stop("the key is another file")
    before, after = old.messaging.totem, new.messaging.totem
    if (before.cipher, before.hash) != (after.cipher, after.hash):
        yield _stop(f"encryption {before.cipher} with {before.hash} becomes {after.cipher} with {after.hash}")


def _two_node_change(old: Cluster, new: Cluster) -> Change:
    """corosync would take it, but a node that then stands alone is quorate or blocked before anybody looked."""
    word = "set" if new.two_node else "removed"
    before, after = {node.name for node in old.nodes}, {node.name for node in new.nodes}
    parts = [
        f"two_node is {word}",
        *(f"{name} is added" for name in sorted(after - before)),
        *(f"{name} is removed" for name in sorted(before - after)),
    ]
    return _stop(f"{', '.join(parts)} (quorum {quorum_of(old)} becomes {quorum_of(new)})")


def _node_changes(old: Cluster, new: Cluster) -> Iterator[Change]:
    before, after = _by_id(old), _by_id(new)
    quorum = f"quorum {_quorum(old)} becomes {_quorum(new)} at once"
    for nodeid, node in after.items():
        was = before.get(nodeid)
        if was is None:
            yield Change(Effect.LIVE, f"node {node.name} is added: {LIVE}, {quorum}; then start {node.name}")
        elif was.name != node.name:
            yield _stop(f"node {was.name} with nodeid {nodeid} becomes {node.name}")
        elif was.votes != node.votes:
            yield Change(
                Effect.LIVE, f"node {node.name}: votes {was.votes} become {node.votes}: {LIVE}, {quorum}"
            )
    for nodeid, node in before.items():
        if nodeid not in after:
            yield Change(
                Effect.LIVE,
                f"node {node.name} is removed: stop {node.name} (standfast down) before "
                f"the update; the rest is {LIVE}, {quorum}",
            )
    if old.expected_votes != new.expected_votes:
        shown = tuple(
            number or "(the sum of all votes)" for number in (old.expected_votes, new.expected_votes)
        )
        yield Change(Effect.LIVE, f"expected_votes {shown[0]} becomes {shown[1]}: {LIVE}, {quorum}")


def _quorum(cluster: Cluster) -> str:
    return f"{quorum_of(cluster)} of {expected_votes_of(cluster)}"


def _by_id(cluster: Cluster) -> dict[NodeId, ClusterNode]:
    return {node.nodeid: node for node in sorted(cluster.nodes, key=lambda node: node.nodeid)}


def _link_changes(old: Cluster, new: Cluster) -> Iterator[Change]:
    before, after = link_ports(old), link_ports(new)
    for link, (was, port) in enumerate(zip(before, after, strict=False)):
        if was != port:
            # corosync says Done and goes on listening on the old port
            yield _stop(f"port {was} of link {link} becomes {port}")
    for link in range(len(before), len(after)):
        yield Change(Effect.LIVE, f"link {link} is added (port {after[link]}): {LIVE}; open the port first")
    for link in range(len(after), len(before)):
        yield Change(Effect.LIVE, f"link {link} is removed: {LIVE}")
    for nodeid, node in _by_id(new).items():
        was_node = _by_id(old).get(nodeid)
        names = zip(names_of(was_node)[1:], names_of(node)[1:], strict=False) if was_node else ()
        for link, (was_name, name) in enumerate(names, 1):
            if was_name != name:
                # corosync refuses an address that changes, for all links of all nodes at once
                yield Change(
                    Effect.TWICE,
                    f"node {node.name}: link {link} has the name {name} instead of {was_name}: remove the altnames of "
                    f"link {link} from every node with one update, and add them with the next",
                )
    if old.messaging.totem.link_mode != new.messaging.totem.link_mode:
        modes = f"{old.messaging.totem.link_mode} becomes {new.messaging.totem.link_mode}"
        yield Change(Effect.RESTART, f"the use of links {modes}: {RESTART}")
    if old.messaging.totem.links != new.messaging.totem.links:
        yield Change(Effect.LIVE, f"settings of links change: {LIVE}")


def _timer_changes(old: Cluster, new: Cluster) -> Iterator[Change]:
    before, after = _timers(old), _timers(new)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            was, number = (values.get(name, "(corosync's own)") for values in (before, after))
            what = f"{name} {was} becomes {number}"
            yield _stop(what) if name in _STATIC_SETTINGS else Change(Effect.LIVE, f"{what}: {LIVE}")


def _timers(cluster: Cluster) -> dict[str, int]:
    totem: Totem = cluster.messaging.totem
    consensus = () if totem.consensus_ms is None else (("consensus", totem.consensus_ms),)
    return dict(
        (
            ("token", cluster.token_ms),
            ("token_coefficient", totem.token_coefficient_ms),
            ("join", totem.join_ms),
            ("fail_recv_const", totem.fail_recv_const),
            *consensus,
            *totem.settings,
        )
    )


def _option_changes(old: Cluster, new: Cluster) -> Iterator[Change]:
    """corosync reloads without a word, and keeps the options that it started with."""
    before, after = old.messaging, new.messaging
    for name, was, now in (
        ("wait_for_all", before.wait_for_all, after.wait_for_all),
        ("auto_tie_breaker", before.auto_tie_breaker, after.auto_tie_breaker),
        ("last_man_standing", before.last_man_standing, after.last_man_standing),
    ):
        if was != now:
            yield _stop(f"{name} is {'set' if now else 'removed'}")


def _device_changes(old: QuorumDevice | None, new: QuorumDevice | None) -> Iterator[Change]:
    if old is None and new is not None:
        yield _stop(f"the quorum device {new.host} is added")
    elif old is not None and new is None:
        yield _stop(f"the quorum device {old.host} is removed")
    elif old is not None and new is not None and old != new:
        if old.votes != new.votes:
            yield _stop(f"the quorum device's algorithm {old.algorithm} becomes {new.algorithm}")
        else:
            names = [
                name for name, value in structs.asdict(new).items() if value != structs.asdict(old)[name]
            ]
            yield Change(Effect.RESTART, f"the quorum device's {', '.join(names)} changes: {RESTART_DEVICE}")
