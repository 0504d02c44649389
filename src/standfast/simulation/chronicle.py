"""What really happened in a run, step by step: what the rules are judged on.

Steps tell of machines, agents, disks and operators, never of what a daemon believes; the exceptions, Folded and
Activated, are there to be compared among the nodes. Times are virtual milliseconds.
"""

from enum import StrEnum

from msgspec import Struct

from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Code

Point = tuple[int, int, int]
"""A place of the log: epoch, the view in which it began, index."""


class Truth(StrEnum):
    """What is really true of a service on a machine; absent: nothing of it runs and it was stopped in full."""

    WHOLE = "whole"
    PART = "part"  # a start or a stop did not go through
    DEAD = "dead"  # it ended by itself; nobody stopped it


class Setting(Struct, frozen=True):
    """The beginning: who votes, and which config_version stands on each disk."""

    at_ms: int
    two_node: bool
    disks: tuple[tuple[NodeId, int], ...]
    revoted: bool = False  # operators change what makes a part quorate


class PowerOn(Struct, frozen=True):
    """A machine has power."""

    at_ms: int
    nodeid: NodeId


class PowerOff(Struct, frozen=True):
    """A machine has no power: nothing runs on it any more."""

    at_ms: int
    nodeid: NodeId


class Froze(Struct, frozen=True):
    """Everything on a machine stands still."""

    at_ms: int
    nodeid: NodeId


class Thawed(Struct, frozen=True):
    """A machine goes on."""

    at_ms: int
    nodeid: NodeId


class Claim(StrEnum):
    """What a daemon says of itself."""

    TRUE = "true"
    NOT_LISTED = "not listed"  # it is in no configuration, or gives a name that is not its own
    OTHER_CLUSTER = "other cluster"


class DaemonUp(Struct, frozen=True):
    """A daemon was started."""

    at_ms: int
    nodeid: NodeId
    claim: Claim = Claim.TRUE


class DaemonDown(Struct, frozen=True):
    """The daemon is gone; what it started is not."""

    at_ms: int
    nodeid: NodeId


class Left(Struct, frozen=True):
    """A daemon said goodbye to the cluster and ended."""

    at_ms: int
    nodeid: NodeId


class Refused(Struct, frozen=True):
    """A daemon ended because the cluster refused it; `outnumbered`: it heard as many strangers as others."""

    at_ms: int
    nodeid: NodeId
    text: str
    outnumbered: bool = False


class LinksChanged(Struct, frozen=True):
    """Some links were cut, or mended."""

    at_ms: int


class ClockChanged(Struct, frozen=True):
    """A machine's steady clock leaps, or goes on at another speed."""

    at_ms: int
    nodeid: NodeId


class Heard(Struct, frozen=True):
    """Whether the machines that this one can hear, itself included, could be quorate."""

    at_ms: int
    nodeid: NodeId
    quorate: bool


class Began(Struct, frozen=True):
    """Agents began to start or to stop a service."""

    at_ms: int
    nodeid: NodeId
    service: ServiceName
    start: bool


class Ended(Struct, frozen=True):
    """A start or a stop ended, well or not."""

    at_ms: int
    nodeid: NodeId
    service: ServiceName
    start: bool
    ok: bool


class Became(Struct, frozen=True):
    """What is true of a service on a machine from now on; None: nothing of it runs."""

    at_ms: int
    nodeid: NodeId
    service: ServiceName
    truth: Truth | None


class FenceBegan(Struct, frozen=True):
    """A node began to fence another."""

    at_ms: int
    nodeid: NodeId
    victim: NodeId


class FenceEnded(Struct, frozen=True):
    """The fence agent told the node how it went."""

    at_ms: int
    nodeid: NodeId
    victim: NodeId
    ok: bool


class Overridden(Struct, frozen=True):
    """An operator saw that a machine has no power, and told a node so."""

    at_ms: int
    nodeid: NodeId
    victim: NodeId


class Asked(Struct, frozen=True):
    """An operator asked something of a node's daemon. `operation` is empty for what is not about a service."""

    at_ms: int
    nodeid: NodeId
    request: str
    operation: str = ""
    service: str = ""


class Answered(Struct, frozen=True):
    """The daemon that was asked answered."""

    at_ms: int
    nodeid: NodeId
    request: str
    code: Code
    owner: NodeId | None = None


class Acknowledged(Struct, frozen=True):
    """An update was answered with success; `members` took part then, and `content` stands for all that it says."""

    at_ms: int
    version: int
    content: int
    members: tuple[NodeId, ...]


class Stored(Struct, frozen=True):
    """A configuration stands on a machine's disk; `by_hand` when somebody put it there past the daemon."""

    at_ms: int
    nodeid: NodeId
    version: int
    by_hand: bool = False


class Activated(Struct, frozen=True):
    """A node uses this configuration from now on."""

    at_ms: int
    nodeid: NodeId
    version: int
    content: int


class Folded(Struct, frozen=True):
    """A node's state at a place of the log; `content` stands for all that it says, `cluster_ms` is its cluster time."""

    at_ms: int
    nodeid: NodeId
    point: Point
    content: int
    cluster_ms: int = 0


class Corrupted(Struct, frozen=True):
    """A node's state was changed behind its back."""

    at_ms: int
    nodeid: NodeId


class Parted(Struct, frozen=True):
    """A node reads at this place of the log what only its side of a cut was given."""

    at_ms: int
    nodeid: NodeId
    point: Point


class Diverged(Struct, frozen=True):
    """A node noticed that its state differs from what others decided on."""

    at_ms: int
    nodeid: NodeId


class Odd(Struct, frozen=True):
    """Something that the world could not do, since it makes no sense."""

    at_ms: int
    text: str


class Settled(Struct, frozen=True):
    """The faults are over and everything had the time to become well. A history without it was broken off."""

    at_ms: int


Step = (
    Setting
    | PowerOn
    | PowerOff
    | Froze
    | Thawed
    | DaemonUp
    | DaemonDown
    | Left
    | Refused
    | LinksChanged
    | ClockChanged
    | Heard
    | Began
    | Ended
    | Became
    | FenceBegan
    | FenceEnded
    | Overridden
    | Asked
    | Answered
    | Acknowledged
    | Stored
    | Activated
    | Folded
    | Corrupted
    | Parted
    | Diverged
    | Odd
    | Settled
)
