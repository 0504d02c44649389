"""What must be so when the faults are over: everything runs, and all members agree.

Pure. Source: design section 3, L1 and L2.
"""

from collections.abc import Mapping

from msgspec import Struct

from standfast.cluster.decide import situation
from standfast.cluster.state import ClusterState, MemberStatus, digest
from standfast.conf.model import Recovery, Service
from standfast.services.placement import Neighbourhood, dependency_met
from standfast.services.record import ServiceRecord, ServiceState
from standfast.simulation.chronicle import Truth
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Operation


class Standing(Struct, frozen=True, kw_only=True):
    """One machine at the end. `state` is None where the daemon is not there, or is not synced in its view."""

    nodeid: NodeId
    state: ClusterState | None
    services: Mapping[ServiceName, Truth]


class Excuses(Struct, frozen=True, kw_only=True):
    """Why a service may rest: what operators asked, and which stops went wrong."""

    asked: frozenset[tuple[str, Operation]] = frozenset()
    stuck: frozenset[ServiceName] = frozenset()


def unfinished(standings: tuple[Standing, ...], excuses: Excuses) -> list[str]:
    """Return what is still not as it must be, each as a sentence that begins with the rule's name."""
    lines = [f"L2 node {s.nodeid} is not synced" for s in standings if s.state is None]
    states = [s.state for s in standings if s.state is not None]
    if lines or not states:
        return lines or ["L2 there is no machine"]
    if len({digest(state) for state in states}) > 1:
        return ["L2 the members' states differ"]
    state = states[0]
    lines.extend(
        f"L2 node {m.nodeid} is {m.status.value}"
        for m in state.members
        if m.status is not MemberStatus.ONLINE
    )
    lines.extend(f"L2 node {v.nodeid} is still a victim" for v in state.fence.victims)
    lines.extend(f"L2 request {r.id} is still open" for r in state.requests)
    if state.rollout is not None:
        lines.append(f"L2 version {state.rollout.version} is still not written everywhere")
    lines.extend(_services(state, standings, excuses))
    return lines


def _services(state: ClusterState, standings: tuple[Standing, ...], excuses: Excuses) -> list[str]:
    around = situation(state, state.now_ms).around
    lines = [f"L1 {name} has no record" for name in around.services if state.service(name) is None]
    for record in state.services:
        holders = tuple(s.nodeid for s in standings if record.name in s.services)
        astray = [n for n in holders if n != record.owner and n not in record.may_run_on]
        if astray:
            lines.append(f"L1 {record.name} is on node {astray[0]}, where nobody wants it")
        if record.state is ServiceState.STARTED:
            owner = next((s for s in standings if s.nodeid == record.owner), None)
            whole = owner is not None and owner.services.get(record.name) is Truth.WHOLE
            if not whole and not record.frozen:
                lines.append(f"L1 {record.name} is started on node {record.owner} but does not run there")
        elif not _may_rest(record, around, excuses):
            lines.append(f"L1 {record.name} is {record.state.value}: {record.because}")
    return lines


def _may_rest(record: ServiceRecord, around: Neighbourhood, excuses: Excuses) -> bool:
    """Whether there is a reason why a service that is not started need not be."""
    service = around.services.get(record.name)
    if record.name in excuses.stuck and record.state in (ServiceState.FAILED, ServiceState.DISABLED):
        return True
    if service is None:
        return False  # it is to be forgotten
    if record.state is ServiceState.DISABLED:
        asked = (record.name, Operation.DISABLE) in excuses.asked
        return asked or not service.autostart or _gives_up(service)
    if record.state is not ServiceState.STOPPED:
        return False
    if record.frozen:
        return (record.name, Operation.FREEZE) in excuses.asked
    if record.parked:
        return (record.name, Operation.STOP) in excuses.asked
    if any(other.exclusive for other in around.services.values()):
        return True  # there may be no room for it
    return not dependency_met(service, around)


def _gives_up(service: Service) -> bool:
    return service.recovery in (Recovery.DISABLE, Recovery.RESTART_DISABLE)
