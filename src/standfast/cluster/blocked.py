"""A view in which nothing is decided for want of quorum, but how many votes operators expect ("cman_tool expected").

Pure. The node that would decide with quorum, or make the first state, judges their requests; all members of the view fold
what it says at the same place of the log. Source: spec membership, section 5.1; 3.4, first row.
"""

from msgspec.structs import replace

from standfast.cluster.entry import Decision, Entry, Request, SetExpected, SetVotes
from standfast.cluster.opening import founder
from standfast.cluster.plea import ballot_after, judge
from standfast.cluster.session import Session, ballot_of, cluster_now_ms, has_begun
from standfast.cluster.state import ExpectedRequest, Outcome
from standfast.membership.quorum import Present, step
from standfast.services.proposal import Answer
from standfast.terms import NodeId
from standfast.wire.control import Code


def hear(session: Session, sender: NodeId, entry: Entry) -> Session:
    """Take in what an entry, that the session itself was given before, says about votes in a view without decisions."""
    view = session.view
    assert view is not None
    match entry:
        case Request(view_id=view_id, request=request) if (
            isinstance(request, ExpectedRequest) and view_id == view.view_id and _is_blocked(session)
        ):
            if any(plea.id == request.id for plea in session.pleas):
                return session
            return replace(session, pleas=(*session.pleas, request))
        case Decision(view_id=view_id) if (
            session.pleas and view_id == view.view_id and sender == _judge(session)
        ):
            return _fold(session, sender, entry)
        case _:
            return session


def ruling(session: Session, local_ms: int, wall_s: int) -> Decision | None:
    """Return the decision about the first request, where it is for this node to make it."""
    view = session.view
    if view is None or not session.pleas or session.deciding or session.quorate is not False:
        return None
    if not _is_blocked(session) or session.evicted or session.me.nodeid != _judge(session):
        return None
    return Decision(
        view_id=view.view_id,
        now_ms=0 if session.state is None else cluster_now_ms(session, local_ms),
        wall_s=wall_s,
        proposals=(judge(ballot_of(session), view.members, session.pleas[0]),),
    )


def is_gap(session: Session) -> bool:
    """Whether a node has just left for good, and the others are quorate by what the log says since.

    An engine that counts by itself (corosync) may be told of it only after the node has gone.
    """
    state, view = session.state, session.view
    if state is None or view is None or has_begun(session):
        return False
    gone = [n for n in state.ballot.leaving if n not in view.members]
    return bool(gone) and step(state.ballot, Present(view.members)).quorate


def _is_blocked(session: Session) -> bool:
    return session.opened and not has_begun(session)


def _judge(session: Session) -> NodeId | None:
    return min(session.synced) if session.synced else founder(session)


def _fold(session: Session, sender: NodeId, decision: Decision) -> Session:
    for proposal in decision.proposals:
        if not isinstance(proposal, SetExpected | SetVotes | Answer):
            continue
        plea = next((p for p in session.pleas if p.id == proposal.request), None)
        if plea is None:
            continue
        if isinstance(proposal, Answer):
            verdict = Outcome(request=plea.id, asked_by=plea.asked_by, code=proposal.code, text=proposal.text)
        else:
            verdict = Outcome(request=plea.id, asked_by=plea.asked_by, code=Code.SUCCESS)
            if session.state is None and not session.synced:
                session = replace(session, provisional=ballot_after(ballot_of(session), proposal))
        session = replace(
            session,
            pleas=tuple(p for p in session.pleas if p.id != plea.id),
            verdicts=(*session.verdicts, verdict),
        )
    return replace(session, deciding=session.deciding and sender != session.me.nodeid)
