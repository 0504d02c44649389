import pytest
from msgspec.structs import replace

from standfast.cluster import log
from standfast.cluster.apply import apply_decision
from standfast.cluster.decide import Outlook, decide
from standfast.cluster.entry import Decision, Entry, Hello, Joiner, Proposal, Resync, Snapshot
from standfast.cluster.epoch import Epoch
from standfast.cluster.membership import form
from standfast.cluster.opening import founding
from standfast.cluster.session import Identity, Session, forget_state, greeting
from standfast.cluster.state import ClusterState, Member, MemberStatus
from standfast.conf.messaging import Messaging, QuorumDevice
from standfast.conf.model import Cluster, ClusterNode
from standfast.fencing.domain import BeginFencing, add_victim
from standfast.membership.quorum import Ballot
from standfast.membership.view import Departure, DepartureReason, View
from standfast.membership.votes import vote_table
from standfast.terms import BootId, Incarnation, NodeId

ONE, TWO, THREE = NodeId(1), NodeId(2), NodeId(3)
ALL = (ONE, TWO, THREE)
CLUSTER = Cluster(
    name="c", config_version=1, nodes=tuple(ClusterNode(name=f"vapp{n}", nodeid=n) for n in ALL)
)


def node(nodeid: NodeId) -> Session:
    me = Identity(
        cluster="c",
        nodeid=nodeid,
        name=f"vapp{nodeid}",
        incarnation=Incarnation(f"life-{nodeid}"),
        boot_id=BootId(f"boot-{nodeid}"),
    )
    return Session(me=me, config=CLUSTER, document="")


def view(view_id: int, members: tuple[NodeId, ...], joined: tuple[NodeId, ...] = ()) -> View:
    left = tuple(Departure(n, DepartureReason.NODE_DOWN) for n in ALL if n not in members)
    return View(view_id=view_id, members=members, joined=joined, left=left, hosts=members)


def entered(session: Session, *views: View) -> tuple[Session, tuple[Entry, ...]]:
    entries: tuple[Entry, ...] = ()
    for one in views:
        session, entries = log.on_view(session, one, 0)
    return session, entries


def hello(nodeid: NodeId, view_id: int) -> Hello:
    return greeting(entered(node(nodeid), view(view_id, ALL, ALL))[0])


def heard(session: Session, *entries: tuple[NodeId, Entry]) -> Session:
    for sender, entry in entries:
        session = log.on_message(session, sender, entry, 0)
    return session


def state(**changes: object) -> ClusterState:
    formed = form(
        CLUSTER,
        "",
        epoch=1,
        by=ONE,
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
    return replace(formed, **{"members": members, "begun_view": 1, **changes})


def synced(nodeid: NodeId) -> Session:
    session, _ = entered(node(nodeid), view(1, ALL, ALL))
    session = heard(session, *((n, hello(n, 1)) for n in ALL))
    return replace(session, synced=ALL, state=state(), quorate=True)


def test_hello_that_was_overtaken_by_the_next_view_is_said_again_in_it() -> None:
    session, entries = entered(node(ONE), view(1, ALL, ALL), view(2, (ONE, TWO)))

    assert [type(entry) for entry in entries] == [Hello]
    assert isinstance(entries[0], Hello)
    assert entries[0].view_id == 2
    assert not session.opened


def test_hello_that_was_heard_before_the_next_view_counts_in_it() -> None:
    session, _ = entered(node(ONE), view(1, ALL, ALL))
    session = heard(session, (ONE, hello(ONE, 1)), (TWO, hello(TWO, 1)))
    session, entries = log.on_view(session, view(2, (ONE, TWO)), 0)

    assert entries == ()
    assert session.opened


def test_nodes_whose_hellos_were_overtaken_open_the_next_view_with_the_new_ones() -> None:
    session, _ = entered(node(ONE), view(1, ALL, ALL), view(2, (ONE, TWO)))
    late = heard(session, (ONE, hello(ONE, 1)), (TWO, hello(TWO, 1)))
    again = heard(late, (ONE, replace(hello(ONE, 1), view_id=2)), (TWO, replace(hello(TWO, 1), view_id=2)))

    assert not late.opened
    assert again.opened


def test_node_that_gives_its_state_up_founds_no_second_cluster() -> None:
    session = forget_state(replace(synced(ONE), diverged="it differs"))

    assert session.synced == (TWO, THREE)
    assert founding(session, 0) is None


def test_node_that_gave_its_state_up_takes_the_others_snapshot() -> None:
    session = heard(forget_state(synced(ONE)), (ONE, Resync(view_id=1)))
    joiner = next(h for h in session.hellos if h.nodeid == ONE)
    snapshot = Snapshot(
        view_id=1,
        as_of=session.position,
        joiners=(
            Joiner(
                nodeid=ONE, incarnation=joiner.incarnation, boot_id=joiner.boot_id, protocol=joiner.protocol
            ),
        ),
        synced=(TWO, THREE),
        state=state(),
        now_ms=0,
        wall_s=0,
    )
    session = heard(session, (TWO, snapshot))

    assert session.state is not None
    assert session.synced == ALL


def test_node_that_gives_its_state_up_again_in_one_view_gets_another_snapshot() -> None:
    session = replace(synced(TWO), snapshots=(Incarnation("life-1"), Incarnation("life-3")))
    session = heard(session, (THREE, Resync(view_id=1)))

    assert session.snapshots == (Incarnation("life-1"),)


def test_resync_of_another_view_changes_nothing() -> None:
    session = replace(synced(TWO), snapshots=(Incarnation("life-3"),))
    after = heard(session, (THREE, Resync(view_id=7)))

    assert (after.synced, after.snapshots) == (session.synced, session.snapshots)


def test_of_two_ends_of_one_view_with_as_many_entries_only_one_goes_on() -> None:
    ours, theirs = state(wall_s=1), state(wall_s=2)
    later = view(2, ALL, (TWO,))
    two = greeting(entered(replace(synced(TWO), state=theirs), later)[0])
    one, _ = entered(replace(synced(ONE), state=ours), later)
    three = greeting(entered(replace(synced(THREE), state=ours), later)[0])
    session = heard(one, (ONE, greeting(one)), (TWO, two), (THREE, three))

    assert session.opened
    assert session.synced == (ONE, THREE)


def with_epochs(
    held: dict[NodeId, Epoch], remembered: dict[NodeId, Epoch], cluster: Cluster = CLUSTER
) -> Session:
    """Node 1, after a view has opened in which some hold the state of an epoch, and the others only remember one."""
    later = view(9, ALL, ALL)
    hellos = []
    for n in ALL:
        me = replace(node(n).me, epoch_seen=remembered.get(n, Epoch()))
        session = replace(node(n), me=me, config=cluster)
        if n in held:
            of = state(epoch=held[n].number, begun_view=held[n].view)
            session = replace(session, state=of, epoch_seen=held[n])
        hellos.append((n, greeting(entered(session, later)[0])))
    own = replace(node(ONE), config=cluster, state=state(epoch=held[ONE].number, begun_view=held[ONE].view))
    return heard(entered(own, later)[0], *hellos)


def test_of_two_epochs_with_one_number_the_one_of_the_later_view_goes_on() -> None:
    session = with_epochs(
        {ONE: Epoch(number=2, view=3), TWO: Epoch(number=2, view=4)}, {THREE: Epoch(number=1)}
    )

    assert session.synced == (TWO,)
    assert session.evicted == "the cluster went on without this node"


def test_epoch_is_given_up_where_a_later_one_with_its_number_is_remembered() -> None:
    later = Epoch(number=2, view=4)
    session = with_epochs({ONE: Epoch(number=2, view=3)}, {TWO: later, THREE: later})

    assert session.synced == ()
    assert session.evicted == "what the cluster knew last was lost with the nodes that knew it"


def test_epoch_with_the_higher_number_is_given_up_where_one_of_a_later_view_is_remembered() -> None:
    later = Epoch(number=2, view=8)
    session = with_epochs({ONE: Epoch(number=3, view=5)}, {TWO: later, THREE: later})

    assert session.synced == ()


def test_epoch_of_engines_that_began_anew_with_lower_ids_goes_on() -> None:
    anew = Epoch(number=3, view=1)
    session = with_epochs({ONE: Epoch(number=2, view=7), TWO: anew, THREE: anew}, {})

    assert session.synced == (TWO, THREE)
    assert session.evicted == "the cluster went on without this node"


def test_epoch_that_is_remembered_without_its_view_is_judged_by_its_number() -> None:
    held = {ONE: Epoch(number=2, view=7)}

    assert with_epochs(held, {TWO: Epoch(number=2)}).synced == (ONE,)
    assert with_epochs(held, {TWO: Epoch(number=3)}).synced == ()


@pytest.mark.parametrize("remembered", [Epoch(number=2, view=4), Epoch(number=3, view=3)])
def test_with_an_arbiter_an_epoch_is_given_up_where_a_later_one_is_remembered(remembered: Epoch) -> None:
    held = {ONE: Epoch(number=2, view=3)}

    assert with_epochs(held, {TWO: remembered}, with_arbiter(CLUSTER)).synced == ()
    assert with_epochs(held, {TWO: Epoch(number=2, view=3)}, with_arbiter(CLUSTER)).synced == (ONE,)


def test_with_an_arbiter_one_of_three_goes_on_where_nobody_else_remembers_anything() -> None:
    held = {ONE: Epoch(number=2, view=3)}

    assert with_epochs(held, {}, with_arbiter(CLUSTER)).synced == (ONE,)
    assert with_epochs(held, {}).synced == ()


def with_arbiter(cluster: Cluster) -> Cluster:
    """The same cluster, with a quorum device."""
    return replace(cluster, messaging=Messaging(device=QuorumDevice(host="qnetd")))


def founder_beside(*others: tuple[NodeId, Hello]) -> Session:
    session, _ = entered(node(ONE), view(1, (ONE, TWO), ALL))
    return replace(heard(session, (ONE, hello(ONE, 1)), *others), quorate=True)


def test_majority_that_remembers_nothing_founds_a_cluster() -> None:
    founded = founding(founder_beside((TWO, hello(TWO, 1))), 0)

    assert founded is not None
    assert [j.nodeid for j in founded.joiners] == [ONE, TWO]


def test_daemon_of_another_cluster_does_not_count_where_one_is_founded() -> None:
    stranger = replace(hello(TWO, 1), cluster="other")

    assert founding(founder_beside((TWO, stranger)), 0) is None


def test_daemon_with_another_name_does_not_count_where_one_is_founded() -> None:
    stranger = replace(hello(TWO, 1), name="vapp9")

    assert founding(founder_beside((TWO, stranger)), 0) is None


def with_victim() -> ClusterState:
    """Two of the three nodes go on; the third is a victim whose hold is over."""
    before = state(members=state().members[:2])
    domain = add_victim(
        before.fence,
        THREE,
        reason="it was lost",
        now_ms=0,
        hold_until_ms=0,
        incarnation=Incarnation("its last life"),
        boot_id=BootId("boot-3"),
    )
    return replace(before, fence=domain)


def decided(*hellos: Hello) -> tuple[Proposal, ...]:
    outlook = Outlook(view_id=1, members=ALL, hosts=ALL, synced=(ONE, TWO), hellos=hellos)
    return decide(with_victim(), outlook, ONE, 1_000)


def test_victim_that_is_not_there_is_fenced() -> None:
    assert [p.nodeid for p in decided() if isinstance(p, BeginFencing)] == [THREE]


def test_victim_that_is_just_taken_in_is_not_fenced() -> None:
    assert not any(isinstance(p, BeginFencing) for p in decided(hello(THREE, 1)))


def test_victim_that_is_told_to_restart_is_not_fenced_by_the_same_decision() -> None:
    proposals = decided(replace(hello(THREE, 1), incarnation=Incarnation("its last life")))
    decision = Decision(view_id=1, now_ms=1_000, wall_s=0, proposals=proposals)
    victim = apply_decision(with_victim(), decision, ONE).fence.victim(THREE)

    assert victim is not None
    assert (victim.evicted, victim.attempt) == (True, None)
