"""What the cluster knows of one service: its state, where it may run, and what is under way with it.

Pure. Source: spec services, section 3.
"""

from enum import IntFlag, StrEnum

from msgspec import Struct
from msgspec.structs import replace

from standfast.terms import NodeId, ServiceName


class ServiceState(StrEnum):
    """The states that clustat prints."""

    STOPPED = "stopped"
    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"
    FAILED = "failed"
    RECOVERABLE = "recoverable"  # stopping after a failure
    RECOVERING = "recovering"  # stopped after a failure, to be started again
    DISABLED = "disabled"


RUNNING_STATES = frozenset(
    {ServiceState.STARTING, ServiceState.STARTED, ServiceState.STOPPING, ServiceState.RECOVERABLE}
)
"""States in which a service has an owner."""


class Goal(StrEnum):
    """Why a service is being stopped or started: what is to happen next."""

    START = "start"  # automatically, or by enable
    STOP = "stop"  # stay stopped until the next membership event
    DISABLE = "disable"
    RESTART = "restart"  # on the same node
    RELOCATE = "relocate"  # anywhere but on the origin
    RECOVER = "recover"  # after a failure; the policy chooses the node
    FAILBACK = "failback"  # to a better node of its domain
    RECONFIGURE = "reconfigure"  # the definition changed
    REMOVE = "remove"  # it is no longer in the configuration


class Intent(Struct, frozen=True, kw_only=True):
    """An operation in progress. It ends when the service is started, or cannot be, or is stopped as asked."""

    goal: Goal
    request: str | None = None  # the operator's request that is answered at the end
    target: NodeId | None = None  # tried first
    origin: NodeId | None = None  # where it ran before
    tried: tuple[NodeId, ...] = ()  # nodes on which the start failed
    last_resort: bool = False  # going back to the origin, since nobody else can run it


class Flag(IntFlag):
    """clustat's flags."""

    NONE = 0
    FROZEN = 1
    PARTIAL = 2


class ServiceRecord(Struct, frozen=True, kw_only=True):
    """One service. `generation` grows with each change of its course; whatever was meant for an older one is dropped.

    `may_run_on` are the nodes on which some part of it may still run: it is started only where this is empty.
    `definition` is the config_version by which it was defined, `running_definition` that by which it was last started.
    Times in cluster milliseconds, but `transition_s` (Unix time, for people only; 0: never).
    """

    name: ServiceName
    state: ServiceState = ServiceState.STOPPED
    generation: int = 0
    owner: NodeId | None = None
    last_owner: NodeId | None = None
    restarts: int = 0
    transition_s: int = 0
    flags: int = 0
    may_run_on: tuple[NodeId, ...] = ()
    intent: Intent | None = None
    parked: bool = False  # stopped by an operator: stays so until the next membership event
    retry_at_ms: int | None = None  # could not be started anywhere: tried again then
    evaluate: bool = False  # a node joined: look whether it is a better place
    failures_ms: tuple[int, ...] = ()  # recent recoveries, for max_restarts
    definition: int = 0
    running_definition: int = 0
    removed: bool = False  # no longer configured; forgotten when it is stopped
    because: str = ""

    @property
    def frozen(self) -> bool:
        """Whether an operator froze it."""
        return bool(self.flags & Flag.FROZEN)


def held(record: ServiceRecord, nodeid: NodeId) -> ServiceRecord:
    """The record, with the node among those where the service may run."""
    if nodeid in record.may_run_on:
        return record
    return replace(record, may_run_on=tuple(sorted((*record.may_run_on, nodeid))))


def released(record: ServiceRecord, nodeid: NodeId) -> ServiceRecord:
    """The record, without the node among those where the service may run."""
    if nodeid not in record.may_run_on:
        return record
    return replace(record, may_run_on=tuple(n for n in record.may_run_on if n != nodeid))
