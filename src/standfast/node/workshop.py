"""All services of this node: one runner each, what they share, and what was found here when the daemon started."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from pathlib import Path

from standfast.cluster.participant import Event, StockTaken
from standfast.conf.model import Cluster
from standfast.node.census import end_leftovers
from standfast.node.files import replace_file
from standfast.node.runner import Runner
from standfast.node.trees import Definitions, TreeStore
from standfast.node.walker import Walker
from standfast.resources.resource import ResourceKey, ResourceNode
from standfast.terms import BootId, ServiceName

logger = logging.getLogger(__name__)


class Workshop:
    """Starts, stops, checks and adopts services, as the cluster wants."""

    def __init__(
        self,
        *,
        tasks: asyncio.TaskGroup,
        walker: Walker,
        store: TreeStore,
        definitions: Definitions,
        agents: Path,
        tell: Callable[[Event], None],
        is_frozen: Callable[[ServiceName], bool],
    ) -> None:
        """`agents` holds the notes of agents at work, `is_frozen` says whether the cluster leaves a service alone."""
        self.tasks = tasks
        self.walker = walker
        self.store = store
        self.definitions = definitions
        self.tell = tell
        self.round_ms = 10_000
        self._agents = agents
        self._is_frozen = is_frozen
        self._rounds_max: int | None = None
        self._runners: dict[ServiceName, Runner] = {}
        self._stock: asyncio.Task[None] | None = None

    def use(self, cluster: Cluster) -> None:
        """Take the trees of starts to come, and the times of checks, from this configuration."""
        self.definitions.use(cluster)
        self.round_ms = cluster.rm.status_poll_interval_s * 1000
        self._rounds_max = cluster.rm.status_child_max

    def runner(self, service: ServiceName) -> Runner:
        """Return the service's runner."""
        found = self._runners.get(service)
        if found is None:
            found = self._runners[service] = Runner(service, self)
        return found

    def may_check(self, service: ServiceName) -> bool:
        """Whether a round of checks may begin: the service is not frozen, and not too many are checked already."""
        checking = sum(runner.is_checking for runner in self._runners.values())
        return not self._is_frozen(service) and (self._rounds_max is None or checking < self._rounds_max)

    def check_now(self, types: frozenset[str]) -> None:
        """Check the resources of these types at once, in all services."""
        for runner in self._runners.values():
            runner.check_now(types)

    def running(self) -> Iterator[tuple[ResourceNode, Collection[ResourceKey]]]:
        """The trees of all services that may run here, with what is started of them."""
        return ((runner.root, runner.started) for runner in self._runners.values() if runner.root is not None)

    def take_stock(self, booted: Path, boot_id: BootId) -> None:
        """Begin to find out what runs here, to bring the rest to a known end, and to tell.

        `booted` holds the boot for which the services were stopped once.
        """
        self._stock = self.tasks.create_task(self._take_stock(booted, boot_id))

    async def stop_all(self) -> bool:
        """Stop every service that may run here, all at once, without a report; True when nothing is left."""
        if self._stock is None:
            await end_leftovers(self._agents)
        else:
            await asyncio.wait([self._stock])
        results: dict[ServiceName, bool | None] = {}
        for service, root in self.store.load():
            if service not in self._runners:
                self._adopted(service, root)
        async with asyncio.TaskGroup() as tasks:
            for runner in self._runners.values():
                tasks.create_task(_note(results, runner.service, runner.end()))
        for service, ok in results.items():
            if not ok:
                logger.error("service.not-stopped", extra={"service": service})
        return all(results.values())

    async def _take_stock(self, booted: Path, boot_id: BootId) -> None:
        await end_leftovers(self._agents)
        known = [self._adopted(service, root) for service, root in self.store.load()]
        results: dict[ServiceName, bool | None] = {}
        async with asyncio.TaskGroup() as tasks:
            for runner in known:
                tasks.create_task(_note(results, runner.service, runner.adopt()))
            if _read(booted) != boot_id:
                logger.info("services.initializing", extra={"services": len(self.definitions.services)})
                for service in self.definitions.services:
                    if service not in self._runners:
                        tasks.create_task(_note(results, service, self.runner(service).initialize()))
        try:
            replace_file(booted, boot_id.encode())
        except OSError as failure:
            fields = {"file": str(booted), "reason": failure.strerror}
            logger.error("boot.not-noted", extra=fields)
        self.tell(
            StockTaken(
                running=tuple(sorted(name for name, runs in results.items() if runs is True)),
                broken=tuple(sorted(name for name, runs in results.items() if runs is False)),
            )
        )

    def _adopted(self, service: ServiceName, root: ResourceNode) -> Runner:
        runner = self._runners[service] = Runner(service, self, root)
        return runner


async def _note(
    results: dict[ServiceName, bool | None], service: ServiceName, finding: Awaitable[bool | None]
) -> None:
    results[service] = await finding


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
