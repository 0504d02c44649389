"""Many whole clusters, each drawn from a seed: nothing that must not happen happens, and all is well in the end.

A failure prints its seed; `./run sim --seed S` finds the shortest schedule that shows it.
"""

import pytest

from standfast.simulation.run import run_seed

SEEDS = 25  # for each test, so that several processes share the work
TESTS = 48


@pytest.mark.parametrize("first", range(1, SEEDS * TESTS, SEEDS))
def test_no_seed_breaks_a_rule(first: int) -> None:
    results = [run_seed(seed) for seed in range(first, first + SEEDS)]

    assert {r.seed: r.violations for r in results if r.violations} == {}
