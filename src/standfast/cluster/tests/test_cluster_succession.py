"""Whoever fails, at whatever point of whatever is under way: somebody goes on, and who asked is answered once.

Five nodes: 1 is the coordinator, an operator asks on node 2, the service runs on node 3 and can go to 4 and 5.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.cluster.tests.cluster_story import ClusterStory
from standfast.cluster.tests.story_machine import RUNNING
from standfast.services.record import ServiceState
from standfast.terms import NodeId, ServiceName

WEB = ServiceName("web")
SETTING = """
nodes 1 2 3 4 5
service web
begin
ask -r web by=1 on=3
slowly
"""
REQUESTS = (
    "ask -r web by=2 on=4",
    "ask -R web by=2",
    "ask -d web by=2",
    "leave 2",
    "update by=2 version=2 change=web",
    "override 5 by=2",
)
FAILURES = (
    "dies N",
    "dies N lost=N",
    "daemon N dies",
    "freezes N",
    "freezes N unnoticed",
    "cut N OTHERS",
    "cut N OTHERS lost=N",
)
ROLES = {"coordinator": 1, "asking node": 2, "owner": 3, "target": 4}


def under_way(request: str, reads: int) -> ClusterStory:
    """A cluster that has read so many entries of what a request leads to, one node after the other."""
    story = ClusterStory()
    for command in SETTING.strip().split("\n"):
        story.tell(command)
    story.tell(request)
    for k in range(reads):
        if NodeId(k % 5 + 1) in story.world.network.lines:
            story.tell(f"reads {k % 5 + 1} 1")
    return story


def failed(story: ClusterStory, failure: str, nodeid: int) -> ClusterStory:
    """One node fails, the others go on; later it comes back, if it can."""
    machine = story.world.machines[NodeId(nodeid)]
    if machine.daemon is None:
        return story  # it has left meanwhile
    others = ",".join(str(n) for n in range(1, 6) if n != nodeid)
    story.tell(failure.replace("N", str(nodeid)).replace("OTHERS", others))
    story.tell("settle")
    story.tell("heal")
    if machine.frozen_at_ms is not None:
        story.tell("time 2000")
        story.tell(f"thaws {nodeid}")
    story.tell("settle")
    if machine.daemon is None:
        story.tell(f"{'boots' if not machine.truth else 'daemon'} {nodeid}{' starts' * bool(machine.truth)}")
    story.tell("settle")
    story.tell("time 70000")
    story.tell("settle")
    return story


def owners(story: ClusterStory) -> list[NodeId]:
    """Where the service really runs."""
    return [n for n, m in sorted(story.world.machines.items()) if m.truth.get(WEB) == RUNNING]


def states(story: ClusterStory) -> set[ServiceState]:
    """What the nodes know of the service."""
    daemons = [m.daemon for m in story.world.machines.values()]
    known = [d.session.state.service(WEB) for d in daemons if d is not None and d.session.state is not None]
    return {record.state for record in known if record is not None}


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("role", ROLES)
@settings(max_examples=12)
@given(st.sampled_from(FAILURES), st.integers(0, 70))
def test_request_is_answered_once_and_the_service_has_one_owner_whoever_fails(
    request_: str, role: str, failure: str, reads: int
) -> None:
    story = failed(under_way(request_, reads), failure, ROLES[role])
    assert story.world.open_requests == {}
    assert states(story) in ({ServiceState.STARTED}, {ServiceState.DISABLED})
    assert len(owners(story)) == (1 if states(story) == {ServiceState.STARTED} else 0)


@pytest.mark.parametrize("request_", REQUESTS)
def test_request_is_answered_once_when_nobody_fails(request_: str) -> None:
    story = under_way(request_, 0)
    story.tell("settle")
    assert story.world.open_requests == {}


@settings(max_examples=25)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_three_coordinators_die_one_after_the_other_and_the_request_is_still_carried_out(
    first: int, second: int, third: int
) -> None:
    story = under_way("ask -d web by=5", first)
    story.tell("dies 1")
    for k in range(second):
        story.tell(f"reads {k % 4 + 2} 1")
    story.tell("settle")
    story.tell("boots 1")
    for k in range(third):
        story.tell(f"reads {k % 5 + 1} 1")
    story.tell("dies 2")
    story.tell("settle")
    story.tell("dies 1")
    story.tell("settle")
    assert story.world.open_requests == {}
    assert states(story) == {ServiceState.DISABLED}
    assert owners(story) == []
