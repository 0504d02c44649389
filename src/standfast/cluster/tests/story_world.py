"""The world of this room's stories: machines, daemons, agents, disks and the network, and what must hold in it always."""

from typing import assert_never

from msgspec.structs import replace

from standfast.cluster import participant as core
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
from standfast.cluster.entry import decode, encode
from standfast.cluster.state import ClusterState, digest
from standfast.cluster.tests.story_configs import nodeids_of
from standfast.cluster.tests.story_machine import BROKEN, HALF, RUNNING, Machine
from standfast.cluster.tests.story_network import Post, StoryNetwork
from standfast.cluster.tests.story_telling import sent
from standfast.conf.model import Cluster
from standfast.fencing.domain import CancelAttempt, StartAttempt
from standfast.membership import quorum
from standfast.membership.view import DepartureReason, View
from standfast.services.work import GiveUpWork, StartService, StopService
from standfast.terms import NodeId, ServiceName

READS_MAX = 20_000  # a story that needs more never comes to rest


class StoryWorld:
    """Everything that is there, and what must hold at every moment: one owner, one state, time that never goes back."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.cluster = Cluster(name="story", config_version=1, nodes=())
        self.machines: dict[NodeId, Machine] = {}
        self.network = StoryNetwork()
        self.slowly = False
        self.agents_by_hand = self.fencing_by_hand = False
        self.disks_by_hand: set[NodeId] = set()
        self.start_fails: dict[str, set[NodeId]] = {}
        self.stop_fails: dict[str, set[NodeId]] = {}
        self.stuck: set[tuple[NodeId, str]] = set()
        self.open_requests: dict[str, NodeId] = {}
        self.corrupted: set[NodeId] = set()
        self.lines: list[str] = []
        self.notes: dict[tuple[str, int], list[NodeId]] = {}
        self._states: dict[tuple[int, int, int], str] = {}

    def settle(self) -> None:
        """Let everybody read everything."""
        for _ in range(READS_MAX):
            readers = [m for _, m in sorted(self.machines.items()) if self._can_read(m)]
            if not readers:
                return
            for machine in readers:
                if self._can_read(machine):
                    self._read(machine)
        raise AssertionError("it never comes to rest: " + "; ".join(self.lines[-10:]))

    def make_machines(self) -> None:
        for node in self.cluster.nodes:
            self.machines.setdefault(node.nodeid, Machine(node.nodeid, self.cluster))

    def named(self, nodeid: NodeId, options: dict[str, str]) -> Machine:
        """The machine, made to call itself as the story wants."""
        machine = self.machines.setdefault(nodeid, Machine(nodeid, self.cluster))
        machine.name = options.get("name", machine.name)
        machine.cluster_name = options.get("cluster", machine.cluster_name)
        if "speaks" in options:
            lowest, _, highest = options["speaks"].partition("-")
            machine.speaks = (int(lowest), int(highest))
        if "version" in options:
            machine.disk = replace(machine.disk, config_version=int(options["version"]))
        return machine

    def boot(self, machine: Machine) -> None:
        machine.boots += 1
        self.start_daemon(machine)

    def start_daemon(self, machine: Machine) -> None:
        machine.boots = machine.boots or 1
        self.network.reach(machine.nodeid)
        machine.begin()
        self.network.attach(machine.nodeid)

    def end_daemon(self, machine: Machine, reason: DepartureReason) -> None:
        machine.end()
        self.network.detach(machine.nodeid, reason)
        self.open_requests = {r: w for r, w in self.open_requests.items() if w != machine.nodeid}

    def take_power(self, machine: Machine) -> None:
        """The machine is off: nothing runs on it any more."""
        self.end_daemon(machine, DepartureReason.NODE_DOWN)
        machine.lose_power()
        self.network.hosts.discard(machine.nodeid)

    def thaw(self, machine: Machine) -> None:
        assert machine.frozen_at_ms is not None
        ms, machine.frozen_at_ms = self.now_ms - machine.frozen_at_ms, None
        self.network.reach(machine.nodeid)
        self.feed(machine, core.Woke(ms))

    def lose_unread(self, options: dict[str, str]) -> None:
        for sender in nodeids_of(options.get("lost", "")):
            side = self.network.sides.get(sender, 0)
            others = [n for n in self.machines if n != sender]
            far = [n for n in others if sender not in self.network.hosts or self._side(n) != side]
            self.network.forget_unread(sender, far)

    def _side(self, nodeid: NodeId) -> int:
        return self.network.sides.get(nodeid, 0)

    def let_pass(self, ms: int) -> None:
        until_ms = self.now_ms + ms
        for _ in range(READS_MAX):
            wakes = [(m.wakes_at_ms(self.now_ms), n) for n, m in sorted(self.machines.items())]
            at_ms, nodeid = min(
                ((w, n) for w, n in wakes if w is not None), default=(until_ms + 1, NodeId(0))
            )
            if at_ms > until_ms:
                self.now_ms = until_ms
                return
            self.now_ms = at_ms
            self.feed(self.machines[nodeid], core.TimePassed())
            self.network.form_views()
            if not self.slowly:
                self.settle()
        raise AssertionError("somebody wakes for ever")

    def corrupt(self, machine: Machine) -> None:
        """Change the state of one node behind its back, as a fault of its memory would."""
        daemon = machine.daemon
        assert daemon is not None
        assert daemon.session.state is not None
        services = tuple(replace(s, restarts=s.restarts + 7) for s in daemon.session.state.services)
        wrong = replace(daemon.session.state, services=services)
        machine.daemon = replace(daemon, session=replace(daemon.session, state=wrong))
        self.corrupted.add(machine.nodeid)

    # Reading

    def _can_read(self, machine: Machine) -> bool:
        line = self.network.lines.get(machine.nodeid)
        return line is not None and bool(line.items) and machine.frozen_at_ms is None

    def read_many(self, machine: Machine, count: int | None) -> None:
        self.network.form_views()
        read = 0
        while self._can_read(machine) and (count is None or read < count):
            self._read(machine)
            read += 1

    def _read(self, machine: Machine) -> None:
        item = self.network.lines[machine.nodeid].items.popleft()
        match item:
            case View():
                machine.ballot = quorum.step(machine.ballot, quorum.Present(item.members))
                self.feed(machine, core.Viewed(item))
                self.feed(machine, core.QuorumSeen(item.view_id, machine.ballot.quorate))
            case Post():
                self.feed(machine, core.Delivered(item.sender, decode(item.payload)))
        self.network.form_views()

    def feed(self, machine: Machine, event: core.Event) -> None:
        daemon = machine.daemon
        if daemon is None:
            return
        before = daemon.session.state
        life = machine.lives
        effects = machine.step(event, self.now_ms)
        self._check_state(machine, before)
        for effect in effects:
            if machine.daemon is not None and machine.lives == life:
                self._act(machine, effect)
        self._check_owners()
        self.drain(machine)

    def drain(self, machine: Machine) -> None:
        while machine.waiting and machine.daemon is not None and machine.frozen_at_ms is None:
            self.feed(machine, machine.waiting.pop(0))

    # What daemons want done

    def _act(self, machine: Machine, effect: Effect) -> None:
        nodeid = machine.nodeid
        match effect:
            case Send():
                self.lines.extend(f"node {nodeid} {text}" for text in sent(effect.entry))
                self.network.send(nodeid, encode(machine.worded(effect.entry)))
            case StartService() | StopService():
                self._agents_begin(machine, effect)
            case GiveUpWork():
                self.lines.append(f"node {nodeid} ends the agents of {effect.service}")
                if not self.agents_by_hand:
                    self.agents_end(machine, effect.service, ok=False, text="given up")
            case StartAttempt():
                attempt = (effect.nodeid, effect.generation, effect.number)
                machine.attempts.append(attempt)
                self.lines.append(f"node {nodeid} fences node {effect.nodeid}, attempt {effect.number}")
                if not self.fencing_by_hand:
                    self.attempt_ends(machine, attempt, fenced=True)
            case CancelAttempt():
                attempt = (effect.nodeid, effect.generation, effect.number)
                if attempt in machine.attempts:
                    self.lines.append(f"node {nodeid} gives up fencing node {effect.nodeid}")
                    machine.attempts.remove(attempt)
            case TakeInventory():
                self._take_stock(machine)
            case WriteConfig():
                self.lines.append(f"node {nodeid} writes version {effect.version}")
                if nodeid not in self.disks_by_hand:
                    self.stored(machine, "config", ok=True)
            case KeepEpoch():
                if nodeid in self.disks_by_hand:
                    self.lines.append(f"node {nodeid} writes epoch {effect.epoch.number}")
                else:
                    self.stored(machine, "epoch", ok=True)
            case UseConfig():
                pass
            case UseVotes(table=table):
                machine.table = table
                if not machine.engine_lags:
                    self.count_votes(machine)
            case AnswerRequest():
                self._answered(machine, effect)
            case Note():
                self._noted(nodeid, effect)
            case Quit():
                self.lines.append(f"node {nodeid} ends: {effect.text}")
                self.end_daemon(machine, DepartureReason.PROCESS_DOWN)
            case Restart():
                self.lines.append(f"node {nodeid} restarts: {effect.because}")
                self.end_daemon(machine, DepartureReason.PROCESS_DOWN)
                self.network.form_views()
                self.start_daemon(machine)
            case Die():
                self.lines.append(f"node {nodeid} dies: {effect.because}")
                self.end_daemon(machine, DepartureReason.PROCESS_DOWN)
                machine.truth = {}
            case Leave():
                self.lines.append(f"node {nodeid} leaves")
                assert not machine.truth, f"node {nodeid} leaves with {machine.truth}"
                self.end_daemon(machine, DepartureReason.LEAVE)
            case _:
                assert_never(effect)

    def count_votes(self, machine: Machine) -> None:
        """The engine judges quorum by what it was told last, and says so."""
        assert machine.daemon is not None
        assert machine.table is not None
        view = machine.daemon.session.view
        assert view is not None
        machine.ballot = quorum.step(machine.ballot, quorum.Configured(machine.table))
        machine.waiting.append(core.QuorumSeen(view.view_id, machine.ballot.quorate))

    def tell_quorum(self, machine: Machine) -> None:
        """The engine says again what it thinks of quorum."""
        assert machine.daemon is not None
        view = machine.daemon.session.view
        assert view is not None
        self.feed(machine, core.QuorumSeen(view.view_id, machine.ballot.quorate))

    def _agents_begin(self, machine: Machine, task: StartService | StopService) -> None:
        name = task.service
        assert name not in machine.at_work, f"agents of {name} are at work already"
        start = isinstance(task, StartService)
        machine.at_work[name] = start
        self.lines.append(f"node {machine.nodeid} {'starts' if start else 'stops'} {name}")
        machine.truth[name] = HALF
        if not self.agents_by_hand:
            fails = self.start_fails if start else self.stop_fails
            ok = machine.nodeid not in fails.get(name, ())
            self.agents_end(machine, name, ok=ok, text="" if ok else "exit 1")

    def agents_end(self, machine: Machine, name: ServiceName, *, ok: bool, text: str) -> None:
        start = machine.at_work.pop(name)
        if start:
            machine.truth[name] = RUNNING if ok else HALF
        elif ok:
            machine.truth.pop(name)
        else:
            machine.truth[name] = BROKEN
        machine.waiting.append(core.WorkEnded(service=name, ok=ok, text=text))

    def attempt_ends(self, machine: Machine, attempt: tuple[NodeId, int, int], *, fenced: bool) -> None:
        machine.attempts.remove(attempt)
        victim = self.machines.get(attempt[0])
        if fenced and victim is not None:
            self.take_power(victim)
        text = "switched off" if fenced else "the switch does not answer"
        machine.waiting.append(core.AttemptEnded(attempt, fenced, text))

    def _take_stock(self, machine: Machine) -> None:
        """Look what runs; what is half done is ended first, where that is possible."""
        for name, how in sorted(machine.truth.items()):
            if how == HALF and (machine.nodeid, name) not in self.stuck:
                self.lines.append(f"node {machine.nodeid} ends what is half done of {name}")
                del machine.truth[name]
        running = tuple(name for name, how in sorted(machine.truth.items()) if how == RUNNING)
        broken = tuple(name for name, how in sorted(machine.truth.items()) if how != RUNNING)
        self.lines.append(f"node {machine.nodeid} runs {', '.join(running) or 'nothing'}")
        machine.waiting.append(core.StockTaken(running=running, broken=broken))

    def stored(self, machine: Machine, what: str, *, ok: bool, text: str = "") -> None:
        assert machine.daemon is not None
        state = machine.daemon.session.state
        assert state is not None
        if what == "config":
            writing = machine.daemon.labour.writing
            version = state.config.config_version if writing is None else writing
            machine.disk = state.config if ok else machine.disk
            machine.waiting.append(core.ConfigStored(version=version, ok=ok, text=text))
        else:
            keeping = machine.daemon.labour.keeping
            epoch = state.present_epoch if keeping is None else keeping
            machine.epoch_kept = epoch if ok else machine.epoch_kept
            machine.waiting.append(core.EpochStored(epoch=epoch, ok=ok, text=text))

    def _answered(self, machine: Machine, effect: AnswerRequest) -> None:
        outcome = effect.outcome
        asked = self.open_requests.pop(outcome.request, None)
        assert asked is not None, f"{outcome.request} is answered twice"
        assert asked == machine.nodeid, f"{outcome.request} is answered by node {machine.nodeid}"
        parts = [f"node {machine.nodeid} answers {outcome.request}: {outcome.code.value} {outcome.code.name}"]
        if outcome.owner is not None:
            parts.append(f"on {outcome.owner}")
        if outcome.reason:
            parts.append(f"({outcome.reason})")
        if outcome.new_version:
            parts.append(f"{outcome.old_version} to {outcome.new_version}")
        self.lines.append(" ".join(parts) + (f": {outcome.text}" if outcome.text else ""))

    def _noted(self, nodeid: NodeId, note: Note) -> None:
        text = f"{note.event} {note.subject}{': ' * bool(note.text)}{note.text}"
        count = sum(1 for (other, _), by in self.notes.items() if other == text and nodeid in by)
        if (text, count) not in self.notes:
            self.notes[text, count] = []
            self.lines.append(f"\0{count}\0{text}")
        self.notes[text, count].append(nodeid)

    # What must hold

    def _check_state(self, machine: Machine, before: ClusterState | None) -> None:
        state = state_of(machine)
        if state is None or state is before:
            return
        if machine.nodeid in self.corrupted:
            if before is None:
                self.corrupted.discard(machine.nodeid)
            else:
                return
        place = (state.epoch, state.begun_view, state.index)
        content = digest(state)
        assert self._states.setdefault(place, content) == content, f"node {machine.nodeid} differs at {place}"
        if before is not None:
            assert state.now_ms >= before.now_ms, f"node {machine.nodeid}: time goes back"
            assert state.config.config_version >= before.config.config_version

    def _check_owners(self) -> None:
        for name in {name for m in self.machines.values() for name in m.truth}:
            holders = [n for n, m in self.machines.items() if name in m.truth]
            assert len(holders) < 2, f"{name} is on {holders}"


def state_of(machine: Machine) -> ClusterState | None:
    return None if machine.daemon is None else machine.daemon.session.state
