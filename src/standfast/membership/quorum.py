"""Quorum: how many votes a cluster needs before it may act, and how many the present members have.

Pure. Source: spec membership, sections 3 to 5; cman(5), votequorum(5).
"""

from collections.abc import Collection
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from standfast.membership.votes import VoteTable
from standfast.terms import NodeId


class Present(Struct, frozen=True, tag=True):
    """A new view: exactly these nodes are members. A death never lowers the quorum; a joiner may raise it."""

    members: tuple[NodeId, ...]


class Removed(Struct, frozen=True, tag=True):
    """A member leaves for good ("leave remove"): those who stay expect one vote each, and the quorum may fall.

    It does not count any more, although it is still there, until a view without it has passed.
    """

    nodeid: NodeId


class Expected(Struct, frozen=True, tag=True):
    """A member asks for other expected votes ("expected -e"); no member expects more than that from now on.

    To be refused when the ballot that `step` returns is not quorate. Source: spec membership, section 5.1.
    """

    by: NodeId
    votes: int


class VotesSet(Struct, frozen=True, tag=True):
    """A node's votes change ("votes -v") until the next configuration.

    To be refused when the ballot that `step` returns is not quorate. Source: spec membership, section 5.2.
    """

    nodeid: NodeId
    votes: int


class Configured(Struct, frozen=True, tag=True):
    """The active configuration changed, or what operators changed beside it; quorum is judged anew, and may fall."""

    table: VoteTable


QuorumEvent = Present | Removed | Expected | VotesSet | Configured


class Ballot(Struct, frozen=True, kw_only=True):
    """What one node knows of the cluster's votes; `step` folds events into it.

    `present` are the members of the view, those without a vote, too: the next configuration may give them one.
    """

    table: VoteTable
    present: tuple[NodeId, ...] = ()
    expects: tuple[tuple[NodeId, int], ...] = ()  # each voting member with the expected votes that it holds
    leaving: tuple[NodeId, ...] = ()  # members that are still there and do not count any more
    quorum: int = 0  # votes needed; 0 before the first view

    @property
    def expected(self) -> int:
        """Expected votes of the cluster: the most that any member expects."""
        return max((votes for _, votes in self.expects), default=self.table.expected_votes)

    @property
    def total(self) -> int:
        """Votes of the present members."""
        votes = dict(self.table.votes)
        return sum(votes.get(nodeid, 0) for nodeid, _ in self.expects)

    @property
    def quorate(self) -> bool:
        """Whether the present members may act for the cluster."""
        return 0 < self.quorum <= self.total


def step(ballot: Ballot, event: QuorumEvent) -> Ballot:
    """Fold one event into the ballot. Source: spec membership, sections 3.1 and 3.2."""
    match event:
        case Present(members):
            return _with_quorum(_with_members(ballot, members), floor=ballot.quorum)
        case Removed(nodeid):
            stay = [member for member, _ in ballot.expects if member != nodeid]
            ballot = replace(ballot, leaving=tuple(sorted({*ballot.leaving, nodeid})))
            return _with_quorum(_with_expects(ballot, [(member, len(stay)) for member in stay]), floor=0)
        case Expected(by, votes):
            expects = [(m, votes if m == by else min(held, votes)) for m, held in ballot.expects]
            return _with_quorum(_with_expects(ballot, expects), floor=0)
        case VotesSet(nodeid, votes):
            others = [(other, held) for other, held in ballot.table.votes if other != nodeid]
            table = replace(ballot.table, votes=tuple(sorted([*others, (nodeid, votes)])))
            return _with_quorum(replace(ballot, table=table), floor=0)
        case Configured(table):
            # Differs from cman, which never lowers quorum at a re-read: a configuration that removes nodes is a
            # decision of the quorate cluster, and must not leave it blocked until a full stop.
            given = replace(table, expects=(), leaving=(), quorum_min=0)
            fresh = Ballot(table=given, expects=table.expects, leaving=table.leaving)
            present = _with_members(fresh, ballot.present)
            return _with_quorum(present, floor=table.quorum_min) if ballot.quorum else present
        case _:
            assert_never(event)


def in_force(ballot: Ballot) -> VoteTable:
    """Return what an engine of a member has to be told, by `configure`, so that its ballot becomes this one."""
    default = ballot.table.expected_votes
    return replace(
        ballot.table,
        expects=tuple((member, held) for member, held in ballot.expects if held != default),
        leaving=ballot.leaving,
        quorum_min=0 if _with_quorum(ballot, floor=0).quorum == ballot.quorum else ballot.quorum,
    )


def plain(table: VoteTable, members: tuple[NodeId, ...]) -> VoteTable:
    """Return the table for an engine that counts by itself and knows votes and one expected number only (votequorum).

    Members that leave for good have no vote; the cluster expects what it does with these members.
    """
    ballot = step(step(Ballot(table=table), Present(members)), Configured(table))
    votes = tuple((nodeid, 0 if nodeid in table.leaving else count) for nodeid, count in table.votes)
    return VoteTable(
        votes=votes, expected_votes=ballot.expected, two_node=table.two_node, arbiter=table.arbiter
    )


def is_majority(ballot: Ballot, nodes: Collection[NodeId]) -> bool:
    """Whether what these nodes know survives as long as the cluster can be quorate; with an arbiter one is enough.

    Where operators have lowered the expected votes below those of the configuration, they vouch for the nodes that are left
    out: then a majority of what is expected counts.
    """
    votes = sum(count for nodeid, count in ballot.table.votes if nodeid in nodes)
    return ballot.table.arbiter or 2 * votes > electorate(ballot)


def electorate(ballot: Ballot) -> int:
    """Votes of which a majority has to know something, so that nobody can decide without knowing it."""
    total = sum(count for _, count in ballot.table.votes)
    return total if ballot.expected >= ballot.table.expected_votes else min(total, ballot.expected)


def _with_members(ballot: Ballot, members: tuple[NodeId, ...]) -> Ballot:
    """Only nodes of the configuration vote; one that joins brings the configured expected votes."""
    # Differs from cman, which gives a node that is not in cluster.conf one vote: a stranger must not make us quorate.
    held = dict(ballot.expects)
    ballot = replace(ballot, leaving=tuple(n for n in ballot.leaving if n in members))
    voters = {nodeid for nodeid, _ in ballot.table.votes if nodeid not in ballot.leaving}
    default = ballot.table.expected_votes
    ballot = replace(ballot, present=members)
    return _with_expects(ballot, [(m, held.get(m, default)) for m in members if m in voters])


def _with_expects(ballot: Ballot, expects: list[tuple[NodeId, int]]) -> Ballot:
    return replace(ballot, expects=tuple(sorted(expects)))


def _with_quorum(ballot: Ballot, *, floor: int) -> Ballot:
    """The formula: a majority of what is expected and of what is there; `floor` is what it may not fall below."""
    quorum = max(floor, (ballot.expected + 2) // 2, (ballot.total + 2) // 2)
    if ballot.table.two_node and len(ballot.expects) <= 2:
        quorum = 1
    return replace(ballot, quorum=quorum)
