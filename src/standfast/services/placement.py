"""Where a service may run and where it runs best: failover domains, exclusive services, dependencies.

Pure. Source: spec services, sections 2 and 9. Among equally good nodes the one with the fewest services is
chosen, then the lowest node id, instead of one by chance: a person can foretell it.
"""

from collections.abc import Collection, Mapping
from enum import IntEnum

from msgspec import Struct

from standfast.conf.model import FailoverDomain, Service
from standfast.services.record import ServiceRecord, ServiceState
from standfast.terms import NodeId, ServiceName

PRIORITY_NONE = 101  # a member of an ordered domain without priority comes last


class Score(IntEnum):
    """How good a node is for a service."""

    ILLEGAL = 0
    GOOD = 1
    BETTER = 2
    BEST = 3


class Neighbourhood(Struct, frozen=True):
    """What placement looks at: the nodes that can take services, their names, the domains, and all services."""

    online: tuple[NodeId, ...]
    names: Mapping[NodeId, str]
    domains: Mapping[str, FailoverDomain]
    services: Mapping[ServiceName, Service]
    records: tuple[ServiceRecord, ...]


def score(service: Service, record: ServiceRecord, nodeid: NodeId, around: Neighbourhood) -> Score:
    """Return how good a node is for a service (spec services, section 2.1)."""
    if nodeid not in around.online:
        return Score.ILLEGAL
    domain = _domain(service, around)
    if domain is None:
        return Score.BEST
    priorities = {
        n: priority
        for n in around.online
        if (priority := _priority(domain, around.names.get(n, ""))) is not None
    }
    outsider = Score.ILLEGAL if domain.restricted else Score.GOOD
    if not priorities:
        return Score.ILLEGAL if domain.restricted else Score.BEST
    if nodeid not in priorities:
        return outsider
    runs = record.state in (ServiceState.STARTING, ServiceState.STARTED)
    runs_here = runs and record.owner == nodeid
    runs_elsewhere = runs and record.owner != nodeid and record.owner in around.online
    if domain.ordered and min(priorities.values()) < priorities[nodeid]:
        return Score.BEST if domain.nofailback and runs_here else Score.BETTER
    return Score.BETTER if domain.nofailback and runs_elsewhere else Score.BEST


def candidates(
    service: Service, record: ServiceRecord, around: Neighbourhood, *, excluding: Collection[NodeId] = ()
) -> tuple[NodeId, ...]:
    """Return the online nodes that may start the service now, best first."""
    scored = [
        (nodeid, s)
        for nodeid in around.online
        if nodeid not in excluding
        and not exclusive_conflict(service, nodeid, around)
        and (s := score(service, record, nodeid, around)) > Score.ILLEGAL
    ]
    return tuple(
        nodeid
        for nodeid, _ in sorted(
            scored,
            key=lambda pair: (
                -(pair[1] + (2 if service.exclusive else 0)),
                _order(service, pair[0], around),
                _load(service, pair[0], around),
                pair[0],
            ),
        )
    )


def exclusive_conflict(service: Service, nodeid: NodeId, around: Neighbourhood) -> bool:
    """Whether the service and what runs on the node exclude each other (spec services, rules E1 and E2)."""
    for record in around.records:
        if record.name == service.name or record.owner != nodeid or record.state not in _PLACED:
            continue
        other = around.services.get(record.name)
        if service.exclusive or (other is not None and other.exclusive):
            return True
    return False


def obstacle(service: Service, record: ServiceRecord, around: Neighbourhood) -> str:
    """Return why no node can start the service now, as a sentence."""
    if any(score(service, record, n, around) > Score.ILLEGAL for n in around.online):
        return "exclusive services keep it from every node that could run it"
    if service.domain is not None and around.online:
        return f'no member of failover domain "{service.domain}" is online'
    return "no node that could run it is online"


def dependency_met(service: Service, around: Neighbourhood) -> bool:
    """Whether the service that this one depends on is started; an unknown one never is."""
    if service.depend is None:
        return True
    return any(r.name == service.depend and r.state is ServiceState.STARTED for r in around.records)


_PLACED = frozenset(
    {ServiceState.STARTING, ServiceState.STARTED, ServiceState.STOPPING, ServiceState.RECOVERABLE}
)


def _domain(service: Service, around: Neighbourhood) -> FailoverDomain | None:
    return None if service.domain is None else around.domains.get(service.domain)


def _priority(domain: FailoverDomain, name: str) -> int | None:
    """The node's priority in the domain, None for an outsider; in an unordered domain all are equal."""
    for member in domain.members:
        if member.name == name:
            if not domain.ordered:
                return 0
            return PRIORITY_NONE if member.priority is None else member.priority
    return None


def _order(service: Service, nodeid: NodeId, around: Neighbourhood) -> int:
    domain = _domain(service, around)
    priority = None if domain is None else _priority(domain, around.names.get(nodeid, ""))
    return 0 if priority is None else priority


def _load(service: Service, nodeid: NodeId, around: Neighbourhood) -> int:
    """How many other services the node has: among equally good nodes the one with the fewest is chosen."""
    return sum(
        1 for r in around.records if r.owner == nodeid and r.state in _PLACED and r.name != service.name
    )
