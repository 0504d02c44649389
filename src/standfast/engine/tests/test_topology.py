"""Who hears whom, and what each daemon is told of it."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.engine.topology import Pair, Topology, components, pair_of
from standfast.errors import RefusedError
from standfast.membership.view import Departure, DepartureReason
from standfast.terms import NodeId

NODES = [NodeId(n) for n in range(1, 7)]
ONE, TWO, THREE = NODES[:3]
CUTS = st.sets(st.sampled_from([pair_of(a, b) for a, b in combinations(NODES, 2)]))


def running(*nodes: NodeId) -> Topology:
    topology = Topology(last_view_id=10)
    for node in nodes:
        topology.attach(node, f"vapp{node}")
    topology.form_views()
    return topology


@given(st.sets(st.sampled_from(NODES)), CUTS)
def test_components_hold_each_node_once_and_only_those_who_all_reach_each_other(
    nodes: set[NodeId], cuts: set[Pair]
) -> None:
    parts = components(nodes, cuts)
    assert sorted(node for part in parts for node in part) == sorted(nodes)
    assert all(pair_of(a, b) not in cuts for part in parts for a, b in combinations(part, 2))


@given(st.sets(st.sampled_from(NODES)), CUTS)
def test_no_component_could_take_a_node_of_a_later_one(nodes: set[NodeId], cuts: set[Pair]) -> None:
    parts = components(nodes, cuts)
    assert [part[0] for part in parts] == sorted(part[0] for part in parts)
    for earlier, later in combinations(parts, 2):
        for node in later:
            assert any(pair_of(node, other) in cuts for other in earlier)


def test_views_are_formed_only_when_the_company_changes() -> None:
    topology = running(ONE, TWO)
    assert topology.form_views() == {}
    topology.cut(ONE, TWO)
    assert sorted(topology.form_views()) == [1, 2]
    topology.cut(ONE, TWO)
    assert topology.form_views() == {}


def test_each_part_has_a_view_id_of_its_own() -> None:
    topology = running(ONE, TWO)
    topology.cut(TWO, ONE)
    views = topology.form_views()
    assert views[ONE].view_id != views[TWO].view_id
    assert min(view.view_id for view in views.values()) > 11


def test_a_daemon_that_left_stays_left_when_its_machine_dies_too() -> None:
    topology = running(ONE, TWO)
    topology.detach(TWO, DepartureReason.LEAVE)
    topology.host_down(TWO)
    assert topology.form_views()[ONE].left == (Departure(TWO, DepartureReason.LEAVE),)


def test_a_daemon_that_ended_together_with_its_machine_is_a_node_that_is_down() -> None:
    topology = running(ONE, TWO)
    topology.detach(TWO, DepartureReason.PROCESS_DOWN)
    topology.host_down(TWO)
    assert topology.form_views()[ONE].left == (Departure(TWO, DepartureReason.NODE_DOWN),)


def test_a_node_that_was_away_learns_how_others_left_meanwhile() -> None:
    topology = running(ONE, TWO, THREE)
    topology.lose(THREE)
    topology.form_views()
    topology.detach(TWO, DepartureReason.LEAVE)
    topology.form_views()
    topology.reach(THREE)
    view = topology.form_views()[THREE]
    assert (view.joined, view.left) == ((ONE,), (Departure(TWO, DepartureReason.LEAVE),))


def test_a_node_that_was_away_alone_still_gets_a_view_when_it_is_back() -> None:
    topology = running(ONE)
    topology.lose(ONE)
    assert topology.form_views() == {}
    assert topology.receivers(ONE) == ()
    topology.reach(ONE)
    view = topology.form_views()[ONE]
    assert (view.members, view.joined, view.left) == ((ONE,), (), ())
    assert topology.receivers(ONE) == (ONE,)


def test_a_daemon_whose_machine_is_gone_is_out_of_reach_until_it_is_back() -> None:
    topology = running(ONE, TWO)
    topology.host_down(TWO)
    assert topology.form_views()[ONE].hosts == (ONE,)
    assert not topology.is_reached(TWO)
    topology.host_up(TWO)
    views = topology.form_views()
    assert (views[TWO].joined, views[ONE].joined) == ((ONE,), (TWO,))


def test_a_second_daemon_is_refused_until_the_first_is_gone() -> None:
    topology = running(ONE)
    with pytest.raises(RefusedError, match="vapp9: node id 1 is in use by vapp1"):
        topology.attach(ONE, "vapp9")
    topology.detach(ONE, DepartureReason.PROCESS_DOWN)
    topology.attach(ONE, "vapp9")
    assert topology.name_of(ONE) == "vapp9"
    assert topology.is_attached(ONE)


def test_healing_mends_one_link_or_all() -> None:
    topology = running(ONE, TWO, THREE)
    topology.cut(ONE, TWO)
    topology.cut(ONE, THREE)
    topology.cut(ONE, ONE)
    assert list(topology.cuts) == [(ONE, TWO), (ONE, THREE)]
    topology.heal(TWO, ONE)
    assert list(topology.cuts) == [(ONE, THREE)]
    topology.heal_all()
    assert topology.parts() == ((ONE, TWO, THREE),)
    assert topology.attached() == (ONE, TWO, THREE)


def test_a_node_that_nobody_knows_has_no_name_and_no_daemon() -> None:
    topology = Topology()
    assert (topology.name_of(ONE), topology.is_attached(ONE), topology.is_reached(ONE)) == ("", False, False)
