"""Waiting for what the cluster makes of a node that was started: quorum, the fence domain, its services.

Source: spec membership, section 12.
"""

import time
from collections.abc import Callable

from msgspec import Struct

from standfast.errors import NotQuorateError, StandfastError
from standfast.node.caller import ask_status
from standfast.node.place import Place
from standfast.node.steps import Step, Steps
from standfast.wire.control import NodeState, NodeStatus, Status

LOOK_S = 0.1  # pause between two looks at the daemon
AWAY_S_MAX = 10.0  # longest time that a daemon which begins anew may be unreachable
FENCE_S_MAX = 300.0  # as FENCED_START_TIMEOUT
HINT_S = 10.0  # a wait of this length is explained
_AT_WORK = ("starting", "recovering", "stopping")


class Waiting(Struct, frozen=True, kw_only=False):
    """The node that is waited for; `hints` say what may keep the others away."""

    place: Place
    steps: Steps
    hints: str


def await_quorum(waiting: Waiting, limit_s: float | None) -> None:
    """Wait until the node has quorum. Raises NotQuorateError when that takes too long, StandfastError."""
    with waiting.steps.step("quorum", "Waiting for quorum") as step:
        status = _wait(waiting.place, step, _is_quorate, _missing, limit_s=limit_s, hints=waiting.hints)
        if not _is_quorate(status):
            raise NotQuorateError(
                f"no quorum within {limit_s:g} s: {_missing(status)}; start more nodes, what was started here waits for "
                f"them\n{waiting.hints}".rstrip(),
                code="not-quorate",
            )
        step.result = votes_text(status)


def await_fence_domain(waiting: Waiting) -> None:
    """Wait until the node is a member that nobody is going to fence. Raises StandfastError."""
    with waiting.steps.step("fence domain", "Joining the fence domain") as step:
        status = _wait(waiting.place, step, _is_member, _obstacle, limit_s=FENCE_S_MAX, hints="")
        if not _is_member(status):
            raise StandfastError(
                f"this node is no member of the fence domain after {FENCE_S_MAX:.0f} s: {_obstacle(status)}; what was "
                f"started goes on, see: standfast status",
                code="not-member",
            )
        members = [node.name for node in status.nodes if node.membership.state is NodeState.MEMBER]
        step.result = f"members {', '.join(members)}"


def count_services(waiting: Waiting, name: str) -> None:
    """Say how many services run here, and what is on its way. Raises StandfastError."""
    with waiting.steps.step("services", "Starting services") as step:
        status = _status(waiting.place)
        step.result = services_text(status, name)


def votes_text(status: Status) -> str:
    """Return how many votes there are, and how many are needed."""
    if status.election is None:
        return ""
    return f"votes {status.election.total_votes}, needed {status.election.quorum}"


def services_text(status: Status, name: str) -> str:
    """Return what becomes of the services, in one line."""
    services = status.services or ()
    if not services:
        return "none is configured"
    here = [service for service in services if service.owner == name and service.state == "started"]
    at_work = [service.name for service in services if service.state in _AT_WORK]
    stopped = [service.name for service in services if service.state in ("stopped", "recoverable")]
    parts = [f"{len(here)} of {len(services)} run here"]
    if at_work:
        parts.append(f"at work: {', '.join(at_work)}")
    if stopped:
        parts.append(f"stopped or about to start: {', '.join(stopped)}")
    return "; ".join(parts)


def _wait(
    place: Place,
    step: Step,
    is_done: Callable[[Status], bool],
    describe: Callable[[Status], str],
    *,
    limit_s: float | None,
    hints: str,
) -> Status:
    """Look at the daemon until it is done, or the time is over; returns its last status. Raises StandfastError."""
    began = time.monotonic()
    while True:
        status = _status(place)
        passed_s = time.monotonic() - began
        if is_done(status) or (limit_s is not None and passed_s >= limit_s):
            return status
        if passed_s >= 1.0:
            step.note(describe(status))
        if hints and passed_s >= HINT_S:
            step.note(hints)
            hints = ""
        time.sleep(LOOK_S)


def _status(place: Place) -> Status:
    """Return the daemon's status; waits for one that begins anew. Raises StandfastError when there is none any more."""
    deadline = time.monotonic() + AWAY_S_MAX
    while True:
        status = ask_status(place.control_socket)
        if status is not None:
            return status
        if time.monotonic() >= deadline:
            raise StandfastError(
                "standfastd has ended; its log says why (journalctl -u standfastd, or "
                f"{place.prefix}/var/log/cluster/standfastd.log), then try again with: standfast up",
                code="daemon-ended",
            )
        time.sleep(LOOK_S)


def _is_quorate(status: Status) -> bool:
    return status.quorate


def _me(status: Status) -> NodeStatus | None:
    return next((node for node in status.nodes if node.local), None)


def _is_member(status: Status) -> bool:
    me = _me(status)
    return status.synced and me is not None and not me.victim and me.membership.state is NodeState.MEMBER


def _missing(status: Status) -> str:
    away = [node.name for node in status.nodes if not node.online and not node.estranged]
    idle = [
        node.name
        for node in status.nodes
        if node.online and not node.local and node.membership.state is not NodeState.MEMBER
    ]
    parts = [votes_text(status)]
    if away:
        parts.append(f"not reached: {', '.join(away)}")
    if idle:
        parts.append(f"reached, and its daemon takes no part yet: {', '.join(idle)}")
    return "; ".join(part for part in parts if part)


def _obstacle(status: Status) -> str:
    me = _me(status)
    if me is not None and me.victim:
        return me.note or "this node is a victim, and waits to be fenced"
    return "\n".join(status.fencing) or status.unavailable
