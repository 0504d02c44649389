"""What one node is really doing: its services, its fencing attempts, the file on its disk, the requests of its operators.

Pure; local to the node, kept beside the log. The shell (or the simulator) tells what began and ended.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from standfast.cluster.effect import KeepEpoch, TakeInventory, Task, WriteConfig
from standfast.cluster.epoch import Epoch
from standfast.cluster.state import OperatorRequest
from standfast.fencing.domain import AttemptId, CancelAttempt, StartAttempt
from standfast.services.work import GiveUpWork, Phase, ServiceWork, StartService, StopService
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
    write_failed: int = 0  # the version that this failure is about
    write_again_ms: int | None = None
    epoch_kept: Epoch = Epoch()
    keeping: Epoch | None = None
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


def config_stored(labour: Labour, version: int, *, ok: bool, text: str, local_ms: int) -> Labour:
    """The configuration was written to disk, or is to be tried again after WRITE_RETRY_MS."""
    if ok:
        return replace(labour, writing=None, disk_version=version, write_failure="", write_again_ms=None)
    again = local_ms + WRITE_RETRY_MS
    return replace(
        labour, writing=None, write_failure=text or "failed", write_failed=version, write_again_ms=again
    )


def epoch_stored(labour: Labour, epoch: Epoch, *, ok: bool, local_ms: int) -> Labour:
    """The epoch was written to disk, or is to be tried again after WRITE_RETRY_MS."""
    if ok:
        return replace(labour, keeping=None, keep_again_ms=None, epoch_kept=epoch)
    return replace(labour, keeping=None, keep_again_ms=local_ms + WRITE_RETRY_MS)


def time_passed(labour: Labour, local_ms: int) -> Labour:
    """End the pauses that are over: what could not be written is to be written again."""
    if labour.write_again_ms is not None and labour.write_again_ms <= local_ms:
        labour = replace(labour, write_again_ms=None)
    if labour.keep_again_ms is not None and labour.keep_again_ms <= local_ms:
        labour = replace(labour, keep_again_ms=None)
    return labour


def begun(labour: Labour, task: Task) -> Labour:
    """Note that a task is under way, so that it is not begun twice."""
    match task:
        case StartService():
            work = replace(
                labour.service(task.service), phase=Phase.STARTING, generation=task.generation, failure=None
            )
            return with_service(labour, work)
        case StopService():
            work = replace(
                labour.service(task.service), phase=Phase.STOPPING, generation=task.generation, failure=None
            )
            return with_service(labour, work)
        case GiveUpWork():
            work = replace(labour.service(task.service), given_up=True)
            return with_service(labour, work)
        case StartAttempt():
            attempt = AttemptWork(id=(task.nodeid, task.generation, task.number))
            return with_attempt(labour, attempt)
        case CancelAttempt():
            return without_attempt(labour, (task.nodeid, task.generation, task.number))
        case TakeInventory():
            return replace(labour, inventory_asked=True)
        case WriteConfig():
            return replace(labour, writing=task.version)
        case KeepEpoch():
            return replace(labour, keeping=task.epoch)
        case _:
            assert_never(task)
