from typing import get_args

import pytest
from msgspec import json

from standfast.simulation import fault as faults
from standfast.simulation.fault import Fault
from standfast.simulation.plan import QUIET_MS, Plan, Scheduled, draw_plan
from standfast.simulation.source import plan_source

DRAWN = tuple(draw_plan(seed) for seed in range(300))


def kinds() -> set[type]:
    return {type(s.fault) for plan in DRAWN for s in plan.schedule}


def test_seed_stands_for_one_plan() -> None:
    assert tuple(draw_plan(seed) for seed in range(300)) == DRAWN


def test_every_kind_of_fault_is_drawn() -> None:
    assert kinds() == set(get_args(Fault))


def test_every_moment_blow_and_target_is_drawn() -> None:
    aimed = [s.fault for plan in DRAWN for s in plan.schedule if isinstance(s.fault, faults.Aimed)]
    assert {a.moment for a in aimed} == set(faults.Moment)
    assert {a.blow for a in aimed} == set(faults.Blow)
    assert {a.whom for a in aimed} == set(faults.Whom)


def test_clusters_of_two_to_five_nodes_are_drawn() -> None:
    assert {plan.nodes for plan in DRAWN} == {2, 3, 4, 5}
    assert {plan.two_node for plan in DRAWN if plan.nodes > 2} == {False}


@pytest.mark.parametrize("plan", DRAWN[:100], ids=lambda plan: f"seed {plan.seed}")
def test_faults_hit_nodes_that_there_are_before_the_faults_end(plan: Plan) -> None:
    named = {s.fault.nodeid for s in plan.schedule if hasattr(s.fault, "nodeid")}
    assert named <= set(range(1, plan.nodes + 1))
    assert all(s.at_ms <= plan.faults_end_ms - QUIET_MS for s in plan.schedule)


@pytest.mark.parametrize("plan", DRAWN[:100], ids=lambda plan: f"seed {plan.seed}")
def test_plan_is_saved_and_read_back_equal(plan: Plan) -> None:
    assert json.decode(json.encode(plan), type=Plan) == plan


@pytest.mark.parametrize("plan", DRAWN[:30], ids=lambda plan: f"seed {plan.seed}")
def test_plan_that_is_printed_is_the_plan(plan: Plan) -> None:
    names = {name: getattr(faults, name) for name in dir(faults)}
    printed = eval(plan_source(plan), {**names, "Plan": Plan, "Scheduled": Scheduled})  # noqa: S307
    assert printed == plan
