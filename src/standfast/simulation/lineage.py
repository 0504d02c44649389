"""What the nodes know: the same at the same place of the log, in one history, in which time does not go back.

Pure. Source: design sections 2 and 3, S3.
"""

from collections.abc import Sequence

from standfast.simulation.chronicle import (
    Corrupted,
    DaemonUp,
    Folded,
    Point,
    Step,
)
from standfast.simulation.verdict import Verdict, broken, held
from standfast.terms import NodeId

Epoch = tuple[int, int]
"""An epoch's number and the view in which it began."""


def one_state(history: Sequence[Step]) -> Verdict:
    """S3: at the same place of the log all nodes have the same state; not judged once a state was changed from outside."""
    seen: dict[Point, int] = {}
    for step in history:
        if isinstance(step, Corrupted):
            break
        if isinstance(step, Folded) and seen.setdefault(step.point, step.content) != step.content:
            text = f"node {step.nodeid} has another state than others at {step.point}"
            return broken("S3", step.at_ms, text)
    return held("S3")


def time_never_goes_back(history: Sequence[Step]) -> Verdict:
    """T1: cluster time never goes back from one place of the log to the next."""
    last: dict[NodeId, Folded] = {}
    for step in history:
        match step:
            case DaemonUp():
                last.pop(step.nodeid, None)
            case Folded():
                before = last.get(step.nodeid)
                last[step.nodeid] = step
                if before is not None and _follows(before, step) and step.cluster_ms < before.cluster_ms:
                    text = f"on node {step.nodeid} cluster time goes back from {before.cluster_ms} to {step.cluster_ms} ms"
                    return broken("T1", step.at_ms, text)
            case _:
                pass
    return held("T1")


def one_history(history: Sequence[Step]) -> Verdict:
    """M1: a node whose history was given up for another takes part in that only after its daemon has started anew.

    A history that is only just beginning asks every node what it runs: that may be entered from anywhere.
    """
    ancestors: dict[Epoch, frozenset[Epoch]] = {}
    last: dict[NodeId, Folded] = {}
    for step in history:
        match step:
            case DaemonUp():
                last.pop(step.nodeid, None)
            case Folded():
                before = last.get(step.nodeid)
                last[step.nodeid] = step
                epoch = step.point[:2]
                older = ancestors.setdefault(epoch, frozenset({epoch}))
                if before is None or before.point[:2] == epoch:
                    continue
                if _follows(before, step):
                    ancestors[epoch] = older | ancestors[before.point[:2]]
                elif len(older) > 1 and before.point[:2] not in older:
                    was, now = before.point, step.point
                    text = (
                        f"node {step.nodeid} goes from {was} to another history, at {now}, without a restart"
                    )
                    return broken("M1", step.at_ms, text)
            case _:
                pass
    return held("M1")


def _follows(before: Folded, after: Folded) -> bool:
    """Whether the second is the next place of the log."""
    return after.point[2] == before.point[2] + 1 and after.point[0] - before.point[0] in (0, 1)
