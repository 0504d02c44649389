"""Run one seed from beginning to end, and shorten the schedule of one that failed."""

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from standfast.simulation.fault import Plan, draw_plan
from standfast.simulation.invariants import Judge
from standfast.simulation.world import World

SETTLE_MS = 400_000  # virtual time in which everything has to be well again after the last fault
LOOK_MS = 1_000
ADMIN_MS = 7_000  # how often somebody starts daemons and machines that are off, after the faults
STEPS_MAX = 300_000  # a run that takes more steps goes in circles


class Result(Struct, frozen=True, kw_only=True):
    """How a run went."""

    seed: int
    violations: tuple[str, ...]
    virtual_ms: int
    counts: dict[str, int]
    log: tuple[str, ...] = ()


def run_seed(seed: int, *, keep_log: bool = False) -> Result:
    """Run what a seed stands for."""
    return run_plan(draw_plan(seed), keep_log=keep_log)


def run_plan(plan: Plan, *, keep_log: bool = False) -> Result:
    """Run a plan: switch the machines on, let the faults happen, then wait until all is well."""
    world = World(plan)
    world.keep_log = keep_log
    unfinished: list[str] = []
    try:
        unfinished = _live(world, plan)
    except Exception as error:  # noqa: BLE001 - whatever the core raises is what is looked for
        world.violations.append(f"BUG at {world.now_ms} ms: {_last_line(error)}")
    return Result(
        seed=plan.seed,
        violations=(*world.violations, *(unfinished if not world.violations else ())),
        virtual_ms=world.now_ms,
        counts=dict(world.counts),
        log=tuple(world.log),
    )


def _live(world: World, plan: Plan) -> list[str]:
    """Let everything happen; returns what was not well at the end."""
    judge = Judge(world)
    for nodeid, machine in world.machines.items():
        world.call_at(plan.late_starts_ms[nodeid - 1], partial(world.power_on, machine))
    for scheduled in plan.schedule:
        world.call_at(scheduled.at_ms, partial(world.strike, scheduled.fault))
    _advance_until(world, judge, plan.faults_end_ms)
    world.end_faults()
    deadline_ms = world.now_ms + SETTLE_MS
    unfinished = ["L2 nobody looked"]
    admin_ms = world.now_ms + ADMIN_MS
    while unfinished and world.now_ms < deadline_ms and not world.violations:
        _advance_until(world, judge, world.now_ms + LOOK_MS)
        if world.now_ms >= admin_ms:
            admin_ms += ADMIN_MS
            for machine in world.machines.values():
                world.power_on(machine)
                world.start_daemon(machine)
        unfinished = judge.unfinished()
    return unfinished


def _last_line(error: Exception) -> str:
    """The exception, and the last line of our own that it came through."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = "/".join(Path(frame.filename).parts[-2:])
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    return f"{text}, at {place}:{frame.lineno} in {frame.name}: {frame.line}"


def shorten(plan: Plan, is_enough: Callable[[], bool] = lambda: False) -> Plan:
    """Return the shortest schedule found that still breaks one of the same rules; stops looking when `is_enough`.

    Ever smaller parts of the schedule are left out, down to single faults, until none can be spared.
    """
    rules = _rules(run_plan(plan).violations)
    size = len(plan.schedule)
    while rules and size and not is_enough():
        at, spared = 0, False
        while at < len(plan.schedule) and not is_enough():
            candidate = replace(plan, schedule=plan.schedule[:at] + plan.schedule[at + size :])
            if _rules(run_plan(candidate).violations) & rules:
                plan, spared = candidate, True
            else:
                at += size
        if size == 1 and not spared:
            break
        size = max(1, size // 2)
    return plan


def _rules(violations: tuple[str, ...]) -> set[str]:
    return {line.split()[0] for line in violations}


def _advance_until(world: World, judge: Judge, until_ms: int) -> None:
    looked_ms = world.now_ms
    while (following := world.next_ms()) is not None and following <= until_ms and not world.violations:
        world.advance()
        if world.now_ms - looked_ms >= LOOK_MS:
            looked_ms = world.now_ms
            judge.look()
        if world.counts["steps"] > STEPS_MAX:
            world.violations.append(f"L2 at {world.now_ms} ms: the nodes go in circles")
    world.now_ms = max(world.now_ms, until_ms) if not world.violations else world.now_ms
