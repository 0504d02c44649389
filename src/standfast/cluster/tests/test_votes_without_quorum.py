"""What operators ask about votes in a view without quorum: said twice, said late, and mixed with what is not about votes."""

from standfast.cluster.entry import Decision, Entry, Request, SetExpected, Tick
from standfast.cluster.participant import Delivered, Participant, step
from standfast.cluster.state import ExpectedRequest
from standfast.cluster.tests.cluster_story import ClusterStory
from standfast.services.proposal import Answer
from standfast.terms import NodeId
from standfast.wire.control import Code

ONE = NodeId(1)


def waiting() -> tuple[Participant, Entry]:
    """A node without quorum that has read a request about votes, and that request."""
    story = ClusterStory()
    for command in ("nodes 1 2 3", "begin 1", "slowly", "expected 1 by=1", "reads 1 1"):
        story.tell(command)
    node = story.world.machines[ONE].daemon
    assert node is not None
    assert node.session.view is not None
    plea = ExpectedRequest(id="r1", asked_by=ONE, votes=1)
    assert node.session.pleas == (plea,)
    return node, Request(view_id=node.session.view.view_id, request=plea)


def read(node: Participant, entry: Entry) -> Participant:
    return step(node, Delivered(ONE, entry), 0, 0)[0]


def test_request_about_votes_that_is_read_twice_is_judged_once() -> None:
    node, request = waiting()
    assert read(node, request).session.pleas == node.session.pleas


def test_decision_about_something_else_or_another_request_changes_nothing_without_quorum() -> None:
    node, _ = waiting()
    assert node.session.view is not None
    other = SetExpected(request="r9", by=ONE, votes=1, members=(ONE,), because="")
    decision = Decision(
        view_id=node.session.view.view_id, now_ms=0, wall_s=0, proposals=(Tick(because=""), other)
    )
    after = read(node, decision)
    assert after.session.pleas == node.session.pleas
    assert after.session.provisional is None
    assert after.session.verdicts == ()


def test_refusal_that_is_read_twice_is_answered_once() -> None:
    node, _ = waiting()
    assert node.session.view is not None
    refusal = Answer(request="r1", code=Code.INVALID, because="", text="no")
    decision = Decision(view_id=node.session.view.view_id, now_ms=0, wall_s=0, proposals=(refusal,))
    once = read(node, decision)
    assert [v.request for v in once.session.verdicts] == ["r1"]
    assert read(once, decision).session.verdicts == once.session.verdicts
