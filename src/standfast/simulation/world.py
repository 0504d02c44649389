"""The simulated world: machines, agents, fencing and operators in virtual time, around the real core.

The participants are those that the daemon runs; the engine is the simulated one. Nothing here knows what is right: it only
does what it is told and remembers what really happened.
"""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial
from heapq import heappop, heappush
from random import Random
from typing import assert_never

from standfast.cluster import participant as part
from standfast.cluster.effect import (
    AnswerRequest,
    Effect,
    KeepEpoch,
    Leave,
    Note,
    Quit,
    Restart,
    Send,
    TakeInventory,
    UseConfig,
    WriteConfig,
)
from standfast.cluster.entry import Decision, Entry, Hello, Observation, decode, encode
from standfast.cluster.session import Identity
from standfast.cluster.state import ConfigRequest, LeaveRequest, OperatorRequest, Outcome
from standfast.conf.model import Cluster
from standfast.engine.contract import EngineEvent, Message, Notice, Quorum
from standfast.engine.sim import SimNetwork
from standfast.errors import EngineError, RefusedError
from standfast.fencing.domain import AttemptId, CancelAttempt, StartAttempt
from standfast.membership.view import View
from standfast.services.proposal import ServiceRequest
from standfast.services.record import Flag
from standfast.services.work import GiveUpWork, Phase, StartService, StopService
from standfast.simulation import fault as faults
from standfast.simulation.configs import first_cluster, service_name, updated, votes_of
from standfast.simulation.machine import Daemon, Machine, Run, Truth
from standfast.terms import Incarnation, NodeId, ServiceName

FREEZE_NOTICED_MS = 700  # a daemon that stood still for longer knows it when it goes on
CHECK_MS = 3_000  # interval of the status checks
GRIP_MS = 40  # until agents that are ended are gone
HANG_MS = 15_000  # the time limit of agents that hang
BOOT_MS = (500, 3_000)  # from power to the daemon's start

_decode = lru_cache(maxsize=4096)(decode)


class Asked:
    """One request of an operator, and what became of it."""

    def __init__(self, request: OperatorRequest, incarnation: Incarnation, at_ms: int) -> None:
        self.request = request
        self.incarnation = incarnation
        self.at_ms = at_ms
        self.outcomes: list[Outcome] = []
        self.node_died = False


class World:
    """Everything that is, at one moment of virtual time."""

    def __init__(self, plan: faults.Plan) -> None:
        self.plan = plan
        self.rng = Random(plan.seed * 7 + 1)
        self.now_ms = 0
        self.log: list[str] = []
        self.keep_log = False
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self.network = SimNetwork(
            rng=Random(plan.seed * 7 + 2), call_at=self.call_at, now_ms=lambda: self.now_ms
        )
        self.fence_fails = 0
        self.fence_slow = 0
        self.requests: dict[str, Asked] = {}
        self.latest: Cluster = first_cluster(plan, max(plan.first_versions))
        self.machines = {
            NodeId(n): Machine(NodeId(n), first_cluster(plan, plan.first_versions[n - 1]), self.rng)
            for n in range(1, plan.nodes + 1)
        }
        self.on_start: Callable[[Machine, ServiceName], None] = lambda _machine, _service: None
        self.on_step: Callable[[Machine], None] = lambda _machine: None
        self.on_answer: Callable[[Asked, Outcome], None] = lambda _asked, _outcome: None

    # Time

    def call_at(self, at_ms: int, act: Callable[[], None]) -> None:
        """Let something happen at a virtual time."""
        self._order += 1
        heappush(self._queue, (max(at_ms, self.now_ms), self._order, act))

    def call_in(self, ms: int, act: Callable[[], None]) -> None:
        """Let something happen in `ms`."""
        self.call_at(self.now_ms + ms, act)

    def advance(self) -> bool:
        """Let the next thing happen; False when nothing is left."""
        if not self._queue:
            return False
        self.now_ms, _, act = heappop(self._queue)
        act()
        return True

    def next_ms(self) -> int | None:
        """When the next thing happens."""
        return self._queue[0][0] if self._queue else None

    def say(self, text: str) -> None:
        """Note what happened, for the report of a failure."""
        if self.keep_log:
            self.log.append(f"{self.now_ms:8d} {text}")

    # Machines and daemons

    def power_on(self, machine: Machine) -> None:
        """Switch a machine on; its daemon starts when it has booted."""
        if machine.powered:
            return
        machine.powered = True
        machine.boots += 1
        self.network.host_up(machine.nodeid)
        self.say(f"{machine.name} on")
        boot = machine.boots
        self.call_in(self.rng.randint(*BOOT_MS), lambda: self._booted(machine, boot))

    def _booted(self, machine: Machine, boot: int) -> None:
        if machine.powered and machine.boots == boot:
            self.start_daemon(machine)

    def power_off(self, machine: Machine) -> None:
        """Take a machine's power: nothing runs on it any more."""
        if not machine.powered:
            return
        self.say(f"{machine.name} off")
        self._daemon_gone(machine)
        if machine.frozen_since is not None:
            machine.frozen_since = None
            self.network.thaw(machine.nodeid)
        machine.waiting.clear()
        machine.powered = False
        machine.services.clear()
        for run in machine.runs.values():
            run.cancelled = True
        machine.runs.clear()
        self.network.host_down(machine.nodeid)

    def start_daemon(self, machine: Machine) -> None:
        """Start the daemon, if it does not run."""
        if not machine.powered or machine.daemon is not None:
            return
        if machine.frozen_since is not None:
            machine.waiting.append(lambda: self.start_daemon(machine))
            return
        me = Identity(
            cluster=machine.disk.name,
            nodeid=machine.nodeid,
            name=machine.name,
            incarnation=machine.next_incarnation(),
            boot_id=machine.boot_id,
            epoch_seen=machine.epoch_seen,
        )
        node = part.create(me, machine.disk, f"version {machine.disk.config_version}")

        def deliver(event: EngineEvent) -> None:
            self._engine(machine, me.incarnation, event)

        try:
            port = self.network.attach(machine.nodeid, machine.name, votes_of(machine.disk), deliver)
        except RefusedError:
            self.call_in(500, lambda: self.start_daemon(machine))  # its last life has not quite gone yet
            return
        machine.daemon = Daemon(node, port)
        self.say(f"{machine.name} daemon {me.incarnation} starts")
        self.call_in(CHECK_MS, lambda: self._check(machine, me.incarnation))

    def kill_daemon(self, machine: Machine) -> None:
        """End the daemon; what it started goes on."""
        if machine.daemon is None or not machine.powered:
            return
        self.say(f"{machine.name} daemon killed")
        self._daemon_gone(machine)
        self.network.process_down(machine.nodeid)

    def _daemon_gone(self, machine: Machine) -> None:
        daemon = machine.daemon
        if daemon is None:
            return
        for asked in self.requests.values():
            if asked.incarnation == daemon.incarnation and not asked.outcomes:
                asked.node_died = True
        machine.daemon = None

    def freeze(self, machine: Machine) -> None:
        """Let everything on a machine stand still."""
        if machine.powered and machine.frozen_since is None:
            self.say(f"{machine.name} frozen")
            machine.frozen_since = self.now_ms
            self.network.freeze(machine.nodeid)

    def thaw(self, machine: Machine) -> None:
        """Let a machine go on. The daemon sees its own clock's leap first, then the rest in any order."""
        if not machine.powered or machine.frozen_since is None:
            return
        ms = self.now_ms - machine.frozen_since
        machine.frozen_since = None
        self.say(f"{machine.name} thawed after {ms} ms")
        if machine.daemon is not None and ms >= FREEZE_NOTICED_MS:
            self._feed(machine, part.Woke(ms))
        waiting, machine.waiting = machine.waiting, []
        self.network.thaw(machine.nodeid)
        for act in waiting:
            self.call_in(self.rng.randint(0, 30), act)

    # The daemon's work

    def _engine(self, machine: Machine, incarnation: Incarnation, event: EngineEvent) -> None:
        daemon = machine.daemon
        if daemon is None or daemon.incarnation != incarnation:
            return
        match event:
            case View():
                self.say(f"{machine.name} view {event.view_id} {event.members} hosts {event.hosts}")
                self._feed(machine, part.Viewed(event))
            case Message():
                self._feed(machine, part.Delivered(event.sender, _decode(event.payload)))
            case Quorum():
                self._feed(machine, part.QuorumSeen(event.view_id, event.quorate))
            case Notice():
                self.counts["engine notices"] += 1
            case _:
                assert_never(event)

    def feed(self, machine: Machine, incarnation: Incarnation, event: part.Event) -> None:
        """Give the daemon an event, unless that life of it is over; a frozen one gets it when it goes on."""
        if machine.frozen_since is not None:
            machine.waiting.append(lambda: self.feed(machine, incarnation, event))
        elif machine.daemon is not None and machine.daemon.incarnation == incarnation:
            self._feed(machine, event)

    def _feed(self, machine: Machine, event: part.Event) -> None:
        daemon = machine.daemon
        assert daemon is not None
        local_ms = machine.local_ms(self.now_ms)
        node, effects = part.step(daemon.participant, event, local_ms, 1_000_000 + self.now_ms // 1000)
        daemon.participant = node
        self.counts["steps"] += 1
        self.on_step(machine)
        for effect in effects:
            if machine.daemon is not daemon:
                return
            self._act(machine, daemon, effect)
        self._arm(machine, daemon)

    def _arm(self, machine: Machine, daemon: Daemon) -> None:
        local = part.next_wake_ms(daemon.participant, machine.local_ms(self.now_ms))
        if local is None:
            daemon.wake_at = None
            return
        at_ms = max(self.now_ms + 1, machine.virtual_ms(local))
        if daemon.wake_at == at_ms:
            return
        daemon.wake_at = at_ms

        def wake() -> None:
            if machine.daemon is daemon and daemon.wake_at == at_ms:
                daemon.wake_at = None
                self.feed(machine, daemon.incarnation, part.TimePassed())

        self.call_at(at_ms, wake)

    def _act(self, machine: Machine, daemon: Daemon, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(machine, daemon, effect.entry)
            case StartService():
                self._run(machine, daemon, effect.service, start=True)
            case StopService():
                self._run(machine, daemon, effect.service, start=False)
            case GiveUpWork():
                self._give_up(machine, daemon, effect.service)
            case StartAttempt():
                self._fence(machine, daemon, (effect.nodeid, effect.generation, effect.number))
            case CancelAttempt():
                run = daemon.attempts.pop((effect.nodeid, effect.generation, effect.number), None)
                if run is not None:
                    run.cancelled = True
            case TakeInventory():
                self._take_inventory(machine, daemon)
            case WriteConfig():
                self._write(machine, daemon, effect.version)
            case KeepEpoch():
                self._keep(machine, daemon, effect.epoch)
            case UseConfig():
                daemon.port.configure(votes_of(effect.cluster))
            case AnswerRequest():
                self._answer(effect.outcome)
            case Note():
                self.counts[effect.event] += 1
                self.say(f"{machine.name} {effect.event} {effect.subject} {effect.text}")
            case Quit():
                self.say(f"{machine.name} refused: {effect.text}")
                self.kill_daemon(machine)
            case Restart():
                self.say(f"{machine.name} restarts: {effect.because}")
                self.counts["evictions"] += 1
                self.kill_daemon(machine)
                self.call_in(self.rng.randint(20, 300), lambda: self.start_daemon(machine))
            case Leave():
                self.say(f"{machine.name} leaves")
                daemon.port.leave()
                self._daemon_gone(machine)
            case _:
                assert_never(effect)

    def _send(self, machine: Machine, daemon: Daemon, entry: Entry) -> None:
        if self.keep_log:
            shown = (
                entry.proposals
                if isinstance(entry, Decision)
                else (entry.fact if isinstance(entry, Observation) else type(entry).__name__)
            )
            lineage = f" {entry.lineage} in view {entry.view_id}" if isinstance(entry, Hello) else ""
            self.say(f"{machine.name} sends {shown}{lineage}")
        self.counts["messages"] += 1
        try:
            daemon.port.send(encode(entry))
        except EngineError as error:
            self.violations.append(f"{self.now_ms} engine refused a message: {error}")

    # Agents

    def _run(self, machine: Machine, daemon: Daemon, service: ServiceName, *, start: bool) -> None:
        if service in machine.runs:
            self.violations.append(f"{self.now_ms} {machine.name} runs two operations on {service} at once")
            return
        self.say(f"{machine.name} {'starts' if start else 'stops'} {service}")
        if start:
            machine.services[service] = Truth.PART
            self.on_start(machine, service)
        percent = machine.start_fails if start else machine.stop_fails
        run = Run(service, start=start, ok=self.rng.randrange(100) >= percent, incarnation=daemon.incarnation)
        machine.runs[service] = run
        self.counts["starts" if start else "stops"] += 1
        ms = self.rng.randint(5, 400)
        if self.rng.randrange(100) < machine.hangs:
            run.ok = False
            ms = HANG_MS
        if self.rng.randrange(100) < machine.slow:
            ms += self.rng.randint(0, 8_000)
        self.call_in(ms, lambda: self._run_ends(machine, run))

    def _run_ends(self, machine: Machine, run: Run) -> None:
        if run.cancelled:
            return
        if machine.frozen_since is not None:
            machine.waiting.append(lambda: self._run_ends(machine, run))
            return
        self._settle(machine, run)
        self.feed(machine, run.incarnation, part.WorkEnded(service=run.service, ok=run.ok, text="simulated"))

    def _settle(self, machine: Machine, run: Run) -> None:
        """Let the truth follow from an operation that ended."""
        machine.runs.pop(run.service, None)
        run.cancelled = True
        if not run.ok:
            machine.services[run.service] = Truth.PART
        elif run.start:
            machine.services[run.service] = Truth.WHOLE
        else:
            machine.services.pop(run.service, None)

    def _give_up(self, machine: Machine, daemon: Daemon, service: ServiceName) -> None:
        def gone() -> None:
            run = machine.runs.get(service)
            if run is not None and run.incarnation == daemon.incarnation:
                run.ok = False
                self._run_ends(machine, run)

        self.call_in(GRIP_MS, gone)

    def _check(self, machine: Machine, incarnation: Incarnation) -> None:
        """Status checks, as the daemon makes them."""
        if machine.daemon is None or machine.daemon.incarnation != incarnation:
            return
        self.call_in(CHECK_MS, lambda: self._check(machine, incarnation))
        if machine.frozen_since is not None:
            return
        node = machine.daemon.participant
        for work in node.labour.services:
            record = None if node.session.state is None else node.session.state.service(work.name)
            if record is not None and record.flags & Flag.FROZEN:
                continue
            if work.phase is Phase.RUNNING and machine.services.get(work.name) is not Truth.WHOLE:
                self.feed(machine, incarnation, part.CheckFailed(work.name, "simulated"))

    def _take_inventory(self, machine: Machine, daemon: Daemon) -> None:
        """Look what runs, end what an earlier daemon left, and bring what is neither to a known end."""
        for run in list(machine.runs.values()):
            run.ok = False
            self._settle(machine, run)
        broken: list[ServiceName] = []
        ms = 5
        for name, truth in sorted(machine.services.items()):
            if truth is Truth.WHOLE:
                continue
            ms += self.rng.randint(5, 400)
            if self.rng.randrange(100) < machine.stop_fails:
                broken.append(name)
        dead = [n for n, t in machine.services.items() if t is not Truth.WHOLE and n not in broken]

        def taken() -> None:
            if machine.daemon is not daemon:
                return
            if machine.frozen_since is not None:
                machine.waiting.append(taken)
                return
            for name in dead:
                machine.services.pop(name, None)
            running = tuple(sorted(n for n, t in machine.services.items() if n not in broken))
            self._feed(machine, part.StockTaken(running=running, broken=tuple(sorted(broken))))

        self.call_in(ms, taken)

    # Fencing

    def _fence(self, machine: Machine, daemon: Daemon, attempt: AttemptId) -> None:
        run = Run(ServiceName("fencing"), start=True, ok=True, incarnation=daemon.incarnation)
        daemon.attempts[attempt] = run
        self.counts["fencings tried"] += 1
        run.ok = self.rng.randrange(100) >= self.fence_fails
        ms = self.rng.randint(20, 600)
        if self.rng.randrange(100) < self.fence_slow:
            ms += self.rng.randint(0, 20_000)
        self.say(f"{machine.name} fences node{attempt[0]}, attempt {attempt[2]}")

        def ends() -> None:
            if run.cancelled or machine.daemon is not daemon:
                return
            if machine.frozen_since is not None:
                machine.waiting.append(ends)
                return
            run.cancelled = True
            if run.ok:
                victim = self.machines[attempt[0]]
                self.power_off(victim)
                self.call_in(self.rng.randint(200, 20_000), lambda: self.power_on(victim))
            self._feed(machine, part.AttemptEnded(attempt, run.ok, "simulated"))

        self.call_in(ms, ends)

    # Files and operators

    def _write(self, machine: Machine, daemon: Daemon, version: int) -> None:
        state = daemon.participant.session.state
        assert state is not None
        cluster = state.config

        def written() -> None:
            if machine.daemon is not daemon:
                return
            if machine.frozen_since is not None:
                machine.waiting.append(written)
                return
            ok = machine.disk_full_until <= self.now_ms
            if ok:
                machine.disk = cluster
            text = "" if ok else "no space left on device"
            self._feed(machine, part.ConfigStored(version=version, ok=ok, text=text))

        self.call_in(self.rng.randint(1, 60), written)

    def _keep(self, machine: Machine, daemon: Daemon, epoch: int) -> None:
        def kept() -> None:
            if machine.daemon is not daemon:
                return
            if machine.frozen_since is not None:
                machine.waiting.append(kept)
                return
            ok = machine.disk_full_until <= self.now_ms
            if ok:
                machine.epoch_seen = epoch
            self._feed(
                machine, part.EpochStored(epoch=epoch, ok=ok, text="" if ok else "no space left on device")
            )

        self.call_in(self.rng.randint(1, 60), kept)

    def _answer(self, outcome: Outcome) -> None:
        asked = self.requests[outcome.request]
        asked.outcomes.append(outcome)
        self.say(f"answer to {outcome.request}: {outcome.code.name} {outcome.text}")
        self.on_answer(asked, outcome)

    def ask(self, machine: Machine, request: OperatorRequest) -> None:
        """An operator asks something of a daemon; one that cannot answer is not asked."""
        if not machine.alive() or machine.daemon is None:
            return
        self.requests[request.id] = Asked(request, machine.daemon.incarnation, self.now_ms)
        self.counts[f"asked: {type(request).__name__}"] += 1
        self.say(f"operator asks {machine.name}: {request.id} {getattr(request, 'operation', '')}")
        self._feed(machine, part.Asked(request))

    # Faults

    def strike(self, fault: faults.Fault) -> None:
        """Let a fault happen."""
        self.counts[f"fault: {type(fault).__name__}"] += 1
        self.say(f"FAULT {fault}")
        match fault:
            case faults.Crash():
                victim = self.machines[fault.nodeid]
                self.power_off(victim)
                self.call_in(fault.off_ms, lambda: self.power_on(victim))
            case faults.KillDaemon():
                killed = self.machines[fault.nodeid]
                self.kill_daemon(killed)
                if fault.away_ms:
                    self.call_in(fault.away_ms, lambda: self.start_daemon(killed))
            case faults.Freeze():
                frozen = self.machines[fault.nodeid]
                self.freeze(frozen)
                self.call_in(fault.ms, lambda: self.thaw(frozen))
            case faults.Cut():
                pairs = [(a, b) for a in fault.side for b in self.machines if b not in fault.side]
                self._cut(pairs, fault.ms)
            case faults.CutLink():
                self._cut([(fault.a, fault.b)], fault.ms)
            case faults.ServiceDies():
                for machine in self.machines.values():
                    if machine.services.get(service_name(fault.service)) is Truth.WHOLE:
                        machine.services[service_name(fault.service)] = Truth.DEAD
            case faults.AgentsFail():
                self._agents_fail(fault)
            case faults.FencingFails():
                self.fence_fails, self.fence_slow = fault.fails, fault.slow
                self.call_in(fault.ms, self._fencing_works)
            case faults.Ask():
                self._ask_service(fault)
            case faults.UpdateFile():
                self._update(fault)
            case faults.LeaveOrderly():
                leaver = self.machines[fault.nodeid]
                self.ask(leaver, LeaveRequest(id=self._request_id(leaver), asked_by=fault.nodeid))
                self.call_in(fault.away_ms, lambda: self.start_daemon(leaver))
            case faults.ClockJumps():
                self.machines[fault.nodeid].change_clock(self.now_ms, fault.offset_ms, fault.per_mille)
            case faults.DiskFull():
                full = self.machines[fault.nodeid]
                full.disk_full_until = max(full.disk_full_until, self.now_ms + fault.ms)
            case _:
                assert_never(fault)

    def end_faults(self) -> None:
        """From now on everything works: power, links, agents, fencing, disks."""
        self.say("faults end")
        self.network.heal_all()
        self._fencing_works()
        for machine in self.machines.values():
            machine.start_fails = machine.stop_fails = machine.hangs = machine.slow = 0
            machine.disk_full_until = 0
            self.thaw(machine)
            if machine.powered:
                self.call_in(self.rng.randint(0, 2_000), partial(self.start_daemon, machine))
            else:
                self.call_in(self.rng.randint(0, 5_000), partial(self.power_on, machine))

    def _fencing_works(self) -> None:
        self.fence_fails = self.fence_slow = 0

    def _cut(self, pairs: list[tuple[NodeId, NodeId]], ms: int) -> None:
        for a, b in pairs:
            self.network.cut(a, b)

        def heal() -> None:
            for a, b in pairs:
                self.network.heal(a, b)

        self.call_in(ms, heal)

    def _agents_fail(self, fault: faults.AgentsFail) -> None:
        machine = self.machines[fault.nodeid]
        machine.start_fails, machine.stop_fails = fault.start_fails, fault.stop_fails
        machine.hangs, machine.slow = fault.hangs, fault.slow

        def work() -> None:
            machine.start_fails = machine.stop_fails = machine.hangs = machine.slow = 0

        self.call_in(fault.ms, work)

    def _request_id(self, machine: Machine) -> str:
        return f"{machine.name}-{len(self.requests) + 1}"

    def _ask_service(self, fault: faults.Ask) -> None:
        machine = self.machines[fault.nodeid]
        request = ServiceRequest(
            id=self._request_id(machine),
            operation=fault.operation,
            service=service_name(fault.service),
            asked_by=fault.nodeid,
            target=fault.target,
        )
        self.ask(machine, request)

    def _update(self, fault: faults.UpdateFile) -> None:
        machine = self.machines[fault.nodeid]
        if not machine.alive() or machine.daemon is None:
            return
        state = machine.daemon.participant.session.state
        if state is None:
            return
        cluster = updated(state.config, fault)
        request = ConfigRequest(
            id=self._request_id(machine),
            asked_by=fault.nodeid,
            document=f"version {cluster.config_version}",
            cluster=cluster,
        )
        self.ask(machine, request)
