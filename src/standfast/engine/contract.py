"""What every engine promises: the same ordered sequence of views and messages for all members of a view.

The promise is that of corosync's closed process groups: total order, virtual synchrony, self-delivery.
Those who part, because a link broke or a node died, may end the view that they shared differently: each side has all that
its own members said, and may lack what the others said last, in the middle of the order too.
Source: design section 2 and 5; cpg_overview(3).
"""

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct

from standfast.errors import EngineError
from standfast.membership.view import View
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId

MESSAGE_BYTES_MAX = 1024 * 1024  # longest payload of one message


class Message(Struct, frozen=True, tag=True):
    """One payload, at the same place of the order for all members of the view, its sender included."""

    sender: NodeId
    payload: bytes


class Quorum(Struct, frozen=True, tag=True):
    """This node's own quorum flag for one view; not ordered against messages."""

    view_id: int
    quorate: bool


class Notice(Struct, frozen=True, tag=True):
    """Something that the engine wants in this node's log: a daemon that it turned away, and why."""

    text: str


EngineEvent = View | Message | Quorum | Notice


def too_long(name: str, length: int) -> EngineError:
    """Return the error for a payload of that many bytes, more than MESSAGE_BYTES_MAX."""
    return EngineError(
        f"{name}: a message of {length} bytes is longer than the {MESSAGE_BYTES_MAX} that the engine takes; "
        f"send less at a time",
        code="message-too-long",
    )


class Engine(Protocol):
    """One daemon's connection to the ordered log."""

    @property
    def nodeid(self) -> NodeId:
        """This node."""
        ...

    def events(self) -> AsyncIterator[EngineEvent]:
        """Yield what the engine delivers, in order; ends after leave(), raises EngineError when the engine is gone."""
        ...

    async def send(self, payload: bytes) -> None:
        """Queue one message (at most MESSAGE_BYTES_MAX bytes); waits while the engine is congested, never drops.

        Raises EngineError when the payload is too long or the engine is gone. A message may be delivered in a later
        view than the one it was sent in; it is delivered to its sender in every case while the sender lives.
        """
        ...

    def configure(self, votes: VoteTable) -> None:
        """Tell the engine the votes of the active configuration; quorum is judged by them from now on."""
        ...

    async def leave(self) -> None:
        """Say goodbye: the others see DepartureReason.LEAVE."""
        ...

    async def close(self) -> None:
        """Break off without goodbye and free everything."""
        ...
