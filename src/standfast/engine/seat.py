"""The simulated engine's view of one daemon: what is on its way to it and from it, and the order it takes part in."""

from collections.abc import Callable, Iterable
from typing import Protocol

from standfast.engine.contract import EngineEvent, Message, Notice, Quorum
from standfast.engine.pipe import Pipe
from standfast.membership.quorum import Ballot, Configured, Present, step
from standfast.membership.view import View
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId

Sent = bytes | None  # a payload, or the goodbye


class Pipes(Protocol):
    """Makes the lines of the simulated network."""

    def sent(self, deliver: Callable[[Sent], None]) -> Pipe[Sent]:
        """From a daemon to the order."""
        ...

    def ordered(self, deliver: Callable[[View | Message], None]) -> Pipe[View | Message]:
        """From the order to a daemon."""
        ...

    def aside(self, deliver: Callable[[Quorum | Notice], None]) -> Pipe[Quorum | Notice]:
        """What a daemon is told beside the order."""
        ...


class Group:
    """The members of one view and the order they share; `is_stalled` while a cut link is not yet noticed."""

    def __init__(self, seats: Iterable["Seat"]) -> None:
        self.seats = list(seats)
        self.log: list[Message] = []
        self.is_stalled = False

    def append(self, message: Message) -> None:
        """Give a message the next place in the order of all members."""
        self.log.append(message)
        for seat in self.seats:
            seat.pipe_until(len(self.log))


class Seat:
    """One daemon, from its attaching to its end."""

    def __init__(
        self,
        nodeid: NodeId,
        name: str,
        votes: VoteTable,
        deliver: Callable[[EngineEvent], None],
        *,
        pipes: Pipes,
        arrived: Callable[["Seat"], None],
    ) -> None:
        """`arrived` is called when something that the daemon sent waits for its place in the order."""
        self.nodeid = nodeid
        self.name = name
        self.group: Group | None = None
        self.piped = 0  # how many of the group's messages are delivered or on their way here
        self.waiting: list[Sent] = []  # sent, but not ordered yet
        self.is_closed = False
        self._arrived = arrived
        self._deliver = deliver
        self._ballot = Ballot(table=votes)
        self._view: View | None = None
        self._sent = pipes.sent(self._wait)
        self._ordered = pipes.ordered(self._take)
        self._aside = pipes.aside(deliver)

    def send(self, sent: Sent) -> None:
        """Send a message, or the goodbye."""
        self._sent.put(sent)

    def configure(self, votes: VoteTable) -> None:
        """Judge quorum by these votes from now on."""
        self._ballot = step(self._ballot, Configured(votes))
        self._tell_quorum()

    def tell(self, notice: Notice) -> None:
        """Deliver a notice."""
        self._aside.put(notice)

    def pause(self) -> None:
        """Stand still: nothing goes in or out."""
        for pipe in (self._sent, self._ordered, self._aside):
            pipe.pause()

    def resume(self) -> None:
        """Go on after `pause`, first with what has piled up."""
        for pipe in (self._sent, self._ordered, self._aside):
            pipe.resume()

    def close(self) -> tuple[Sent, ...]:
        """End; returns what was sent and had not arrived yet."""
        self.is_closed = True
        self._ordered.close()
        self._aside.close()
        return self._sent.close()

    def received(self) -> int:
        """How many of the group's messages were delivered to this daemon: they cannot be kept from it any more."""
        return self.piped - self._ordered.tail(lambda event: isinstance(event, Message))

    def take_beside(self, messages: Iterable[Message]) -> None:
        """Get messages of the group that the other side of a cut does not get, after those that both have."""
        for message in messages:
            self._ordered.put(message)

    def pipe_until(self, count: int) -> None:
        """Let exactly the group's first `count` messages reach this daemon; those under way can be taken back."""
        assert self.group is not None
        if count < self.piped:
            self._ordered.take_back(self.piped - count)
        for message in self.group.log[self.piped : count]:
            self._ordered.put(message)
        self.piped = count

    def enter(self, group: Group, view: View) -> None:
        """Take part in the order of a new view, after what was ordered for this daemon in the old one."""
        self.quit()
        self.group, self.piped = group, 0
        self._ordered.put(view)

    def quit(self) -> None:
        """Go on without the group."""
        if self.group is not None:
            self.group.seats.remove(self)
            self.group = None

    def _wait(self, sent: Sent) -> None:
        self.waiting.append(sent)
        self._arrived(self)

    def _take(self, event: View | Message) -> None:
        if isinstance(event, View):
            self._view = event
            self._ballot = step(self._ballot, Present(event.members))
        self._deliver(event)
        if isinstance(event, View):
            self._tell_quorum()

    def _tell_quorum(self) -> None:
        if self._view is not None:
            self._aside.put(Quorum(self._view.view_id, self._ballot.quorate))
