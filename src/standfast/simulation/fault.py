"""What can go wrong in a simulated cluster, and what people do to it. Each is data: it can be printed and done again."""

from enum import StrEnum

from msgspec import Struct

from standfast.terms import NodeId
from standfast.wire.control import Operation


class Crash(Struct, frozen=True, tag=True):
    """A machine loses its power; it is switched on again `off_ms` later."""

    nodeid: NodeId
    off_ms: int


class PowerCut(Struct, frozen=True, tag=True):
    """All machines lose their power at once; each is switched on again after its own time, in the order of node ids."""

    off_ms: tuple[int, ...]


class KillDaemon(Struct, frozen=True, tag=True):
    """A daemon is killed; it is started again `away_ms` later (0: never by itself)."""

    nodeid: NodeId
    away_ms: int


class Freeze(Struct, frozen=True, tag=True):
    """Everything on a machine stands still for `ms`."""

    nodeid: NodeId
    ms: int


class Cut(Struct, frozen=True, tag=True):
    """The nodes of `side` and the others do not hear each other for `ms`."""

    side: tuple[NodeId, ...]
    ms: int


class CutLink(Struct, frozen=True, tag=True):
    """Two nodes do not hear each other for `ms`."""

    a: NodeId
    b: NodeId
    ms: int


class ServiceDies(Struct, frozen=True, tag=True):
    """What a service runs ends by itself, wherever it runs (`service` counts from 0)."""

    service: int


class ResourceBroken(Struct, frozen=True, tag=True):
    """For `ms`, no start of a service succeeds, wherever it is tried (`service` counts from 0)."""

    service: int
    ms: int


class AgentsFail(Struct, frozen=True, tag=True):
    """For `ms`, agents on a node fail, hang or are slow. Percentages."""

    nodeid: NodeId
    ms: int
    start_fails: int
    stop_fails: int
    hangs: int
    slow: int


class FencingFails(Struct, frozen=True, tag=True):
    """For `ms`, fence agents fail, take long, or report a failure although the power is off. Percentages."""

    ms: int
    fails: int
    slow: int
    lies: int = 0


class Ask(Struct, frozen=True, tag=True):
    """An operator asks something of a service on some node."""

    nodeid: NodeId
    operation: Operation
    service: int
    target: NodeId | None


class AskOverride(Struct, frozen=True, tag=True):
    """An operator tells a node of each victim that he sees to be without power; or errs, and names one that is well."""

    nodeid: NodeId
    mistaken: NodeId | None = None


class AskVotes(Struct, frozen=True, tag=True):
    """An operator changes the votes (`expected`, `votes`), or lets a node go for good (`remove`) or die (`kill`) for `ms`.

    He expects fewer votes only where he sees that all who are not there are without power.
    """

    nodeid: NodeId
    what: str
    number: int
    target: NodeId
    ms: int


class UpdateFile(Struct, frozen=True, tag=True):
    """An operator proposes a new configuration in which `service` is changed (or added, or removed)."""

    nodeid: NodeId
    service: int
    kind: str  # change, add, remove, touch


class SwapFile(Struct, frozen=True, tag=True):
    """A machine loses its power, and boots `off_ms` later with a file that is `versions` newer (or older) than its own."""

    nodeid: NodeId
    off_ms: int
    versions: int


class LeaveOrderly(Struct, frozen=True, tag=True):
    """A node leaves in order and is started again `away_ms` later."""

    nodeid: NodeId
    away_ms: int


class ClockJumps(Struct, frozen=True, tag=True):
    """A machine's steady clock goes on at another speed (per mille) from another offset."""

    nodeid: NodeId
    offset_ms: int
    per_mille: int


class DiskFull(Struct, frozen=True, tag=True):
    """For `ms`, nothing can be written on a machine."""

    nodeid: NodeId
    ms: int


class Stranger(Struct, frozen=True, tag=True):
    """For `ms`, a machine that is not in the configuration starts a daemon again and again."""

    ms: int


class WrongName(Struct, frozen=True, tag=True):
    """A daemon is killed, and started for `ms` with another node's name, or with another cluster's file."""

    nodeid: NodeId
    ms: int
    of_cluster: bool


class SecondDaemon(Struct, frozen=True, tag=True):
    """Somebody starts a second daemon with the id of a node that has one."""

    nodeid: NodeId


class Corrupt(Struct, frozen=True, tag=True):
    """What a daemon knows is changed behind its back: its state differs from the others' without its knowing."""

    nodeid: NodeId


class Moment(StrEnum):
    """What an aimed fault waits for: an entry that is sent, work that begins, or work that has ended."""

    HELLO = "Hello"
    OPEN = "Open"
    SNAPSHOT = "Snapshot"
    INVENTORY = "Inventory"
    REQUEST = "Request"
    BARRIER = "Barrier"
    BEGIN_EPOCH = "BeginEpoch"
    DECLARE_VICTIM = "DeclareVictim"
    EVICT = "Evict"
    BEGIN_FENCING = "BeginFencing"
    ACTIVATE_CONFIG = "ActivateConfig"
    FINISH_ROLLOUT = "FinishRollout"
    BEGIN_LEAVE = "BeginLeave"
    OVERRIDE = "Override"
    START = "Start"
    STOP = "Stop"
    SETTLE = "Settle"
    RAN = "Ran"
    FAILED = "Failed"
    GONE = "Gone"
    CLEARED = "Cleared"
    FENCE_RESULT = "FenceResult"
    CONFIG_WRITTEN = "ConfigWritten"
    EPOCH_KEPT = "EpochKept"
    VACANT = "Vacant"
    START_SERVICE = "StartService"
    STOP_SERVICE = "StopService"
    START_ATTEMPT = "StartAttempt"
    WRITE_CONFIG = "WriteConfig"
    KEEP_EPOCH = "KeepEpoch"
    TAKE_INVENTORY = "TakeInventory"
    DAEMON_UP = "DaemonUp"
    SERVICE_STARTED = "ServiceStarted"
    SERVICE_STOPPED = "ServiceStopped"
    POWERED_OFF = "PoweredOff"
    ANSWER_REQUEST = "AnswerRequest"


class Whom(StrEnum):
    """Whom an aimed fault hits."""

    ACTOR = "actor"  # who sent or did it
    SUBJECT = "subject"  # whom it is about; the actor where it is about nobody
    OTHER = "other"  # the lowest machine that is neither


class Blow(StrEnum):
    """What an aimed fault does."""

    CRASH = "crash"
    KILL = "kill"
    FREEZE = "freeze"
    CUT_OFF = "cut off"
    SERVICES_DIE = "services die"  # all that run there, by themselves
    UPDATE = "update"  # an operator proposes a new configuration there
    RELOCATE = "relocate"  # an operator lets the first service be relocated, and asks there


class Aimed(Struct, frozen=True, tag=True):
    """From its time on this waits for a moment, lets `skip` of them pass, and hits `wait_ms` after the next, for `ms`."""

    moment: Moment
    skip: int
    whom: Whom
    wait_ms: int
    blow: Blow
    ms: int


Fault = (
    Crash
    | PowerCut
    | KillDaemon
    | Freeze
    | Cut
    | CutLink
    | ServiceDies
    | ResourceBroken
    | AgentsFail
    | FencingFails
    | Ask
    | AskOverride
    | AskVotes
    | UpdateFile
    | SwapFile
    | LeaveOrderly
    | ClockJumps
    | DiskFull
    | Stranger
    | WrongName
    | SecondDaemon
    | Corrupt
    | Aimed
)
