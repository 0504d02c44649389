"""What may run on a node whose daemon is away: also what it began by an entry that nobody else has read."""

from msgspec.structs import replace

from standfast.cluster.entry import BeginEpoch, Inventory, Joiner
from standfast.cluster.membership import admit, begin_epoch, form, take_inventory
from standfast.cluster.state import ClusterState, Member, MemberStatus
from standfast.conf.model import Cluster, ClusterNode, ResourceElement, ResourceManager, Service
from standfast.membership.quorum import Ballot
from standfast.membership.votes import vote_table
from standfast.services.record import ServiceRecord, ServiceState
from standfast.terms import BootId, Incarnation, NodeId, ServiceName

ALL = tuple(NodeId(n) for n in (1, 2, 3))
TWO = NodeId(2)
WEB = ServiceName("service:web")
CLUSTER = Cluster(
    name="c",
    config_version=1,
    nodes=tuple(ClusterNode(name=f"vapp{n}", nodeid=n) for n in ALL),
    rm=ResourceManager(services=(Service(name=WEB, element=ResourceElement(type="service")),)),
)


def running(**changes: object) -> ClusterState:
    """All three take part; the service is as the changes say."""
    state = form(
        CLUSTER,
        "",
        epoch=1,
        by=ALL[0],
        view_id=1,
        present=frozenset(ALL),
        ballot=Ballot(table=vote_table(CLUSTER)),
        wall_s=0,
    )
    members = tuple(
        Member(
            nodeid=n,
            incarnation=Incarnation(f"life-{n}"),
            boot_id=BootId(f"boot-{n}"),
            status=MemberStatus.ONLINE,
        )
        for n in ALL
    )
    service = replace(state.services[0], may_run_on=(), **changes)
    return replace(state, members=members, services=(service,))


def without_two(state: ClusterState) -> ClusterState:
    """The daemon of node 2 is gone, and its machine is there."""
    begin = BeginEpoch(synced=(ALL[0], ALL[2]), hosts=ALL, because="view 2")
    return begin_epoch(state, begin, ALL[0], 2)


def with_arbiter(state: ClusterState) -> ClusterState:
    """The same, where a quorum device decides between the parts."""
    return replace(state, ballot=replace(state.ballot, table=replace(state.ballot.table, arbiter=True)))


def without_two_and_three(state: ClusterState) -> ClusterState:
    """Node 3 is lost, then node 2."""
    state = begin_epoch(state, BeginEpoch(synced=ALL[:2], hosts=ALL[:2], because="view 2"), ALL[0], 2)
    return begin_epoch(state, BeginEpoch(synced=ALL[:1], hosts=ALL[:1], because="view 3"), ALL[0], 3)


def web(state: ClusterState) -> ServiceRecord:
    return state.services[0]


def test_stopped_service_may_run_where_a_daemon_is_away() -> None:
    assert web(without_two(running())).may_run_on == (TWO,)


def test_service_that_runs_elsewhere_cannot_have_been_begun_there() -> None:
    state = running(state=ServiceState.STARTED, owner=ALL[0])
    assert TWO not in web(without_two(state)).may_run_on


def test_daemon_that_returns_without_the_service_ends_the_doubt() -> None:
    state = without_two(running())
    joiner = Joiner(nodeid=TWO, incarnation=Incarnation("life-4"), boot_id=BootId("boot-2"), protocol=1)
    state = take_inventory(admit(state, joiner, 0), TWO, Inventory(incarnation=Incarnation("life-4")))
    assert web(state).may_run_on == ()


def test_daemon_that_returns_with_the_service_owns_it() -> None:
    state = without_two(running())
    joiner = Joiner(nodeid=TWO, incarnation=Incarnation("life-4"), boot_id=BootId("boot-2"), protocol=1)
    inventory = Inventory(incarnation=Incarnation("life-4"), running=(WEB,))
    state = take_inventory(admit(state, joiner, 0), TWO, inventory)
    assert (web(state).state, web(state).owner) == (ServiceState.STARTED, TWO)


def test_owner_that_was_lost_after_another_node_has_not_given_its_service_to_that_one() -> None:
    state = without_two_and_three(running(state=ServiceState.STARTED, owner=TWO))
    assert ALL[2] not in web(state).may_run_on


def test_with_an_arbiter_a_lost_owner_may_have_given_its_service_to_a_node_lost_before_it() -> None:
    state = without_two_and_three(with_arbiter(running(state=ServiceState.STARTED, owner=TWO)))
    assert ALL[2] in web(state).may_run_on


def test_with_an_arbiter_it_may_have_given_it_to_one_that_is_lost_with_it() -> None:
    state = with_arbiter(running(state=ServiceState.STARTED, owner=TWO))
    state = begin_epoch(state, BeginEpoch(synced=ALL[:1], hosts=ALL[:1], because="view 2"), ALL[0], 2)
    assert {TWO, ALL[2]} <= set(web(state).may_run_on)
