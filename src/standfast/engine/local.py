"""The local engine, as a daemon sees it: several daemons on one machine, ordered by the sequencer program."""

import asyncio

from standfast.engine import frames
from standfast.engine.connection import CONNECT_S_MAX, Connection, connect, silent_sequencer
from standfast.engine.contract import MESSAGE_BYTES_MAX, EngineEvent, Message, Notice, Quorum, too_long
from standfast.engine.flow import SEND_BYTES_MAX, TAKEN_BYTES, cost_of
from standfast.engine.inbox import Inbox
from standfast.errors import EngineError, StandfastError
from standfast.membership.quorum import Ballot, Configured, Present, step
from standfast.membership.view import View
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId


class LocalEngine:
    """One daemon's connection to the sequencer; made by `attach`. Implements contract.Engine."""

    def __init__(self, socket_path: str, nodeid: NodeId, name: str, votes: VoteTable) -> None:
        """See `attach`."""
        loop = asyncio.get_running_loop()
        self._socket_path = socket_path
        self._nodeid = nodeid
        self._name = name
        self._connection = Connection(socket_path, received=self._received, lost=self._end_with)
        self._inbox = Inbox(self._taken)
        self._ballot = Ballot(table=votes)
        self._view_id: int | None = None
        self._untold_cost = 0  # taken, and the sequencer does not know yet
        self._unordered_cost = 0  # own messages that have not come back
        self._sending = asyncio.Lock()
        self._room = asyncio.Event()
        self._welcome: asyncio.Future[frames.Welcome] = loop.create_future()
        self._farewell: asyncio.Future[None] = loop.create_future()
        self._is_leaving = False
        self._end: StandfastError | None = None

    @property
    def nodeid(self) -> NodeId:
        """This node."""
        return self._nodeid

    @property
    def token_ms(self) -> int:
        """How long this daemon may be silent before the others give it up; known once it was let in."""
        return self._welcome.result().token_ms

    def events(self) -> Inbox:
        """Yield what the engine delivers; it is the same iterator each time, and may be waited for once at a time."""
        return self._inbox

    async def open(self) -> None:
        """Connect, and wait until the sequencer has let this daemon in; called by `attach`, once."""
        await connect(self._socket_path, self._connection)
        self._connection.write(frames.Attach(self._nodeid, self._name))
        await asyncio.wait([self._welcome], timeout=CONNECT_S_MAX)
        if not self._welcome.done():
            self._end_with(silent_sequencer(self._socket_path))
        if self._end is not None:
            self._connection.close()
            raise self._end

    async def send(self, payload: bytes) -> None:
        """Queue one message; waits while the engine is congested.

        The task that takes the events must not wait here: while it does, its own messages cannot come back.
        """
        if len(payload) > MESSAGE_BYTES_MAX:
            raise too_long(self._name, len(payload))
        cost = cost_of(payload)
        async with self._sending:
            while self._end is None and not self._is_leaving and not self._has_room(cost):
                self._room.clear()
                await self._room.wait()
            if self._end is not None:
                raise self._end
            if self._is_leaving:
                raise EngineError(
                    f"{self._name}: this daemon left the engine; attach again", code="engine-left"
                )
            self._unordered_cost += cost
            self._connection.write(frames.Send(payload))

    def configure(self, votes: VoteTable) -> None:
        """Judge quorum by these votes from now on; tells the new flag for the last view."""
        self._ballot = step(self._ballot, Configured(votes))
        self._tell_quorum()

    async def leave(self) -> None:
        """Say goodbye after everything that was sent, and wait until the others know; then break off."""
        if self._end is None and not self._is_leaving:
            self._is_leaving = True
            self._room.set()
            self._tell_taken()
            self._connection.write(frames.Goodbye())
            await asyncio.wait([self._farewell], timeout=CONNECT_S_MAX)
        await self.close()

    async def close(self) -> None:
        """Break off; iteration over the events ends after those that are there."""
        self._connection.close()
        self._inbox.finish()
        self._end_with(
            EngineError(f"{self._name}: this daemon left the engine; attach again", code="engine-left")
        )

    def _has_room(self, cost: int) -> bool:
        return self._unordered_cost == 0 or self._unordered_cost + cost <= SEND_BYTES_MAX

    def _received(self, frame: frames.FromSequencer) -> None:
        match frame:
            case Message(sender, payload):
                if sender == self._nodeid:
                    self._unordered_cost = max(0, self._unordered_cost - cost_of(payload))
                    self._room.set()
                self._inbox.put(frame)
                if self._is_leaving:  # nobody may take any more; the sequencer must not wait for it
                    self._taken(frame)
            case View() | Notice():
                self._inbox.put(frame)
            case frames.Welcome():
                if not self._welcome.done():
                    self._welcome.set_result(frame)
            case frames.Farewell():
                self._connection.close()
                self._inbox.finish()
                if not self._farewell.done():
                    self._farewell.set_result(None)
            case _:
                pass

    def _tell_quorum(self) -> None:
        if self._view_id is not None:
            self._inbox.put(Quorum(self._view_id, self._ballot.quorate))

    def _taken(self, event: EngineEvent) -> None:
        if isinstance(event, View):
            # By the votes that the daemon has told before it came to this view, not before the view arrived.
            self._view_id = event.view_id
            self._ballot = step(self._ballot, Present(event.members))
            self._inbox.put_first(Quorum(event.view_id, self._ballot.quorate))
        if isinstance(event, Message):
            self._untold_cost += cost_of(event.payload)
            if self._untold_cost >= TAKEN_BYTES:
                self._tell_taken()

    def _tell_taken(self) -> None:
        self._connection.write(frames.Taken(self._untold_cost))
        self._untold_cost = 0

    def _end_with(self, end: StandfastError) -> None:
        if self._end is None:
            self._end = end
            self._inbox.fail(end)
            self._room.set()
            for waiter in (self._welcome, self._farewell):
                waiter.cancel()


async def attach(socket_path: str, nodeid: NodeId, name: str, votes: VoteTable) -> LocalEngine:
    """Connect a daemon to the sequencer at the path; quorum is judged by `votes`.

    Raises RefusedError when the sequencer turns it away (the node id is in use), EngineError when there is none.
    """
    engine = LocalEngine(socket_path, nodeid, name, votes)
    await engine.open()
    return engine
