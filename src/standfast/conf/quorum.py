"""How many votes corosync is told to expect, and how many make the cluster quorate.

Source: votequorum(5); spec membership, section 16.4.
"""

from standfast.conf.model import Cluster


def quorum_of(cluster: Cluster) -> int:
    """Return how many votes make the cluster quorate, as votequorum counts. Source: votequorum(5)."""
    return 1 if cluster.two_node else expected_votes_of(cluster) // 2 + 1


def expected_votes_of(cluster: Cluster) -> int:
    """Return the votes of the complete cluster, a quorum device's among them."""
    votes = sum(node.votes for node in cluster.nodes)
    device = cluster.messaging.device
    if device is not None:
        return votes + (votes - 1 if device.votes is None else device.votes)
    return votes if cluster.two_node else cluster.expected_votes or votes
