"""What an engine is told of votes that operators changed, and how many votes must know of what is done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from standfast.conf.messaging import Messaging, QuorumDevice
from standfast.conf.model import Cluster, ClusterNode
from standfast.membership.quorum import (
    Ballot,
    Configured,
    Expected,
    Present,
    QuorumEvent,
    Removed,
    VotesSet,
    electorate,
    in_force,
    is_majority,
    plain,
    step,
)
from standfast.membership.votes import VoteTable, vote_table
from standfast.terms import NodeId

NODES = tuple(NodeId(n) for n in range(1, 6))
FIVE = VoteTable(votes=tuple((n, 1) for n in NODES), expected_votes=5)
PAIR = VoteTable(votes=tuple((n, 1) for n in NODES[:2]), expected_votes=1, two_node=True, arbiter=True)

nodes = st.sampled_from(NODES)
numbers = st.integers(0, 9)
members = st.sets(nodes, min_size=1).map(lambda chosen: tuple(sorted(chosen)))
events = st.one_of(
    st.builds(Present, members),
    st.builds(Removed, nodes),
    st.builds(Expected, nodes, numbers),
    st.builds(VotesSet, nodes, numbers),
    st.builds(Configured, st.just(FIVE)),
)


def folded(*happened: QuorumEvent, table: VoteTable = FIVE) -> Ballot:
    ballot = Ballot(table=table)
    for event in happened:
        ballot = step(ballot, event)
    return ballot


@given(members, st.lists(events, max_size=8), members)
def test_engine_that_is_told_counts_as_the_state_does(
    first: tuple[NodeId, ...], happened: list[QuorumEvent], last: tuple[NodeId, ...]
) -> None:
    state = folded(Present(first), *happened, Present(last))
    engine = folded(Present(last))
    assert step(engine, Configured(in_force(state))) == state


def test_nothing_is_told_while_the_configuration_holds() -> None:
    assert in_force(folded(Present(NODES))) == FIVE


def test_node_that_leaves_for_good_does_not_count_although_it_is_there() -> None:
    ballot = folded(Present(NODES), Removed(NODES[4]), Present(NODES))
    assert (ballot.expected, ballot.total, ballot.quorum) == (4, 4, 3)


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        ((Present(NODES),), 5),
        ((Present(NODES), Expected(NODES[0], 9)), 5),
        ((Present(NODES[:2]), Expected(NODES[0], 2)), 2),
        ((Present(NODES[:2]), Expected(NODES[0], 2), Present(NODES[:3])), 5),
        ((Present(NODES), Removed(NODES[4]), Removed(NODES[3])), 3),
        ((Present(NODES), VotesSet(NODES[0], 3)), 7),
    ],
)
def test_votes_that_must_know_follow_what_operators_vouched_for(
    happened: tuple[QuorumEvent, ...], expected: int
) -> None:
    assert electorate(folded(*happened)) == expected


def test_majority_is_more_than_half_of_them() -> None:
    ballot = folded(Present(NODES))
    assert not is_majority(ballot, NODES[:2])
    assert is_majority(ballot, NODES[:3])


def test_one_node_that_an_operator_vouched_for_is_a_majority() -> None:
    assert is_majority(folded(Present(NODES[:1]), Expected(NODES[0], 1)), NODES[:1])


def test_one_node_in_two_node_mode_is_a_majority() -> None:
    assert is_majority(folded(Present(NODES[:1]), table=PAIR), NODES[:1])


@pytest.mark.parametrize(
    "messaging",
    [
        Messaging(device=QuorumDevice(host="qnetd")),
        Messaging(auto_tie_breaker=True),
        Messaging(last_man_standing=True, wait_for_all=True),
    ],
)
def test_one_node_that_an_arbiter_lets_go_on_is_a_majority(messaging: Messaging) -> None:
    nodes = tuple(ClusterNode(name=f"vapp{n}", nodeid=n) for n in NODES[:2])
    cluster = Cluster(name="c", config_version=1, nodes=nodes)
    alone = folded(Present(NODES[:1]), table=vote_table(replace(cluster, messaging=messaging)))
    assert is_majority(alone, NODES[:1])
    assert not is_majority(folded(Present(NODES[:1]), table=vote_table(cluster)), NODES[:1])


def test_engine_that_counts_by_itself_is_told_plain_numbers() -> None:
    table = in_force(folded(Present(NODES), Removed(NODES[4])))
    told = plain(table, NODES)
    assert (told.expected_votes, dict(told.votes)[NODES[4]]) == (4, 0)
    assert (told.expects, told.leaving, told.quorum_min) == ((), (), 0)


def test_engine_that_counts_by_itself_is_told_what_a_joiner_expects() -> None:
    table = in_force(folded(Present(NODES[:2]), Expected(NODES[0], 2)))
    assert plain(table, NODES[:2]).expected_votes == 2
    assert plain(table, NODES[:3]).expected_votes == 5


def test_engine_that_counts_by_itself_is_told_the_configuration_where_nothing_else_holds() -> None:
    assert plain(FIVE, NODES) == FIVE
