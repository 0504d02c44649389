"""What comes late, twice, or from somebody who has no say: `apply` counts it as an entry and changes nothing else."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from standfast.cluster import apply as folding
from standfast.cluster.entry import (
    ActivateConfig,
    BeginEpoch,
    BeginHalt,
    ConfigWritten,
    Decision,
    DeclareVictim,
    EpochKept,
    Evict,
    Fact,
    FinishRollout,
    Inventory,
    Kill,
    Observation,
    Override,
    Proposal,
    RejectConfig,
    RemoveVotes,
    Request,
    Vacant,
)
from standfast.cluster.epoch import Epoch
from standfast.cluster.state import ClusterState, ConfigRequest, MemberStatus
from standfast.cluster.tests.cluster_story import ClusterStory
from standfast.cluster.tests.story_configs import plain_node
from standfast.fencing.domain import BeginFencing
from standfast.services.proposal import Answer, Forget, Freeze, Gone, Ran, ServiceRequest, Settle, Start, Stop
from standfast.services.record import Goal, Intent
from standfast.terms import Incarnation, NodeId, ServiceName
from standfast.wire.control import Code, Operation

ONE, TWO, THREE = NodeId(1), NodeId(2), NodeId(3)
WEB = ServiceName("web")
LIFE = {n: Incarnation(f"life-{n}-1") for n in (ONE, TWO, THREE)}


def state_after(*commands: str) -> ClusterState:
    """What node 1 knows after a story."""
    story = ClusterStory()
    for command in ("nodes 1 2 3", "service web", "begin", *commands):
        story.tell(command)
    daemon = story.world.machines[ONE].daemon
    assert daemon is not None
    assert daemon.session.state is not None
    return daemon.session.state


def decided(state: ClusterState, *proposals: Proposal) -> ClusterState:
    """The state after the coordinator decided so, at the same time."""
    decision = Decision(
        view_id=state.begun_view, now_ms=state.now_ms, wall_s=state.wall_s, proposals=proposals
    )
    return folding.apply_decision(state, decision, ONE)


def observed(state: ClusterState, fact: Fact, sender: NodeId = ONE) -> ClusterState:
    """The state after a node saw something."""
    seen = Observation(incarnation=LIFE[sender], fact=fact)
    return folding.apply_observation(state, seen, sender)


def one_later(state: ClusterState) -> ClusterState:
    return replace(state, index=state.index + 1)


def started() -> ClusterState:
    return state_after()


def generation(state: ClusterState) -> int:
    record = state.service(WEB)
    assert record is not None
    return record.generation


INTENT = Intent(goal=Goal.STOP)
STALE: dict[str, Callable[[int], Proposal]] = {
    "a start": lambda g: Start(service=WEB, generation=g, owner=TWO, intent=INTENT, because=""),
    "a stop": lambda g: Stop(service=WEB, generation=g, intent=INTENT, because="", superseded="r9"),
    "an end": lambda g: Settle(service=WEB, generation=g, because="", request="r9", superseded="r8"),
    "a freeze": lambda g: Freeze(service=WEB, generation=g, frozen=True, request="r9", because=""),
    "a removal": lambda g: Forget(service=WEB, generation=g, because=""),
}


@pytest.mark.parametrize("what", STALE)
@pytest.mark.parametrize("off", [-1, 1])
def test_decision_for_another_generation_of_a_service_changes_nothing(what: str, off: int) -> None:
    state = started()
    assert decided(state, STALE[what](generation(state) + off)) == one_later(state)


def test_decision_about_a_service_that_is_unknown_changes_nothing() -> None:
    state = started()
    unknown = Forget(service=ServiceName("ftp"), generation=0, because="")
    assert decided(state, unknown) == one_later(state)


@pytest.mark.parametrize(
    "proposal",
    [
        Answer(request="r9", code=Code.SUCCESS, because=""),
        RejectConfig(request="r9", reason="lost-race", because=""),
        ActivateConfig(request="r9", because=""),
        FinishRollout(version=1, because=""),
        Override(request="r9", victim=TWO, because=""),
        DeclareVictim(nodeid=TWO, incarnation=LIFE[TWO], because=""),
        DeclareVictim(nodeid=NodeId(9), incarnation=LIFE[TWO], because=""),
        Evict(nodeid=TWO, incarnation=LIFE[TWO], because=""),
        BeginFencing(nodeid=TWO, generation=1, number=1, by=ONE, because=""),
        BeginEpoch(synced=(ONE,), hosts=(ONE,), because=""),
        BeginHalt(request="r9", because=""),
        RemoveVotes(nodeid=TWO, because=""),
        RemoveVotes(nodeid=NodeId(9), because=""),
        Kill(request="r9", nodeid=TWO, incarnation=Incarnation("life-2-0"), because=""),
    ],
    ids=lambda p: type(p).__name__,
)
def test_decision_about_what_is_over_changes_nothing(proposal: Proposal) -> None:
    state = started()
    assert decided(state, proposal) == one_later(state)


def test_daemon_that_came_back_with_another_life_is_not_declared_a_victim() -> None:
    state = state_after("daemon 3 dies")
    assert state.member(THREE) is not None
    declared = DeclareVictim(nodeid=THREE, incarnation=Incarnation("life-3-0"), because="")
    assert decided(state, declared) == one_later(state)


@pytest.mark.parametrize(
    "fact",
    [
        Ran(service=WEB, generation=0, start=True, ok=True),
        Gone(service=WEB, generation=0),
        Gone(service=ServiceName("ftp"), generation=0),
        ConfigWritten(version=1, ok=True),
        EpochKept(epoch=Epoch(number=1, view=1)),
        EpochKept(epoch=Epoch(number=1, view=2)),
        Vacant(),
    ],
    ids=lambda f: type(f).__name__,
)
def test_report_about_what_is_over_changes_nothing(fact: Fact) -> None:
    state = started()
    assert observed(state, fact) == one_later(state)


@pytest.mark.parametrize("sender", [TWO, NodeId(9)])
def test_report_of_another_life_or_of_a_stranger_changes_nothing(sender: NodeId) -> None:
    state = started()
    seen = Observation(
        incarnation=Incarnation("life-2-0"), fact=Gone(service=WEB, generation=generation(state))
    )
    assert folding.apply_observation(state, seen, sender) == one_later(state)


def test_report_of_a_daemon_that_is_away_changes_nothing() -> None:
    state = state_after("ask -r web by=1 on=3", "daemon 3 dies")
    assert [m.status for m in state.members if m.nodeid == THREE] == [MemberStatus.AWAY]
    assert observed(state, Gone(service=WEB, generation=generation(state)), THREE) == one_later(state)


@pytest.mark.parametrize("life", ["life-2-0", "life-2-1"])
def test_second_inventory_or_that_of_another_life_changes_nothing(life: str) -> None:
    state = started()
    inventory = Inventory(incarnation=Incarnation(life), running=(WEB,))
    assert folding.apply_inventory(state, inventory, TWO) == one_later(state)


def test_request_that_is_known_or_answered_is_no_news() -> None:
    state = state_after("ask -Z web by=2")
    ask = ServiceRequest(id="r1", operation=Operation.FREEZE, service=WEB, asked_by=TWO)
    answered = folding.apply_request(state, Request(view_id=state.begun_view, request=ask))
    assert answered == one_later(state)
    fresh = Request(view_id=state.begun_view, request=replace(ask, id="r2"))
    once = folding.apply_request(state, fresh)
    assert [r.id for r in once.requests] == ["r2"]
    assert folding.apply_request(once, fresh) == one_later(once)


def proposed(state: ClusterState, version: int) -> ClusterState:
    """The state with an update in it that nobody has decided yet."""
    cluster = replace(
        state.config, config_version=version, nodes=(*state.config.nodes, plain_node(NodeId(4)))
    )
    request = ConfigRequest(id=f"u{version}", asked_by=ONE, document="", cluster=cluster)
    return folding.apply_request(state, Request(view_id=state.begun_view, request=request))


def test_update_that_is_not_newer_is_not_activated_even_if_it_was_decided() -> None:
    state = proposed(started(), 1)
    assert decided(state, ActivateConfig(request="u1", because="")) == one_later(state)


def test_update_is_not_activated_while_another_one_is_written() -> None:
    state = decided(proposed(started(), 2), ActivateConfig(request="u2", because=""))
    assert state.config.config_version == 2
    state = proposed(state, 3)
    assert decided(state, ActivateConfig(request="u3", because="")) == one_later(state)


def test_update_does_not_end_before_everybody_has_answered() -> None:
    state = decided(proposed(started(), 2), ActivateConfig(request="u2", because=""))
    assert decided(state, FinishRollout(version=2, because="")) == one_later(state)
    assert decided(state, FinishRollout(version=3, because="")) == one_later(state)


def test_member_that_wrote_an_update_is_not_heard_again() -> None:
    state = decided(proposed(started(), 2), ActivateConfig(request="u2", because=""))
    state = observed(state, ConfigWritten(version=2, ok=True))
    assert observed(state, ConfigWritten(version=2, ok=False, text="full")) == one_later(state)
