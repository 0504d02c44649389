"""What must never happen and what must always happen, judged on the simulated world.

Source: design section 3 (S1 to S5, L1, L2). Each breach is a sentence that begins with the rule's name.
"""

from standfast.cluster.session import has_begun
from standfast.cluster.state import ClusterState, ConfigRequest, MemberStatus, Outcome, digest
from standfast.services.placement import dependency_met
from standfast.services.record import ServiceState
from standfast.services.work import Phase
from standfast.simulation.machine import Machine, Truth
from standfast.simulation.world import Asked, World
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Code

STOP_BOUND_MS = (
    45_000  # a node without quorum has stopped its services by then: the longest simulated stop, twice
)

Point = tuple[int, int, int]
"""A place of the log: epoch, the view in which it began, index."""


class Judge:
    """Watches a world and writes down each breach."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: dict[Point, int] = {}
        self._without_quorum: dict[NodeId, int] = {}
        self._acknowledged_version = 0
        world.on_start = self.on_start
        world.on_answer = self.on_answer
        world.on_step = self.on_step

    def on_start(self, machine: Machine, service: ServiceName) -> None:
        """S1 and S5: nothing of the service may be left on any other machine that has power."""
        for other in self._world.machines.values():
            if other is machine or not other.powered:
                continue
            truth = other.services.get(service)
            if truth is not None:
                rule = "S5" if truth is Truth.DEAD else "S1"
                self._breach(
                    rule, f"{service} starts on {machine.name} while {other.name} has it ({truth.value})"
                )

    def on_step(self, machine: Machine) -> None:
        """S3 and determinism: the same place of the log, the same state, on every node. Also begins the clock of S2."""
        daemon = machine.daemon
        if daemon is None:
            return
        session = daemon.participant.session
        if session.quorate is False:
            self._without_quorum.setdefault(machine.nodeid, self._world.now_ms)
        else:
            self._without_quorum.pop(machine.nodeid, None)
        state = session.state
        if state is None:
            return
        point = (state.epoch, state.begun_view, state.index)
        content = hash(
            (
                state.now_ms,
                state.config.config_version,
                state.services,
                state.members,
                state.fence,
                state.requests,
            )
        )
        known = self._seen.setdefault(point, content)
        if known != content:
            self._breach("S3", f"{machine.name} has another state than others at {point}")

    def on_answer(self, asked: Asked, outcome: Outcome) -> None:
        """S4: one answer to each request. S3: an acknowledged update is on the disk of every member."""
        if len(asked.outcomes) > 1:
            self._breach("S4", f"{asked.request.id} was answered {len(asked.outcomes)} times")
        if not isinstance(asked.request, ConfigRequest) or outcome.code is not Code.SUCCESS:
            return
        version = outcome.new_version
        self._acknowledged_version = max(self._acknowledged_version, version)
        state = self._state_of(self._world.machines[asked.request.asked_by])
        for member in () if state is None else state.members:
            machine = self._world.machines[member.nodeid]
            if member.status is MemberStatus.ONLINE and machine.disk.config_version < version:
                self._breach("S3", f"version {version} is acknowledged and not on the disk of {machine.name}")

    def look(self) -> None:
        """S2: a node that has been without quorum for long runs nothing that could be stopped."""
        for nodeid, since_ms in self._without_quorum.items():
            machine = self._world.machines[nodeid]
            if machine.daemon is None or machine.frozen_since is not None or not machine.powered:
                self._without_quorum[nodeid] = self._world.now_ms
                continue
            if self._world.now_ms - since_ms < STOP_BOUND_MS:
                continue
            labour = machine.daemon.participant.labour
            for service in sorted(machine.services):
                if labour.service(service).phase is not Phase.BROKEN:
                    self._breach("S2", f"{machine.name} runs {service} without quorum")
                    self._without_quorum[nodeid] = self._world.now_ms

    def unfinished(self) -> list[str]:
        """L1, L2, S4 at the end: what is still not as it must be; empty when all is well."""
        world = self._world
        lines: list[str] = []
        states: list[ClusterState] = []
        for machine in world.machines.values():
            state = self._state_of(machine)
            if state is None or machine.daemon is None or not has_begun(machine.daemon.participant.session):
                lines.append(f"L2 {machine.name} is not synced")
            else:
                states.append(state)
        if lines:
            return lines
        if len({digest(state) for state in states}) > 1:
            return ["L2 the members' states differ"]
        state = states[0]
        lines.extend(
            f"L2 {m.nodeid} is {m.status.value}" for m in state.members if m.status is not MemberStatus.ONLINE
        )
        lines.extend(f"L2 node {v.nodeid} is still a victim" for v in state.fence.victims)
        lines.extend(f"S4 {r.id} was never answered" for r in state.requests)
        lines.extend(
            f"S4 {asked.request.id} was lost"
            for asked in world.requests.values()
            if not asked.outcomes and not asked.node_died
        )
        if not world.plan.two_node and state.config.config_version < self._acknowledged_version:
            lines.append(f"S3 acknowledged version {self._acknowledged_version} is lost")
        lines.extend(self._services(state))
        return lines

    def _services(self, state: ClusterState) -> list[str]:
        from standfast.cluster.decide import situation

        around = situation(state, state.now_ms).around
        exclusive = any(service.exclusive for service in around.services.values())
        lines: list[str] = []
        for record in state.services:
            service = around.services.get(record.name)
            runs_on = [m.nodeid for m in self._world.machines.values() if record.name in m.services]
            if record.state is ServiceState.STARTED:
                owner = None if record.owner is None else self._world.machines[record.owner]
                if owner is None or (
                    owner.services.get(record.name) is not Truth.WHOLE and not record.frozen
                ):
                    lines.append(f"L1 {record.name} is started on {record.owner} but does not run there")
                continue
            resting = record.state in (ServiceState.DISABLED, ServiceState.FAILED)
            excused = resting or record.frozen or record.parked or service is None or exclusive
            if excused or service is None or not dependency_met(service, around):
                if runs_on and record.state is ServiceState.DISABLED and not record.may_run_on:
                    lines.append(f"L1 {record.name} is disabled but runs on {runs_on}")
                continue
            lines.append(f"L1 {record.name} is {record.state.value}: {record.because}")
        return lines

    def _state_of(self, machine: Machine) -> ClusterState | None:
        return None if machine.daemon is None else machine.daemon.participant.session.state

    def _breach(self, rule: str, text: str) -> None:
        line = f"{rule} at {self._world.now_ms} ms: {text}"
        self._world.violations.append(line)
        self._world.say(f"VIOLATION {line}")
