"""Carrying out a walk over a service's resources: one agent after the other, through the gate.

Source: spec resources, sections 3 to 5.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct, structs

from standfast.node.agency import Agency, Order, Outcome
from standfast.node.gate import Gate
from standfast.node.output import last_line
from standfast.node.place import FILE_NAME_MAX, file_name
from standfast.resources.operation import AgentOperation, argument_words, environment, other_instances
from standfast.resources.resource import ResourceKey, ResourceNode, find_resource
from standfast.resources.walk import AgentExited, Failure, Finished, RunAgent, Stepped, Walk, step
from standfast.terms import ServiceName
from standfast.wire.agents import SERVED_AGENTS
from standfast.wire.paths import PREFIX_VARIABLE

# Differs from rgmanager, where an agent may run for ever: what hangs must end in a failure that somebody hears of.
AGENT_RUN_MS_MAX = 600_000  # longest start or stop of one agent; then SIGKILL, and it has failed
STATUS_RUN_MS_MAX = 120_000  # the same for a status check

logger = logging.getLogger(__name__)

Running = Callable[[], Iterable[tuple[ResourceNode, Collection[ResourceKey]]]]
"""Return the trees of this node with the resources in them that are started."""


class Errand(Struct, frozen=True, kw_only=True):
    """Whose walk it is; once `give_up` is done no further agent is started, and the one at work is ended."""

    service: ServiceName
    root: ResourceNode
    running: Running
    give_up: asyncio.Future[None]


class Walked(Struct, frozen=True, kw_only=True):
    """How a walk ended. `text` says why it failed, for a person."""

    walk: Walk
    ok: bool
    given_up: bool = False
    failures: tuple[Failure, ...] = ()
    text: str = ""


class Program(Struct, frozen=True):
    """Where an agent is: `path` is a file, or the name of an agent that the fork server has; `directory` its OCF_ROOT."""

    path: str
    directory: str


class Walker:
    """Carries out walks, those of different services at the same time."""

    def __init__(
        self,
        agency: Agency,
        gate: Gate,
        programs: Mapping[str, Program],
        *,
        output_folder: Path,
        prefix: str,
    ) -> None:
        """`programs` are the agents by type in lower case."""
        self._agency = agency
        self._gate = gate
        self._programs = programs
        self._output_folder = output_folder
        self._prefix = prefix
        self._loop = asyncio.get_running_loop()
        self._shared: dict[tuple[str, str], asyncio.Lock] = {}

    async def carry_out(self, errand: Errand, stepped: Stepped) -> Walked:
        """Go on with a walk that has just begun until it is over, or given up."""
        walk, effects = stepped
        reasons: list[str] = []
        while True:
            (effect,) = effects
            if isinstance(effect, Finished):
                return Walked(walk=walk, ok=effect.ok, failures=effect.failures, text="; ".join(reasons))
            limit_ms = _limit_ms(effect)
            walk = structs.replace(walk, running=structs.replace(effect, timeout_s=limit_ms // 1000))
            outcome = await self._call(errand, effect, limit_ms)
            if outcome is None or outcome.given_up:
                return Walked(walk=walk, ok=False, given_up=True, text="given up")
            told = len(walk.failures)
            exited = AgentExited(
                key=effect.key,
                exit_code=outcome.exit_code,
                timed_out=outcome.timed_out,
                at_ms=int(self._loop.time() * 1000),
            )
            walk, effects = step(walk, exited)
            failures = walk.failures[told:]
            reasons.extend(_reason(failure, outcome) for failure in failures)
            _tell(errand.service, effect, outcome, failures)

    async def _call(self, errand: Errand, call: RunAgent, limit_ms: int) -> Outcome | None:
        """Run one agent; None where the walk was given up before."""
        node = find_resource(errand.root, call.key)
        assert node is not None, f"{call.key} is not in the tree"
        async with AsyncExitStack() as stack:
            if node.shared and call.operation is not AgentOperation.STATUS:
                key = (node.type, node.name)
                await stack.enter_async_context(self._shared.setdefault(key, asyncio.Lock()))
            if not await self._gate.passed(errand.give_up):
                return None
            return await self._agency.run(self._order(errand, node, call, limit_ms), errand.give_up)

    def _order(self, errand: Errand, node: ResourceNode, call: RunAgent, limit_ms: int) -> Order:
        # An agent that is gone since its tree was made is looked for where it should be, and its absence is told.
        program = self._programs.get(node.type.lower(), Program(f"/nonexistent/{node.type}", "/"))
        surroundings = environment(
            node,
            call.operation,
            depth=call.depth,
            refcount=other_instances(node, errand.running()),
            agent_directory=program.directory,
        )
        if self._prefix:
            surroundings = (*surroundings, (PREFIX_VARIABLE, self._prefix))
        is_served = program.path in SERVED_AGENTS
        output_name = quote(f"{node.type}:{node.name}", safe="")[:FILE_NAME_MAX]
        return Order(
            program=program.path,
            words=argument_words(node, call.operation),
            environment=surroundings,
            limit_ms=limit_ms,
            record=f"{file_name(errand.service)}.{call.operation}",
            output_file=None if is_served else self._output_folder / output_name,
        )


def _limit_ms(call: RunAgent) -> int:
    longest_ms = STATUS_RUN_MS_MAX if call.operation is AgentOperation.STATUS else AGENT_RUN_MS_MAX
    return longest_ms if call.timeout_s is None else call.timeout_s * 1000


def _reason(failure: Failure, outcome: Outcome) -> str:
    said = last_line(outcome.output)
    return f"{failure.text}: {said}" if said else failure.text


def _tell(service: ServiceName, call: RunAgent, outcome: Outcome, failures: tuple[Failure, ...]) -> None:
    for failure in failures:
        fields = {"service": service, "text": failure.text, "output": outcome.output.strip()}
        logger.warning("agent.failed", extra=fields)
    if not failures and call.operation is not AgentOperation.STATUS:
        fields = {"service": service, "agent": f"{call.agent}:{call.name}", "operation": str(call.operation)}
        logger.info("agent.done", extra=fields)
