"""What operators asked of this node's daemon: taken in, answered when the log knows, or ended in a stated failure.

Pure. Source: design section 3, S4.
"""

from msgspec.structs import replace

from standfast.cluster.effect import AnswerRequest, Effect, Send
from standfast.cluster.entry import Request
from standfast.cluster.labour import Labour
from standfast.cluster.session import Session, has_begun
from standfast.cluster.state import ClusterState, ExpectedRequest, OperatorRequest, Outcome
from standfast.wire.control import Code


def take(labour: Labour, session: Session, request: OperatorRequest) -> tuple[Labour, list[Effect]]:
    """Take a request in, or say at once why not."""
    with_asked = replace(labour, asked=(*labour.asked, request))
    if isinstance(request, ExpectedRequest) and session.quorate is False and not session.evicted:
        view = session.view
        assert view is not None
        if not session.opened:
            return labour, [_stated_failure(request, Code.AGAIN, "the members do not know each other yet")]
        return with_asked, [Send(entry=Request(view_id=view.view_id, request=request))]
    if session.quorate is False:
        return labour, [_stated_failure(request, Code.NO_QUORUM, "this node has no quorum")]
    if not has_begun(session) or session.evicted:
        return labour, [_stated_failure(request, Code.AGAIN, "this node is not synced with the cluster yet")]
    return with_asked, []


def end_unrecorded(labour: Labour, session: Session) -> tuple[Labour, list[Effect]]:
    """Quorum is lost: end the requests that are not in the log yet: sent again later they could surprise the operator."""
    state = session.state
    recorded = set() if state is None else _recorded(state)
    lost = [r for r in labour.asked if r.id not in recorded]
    kept = tuple(r for r in labour.asked if r.id in recorded)
    effects: list[Effect] = [_stated_failure(r, Code.NO_QUORUM, "quorum was lost") for r in lost]
    return replace(labour, asked=kept), effects


def end_all(labour: Labour) -> list[Effect]:
    """This node restarts: end what was not answered yet."""
    return [_stated_failure(r, Code.AGAIN, "this node restarts") for r in labour.asked]


def answers(labour: Labour, session: Session) -> tuple[Labour, list[Effect]]:
    """Return the answers that the log knows now, each once."""
    if not labour.asked:
        return labour, []
    outcomes = {o.request: o for o in session.verdicts}
    if session.state is not None and has_begun(session):
        outcomes.update({o.request: o for o in session.state.outcomes})
    answered = [outcomes[r.id] for r in labour.asked if r.id in outcomes]
    kept = tuple(r for r in labour.asked if r.id not in outcomes)
    return replace(labour, asked=kept), [AnswerRequest(outcome=o) for o in answered]


def _recorded(state: ClusterState) -> set[str]:
    recorded = {r.id for r in state.requests} | {o.request for o in state.outcomes}
    return recorded if state.rollout is None else recorded | {state.rollout.request}


def _stated_failure(request: OperatorRequest, code: Code, text: str) -> AnswerRequest:
    reason = {Code.NO_QUORUM: "not-quorate"}.get(code, "not-synced")
    return AnswerRequest(
        outcome=Outcome(request=request.id, asked_by=request.asked_by, code=code, text=text, reason=reason)
    )
