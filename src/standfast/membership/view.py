"""Views: which nodes hear each other, who came, and who is gone and why.

Pure. Source: design section 2; cpg_overview(3).
"""

from enum import StrEnum

from msgspec import Struct

from standfast.terms import NodeId


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
    compare with this node's own previous view. A node that was cut off or frozen gets, when it is reached again, one
    view whose `joined` holds all others. A daemon's first view has all members in `joined`, itself included.
    """

    view_id: int
    members: tuple[NodeId, ...]
    joined: tuple[NodeId, ...]
    left: tuple[Departure, ...]
    hosts: tuple[NodeId, ...]
