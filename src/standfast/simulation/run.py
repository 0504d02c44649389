"""Run one seed from beginning to end, and shorten the schedule of one that failed."""

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from standfast.cluster.session import has_begun
from standfast.cluster.state import ClusterState
from standfast.simulation.chronicle import Settled
from standfast.simulation.ending import Excuses, Standing, unfinished
from standfast.simulation.machine import Machine
from standfast.simulation.plan import Plan, Scheduled, draw_plan
from standfast.simulation.rules import verdicts
from standfast.simulation.shortening import shortest
from standfast.simulation.strike import ask_everywhere, end_faults, start, start_everything, strike
from standfast.simulation.verdict import Judgement, sentence
from standfast.simulation.world import World

SETTLE_MS = 400_000  # virtual time in which everything has to be well again after the last fault
ALONE_MS = (
    240_000  # virtual time in which a quorate part has brought back what it misses, however slow its clock is
)
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
    return run_world(World(plan, keep_log=keep_log))


def run_world(world: World) -> Result:
    """Run a world to its end, and judge it."""
    violations: list[str] = []
    try:
        violations = live(world)
    except Exception as error:  # noqa: BLE001 - whatever the core raises is what is looked for
        violations = [f"BUG at {world.time.now_ms} ms: {_last_line(error)}"]
    broken = [sentence(v) for v in verdicts(world.chronicle) if v.judgement is not Judgement.HELD]
    return Result(
        seed=world.plan.seed,
        violations=(*broken, *violations),
        virtual_ms=world.time.now_ms,
        counts=dict(world.counts),
        log=tuple(world.time.log),
    )


def live(world: World) -> list[str]:
    """Let everything happen; returns what was not well at the end."""
    plan = world.plan
    late_ms = plan.late_starts_ms or tuple(0 for _ in world.machines)
    for at_ms, machine in zip(late_ms, world.machines.values(), strict=True):
        world.time.call_at(at_ms, partial(world.power_on, machine))
    for scheduled in plan.schedule:
        world.time.call_at(scheduled.at_ms, partial(strike, world, scheduled.fault))
    if not _advance_until(world, plan.faults_end_ms):
        return [_circles(world)]
    end_faults(world)
    alone = _left_alone(world)
    still = _attended(world)
    world.chronicle.append(Settled(world.time.now_ms))
    return [*alone, *still]


def _left_alone(world: World) -> list[str]:
    """Nobody helps: a quorate part begins, and brings back by fencing what it misses. Returns what it left undone.

    Machines that it neither has nor misses (they left, were refused, or an operator answers for them) are switched on.
    """
    until_ms = world.time.now_ms + ALONE_MS
    while world.time.now_ms < until_ms:
        if not _advance_until(world, world.time.now_ms + LOOK_MS):
            return [_circles(world)]
        state = _ruling_state(world)
        if state is None and _could_begin(world):
            continue
        if state is None or not unfinished(standings(world), _excuses(world)):
            return []
        for machine in world.machines.values():
            if state.member(machine.nodeid) is None and state.fence.victim(machine.nodeid) is None:
                start(world, machine)
    if _ruling_state(world) is None:
        return ["L1 those that are there could be quorate, and do not begin"]
    return [f"L1 node {s.nodeid} was not brought back" for s in standings(world) if s.state is None]


def _attended(world: World) -> list[str]:
    """Somebody starts what is off, again and again. Returns what is still not well in the end."""
    deadline_ms = world.time.now_ms + SETTLE_MS
    admin_ms = world.time.now_ms
    still = ["L2 nobody looked"]
    while still and world.time.now_ms < deadline_ms:
        if world.time.now_ms >= admin_ms:
            admin_ms += ADMIN_MS
            start_everything(world)
            if world.corrupted:
                ask_everywhere(world)
        if not _advance_until(world, world.time.now_ms + LOOK_MS):
            return [_circles(world), *still]
        still = unfinished(standings(world), _excuses(world))
    return still


def _could_begin(world: World) -> bool:
    """Whether the daemons that run have a majority of the votes."""
    there = sum(world.votes[m.nodeid] for m in world.machines.values() if m.own)
    return 2 * there > sum(world.votes.values()) or (world.plan.two_node and there > 0)


def _ruling_state(world: World) -> ClusterState | None:
    """Return what the quorate part knows, None where there is none."""
    for machine in world.machines.values():
        if machine.daemon is not None and machine.daemon.participant.session.quorate:
            state = _synced_state(machine)
            if state is not None:
                return state
    return None


def standings(world: World) -> tuple[Standing, ...]:
    """Return how each machine stands."""
    return tuple(
        Standing(nodeid=m.nodeid, state=_synced_state(m), services=m.services)
        for m in world.machines.values()
    )


def shorten(plan: Plan, is_enough: Callable[[], bool] = lambda: False) -> Plan:
    """Return the shortest schedule found that still breaks one of the same rules; stops looking when `is_enough`."""
    rules = rules_of(run_plan(plan).violations)

    def shows(schedule: tuple[Scheduled, ...]) -> bool:
        return bool(rules_of(run_plan(replace(plan, schedule=schedule)).violations) & rules)

    return replace(plan, schedule=shortest(plan.schedule, shows, is_enough)) if rules else plan


def rules_of(violations: tuple[str, ...]) -> set[str]:
    """Return the names of the rules that were broken."""
    return {line.split()[0] for line in violations}


def _excuses(world: World) -> Excuses:
    return Excuses(asked=frozenset(world.operators.asked), stuck=frozenset(world.agents.stuck))


def _synced_state(machine: Machine) -> ClusterState | None:
    if machine.daemon is None or not machine.own:
        return None
    session = machine.daemon.participant.session
    return session.state if has_begun(session) else None


def _advance_until(world: World, until_ms: int) -> bool:
    """Let everything happen up to a time; False when it goes in circles."""
    time = world.time
    while (following := time.next_ms()) is not None and following <= until_ms:
        time.advance()
        if world.counts["steps"] > STEPS_MAX:
            return False
    time.now_ms = max(time.now_ms, until_ms)
    return True


def _circles(world: World) -> str:
    return f"L2 at {world.time.now_ms} ms: the nodes go in circles"


def _last_line(error: Exception) -> str:
    """The exception, and the last line of our own that it came through."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = "/".join(Path(frame.filename).parts[-2:])
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    return f"{text}, at {place}:{frame.lineno} in {frame.name}: {frame.line}"
