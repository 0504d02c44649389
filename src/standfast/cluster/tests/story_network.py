"""The engine of this room's stories: views and messages in the order that a story wants, with nothing left to chance.

Whatever is sent is ordered at once. Each member reads when it is told to; what nobody of a side has read can be lost to it.
"""

from collections import deque
from collections.abc import Collection, Iterable

from standfast.membership.view import Departure, DepartureReason, View
from standfast.terms import NodeId


class Post:
    """One message on its way; the same object stands in the line of every reader."""

    def __init__(self, sender: NodeId, payload: bytes) -> None:
        self.sender = sender
        self.payload = payload


class Line:
    """What one daemon has still to read, and the last view that stands in it."""

    def __init__(self) -> None:
        self.items: deque[View | Post] = deque()
        self.view: View | None = None
        self.known: tuple[NodeId, ...] = ()  # members with which the next view is compared
        self.is_lost = False  # nobody reaches it: what it sends waits for its next view
        self.waiting: list[Post] = []


class StoryNetwork:
    """Machines, their daemons' lines, and who reaches whom."""

    def __init__(self) -> None:
        self.lines: dict[NodeId, Line] = {}
        self.hosts: set[NodeId] = set()
        self.sides: dict[NodeId, int] = {}  # in which part of the network a machine is; 0 where it is whole
        self._unreached: set[NodeId] = set()
        self._views = 0
        self._reasons: dict[NodeId, DepartureReason] = {}

    def attach(self, nodeid: NodeId) -> None:
        """A daemon starts; its line begins empty."""
        assert nodeid not in self.lines, f"node {nodeid} has a daemon"
        self.hosts.add(nodeid)
        self.lines[nodeid] = Line()

    def detach(self, nodeid: NodeId, reason: DepartureReason) -> None:
        """A daemon ends; nothing more is for it."""
        self.lines.pop(nodeid, None)
        self._reasons[nodeid] = reason

    def lose(self, nodeid: NodeId) -> None:
        """The others find that a machine does not answer; its line stays as it is."""
        self._unreached.add(nodeid)
        self._reasons[nodeid] = DepartureReason.NODE_DOWN
        if nodeid in self.lines:
            self.lines[nodeid].known = (nodeid,)
            self.lines[nodeid].is_lost = True

    def reach(self, nodeid: NodeId) -> None:
        """A machine answers again."""
        self._unreached.discard(nodeid)

    def split(self, sides: Iterable[Collection[NodeId]]) -> None:
        """Part the network: only machines of the same side reach each other."""
        self.sides = {nodeid: k for k, side in enumerate(sides) for nodeid in side}

    def forget_unread(self, sender: NodeId, readers: Collection[NodeId]) -> None:
        """Lose to these readers the last that the sender sent, if none has read it and nothing of theirs is behind it."""
        lines = [self.lines[n].items for n in readers if n in self.lines and n != sender]
        while lines and all(line and line[-1] is lines[0][-1] for line in lines):
            last = lines[0][-1]
            if isinstance(last, View) or last.sender != sender:
                return
            for line in lines:
                line.pop()

    def send(self, sender: NodeId, payload: bytes) -> None:
        """Order one message in the sender's newest view; what nobody can hear waits for the next."""
        self._order(Post(sender, payload))

    def _order(self, post: Post) -> None:
        line = self.lines[post.sender]
        if line.is_lost:
            line.waiting.append(post)
            return
        for other in self.lines.values():
            if other is line or _is_same(other.view, line.view):
                other.items.append(post)

    def form_views(self) -> None:
        """Give everyone whose surroundings changed a new view, behind everything that stands in its line."""
        for side in sorted({self.sides.get(n, 0) for n in self.hosts}):
            hosts = tuple(sorted(n for n in self.hosts - self._unreached if self.sides.get(n, 0) == side))
            members = tuple(n for n in hosts if n in self.lines)
            seen = {self._surroundings(n) for n in members}
            if members and seen != {(members, hosts)}:
                self._views += 1
                for nodeid in members:
                    self._enter(nodeid, self._views, members, hosts)
                for nodeid in members:
                    waiting, self.lines[nodeid].waiting = self.lines[nodeid].waiting, []
                    for post in waiting:
                        self._order(post)

    def _surroundings(self, nodeid: NodeId) -> tuple[tuple[NodeId, ...], tuple[NodeId, ...]] | None:
        line = self.lines[nodeid]
        return None if line.is_lost or line.view is None else (line.view.members, line.view.hosts)

    def _enter(
        self, nodeid: NodeId, view_id: int, members: tuple[NodeId, ...], hosts: tuple[NodeId, ...]
    ) -> None:
        line = self.lines[nodeid]
        left = tuple(
            Departure(n, self._reasons.get(n, DepartureReason.NODE_DOWN))
            for n in line.known
            if n not in members
        )
        line.view = View(
            view_id=view_id,
            members=members,
            joined=tuple(n for n in members if n not in line.known),
            left=left,
            hosts=hosts,
        )
        line.known = members
        line.is_lost = False
        line.items.append(line.view)


def _is_same(a: View | None, b: View | None) -> bool:
    return a is not None and b is not None and a.view_id == b.view_id
