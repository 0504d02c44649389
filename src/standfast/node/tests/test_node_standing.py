"""How a node stands, in words: from its start to the end of its services, each state reached by the real state machine."""

from collections.abc import Callable

from standfast.cluster import participant as core
from standfast.cluster.effect import Effect, KeepEpoch, Send, TakeInventory
from standfast.cluster.participant import (
    Delivered,
    EpochStored,
    Event,
    Participant,
    QuorumSeen,
    StockTaken,
    Viewed,
    Woke,
    WorkEnded,
)
from standfast.cluster.session import Identity
from standfast.conf.load import load
from standfast.membership.view import View
from standfast.node.standing import may_run, standing, takes_part
from standfast.services.work import StartService
from standfast.terms import BootId, Incarnation, NodeId, ServiceName

ME = NodeId(1)
CONF = """<cluster name="c" config_version="1"><clusternodes><clusternode name="a" nodeid="1"/></clusternodes>
<rm><service name="web"><script name="http" file="/etc/init.d/http"/></service></rm></cluster>"""
WEB = ServiceName("service:web")


class Life:
    """One node that is a quorate cluster by itself, in a time that stands still; what it sends comes back at once."""

    def __init__(self, conf: str = CONF) -> None:
        config = load("cluster.conf", conf.encode()).cluster
        assert config is not None
        me = Identity(cluster="c", nodeid=ME, name="a", incarnation=Incarnation("i"), boot_id=BootId("boot"))
        self.node: Participant = core.create(me, config, conf)
        self.waiting: list[Effect] = []

    def take(self, event: Event, until: Callable[[Effect], bool] = lambda _: False) -> None:
        """Take an event in and all that follows from it; effects that `until` picks are kept and not done."""
        events = [event]
        while events:
            self.node, effects = core.step(self.node, events.pop(0), 0, 0)
            for effect in effects:
                if until(effect):
                    self.waiting.append(effect)
                elif isinstance(effect, Send):
                    events.append(Delivered(ME, effect.entry))
                elif isinstance(effect, KeepEpoch):
                    events.append(EpochStored(epoch=effect.epoch, ok=True))
                elif isinstance(effect, TakeInventory):
                    events.append(StockTaken())
                elif isinstance(effect, StartService):
                    events.append(WorkEnded(service=effect.service, ok=True))

    def enter(self, *, quorate: bool, until: Callable[[Effect], bool] = lambda _: False) -> None:
        """Enter a first view."""
        self.take(Viewed(View(view_id=1, members=(ME,), joined=(ME,), left=(), hosts=(ME,))))
        self.take(QuorumSeen(1, quorate), until)


def test_daemon_that_has_no_engine_yet_says_so() -> None:
    assert standing(Life().node) == "waiting for the cluster engine"


def test_daemon_without_quorum_waits_for_it() -> None:
    life = Life()
    life.enter(quorate=False)
    assert standing(life.node) == "waiting for quorum"
    assert not takes_part(life.node)


def test_daemon_that_waits_for_the_state_says_so() -> None:
    life = Life()
    life.enter(quorate=True, until=lambda effect: isinstance(effect, Send))
    assert standing(life.node) == "waiting for the state of the cluster"


def test_daemon_that_looks_what_runs_says_so_and_does_not_know_yet() -> None:
    life = Life()
    life.enter(quorate=True, until=lambda effect: isinstance(effect, TakeInventory))
    assert standing(life.node) == "looking what runs here"
    assert [may_run(life.node, found) for found in (True, False)] == [True, False]


def test_synced_node_counts_its_services() -> None:
    life = Life()
    life.enter(quorate=True)
    assert standing(life.node) == "synced, 1 service here"
    assert (takes_part(life.node), may_run(life.node, False)) == (True, True)


def test_node_that_loses_its_quorum_says_that_it_stops() -> None:
    life = Life()
    life.enter(quorate=True)
    life.take(QuorumSeen(1, False))
    assert standing(life.node) == "waiting for quorum; stopping 1 service"
    assert (takes_part(life.node), may_run(life.node, False)) == (False, True)


def test_node_that_has_stopped_everything_is_safe() -> None:
    life = Life()
    life.enter(quorate=True)
    life.take(QuorumSeen(1, False))
    life.take(WorkEnded(service=WEB, ok=True))
    assert (standing(life.node), may_run(life.node, True)) == ("waiting for quorum", False)


def test_service_that_could_not_be_stopped_may_still_run() -> None:
    life = Life()
    life.enter(quorate=True)
    life.take(QuorumSeen(1, False))
    life.take(WorkEnded(service=WEB, ok=False, text="stuck"))
    assert may_run(life.node, False)


def test_node_that_stood_still_waits_for_what_it_missed() -> None:
    life = Life()
    life.enter(quorate=True)
    life.take(Woke(5000), until=lambda effect: isinstance(effect, Send))
    assert standing(life.node) == "waiting for what it missed while it stood still"
    assert not takes_part(life.node)


def test_node_that_waits_for_fencing_names_the_victims() -> None:
    life = Life(
        CONF.replace("</clusternodes>", '<clusternode name="b" nodeid="2" votes="0"/></clusternodes>')
    )
    life.enter(quorate=True)
    assert standing(life.node) == "synced, no services here; waiting for the fencing of b"
