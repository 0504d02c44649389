"""How the daemons on corosync agree on each view: everyone says what it sees, and when all say the same, that is the view.

corosync's process group gives one order of messages and of comings and goings, but no number that all members know for
each state of the group, and no order between the group's changes and the ring's. Both come from here. After each change
every daemon multicasts `Here` and then holds its own messages back; the view begins, for all at the same place of the
order, with the last `Here` that agrees. A message belongs to the view it was sent in: whoever was not in it drops it.

No I/O and no clock: what corosync delivers and what time it is are arguments; what comes of it is handed to outlets.
Source: design sections 2 and 5; cpg_overview(3).
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from standfast.engine.contract import EngineEvent, Message, Notice
from standfast.engine.group_frames import (
    Beat,
    Expel,
    Frame,
    Full,
    Here,
    InUse,
    Part,
    Return,
    TurnedAway,
)
from standfast.engine.outbox import Outbox
from standfast.engine.topology import in_use
from standfast.membership.view import Departure, DepartureReason, View
from standfast.terms import NodeId

BEATS_MISSED_MAX = 5  # a member that says nothing while so many of our own beats came back hangs
RING_WAIT_MS = 200  # longest wait for corosync's word on a machine that the group has lost or won
COUNT_SHIFT, NODE_SHIFT, NODE_MASK = 20, 8, 0xFFF  # a view's id: a count, then the lowest member
VIEWS_OF_A_LIFE = 64  # how far apart the counts of daemons begin that follow each other in one ring
RING_SHIFT = 16  # the count is never below the ring's sequence number, shifted by so many bits


class Seat(Struct, frozen=True):
    """One process in the group."""

    nodeid: NodeId
    pid: int


class Gone(Struct, frozen=True):
    """A process that is not in the group any more, and why."""

    seat: Seat
    reason: DepartureReason


class Formation:
    """One daemon's part in the agreement."""

    def __init__(
        self,
        me: Seat,
        name: str,
        *,
        cast: Callable[[Frame], None],
        tell: Callable[[EngineEvent], None],
        refused: Callable[[str], None],
    ) -> None:
        """`cast` multicasts a frame, `tell` gives the daemon an event, `refused` says why it cannot be a member."""
        self._me = me
        self._name = name
        self._cast = cast
        self._tell = tell
        self._refused = refused
        self.outbox = Outbox()
        self.view: View | None = None
        self.ring = 0
        self._ring_hosts: tuple[NodeId, ...] = ()
        self._seats: dict[NodeId, list[int]] = {}  # processes of each node, first come first
        self._names: dict[NodeId, str] = {}
        self._out: set[NodeId] = set()  # members whose daemon hangs
        self._company: set[NodeId] = set()  # of the view's members, those that were never away since
        self._gone: dict[NodeId, DepartureReason] = {}  # of the view's members, those that were, and why
        self._heres: dict[NodeId, Here] = {}
        self._said: Here | None = None  # our own, while a view is being formed
        self._owes_here = False  # something changed, and corosync's word on the machines is still missing
        self._owes_since_ms: int | None = None
        self._parts: dict[NodeId, list[bytes]] = {}
        self._full: set[NodeId] = set()
        self._misses: dict[NodeId, int] = {}
        self._is_closed = False  # the group has changed: what comes now is not of the view any more
        self._down: set[NodeId] = (
            set()
        )  # machines that the group has lost, and of which the ring says nothing yet
        self.beats = False  # a beat of ours is under way
        self.is_second = False  # this node has a daemon already

    @property
    def holds(self) -> bool:
        """Whether messages must wait: there is no view, it is being replaced, or somebody is full."""
        return (
            self.view is None
            or self._said is not None
            or self._is_apart
            or bool(self._full - {self._me.nodeid})
        )

    @property
    def is_alone(self) -> bool:
        """Whether nobody else is in the group."""
        return set(self._seats) <= {self._me.nodeid}

    def regroup(
        self, members: Iterable[Seat], left: Iterable[Gone], joined: Iterable[Seat], now_ms: int
    ) -> None:
        """Processes came or went."""
        for gone in left:
            self._part_with(gone)
        arrived = list(joined)
        for seat in (*(seat for seat in members if seat not in arrived), *arrived):
            pids = self._seats.setdefault(seat.nodeid, [])
            self._down.discard(seat.nodeid)
            if seat.pid not in pids:
                pids.append(seat.pid)
        mine = self._seats.get(self._me.nodeid, [])
        if self._me in arrived or self.is_second:
            self.is_second = mine[:1] != [self._me.pid]
        elif any(seat.nodeid == self._me.nodeid for seat in arrived):
            self._cast(InUse(self._name))
        self._heres.clear()
        self._is_closed = True
        self._change(now_ms)

    def beat(self) -> None:
        """Give a sign of life, unless the last one is still under way: then the ring is changing."""
        if not self.beats:
            self.beats = True
            self._cast(Beat())

    def reached(self, ring: int, hosts: Iterable[NodeId], now_ms: int) -> None:
        """corosync formed another ring: the machines that reach each other now."""
        self.ring, self._ring_hosts = ring, tuple(sorted(hosts))
        self._down &= set(self._ring_hosts)
        if self._seats:
            self._change(now_ms)

    def receive(self, seat: Seat, frame: Frame, now_ms: int) -> None:
        """One multicast was delivered."""
        if self.is_second:
            self._hear_refusal(seat, frame)
            return
        sender = seat.nodeid
        if isinstance(frame, TurnedAway):
            self._tell(Notice(f"turned away {frame.text}"))
            return
        if self._seats.get(sender, [None])[0] != seat.pid:
            return  # a second daemon has nothing to say
        self._misses[sender] = 0
        if sender in self._out and not isinstance(frame, (Return, Beat)):
            return  # said before it knew that the others go on without it
        match frame:
            case Part():
                self._take_part(sender, frame)
            case Here():
                self._take_here(sender, frame, now_ms)
            case Expel(nodeid):
                self._expel(nodeid, now_ms)
            case Return():
                if sender in self._out:
                    self._out.discard(sender)
                    self._change(now_ms)
            case Full(is_full):
                (self._full.add if is_full else self._full.discard)(sender)
            case Beat():
                if sender == self._me.nodeid:
                    self.beats = False
                    self._count_misses()
            case InUse():
                pass

    def wait(self, now_ms: int) -> None:
        """Time has passed: go on without corosync's word on the machines, if it is overdue."""
        if (
            self._owes_here
            and self._owes_since_ms is not None
            and now_ms - self._owes_since_ms >= RING_WAIT_MS
        ):
            self._say_here()

    @property
    def _is_apart(self) -> bool:
        return self._me.nodeid in self._out

    @property
    def _nodes(self) -> tuple[NodeId, ...]:
        return tuple(sorted(set(self._seats) - self._out))

    @property
    def _is_broken(self) -> bool:
        return self.view is not None and (self._is_apart or self._company != set(self.view.members))

    def _part_with(self, gone: Gone) -> None:
        nodeid, pid = gone.seat.nodeid, gone.seat.pid
        pids = self._seats.get(nodeid, [])
        if pid not in pids:
            return
        is_daemon = pids[0] == pid
        if gone.reason is DepartureReason.NODE_DOWN and nodeid in self._ring_hosts:
            self._down.add(nodeid)
        pids.remove(pid)
        if not pids:
            del self._seats[nodeid]
        if is_daemon:
            self._out.discard(nodeid)
            self._full.discard(nodeid)
            self._misses.pop(nodeid, None)
            self._lose(nodeid, gone.reason)

    def _lose(self, nodeid: NodeId, reason: DepartureReason) -> None:
        """A member of the view is not with us any more; it may come back later."""
        self._parts.pop(nodeid, None)
        if nodeid in self._company:
            self._company.discard(nodeid)
            self._gone[nodeid] = reason

    def _change(self, now_ms: int) -> None:
        """Something changed: say what we see, as soon as corosync's word on the machines is there."""
        if self.is_second or self._me.nodeid not in self._seats:
            return
        if self._is_apart:
            self._said = None
            return
        if self._knows_hosts():
            self._say_here()
        elif not self._owes_here:
            self._owes_here, self._owes_since_ms = True, now_ms

    def _knows_hosts(self) -> bool:
        return not self._down and set(self._seats) <= set(self._ring_hosts)

    def _say_here(self) -> None:
        self._owes_here, self._owes_since_ms = False, None
        self._said = self._sight_now()
        self._cast(self._said)

    def _sight_now(self) -> Here:
        return Here(
            name=self._name,
            pid=self._me.pid,
            ring=self.ring,
            nodes=self._nodes,
            hosts=self._ring_hosts,
            out=tuple(sorted(self._out)),
            last_view=0 if self.view is None else self.view.view_id,
            is_broken=self._is_broken,
        )

    def _take_here(self, sender: NodeId, here: Here, now_ms: int) -> None:
        self._names[sender] = here.name
        if sender in self._company and self.view is not None and here.last_view != self.view.view_id:
            return  # said before the view began that we share
        self._adopt_out(here, now_ms)
        self._heres[sender] = here
        if self._said is None and not self._owes_here and not self._is_apart:
            self._change(now_ms)
        self._form(now_ms)

    def _adopt_out(self, here: Here, now_ms: int) -> None:
        """Believe members who know that somebody's daemon hangs."""
        if here.last_view == 0:
            return
        news = {n for n in here.out if n in self._seats and n not in self._out}
        for nodeid in sorted(news):
            self._expel(nodeid, now_ms)

    def _expel(self, nodeid: NodeId, now_ms: int) -> None:
        if nodeid in self._out or nodeid not in self._seats:
            return
        self._out.add(nodeid)
        self._full.discard(nodeid)
        self._lose(nodeid, DepartureReason.NODE_DOWN)
        if nodeid == self._me.nodeid:
            self._company.clear()  # the others go on without us
            self._said, self._owes_here = None, False
            self._cast(Return())
        else:
            self._change(now_ms)

    def _form(self, now_ms: int) -> None:
        """Begin the view that all members see, if they do."""
        nodes = self._nodes
        if self._me.nodeid not in nodes or any(n not in self._heres for n in nodes):
            return
        heres = [self._heres[n] for n in nodes]
        first = heres[0]
        if any((h.nodes, h.ring, h.hosts) != (nodes, first.ring, first.hosts) for h in heres):
            return
        hosts = tuple(n for n in first.hosts if n not in self._out)
        if not set(nodes) <= set(hosts):
            hosts = tuple(sorted({*hosts, *nodes}))
        count = max(*(h.last_view >> COUNT_SHIFT for h in heres), first.ring << RING_SHIFT)
        if all(
            h.last_view == 0 for h in heres
        ):  # others may have shared views in this ring, whom nobody here met
            count += max(h.pid for h in heres) * VIEWS_OF_A_LIFE % (1 << RING_SHIFT)
        self._heres.clear()
        self._said, self._owes_here, self._is_closed = None, False, False
        self._parts.clear()
        self.outbox.rewind()
        self._begin(count + 2, nodes, hosts)
        if _sight(self._sight_now()) != _sight(first):
            self._change(now_ms)  # it has changed since we said so, and nobody takes what we said meanwhile

    def _begin(self, count: int, nodes: tuple[NodeId, ...], hosts: tuple[NodeId, ...]) -> None:
        before, me = self.view, self._me.nodeid
        was = () if before is None else before.members
        back = [n for n in was if n not in self._company and n in nodes]
        if before is None or me in back:
            joined = tuple(n for n in nodes if before is None or n != me)
        elif back:
            self._begin_between(count - 1, before)
            was = tuple(sorted(self._company))
            joined = tuple(n for n in nodes if n not in self._company)
        else:
            joined = tuple(n for n in nodes if n not in was)
        left = tuple(Departure(n, self._reason(n, hosts)) for n in was if n not in nodes)
        self.view = View(view_id=_view_id(count, nodes), members=nodes, joined=joined, left=left, hosts=hosts)
        self._company = set(nodes)
        self._gone.clear()
        self._misses = dict.fromkeys(nodes, 0)
        self._tell(self.view)

    def _begin_between(self, count: int, before: View) -> None:
        """Somebody went and is back already: those who stayed together first see it go."""
        company = tuple(sorted(self._company))
        missing = [n for n in before.members if n not in self._company]
        lost = {n for n in missing if self._gone[n] is DepartureReason.NODE_DOWN}
        hosts = tuple(n for n in before.hosts if n not in lost)
        left = tuple(Departure(n, self._reason(n, hosts)) for n in missing)
        self._tell(View(view_id=_view_id(count, company), members=company, joined=(), left=left, hosts=hosts))

    def _reason(self, nodeid: NodeId, hosts: tuple[NodeId, ...]) -> DepartureReason:
        reason = self._gone.get(nodeid, DepartureReason.NODE_DOWN)
        if reason is DepartureReason.LEAVE or nodeid in hosts:
            return reason
        return DepartureReason.NODE_DOWN

    def _take_part(self, sender: NodeId, part: Part) -> None:
        is_mine = sender == self._me.nodeid
        if is_mine:
            self.outbox.came_back(part)
        view = self.view
        if view is None or self._is_closed or part.view_id != view.view_id or sender not in self._company:
            return  # said in a view that this daemon was not in, or that is over; its sender says it again
        if is_mine:
            self.outbox.accepted(part)
        parts = self._parts.setdefault(sender, [])
        parts.append(part.data)
        if len(parts) == part.count:
            del self._parts[sender]
            self._tell(Message(sender, parts[0] if part.count == 1 else b"".join(parts)))

    def _count_misses(self) -> None:
        """One of our beats came back; whoever says nothing for several of them hangs."""
        for nodeid in self._nodes:
            if nodeid == self._me.nodeid:
                continue
            self._misses[nodeid] = self._misses.get(nodeid, 0) + 1
            if self._misses[nodeid] > BEATS_MISSED_MAX:
                self._misses[nodeid] = 0
                self._cast(Expel(nodeid))

    def _hear_refusal(self, seat: Seat, frame: Frame) -> None:
        """We are a second daemon of this node: wait to hear the first one's name, and go."""
        if isinstance(frame, InUse) and seat.nodeid == self._me.nodeid and seat.pid != self._me.pid:
            text = in_use(self._name, self._me.nodeid, frame.name)
            self._cast(TurnedAway(text))
        elif isinstance(frame, TurnedAway) and seat == self._me:
            self._refused(frame.text)


def _view_id(count: int, members: tuple[NodeId, ...]) -> int:
    """Return an id that no other members have with the same count."""
    return count << COUNT_SHIFT | (members[0] & NODE_MASK) << NODE_SHIFT


def _sight(here: Here) -> tuple[int, tuple[NodeId, ...], tuple[NodeId, ...], tuple[NodeId, ...]]:
    """What a daemon sees, without what it was in before."""
    return here.ring, here.nodes, here.hosts, here.out
