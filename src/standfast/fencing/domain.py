"""The fence domain: which nodes are victims, when they may be fenced, by whom, and how it went.

Pure. Source: spec fencing, sections 2 to 6; fenced(8).
"""

from msgspec import Struct
from msgspec.structs import replace

from standfast.conf.model import ClusterNode, FenceDaemon
from standfast.terms import BootId, Incarnation, NodeId

HISTORY_MAX = 64  # finished fencings that the domain remembers
RETRY_MS = 3_000  # pause between two attempts on one victim (fenced's override_time)
RETURN_MS = 30_000  # how long a victim that came back is spared so that it can restart by itself


class Attempt(Struct, frozen=True, kw_only=True):
    """One run of a victim's fence methods."""

    number: int  # counts from 1 for each victim
    by: NodeId


class Victim(Struct, frozen=True, kw_only=True):
    """A node that must be fenced, or come back clean, before anything that may run on it is started elsewhere.

    `incarnation` and `boot_id` are those it was last seen with, None for one that was never seen (startup fencing).
    `hold_until_ms` is cluster time; None spares it for ever (a delay of -1). `pause_ms` is a hold that begins with the
    coordinator's next entry, since what set it carried no time.
    """

    nodeid: NodeId
    generation: int
    reason: str
    since_ms: int
    hold_until_ms: int | None
    pause_ms: int = 0
    incarnation: Incarnation | None = None
    boot_id: BootId | None = None
    attempt: Attempt | None = None
    attempts: int = 0
    last_failure: str = ""
    evicted: bool = False  # it was told to restart


class Fencing(Struct, frozen=True, kw_only=True):
    """One finished fencing, for the history. `how` is agent, member, override, left."""

    nodeid: NodeId
    at_ms: int
    how: str
    by: NodeId | None = None
    text: str = ""


class FenceDomain(Struct, frozen=True, kw_only=True):
    """All victims, lowest node id first, and what was done before."""

    victims: tuple[Victim, ...] = ()
    history: tuple[Fencing, ...] = ()
    generations: int = 0

    def victim(self, nodeid: NodeId) -> Victim | None:
        """The victim with this node id, if it is one."""
        return next((victim for victim in self.victims if victim.nodeid == nodeid), None)


class BeginFencing(Struct, frozen=True, tag=True, kw_only=True):
    """Proposal: run the methods of one victim on node `by`."""

    nodeid: NodeId
    generation: int
    number: int
    by: NodeId
    because: str


class StartAttempt(Struct, frozen=True, tag=True, kw_only=True):
    """Task: run the fence methods of `nodeid` and report."""

    nodeid: NodeId
    generation: int
    number: int


class CancelAttempt(Struct, frozen=True, tag=True, kw_only=True):
    """Task: end the agents of an attempt that nobody waits for any more."""

    nodeid: NodeId
    generation: int
    number: int


AttemptId = tuple[NodeId, int, int]
"""Victim, its generation, number of the attempt."""


def hold_until_ms(delay_s: int | None, now_ms: int) -> int | None:
    """Return until when a victim is spared: `delay_s` seconds from `now_ms`, None for ever."""
    return None if delay_s is None else now_ms + delay_s * 1000


def add_victim(
    domain: FenceDomain,
    nodeid: NodeId,
    *,
    reason: str,
    now_ms: int,
    hold_until_ms: int | None,
    incarnation: Incarnation | None,
    boot_id: BootId | None,
) -> FenceDomain:
    """Make a node a victim; one that is a victim already stays as it is."""
    if domain.victim(nodeid) is not None:
        return domain
    victim = Victim(
        nodeid=nodeid,
        generation=domain.generations + 1,
        reason=reason,
        since_ms=now_ms,
        hold_until_ms=hold_until_ms,
        incarnation=incarnation,
        boot_id=boot_id,
    )
    victims = tuple(sorted((*domain.victims, victim), key=lambda v: v.nodeid))
    return replace(domain, victims=victims, generations=domain.generations + 1)


def remove_victim(
    domain: FenceDomain, nodeid: NodeId, *, how: str, now_ms: int, by: NodeId | None = None, text: str = ""
) -> FenceDomain:
    """Forget a victim and remember how that came; no victim, no change."""
    if domain.victim(nodeid) is None:
        return domain
    done = Fencing(nodeid=nodeid, at_ms=now_ms, how=how, by=by, text=text)
    return replace(
        domain,
        victims=tuple(victim for victim in domain.victims if victim.nodeid != nodeid),
        history=(*domain.history, done)[-HISTORY_MAX:],
    )


def spare_victim(domain: FenceDomain, nodeid: NodeId, *, until_ms: int, evicted: bool) -> FenceDomain:
    """Give a victim that came back time to restart by itself; an attempt under way is given up."""
    victim = domain.victim(nodeid)
    if victim is None:
        return domain
    hold = None if victim.hold_until_ms is None else max(victim.hold_until_ms, until_ms)
    spared = replace(victim, hold_until_ms=hold, attempt=None, evicted=victim.evicted or evicted)
    return _with(domain, spared)


def begin_attempt(domain: FenceDomain, proposal: BeginFencing, now_ms: int) -> FenceDomain:
    """Fold an accepted proposal; a stale one changes nothing: the victim may have come back and be spared since."""
    victim = domain.victim(proposal.nodeid)
    if victim is None or victim.generation != proposal.generation or victim.attempt is not None:
        return domain
    if victim.pause_ms or (victim.hold_until_ms or 0) > now_ms:
        return domain
    if proposal.number != victim.attempts + 1:
        return domain
    attempt = Attempt(number=proposal.number, by=proposal.by)
    return _with(domain, replace(victim, attempt=attempt, attempts=proposal.number))


def end_attempt(
    domain: FenceDomain, attempt_id: AttemptId, *, by: NodeId, fenced: bool, text: str, now_ms: int
) -> FenceDomain:
    """Fold the result of one attempt: the victim is gone, or held until the next try. Results of others are ignored."""
    nodeid, generation, number = attempt_id
    victim = domain.victim(nodeid)
    if victim is None or victim.generation != generation:
        return domain
    if victim.attempt != Attempt(number=number, by=by):
        return domain
    if fenced:
        return remove_victim(domain, nodeid, how="agent", now_ms=now_ms, by=by, text=text)
    failed = replace(victim, attempt=None, pause_ms=RETRY_MS, last_failure=text or "failed")
    return _with(domain, failed)


def stamp(domain: FenceDomain, now_ms: int) -> FenceDomain:
    """Begin the pauses that waited for cluster time."""
    if not any(victim.pause_ms for victim in domain.victims):
        return domain
    return replace(
        domain,
        victims=tuple(
            replace(v, pause_ms=0, hold_until_ms=_later(v.hold_until_ms, now_ms + v.pause_ms))
            if v.pause_ms
            else v
            for v in domain.victims
        ),
    )


def needs_stamp(domain: FenceDomain) -> bool:
    """Whether a pause waits for the coordinator's next entry."""
    return any(victim.pause_ms for victim in domain.victims)


def forget_attempts_by(domain: FenceDomain, nodeid: NodeId) -> FenceDomain:
    """Give up the attempts that a lost node was making; nobody knows how far they came."""
    return replace(
        domain,
        victims=tuple(
            replace(victim, attempt=None)
            if victim.attempt is not None and victim.attempt.by == nodeid
            else victim
            for victim in domain.victims
        ),
    )


def decide(
    domain: FenceDomain, nodes: tuple[ClusterNode, ...], by: NodeId, now_ms: int
) -> tuple[BeginFencing, ...]:
    """Propose to fence each victim whose hold has run out, lowest node id first, one run for each device at a time."""
    busy = {
        device
        for victim in domain.victims
        if victim.attempt is not None
        for device in _devices(nodes, victim.nodeid)
    }
    proposals: list[BeginFencing] = []
    # Victims that were tried less often go first, so that a stuck one does not starve the others.
    for victim in sorted(domain.victims, key=lambda v: (v.attempts, v.nodeid)):
        if victim.attempt is not None or victim.pause_ms:
            continue
        if victim.hold_until_ms is None or victim.hold_until_ms > now_ms:
            continue
        devices = _devices(nodes, victim.nodeid)
        if devices & busy:
            continue
        busy |= devices
        proposals.append(
            BeginFencing(
                nodeid=victim.nodeid,
                generation=victim.generation,
                number=victim.attempts + 1,
                by=by,
                because=victim.reason,
            )
        )
    return tuple(proposals)


def reconcile(
    domain: FenceDomain, me: NodeId, running: frozenset[AttemptId]
) -> tuple[StartAttempt | CancelAttempt, ...]:
    """Cancel the attempts that the state no longer wants of this node, start those that it wants and that do not run."""
    wanted = {
        (victim.nodeid, victim.generation, victim.attempt.number)
        for victim in domain.victims
        if victim.attempt is not None and victim.attempt.by == me
    }
    return (
        *(CancelAttempt(nodeid=n, generation=g, number=k) for n, g, k in sorted(running - wanted)),
        *(StartAttempt(nodeid=n, generation=g, number=k) for n, g, k in sorted(wanted - running)),
    )


def next_deadline_ms(domain: FenceDomain) -> int | None:
    """Return the cluster time at which `decide` may have something new, None while only an event can change it."""
    return min(
        (v.hold_until_ms for v in domain.victims if v.attempt is None and v.hold_until_ms is not None),
        default=None,
    )


def startup_victims(
    nodes: tuple[ClusterNode, ...], present: frozenset[NodeId], settings: FenceDaemon
) -> tuple[NodeId, ...]:
    """Return the configured nodes that are fenced when a cluster starts without them (spec fencing, section 2)."""
    if settings.clean_start:
        return ()
    return tuple(
        node.nodeid
        for node in nodes
        if node.nodeid not in present and not (settings.skip_undefined and not node.methods)
    )


def _later(hold_until_ms: int | None, until_ms: int) -> int | None:
    return None if hold_until_ms is None else max(hold_until_ms, until_ms)


def _devices(nodes: tuple[ClusterNode, ...], nodeid: NodeId) -> set[str]:
    return {
        step.device
        for node in nodes
        if node.nodeid == nodeid
        for method in node.methods
        for step in method.steps
    }


def _with(domain: FenceDomain, changed: Victim) -> FenceDomain:
    return replace(
        domain, victims=tuple(changed if v.nodeid == changed.nodeid else v for v in domain.victims)
    )
