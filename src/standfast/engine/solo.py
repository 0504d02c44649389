"""The engine of a cluster of one: the same promises, within one process and without a sequencer."""

import asyncio

from standfast.engine.contract import MESSAGE_BYTES_MAX, EngineEvent, Message, Quorum, too_long
from standfast.engine.flow import OWED_BYTES_MAX, cost_of
from standfast.engine.inbox import Inbox
from standfast.errors import EngineError
from standfast.membership.quorum import Ballot, Configured, Present, step
from standfast.membership.view import View
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId


class SoloEngine:
    """The order of one daemon's own messages. Implements contract.Engine."""

    def __init__(self, nodeid: NodeId, name: str, votes: VoteTable, *, view_id: int) -> None:
        """`view_id`: the id of its only view; greater than in the node's last run."""
        self._nodeid = nodeid
        self._name = name
        self._view_id = view_id
        self._inbox = Inbox(self._taken)
        self._owed_cost = 0
        self._sending = asyncio.Lock()
        self._room = asyncio.Event()
        self._has_left = False
        self._ballot = step(Ballot(table=votes), Present((nodeid,)))
        alone = (nodeid,)
        self._inbox.put(View(view_id=view_id, members=alone, joined=alone, left=(), hosts=alone))
        self._tell_quorum()

    @property
    def nodeid(self) -> NodeId:
        """This node."""
        return self._nodeid

    def events(self) -> Inbox:
        """Yield what was sent; it is the same iterator each time, and may be waited for once at a time."""
        return self._inbox

    async def send(self, payload: bytes) -> None:
        """Deliver one message to this daemon; waits while it takes none.

        The task that takes the events must not wait here.
        """
        if len(payload) > MESSAGE_BYTES_MAX:
            raise too_long(self._name, len(payload))
        async with self._sending:
            while self._owed_cost >= OWED_BYTES_MAX and not self._has_left:
                self._room.clear()
                await self._room.wait()
            if self._has_left:
                raise EngineError(
                    f"{self._name}: this daemon left the engine; attach again", code="engine-left"
                )
            self._owed_cost += cost_of(payload)
            self._inbox.put(Message(self._nodeid, payload))

    def configure(self, votes: VoteTable) -> None:
        """Judge quorum by these votes from now on."""
        self._ballot = step(self._ballot, Configured(votes))
        self._tell_quorum()

    async def leave(self) -> None:
        """End; there is nobody to say goodbye to."""
        await self.close()

    async def close(self) -> None:
        """End; iteration over the events ends after those that are there."""
        self._has_left = True
        self._room.set()
        self._inbox.finish()

    def _tell_quorum(self) -> None:
        self._inbox.put(Quorum(self._view_id, self._ballot.quorate))

    def _taken(self, event: EngineEvent) -> None:
        if isinstance(event, Message):
            self._owed_cost -= cost_of(event.payload)
            self._room.set()
