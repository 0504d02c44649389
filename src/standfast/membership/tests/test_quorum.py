"""Quorum against the computed tables of spec membership, sections 3.4 and 17, and against its one purpose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.membership.quorum import (
    Ballot,
    Configured,
    Expected,
    Present,
    QuorumEvent,
    Removed,
    VotesSet,
    step,
)
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId


def table(*votes: int, expected: int | None = None, two_node: bool = False) -> VoteTable:
    return VoteTable(
        votes=tuple((NodeId(n), v) for n, v in enumerate(votes, start=1)),
        expected_votes=sum(votes) if expected is None else expected,
        two_node=two_node,
        arbiter=two_node,
    )


def present(*nodes: int) -> Present:
    return Present(tuple(NodeId(n) for n in nodes))


def removed(node: int) -> Removed:
    return Removed(NodeId(node))


def expected(votes: int, *, by: int = 1) -> Expected:
    return Expected(NodeId(by), votes)


def votes_set(node: int, votes: int) -> VotesSet:
    return VotesSet(NodeId(node), votes)


def told(ballot: Ballot) -> str:
    """The ballot as the tables write it: expected/total/quorum, and whether activity is blocked."""
    blocked = "" if ballot.quorate else " blocked"
    return f"{ballot.expected}/{ballot.total}/{ballot.quorum}{blocked}"


THREE = table(1, 1, 1)
FIVE = table(1, 1, 1, 1, 1)
SAN = table(2, 1, 1, 1, 1)  # node 1 is san1
PAIR = table(1, 1, two_node=True, expected=1)

CASES: dict[str, tuple[VoteTable, list[tuple[QuorumEvent, str]]]] = {
    "three nodes come, go, and the last one lowers the expected votes": (
        THREE,
        [
            (present(1), "3/1/2 blocked"),
            (present(1, 2), "3/2/2"),
            (present(1, 2, 3), "3/3/2"),
            (present(1, 2), "3/2/2"),
            (present(1), "3/1/2 blocked"),
            (expected(1), "1/1/1"),
            (present(1, 2), "3/2/2"),
            (present(1, 2, 3), "3/3/2"),
        ],
    ),
    "four nodes need three": (
        table(1, 1, 1, 1),
        [
            (present(1), "4/1/3 blocked"),
            (present(1, 2), "4/2/3 blocked"),
            (present(1, 2, 3), "4/3/3"),
            (present(1, 2, 3, 4), "4/4/3"),
            (present(1, 2, 3), "4/3/3"),
            (present(1, 2), "4/2/3 blocked"),
        ],
    ),
    "five nodes are removed one by one, and two come back": (
        FIVE,
        [
            (present(1, 2, 3, 4, 5), "5/5/3"),
            (removed(5), "4/4/3"),
            (present(1, 2, 3, 4), "4/4/3"),
            (removed(4), "3/3/2"),
            (removed(3), "2/2/2"),
            (removed(2), "1/1/1"),
            (present(1, 5), "5/2/3 blocked"),
            (present(1, 4, 5), "5/3/3"),
        ],
    ),
    "after three removals one may come back": (
        FIVE,
        [
            (present(1, 2, 3, 4, 5), "5/5/3"),
            (removed(5), "4/4/3"),
            (removed(4), "3/3/2"),
            (removed(3), "2/2/2"),
            (present(1, 2, 3), "2/2/2"),  # it is leaving, and something else has changed the view
            (present(1, 2), "2/2/2"),
            (present(1, 2, 3), "5/3/3"),
        ],
    ),
    "expected votes go up and down": (
        FIVE,
        [
            (present(1, 2, 3, 4, 5), "5/5/3"),
            (expected(3), "3/5/3"),
            (expected(8), "8/5/5"),
            (expected(9), "9/5/5"),
            (expected(8), "8/5/5"),
            (present(1, 2, 3, 4), "8/4/5 blocked"),
            (present(1, 2, 3), "8/3/5 blocked"),
            (expected(3), "3/3/2"),
            (expected(2), "2/3/2"),
        ],
    ),
    "expected votes that no majority has would block": (
        FIVE,
        [(present(1, 2, 3, 4, 5), "5/5/3"), (expected(10), "10/5/6 blocked")],
    ),
    "M06: seven expected of three would block": (
        THREE,
        [(present(1, 2, 3), "3/3/2"), (expected(7), "7/3/4 blocked")],
    ),
    "M07: five expected of three, one dies, two expected": (
        THREE,
        [
            (present(1, 2, 3), "3/3/2"),
            (expected(5), "5/3/3"),
            (present(1, 2), "5/2/3 blocked"),
            (expected(2), "2/2/2"),
        ],
    ),
    "M04: one is removed, then one of the two dies": (
        THREE,
        [(present(1, 2, 3), "3/3/2"), (removed(3), "2/2/2"), (present(1), "2/1/2 blocked")],
    ),
    "a node with two votes": (
        SAN,
        [
            (present(1), "6/2/4 blocked"),
            (present(1, 2), "6/3/4 blocked"),
            (present(1, 2, 3), "6/4/4"),
            (present(1, 2, 3, 4, 5), "6/6/4"),
            (removed(5), "4/5/3"),
            (present(2, 3, 4), "4/3/3"),
        ],
    ),
    "removing the node with two votes": (
        SAN,
        [(present(1, 2, 3, 4, 5), "6/6/4"), (removed(1), "4/4/3")],
    ),
    "M01, M02: two_node": (
        PAIR,
        [(present(1), "1/1/1"), (present(1, 2), "1/2/1"), (present(1), "1/1/1")],
    ),
    "two_node with a third node is normal arithmetic": (
        table(1, 1, 1, two_node=True, expected=1),
        [(present(1), "1/1/1"), (present(1, 2), "1/2/1"), (present(1, 2, 3), "1/3/2")],
    ),
    "votes of a node are set": (
        THREE,
        [
            (present(1, 2, 3), "3/3/2"),
            (votes_set(1, 3), "3/5/3"),
            (votes_set(1, 1), "3/3/2"),
            (present(1, 2), "3/2/2"),
            (votes_set(2, 0), "3/1/2 blocked"),
        ],
    ),
    "a configuration with fewer nodes lowers the quorum": (
        FIVE,
        [
            (present(1, 2, 3), "5/3/3"),
            (Configured(THREE), "3/3/2"),
            (present(1, 2), "3/2/2"),
        ],
    ),
    "a configuration with more nodes raises it": (
        THREE,
        [(present(1, 2), "3/2/2"), (Configured(FIVE), "5/2/3 blocked"), (present(1, 2, 4), "5/3/3")],
    ),
    "a member that only the new configuration knows votes at once": (
        THREE,
        [(present(1, 4, 5), "3/1/2 blocked"), (Configured(FIVE), "5/3/3")],
    ),
    "the configuration ends what the operator had set": (
        THREE,
        [
            (present(1, 2, 3), "3/3/2"),
            (votes_set(1, 3), "3/5/3"),
            (expected(5), "5/5/3"),
            (Configured(THREE), "3/3/2"),
        ],
    ),
    "a node that is not configured has no vote": (
        THREE,
        [(present(1, 7), "3/1/2 blocked"), (present(1, 2, 7), "3/2/2")],
    ),
    "a stranger does not end two_node": (PAIR, [(present(1, 2, 7), "1/2/1")]),
    "nobody is not quorate": (PAIR, [(present(), "1/0/1 blocked")]),
}


@pytest.mark.parametrize("case", CASES)
def test_quorum_follows_the_table(case: str) -> None:
    votes, steps = CASES[case]
    ballot = Ballot(table=votes)
    answers = []
    for event, _ in steps:
        ballot = step(ballot, event)
        answers.append(told(ballot))
    assert answers == [answer for _, answer in steps]


def test_a_node_without_a_view_is_not_quorate_whatever_is_configured() -> None:
    ballot = step(Ballot(table=THREE), Configured(table(1, 1, two_node=True, expected=1)))
    assert (ballot.quorum, ballot.quorate) == (0, False)


NODES = [NodeId(n) for n in range(1, 6)]
CLUSTERS = st.lists(st.integers(0, 3), min_size=5, max_size=5).map(lambda votes: table(*votes))
HISTORIES = st.lists(st.sets(st.sampled_from(NODES)).map(lambda nodes: Present(tuple(sorted(nodes)))))


@given(CLUSTERS, HISTORIES, HISTORIES, st.sets(st.sampled_from(NODES)))
def test_two_sides_of_a_partition_are_never_both_quorate(
    votes: VoteTable, one_past: list[Present], other_past: list[Present], side: set[NodeId]
) -> None:
    one, other = Ballot(table=votes), Ballot(table=votes)
    for event in one_past:
        one = step(one, event)
    for event in other_past:
        other = step(other, event)
    one = step(one, Present(tuple(sorted(side))))
    other = step(other, Present(tuple(n for n in NODES if n not in side)))
    assert not (one.quorate and other.quorate)


@given(CLUSTERS, HISTORIES)
def test_views_alone_never_lower_the_quorum(votes: VoteTable, past: list[Present]) -> None:
    ballot = Ballot(table=votes)
    quorums = []
    for event in past:
        ballot = step(ballot, event)
        quorums.append(ballot.quorum)
    assert quorums == sorted(quorums)


@given(CLUSTERS, st.sets(st.sampled_from(NODES)))
def test_from_a_cold_start_a_majority_of_the_votes_is_quorate_and_nothing_less(
    votes: VoteTable, side: set[NodeId]
) -> None:
    here = sum(v for n, v in votes.votes if n in side)
    ballot = step(Ballot(table=votes), Present(tuple(sorted(side))))
    assert ballot.quorate == (2 * here > votes.expected_votes)
