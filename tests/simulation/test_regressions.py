"""The schedules that show what each rule is there for: the core passes them, and does not with the rule broken."""

import pytest
from msgspec.structs import replace
from tests.simulation.breakages import HERE, Breakage, breakages, broken_tree, run_broken, without
from tests.simulation.broken_run import Order
from tests.simulation.schedules import FOLDER, path_of, regression_of

from standfast.simulation.run import run_plan

ALL = breakages()
SHOWN = [b for b in ALL if not b.guarded]
SEEDS = (
    40  # with how many others the schedule is tried, if the core takes another course with the first by now
)


def named(breakage: Breakage) -> str:
    return breakage.name


def test_every_breakage_has_its_schedule_and_the_other_way_round() -> None:
    assert {path_of(b) for b in SHOWN} == set(FOLDER.glob("*.json"))


@pytest.mark.parametrize("breakage", SHOWN, ids=named)
def test_core_passes_the_schedule(breakage: Breakage) -> None:
    assert run_plan(regression_of(breakage).plan).violations == ()


@pytest.mark.parametrize("breakage", SHOWN, ids=named)
def test_schedule_still_shows_the_breakage(breakage: Breakage) -> None:
    plan = regression_of(breakage).plan
    plans = (plan, *(replace(plan, seed=seed) for seed in range(1, SEEDS)))
    with broken_tree(breakage) as tree:
        found = run_broken(tree, Order(tree=str(tree), plans=plans))

    assert found.violations, f'renew it: python -m tests.simulation.prove --keep "{breakage.name}"'


@pytest.mark.parametrize("breakage", [b for b in ALL if b.together], ids=named)
def test_all_parts_are_needed_to_show_it(breakage: Breakage) -> None:
    plan = regression_of(breakage).plan
    parts = [b for b in ALL if b.name in breakage.together]
    for part in parts:
        with broken_tree(without(breakage, part, parts)) as tree:
            assert run_broken(tree, Order(tree=str(tree), plans=(plan,))).violations == (), part.name


def test_every_breakage_is_in_the_table() -> None:
    text = (HERE.parent.parent / "docs" / "simulation.md").read_text()
    assert [b.name for b in ALL if b.name not in text] == []
