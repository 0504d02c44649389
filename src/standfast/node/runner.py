"""One service on this node: its starts, stops and status checks, strictly one at a time.

What is wanted comes from the cluster's reconcile; each start and each stop is answered with exactly one WorkEnded.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Protocol

from msgspec import structs

from standfast.cluster.participant import CheckFailed, Event, WorkEnded
from standfast.node.trees import Definitions, TreeStore
from standfast.node.walker import Errand, Walked, Walker
from standfast.resources.checks import (
    CheckClock,
    Schedule,
    begin_schedule,
    next_deadline_ms,
)
from standfast.resources.resource import ResourceKey, ResourceNode, resources_below
from standfast.resources.walk import Stepped, start_walk, status_walk, stop_walk
from standfast.terms import ServiceName

ROUND_GRACE_S = 1.0  # how long a round of checks may go on once the service is to be stopped

logger = logging.getLogger(__name__)


class Surroundings(Protocol):
    """What the runners of a node share."""

    tasks: asyncio.TaskGroup
    walker: Walker
    store: TreeStore
    definitions: Definitions
    tell: Callable[[Event], None]

    @property
    def round_ms(self) -> int:
        """How often it is looked whether checks are due."""
        ...

    def may_check(self, service: ServiceName) -> bool:
        """Whether a round of checks may begin now."""
        ...

    def running(self) -> Iterable[tuple[ResourceNode, Collection[ResourceKey]]]:
        """The trees of all services that may run here, with what is started of them."""
        ...


class Runner:
    """One service. `root` is the tree that may run here, None where nothing of the service does."""

    def __init__(self, service: ServiceName, around: Surroundings, root: ResourceNode | None = None) -> None:
        """`root`: what an earlier daemon of this boot has started and not stopped."""
        self.service = service
        self.root = root
        self.started = () if root is None else tuple(node.key for node in resources_below(root))
        self.is_checking = False
        self._around = around
        self._loop = asyncio.get_running_loop()
        self._give_up: asyncio.Future[None] = self._loop.create_future()
        self._work: asyncio.Task[None] | None = None
        self._schedule: Schedule | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._round: asyncio.Task[None] | None = None
        self._end_round: asyncio.Future[None] = self._loop.create_future()

    def start(self) -> None:
        """Begin to start the service."""
        self._begin(self._start)

    def stop(self) -> None:
        """Begin to stop the service."""
        self._begin(self._stop)

    def give_up(self) -> None:
        """End the agents that are at work for a start or stop."""
        if not self._give_up.done():
            self._give_up.set_result(None)

    async def adopt(self) -> bool | None:
        """Find out what is true of the tree that an earlier daemon left: True if it runs, None if it is stopped.

        What does not run whole is stopped; False where that failed.
        """
        root = self.root
        assert root is not None
        never = self._loop.create_future()
        looked = await self._walk(
            root, status_walk(root, _all_checks(root), self._now_ms(), self.started), never
        )
        if looked.ok:
            logger.info("service.adopted", extra={"service": self.service})
            self._watch(root)
            return True
        ok, _ = await self._stop()
        return None if ok else False

    async def initialize(self) -> bool | None:
        """Stop a service that nobody has started in this boot, for what the machine may have started by itself.

        None when it is stopped; False where the stop failed and a check says that it runs.

        Differs from rgmanager, which ignores every failure: what is known to run must not be started elsewhere.
        """
        tree = self._around.definitions.tree(self.service)
        if tree is None or tree.root is None:
            return None
        never = self._loop.create_future()
        stopped = await self._walk(tree.root, stop_walk(tree.root), never)
        if stopped.ok:
            return None
        root = tree.root
        failed = {failure.key for failure in stopped.failures}
        checks = _only(_all_checks(root), failed)
        if not checks.clocks:
            return None
        for clock in checks.clocks:
            alone = _only(checks, {clock.key})
            looked = await self._walk(root, status_walk(root, alone, self._now_ms()), never)
            if looked.ok:
                return False
        return None

    async def end(self) -> bool:
        """Stop the service whatever is under way, without a report; True when nothing of it runs here any more."""
        self.give_up()
        if self._work is not None:
            await asyncio.wait([self._work])
        await self._quiet()
        if self.root is None:
            return True
        self._give_up = self._loop.create_future()
        ok, _ = await self._stop()
        return ok

    def check_now(self, types: frozenset[str]) -> None:
        """Check the resources of these types at once, without waiting for their intervals."""
        if self.root is None or self._schedule is None or self._round is not None:
            return
        keys = {node.key for node in resources_below(self.root) if node.type.lower() in types}
        if keys and self._around.may_check(self.service):
            at_once = _only(_all_checks(self.root), keys)
            self._begin_round(structs.replace(at_once, tolerances=self._schedule.tolerances))

    def _begin(self, work: Callable[[], Awaitable[tuple[bool, str]]]) -> None:
        assert self._work is None, f"{self.service} is being worked on"
        self._give_up = self._loop.create_future()
        self._work = self._around.tasks.create_task(self._carry_out(work))

    async def _carry_out(self, work: Callable[[], Awaitable[tuple[bool, str]]]) -> None:
        await self._quiet()
        ok, text = await work()
        self._work = None
        self._around.tell(WorkEnded(service=self.service, ok=ok, text=text))

    async def _start(self) -> tuple[bool, str]:
        tree = self._around.definitions.tree(self.service)
        if tree is None or tree.root is None:
            findings = () if tree is None else tree.findings
            why = "; ".join(f"line {finding.line}: {finding.text}" for finding in findings)
            return False, f"it cannot be loaded from cluster.conf: {why or 'it is not there'}"
        try:
            self._around.store.keep(self.service, tree.root)
        except OSError as failure:
            return False, f"its tree cannot be noted on disk, and so nothing was started: {failure.strerror}"
        self.root, self.started = tree.root, ()
        walked = await self._walk(tree.root, start_walk(tree.root), self._give_up)
        self.started = walked.walk.maybe_started
        if walked.ok:
            self._watch(tree.root)
        return walked.ok, walked.text

    async def _stop(self) -> tuple[bool, str]:
        root = self.root
        if root is None:
            tree = self._around.definitions.tree(self.service)
            root = None if tree is None else tree.root
        if root is None:
            return True, ""
        walked = await self._walk(root, stop_walk(root, self.started), self._give_up)
        self.started = walked.walk.started
        if not walked.ok:
            return False, walked.text
        self.root, self.started = None, ()
        try:
            self._around.store.forget(self.service)
        except OSError as failure:
            # The next daemon will find it, see that it does not run, and stop it once more.
            fields = {"service": self.service, "reason": failure.strerror}
            logger.error("tree.not-removed", extra=fields)
        return True, ""

    async def _walk(self, root: ResourceNode, stepped: Stepped, give_up: asyncio.Future[None]) -> Walked:
        errand = Errand(service=self.service, root=root, running=self._around.running, give_up=give_up)
        return await self._around.walker.carry_out(errand, stepped)

    def _watch(self, root: ResourceNode) -> None:
        """Check the service from now on."""
        self._schedule = begin_schedule(root, self._now_ms(), round_ms=self._around.round_ms)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_ms = None if self._schedule is None else next_deadline_ms(self._schedule)
        if deadline_ms is not None:
            self._timer = self._loop.call_at(deadline_ms / 1000, self._due)

    def _due(self) -> None:
        assert self._schedule is not None
        if self._round is None and self._around.may_check(self.service):
            self._begin_round(self._schedule)
        else:
            self._schedule = structs.replace(self._schedule, last_round_ms=self._now_ms())
            self._arm()

    def _begin_round(self, schedule: Schedule) -> None:
        self.is_checking = True
        self._end_round = self._loop.create_future()
        self._round = self._around.tasks.create_task(self._check(schedule))

    async def _check(self, schedule: Schedule) -> None:
        root = self.root
        assert root is not None
        now_ms = self._now_ms()
        stepped = status_walk(root, schedule, now_ms, self.started)
        walked = await self._walk(root, stepped, self._end_round)
        self._round = None
        self.is_checking = False
        if self._schedule is None or walked.given_up:
            return
        after = walked.walk.schedule
        assert after is not None
        if schedule is self._schedule:
            self._schedule = after
        else:  # a round beside the regular ones, whose clocks go on
            self._schedule = structs.replace(self._schedule, tolerances=after.tolerances)
        self._arm()
        if not walked.ok:
            self._around.tell(CheckFailed(self.service, walked.text))

    async def _quiet(self) -> None:
        """End the checks; a round that is under way may end by itself for a moment."""
        self._schedule = None
        self._arm()
        if self._round is not None:
            await asyncio.wait([self._round], timeout=ROUND_GRACE_S)
            if not self._end_round.done():
                self._end_round.set_result(None)
            if self._round is not None:
                await asyncio.wait([self._round])

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)


def _all_checks(root: ResourceNode) -> Schedule:
    """Return a schedule in which the plainest check of each resource is due, and no failure is let pass."""
    schedule = begin_schedule(root, 0, round_ms=1)
    plainest: dict[ResourceKey, CheckClock] = {}
    for node in resources_below(root):
        depths = [action.depth for action in node.actions if action.name == "status"]
        if depths:
            plainest[node.key] = CheckClock(key=node.key, depth=min(depths), interval_ms=0, last_ms=0)
    return structs.replace(schedule, clocks=tuple(plainest.values()), tolerances=())


def _only(schedule: Schedule, keys: frozenset[ResourceKey] | set[ResourceKey]) -> Schedule:
    """Return the schedule with these resources alone."""
    return structs.replace(schedule, clocks=tuple(clock for clock in schedule.clocks if clock.key in keys))
