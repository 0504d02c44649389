"""The votes that quorum is judged by, as the active configuration gives them."""

from msgspec import Struct

from standfast.terms import NodeId


class VoteTable(Struct, frozen=True, kw_only=True):
    """Votes of each configured node, the expected votes of the whole cluster, and two-node mode.

    Source: cman(5), two_node and expected_votes; spec membership, section 3.
    """

    votes: tuple[tuple[NodeId, int], ...]
    expected_votes: int
    two_node: bool = False
