"""The resource agents of a simulated machine: starts and stops that take time, fail, hang, and outlive their daemon."""

from collections import Counter
from collections.abc import Callable
from random import Random

from standfast.cluster import participant as part
from standfast.services.record import Flag
from standfast.services.work import Phase
from standfast.simulation.chronicle import Became, Began, Ended, Odd, Step, Truth
from standfast.simulation.fault import Moment
from standfast.simulation.machine import Daemon, Machine, Run
from standfast.simulation.timeline import Timeline, dice
from standfast.terms import Incarnation, NodeId, ServiceName

CHECK_MS = 3_000  # interval of the status checks
AGENT_MS = (5, 400)  # how long a start or a stop takes
SLOW_MS = 8_000  # the most that a slow one takes longer
HANG_MS = 15_000  # the time limit of agents that hang
TOLD_MS = (1, 20)  # until an agent that is told of its service's end has noticed it
GRIP_MS = 40  # until agents that are ended are gone

Feed = Callable[[Machine, Incarnation, part.Event], None]
See = Callable[[Moment, NodeId, NodeId], None]


class ServiceAgents:
    """All service agents of all machines."""

    def __init__(
        self,
        time: Timeline,
        chronicle: list[Step],
        counts: Counter[str],
        *,
        seed: int,
        feed: Feed,
        see: See,
    ) -> None:
        """`feed` tells a daemon what happened; `see` tells those who aim a fault."""
        self._seed = seed
        self._time = time
        self._chronicle = chronicle
        self._counts = counts
        self._feed = feed
        self._see = see
        self._chance: dict[NodeId, Random] = {}
        self._homes: dict[ServiceName, tuple[Machine, int]] = {}
        self.stuck: set[ServiceName] = set()  # services of which some stop ever failed
        self.broken_until: dict[ServiceName, int] = {}  # no start of these succeeds before

    def operate(self, machine: Machine, daemon: Daemon, service: ServiceName, *, start: bool) -> None:
        """Begin to start or to stop a service."""
        if service in machine.runs:
            text = f"{machine.name} runs two operations on {service} at once"
            self._chronicle.append(Odd(self._time.now_ms, text))
            return
        self._time.say(f"{machine.name} {'starts' if start else 'stops'} {service}")
        self._chronicle.append(Began(self._time.now_ms, machine.nodeid, service, start))
        if start:
            self._set(machine, service, Truth.PART)
        rng = self._dice(machine)
        percent = machine.start_fails if start else machine.stop_fails
        run = Run(service, start=start, ok=rng.randrange(100) >= percent, incarnation=daemon.incarnation)
        if start and self.broken_until.get(service, 0) > self._time.now_ms:
            run.ok = False
        ms = rng.randint(*AGENT_MS)
        if rng.randrange(100) < machine.hangs:
            run.ok = False
            ms = HANG_MS
        if rng.randrange(100) < machine.slow:
            ms += rng.randint(0, SLOW_MS)
        machine.runs[service] = run
        self._time.call_in(ms, lambda: self._end(machine, run))

    def give_up(self, machine: Machine, daemon: Daemon, service: ServiceName) -> None:
        """End the agents that are at work on a service."""

        def gone() -> None:
            run = machine.runs.get(service)
            if run is not None and run.incarnation == daemon.incarnation:
                run.ok = False
                self._end(machine, run)

        self._time.call_in(GRIP_MS, gone)

    def check(self, machine: Machine, incarnation: Incarnation) -> None:
        """Make the status checks, now and from now on, as long as this daemon lives."""
        daemon = machine.daemon
        if daemon is None or daemon.incarnation != incarnation:
            return
        self._time.call_in(CHECK_MS, lambda: self.check(machine, incarnation))
        self._look(machine, daemon)

    def _look(self, machine: Machine, daemon: Daemon) -> None:
        if machine.daemon is not daemon or machine.frozen_since is not None:
            return
        node = daemon.participant
        for work in node.labour.services:
            record = None if node.session.state is None else node.session.state.service(work.name)
            if record is not None and record.flags & Flag.FROZEN:
                continue
            if work.phase is Phase.RUNNING and machine.services.get(work.name) is not Truth.WHOLE:
                self._counts["checks failed"] += 1
                self._feed(machine, daemon.incarnation, part.CheckFailed(work.name, "simulated"))

    def take_inventory(self, machine: Machine, daemon: Daemon) -> None:
        """Look what runs, end what an earlier daemon left, and bring what is neither to a known end."""
        rng = self._dice(machine)
        for run in list(machine.runs.values()):
            run.ok = False
            self._settle(machine, run)
        parts = [name for name, truth in sorted(machine.services.items()) if truth is not Truth.WHOLE]
        broken = tuple(name for name in parts if rng.randrange(100) < machine.stop_fails)
        ms = 5 + sum(rng.randint(*AGENT_MS) for _ in parts)

        def taken() -> None:
            if machine.daemon is not daemon or machine.is_held_up(taken):
                return
            for name in parts:
                self._chronicle.append(
                    Ended(self._time.now_ms, machine.nodeid, name, start=False, ok=name not in broken)
                )
                if name in broken:
                    self.stuck.add(name)
                else:
                    self._set(machine, name, None)
            running = tuple(sorted(name for name in machine.services if name not in broken))
            self._feed(machine, daemon.incarnation, part.StockTaken(running=running, broken=broken))

        self._time.call_in(ms, taken)

    def end_by_itself(self, machine: Machine, service: ServiceName) -> None:
        """Let what a service runs end, without anybody's doing; some agents are told so at once."""
        if machine.services.get(service) is not Truth.WHOLE:
            return
        self._set(machine, service, Truth.DEAD)
        daemon = machine.daemon
        if daemon is not None and self._dice(machine).randrange(2):
            self._time.call_in(self._dice(machine).randint(*TOLD_MS), lambda: self._look(machine, daemon))

    def power_gone(self, machine: Machine) -> None:
        """Nothing runs on a machine without power."""
        machine.services.clear()
        for run in machine.runs.values():
            run.over = True
        machine.runs.clear()

    def _end(self, machine: Machine, run: Run) -> None:
        if run.over or machine.is_held_up(lambda: self._end(machine, run)):
            return
        self._settle(machine, run)
        self._feed(machine, run.incarnation, part.WorkEnded(service=run.service, ok=run.ok, text="simulated"))
        self._see(
            Moment.SERVICE_STARTED if run.start else Moment.SERVICE_STOPPED, machine.nodeid, machine.nodeid
        )

    def _settle(self, machine: Machine, run: Run) -> None:
        """Let the truth follow from an operation that ended."""
        machine.runs.pop(run.service, None)
        run.over = True
        self._counts[f"{'starts' if run.start else 'stops'}: {'done' if run.ok else 'failed'}"] += 1
        if not run.ok:
            self._set(machine, run.service, Truth.PART)
            if not run.start:
                self.stuck.add(run.service)
        elif run.start:
            self._set(machine, run.service, Truth.WHOLE)
            self._count_move(machine, run.service)
        else:
            self._set(machine, run.service, None)
        self._chronicle.append(
            Ended(self._time.now_ms, machine.nodeid, run.service, start=run.start, ok=run.ok)
        )

    def _set(self, machine: Machine, service: ServiceName, truth: Truth | None) -> None:
        if truth is None:
            machine.services.pop(service, None)
        else:
            machine.services[service] = truth
        self._chronicle.append(Became(self._time.now_ms, machine.nodeid, service, truth))

    def _count_move(self, machine: Machine, service: ServiceName) -> None:
        home, boots = self._homes.get(service, (machine, machine.boots))
        if home is not machine:
            lost = not home.powered or home.boots != boots
            self._counts[f"moves: {'taken over' if lost else 'relocated'}"] += 1
        self._homes[service] = (machine, machine.boots)

    def _dice(self, machine: Machine) -> Random:
        if machine.nodeid not in self._chance:
            self._chance[machine.nodeid] = dice(self._seed, f"agents of {machine.name}")
        return self._chance[machine.nodeid]
