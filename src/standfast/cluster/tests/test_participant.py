"""A participant's answers to events that come at odd moments: before a view, after the end, for what is not under way."""

import pytest
from msgspec.structs import replace

from standfast.cluster import participant as core
from standfast.cluster import session as log
from standfast.cluster.effect import KeepEpoch, Send, TakeInventory
from standfast.cluster.entry import (
    Barrier,
    Decision,
    Entry,
    EpochKept,
    Hello,
    Observation,
    Open,
    Resync,
    Snapshot,
)
from standfast.cluster.epoch import Epoch
from standfast.cluster.labour import Labour, check_failed, take_stock, work_ended
from standfast.cluster.participant import Participant, create, next_wake_ms, step
from standfast.cluster.reconcile import Permission, reconcile
from standfast.cluster.session import Identity
from standfast.cluster.tests.cluster_story import ClusterStory
from standfast.cluster.tests.story_configs import plain_node, plain_service, with_services
from standfast.conf.model import Cluster
from standfast.membership.view import View
from standfast.services.work import Phase
from standfast.terms import BootId, Incarnation, NodeId, ServiceName

ONE, TWO = NodeId(1), NodeId(2)
WEB = ServiceName("web")
CLUSTER = with_services(
    Cluster(name="story", config_version=1, nodes=tuple(plain_node(NodeId(n)) for n in (1, 2, 3))),
    (plain_service("web"),),
)
ME = Identity(
    cluster="story", nodeid=ONE, name="node1", incarnation=Incarnation("life-1-1"), boot_id=BootId("boot-1-1")
)
MAY = Permission(begun=True, may_act=True, must_stop="", evicted=False)
VIEW = View(view_id=4, members=(ONE, TWO), joined=(ONE, TWO), left=(), hosts=(ONE, TWO))


def fresh() -> Participant:
    return create(ME, CLUSTER, "")


def in_view() -> Participant:
    return step(fresh(), core.Viewed(VIEW), 0, 0)[0]


def synced(*commands: str) -> Participant:
    """Node 1 of a cluster of three, after a story."""
    story = ClusterStory()
    for command in ("nodes 1 2 3", "service web", "begin", *commands):
        story.tell(command)
    daemon = story.world.machines[ONE].daemon
    assert daemon is not None
    return daemon


def read(node: Participant, sender: NodeId, entry: Entry) -> Participant:
    return step(node, core.Delivered(sender, entry), 0, 0)[0]


def hello_of(nodeid: NodeId, *, cluster: str = "story", view_id: int = 4) -> Hello:
    greeting = log.greeting(in_view().session)
    return Hello(
        view_id=view_id,
        cluster=cluster,
        nodeid=nodeid,
        name=f"node{nodeid}",
        incarnation=Incarnation(f"life-{nodeid}-1"),
        boot_id=BootId(f"boot-{nodeid}-1"),
        protocol=greeting.protocol,
        protocol_min=greeting.protocol_min,
        epoch_seen=Epoch(),
        config_version=1,
        votes=1,
        votes_total=3,
        arbiter=False,
        two_node=False,
    )


def test_stranger_that_has_ended_takes_nothing_and_wants_no_waking() -> None:
    stranger = Identity(
        cluster="other", nodeid=TWO, name="node2", incarnation=Incarnation("life-2-1"), boot_id=BootId("b")
    )
    node = step(create(stranger, CLUSTER, ""), core.Viewed(VIEW), 0, 0)[0]
    node = read(node, TWO, log.greeting(node.session))
    node = read(node, ONE, hello_of(ONE))
    assert node.ended
    assert next_wake_ms(node, 0) is None
    assert step(node, core.TimePassed(), 10, 0) == (node, ())


def test_quorum_flag_of_another_view_is_not_taken() -> None:
    assert step(fresh(), core.QuorumSeen(4, quorate=True), 0, 0) == (fresh(), ())
    node = in_view()
    assert step(node, core.QuorumSeen(3, quorate=True), 0, 0) == (node, ())


def test_end_of_an_attempt_that_nobody_makes_is_no_news() -> None:
    node = synced()
    assert step(node, core.AttemptEnded((TWO, 1, 1), fenced=True, text=""), 0, 0) == (node, ())


def test_end_of_work_that_is_not_under_way_is_no_news() -> None:
    rests = take_stock(Labour(), (WEB,), ())
    assert work_ended(rests, WEB, ok=False, text="late") == rests
    assert work_ended(Labour(), WEB, ok=True, text="late") == Labour()


def test_failed_check_of_what_does_not_run_is_no_news() -> None:
    assert check_failed(Labour(), WEB, "late") == Labour()
    failing = check_failed(take_stock(Labour(), (WEB,), ()), WEB, "")
    assert failing.service(WEB).failure == "failed"
    assert failing.service(WEB).phase is Phase.RUNNING


def test_node_that_the_state_does_not_count_as_a_member_in_this_life_does_nothing() -> None:
    node = synced()
    state = node.session.state
    me = Identity(
        cluster="story", nodeid=ONE, name="node1", incarnation=Incarnation("other"), boot_id=BootId("b")
    )
    wanted = reconcile(state, me, node.labour, MAY)
    assert (wanted.tasks, wanted.entries) == ((), ())


@pytest.mark.parametrize(
    "kept", [Epoch(), Epoch(number=1), Epoch(number=9, view=2), Epoch(number=1, view=99)]
)
def test_node_whose_disk_has_another_epoch_writes_that_of_the_state_and_does_not_say_that_it_is_kept(
    kept: Epoch,
) -> None:
    node = synced()
    state = node.session.state
    assert state is not None
    wanted = reconcile(replace(state, kept=()), node.session.me, replace(node.labour, epoch_kept=kept), MAY)
    assert wanted.tasks == (KeepEpoch(epoch=Epoch(number=state.epoch, view=state.begun_view)),)
    assert wanted.entries == ()


def test_node_whose_disk_has_the_epoch_of_the_state_says_that_it_is_kept() -> None:
    node = synced()
    state = node.session.state
    assert state is not None
    wanted = reconcile(replace(state, kept=()), node.session.me, node.labour, MAY)
    kept = EpochKept(epoch=Epoch(number=1, view=state.begun_view))
    assert wanted.tasks == ()
    assert wanted.entries == (Observation(incarnation=node.session.me.incarnation, fact=kept),)


def test_node_that_has_to_stop_everything_looks_once_what_runs() -> None:
    stop = Permission(begun=False, may_act=False, must_stop="no quorum", evicted=False)
    assert reconcile(None, ME, Labour(), stop).tasks == (TakeInventory(),)
    assert reconcile(None, ME, Labour(inventory_asked=True), stop).tasks == ()


def snapshot_of(node: Participant, view_id: int) -> Snapshot:
    state = node.session.state
    assert state is not None
    return Snapshot(view_id=view_id, as_of=0, joiners=(), synced=(ONE,), state=state, now_ms=0, wall_s=0)


def test_snapshot_of_another_view_or_before_the_opening_or_of_nobody_who_may_send_it_is_not_taken() -> None:
    snapshot = snapshot_of(synced(), 3)
    assert read(in_view(), TWO, snapshot).session.state is None
    assert read(in_view(), TWO, snapshot_of(synced(), 4)).session.synced == ()
    opened = read(read(in_view(), ONE, log.greeting(in_view().session)), TWO, hello_of(TWO))
    assert opened.session.opened
    assert read(opened, TWO, snapshot_of(synced(), 4)).session.synced == ()


def test_open_and_resync_of_another_view_count_for_nothing() -> None:
    node = in_view()
    assert not read(node, TWO, Open(view_id=3, nodes=(ONE, TWO))).session.opened
    node = synced()
    assert read(node, TWO, Resync(view_id=99)).session.synced == node.session.synced


def test_hello_in_the_name_of_another_counts_for_nothing() -> None:
    assert read(in_view(), TWO, hello_of(ONE)).session.hellos == ()


def test_barrier_of_an_earlier_life_or_of_another_node_ends_no_wait() -> None:
    node, effects = step(in_view(), core.Woke(900), 0, 0)
    sent = [effect.entry for effect in effects if isinstance(effect, Send)]
    assert sent == [Barrier(number=1, incarnation=ME.incarnation)]
    earlier = Barrier(number=1, incarnation=Incarnation("life-1-0"))
    assert read(read(node, ONE, earlier), TWO, sent[0]).held == 1
    assert read(node, ONE, sent[0]).held == 0


def test_decision_of_somebody_who_is_not_the_coordinator_counts_for_nothing() -> None:
    node = synced()
    state = node.session.state
    assert state is not None
    decision = Decision(view_id=state.begun_view, now_ms=10**9, wall_s=0, proposals=())
    assert read(node, TWO, decision).session.state is state
    late = Decision(view_id=state.begun_view - 1, now_ms=10**9, wall_s=0, proposals=())
    assert read(node, ONE, late).session.state is state
