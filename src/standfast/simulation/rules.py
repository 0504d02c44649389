"""What must never happen, as questions about a whole history: each has the verdict held, broken or unknown.

Pure. Unknown means that the history does not tell; it counts as a failure, like broken. Source: design section 3.
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from standfast.simulation.chronicle import (
    Acknowledged,
    Activated,
    Answered,
    Asked,
    Became,
    Began,
    Claim,
    DaemonDown,
    DaemonUp,
    Ended,
    FenceBegan,
    FenceEnded,
    Folded,
    Froze,
    Heard,
    Odd,
    Overridden,
    Point,
    PowerOff,
    PowerOn,
    Refused,
    Setting,
    Settled,
    Step,
    Stored,
    Thawed,
    Truth,
)
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Code, Operation

STOP_BOUND_MS = (
    30_000  # a node that cannot be quorate has stopped its services by then: the longest simulated stop
)
NOTICE_MS = 1_500  # and by then it knows that it is not quorate


class Judgement(StrEnum):
    """What a rule says of a history."""

    HELD = "held"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class Verdict(Struct, frozen=True):
    """A rule's name and what it says; `because` is empty for a rule that held."""

    rule: str
    judgement: Judgement
    because: str = ""


def verdicts(history: Sequence[Step]) -> tuple[Verdict, ...]:
    """Ask every rule."""
    return tuple(
        rule(history)
        for rule in (
            nothing_odd,
            one_owner,
            no_quorum_no_services,
            one_state,
            one_config,
            nothing_acknowledged_is_lost,
            answers_are_true,
            no_unfenced_recovery,
            only_strangers_are_refused,
        )
    )


def sentence(verdict: Verdict) -> str:
    """Return the verdict as one line that begins with the rule's name."""
    doubt = "unknown: " if verdict.judgement is Judgement.UNKNOWN else ""
    return f"{verdict.rule} {doubt}{verdict.because}"


def nothing_odd(history: Sequence[Step]) -> Verdict:
    """BUG: no daemon asks for what makes no sense."""
    for step in history:
        if isinstance(step, Odd):
            return _broken("BUG", step.at_ms, step.text)
    return _held("BUG")


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
                    return _unknown("S1", step.at_ms, text)
                holding = holders.setdefault(step.service, {})
                holding[step.nodeid] = truth
                other = next((n for n in holding if n != step.nodeid), None)
                if other is not None:
                    text = f"{step.service} is on node {step.nodeid} while node {other} has it ({holding[other].value})"
                    return _broken("S1", step.at_ms, text)
            case _:
                pass
    return _held("S1")


def no_quorum_no_services(history: Sequence[Step]) -> Verdict:
    """S2: a node that cannot be quorate starts and fences nothing, and soon runs nothing that could be stopped."""
    if isinstance(history[0], Setting) and history[0].two_node:
        return _held("S2")  # each half is quorate by itself
    lonely = _Lonely()
    for step in history:
        late = lonely.overdue(step.at_ms)
        if late is not None:
            return _broken("S2", step.at_ms, f"node {late[0]} still runs {late[1]} without quorum")
        match step:
            case Began(start=True) | FenceBegan():
                if not lonely.is_known(step.nodeid):
                    text = f"whether node {step.nodeid} could be quorate when it began to act is not known"
                    return _unknown("S2", step.at_ms, text)
                if lonely.knows_it(step.nodeid, step.at_ms):
                    what = (
                        f"starts {step.service}" if isinstance(step, Began) else f"fences node {step.victim}"
                    )
                    return _broken("S2", step.at_ms, f"node {step.nodeid} {what} without quorum")
            case _:
                pass
        lonely.see(step)
    return _held("S2")


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


def one_state(history: Sequence[Step]) -> Verdict:
    """S3: at the same place of the log all nodes have the same state."""
    seen: dict[Point, int] = {}
    for step in history:
        if isinstance(step, Folded) and seen.setdefault(step.point, step.content) != step.content:
            text = f"node {step.nodeid} has another state than others at {step.point}"
            return _broken("S3", step.at_ms, text)
    return _held("S3")


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
                    return _broken("S3", step.at_ms, text)
                disks[step.nodeid] = step.version
            case Acknowledged():
                for nodeid in step.members:
                    if nodeid not in disks:
                        text = f"what is on the disk of node {nodeid} is not known"
                        return _unknown("S3", step.at_ms, text)
                    if disks[nodeid] < step.version and not restored:
                        text = f"version {step.version} is acknowledged and not on the disk of node {nodeid}"
                        return _broken("S3", step.at_ms, text)
                acknowledged[step.version] = step.content
                newest = max(newest, step.version)
            case Activated():
                active[step.nodeid] = step.version
                same = acknowledged.get(step.version, step.content) == step.content
                if not (same or two_node or restored or step.version in by_hand):
                    text = f"node {step.nodeid} uses another version {step.version} than was acknowledged"
                    return _broken("S3", step.at_ms, text)
            case Settled():
                behind = next((n for n, version in sorted(active.items()) if version < newest), None)
                if behind is not None and not (two_node or restored):
                    text = f"node {behind} uses version {active[behind]}, but {newest} was acknowledged"
                    return _broken("S3", step.at_ms, text)
            case _:
                pass
    return _held("S3")


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
                    return _broken("S4", at_ms, f"{step.request} was answered twice")
                answered.add(step.request)
                waiting.pop(step.request, None)
            case DaemonDown() | PowerOff():
                waiting = {request: nodeid for request, nodeid in waiting.items() if nodeid != step.nodeid}
            case Settled() if waiting:
                return _broken("S4", at_ms, f"{min(waiting)} was never answered")
            case _:
                pass
    if waiting:
        return _unknown("S4", at_ms, f"{min(waiting)} was not answered before the run was broken off")
    return _held("S4")


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
                    return _unknown("S4", step.at_ms, f"{step.request} was answered and never asked")
                if request.operation not in _STARTS:
                    continue
                began = None if step.owner is None else starts.get((ServiceName(request.service), step.owner))
                if began is None or began < request.at_ms:
                    text = (
                        f"{step.request} ({request.operation} {request.service}) succeeded, "
                        f"but it was not started on node {step.owner} since"
                    )
                    return _broken("S4", step.at_ms, text)
            case _:
                pass
    return _held("S4")


_STARTS = (Operation.ENABLE.value, Operation.RELOCATE.value, Operation.RESTART.value)


def no_unfenced_recovery(history: Sequence[Step]) -> Verdict:
    """S5: what was on a machine that lost power starts elsewhere only after its fencing, an override, or its return."""
    held: dict[NodeId, set[ServiceName]] = {}
    left: dict[NodeId, set[ServiceName]] = {}
    for step in history:
        match step:
            case Became(truth=None):
                held.get(step.nodeid, set()).discard(step.service)
            case Became():
                held.setdefault(step.nodeid, set()).add(step.service)
            case PowerOff():
                left.setdefault(step.nodeid, set()).update(held.pop(step.nodeid, set()))
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
                    return _broken("S5", step.at_ms, text)
            case _:
                pass
    return _held("S5")


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
                    return _unknown("N1", step.at_ms, f"node {step.nodeid} was refused, but never started")
                if claims[step.nodeid] is Claim.TRUE and not step.outnumbered:
                    return _broken("N1", step.at_ms, f"node {step.nodeid} is refused: {step.text}")
            case Began(start=True) if claims.get(step.nodeid) is Claim.NOT_LISTED:
                return _broken("N1", step.at_ms, f"node {step.nodeid} starts {step.service} as a stranger")
            case _:
                pass
    return _held("N1")


def _held(rule: str) -> Verdict:
    return Verdict(rule, Judgement.HELD)


def _broken(rule: str, at_ms: int, text: str) -> Verdict:
    return Verdict(rule, Judgement.BROKEN, f"at {at_ms} ms: {text}")


def _unknown(rule: str, at_ms: int, text: str) -> Verdict:
    return Verdict(rule, Judgement.UNKNOWN, f"at {at_ms} ms: {text}")
