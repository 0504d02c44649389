"""Where services may run, against a second opinion: the tables of spec services, sections 2.1, 2.2 and 9.2, row by row."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from standfast.conf.model import DomainMember, FailoverDomain, ResourceElement, Service
from standfast.services.placement import (
    Neighbourhood,
    Score,
    candidates,
    dependency_met,
    exclusive_conflict,
    score,
)
from standfast.services.record import RUNNING_STATES, ServiceRecord, ServiceState
from standfast.terms import NodeId, ServiceName

NODES = tuple(NodeId(n) for n in range(1, 5))
WEB = ServiceName("service:web")
NAMES = {n: f"node{n}" for n in NODES}

node_sets = st.lists(st.sampled_from(NODES), unique=True).map(lambda nodes: tuple(sorted(nodes)))
members = st.lists(
    st.builds(
        DomainMember, name=st.sampled_from(list(NAMES.values())), priority=st.sampled_from((None, 1, 2, 100))
    ),
    unique_by=lambda member: member.name,
    max_size=4,
).map(tuple)
domains = st.builds(
    FailoverDomain,
    name=st.just("a"),
    ordered=st.booleans(),
    restricted=st.booleans(),
    nofailback=st.booleans(),
    members=members,
)


def service(name: ServiceName, **options: bool | str | None) -> Service:
    return replace(Service(name=name, element=ResourceElement(type="service")), **options)


def records_named(name: str) -> st.SearchStrategy[ServiceRecord]:
    """Records whose owner fits their state."""

    def made(state: ServiceState, owner: NodeId) -> ServiceRecord:
        return ServiceRecord(
            name=ServiceName(name), state=state, owner=owner if state in RUNNING_STATES else None
        )

    return st.builds(made, st.sampled_from(list(ServiceState)), st.sampled_from(NODES))


@st.composite
def neighbourhoods(draw: st.DrawFn) -> Neighbourhood:
    names = [WEB, *(ServiceName(f"service:{k}") for k in "abc")]
    services = {
        name: service(
            name, domain=draw(st.sampled_from(("a", "nowhere", None))), exclusive=draw(st.booleans())
        )
        for name in names
    }
    known = draw(st.lists(st.sampled_from(names[1:]), unique=True))  # one that is leaving the configuration
    return Neighbourhood(
        online=draw(node_sets),
        names=NAMES,
        domains={"a": draw(domains)},
        services={name: s for name, s in services.items() if name == WEB or name in known},
        records=tuple(draw(records_named(name)) for name in names),
    )


def mine(around: Neighbourhood) -> tuple[Service, ServiceRecord]:
    return around.services[WEB], around.records[0]


def priority_of(domain: FailoverDomain, nodeid: NodeId) -> int | None:
    """Rows "priority" of section 2, with the missing one last, as section 14 recommends."""
    for member in domain.members:
        if member.name == NAMES[nodeid]:
            return (member.priority or 101) if domain.ordered else 0
    return None


def score_by_the_table(around: Neighbourhood, n: NodeId) -> int:  # one return for each row of section 2.1
    s, record = mine(around)
    if n not in around.online:
        return 0
    if s.domain is None or s.domain not in around.domains:
        return 3
    domain = around.domains[s.domain]
    online_members = [m for m in around.online if priority_of(domain, m) is not None]
    if not online_members:
        return 0 if domain.restricted else 3
    own = priority_of(domain, n)
    if own is None:
        return 0 if domain.restricted else 1
    running = record.state in (ServiceState.STARTED, ServiceState.STARTING)
    if any((priority_of(domain, m) or 0) < own for m in online_members):
        stays = domain.nofailback and running and record.owner == n
        return (3 if stays else 2) if domain.ordered else 3
    elsewhere = running and record.owner != n and record.owner in around.online
    return 2 if domain.nofailback and elsewhere else 3


def conflicts(around: Neighbourhood, n: NodeId) -> bool:
    """Rules E1 and E2; a service that is being stopped still takes its node."""
    s, _ = mine(around)
    there = [r.name for r in around.records[1:] if r.owner == n and r.state in RUNNING_STATES]
    return any(s.exclusive or (o in around.services and around.services[o].exclusive) for o in there)


@given(neighbourhoods(), st.sampled_from(NODES))
def test_score_is_that_of_the_specification(around: Neighbourhood, n: NodeId) -> None:
    assert int(score(*mine(around), n, around)) == score_by_the_table(around, n)


@given(neighbourhoods(), st.sampled_from(NODES))
def test_exclusive_services_and_others_keep_apart_as_specified(around: Neighbourhood, n: NodeId) -> None:
    assert exclusive_conflict(around.services[WEB], n, around) is conflicts(around, n)


@given(neighbourhoods(), node_sets)
def test_candidates_are_the_legal_nodes_without_conflict(
    around: Neighbourhood, excluding: tuple[NodeId, ...]
) -> None:
    legal = {n for n in NODES if score_by_the_table(around, n) > 0 and not conflicts(around, n)}
    assert set(candidates(*mine(around), around, excluding=excluding)) == legal - set(excluding)


def rank(around: Neighbourhood, n: NodeId) -> tuple[int, int, int, int]:
    """Best score, then priority, then the fewest services, then the lowest id."""
    s, _ = mine(around)
    domain = None if s.domain is None else around.domains.get(s.domain)
    priority = None if domain is None else priority_of(domain, n)
    load = sum(1 for r in around.records[1:] if r.owner == n and r.state in RUNNING_STATES)
    return -score_by_the_table(around, n), priority or 0, load, n


@given(neighbourhoods())
def test_better_nodes_come_first_then_the_least_loaded_then_the_lowest_id(around: Neighbourhood) -> None:
    found = candidates(*mine(around), around)
    assert list(found) == sorted(found, key=lambda n: rank(around, n))


@given(neighbourhoods(), st.sampled_from(("service:a", "service:nothing", None)))
def test_dependency_is_met_by_a_started_service_only(around: Neighbourhood, name: str | None) -> None:
    depending = replace(around.services[WEB], depend=name)
    started = {r.name for r in around.records if r.state is ServiceState.STARTED}
    assert dependency_met(depending, around) is (name is None or name in started)


@given(neighbourhoods())
def test_restricted_service_is_never_placed_outside_its_domain(around: Neighbourhood) -> None:
    s, record = mine(around)
    domain = replace(around.domains["a"], restricted=True)
    inside = {m.name for m in domain.members}
    placed = candidates(
        replace(s, domain="a"),
        record,
        Neighbourhood(around.online, NAMES, {"a": domain}, around.services, around.records),
    )
    assert {NAMES[n] for n in placed} <= inside


def test_scores_are_those_of_the_original() -> None:
    assert [(s.name, s.value) for s in Score] == [("ILLEGAL", 0), ("GOOD", 1), ("BETTER", 2), ("BEST", 3)]
