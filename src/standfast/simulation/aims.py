"""Faults that wait for a moment: a message that is sent, work that begins or has ended."""

from collections.abc import Callable

from standfast.cluster.effect import Effect, Send
from standfast.cluster.entry import Decision, Observation
from standfast.cluster.state import ClusterState
from standfast.fencing.domain import BeginFencing, StartAttempt
from standfast.services.proposal import Stop
from standfast.simulation.fault import Aimed, Moment, Whom
from standfast.terms import NodeId

_MOMENTS = {moment.value: moment for moment in Moment}


class Aims:
    """All aimed faults that have not hit yet."""

    def __init__(self, nodes: tuple[NodeId, ...]) -> None:
        self._nodes = nodes
        self._hit: Callable[[Aimed, NodeId], None] | None = None
        self.armed: list[tuple[Aimed, int]] = []  # with how many moments are still let pass

    def arm(self, aimed: Aimed, hit: Callable[[Aimed, NodeId], None]) -> None:
        """Wait for its moment from now on; `hit` is told which node it hits."""
        self._hit = hit
        self.armed.append((aimed, aimed.skip))

    def disarm(self) -> None:
        """Forget all."""
        self.armed.clear()

    def see(self, moment: Moment, actor: NodeId, subject: NodeId) -> None:
        """Something happened: hit if somebody waited for it."""
        if not self.armed:
            return
        waiting: list[tuple[Aimed, int]] = []
        due: list[Aimed] = []
        for aimed, left in self.armed:
            if aimed.moment is not moment:
                waiting.append((aimed, left))
            elif left:
                waiting.append((aimed, left - 1))
            else:
                due.append(aimed)
        self.armed = waiting
        for aimed in due:
            assert self._hit is not None
            self._hit(aimed, self._whom(aimed.whom, actor, subject))

    def see_effect(self, effect: Effect, actor: NodeId, state: ClusterState | None) -> None:
        """A daemon sends something, or begins something."""
        if not self.armed:
            return
        for thing, subject in _things(effect, actor, state):
            moment = _MOMENTS.get(type(thing).__name__)
            if moment is not None:
                self.see(moment, actor, subject)

    def _whom(self, whom: Whom, actor: NodeId, subject: NodeId) -> NodeId:
        match whom:
            case Whom.ACTOR:
                return actor
            case Whom.SUBJECT:
                return subject
            case Whom.OTHER:
                return next((n for n in self._nodes if n not in (actor, subject)), subject)


def _things(effect: Effect, actor: NodeId, state: ClusterState | None) -> list[tuple[object, NodeId]]:
    """What an effect is, and whom it is about."""
    if isinstance(effect, StartAttempt):
        return [(effect, effect.nodeid)]
    if not isinstance(effect, Send):
        return [(effect, actor)]
    entry = effect.entry
    if isinstance(entry, Observation):
        return [(entry.fact, actor)]
    if not isinstance(entry, Decision):
        return [(entry, actor)]
    return [(proposal, _subject(proposal, actor, state)) for proposal in entry.proposals]


def _subject(proposal: object, actor: NodeId, state: ClusterState | None) -> NodeId:
    if isinstance(proposal, BeginFencing):
        return proposal.by
    if isinstance(proposal, Stop) and state is not None:
        record = state.service(proposal.service)
        return actor if record is None or record.owner is None else record.owner
    owner: NodeId | None = getattr(proposal, "owner", None)
    nodeid: NodeId | None = getattr(proposal, "nodeid", None)
    return owner or nodeid or actor
