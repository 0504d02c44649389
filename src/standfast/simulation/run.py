"""Run one seed from beginning to end, and shorten the schedule of one that failed."""

from collections import Counter

from msgspec import Struct
from msgspec.structs import replace

from standfast.simulation.fault import Plan, Scheduled, draw_plan
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
    judge = Judge(world)
    for nodeid, machine in world.machines.items():
        world.call_at(plan.late_starts_ms[nodeid - 1], lambda m=machine: world.power_on(m))
    for scheduled in plan.schedule:
        world.call_at(scheduled.at_ms, lambda f=scheduled.fault: world.strike(f))
    _advance_until(world, judge, plan.faults_end_ms)
    world.end_faults()
    deadline_ms = world.now_ms + SETTLE_MS
    unfinished = ["not looked at"]
    admin_ms = world.now_ms + ADMIN_MS
    while unfinished and world.now_ms < deadline_ms and not world.violations:
        _advance_until(world, judge, world.now_ms + LOOK_MS)
        if world.now_ms >= admin_ms:
            admin_ms += ADMIN_MS
            for machine in world.machines.values():
                world.power_on(machine)
                world.start_daemon(machine) if machine.powered and machine.daemon is None else None
        unfinished = judge.unfinished()
    return Result(
        seed=plan.seed,
        violations=(*world.violations, *(unfinished if not world.violations else ())),
        virtual_ms=world.now_ms,
        counts=dict(world.counts),
        log=tuple(world.log),
    )


def shorten(plan: Plan) -> Plan:
    """Return the shortest schedule found that still breaks the same rule: faults are left out one after the other."""
    rules = _rules(run_plan(plan).violations)
    if not rules:
        return plan
    tries = 0
    shrinking = True
    while shrinking and tries < 200:
        shrinking = False
        for k in range(len(plan.schedule)):
            shorter: tuple[Scheduled, ...] = plan.schedule[:k] + plan.schedule[k + 1 :]
            candidate = replace(plan, schedule=shorter)
            tries += 1
            if _rules(run_plan(candidate).violations) & rules:
                plan = candidate
                shrinking = True
                break
    return plan


def total(results: list[Result]) -> Counter[str]:
    """Return how often each kind of event happened in all runs."""
    counts: Counter[str] = Counter()
    for result in results:
        counts.update(result.counts)
    return counts


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
