"""Where services are: on one machine at a time, and on another only when the first cannot have them any more.

Pure. Source: design section 3, S1 and S5.
"""

from collections.abc import Sequence

from standfast.simulation.chronicle import (
    Became,
    Began,
    DaemonUp,
    FenceEnded,
    Left,
    Overridden,
    PowerOff,
    PowerOn,
    Step,
    Truth,
)
from standfast.simulation.verdict import Verdict, broken, held, unknown
from standfast.terms import NodeId, ServiceName


def one_owner(history: Sequence[Step]) -> Verdict:
    """S1: nothing of a service is on two machines at once."""
    powered: set[NodeId] = set()
    holders: dict[ServiceName, dict[NodeId, Truth]] = {}
    for step in history:
        match step:
            case PowerOn():
                powered.add(step.nodeid)
            case PowerOff():
                powered.discard(step.nodeid)
                for holding in holders.values():
                    holding.pop(step.nodeid, None)
            case Became(truth=None):
                holders.get(step.service, {}).pop(step.nodeid, None)
            case Became(truth=Truth() as truth):
                if step.nodeid not in powered:
                    text = f"{step.service} is on node {step.nodeid}, of which no power is known"
                    return unknown("S1", step.at_ms, text)
                holding = holders.setdefault(step.service, {})
                holding[step.nodeid] = truth
                other = next((n for n in holding if n != step.nodeid), None)
                if other is not None:
                    text = f"{step.service} is on node {step.nodeid} while node {other} has it ({holding[other].value})"
                    return broken("S1", step.at_ms, text)
            case _:
                pass
    return held("S1")


def who_leaves_has_nothing(history: Sequence[Step]) -> Verdict:
    """S1: when a daemon leaves in order, nothing of any service is on its machine."""
    there: dict[NodeId, set[ServiceName]] = {}
    for step in history:
        match step:
            case Became(truth=None):
                there.get(step.nodeid, set()).discard(step.service)
            case Became():
                there.setdefault(step.nodeid, set()).add(step.service)
            case PowerOff():
                there.pop(step.nodeid, None)
            case Left() if there.get(step.nodeid):
                text = f"node {step.nodeid} leaves while it has {min(there[step.nodeid])}"
                return broken("S1", step.at_ms, text)
            case _:
                pass
    return held("S1")


def no_unfenced_recovery(history: Sequence[Step]) -> Verdict:
    """S5: what was on a machine that lost power starts elsewhere only after its fencing, an override, or its return."""
    there: dict[NodeId, set[ServiceName]] = {}
    left: dict[NodeId, set[ServiceName]] = {}
    for step in history:
        match step:
            case Became(truth=None):
                there.get(step.nodeid, set()).discard(step.service)
            case Became():
                there.setdefault(step.nodeid, set()).add(step.service)
            case PowerOff():
                left.setdefault(step.nodeid, set()).update(there.pop(step.nodeid, set()))
            case FenceEnded(ok=True) | Overridden():
                left.pop(step.victim, None)
            case DaemonUp():
                left.pop(step.nodeid, None)
            case Began(start=True):
                other = next(
                    (n for n, services in left.items() if n != step.nodeid and step.service in services), None
                )
                if other is not None:
                    text = f"{step.service} starts on node {step.nodeid} before node {other} was fenced"
                    return broken("S5", step.at_ms, text)
            case _:
                pass
    return held("S5")
