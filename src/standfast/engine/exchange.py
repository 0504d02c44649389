"""The sequencer's judgement: who is a member, who has fallen silent, and who is told what, in which order.

No I/O and no clock: connections are outlets that it writes to, times are arguments.
"""

import logging
from typing import Protocol

from standfast.engine import frames
from standfast.engine.contract import Message, Notice
from standfast.engine.flow import Flow
from standfast.engine.topology import Topology
from standfast.errors import RefusedError
from standfast.membership.view import DepartureReason
from standfast.terms import NodeId

STUCK_TOKENS = 5  # how many token times a daemon may take nothing while others wait for it
TICKS_PER_TOKEN = 10  # how often within a token time the exchange has to be ticked
NODEID_MAX = 65535

logger = logging.getLogger(__name__)


class Outlet(Protocol):
    """The way back over one connection; it keeps what was written in order."""

    delay_ms: int  # everything written is held back for so long

    def write(self, data: bytes) -> None:
        """Send these bytes, after all earlier ones."""
        ...

    def close(self) -> None:
        """End the connection once everything written is sent."""
        ...


class Link:
    """One connection: at first nobody's, then a daemon's or a machine's; an administrator's stays nobody's."""

    def __init__(self, outlet: Outlet) -> None:
        self.outlet = outlet
        self.nodeid: NodeId | None = None
        self.is_leaving = False
        self.is_silent = False
        self.pinged_at_ms: int | None = None  # None: it has answered the last ping
        self.pings = 0


class Exchange:
    """All daemons and machines of one local engine."""

    def __init__(self, *, token_ms: int, last_view_id: int) -> None:
        """`token_ms`: how long a node may be silent; `last_view_id`: each view gets a greater number."""
        self._token_ms = token_ms
        self._topology = Topology(last_view_id=last_view_id)
        self._flow = Flow()
        self._members: dict[NodeId, Link] = {}
        self._machines: dict[NodeId, Link] = {}
        self._stuck: set[NodeId] = set()
        self._delays: dict[NodeId, int] = {}
        self._ticked_at_ms: int | None = None

    @property
    def tick_ms(self) -> int:
        """How often `tick` has to be called."""
        return max(5, self._token_ms // TICKS_PER_TOKEN)

    def receive(self, link: Link, frame: frames.ToSequencer) -> None:
        """Act on one frame that arrived over a connection."""
        member = link.nodeid if link.nodeid is not None and self._members.get(link.nodeid) is link else None
        match frame:
            case frames.Send(payload) if member is not None:
                if self._flow.push(member, payload):
                    self._order()
                else:
                    self.refuse(link, _flooded(member))
            case frames.Taken(cost) if member is not None:
                self._flow.take(member, cost)
                if member in self._stuck and self._flow.has_room(member):
                    self._stuck.remove(member)
                    self._settle()
                else:
                    self._order()
            case frames.Goodbye() if member is not None:
                link.is_leaving = True
                self._order()
            case frames.Pong(number) if link.nodeid is not None:
                self._answered(link, number)
            case frames.Send() | frames.Taken() | frames.Goodbye() if link.nodeid is not None:
                pass  # it crossed with the end of its daemon's membership
            case frames.Attach(nodeid, name) if link.nodeid is None:
                self._attach(link, nodeid, name)
            case frames.Hold(nodeid) if link.nodeid is None:
                self._hold(link, nodeid)
            case frames.Cut() | frames.Heal() | frames.HealAll() | frames.Delay() | frames.Show():
                self._administer(link, frame)
            case _:
                self.refuse(link, _unexpected(type(frame).__name__))

    def refuse(self, link: Link, refusal: RefusedError) -> None:
        """End a connection and say why."""
        logger.warning("connection.refused", extra={"reason": str(refusal)})
        link.outlet.write(frames.encode(frames.Refusal(str(refusal), refusal.code)))
        link.outlet.close()

    def end(self, link: Link) -> None:
        """The connection ended: a daemon died, or a machine."""
        nodeid = link.nodeid
        if nodeid is None:
            return
        if self._members.get(nodeid) is link:
            logger.warning("daemon.ended", extra={"nodeid": nodeid})
            self._remove(nodeid, DepartureReason.PROCESS_DOWN)
        elif self._machines.get(nodeid) is link:
            logger.warning("machine.ended", extra={"nodeid": nodeid})
            del self._machines[nodeid]
            self._topology.host_down(nodeid)
        self._settle()

    def tick(self, now_ms: int) -> None:
        """Ping everyone, and give up those who have not answered in time."""
        late_ms = 0 if self._ticked_at_ms is None else now_ms - self._ticked_at_ms - self.tick_ms
        self._ticked_at_ms = now_ms
        for link in (*self._members.values(), *self._machines.values()):
            if link.pinged_at_ms is None:
                link.pings += 1
                link.pinged_at_ms = now_ms
                link.outlet.write(frames.encode(frames.Ping(link.pings)))
                continue
            if late_ms > self.tick_ms:  # it was this program that did not run; their time stood still as well
                link.pinged_at_ms += late_ms
            if not link.is_silent and now_ms - link.pinged_at_ms >= self._token_ms:
                link.is_silent = True
                logger.warning("node.silent", extra={"nodeid": link.nodeid})
        stuck = self._flow.stuck(now_ms, patience_ms=STUCK_TOKENS * self._token_ms)
        for nodeid in sorted(set(stuck) - self._stuck):
            self._stuck.add(nodeid)
            logger.warning("node.stuck", extra={"nodeid": nodeid})
        self._settle()

    def _attach(self, link: Link, nodeid: NodeId, name: str) -> None:
        if not self._may_be_node(link, nodeid):
            return
        try:
            self._topology.attach(nodeid, name)
        except RefusedError as refusal:
            for member in self._members.values():
                member.outlet.write(frames.encode(Notice(f"turned away {refusal}")))
            self.refuse(link, refusal)
            return
        link.nodeid = nodeid
        link.outlet.delay_ms = self._delays.get(nodeid, 0)
        self._members[nodeid] = link
        self._flow.open(nodeid)
        link.outlet.write(frames.encode(frames.Welcome(self._token_ms)))
        self._settle()

    def _hold(self, link: Link, nodeid: NodeId) -> None:
        if not self._may_be_node(link, nodeid):
            return
        if nodeid in self._machines:
            self.refuse(link, _machine_in_use(nodeid))
            return
        link.nodeid = nodeid
        self._machines[nodeid] = link
        self._topology.host_up(nodeid)
        link.outlet.write(frames.encode(frames.Welcome(self._token_ms)))
        self._settle()

    def _may_be_node(self, link: Link, nodeid: NodeId) -> bool:
        if 1 <= nodeid <= NODEID_MAX:
            return True
        self.refuse(link, _no_nodeid(nodeid))
        return False

    def _answered(self, link: Link, number: int) -> None:
        if number == link.pings:
            link.pinged_at_ms = None
            if link.is_silent:
                link.is_silent = False
                self._settle()

    def _administer(self, link: Link, frame: frames.ToSequencer) -> None:
        match frame:
            case frames.Cut(a, b):
                self._topology.cut(a, b)
            case frames.Heal(a, b):
                self._topology.heal(a, b)
            case frames.HealAll():
                self._topology.heal_all()
                for nodeid in tuple(self._delays):
                    self._delay(nodeid, 0)
            case frames.Delay(nodeid, delay_ms):
                self._delay(nodeid, delay_ms)
            case _:
                pass
        self._settle()
        parts = self._topology.parts()
        attached = set(self._topology.attached())
        members = tuple(tuple(n for n in part if n in attached) for part in parts)
        link.outlet.write(frames.encode(frames.Parts(hosts=parts, members=members)))

    def _delay(self, nodeid: NodeId, delay_ms: int) -> None:
        self._delays[nodeid] = delay_ms
        if nodeid in self._members:
            self._members[nodeid].outlet.delay_ms = delay_ms

    def _settle(self) -> None:
        """Bring the topology up to date with the connections, and tell everyone whose company changed."""
        for nodeid in sorted({*self._members, *self._machines}):
            links = (self._members.get(nodeid), self._machines.get(nodeid))
            if nodeid in self._stuck or any(link is not None and link.is_silent for link in links):
                self._topology.lose(nodeid)
            else:
                self._topology.reach(nodeid)
        for nodeid, view in sorted(self._topology.form_views().items()):
            self._members[nodeid].outlet.write(frames.encode(view))
        self._order()

    def _order(self) -> None:
        """Give all messages that can be ordered their place, and let those go who have said all they wanted."""
        while (ordered := self._flow.pop(self._topology.receivers)) is not None:
            sender, payload, receivers = ordered
            data = frames.encode(Message(sender, payload))
            for receiver in receivers:
                self._members[receiver].outlet.write(data)
        leavers = [n for n, link in sorted(self._members.items()) if link.is_leaving and self._may_leave(n)]
        for nodeid in leavers:
            outlet = self._members[nodeid].outlet
            self._remove(nodeid, DepartureReason.LEAVE)
            outlet.write(frames.encode(frames.Farewell()))
            outlet.close()
        if leavers:
            self._settle()

    def _may_leave(self, nodeid: NodeId) -> bool:
        return not self._flow.has_unordered(nodeid) or not self._topology.is_reached(nodeid)

    def _remove(self, nodeid: NodeId, reason: DepartureReason) -> None:
        del self._members[nodeid]
        self._stuck.discard(nodeid)
        self._flow.close(nodeid)
        self._topology.detach(nodeid, reason)


def _no_nodeid(nodeid: NodeId) -> RefusedError:
    return RefusedError(
        f"node id {nodeid} is not between 1 and {NODEID_MAX}; mend nodeid in cluster.conf",
        code="engine-nodeid",
    )


def _machine_in_use(nodeid: NodeId) -> RefusedError:
    return RefusedError(
        f"node id {nodeid}: its machine is here already; give each machine its own node id",
        code="nodeid-in-use",
    )


def _flooded(nodeid: NodeId) -> RefusedError:
    return RefusedError(
        f"node id {nodeid} sends more than the engine takes; restart its daemon", code="engine-flooded"
    )


def _unexpected(what: str) -> RefusedError:
    return RefusedError(
        f"the sequencer does not expect {what}; restart it, so that it has this version",
        code="engine-version",
    )
