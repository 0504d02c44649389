"""What every engine promises: the same ordered sequence of views and messages for all members of a view.

The promise is that of corosync's closed process groups: total order, virtual synchrony, self-delivery.
Source: design section 2 and 5; cpg_overview(3).
"""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from standfast.membership.votes import VoteTable
from standfast.terms import NodeId

MESSAGE_BYTES_MAX = 1024 * 1024  # longest payload of one message


class DepartureReason(StrEnum):
    """Why a member is not in the new view, as far as the engine can tell."""

    LEAVE = "leave"  # its daemon said goodbye
    PROCESS_DOWN = "process down"  # its daemon ended or broke off, the machine is still there
    NODE_DOWN = "node down"  # the machine does not answer


class Departure(Struct, frozen=True):
    """A node that was in this node's previous view and is not in this one."""

    nodeid: NodeId
    reason: DepartureReason


class View(Struct, frozen=True, tag=True, kw_only=True):
    """The daemons that hear each other from this point of the order on.

    `view_id` is the same on all members, grows on each node, and is never used twice in the life of an engine.
    `members` and `hosts` are sorted; `hosts` are the nodes whose machine the engine reaches (a superset of members:
    a machine stays while its daemon restarts). A change of `hosts` alone makes a new view too. `joined` and `left`
    compare with this node's own previous view. A node that was cut off or frozen gets, when it is reached again, one view whose `joined`
    holds all others.
    """

    view_id: int
    members: tuple[NodeId, ...]
    joined: tuple[NodeId, ...]
    left: tuple[Departure, ...]
    hosts: tuple[NodeId, ...]


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


