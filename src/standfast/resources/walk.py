"""One operation on a whole service, agent by agent: start, stop, or a round of status checks.

Pure: `step(walk, event)` gives the next walk and what to do; the agents' processes are outside.
An action that an agent does not declare is not run and counts as a success.
Source: spec resources, sections 4 and 5.2.
"""

from enum import StrEnum

from msgspec import Struct, structs

from standfast.resources.checks import Schedule, begin_round, tolerate
from standfast.resources.operation import (
    NOT_INSTALLED,
    AgentOperation,
    describe_exit,
    enforced_timeout_s,
    find_action,
    has_succeeded,
)
from standfast.resources.order import start_order, stop_order
from standfast.resources.resource import ResourceKey, ResourceNode, resources_below


class RunAgent(Struct, frozen=True, tag=True, kw_only=True):
    """Effect: run the agent of the type `agent` for the resource at `key`. `timeout_s` of None: it may take for ever."""

    key: ResourceKey
    agent: str
    name: str
    operation: AgentOperation
    depth: int = 0
    timeout_s: int | None = None


class Failure(Struct, frozen=True, kw_only=True):
    """One call that did not return 0; `text` is the log's sentence on it. `exit_code` of None: a signal ended the agent."""

    key: ResourceKey
    operation: AgentOperation
    exit_code: int | None
    text: str


class Finished(Struct, frozen=True, tag=True, kw_only=True):
    """Effect: the walk is over. `failures` are there also where they do not matter, such as a tolerated check.

    `started` are the resources that were started here and not stopped, and those whose start or stop failed half-way.
    """

    ok: bool
    failures: tuple[Failure, ...] = ()
    started: tuple[ResourceKey, ...] = ()


class AgentExited(Struct, frozen=True, tag=True, kw_only=True):
    """Event: the agent that was asked for ended. `exit_code` of None: a signal ended it; `timed_out`: it was ours.

    An agent that cannot be executed exits with CANNOT_EXECUTE. `at_ms` is in the time of the schedule.
    """

    key: ResourceKey
    exit_code: int | None
    timed_out: bool = False
    at_ms: int = 0


Effect = RunAgent | Finished


class Purpose(StrEnum):
    """What a walk is for, and so what a failure in it means."""

    START = "start"  # the first failure ends it
    STOP = "stop"  # it goes on after failures
    STATUS = "status"  # a failure that is neither tolerated nor recovered ends it


class Step(Struct, frozen=True, kw_only=True):
    """One resource that the walk comes to; an action that is not `declared` succeeds without being run."""

    call: RunAgent
    declared: bool


class Walk(Struct, frozen=True, kw_only=True):
    """A walk under way: `running` is the call whose end is awaited, None where the walk is over.

    `recoveries` are the calls that can mend a failed check. `schedule` is there in a round of checks only; the next
    round goes on from it.
    """

    purpose: Purpose
    running: RunAgent | None = None
    todo: tuple[Step, ...] = ()
    failures: tuple[Failure, ...] = ()
    started: tuple[ResourceKey, ...] = ()
    recoveries: tuple[RunAgent, ...] = ()
    schedule: Schedule | None = None
    ok: bool = True

    @property
    def maybe_started(self) -> tuple[ResourceKey, ...]:
        """What may be started here if the walk is given up now: a start under way counts."""
        if self.running is None or self.running.operation is not AgentOperation.START:
            return self.started
        return _with_key(self.started, self.running.key)


Stepped = tuple[Walk, tuple[Effect, ...]]


def start_walk(root: ResourceNode, started: tuple[ResourceKey, ...] = ()) -> Stepped:
    """Begin to start all resources, in start order. The first failure ends the walk."""
    return begin_walk(
        Purpose.START, tuple(step_of(n, AgentOperation.START) for n in start_order(root)), started
    )


def stop_walk(root: ResourceNode, started: tuple[ResourceKey, ...] = ()) -> Stepped:
    """Begin to stop all resources, started or not, in stop order. `started` is that of the last walk."""
    return begin_walk(Purpose.STOP, tuple(step_of(n, AgentOperation.STOP) for n in stop_order(root)), started)


def status_walk(
    root: ResourceNode, schedule: Schedule, now_ms: int, started: tuple[ResourceKey, ...] = ()
) -> Stepped:
    """Begin a round of the checks that are due; it is over at once where none is."""
    schedule, checks = begin_round(schedule, now_ms)
    nodes = {node.key: node for node in resources_below(root)}
    steps = tuple(step_of(nodes[check.key], AgentOperation.STATUS, check.depth) for check in checks)
    recoveries = tuple(step_of(nodes[check.key], AgentOperation.RECOVER) for check in checks)
    walk = Walk(
        purpose=Purpose.STATUS,
        todo=steps,
        started=started,
        recoveries=tuple(recovery.call for recovery in recoveries if recovery.declared),
        schedule=schedule,
    )
    return _advance(walk)


def begin_walk(purpose: Purpose, steps: tuple[Step, ...], started: tuple[ResourceKey, ...]) -> Stepped:
    """Begin a walk over the steps in their order."""
    return _advance(Walk(purpose=purpose, todo=steps, started=started))


def step_of(node: ResourceNode, operation: AgentOperation, depth: int = 0) -> Step:
    """Return the step that asks the resource's agent for the operation."""
    call = RunAgent(
        key=node.key,
        agent=node.type,
        name=node.name,
        operation=operation,
        depth=depth,
        timeout_s=enforced_timeout_s(node, operation, depth),
    )
    return Step(call=call, declared=find_action(node, operation, depth) is not None)


def step(walk: Walk, event: AgentExited) -> Stepped:
    """Take the end of the agent that the walk awaits, and go on."""
    call = walk.running
    assert call is not None, "the walk is over"
    assert call.key == event.key, f"awaited {call.key}, not {event.key}"
    exit_code = None if event.timed_out else event.exit_code
    ok = has_succeeded(call.operation, exit_code, started=call.key in walk.started)
    if exit_code != 0:
        walk = structs.replace(walk, failures=(*walk.failures, _failure(call, event)))
    if walk.purpose is Purpose.STATUS:
        return _advance(walk) if ok else _after_failed_check(walk, call, event.at_ms)
    started = _started_after(walk.started, call, exit_code, ok=ok)
    walk = structs.replace(walk, started=started, ok=walk.ok and ok)
    return _advance(walk) if ok or walk.purpose is Purpose.STOP else _finish(walk)


def _after_failed_check(walk: Walk, call: RunAgent, now_ms: int) -> Stepped:
    assert walk.schedule is not None, "a round of checks has a schedule"
    if call.operation is AgentOperation.STATUS:
        schedule, passes = tolerate(walk.schedule, call.key, now_ms)
        walk = structs.replace(walk, schedule=schedule)
        if passes:
            return _advance(walk)
        recovery = next((recovery for recovery in walk.recoveries if recovery.key == call.key), None)
        if recovery is not None:
            return structs.replace(walk, running=recovery), (recovery,)
    return _finish(structs.replace(walk, ok=False))


def _advance(walk: Walk) -> Stepped:
    """Go to the next declared action; those on the way succeed."""
    started = walk.started
    for place, planned in enumerate(walk.todo):
        if planned.declared:
            todo = walk.todo[place + 1 :]
            return structs.replace(walk, running=planned.call, todo=todo, started=started), (planned.call,)
        started = _started_after(started, planned.call, 0, ok=True)
    return _finish(structs.replace(walk, started=started))


def _finish(walk: Walk) -> Stepped:
    walk = structs.replace(walk, running=None, todo=(), recoveries=())
    return walk, (Finished(ok=walk.ok, failures=walk.failures, started=walk.started),)


def _started_after(
    started: tuple[ResourceKey, ...], call: RunAgent, exit_code: int | None, *, ok: bool
) -> tuple[ResourceKey, ...]:
    match call.operation:
        case AgentOperation.START:
            return started if exit_code == NOT_INSTALLED else _with_key(started, call.key)
        case AgentOperation.STOP if ok:
            return tuple(key for key in started if key != call.key)
        case AgentOperation.STOP:
            return _with_key(started, call.key)
        case _:
            return started


def _with_key(keys: tuple[ResourceKey, ...], key: ResourceKey) -> tuple[ResourceKey, ...]:
    return keys if key in keys else (*keys, key)


def _failure(call: RunAgent, event: AgentExited) -> Failure:
    text = describe_exit(
        call.operation,
        call.agent,
        call.name,
        event.exit_code,
        timed_out_after_s=call.timeout_s if event.timed_out else None,
    )
    return Failure(key=call.key, operation=call.operation, exit_code=event.exit_code, text=text)
