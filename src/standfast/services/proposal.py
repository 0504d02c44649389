"""What can be decided about a service, what can be reported of it, and what an operator can ask.

Pure. Each proposal and each report names the generation of the record that it was made for; a stale one is dropped.
"""

from msgspec import Struct

from standfast.services.record import Intent, ServiceState
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Code, Operation


class ServiceRequest(Struct, frozen=True, tag=True, kw_only=True):
    """An operator's request, in the log and not yet answered. `asked_by` is the node where the command was given."""

    id: str
    operation: Operation
    service: ServiceName
    asked_by: NodeId
    target: NodeId | None = None
    by_domain: bool = False


class Start(Struct, frozen=True, tag=True, kw_only=True):
    """Start the service on `owner`."""

    service: ServiceName
    generation: int
    owner: NodeId
    intent: Intent
    because: str
    failures_ms: tuple[int, ...] = ()
    count_restart: bool = False


class Stop(Struct, frozen=True, tag=True, kw_only=True):
    """Stop the service on its owner (for a failed service: on `owner`, where it may still run)."""

    service: ServiceName
    generation: int
    intent: Intent
    because: str
    owner: NodeId | None = None
    superseded: str | None = None  # the request that ends because of this one


class Settle(Struct, frozen=True, tag=True, kw_only=True):
    """End the operation in progress, answer its request, and put the record to rest in `state` (None: as it is)."""

    service: ServiceName
    generation: int
    because: str
    state: ServiceState | None = None
    parked: bool = False
    retry_at_ms: int | None = None
    request: str | None = None
    code: Code = Code.SUCCESS
    text: str = ""
    superseded: str | None = None  # the earlier request that ends because of this one


class Freeze(Struct, frozen=True, tag=True, kw_only=True):
    """Freeze or unfreeze the service."""

    service: ServiceName
    generation: int
    frozen: bool
    request: str
    because: str


class Answer(Struct, frozen=True, tag=True, kw_only=True):
    """Answer a request without touching the service."""

    request: str
    code: Code
    because: str
    owner: NodeId | None = None
    text: str = ""


class Forget(Struct, frozen=True, tag=True, kw_only=True):
    """Drop the record of a service that is no longer configured and runs nowhere."""

    service: ServiceName
    generation: int
    because: str


class Evaluated(Struct, frozen=True, tag=True, kw_only=True):
    """The service stays where it is: no better node came."""

    service: ServiceName
    generation: int
    because: str


ServiceProposal = Start | Stop | Settle | Freeze | Answer | Forget | Evaluated


class Ran(Struct, frozen=True, tag=True, kw_only=True):
    """Report: the start (or stop) that the record of this generation asked of this node has ended."""

    service: ServiceName
    generation: int
    start: bool
    ok: bool
    text: str = ""


class Failed(Struct, frozen=True, tag=True, kw_only=True):
    """Report: a status check of the started service failed."""

    service: ServiceName
    generation: int
    text: str = ""


class Gone(Struct, frozen=True, tag=True, kw_only=True):
    """Report: nothing of this service runs on this node, though the record of this generation says so."""

    service: ServiceName
    generation: int
    text: str = ""


class Cleared(Struct, frozen=True, tag=True, kw_only=True):
    """Report: nothing of this service runs on this node (any more), as the record of this generation wants it."""

    service: ServiceName
    generation: int


class Stuck(Struct, frozen=True, tag=True, kw_only=True):
    """Report: a part of this service may run on this node, where it should not, and could not be stopped."""

    service: ServiceName
    generation: int
    text: str = ""


ServiceFact = Ran | Failed | Gone | Cleared | Stuck
