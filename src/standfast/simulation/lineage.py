"""What the nodes know: the same at the same place of the log, in one history, in which time does not go back.

Pure. Source: design sections 2 and 3, S3.
"""

from collections.abc import Sequence

from standfast.simulation.chronicle import (
    Corrupted,
    DaemonUp,
    Diverged,
    Folded,
    Parted,
    Point,
    Step,
)
from standfast.simulation.verdict import Verdict, broken, held
from standfast.terms import NodeId

Epoch = tuple[int, int]
"""An epoch's number and the view in which it began."""


def one_state(history: Sequence[Step]) -> Verdict:
    """S3: at the same place of the log all nodes have the same state; not judged once a state was changed from outside.

    The sides of a cut may end their common view with different entries; from there on a number is no place of the log
    until the next epoch. Nobody may take part with another state than those who decide.
    """
    seen: dict[Point, int] = {}
    parted: dict[Epoch, int] = {}
    for step in history:
        match step:
            case Corrupted():
                break
            case Parted(point=(epoch, begun_view, index)):
                parted[epoch, begun_view] = min(index, parted.get((epoch, begun_view), index))
            case Diverged():
                return broken("S3", step.at_ms, f"node {step.nodeid} took part with a state of its own")
            case Folded():
                is_place = step.point[2] < parted.get(step.point[:2], step.point[2] + 1)
                if is_place and seen.setdefault(step.point, step.content) != step.content:
                    text = f"node {step.nodeid} has another state than others at {step.point}"
                    return broken("S3", step.at_ms, text)
            case _:
                pass
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
