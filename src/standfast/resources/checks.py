"""When each resource's status is checked, how deeply, and which failures are let pass.

Pure. A check is due on the service's own timer, whatever else goes on.
Differs from rgmanager: checks do not wait for the daemon to be idle, because a busy one would never check.
Source: spec resources, section 5.
"""

from msgspec import Struct, structs

from standfast.resources.order import status_order
from standfast.resources.resource import ResourceKey, ResourceNode


class CheckClock(Struct, frozen=True, kw_only=True):
    """One status action of one resource. `last_ms` is when it last ran, or the service's start."""

    key: ResourceKey
    depth: int
    interval_ms: int
    last_ms: int

    @property
    def due_ms(self) -> int:
        """When it is due again."""
        return self.last_ms + self.interval_ms


class Tolerance(Struct, frozen=True, kw_only=True):
    """The failures of one resource that are remembered: up to `failures_max` of them pass within `expire_ms`."""

    key: ResourceKey
    failures_max: int
    expire_ms: int
    failed_at_ms: tuple[int, ...] = ()


class DueCheck(Struct, frozen=True):
    """One check to run now."""

    key: ResourceKey
    depth: int


class Schedule(Struct, frozen=True, kw_only=True):
    """The checks of one service, in the order of its resources. Rounds are `round_ms` apart."""

    begun_ms: int
    round_ms: int
    last_round_ms: int
    clocks: tuple[CheckClock, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()


def begin_schedule(root: ResourceNode, now_ms: int, *, round_ms: int) -> Schedule:
    """Return the schedule of a service that has just started; nothing is due before its first interval has passed.

    `round_ms` is <rm status_poll_interval>: the timer's step, and so the finest interval.
    """
    nodes = status_order(root)
    clocks = tuple(
        CheckClock(key=node.key, depth=action.depth, interval_ms=action.interval_s * 1000, last_ms=now_ms)
        for node in nodes
        for action in node.actions
        if action.name == "status" and action.interval_s > 0
    )
    tolerances = tuple(
        Tolerance(
            key=node.key,
            failures_max=node.place.max_failures,
            expire_ms=node.place.failure_expire_s * 1000,
        )
        for node in nodes
        if node.place.max_failures
    )
    return Schedule(
        begun_ms=now_ms, round_ms=round_ms, last_round_ms=now_ms, clocks=clocks, tolerances=tolerances
    )


def carry_schedule(old: Schedule, root: ResourceNode, now_ms: int, *, round_ms: int) -> Schedule:
    """Return the schedule for the new tree of a running service: clocks go on, failures are forgotten.

    Source: spec resources, section 7.3, side effect (c).
    """
    last_ms = {(clock.key, clock.depth): clock.last_ms for clock in old.clocks}
    new = begin_schedule(root, now_ms, round_ms=round_ms)
    clocks = tuple(
        structs.replace(clock, last_ms=last_ms.get((clock.key, clock.depth), now_ms)) for clock in new.clocks
    )
    return structs.replace(new, clocks=clocks)


def due(schedule: Schedule, now_ms: int) -> tuple[DueCheck, ...]:
    """Return the checks that are due, in the order of the resources; of each resource only the deepest."""
    deepest: dict[ResourceKey, int] = {}
    for clock in schedule.clocks:
        if clock.due_ms <= now_ms:
            deepest[clock.key] = max(clock.depth, deepest.get(clock.key, clock.depth))
    return tuple(DueCheck(key, depth) for key, depth in deepest.items())


def begin_round(schedule: Schedule, now_ms: int) -> tuple[Schedule, tuple[DueCheck, ...]]:
    """Take the checks that are due: their clocks begin anew, and only theirs."""
    checks = due(schedule, now_ms)
    taken = {(check.key, check.depth) for check in checks}
    clocks = tuple(
        structs.replace(clock, last_ms=now_ms) if (clock.key, clock.depth) in taken else clock
        for clock in schedule.clocks
    )
    return structs.replace(schedule, clocks=clocks, last_round_ms=now_ms), checks


def next_deadline_ms(schedule: Schedule) -> int | None:
    """Return when the next round with something to do is: a whole number of steps after the start, or None for never."""
    if not schedule.clocks:
        return None
    step, begun = schedule.round_ms, schedule.begun_ms
    after_last = (schedule.last_round_ms - begun) // step + 1
    first_due = min(clock.due_ms for clock in schedule.clocks)
    return begun + step * max(after_last, -((begun - first_due) // step))


def tolerate(schedule: Schedule, key: ResourceKey, now_ms: int) -> tuple[Schedule, bool]:
    """Remember a failed check, and tell whether it is let pass (`__max_failures`)."""
    tolerance = next((tolerance for tolerance in schedule.tolerances if tolerance.key == key), None)
    if tolerance is None:
        return schedule, False
    recent = tuple(ms for ms in tolerance.failed_at_ms if now_ms - ms < tolerance.expire_ms)
    passes = len(recent) < tolerance.failures_max
    remembered = structs.replace(tolerance, failed_at_ms=(*recent, now_ms) if passes else recent)
    tolerances = tuple(remembered if other.key == key else other for other in schedule.tolerances)
    return structs.replace(schedule, tolerances=tolerances), passes
