"""The votes that quorum is judged by, as the active configuration gives them, and what operators changed since.

Pure.
"""

from msgspec import Struct

from standfast.conf.model import Cluster
from standfast.terms import NodeId


class VoteTable(Struct, frozen=True, kw_only=True):
    """Votes of each configured node, the expected votes of the whole cluster, and two-node mode.

    `arbiter`: something other than these votes decides between parts of the cluster that could both go on: fencing in
    two-node mode, else a quorum device, the tie-breaker, or last_man_standing.
    The other three say what holds until something changes it: members that expect another number than `expected_votes`
    (until they join anew), members that leave for good and do not count any more, and what the quorum may not fall below.
    Source: cman(5), two_node and expected_votes; spec membership, sections 3 and 5.
    """

    votes: tuple[tuple[NodeId, int], ...]
    expected_votes: int
    two_node: bool = False
    arbiter: bool = False
    expects: tuple[tuple[NodeId, int], ...] = ()
    leaving: tuple[NodeId, ...] = ()
    quorum_min: int = 0


def vote_table(cluster: Cluster) -> VoteTable:
    """Return the votes that a configuration gives."""
    votes = tuple((node.nodeid, node.votes) for node in cluster.nodes)
    expected = sum(count for _, count in votes) if cluster.expected_votes is None else cluster.expected_votes
    return VoteTable(
        votes=votes,
        expected_votes=1 if cluster.two_node else expected,
        two_node=cluster.two_node,
        arbiter=has_arbiter(cluster),
    )


def has_arbiter(cluster: Cluster) -> bool:
    """Whether a part without the majority of the votes may be quorate. Source: votequorum(5), corosync-qdevice(8)."""
    messaging = cluster.messaging
    return (
        cluster.two_node
        or messaging.device is not None
        or messaging.auto_tie_breaker
        or messaging.last_man_standing
    )
