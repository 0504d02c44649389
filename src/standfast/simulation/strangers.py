"""Who does not belong to the cluster, and what makes no sense at all.

Pure. Source: spec membership.
"""

from collections.abc import Sequence

from standfast.simulation.chronicle import (
    Began,
    Claim,
    DaemonUp,
    Odd,
    Refused,
    Step,
)
from standfast.simulation.verdict import Verdict, broken, held, unknown
from standfast.terms import NodeId


def nothing_odd(history: Sequence[Step]) -> Verdict:
    """BUG: no daemon asks for what makes no sense."""
    for step in history:
        if isinstance(step, Odd):
            return broken("BUG", step.at_ms, step.text)
    return held("BUG")


def only_strangers_are_refused(history: Sequence[Step]) -> Verdict:
    """N1: a node that belongs to the cluster is not sent away, and one that is not listed runs nothing.

    A node that hears as many strangers as others cannot know who is the stranger.
    """
    claims: dict[NodeId, Claim] = {}
    for step in history:
        match step:
            case DaemonUp():
                claims[step.nodeid] = step.claim
            case Refused():
                if step.nodeid not in claims:
                    return unknown("N1", step.at_ms, f"node {step.nodeid} was refused, but never started")
                if claims[step.nodeid] is Claim.TRUE and not step.outnumbered:
                    return broken("N1", step.at_ms, f"node {step.nodeid} is refused: {step.text}")
            case Began(start=True) if claims.get(step.nodeid) is Claim.NOT_LISTED:
                return broken("N1", step.at_ms, f"node {step.nodeid} starts {step.service} as a stranger")
            case _:
                pass
    return held("N1")
