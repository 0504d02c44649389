"""Run plans or seeds on the source tree that PYTHONPATH names, and print what broke: the child process of breakages.py."""

import sys
import time
from pathlib import Path

from msgspec import Struct, json

from standfast.cluster import apply
from standfast.simulation.plan import Plan, draw_plan
from standfast.simulation.run import run_plan, run_seed, shorten


class Order(Struct, frozen=True, kw_only=True):
    """What to run: plans one after the other, or the seeds from `first` on, until something breaks."""

    tree: str
    plans: tuple[Plan, ...] = ()
    first: int = 0
    count: int = 0
    scenes: tuple[str, ...] = ()  # only seeds that draw one of these; empty: any scene
    at_random: bool = False  # also the seeds that draw no scene
    shorten_s: float = 0  # how long a shorter schedule is looked for


class Found(Struct, frozen=True, kw_only=True):
    """The first plan that broke a rule; None where none did."""

    plan: Plan | None = None
    violations: tuple[str, ...] = ()


def main() -> None:
    """Read an order from standard input, and print what was found."""
    order = json.decode(sys.stdin.buffer.read(), type=Order)
    assert Path(apply.__file__).is_relative_to(order.tree), "the broken tree is not the one that is imported"
    sys.stdout.buffer.write(json.encode(_find(order)))


def _find(order: Order) -> Found:
    for plan in order.plans:
        violations = run_plan(plan).violations
        if violations:
            return Found(plan=plan, violations=violations)
    for seed in range(order.first, order.first + order.count):
        scene = draw_plan(seed).scene
        if not (order.at_random or (scene in order.scenes if order.scenes else scene)):
            continue
        violations = run_seed(seed).violations
        if violations:
            return _shortened(draw_plan(seed), order.shorten_s, violations)
    return Found()


def _shortened(plan: Plan, seconds: float, violations: tuple[str, ...]) -> Found:
    if not seconds:
        return Found(plan=plan, violations=violations)
    until = time.monotonic() + seconds
    plan = shorten(plan, lambda: time.monotonic() > until)
    return Found(plan=plan, violations=run_plan(plan).violations)


if __name__ == "__main__":
    main()
