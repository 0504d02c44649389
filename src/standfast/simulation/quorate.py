"""What a node does that cannot be quorate: nothing, soon.

Pure. Source: design section 3, S2.
"""

from collections.abc import Sequence

from standfast.simulation.chronicle import (
    Became,
    Began,
    DaemonDown,
    DaemonUp,
    Ended,
    FenceBegan,
    Folded,
    Froze,
    Heard,
    PowerOff,
    Setting,
    Step,
    Thawed,
)
from standfast.simulation.verdict import Verdict, broken, held, unknown
from standfast.terms import NodeId, ServiceName

STOP_BOUND_MS = (
    30_000  # a node that cannot be quorate has stopped its services by then: the longest simulated stop
)
NOTICE_MS = 1_500  # and by then it knows that it is not quorate


def no_quorum_no_services(history: Sequence[Step]) -> Verdict:
    """S2: a node that cannot be quorate starts and fences nothing, and soon runs nothing that could be stopped."""
    if isinstance(history[0], Setting) and (history[0].two_node or history[0].revoted):
        return held("S2")  # each half is quorate by itself, or operators say which part is
    lonely = _Lonely()
    for step in history:
        late = lonely.overdue(step.at_ms)
        if late is not None:
            return broken("S2", step.at_ms, f"node {late[0]} still runs {late[1]} without quorum")
        match step:
            case Began(start=True) | FenceBegan():
                if not lonely.is_known(step.nodeid):
                    text = f"whether node {step.nodeid} could be quorate when it began to act is not known"
                    return unknown("S2", step.at_ms, text)
                if lonely.knows_it(step.nodeid, step.at_ms):
                    what = (
                        f"starts {step.service}" if isinstance(step, Began) else f"fences node {step.victim}"
                    )
                    return broken("S2", step.at_ms, f"node {step.nodeid} {what} without quorum")
            case _:
                pass
        lonely.see(step)
    return held("S2")


class _Lonely:
    """Which nodes could do something but cannot be quorate, since when, and what runs there."""

    def __init__(self) -> None:
        self._quorate: dict[NodeId, bool] = {}
        self._up: set[NodeId] = set()
        self._frozen: set[NodeId] = set()
        self._since_ms: dict[NodeId, int] = {}
        self._running: dict[NodeId, set[ServiceName]] = {}

    def is_known(self, nodeid: NodeId) -> bool:
        return nodeid in self._quorate

    def knows_it(self, nodeid: NodeId, at_ms: int) -> bool:
        since_ms = self._since_ms.get(nodeid)
        return since_ms is not None and at_ms - since_ms > NOTICE_MS

    def overdue(self, at_ms: int) -> tuple[NodeId, ServiceName] | None:
        for nodeid, since_ms in self._since_ms.items():
            if at_ms - since_ms > STOP_BOUND_MS and self._running.get(nodeid):
                return nodeid, min(self._running[nodeid])
        return None

    def see(self, step: Step) -> None:
        match step:
            case Became():
                running = self._running.setdefault(step.nodeid, set())
                running.discard(step.service) if step.truth is None else running.add(step.service)
                return
            case Ended(start=False, ok=False):
                self._running.setdefault(step.nodeid, set()).discard(
                    step.service
                )  # it is stuck; nobody can help
                return
            case Heard():
                self._quorate[step.nodeid] = step.quorate
            case DaemonUp():
                self._up.add(step.nodeid)
            case DaemonDown():
                self._up.discard(step.nodeid)
            case Froze():
                self._frozen.add(step.nodeid)
            case Thawed():
                self._frozen.discard(step.nodeid)
            case PowerOff():
                self._up.discard(step.nodeid)
                self._frozen.discard(step.nodeid)
                self._running.pop(step.nodeid, None)
            case _:
                return
        able = step.nodeid in self._up and step.nodeid not in self._frozen
        if able and self._quorate.get(step.nodeid) is False:
            self._since_ms.setdefault(step.nodeid, step.at_ms)
        else:
            self._since_ms.pop(step.nodeid, None)


def who_is_given_up_rests(history: Sequence[Step]) -> Verdict:
    """S2: a node that took part and that others began to fence does nothing more before its daemon has started anew.

    In two-node mode each half may go on without the other; where operators change votes, they say who may.
    """
    if isinstance(history[0], Setting) and (history[0].two_node or history[0].revoted):
        return held("S2")
    given_up_ms: dict[NodeId, int] = {}
    taking_part: set[NodeId] = set()
    for step in history:
        match step:
            case DaemonUp() | PowerOff():
                given_up_ms.pop(step.nodeid, None)
                taking_part.discard(step.nodeid)
            case Folded():
                taking_part.add(step.nodeid)
            case Began(start=True) | FenceBegan():
                since_ms = given_up_ms.get(step.nodeid, step.at_ms)
                if step.at_ms - since_ms > NOTICE_MS:
                    text = f"node {step.nodeid} acts although it is to be fenced since {since_ms} ms"
                    return broken("S2", step.at_ms, text)
                if isinstance(step, FenceBegan) and step.victim in taking_part:
                    given_up_ms.setdefault(step.victim, step.at_ms)
            case _:
                pass
    return held("S2")
