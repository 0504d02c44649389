"""A process group in one process, as corosync keeps it: one order for each part of the network, and changes within it.

What corosync does not order is drawn: when a member reads, when it hears of the ring, what is under way when things part.
"""

from collections import deque
from collections.abc import Callable
from random import Random

from tests.contract.engines.promises import Witness

from standfast.engine.contract import EngineEvent
from standfast.engine.formation import Formation, Gone, Seat
from standfast.engine.group_frames import Frame, decode, encode
from standfast.membership.view import DepartureReason, View
from standfast.terms import NodeId


class Member:
    """One daemon: what waits to be read by it, and what it has cast that has no place in the order yet."""

    def __init__(self, group: "ProcessGroup", nodeid: NodeId, pid: int) -> None:
        self.seat = Seat(nodeid, pid)
        self.witness = Witness(nodeid, f"node{nodeid}.{pid}")
        self.unread: deque[Callable[[int], None]] = deque()
        self.unordered: deque[bytes] = deque()
        self.refusal = ""
        self.is_frozen = False
        self.sent = 0
        self.formation = Formation(
            self.seat,
            self.witness.name,
            cast=lambda frame: self.unordered.append(encode(frame)),
            tell=self.witness.events.append,
            refused=self._refused,
        )
        self._group = group

    def send(self, payload: bytes) -> None:
        """Give the daemon something to say."""
        self.witness.sent.append(payload)
        self.formation.outbox.put(payload)
        self.speak()

    def speak(self) -> None:
        """Cast what may be said now."""
        view = self.formation.view
        if view is not None and not self.formation.holds:
            for part in self.formation.outbox.parts(view.view_id):
                self.unordered.append(encode(part))

    def read(self, now_ms: int) -> None:
        """Read one thing."""
        self.unread.popleft()(now_ms)
        self.speak()

    def events(self) -> list[EngineEvent]:
        """What the daemon was told."""
        return self.witness.events

    def view(self) -> View | None:
        """The daemon's view."""
        return self.formation.view

    def _refused(self, text: str) -> None:
        self.refusal = text
        self._group.end(self, DepartureReason.LEAVE)


class ProcessGroup:
    """All machines, and the daemons that are in the group."""

    def __init__(self, rng: Random, nodes: int) -> None:
        self.rng = rng
        self.now_ms = 0
        self._rings = dict.fromkeys((frozenset({NodeId(n)}) for n in range(1, nodes + 1)), 0)  # of each part
        self._last_ring = 0
        self.parts: list[set[NodeId]] = [{NodeId(n)} for n in range(1, nodes + 1)]
        self.members: list[Member] = []
        self.everyone: list[Member] = []
        self._late: list[
            tuple[Member, Callable[[int], None]]
        ] = []  # what a member hears of the ring, some time
        self._next_pid = 100

    def start(self, nodeid: NodeId) -> Member:
        """Start a daemon; the others see it come."""
        self._next_pid += 1
        member = Member(self, nodeid, self._next_pid)
        self.everyone.append(member)
        hosts = self._part_of(nodeid)
        ring = self._rings[frozenset(hosts)]
        member.unread.append(lambda now: member.formation.reached(ring, hosts, now))
        self.members.append(member)
        for other in self._reached(nodeid):
            self._tell_group(other, [], [member.seat])
        return member

    def end(self, member: Member, reason: DepartureReason) -> None:
        """End a daemon; of what it had cast, some is ordered still."""
        for _ in range(self.rng.randint(0, len(member.unordered))):
            self.order(member)
        self.members.remove(member)
        self._late = [(who, act) for who, act in self._late if who is not member]
        for other in self._reached(member.seat.nodeid):
            self._tell_group(other, [Gone(member.seat, reason)], [])

    def divide(self, parts: list[set[NodeId]]) -> None:
        """Let the machines reach each other only within these parts from now on."""
        before = {m: self._reached(m.seat.nodeid) for m in self.members}
        known = {m: self._part_of(m.seat.nodeid) for m in self.members}
        self.parts = parts
        self._last_ring += 4
        self._rings = {frozenset(part): self._rings.get(frozenset(part), self._last_ring) for part in parts}
        for member in self.members:
            now = self._reached(member.seat.nodeid)
            lost = [m for m in before[member] if m not in now]
            new = [m for m in now if m not in before[member]]
            hosts = self._part_of(member.seat.nodeid)
            if lost:
                stay = [m.seat for m in before[member] if m in now]
                gone = [Gone(m.seat, DepartureReason.NODE_DOWN) for m in lost]
                member.unread.append(self._regrouping(member, stay, gone, []))
            if hosts != known[member]:
                self._late.append((member, self._ringing(member, self._rings[frozenset(hosts)], hosts)))
            if new:
                self._tell_group(member, [], [m.seat for m in new])

    def order(self, member: Member) -> None:
        """Give the next thing that a member has cast its place in the order."""
        data = member.unordered.popleft()
        for other in self._reached(member.seat.nodeid):
            other.unread.append(self._delivery(other, member.seat, decode(data)))

    def step(self) -> bool:
        """Let one thing go on; returns whether there was one."""
        acts: list[Callable[[], None]] = []
        acts += [lambda m=m: self.order(m) for m in self.members if m.unordered]  # type: ignore[misc]
        acts += [lambda m=m: m.read(self.now_ms) for m in self.members if m.unread and not m.is_frozen]  # type: ignore[misc]
        if self._late:
            acts.append(self._hear_of_ring)
        if not acts:
            return False
        self.rng.choice(acts)()
        return True

    def settle(self) -> None:
        """Let everything come to rest that does by itself."""
        for _ in range(200_000):
            if not self.step():
                return
        raise AssertionError("it goes on for ever")

    def beat(self) -> None:
        """Let each daemon that runs give a sign of life."""
        self.now_ms += 250
        for member in self.members:
            if not member.is_frozen:
                member.formation.wait(self.now_ms)
                member.formation.beat()

    def _hear_of_ring(self) -> None:
        member, act = self._late.pop(0)
        member.unread.append(act)

    def _delivery(self, member: Member, sender: Seat, frame: Frame) -> Callable[[int], None]:
        return lambda now: member.formation.receive(sender, frame, now)

    def _ringing(self, member: Member, ring: int, hosts: list[NodeId]) -> Callable[[int], None]:
        return lambda now: member.formation.reached(ring, hosts, now)

    def _regrouping(
        self, member: Member, seats: list[Seat], gone: list[Gone], joined: list[Seat]
    ) -> Callable[[int], None]:
        return lambda now: member.formation.regroup(seats, gone, joined, now)

    def _tell_group(self, member: Member, gone: list[Gone], joined: list[Seat]) -> None:
        seats = [m.seat for m in self._reached(member.seat.nodeid)]
        self.rng.shuffle(seats)
        member.unread.append(self._regrouping(member, seats, gone, joined))

    def _part_of(self, nodeid: NodeId) -> list[NodeId]:
        return sorted(next(part for part in self.parts if nodeid in part))

    def _reached(self, nodeid: NodeId) -> list[Member]:
        part = self._part_of(nodeid)
        return [m for m in self.members if m.seat.nodeid in part]
