"""What one node really does with each service, and what follows from comparing that with the cluster's record.

Pure; local to a node. Nothing here is believed by others until it comes back through the log.
"""

from enum import StrEnum
from typing import assert_never

from msgspec import Struct

from standfast.services.proposal import Cleared, Failed, Gone, Ran, ServiceFact, Stuck
from standfast.services.record import ServiceRecord, ServiceState
from standfast.terms import NodeId, ServiceName


class Phase(StrEnum):
    """What is true of a service on this node."""

    STOPPED = "stopped"  # nothing of it runs
    STARTING = "starting"  # agents are at work
    RUNNING = "running"
    STOPPING = "stopping"  # agents are at work
    UNCLEAN = "unclean"  # part of it may run: a start failed or was given up
    BROKEN = "broken"  # a stop failed


class ServiceWork(Struct, frozen=True, kw_only=True):
    """One service on this node. `generation` is the record's for which the last work was begun or ended.

    `failure` is a status check's result that is not yet in the record; `text` says how the last work ended.
    """

    name: ServiceName
    phase: Phase = Phase.STOPPED
    generation: int = -1
    failure: str | None = None
    text: str = ""
    given_up: bool = False  # its agents are being ended


class StartService(Struct, frozen=True, tag=True, kw_only=True):
    """Task: start the service; `definition` is the config_version whose tree is meant."""

    service: ServiceName
    generation: int


class StopService(Struct, frozen=True, tag=True, kw_only=True):
    """Task: stop everything of the service on this node."""

    service: ServiceName
    generation: int
    because: str


class GiveUpWork(Struct, frozen=True, tag=True, kw_only=True):
    """Task: end the agents that are at work for the service, and report the end of the work."""

    service: ServiceName


ServiceTask = StartService | StopService | GiveUpWork


def reconcile_service(
    record: ServiceRecord | None, work: ServiceWork, me: NodeId, *, may_start: bool, must_stop: str
) -> ServiceTask | ServiceFact | None:
    """Return the one thing to do or to report for a service on this node now, None where all is as it should be.

    `record` is None where the cluster's state is not known to this node or has no such service. `must_stop` is the reason
    why everything has to stop here (no quorum, evicted), empty where there is none.
    """
    if must_stop:
        return _stop_if_needed(work, work.generation, must_stop)
    if record is None:
        return _stop_if_needed(work, work.generation, "the cluster does not know it")
    mine = record.owner == me
    match record.state:
        case ServiceState.STARTING if mine:
            return _want_start(record, work, may_start=may_start)
        case ServiceState.STARTED if mine:
            return _want_running(record, work)
        case ServiceState.STOPPING | ServiceState.RECOVERABLE if mine:
            return _want_stop(record, work)
        case _:
            return _want_nothing(record, work, me)


def needs_care(work: ServiceWork) -> bool:
    """Whether anything of the service may run on this node."""
    return work.phase is not Phase.STOPPED


def _want_start(
    record: ServiceRecord, work: ServiceWork, *, may_start: bool
) -> ServiceTask | ServiceFact | None:
    generation = record.generation
    match work.phase:
        case Phase.RUNNING:
            return Ran(service=record.name, generation=generation, start=True, ok=True)
        case Phase.STARTING:
            return None if work.generation == generation else _give_up(work)
        case Phase.STOPPING:
            return None
        case Phase.STOPPED if work.generation == generation:
            # It was begun for this generation and then given up and stopped (no quorum meanwhile).
            return Gone(
                service=record.name, generation=generation, text=work.text or "its start was given up"
            )
        case Phase.STOPPED:
            return StartService(service=record.name, generation=generation) if may_start else None
        case Phase.UNCLEAN | Phase.BROKEN:
            return Ran(service=record.name, generation=generation, start=True, ok=False, text=work.text)
        case _:
            assert_never(work.phase)


def _want_running(record: ServiceRecord, work: ServiceWork) -> ServiceTask | ServiceFact | None:
    match work.phase:
        case Phase.STOPPED:
            return Gone(
                service=record.name, generation=record.generation, text=work.text or "it does not run"
            )
        case Phase.STARTING:
            return _give_up(work)
        case _ if record.frozen:
            return None  # a failure does not count now, so it is reported when the service is not frozen any more
        case Phase.UNCLEAN | Phase.BROKEN:
            return Failed(
                service=record.name, generation=record.generation, text=work.text or "it is unclean"
            )
        case Phase.RUNNING if work.failure is not None:
            return Failed(service=record.name, generation=record.generation, text=work.failure)
        case Phase.RUNNING | Phase.STOPPING:
            return None
        case _:
            assert_never(work.phase)


def _want_stop(record: ServiceRecord, work: ServiceWork) -> ServiceTask | ServiceFact | None:
    generation = record.generation
    match work.phase:
        case Phase.STOPPED:
            return Ran(service=record.name, generation=generation, start=False, ok=True)
        case Phase.BROKEN if work.generation == generation:
            return Ran(service=record.name, generation=generation, start=False, ok=False, text=work.text)
        case Phase.STARTING:
            return _give_up(work)
        case Phase.STOPPING:
            return None
        case Phase.RUNNING | Phase.UNCLEAN | Phase.BROKEN:
            return StopService(service=record.name, generation=generation, because=record.because)
        case _:
            assert_never(work.phase)


def _want_nothing(record: ServiceRecord, work: ServiceWork, me: NodeId) -> ServiceTask | ServiceFact | None:
    if work.phase is Phase.STOPPED:
        return Cleared(service=record.name, generation=record.generation) if me in record.may_run_on else None
    if work.phase is Phase.BROKEN:
        if record.state in (ServiceState.FAILED, ServiceState.DISABLED):
            return None  # an operator must look at it; it stays in may_run_on
        return Stuck(service=record.name, generation=record.generation, text=work.text)
    return _stop_if_needed(work, record.generation, "it is not to run here")


def _stop_if_needed(work: ServiceWork, generation: int, because: str) -> ServiceTask | None:
    match work.phase:
        case Phase.STOPPED | Phase.STOPPING | Phase.BROKEN:
            return None
        case Phase.STARTING:
            return _give_up(work)
        case Phase.RUNNING | Phase.UNCLEAN:
            return StopService(service=work.name, generation=generation, because=because)
        case _:
            assert_never(work.phase)


def _give_up(work: ServiceWork) -> GiveUpWork | None:
    return None if work.given_up else GiveUpWork(service=work.name)
