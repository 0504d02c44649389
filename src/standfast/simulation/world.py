"""The simulated world: machines and daemons in virtual time, around the real core.

The participants are those that the daemon runs; the engine is the simulated one. Nothing here knows what is right: it only
does what it is told and remembers what really happened.
"""

from collections import Counter
from functools import lru_cache
from typing import assert_never

from standfast.cluster import participant as part
from standfast.cluster.effect import (
    AnswerRequest,
    Die,
    Effect,
    KeepEpoch,
    Leave,
    Note,
    Quit,
    Restart,
    Send,
    TakeInventory,
    UseConfig,
    UseVotes,
    WriteConfig,
)
from standfast.cluster.entry import Entry, decode, encode
from standfast.cluster.session import Identity
from standfast.cluster.state import ClusterState, OperatorRequest
from standfast.engine.contract import EngineEvent, Message, Notice, Quorum
from standfast.engine.sim import SimNetwork
from standfast.errors import EngineError, RefusedError
from standfast.fencing.domain import CancelAttempt, StartAttempt
from standfast.membership.view import View
from standfast.services.work import GiveUpWork, StartService, StopService
from standfast.simulation import chronicle as steps
from standfast.simulation.agents import ServiceAgents
from standfast.simulation.aims import Aims
from standfast.simulation.configs import first_cluster, votes_of
from standfast.simulation.disks import Disks
from standfast.simulation.entries import folded, shown
from standfast.simulation.fault import AskVotes, Moment
from standfast.simulation.fences import FenceAgents
from standfast.simulation.links import Links
from standfast.simulation.machine import Daemon, Machine, stranger
from standfast.simulation.operators import Operators
from standfast.simulation.plan import Plan
from standfast.simulation.tape import Tape
from standfast.simulation.timeline import Timeline, dice
from standfast.terms import Incarnation, NodeId

FREEZE_NOTICED_MS = 700  # a daemon that stood still for longer knows it when it goes on
BOOT_MS = (500, 3_000)  # from power to the daemon's start
SLOW_BOOT_MS = 20_000  # the most that a slow boot takes longer
RESTART_MS = (20, 300)  # from the end of a daemon that restarts to its next life
OWN_NOTES = frozenset({"daemon.woke", "epoch.not-kept", "state.diverged", "cluster.note"})

_decode = lru_cache(maxsize=4096)(decode)


class World:
    """Everything that is, at one moment of virtual time."""

    def __init__(self, plan: Plan, *, keep_log: bool = False, tape: Tape | None = None) -> None:
        self.plan = plan
        self.tape = tape
        self.time = Timeline(keep_log=keep_log)
        self.chronicle: list[steps.Step] = []
        self.counts: Counter[str] = Counter()
        self._rng = dice(plan.seed, "machines")
        ids = tuple(NodeId(n) for n in range(1, plan.nodes + 1))
        versions = plan.first_versions or tuple(1 for _ in ids)
        self.machines = {
            n: Machine(n, first_cluster(plan, versions[n - 1]), clock_ms=self._rng.randint(0, 10_000_000))
            for n in ids
        }
        self.stranger = stranger(plan)
        self.network = SimNetwork(
            rng=dice(plan.seed, "network"),
            call_at=self.time.call_at,
            now_ms=lambda: self.time.now_ms,
            delivery_ms=plan.delivery_ms,
        )
        self.votes = dict(votes_of(self.machines[ids[0]].disk).votes)
        self.links = Links(self.time, self.chronicle, self.network, self.votes)
        self.aims = Aims(ids)
        told = (self.time, self.chronicle, self.counts)
        see = self.aims.see
        self.agents = ServiceAgents(*told, seed=plan.seed, feed=self.feed, see=see)
        self.fences = FenceAgents(*told, seed=plan.seed, feed=self.feed, see=see, switch=self.switch)
        self.disks = Disks(self.time, self.chronicle, seed=plan.seed, feed=self.feed)
        self.operators = Operators(self.time, self.chronicle, self.counts)
        self.corrupted = False
        self._judged: dict[NodeId, ClusterState] = {}
        disks = tuple((n, m.disk.config_version) for n, m in self.machines.items())
        revoted = any(isinstance(s.fault, AskVotes) and s.fault.what != "kill" for s in plan.schedule)
        self.chronicle.append(steps.Setting(0, plan.two_node, disks, revoted))

    # Machines

    def switch(self, machine: Machine, on: bool) -> None:
        """Give a machine power, or take it."""
        if on:
            self.power_on(machine)
        else:
            self.power_off(machine)

    def power_on(self, machine: Machine) -> None:
        """Switch a machine on; its daemon starts when it has booted."""
        if machine.powered:
            return
        machine.powered = True
        machine.boots += 1
        self.network.host_up(machine.nodeid)
        self._happened(machine, steps.PowerOn(self.time.now_ms, machine.nodeid), "on")
        boot = machine.boots

        def booted() -> None:
            if machine.powered and machine.boots == boot:
                self.start_daemon(machine)

        ms = self._rng.randint(*BOOT_MS)
        if self._rng.randrange(100) < 5:
            ms += self._rng.randint(0, SLOW_BOOT_MS)
        self.time.call_in(ms, booted)

    def power_off(self, machine: Machine) -> None:
        """Take a machine's power: nothing runs on it any more."""
        if not machine.powered:
            return
        self._daemon_gone(machine)
        if machine.frozen_since is not None:
            machine.frozen_since = None
            self.network.thaw(machine.nodeid)
        machine.waiting.clear()
        machine.powered = False
        self.agents.power_gone(machine)
        self.network.host_down(machine.nodeid)
        self._happened(machine, steps.PowerOff(self.time.now_ms, machine.nodeid), "off")

    def freeze(self, machine: Machine) -> None:
        """Let everything on a machine stand still."""
        if machine.powered and machine.frozen_since is None:
            machine.frozen_since = self.time.now_ms
            self.network.freeze(machine.nodeid)
            self._happened(machine, steps.Froze(self.time.now_ms, machine.nodeid), "frozen")

    def thaw(self, machine: Machine) -> None:
        """Let a machine go on. The daemon sees its own clock's leap first, then the rest in any order."""
        if not machine.powered or machine.frozen_since is None:
            return
        ms = self.time.now_ms - machine.frozen_since
        machine.frozen_since = None
        self._happened(machine, steps.Thawed(self.time.now_ms, machine.nodeid), f"thawed after {ms} ms")
        if machine.daemon is not None and ms >= FREEZE_NOTICED_MS:
            self._feed(machine, machine.daemon, part.Woke(ms))
        waiting, machine.waiting = machine.waiting, []
        self.network.thaw(machine.nodeid)
        for act in waiting:
            self.time.call_in(self._rng.randint(0, 30), act)

    # Daemons

    def start_daemon(self, machine: Machine) -> None:
        """Start the daemon, if it does not run."""
        if not machine.powered or machine.daemon is not None:
            return
        if machine.is_held_up(lambda: self.start_daemon(machine)):
            return
        name, cluster = machine.alias or (machine.name, machine.disk.name)
        me = Identity(
            cluster=cluster,
            nodeid=machine.nodeid,
            name=name,
            incarnation=machine.next_incarnation(),
            boot_id=machine.boot_id,
            epoch_seen=machine.epoch_seen,
        )

        def deliver(event: EngineEvent) -> None:
            self._deliver(machine, me.incarnation, event)

        try:
            port = self.network.attach(machine.nodeid, machine.name, votes_of(machine.disk), deliver)
        except RefusedError:
            self.time.call_in(500, lambda: self.start_daemon(machine))  # its last life has not quite gone yet
            return
        document = f"version {machine.disk.config_version}"
        node = part.create(me, machine.disk, document)
        if self.tape is not None:
            self.tape.begin(me, machine.disk, document)
        claim = steps.Claim.TRUE
        if not machine.belongs or name != machine.name:
            claim = steps.Claim.NOT_LISTED
        elif cluster != machine.disk.name:
            claim = steps.Claim.OTHER_CLUSTER
        machine.daemon = Daemon(node, port, claim)
        self.counts["daemons: started"] += 1
        step = steps.DaemonUp(self.time.now_ms, machine.nodeid, claim)
        self._happened(machine, step, f"daemon {me.incarnation} starts")
        self.agents.check(machine, me.incarnation)
        self.aims.see(Moment.DAEMON_UP, machine.nodeid, machine.nodeid)

    def kill_daemon(self, machine: Machine) -> None:
        """End the daemon; what it started goes on."""
        if machine.daemon is None or not machine.powered:
            return
        self.time.say(f"{machine.name} daemon ends")
        self._daemon_gone(machine)
        self.network.process_down(machine.nodeid)

    def _daemon_gone(self, machine: Machine) -> None:
        if machine.daemon is None:
            return
        machine.daemon = None
        self._judged.pop(machine.nodeid, None)
        self._happened(machine, steps.DaemonDown(self.time.now_ms, machine.nodeid), "daemon gone")

    def ask(self, machine: Machine, request: OperatorRequest | None) -> None:
        """An operator asks a daemon that can answer."""
        if request is not None and machine.daemon is not None:
            self._feed(machine, machine.daemon, part.Asked(request))

    def feed(self, machine: Machine, incarnation: Incarnation, event: part.Event) -> None:
        """Give the daemon an event, unless that life of it is over; a frozen one gets it when it goes on."""
        if machine.is_held_up(lambda: self.feed(machine, incarnation, event)):
            return
        if machine.daemon is not None and machine.daemon.incarnation == incarnation:
            self._feed(machine, machine.daemon, event)

    def _deliver(self, machine: Machine, incarnation: Incarnation, event: EngineEvent) -> None:
        daemon = machine.daemon
        if daemon is None or daemon.incarnation != incarnation:
            return
        match event:
            case View():
                self.time.say(f"{machine.name} view {event.view_id} {event.members} hosts {event.hosts}")
                self.counts["views"] += 1
                self._feed(machine, daemon, part.Viewed(event))
            case Message():
                state = daemon.participant.session.state
                if state is not None and self.network.is_beside(event):
                    point = (state.epoch, state.begun_view, state.index + 1)
                    self.chronicle.append(steps.Parted(self.time.now_ms, machine.nodeid, point))
                self._feed(machine, daemon, part.Delivered(event.sender, _decode(event.payload)))
            case Quorum():
                self._feed(machine, daemon, part.QuorumSeen(event.view_id, event.quorate))
            case Notice():
                self.counts["engine notices"] += 1
            case _:
                assert_never(event)

    def _feed(self, machine: Machine, daemon: Daemon, event: part.Event) -> None:
        local_ms = machine.local_ms(self.time.now_ms)
        wall_s = 1_000_000 + self.time.now_ms // 1000
        node, effects = part.step(daemon.participant, event, local_ms, wall_s)
        daemon.participant = node
        if self.tape is not None:
            self.tape.note(node, event, local_ms, wall_s)
        self.counts["steps"] += 1
        state = node.session.state
        if state is not None and self._judged.get(machine.nodeid) is not state:
            self._judged[machine.nodeid] = state
            self.chronicle.append(folded(self.time.now_ms, machine.nodeid, state))
        for effect in effects:
            if machine.daemon is not daemon:
                return
            self._act(machine, daemon, effect)
        self._arm(machine, daemon)

    def _arm(self, machine: Machine, daemon: Daemon) -> None:
        local = part.next_wake_ms(daemon.participant, machine.local_ms(self.time.now_ms))
        if local is None:
            daemon.wake_at = None
            return
        at_ms = max(self.time.now_ms + 1, machine.virtual_ms(local))
        if daemon.wake_at == at_ms:
            return
        daemon.wake_at = at_ms

        def wake() -> None:
            if machine.daemon is daemon and daemon.wake_at == at_ms:
                daemon.wake_at = None
                self.feed(machine, daemon.incarnation, part.TimePassed())

        self.time.call_at(at_ms, wake)

    def _act(self, machine: Machine, daemon: Daemon, effect: Effect) -> None:
        self.aims.see_effect(effect, machine.nodeid, daemon.participant.session.state)
        match effect:
            case Send():
                self._send(machine, daemon, effect.entry)
            case StartService():
                self.agents.operate(machine, daemon, effect.service, start=True)
            case StopService():
                self.agents.operate(machine, daemon, effect.service, start=False)
            case GiveUpWork():
                self.agents.give_up(machine, daemon, effect.service)
            case StartAttempt():
                if effect.nodeid not in self.machines:
                    text = f"{machine.name} fences node {effect.nodeid}, which is none of the cluster's"
                    self.chronicle.append(steps.Odd(self.time.now_ms, text))
                    return
                victim = self.machines[effect.nodeid]
                self.fences.begin(machine, daemon, (effect.nodeid, effect.generation, effect.number), victim)
            case CancelAttempt():
                daemon.attempts.discard((effect.nodeid, effect.generation, effect.number))
            case TakeInventory():
                self.agents.take_inventory(machine, daemon)
            case WriteConfig():
                state = daemon.participant.session.state
                assert state is not None
                self.disks.write(machine, daemon, state.config)
            case KeepEpoch():
                self.disks.keep(machine, daemon, effect.epoch)
            case UseConfig():
                if machine.own:
                    self.chronicle.append(
                        steps.Activated(
                            self.time.now_ms,
                            machine.nodeid,
                            effect.cluster.config_version,
                            hash(effect.cluster),
                        )
                    )
            case AnswerRequest():
                self.operators.answer(machine, effect.outcome)
            case Note():
                if effect.event in OWN_NOTES:
                    self.counts[f"notes: {effect.event}"] += 1
                if effect.event == "state.diverged":
                    self.chronicle.append(steps.Diverged(self.time.now_ms, machine.nodeid))
                self.time.say(f"{machine.name} {effect.event} {effect.subject} {effect.text}")
            case Quit():
                self.counts["daemons: refused"] += 1
                outnumbered = self._outnumbered(daemon)
                step = steps.Refused(self.time.now_ms, machine.nodeid, effect.text, outnumbered)
                self._happened(machine, step, f"refused: {effect.text}")
                self.kill_daemon(machine)
            case Restart():
                self.time.say(f"{machine.name} restarts: {effect.because}")
                self.counts["daemons: evicted"] += 1
                self.kill_daemon(machine)
                self.time.call_in(self._rng.randint(*RESTART_MS), lambda: self.start_daemon(machine))
            case UseVotes():
                daemon.port.configure(effect.table)
            case Die():
                self.counts["daemons: killed by an operator"] += 1
                self.time.say(f"{machine.name} dies: {effect.because}")
                self.kill_daemon(machine)
            case Leave():
                self.counts["daemons: left"] += 1
                self._happened(machine, steps.Left(self.time.now_ms, machine.nodeid), "leaves")
                daemon.port.leave()
                self._daemon_gone(machine)
            case _:
                assert_never(effect)

    def _send(self, machine: Machine, daemon: Daemon, entry: Entry) -> None:
        if self.time.keep_log:
            self.time.say(f"{machine.name} sends {shown(entry)}")
        self.counts[f"messages: {type(entry).__name__}"] += 1
        try:
            daemon.port.send(encode(entry))
        except EngineError as error:
            self.chronicle.append(steps.Odd(self.time.now_ms, f"the engine refused a message: {error}"))

    def _outnumbered(self, daemon: Daemon) -> bool:
        """Whether the daemon hears as many votes of strangers as of its own cluster."""
        view = daemon.participant.session.view
        heard = [m for m in self.machines.values() if view is not None and m.nodeid in view.members]
        own = sum(self.votes[m.nodeid] for m in heard if m.own)
        return 2 * own <= sum(self.votes[m.nodeid] for m in heard)

    # Links

    def cut(self, pairs: list[tuple[NodeId, NodeId]], ms: int) -> None:
        """Cut links for a while."""
        self.links.cut(pairs, ms, lambda: self.links.note(self.machines.values()))

    def everybody(self) -> tuple[NodeId, ...]:
        """The ids of all machines, the stranger's last."""
        return (*self.machines, self.stranger.nodeid)

    def _happened(self, machine: Machine, step: steps.Step, text: str) -> None:
        """Note what became of a machine, and who could be quorate since."""
        self.time.say(f"{machine.name} {text}")
        if machine.belongs:
            self.chronicle.append(step)
            self.links.note(self.machines.values())
