"""The operators of a simulated cluster: what they ask, and what they are told."""

from collections import Counter
from collections.abc import Iterable

from standfast.cluster.state import (
    ConfigRequest,
    ExpectedRequest,
    KillRequest,
    LeaveRequest,
    MemberStatus,
    OperatorRequest,
    Outcome,
    OverrideRequest,
    VotesRequest,
)
from standfast.services.proposal import ServiceRequest
from standfast.simulation import chronicle as steps
from standfast.simulation.configs import service_name, updated
from standfast.simulation.fault import Ask, AskVotes, UpdateFile
from standfast.simulation.machine import Machine
from standfast.simulation.timeline import Timeline
from standfast.terms import NodeId
from standfast.wire.control import Code, Operation


class Operators:
    """All operators. Each request that is made gets the next number in its id."""

    def __init__(self, time: Timeline, chronicle: list[steps.Step], counts: Counter[str]) -> None:
        self._time = time
        self._chronicle = chronicle
        self._counts = counts
        self._requests: dict[str, OperatorRequest] = {}
        self.asked: set[tuple[str, Operation]] = set()

    def service_request(self, machine: Machine, ask: Ask) -> OperatorRequest:
        """Ask for one operation on a service."""
        name = service_name(ask.service)
        request_id = self._next_id(machine, ask.operation.value, name)
        self.asked.add((name, ask.operation))
        return self._made(
            ServiceRequest(
                id=request_id,
                operation=ask.operation,
                service=name,
                asked_by=machine.nodeid,
                target=ask.target,
            )
        )

    def config_request(self, machine: Machine, update: UpdateFile) -> OperatorRequest | None:
        """Propose the next version of the active configuration, changed; None where nobody knows it."""
        state = None if machine.daemon is None else machine.daemon.participant.session.state
        if state is None:
            return None
        cluster = updated(state.config, update)
        document = f"version {cluster.config_version}"
        request_id = self._next_id(machine, "update")
        return self._made(
            ConfigRequest(id=request_id, asked_by=machine.nodeid, document=document, cluster=cluster)
        )

    def leave_request(self, machine: Machine) -> OperatorRequest:
        """Let the node leave."""
        return self._made(LeaveRequest(id=self._next_id(machine, "leave"), asked_by=machine.nodeid))

    def votes_request(
        self, machine: Machine, ask: AskVotes, machines: Iterable[Machine]
    ) -> OperatorRequest | None:
        """Change the votes, or the membership; None where an operator with eyes would not."""
        me = machine.nodeid
        view = None if machine.daemon is None else machine.daemon.participant.session.view
        present = () if view is None else view.members
        lit = [m.nodeid for m in machines if m.belongs and m.powered and m.nodeid not in present]
        if ask.what == "expected" and lit:
            return None
        request_id = self._next_id(machine, ask.what)
        match ask.what:
            case "expected":
                return self._made(ExpectedRequest(id=request_id, asked_by=me, votes=ask.number + 1))
            case "votes":
                return self._made(
                    VotesRequest(id=request_id, asked_by=me, nodeid=ask.target, votes=ask.number)
                )
            case "kill":
                return self._made(KillRequest(id=request_id, asked_by=me, nodeid=ask.target))
            case _:
                return self._made(LeaveRequest(id=request_id, asked_by=me, remove=True))

    def override_requests(
        self, machine: Machine, machines: Iterable[Machine], mistaken: NodeId | None
    ) -> list[OperatorRequest]:
        """Declare each victim powered off that the operator sees to be so, or one node that is well."""
        if mistaken is not None:
            request_id = self._next_id(machine, "override")
            return [self._made(OverrideRequest(id=request_id, asked_by=machine.nodeid, victim=mistaken))]
        state = None if machine.daemon is None else machine.daemon.participant.session.state
        dark = [m.nodeid for m in machines if not m.powered]
        victims = () if state is None else tuple(v.nodeid for v in state.fence.victims)
        requests: list[OperatorRequest] = []
        for victim in (n for n in victims if n in dark):
            self._chronicle.append(steps.Overridden(self._time.now_ms, machine.nodeid, victim))
            request_id = self._next_id(machine, "override")
            requests.append(
                self._made(OverrideRequest(id=request_id, asked_by=machine.nodeid, victim=victim))
            )
        return requests

    def answer(self, machine: Machine, outcome: Outcome) -> None:
        """Hear how a request ended."""
        at_ms = self._time.now_ms
        self._counts[f"answers: {outcome.code.name.lower().replace('_', ' ')}"] += 1
        self._time.say(f"answer to {outcome.request}: {outcome.code.name} {outcome.text}")
        self._chronicle.append(
            steps.Answered(at_ms, machine.nodeid, outcome.request, outcome.code, outcome.owner)
        )
        request = self._requests.get(outcome.request)
        if isinstance(request, ConfigRequest) and outcome.code is Code.SUCCESS:
            content = hash(request.cluster)
            version = request.cluster.config_version
            self._chronicle.append(steps.Acknowledged(at_ms, version, content, _members(machine)))

    def _next_id(self, machine: Machine, operation: str, service: str = "") -> str:
        request_id = f"{machine.name}-{len(self._requests) + 1}"
        self._counts[f"requests: {operation}"] += 1
        self._time.say(f"operator asks {machine.name}: {request_id} {operation} {service}")
        step = steps.Asked(self._time.now_ms, machine.nodeid, request_id, operation, service)
        self._chronicle.append(step)
        return request_id

    def _made(self, request: OperatorRequest) -> OperatorRequest:
        self._requests[request.id] = request
        return request


def _members(machine: Machine) -> tuple[NodeId, ...]:
    """The members that take part, as the node that answers knows them."""
    state = None if machine.daemon is None else machine.daemon.participant.session.state
    members = () if state is None else state.members
    return tuple(m.nodeid for m in members if m.status is MemberStatus.ONLINE)
