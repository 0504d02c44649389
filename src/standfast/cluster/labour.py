"""What one node is really doing: its services, its fencing attempts, the file on its disk, the requests of its operators.

Pure; local to the node, kept beside the log. The shell (or the simulator) tells what began and ended.
"""

from msgspec import Struct
from msgspec.structs import replace

from standfast.cluster.state import OperatorRequest
from standfast.fencing.domain import AttemptId
from standfast.services.work import Phase, ServiceWork
from standfast.terms import ServiceName

WRITE_RETRY_MS = 5_000  # pause before a configuration that could not be written is written again


class AttemptWork(Struct, frozen=True, kw_only=True):
    """One fencing attempt on this node; `fenced` is None while the agents are at work."""

    id: AttemptId
    fenced: bool | None = None
    text: str = ""


class Labour(Struct, frozen=True, kw_only=True):
    """All work of one node. `inventory` is None until the daemon has looked what runs."""

    services: tuple[ServiceWork, ...] = ()
    attempts: tuple[AttemptWork, ...] = ()
    inventory_asked: bool = False
    inventory_taken: bool = False
    disk_version: int = 0
    writing: int | None = None
    write_failure: str = ""
    write_again_ms: int | None = None
    epoch_kept: int = 0
    keeping: int | None = None
    keep_again_ms: int | None = None
    asked: tuple[OperatorRequest, ...] = ()

    def service(self, name: ServiceName) -> ServiceWork:
        """What is true of the service here; one that was never touched is stopped."""
        return next((w for w in self.services if w.name == name), ServiceWork(name=name))


def with_service(labour: Labour, work: ServiceWork) -> Labour:
    """The labour, with one service's work replaced; one that is at rest and was never begun is forgotten."""
    others = tuple(w for w in labour.services if w.name != work.name)
    return replace(labour, services=tuple(sorted((*others, work), key=lambda w: w.name)))


def with_attempt(labour: Labour, work: AttemptWork) -> Labour:
    """The labour, with one attempt replaced or added."""
    others = tuple(a for a in labour.attempts if a.id != work.id)
    return replace(labour, attempts=tuple(sorted((*others, work), key=lambda a: a.id)))


def without_attempt(labour: Labour, attempt_id: AttemptId) -> Labour:
    """The labour, without one attempt."""
    return replace(labour, attempts=tuple(a for a in labour.attempts if a.id != attempt_id))


def work_ended(labour: Labour, service: ServiceName, *, ok: bool, text: str) -> Labour:
    """A start or a stop of a service has ended (or was given up)."""
    work = labour.service(service)
    match work.phase:
        case Phase.STARTING:
            phase = Phase.RUNNING if ok else Phase.UNCLEAN
        case Phase.STOPPING:
            phase = Phase.STOPPED if ok else Phase.BROKEN
        case _:
            return labour
    return with_service(labour, replace(work, phase=phase, text=text, failure=None, given_up=False))


def check_failed(labour: Labour, service: ServiceName, text: str) -> Labour:
    """A status check of a running service failed."""
    work = labour.service(service)
    if work.phase is not Phase.RUNNING:
        return labour
    return with_service(labour, replace(work, failure=text or "failed"))


def is_idle(labour: Labour) -> bool:
    """Whether no agent of a service is at work and nothing of any service runs that could still be stopped."""
    return all(w.phase in (Phase.STOPPED, Phase.BROKEN) for w in labour.services)


def take_stock(labour: Labour, running: tuple[ServiceName, ...], broken: tuple[ServiceName, ...]) -> Labour:
    """The daemon has looked what runs on its machine."""
    for name in running:
        labour = with_service(labour, ServiceWork(name=name, phase=Phase.RUNNING))
    for name in broken:
        labour = with_service(
            labour, ServiceWork(name=name, phase=Phase.BROKEN, text="it could not be stopped")
        )
    return replace(labour, inventory_taken=True)
