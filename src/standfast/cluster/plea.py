"""What operators ask about votes ("cman_tool expected", "cman_tool votes"), and when it is refused.

Pure. Expected votes may be asked, and are decided, in a part without quorum, too: that is how an operator vouches for the
nodes that are not there. Source: spec membership, sections 5.1 and 5.2.
"""

from typing import assert_never

from standfast.cluster.entry import SetExpected, SetVotes
from standfast.cluster.state import ExpectedRequest, QuorumRequest, VotesRequest
from standfast.membership.quorum import Ballot, Expected, Present, VotesSet, step
from standfast.services.proposal import Answer
from standfast.terms import NodeId
from standfast.wire.control import Code


def judge(
    ballot: Ballot, members: tuple[NodeId, ...], plea: QuorumRequest
) -> SetExpected | SetVotes | Answer:
    """Return what becomes of a request: it is carried out, or refused where the members would have no quorum with it."""
    proposal = _proposal(members, plea)
    after = ballot_after(ballot, proposal)
    if after.quorate:
        return proposal
    text = f"the quorum would be {after.quorum} votes, and the members have {after.total}"
    return Answer(request=plea.id, code=Code.INVALID, because=text, text=text)


def ballot_after(ballot: Ballot, proposal: SetExpected | SetVotes) -> Ballot:
    """Return the ballot in which the proposal is carried out."""
    present = step(ballot, Present(proposal.members))
    match proposal:
        case SetExpected():
            return step(present, Expected(proposal.by, proposal.votes))
        case SetVotes():
            return step(present, VotesSet(proposal.nodeid, proposal.votes))
        case _:
            assert_never(proposal)


def _proposal(members: tuple[NodeId, ...], plea: QuorumRequest) -> SetExpected | SetVotes:
    match plea:
        case ExpectedRequest():
            because = f"an operator expects {plea.votes} votes"
            return SetExpected(
                request=plea.id, by=plea.asked_by, votes=plea.votes, members=members, because=because
            )
        case VotesRequest():
            because = f"an operator gives the node {plea.votes} votes"
            return SetVotes(
                request=plea.id, nodeid=plea.nodeid, votes=plea.votes, members=members, because=because
            )
        case _:
            assert_never(plea)
