"""What operators were told: it stays true, and nobody is forgotten.

Pure. Source: design section 3, S3 and S4.
"""

from collections.abc import Sequence

from standfast.simulation.chronicle import (
    Acknowledged,
    Activated,
    Answered,
    Asked,
    DaemonDown,
    Ended,
    PowerOff,
    Setting,
    Settled,
    Step,
    Stored,
)
from standfast.simulation.verdict import Verdict, broken, held, unknown
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Code, Operation


def one_config(history: Sequence[Step]) -> Verdict:
    """S3: an acknowledged update is on the disk of every member that was there, stays there, and is never lost.

    In two-node mode each half may go on without the other, so an update may be lost with the half that had it. A person
    who puts a file on a disk past the daemon may lose one, too, or give one number to two files.
    """
    disks: dict[NodeId, int] = {}
    active: dict[NodeId, int] = {}
    acknowledged: dict[int, int] = {}
    by_hand: set[int] = set()
    newest = 0
    two_node = restored = False
    for step in history:
        match step:
            case Setting():
                disks.update(step.disks)
                by_hand.update(disks.values())
                two_node = step.two_node
            case Stored():
                old = disks.get(step.nodeid, 0)
                if step.by_hand:
                    by_hand.add(step.version)
                    restored = restored or step.version < old
                elif step.version < newest <= old and not (two_node or restored):
                    text = f"node {step.nodeid} writes version {step.version} over the acknowledged {newest}"
                    return broken("S3", step.at_ms, text)
                disks[step.nodeid] = step.version
            case Acknowledged():
                for nodeid in step.members:
                    if nodeid not in disks:
                        text = f"what is on the disk of node {nodeid} is not known"
                        return unknown("S3", step.at_ms, text)
                    if disks[nodeid] < step.version and not restored:
                        text = f"version {step.version} is acknowledged and not on the disk of node {nodeid}"
                        return broken("S3", step.at_ms, text)
                same = acknowledged.get(step.version, step.content) == step.content
                if not (same or two_node or restored or step.version in by_hand):
                    text = f"version {step.version} is acknowledged twice, for two configurations"
                    return broken("S3", step.at_ms, text)
                acknowledged[step.version] = step.content
                newest = max(newest, step.version)
            case Activated():
                active[step.nodeid] = step.version
                same = acknowledged.get(step.version, step.content) == step.content
                if not (same or two_node or restored or step.version in by_hand):
                    text = f"node {step.nodeid} uses another version {step.version} than was acknowledged"
                    return broken("S3", step.at_ms, text)
            case Settled():
                behind = next((n for n, version in sorted(active.items()) if version < newest), None)
                if behind is not None and not (two_node or restored):
                    text = f"node {behind} uses version {active[behind]}, but {newest} was acknowledged"
                    return broken("S3", step.at_ms, text)
            case _:
                pass
    return held("S3")


def nothing_acknowledged_is_lost(history: Sequence[Step]) -> Verdict:
    """S4: each request is answered once, unless the daemon that was asked ended before."""
    waiting: dict[str, NodeId] = {}
    answered: set[str] = set()
    at_ms = 0
    for step in history:
        at_ms = step.at_ms
        match step:
            case Asked():
                waiting[step.request] = step.nodeid
            case Answered():
                if step.request in answered:
                    return broken("S4", at_ms, f"{step.request} was answered twice")
                answered.add(step.request)
                waiting.pop(step.request, None)
            case DaemonDown() | PowerOff():
                waiting = {request: nodeid for request, nodeid in waiting.items() if nodeid != step.nodeid}
            case Settled() if waiting:
                return broken("S4", at_ms, f"{min(waiting)} was never answered")
            case _:
                pass
    if waiting:
        return unknown("S4", at_ms, f"{min(waiting)} was not answered before the run was broken off")
    return held("S4")


def answers_are_true(history: Sequence[Step]) -> Verdict:
    """S4: what was answered with success was done: the service was started where the answer says, after it was asked."""
    asked: dict[str, Asked] = {}
    starts: dict[tuple[ServiceName, NodeId], int] = {}
    for step in history:
        match step:
            case Asked():
                asked[step.request] = step
            case Ended(start=True, ok=True):
                starts[step.service, step.nodeid] = step.at_ms
            case Answered(code=Code.SUCCESS):
                request = asked.get(step.request)
                if request is None:
                    return unknown("S4", step.at_ms, f"{step.request} was answered and never asked")
                if request.operation not in _STARTS:
                    continue
                began = None if step.owner is None else starts.get((ServiceName(request.service), step.owner))
                if began is None or began < request.at_ms:
                    text = (
                        f"{step.request} ({request.operation} {request.service}) succeeded, "
                        f"but it was not started on node {step.owner} since"
                    )
                    return broken("S4", step.at_ms, text)
            case _:
                pass
    return held("S4")


_STARTS = (Operation.ENABLE.value, Operation.RELOCATE.value, Operation.RESTART.value)
