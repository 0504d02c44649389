"""Fencing a victim from this node: its methods in order, all devices of a method, until one method has succeeded whole.

Source: spec fencing, sections 5 and 21.
"""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from standfast.cluster.participant import AttemptEnded, Event
from standfast.cluster.state import ClusterState
from standfast.conf.model import Arguments, ClusterNode, FenceStep
from standfast.conf.redact import HIDDEN, is_secret
from standfast.fencing.domain import AttemptId
from standfast.node.agency import Agency, Order, Outcome
from standfast.node.gate import Gate
from standfast.node.output import last_line
from standfast.terms import NodeId
from standfast.wire.agents import SERVED_AGENTS
from standfast.wire.paths import PREFIX_VARIABLE

FENCE_AGENT_MS_MAX = 120_000  # longest run of a fence agent; then SIGKILL, and the outcome is "timed out"
METHODS_MAX = 8  # methods of one node that are tried
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

_SERVED = frozenset(agent for agent in SERVED_AGENTS if agent.startswith("fence_"))

logger = logging.getLogger(__name__)


class Attempts:
    """The fencing attempts that are under way on this node."""

    def __init__(
        self,
        *,
        me: NodeId,
        agency: Agency,
        gate: Gate,
        path: str,
        prefix: str,
        tasks: asyncio.TaskGroup,
        tell: Callable[[Event], None],
        synced: Callable[[], tuple[ClusterState | None, tuple[NodeId, ...]]],
    ) -> None:
        """`path` is where fence agents are looked for. `synced` returns the state and the nodes that share it now."""
        self._me = me
        self._agency = agency
        self._gate = gate
        self._path = path
        self._environment = (("PATH", path), *(((PREFIX_VARIABLE, prefix),) if prefix else ()))
        self._tasks = tasks
        self._tell = tell
        self._synced = synced
        self._loop = asyncio.get_running_loop()
        self._give_up: dict[AttemptId, asyncio.Future[None]] = {}

    def begin(self, attempt: AttemptId) -> None:
        """Run the victim's methods, and tell the end."""
        give_up = self._give_up[attempt] = self._loop.create_future()
        self._tasks.create_task(self._run(attempt, give_up))

    def cancel(self, attempt: AttemptId) -> None:
        """End the attempt's agents; nothing is told. One that has ended already is none."""
        give_up = self._give_up.pop(attempt, None)
        if give_up is not None:
            give_up.set_result(None)

    def cancel_all(self) -> None:
        """End all attempts."""
        for attempt in tuple(self._give_up):
            self.cancel(attempt)

    async def _run(self, attempt: AttemptId, give_up: asyncio.Future[None]) -> None:
        victim, objection = self._check_again(attempt)
        if victim is None:
            logger.error("fence.refused", extra={"victim": attempt[0], "reason": objection})
            fenced, text = False, objection
        else:
            fenced, text = await self._try_methods(victim, give_up)
        if give_up.done():
            logger.info("fence.cancelled", extra={"victim": attempt[0]})
            return
        del self._give_up[attempt]
        self._tell(AttemptEnded(attempt, fenced, text))

    def _check_again(self, attempt: AttemptId) -> tuple[ClusterNode | None, str]:
        """Return the victim's entry, or why it must not be fenced: a second look, by other means than the decision's."""
        nodeid, generation, number = attempt
        state, synced = self._synced()
        if nodeid == self._me:
            return None, "this node was asked to fence itself, which it never does"
        if state is None:
            return None, "this node has no state, and so knows of no victim"
        victim = state.fence.victim(nodeid)
        if victim is None or victim.generation != generation or victim.attempt is None:
            return None, f"node {nodeid} is not the victim that the attempt was made for"
        if victim.attempt.number != number or victim.attempt.by != self._me:
            return None, f"attempt {number} on node {nodeid} is not this node's"
        if nodeid in synced:
            return None, f"{state.name_of(nodeid)} takes part in the cluster at this moment"
        node = state.node(nodeid)
        if node is None or not node.methods:
            name = state.name_of(nodeid)
            return (
                None,
                f"no fence method is configured; power it off by hand, then run fence_ack_manual {name}",
            )
        return node, ""

    async def _try_methods(self, victim: ClusterNode, give_up: asyncio.Future[None]) -> tuple[bool, str]:
        reasons: list[str] = []
        for number, method in enumerate(victim.methods[:METHODS_MAX]):
            if not method.steps:
                reasons.append(f'method "{method.name}" has no device')
            for place, device in enumerate(method.steps):
                outcome = await self._run_device(victim, device, give_up)
                if give_up.done():
                    return False, "given up"
                reason = _failure(device, outcome)
                fields = {"victim": victim.name, "device": f"{number}.{place}", "agent": device.agent}
                if reason:
                    logger.error("fence.agent-failed", extra={**fields, "reason": reason})
                    reasons.append(f'method "{method.name}": {reason}')
                    break
                logger.info("fence.agent-done", extra=fields)
            else:
                if method.steps:
                    agents = ", ".join(dict.fromkeys(step.agent for step in method.steps))
                    return True, f"method {method.name}, agent {agents}"
        return False, "; ".join(reasons)

    async def _run_device(
        self, victim: ClusterNode, device: FenceStep, give_up: asyncio.Future[None]
    ) -> Outcome | None:
        """Run one device's agent; None where there is no such program."""
        program = device.agent if device.agent in _SERVED else self._find(device.agent)
        if program is None or not await self._gate.passed(give_up):
            return None
        order = Order(
            program=program,
            environment=self._environment,
            given="".join(f"{name}={value}\n" for name, value in device.arguments).encode(),
            limit_ms=FENCE_AGENT_MS_MAX,
            record=f"fence.{victim.nodeid}",
        )
        return await self._agency.run(order, give_up)

    def _find(self, agent: str) -> str | None:
        """Return the agent's file; a name with a slash in it is that file itself."""
        return shutil.which(agent, path=self._path)


def agent_path(path: str) -> str:
    """Return where fence agents are looked for: the daemon's own path, beside its Python, and in the system's folders."""
    return os.pathsep.join(part for part in (path, str(Path(sys.executable).parent), _SYSTEM_PATH) if part)


def _failure(device: FenceStep, outcome: Outcome | None) -> str:
    """Return why the device's agent failed, "" where it has succeeded; no secret is in it."""
    if outcome is None:
        return f'agent "{device.agent}" is not installed; install it, or correct its name in cluster.conf'
    if outcome.exit_code == 0:
        return ""
    said = _hide(last_line(outcome.output), device.arguments)
    where = f'{device.agent} for device "{device.device}"'
    if outcome.timed_out:
        how = f"did not end within {FENCE_AGENT_MS_MAX // 1000} s"
    elif outcome.exit_code is None:
        how = "was ended by a signal"
    else:
        how = f"returned {outcome.exit_code}"
    return f"{where} {how}: {said}" if said else f"{where} {how}"


def _hide(text: str, arguments: Arguments) -> str:
    for name, value in arguments:
        if is_secret(name) and value:
            text = text.replace(value, HIDDEN)
    return text
