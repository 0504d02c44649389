"""The simulated engine: views and messages in virtual time, in one process, drawn from one seed.

It promises what engine/contract.py promises and nothing more: different nodes receive at different moments, a link
that is cut is noticed late, the last messages before that reach one side only, and what a dying daemon had sent may
be lost. Source: design section 5.
"""

from collections.abc import Callable
from random import Random
from typing import TypeVar

from standfast.engine.contract import (
    MESSAGE_BYTES_MAX,
    EngineEvent,
    Message,
    Notice,
    Quorum,
    too_long,
)
from standfast.engine.pipe import Pipe
from standfast.engine.seat import Group, Seat, Sent
from standfast.engine.topology import Pair, Topology, components, in_use, pair_of
from standfast.errors import EngineError, RefusedError
from standfast.membership.view import DepartureReason, View
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId

T = TypeVar("T")

DELIVERY_MS = (1, 20)  # from a sender to the order, and from the order to a receiver
QUORUM_MS = (0, 5)  # the quorum flag follows its view, beside the messages
PROCESS_DOWN_MS = (1, 5)  # until the others notice that a daemon ended
MERGE_MS = (5, 50)  # until nodes that reach each other again, or for the first time, share a view
LATE_MS = (0, 100)  # beyond token_ms, until a node that does not answer is dropped


class SimPort:
    """A daemon's hold on the simulated engine; made by SimNetwork.attach."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._is_leaving = False

    def send(self, payload: bytes) -> None:
        """Send one message; raises EngineError when it is too long or the daemon has ended or left."""
        if len(payload) > MESSAGE_BYTES_MAX:
            raise too_long(self._seat.name, len(payload))
        if self._is_leaving or self._seat.is_closed:
            raise EngineError(
                f"{self._seat.name}: this daemon left the engine; attach again", code="engine-left"
            )
        self._seat.send(payload)

    def configure(self, votes: VoteTable) -> None:
        """Judge quorum by these votes from now on."""
        self._seat.configure(votes)

    def leave(self) -> None:
        """Say goodbye after all that was sent; the others see LEAVE, and nothing is delivered here after it."""
        if not self._is_leaving:
            self._is_leaving = True
            self._seat.send(None)


class _SimPipes:
    """Lines whose latencies are drawn from the network's seed."""

    def __init__(
        self,
        rng: Random,
        call_at: Callable[[int, Callable[[], None]], None],
        now_ms: Callable[[], int],
        delivery_ms: tuple[int, int],
    ) -> None:
        self._rng = rng
        self._delivery_ms = delivery_ms
        self._call_at = call_at
        self._now_ms = now_ms

    def sent(self, deliver: Callable[[Sent], None]) -> Pipe[Sent]:
        return self._pipe(self._delivery_ms, deliver)

    def ordered(self, deliver: Callable[[View | Message], None]) -> Pipe[View | Message]:
        return self._pipe(self._delivery_ms, deliver)

    def aside(self, deliver: Callable[[Quorum | Notice], None]) -> Pipe[Quorum | Notice]:
        return self._pipe(QUORUM_MS, deliver)

    def _pipe(self, latency_ms: tuple[int, int], deliver: Callable[[T], None]) -> Pipe[T]:
        return Pipe(
            deliver,
            latency_ms=lambda: self._rng.randint(*latency_ms),
            call_at=self._call_at,
            now_ms=self._now_ms,
        )


class SimNetwork:
    """A network of simulated machines and daemons; the same `rng` and the same calls give the same deliveries."""

    def __init__(
        self,
        *,
        rng: Random,
        call_at: Callable[[int, Callable[[], None]], None],
        now_ms: Callable[[], int],
        token_ms: int = 1000,
        delivery_ms: tuple[int, int] = DELIVERY_MS,
    ) -> None:
        """`call_at(ms, f)` calls f at that virtual time; `token_ms` is how long a silent node is waited for.

        `delivery_ms` bounds how long a message takes from its sender to the order, and from the order to a receiver.
        """
        self._rng = rng
        self._call_at = call_at
        self._now_ms = now_ms
        self._token_ms = token_ms
        self._topology = Topology()  # what the nodes have noticed; the rest is what is so
        self._pipes = _SimPipes(rng, call_at, now_ms, delivery_ms)
        self._seats: dict[NodeId, Seat] = {}
        self._hosts: dict[NodeId, int] = {}  # machines that are on, with the number of the act that did it
        self._frozen: dict[NodeId, int] = {}  # machines that stand still, likewise
        self._cuts: dict[Pair, int] = {}  # broken links, likewise
        self._ended: dict[NodeId, DepartureReason] = {}  # daemons that ended, which nobody has noticed yet
        self._dark: set[NodeId] = set()  # machines that went down, likewise
        self._acts = 0
        self._beside: dict[int, Message] = {}  # by identity
        self._facts: dict[int, list[Callable[[], None]]] = {}  # what will be noticed, by time
        self._drawn: dict[tuple[int, int], tuple[int, int]] = {}

    def attach(
        self, nodeid: NodeId, name: str, votes: VoteTable, deliver: Callable[[EngineEvent], None]
    ) -> SimPort:
        """Start a daemon on a machine that is not frozen; its first view comes within some ms.

        Raises RefusedError when the node has a daemon already.
        """
        assert nodeid not in self._frozen
        self.host_up(nodeid)
        self._notice_end_now(nodeid)
        if nodeid in self._seats:
            text = in_use(name, nodeid, self._seats[nodeid].name)
            for seat in self._seats.values():
                seat.tell(Notice(text))
            raise RefusedError(text, code="nodeid-in-use")
        seat = Seat(nodeid, name, votes, deliver, pipes=self._pipes, arrived=self._order_waiting)
        self._seats[nodeid] = seat

        def joined() -> None:
            if self._seats.get(nodeid) is seat:
                self._topology.attach(nodeid, name)

        self._notice_in(self._shared_ms(MERGE_MS), joined)
        return SimPort(seat)

    def host_up(self, nodeid: NodeId) -> None:
        """Switch a machine on, if it is off."""
        if nodeid in self._hosts:
            return
        self._notice_end_now(nodeid)
        act = self._hosts[nodeid] = self._next_act()

        def noticed() -> None:
            if self._hosts.get(nodeid) == act:
                self._topology.host_up(nodeid)
                self._topology.reach(nodeid)

        self._notice_in(self._shared_ms(MERGE_MS), noticed)

    def host_down(self, nodeid: NodeId) -> None:
        """Take a machine's power, and its daemon with it; the others notice after token_ms: NODE_DOWN."""
        if self._hosts.pop(nodeid, None) is None:
            return
        self._frozen.pop(nodeid, None)
        self._dark.add(nodeid)
        self._end_daemon(nodeid)
        self._notice_in(self._lost_ms(), lambda: self._notice_end(nodeid))

    def process_down(self, nodeid: NodeId) -> None:
        """Kill a daemon; the others soon see PROCESS_DOWN."""
        if nodeid in self._seats:
            self._end_daemon(nodeid)
            self._notice_in(self._rng.randint(*PROCESS_DOWN_MS), lambda: self._notice_daemon_end(nodeid))

    def freeze(self, nodeid: NodeId) -> None:
        """Stop a machine: it neither gets nor sends anything; the others drop it after token_ms: NODE_DOWN."""
        if nodeid in self._frozen or nodeid not in self._hosts:
            return
        act = self._frozen[nodeid] = self._next_act()
        if nodeid in self._seats:
            self._seats[nodeid].pause()

        def noticed() -> None:
            if self._frozen.get(nodeid) == act:
                self._topology.lose(nodeid)

        self._notice_in(self._lost_ms(), noticed)

    def thaw(self, nodeid: NodeId) -> None:
        """Let a frozen machine go on where it was: first with the backlog of its view, then with the others' view."""
        if self._frozen.pop(nodeid, None) is None:
            return
        if nodeid in self._seats:
            self._seats[nodeid].resume()
        self._check_links()

        def noticed() -> None:
            if nodeid in self._hosts and nodeid not in self._frozen:
                self._topology.reach(nodeid)

        self._notice_in(self._shared_ms(MERGE_MS), noticed)

    def cut(self, a: NodeId, b: NodeId) -> None:
        """Break the link between two machines; both sides notice after token_ms."""
        pair = pair_of(a, b)
        if a == b or pair in self._cuts:
            return
        act = self._cuts[pair] = self._next_act()
        self._check_links()

        def noticed() -> None:
            if self._cuts.get(pair) == act:
                self._topology.cut(a, b)

        self._notice_in(self._lost_ms(), noticed)

    def heal(self, a: NodeId, b: NodeId) -> None:
        """Mend the link between two machines; a cut that nobody had noticed leaves no trace."""
        pair = pair_of(a, b)
        if self._cuts.pop(pair, None) is None:
            return
        self._check_links()

        def noticed() -> None:
            if pair not in self._cuts:
                self._topology.heal(a, b)

        self._notice_in(self._shared_ms(MERGE_MS), noticed)

    def is_beside(self, message: Message) -> bool:
        """Whether only one side of a cut was given this message, at the end of the view that both had shared."""
        return id(message) in self._beside

    def heal_all(self) -> None:
        """Mend every link."""
        for a, b in sorted(self._cuts):
            self.heal(a, b)

    def _next_act(self) -> int:
        self._acts += 1
        return self._acts

    def _shared_ms(self, bounds: tuple[int, int]) -> int:
        """Draw a delay; whatever happens in the same instant is noticed in the same instant."""
        drawn_at, value = self._drawn.get(bounds, (-1, 0))
        if drawn_at != self._now_ms():
            value = self._rng.randint(*bounds)
            self._drawn[bounds] = (self._now_ms(), value)
        return value

    def _lost_ms(self) -> int:
        return self._token_ms + self._shared_ms(LATE_MS)

    def _notice_in(self, delay_ms: int, fact: Callable[[], None]) -> None:
        due_ms = self._now_ms() + delay_ms
        facts = self._facts.setdefault(due_ms, [])
        if not facts:
            self._call_at(due_ms, lambda: self._notice(due_ms))
        facts.append(fact)

    def _notice(self, due_ms: int) -> None:
        for fact in self._facts.pop(due_ms):
            fact()
        self._form_views()

    def _notice_daemon_end(self, nodeid: NodeId) -> None:
        reason = self._ended.pop(nodeid, None)
        if reason is not None and self._topology.is_attached(nodeid):
            self._topology.detach(nodeid, reason)

    def _notice_end(self, nodeid: NodeId) -> None:
        if nodeid in self._dark:
            self._dark.remove(nodeid)
            self._topology.host_down(nodeid)
            self._notice_daemon_end(nodeid)

    def _notice_end_now(self, nodeid: NodeId) -> None:
        """Nobody comes back before the others have seen it go."""
        self._notice_end(nodeid)
        self._notice_daemon_end(nodeid)
        self._form_views()

    def _end_daemon(self, nodeid: NodeId) -> None:
        """End a daemon; some of what it had sent is ordered still, the rest is lost."""
        seat = self._seats.get(nodeid)
        if seat is None:
            return
        under_way = seat.close()
        seat.waiting += under_way[: self._rng.randint(0, len(under_way))]
        self._order_waiting(seat)
        if nodeid in self._seats:
            self._remove(seat, DepartureReason.PROCESS_DOWN)

    def _remove(self, seat: Seat, reason: DepartureReason) -> None:
        del self._seats[seat.nodeid]
        seat.quit()
        seat.close()
        self._ended[seat.nodeid] = reason

    def _order_waiting(self, seat: Seat) -> None:
        """Give what a daemon sent its place in its group's order, unless the group has to wait."""
        while seat.waiting and seat.group is not None and not seat.group.is_stalled:
            sent = seat.waiting.pop(0)
            if sent is None:
                self._remove(seat, DepartureReason.LEAVE)
                self._notice_in(0, lambda: self._notice_daemon_end(seat.nodeid))
                return
            seat.group.append(Message(seat.nodeid, sent))

    def _check_links(self) -> None:
        groups = {id(s.group): s.group for _, s in sorted(self._seats.items()) if s.group is not None}
        for group in groups.values():
            self._check_group(group)

    def _check_group(self, group: Group) -> None:
        """Stall a group whose members cannot all reach each other; each side gets an arbitrary part of the rest."""
        seats = {seat.nodeid: seat for seat in group.seats}
        group.is_stalled = len(components(seats, self._cuts)) > 1
        if not group.is_stalled:
            for seat in group.seats:
                seat.pipe_until(len(group.log))
            for seat in seats.values():
                self._order_waiting(seat)
            return
        awake = components((nodeid for nodeid in seats if nodeid not in self._frozen), self._cuts)
        for side in (*awake, *((nodeid,) for nodeid in sorted(seats) if nodeid in self._frozen)):
            least = max(seats[nodeid].received() for nodeid in side)
            count = self._rng.randint(least, len(group.log))
            for nodeid in side:
                seats[nodeid].pipe_until(count)

    def _form_views(self) -> None:
        for (
            a,
            b,
        ) in self._cuts:  # forming a view takes answers from all its members, so that every cut is noticed
            self._topology.cut(a, b)
        for nodeid, seat in sorted(self._seats.items()):
            if not self._topology.is_reached(nodeid):
                if seat.group is not None:
                    self._end_view(seat.group, [seat])
                seat.quit()
        views: dict[int, dict[NodeId, View]] = {}
        for nodeid, view in sorted(self._topology.form_views().items()):
            if nodeid in self._seats:
                views.setdefault(view.view_id, {})[nodeid] = view
        for view_id in sorted(views):
            self._regroup(views[view_id])
        for nodeid in sorted({nodeid for formed in views.values() for nodeid in formed}):
            self._order_waiting(self._seats[nodeid])

    def _regroup(self, views: dict[NodeId, View]) -> None:
        """Members that come from one view into the next together first get the same messages of the old one."""
        seats = [self._seats[nodeid] for nodeid in views]
        origins = {id(seat.group): seat.group for seat in seats if seat.group is not None}
        for origin in origins.values():
            self._end_view(origin, [seat for seat in seats if seat.group is origin])
        group = Group(seats)
        for seat in seats:
            seat.enter(group, views[seat.nodeid])

    def _end_view(self, group: Group, together: list[Seat]) -> None:
        """Give those who go on together the same messages of their view, and then what is left of their own.

        What a daemon sends comes back to it; the sides of a cut then have different ends of one view.
        """
        count = max(seat.piped for seat in together)
        senders = {seat.nodeid for seat in together}
        rest = [Message(m.sender, m.payload) for m in group.log[count:] if m.sender in senders]
        self._beside.update({id(message): message for message in rest})
        for seat in together:
            seat.pipe_until(count)
            seat.take_beside(rest)
