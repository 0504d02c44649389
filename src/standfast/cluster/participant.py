"""One node of the cluster as a step machine: what happens goes in, what the node has to do comes out.

Pure. The daemon and the simulator run this same machine; they alone wait, send, start and stop.
Source: design sections 1 and 2.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from standfast.cluster import blocked
from standfast.cluster import decide as policy
from standfast.cluster import labour as labouring
from standfast.cluster import session as log
from standfast.cluster.effect import (
    AnswerRequest,
    Die,
    Effect,
    KeepEpoch,
    Leave,
    Note,
    Quit,
    Restart,
    Send,
    TakeInventory,
    UseConfig,
    UseVotes,
    WriteConfig,
)
from standfast.cluster.entry import Barrier, Decision, Entry, Request, Resync, Snapshot, encode
from standfast.cluster.history import changes
from standfast.cluster.labour import Labour
from standfast.cluster.reconcile import Permission, reconcile
from standfast.cluster.session import Identity, Session
from standfast.cluster.state import ClusterState, OperatorRequest, Outcome, QuorumRequest
from standfast.conf.model import Cluster
from standfast.fencing.domain import AttemptId, CancelAttempt, StartAttempt
from standfast.membership.quorum import Present, in_force
from standfast.membership.quorum import step as count
from standfast.membership.view import View
from standfast.membership.votes import VoteTable, vote_table
from standfast.services.work import GiveUpWork, Phase, StartService, StopService
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Code

GAP_MS = 5_000  # how long a node bears that the engine has not yet lowered the quorum, which the log has


class Viewed(Struct, frozen=True, tag=True):
    """The engine delivered a view."""

    view: View


class QuorumSeen(Struct, frozen=True, tag=True):
    """The engine told this node's quorum flag."""

    view_id: int
    quorate: bool


class Delivered(Struct, frozen=True, tag=True):
    """The engine delivered a message."""

    sender: NodeId
    entry: Entry


class Asked(Struct, frozen=True, tag=True):
    """An operator asked something of this node's daemon."""

    request: OperatorRequest


class WorkEnded(Struct, frozen=True, tag=True, kw_only=True):
    """A start or stop of a service has ended here, or was given up (then not ok)."""

    service: ServiceName
    ok: bool
    text: str = ""


class CheckFailed(Struct, frozen=True, tag=True):
    """A status check failed here."""

    service: ServiceName
    text: str


class AttemptEnded(Struct, frozen=True, tag=True):
    """A fencing attempt of this node has ended."""

    id: AttemptId
    fenced: bool
    text: str


class StockTaken(Struct, frozen=True, tag=True, kw_only=True):
    """The daemon has looked what runs: services that run whole, and those that it could not bring to a known end."""

    running: tuple[ServiceName, ...] = ()
    broken: tuple[ServiceName, ...] = ()


class ConfigStored(Struct, frozen=True, tag=True, kw_only=True):
    """The configuration was written to disk, or could not be."""

    version: int
    ok: bool
    text: str = ""


class EpochStored(Struct, frozen=True, tag=True, kw_only=True):
    """The epoch was written to disk, or could not be."""

    epoch: int
    ok: bool
    text: str = ""


class Woke(Struct, frozen=True, tag=True):
    """The daemon stood still for a while: nothing may be done before everything that was missed is read."""

    ms: int


class TimePassed(Struct, frozen=True, tag=True):
    """The time that `next_wake_ms` named has come."""


Event = (
    Viewed
    | QuorumSeen
    | Delivered
    | Asked
    | WorkEnded
    | CheckFailed
    | AttemptEnded
    | StockTaken
    | ConfigStored
    | EpochStored
    | Woke
    | TimePassed
)


class Participant(Struct, frozen=True, kw_only=True):
    """One node: its place in the log and its own work. `held` is the barrier that must come back before it acts.

    `told` is what its engine judges quorum by. `gap_until_ms`, on this node's clock: until then the engine's word that
    quorum is lost is not believed. `arrivals` are the Unix times at which this node saw the members come. `inherited`
    are the estranged nodes that were so before this daemon began.
    """

    session: Session
    labour: Labour
    told: VoteTable
    gap_until_ms: int | None = None
    arrivals: tuple[tuple[NodeId, int], ...] = ()
    inherited: frozenset[NodeId] | None = None
    held: int = 0
    barriers: int = 0
    reported: tuple[bytes, ...] = ()  # observations that are on their way in this view
    reported_in: int = -1
    ended: bool = False


def create(me: Identity, config: Cluster, document: str) -> Participant:
    """Return the participant of a daemon that just started; `config` is what stands on its disk."""
    session = Session(me=me, config=config, document=document)
    labour = Labour(disk_version=config.config_version, epoch_kept=me.epoch_seen)
    return Participant(session=session, labour=labour, told=vote_table(config))


def step(
    node: Participant, event: Event, local_ms: int, wall_s: int
) -> tuple[Participant, tuple[Effect, ...]]:
    """Take one event in and return what is to be done. `local_ms` is this node's own steady clock."""
    if node.ended:
        return node, ()
    before = node.session.state
    node, effects = _take(node, event, local_ms, wall_s)
    if node.inherited is None and node.session.state is not None:
        inherited = frozenset(nodeid for nodeid, _ in node.session.state.estranged)
        node = replace(node, inherited=inherited)
    more: list[Effect] = [*effects, *_notes(before, node)]
    node = replace(node, session=replace(node.session, notes=()))
    if node.session.refused:
        return replace(node, ended=True), (*more, Quit(text=node.session.refused))
    if node.session.killed:
        _, answers = _answers(node.labour, node.session)
        return replace(node, ended=True), (*more, *answers, Die(because=node.session.killed))
    node, counted = _count_votes(node)
    more.extend(counted)
    node, followed = _lead(node, local_ms, wall_s)
    more.extend(followed)
    node, followed = _act(node)
    more.extend(followed)
    return node, tuple(more)


def next_wake_ms(node: Participant, local_ms: int) -> int | None:
    """Return this node's clock time at which it wants TimePassed, None while only events matter."""
    if node.ended:
        return None
    times: list[int] = []
    session = node.session
    if not session.opened and session.view is not None:
        times.append(session.since_ms + log.OPEN_WAIT_MS)
    if node.gap_until_ms is not None:
        times.append(node.gap_until_ms)
    if session.state is not None and log.coordinator(session) == session.me.nodeid:
        deadline = policy.next_deadline_ms(session.state)
        if deadline is not None:
            times.append(session.anchor_ms + deadline - session.state.now_ms)
    times.extend(t for t in (node.labour.write_again_ms, node.labour.keep_again_ms) if t is not None)
    # What is already due was looked at in the last step; it waits for an event.
    return min((t for t in times if t > local_ms), default=None)


def permission(node: Participant) -> Permission:
    """Return what this node may do now, and what it must."""
    session = node.session
    must_stop = ""
    if session.evicted:
        must_stop = session.evicted
    elif session.quorate is False:
        must_stop = "no quorum"
    begun = log.has_begun(session)
    may_act = begun and session.quorate is True and not must_stop and not node.held
    return Permission(begun=begun, may_act=may_act, must_stop=must_stop, evicted=bool(session.evicted))


def _take(node: Participant, event: Event, local_ms: int, wall_s: int) -> tuple[Participant, list[Effect]]:
    match event:
        case Viewed(view=view):
            session, entries = log.on_view(node.session, view, local_ms)
            kept = [(n, at_s) for n, at_s in node.arrivals if n in view.members and n not in view.joined]
            arrivals = tuple(sorted((*kept, *((n, wall_s) for n in view.joined))))
            node = replace(node, session=session, arrivals=arrivals, gap_until_ms=None)
            return node, [Send(entry=entry) for entry in entries]
        case QuorumSeen():
            return _quorum_seen(node, event, local_ms)
        case Delivered(sender=sender, entry=entry):
            session = log.on_message(node.session, sender, entry, local_ms)
            return _after_message(replace(node, session=blocked.hear(session, sender, entry)))
        case Asked():
            return _asked(node, event.request)
        case WorkEnded():
            done = labouring.work_ended(node.labour, event.service, ok=event.ok, text=event.text)
            return replace(node, labour=done), []
        case CheckFailed():
            return replace(node, labour=labouring.check_failed(node.labour, event.service, event.text)), []
        case AttemptEnded():
            if all(a.id != event.id for a in node.labour.attempts):
                return node, []
            ended = labouring.AttemptWork(id=event.id, fenced=event.fenced, text=event.text)
            return replace(node, labour=labouring.with_attempt(node.labour, ended)), []
        case StockTaken():
            return replace(node, labour=labouring.take_stock(node.labour, event.running, event.broken)), []
        case ConfigStored():
            return _config_stored(node, event, local_ms), []
        case EpochStored():
            return _epoch_stored(node, event, local_ms)
        case Woke():
            number = node.barriers + 1
            barrier = Barrier(number=number, incarnation=node.session.me.incarnation)
            note = Note(
                event="daemon.woke", subject=node.session.me.name, text=f"it stood still for {event.ms} ms"
            )
            return replace(node, held=number, barriers=number), [Send(entry=barrier), note]
        case TimePassed():
            return _time_passed(node, local_ms)
        case _:
            assert_never(event)


def _after_message(node: Participant) -> tuple[Participant, list[Effect]]:
    session = node.session
    effects: list[Effect] = []
    if node.held and session.barrier >= node.held:
        node = replace(node, held=0)
    if session.diverged:
        assert session.view is not None
        effects.append(Note(event="state.diverged", subject=session.me.name, text=session.diverged))
        effects.append(Send(entry=Resync(view_id=session.view.view_id)))
        session = replace(log.forget_state(session), greet=True)
    if session.greet:
        session = replace(session, greet=False)
        effects.append(Send(entry=log.greeting(session)))
    return replace(node, session=session), effects


def _quorum_seen(node: Participant, seen: QuorumSeen, local_ms: int) -> tuple[Participant, list[Effect]]:
    session = node.session
    if session.view is None or session.view.view_id != seen.view_id:
        return node, []
    if seen.quorate:
        return replace(node, session=replace(session, quorate=True), gap_until_ms=None), []
    if node.gap_until_ms is None and _is_gap(session):
        return replace(node, gap_until_ms=local_ms + GAP_MS), []
    if node.gap_until_ms is not None and local_ms < node.gap_until_ms:
        return node, []
    return _without_quorum(replace(node, session=replace(session, quorate=False), gap_until_ms=None))


def _is_gap(session: Session) -> bool:
    """Whether a node has just left for good, and the others are quorate by what the log says since.

    An engine that counts by itself (corosync) may be told of it only after the node has gone.
    """
    state, view = session.state, session.view
    if state is None or view is None or log.has_begun(session):
        return False
    gone = [n for n in state.ballot.leaving if n not in view.members]
    return bool(gone) and count(state.ballot, Present(view.members)).quorate


def _count_votes(node: Participant) -> tuple[Participant, list[Effect]]:
    """Tell the engine what quorum is judged by, where that has changed."""
    session = node.session
    if session.state is None and session.provisional is None:
        return node, []
    table = in_force(log.ballot_of(session))
    if table == node.told:
        return node, []
    return replace(node, told=table), [UseVotes(table=table)]


def _asked(node: Participant, request: OperatorRequest) -> tuple[Participant, list[Effect]]:
    session = node.session
    if isinstance(request, QuorumRequest) and session.quorate is False and not session.evicted:
        view = session.view
        assert view is not None
        if not session.opened:
            return node, [_stated_failure(request, Code.AGAIN, "the members do not know each other yet")]
        node = replace(node, labour=replace(node.labour, asked=(*node.labour.asked, request)))
        return node, [Send(entry=Request(view_id=view.view_id, request=request))]
    if session.quorate is False:
        return node, [_stated_failure(request, Code.NO_QUORUM, "this node has no quorum")]
    if not log.has_begun(session) or session.evicted:
        return node, [_stated_failure(request, Code.AGAIN, "this node is not synced with the cluster yet")]
    return replace(node, labour=replace(node.labour, asked=(*node.labour.asked, request))), []


def _without_quorum(node: Participant) -> tuple[Participant, list[Effect]]:
    """End the requests that are not in the log yet: sent again later they could surprise the operator."""
    state = node.session.state
    recorded = set() if state is None else _recorded(state)
    lost = [r for r in node.labour.asked if r.id not in recorded]
    kept = tuple(r for r in node.labour.asked if r.id in recorded)
    effects: list[Effect] = [_stated_failure(r, Code.NO_QUORUM, "quorum was lost") for r in lost]
    return replace(node, labour=replace(node.labour, asked=kept)), effects


def _recorded(state: ClusterState) -> set[str]:
    recorded = {r.id for r in state.requests} | {o.request for o in state.outcomes}
    return recorded if state.rollout is None else recorded | {state.rollout.request}


def _stated_failure(request: OperatorRequest, code: Code, text: str) -> AnswerRequest:
    reason = {Code.NO_QUORUM: "not-quorate"}.get(code, "not-synced")
    return AnswerRequest(
        outcome=Outcome(request=request.id, asked_by=request.asked_by, code=code, text=text, reason=reason)
    )


def _config_stored(node: Participant, event: ConfigStored, local_ms: int) -> Participant:
    if event.ok:
        labour = replace(
            node.labour, writing=None, disk_version=event.version, write_failure="", write_again_ms=None
        )
    else:
        again = local_ms + labouring.WRITE_RETRY_MS
        labour = replace(
            node.labour, writing=None, write_failure=event.text or "failed", write_again_ms=again
        )
    return replace(node, labour=labour)


def _epoch_stored(node: Participant, event: EpochStored, local_ms: int) -> tuple[Participant, list[Effect]]:
    if event.ok:
        labour = replace(node.labour, keeping=None, keep_again_ms=None, epoch_kept=event.epoch)
        return replace(node, labour=labour), []
    again = local_ms + labouring.WRITE_RETRY_MS
    text = (
        f"epoch {event.epoch} could not be written: {event.text}; no service starts before a majority has it"
    )
    note = Note(event="epoch.not-kept", subject=node.session.me.name, text=text)
    return replace(node, labour=replace(node.labour, keeping=None, keep_again_ms=again)), [note]


def _time_passed(node: Participant, local_ms: int) -> tuple[Participant, list[Effect]]:
    labour = node.labour
    if labour.write_again_ms is not None and labour.write_again_ms <= local_ms:
        labour = replace(labour, write_again_ms=None)
    if labour.keep_again_ms is not None and labour.keep_again_ms <= local_ms:
        labour = replace(labour, keep_again_ms=None)
    node = replace(node, labour=labour)
    if node.gap_until_ms is None or local_ms < node.gap_until_ms:
        return node, []
    return _without_quorum(replace(node, session=replace(node.session, quorate=False), gap_until_ms=None))


def _notes(before: ClusterState | None, node: Participant) -> list[Effect]:
    after = node.session.state
    effects: list[Effect] = [
        Note(event="cluster.note", subject=node.session.me.name, text=text) for text in node.session.notes
    ]
    if after is None or after is before:
        return effects
    if before is None or before.config is not after.config:
        effects.append(UseConfig(cluster=after.config, document=after.document))
    effects.extend(
        Note(event=c.event, subject=c.subject, text=c.text)
        for c in changes(before, after, node.session.me.nodeid)
    )
    return effects


def _lead(node: Participant, local_ms: int, wall_s: int) -> tuple[Participant, list[Effect]]:
    """Do the coordinator's part, where it falls to this node."""
    session = node.session
    effects: list[Effect] = []
    if session.view is None or session.evicted or node.held:
        return node, effects
    if (ruling := blocked.ruling(session, local_ms, wall_s)) is not None:
        return replace(node, session=replace(session, deciding=True)), [Send(entry=ruling)]
    if session.quorate is not True:
        return node, effects
    if (opening := log.opening(session, local_ms)) is not None:
        effects.append(Send(entry=opening))
        session = replace(session, open_sent=True)
    if (founding := log.founding(session, wall_s)) is not None:
        effects.append(Send(entry=founding))
        session = replace(session, snapshots=tuple(j.incarnation for j in founding.joiners))
    if log.coordinator(session) == session.me.nodeid:
        session, entries = _coordinate(session, local_ms, wall_s)
        effects.extend(Send(entry=entry) for entry in entries)
    return replace(node, session=session), effects


def _coordinate(session: Session, local_ms: int, wall_s: int) -> tuple[Session, list[Entry]]:
    state, view = session.state, session.view
    assert state is not None
    assert view is not None
    now_ms = log.cluster_now_ms(session, local_ms)
    outlook = policy.Outlook(
        view_id=view.view_id,
        members=view.members,
        hosts=view.hosts,
        synced=session.synced,
        hellos=tuple(h for h in session.hellos if h.cluster == session.me.cluster),
    )
    entries: list[Entry] = []
    if not session.deciding:
        proposals = policy.decide(state, outlook, session.me.nodeid, now_ms)
        if proposals:
            decision = Decision(
                view_id=view.view_id,
                now_ms=now_ms,
                wall_s=wall_s,
                proposals=proposals,
                checkpoint=log.checkpoint(session),
            )
            entries.append(decision)
            session = replace(session, deciding=True)
    if log.has_begun(session):
        joiners = tuple(j for j in policy.joiners(state, outlook) if j.incarnation not in session.snapshots)
        if joiners:
            entries.append(
                Snapshot(
                    view_id=view.view_id,
                    as_of=session.position,
                    joiners=joiners,
                    synced=session.synced,
                    state=state,
                    now_ms=now_ms,
                    wall_s=wall_s,
                )
            )
            session = replace(session, snapshots=(*session.snapshots, *(j.incarnation for j in joiners)))
    return session, entries


def _act(node: Participant) -> tuple[Participant, list[Effect]]:
    """Compare what the state wants of this node with what is done here, and begin or report what is missing."""
    session, labour = node.session, node.labour
    allowed = permission(node)
    wanted = reconcile(session.state, session.me, labour, allowed)
    effects: list[Effect] = []
    for task in wanted.tasks:
        labour = _begin(labour, task)
        effects.append(task)
    if session.state is not None and allowed.begun:
        node, reports = _report(node, wanted.entries)
        effects.extend(reports)
    labour, answers = _answers(labour, session)
    effects.extend(answers)
    if wanted.restart:
        effects.extend(_stated_failure(r, Code.AGAIN, "this node restarts") for r in labour.asked)
        effects.append(Restart(because=session.evicted))
        return replace(node, labour=labour, ended=True), effects
    if wanted.leave:
        effects.append(Leave())
        return replace(node, labour=labour, ended=True), effects
    return replace(node, labour=labour), effects


def _begin(labour: Labour, task: object) -> Labour:
    """Note that a task is under way, so that it is not begun twice."""
    match task:
        case StartService():
            work = replace(
                labour.service(task.service), phase=Phase.STARTING, generation=task.generation, failure=None
            )
            return labouring.with_service(labour, work)
        case StopService():
            work = replace(
                labour.service(task.service), phase=Phase.STOPPING, generation=task.generation, failure=None
            )
            return labouring.with_service(labour, work)
        case GiveUpWork():
            work = replace(labour.service(task.service), given_up=True)
            return labouring.with_service(labour, work)
        case StartAttempt():
            attempt = labouring.AttemptWork(id=(task.nodeid, task.generation, task.number))
            return labouring.with_attempt(labour, attempt)
        case CancelAttempt():
            return labouring.without_attempt(labour, (task.nodeid, task.generation, task.number))
        case TakeInventory():
            return replace(labour, inventory_asked=True)
        case WriteConfig():
            return replace(labour, writing=task.version)
        case KeepEpoch():
            return replace(labour, keeping=task.epoch)
        case _:
            return labour


def _report(node: Participant, entries: tuple[Entry, ...]) -> tuple[Participant, list[Effect]]:
    """Send what is not yet on its way in this view."""
    view = node.session.view
    assert view is not None
    on_their_way = node.reported if node.reported_in == view.view_id else ()
    labels = {encode(entry): entry for entry in entries}
    # What is not wanted any more has arrived; forgetting it lets the same report be made again later.
    still = tuple(label for label in on_their_way if label in labels)
    fresh = [label for label in labels if label not in still]
    node = replace(node, reported=(*still, *fresh), reported_in=view.view_id)
    return node, [Send(entry=labels[label]) for label in fresh]


def _answers(labour: Labour, session: Session) -> tuple[Labour, list[Effect]]:
    if not labour.asked:
        return labour, []
    outcomes = {o.request: o for o in session.verdicts}
    if session.state is not None and log.has_begun(session):
        outcomes.update({o.request: o for o in session.state.outcomes})
    answered = [outcomes[r.id] for r in labour.asked if r.id in outcomes]
    kept = tuple(r for r in labour.asked if r.id not in outcomes)
    return replace(labour, asked=kept), [AnswerRequest(outcome=o) for o in answered]
