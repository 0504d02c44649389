"""The records that cross the control socket: one JSON object a line, `v` first.

A client sends one call and reads lines until the answer that is not `Progress`. Status is for any local user, the rest for
root and the group `standfast`. Source: design sections 7 and 8.
"""

from enum import IntEnum, StrEnum

from msgspec import Struct, json

from standfast.terms import NodeId, ServiceName

PROTOCOL_VERSION = 1
LINE_BYTES_MAX = 8 * 1024 * 1024  # longest line on the control socket


class Code(IntEnum):
    """Result codes of operations on services, as clusvcadm prints them (spec services, section 12)."""

    SUCCESS = 0
    FAIL = -1
    ABORT = -2
    NO_SERVICE = -4
    DEADLOCK = -5
    AGAIN = -6
    DEPEND = -7
    INVALID = -8
    NO_QUORUM = -9
    RUNNING = -10
    FROZEN = -11
    NODE_DEAD = -12
    FENCING = -13
    DOMAIN = -15
    EXCLUSIVE = -16
    RELOCATE_FAILED = -17
    PERMISSION = -18
    WARNING = -19


class Operation(StrEnum):
    """What an operator can ask of a service."""

    ENABLE = "enable"
    DISABLE = "disable"
    STOP = "stop"
    RELOCATE = "relocate"
    RESTART = "restart"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"


class GetStatus(Struct, frozen=True, tag="status"):
    """Ask for this node's view of the cluster; `local` answers from this node's copy even while it is not synced."""

    local: bool = False


class OperateService(Struct, frozen=True, tag="service", kw_only=True):
    """Ask for one operation and its outcome. `target` is a node name; `by_domain` is clusvcadm -F."""

    operation: Operation
    service: ServiceName
    target: str | None = None
    by_domain: bool = False


class UpdateConfig(Struct, frozen=True, tag="update"):
    """Propose a whole new cluster.conf; `document` is its text."""

    document: str


class GetChanges(Struct, frozen=True, tag="changes"):
    """Ask what a whole new cluster.conf would change for what the nodes say to each other; nothing is done."""

    document: str


class Reconfigure(Struct, frozen=True, tag="reconfigure"):
    """Put a whole new cluster.conf onto every member's disk, then stop everything and leave on all nodes, here last.

    It is in force when the nodes are started again. Answered by UpdateRejected, or by Acknowledged when all have left.
    """

    document: str


class AcknowledgeFencing(Struct, frozen=True, tag="fence-ack"):
    """Declare, as a person who has seen it, that a victim is powered off (fence_ack_manual)."""

    nodename: str


class GetHistory(Struct, frozen=True, tag="history"):
    """Ask for this node's recent decisions and events, oldest first, with times in milliseconds."""

    last: int = 200


class LeaveCluster(Struct, frozen=True, tag="leave", kw_only=True):
    """Stop all services here, leave the cluster and end the daemon.

    `remove`: for good, so that the others expect this node's votes no more. `unless_busy`: only if no service is here.
    """

    remove: bool = False
    unless_busy: bool = False


class SetExpectedVotes(Struct, frozen=True, tag="expected"):
    """Let the cluster expect so many votes (cman_tool expected); may be asked without quorum."""

    votes: int


class SetNodeVotes(Struct, frozen=True, tag="votes", kw_only=True):
    """Give a node so many votes until the next configuration (cman_tool votes); None: this node."""

    votes: int
    nodename: str | None = None


class KillNode(Struct, frozen=True, tag="kill"):
    """Let a node's daemon die at once, as if its machine had failed (cman_tool kill)."""

    nodename: str


class GetDaemon(Struct, frozen=True, tag="daemon"):
    """Ask how this node's daemon is: what it waits for, and what it has of the machine."""


class SetDebug(Struct, frozen=True, tag="debug"):
    """Let this node's daemon log everything, or with 0 what it usually does (cman_tool debug)."""

    mask: int


Call = (
    GetStatus
    | OperateService
    | UpdateConfig
    | GetChanges
    | Reconfigure
    | AcknowledgeFencing
    | GetHistory
    | LeaveCluster
    | SetExpectedVotes
    | SetNodeVotes
    | KillNode
    | SetDebug
    | GetDaemon
)


class NodeState(StrEnum):
    """cman's states of a node (spec membership, section 1); a refused node is never a member, and so not `disallowed`."""

    JOINING = "joining"
    MEMBER = "member"
    DEAD = "dead"
    LEAVING = "leaving"


class Membership(Struct, frozen=True, kw_only=True):
    """One row of cman_tool nodes. Times are Unix times, 0 where there is none."""

    state: NodeState
    incarnation: int = 0  # the cluster's generation when it joined
    joined_s: int = 0
    votes: int = 0
    expected_votes: int = 0
    addresses: tuple[str, ...] = ()
    fenced_s: int = 0
    fenced_by: str = ""
    unfenced: bool = False  # it went down, and was not fenced since


class Election(Struct, frozen=True, kw_only=True):
    """What cman_tool status shows beyond the rest."""

    generation: int  # the number of the last view that had quorum, as far as this node knows
    joining: bool  # it is not a member yet
    leaving: bool
    expected_votes: int
    total_votes: int
    quorum: int
    two_node: bool
    dirty: bool  # a restart would lose state
    managing: bool  # its services are managed
    clients: int = 0  # open connections to the control socket
    multicast: tuple[str, ...] = ()


class NodeStatus(Struct, frozen=True, kw_only=True):
    """One line of clustat's member table."""

    name: str
    nodeid: NodeId
    online: bool  # its machine is in the view
    local: bool
    estranged: bool  # not in the active configuration
    manager: bool  # its daemon takes part (clustat's "rgmanager")
    victim: bool = False
    note: str = ""  # why it is not what a person expects, such as "being fenced, attempt 3"
    membership: Membership = Membership(state=NodeState.DEAD)


class ServiceStatus(Struct, frozen=True, kw_only=True):
    """One line of clustat's service table. Owners are node names; None: nowhere, or never."""

    name: ServiceName
    state: str  # one of clustat's words: stopped, starting, started, stopping, failed, ...
    owner: str | None
    last_owner: str | None
    restarts: int
    transition_s: int  # Unix time of the last transition, 0: never
    frozen: bool = False
    partial: bool = False
    because: str = ""


class Status(Struct, frozen=True, tag="status", kw_only=True):
    """The answer to GetStatus. `services` is None where `unavailable` says why."""

    cluster: str
    cluster_id: int
    config_version: int
    view_id: int
    quorate: bool
    synced: bool
    local: NodeId
    nodes: tuple[NodeStatus, ...]
    services: tuple[ServiceStatus, ...] | None
    unavailable: str = ""
    fencing: tuple[str, ...] = ()  # one sentence for each victim that is still waited for
    time_s: int = 0  # Unix time of the answer
    election: Election | None = None


class DaemonReport(Struct, frozen=True, tag="daemon", kw_only=True):
    """The answer to GetDaemon. `watchdog` is the device, "" for none; `memory_refusal` "": its memory is locked."""

    pid: int
    engine: str  # as for --engine
    standing: str  # a line for a person
    memory_refusal: str
    oom_score_adj: int
    watchdog: str
    watchdog_ms: int  # the device's timeout, 0 without one
    is_petted: bool


class Operated(Struct, frozen=True, tag="operated", kw_only=True):
    """The outcome of OperateService: `owner` is the node name where the service now runs."""

    code: Code
    owner: str | None = None
    text: str = ""  # a reason for a person


class Updated(Struct, frozen=True, tag="updated", kw_only=True):
    """The configuration `new` is active and on the disk of every member."""

    old: int
    new: int


class Changes(Struct, frozen=True, tag="changes", kw_only=True):
    """The answer to GetChanges: what needs a stop of the whole cluster (with the procedure), and what is taken live."""

    old: int
    new: int
    stop: tuple[str, ...]
    live: tuple[str, ...]


class UpdateRejected(Struct, frozen=True, tag="update-rejected", kw_only=True):
    """Why an update did not happen (or not everywhere): `findings` are lines for a person.

    `reason` is one of not-newer, not-quorate, lost-race, invalid, other-name, not-written, not-synced.
    """

    reason: str
    current: int = 0
    proposed: int = 0
    winning: int = 0
    findings: tuple[str, ...] = ()


class Acknowledged(Struct, frozen=True, tag="acknowledged"):
    """A plain yes."""

    text: str = ""


class HistoryLine(Struct, frozen=True, kw_only=True):
    """One thing that happened: an event name such as member.lost, fence.began, fence.done, service.started."""

    at_ms: int  # Unix time in milliseconds, on this node's clock
    event: str
    subject: str  # a node or service name
    text: str = ""


class History(Struct, frozen=True, tag="history"):
    """The answer to GetHistory, oldest first."""

    lines: tuple[HistoryLine, ...]


class Failure(Struct, frozen=True, tag="failure", kw_only=True):
    """The call was not carried out: `code` as in docs/errors.md, `text` for a person."""

    code: str
    text: str


class Progress(Struct, frozen=True, tag="progress"):
    """Said while a long call goes on."""

    text: str


Answer = (
    Status
    | DaemonReport
    | Operated
    | Updated
    | Changes
    | UpdateRejected
    | Acknowledged
    | History
    | Failure
    | Progress
)


class CallLine(Struct, frozen=True):
    """What stands on one line from a client."""

    v: int
    call: Call


class AnswerLine(Struct, frozen=True):
    """What stands on one line to a client."""

    v: int
    answer: Answer


def encode_call(call: Call) -> bytes:
    """Return the line for a call, newline included."""
    return json.encode(CallLine(PROTOCOL_VERSION, call)) + b"\n"


def encode_answer(answer: Answer) -> bytes:
    """Return the line for an answer, newline included."""
    return json.encode(AnswerLine(PROTOCOL_VERSION, answer)) + b"\n"


def decode_call(line: bytes) -> Call:
    """Read a client's line; raises msgspec.ValidationError or msgspec.DecodeError on anything else."""
    return json.decode(line, type=CallLine).call


def decode_answer(line: bytes) -> Answer:
    """Read a daemon's line; raises msgspec.ValidationError or msgspec.DecodeError on anything else."""
    return json.decode(line, type=AnswerLine).answer
