"""One node of the cluster as a step machine: what happens goes in, what the node has to do comes out.

Pure. The daemon and the simulator run this same machine; they alone wait, send, start and stop.
Source: design sections 1 and 2.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from standfast.cluster import asked, blocked, log
from standfast.cluster import decide as policy
from standfast.cluster import labour as labouring
from standfast.cluster.coordinator import lead
from standfast.cluster.effect import (
    Die,
    Effect,
    Leave,
    Note,
    Quit,
    Restart,
    Send,
    UseConfig,
    UseVotes,
)
from standfast.cluster.entry import Barrier, Entry, encode
from standfast.cluster.epoch import Epoch
from standfast.cluster.history import changes
from standfast.cluster.labour import Labour
from standfast.cluster.opening import OPEN_WAIT_MS
from standfast.cluster.reconcile import Permission, reconcile
from standfast.cluster.session import (
    Identity,
    Session,
    ballot_of,
    coordinator,
    has_begun,
)
from standfast.cluster.state import ClusterState, OperatorRequest
from standfast.conf.model import Cluster
from standfast.fencing.domain import AttemptId
from standfast.membership.quorum import in_force
from standfast.membership.view import View
from standfast.membership.votes import VoteTable, vote_table
from standfast.terms import NodeId, ServiceName

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

    epoch: Epoch
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
    more: list[Effect] = [*effects, *_news(before, node.session)]
    node = replace(node, session=replace(node.session, notes=()))
    if node.session.refused:
        return replace(node, ended=True), (*more, Quit(text=node.session.refused))
    if node.session.killed:
        _, answered = asked.answers(node.labour, node.session)
        return replace(node, ended=True), (*more, *answered, Die(because=node.session.killed))
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
        times.append(session.since_ms + OPEN_WAIT_MS)
    if node.gap_until_ms is not None:
        times.append(node.gap_until_ms)
    if session.state is not None and coordinator(session) == session.me.nodeid:
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
    begun = has_begun(session)
    may_act = begun and session.quorate is True and not must_stop and not node.held
    return Permission(
        begun=begun,
        may_act=may_act,
        must_stop=must_stop,
        evicted=bool(session.evicted),
        is_last=_is_last(session),
    )


def _is_last(session: Session) -> bool:
    """Whether no other member of the state is here any more, but for one that has begun anew."""
    if session.view is None or session.state is None:
        return True
    said = {hello.nodeid: hello.incarnation for hello in session.hellos}
    return all(
        m.nodeid == session.me.nodeid
        or m.nodeid not in session.view.members
        or said.get(m.nodeid, m.incarnation) != m.incarnation
        for m in session.state.members
    )


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
            labour, effects = asked.take(node.labour, node.session, event.request)
            return replace(node, labour=labour), effects
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
            stored = labouring.config_stored(
                node.labour, event.version, ok=event.ok, text=event.text, local_ms=local_ms
            )
            return replace(node, labour=stored), []
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
    if node.held and node.session.barrier >= node.held:
        node = replace(node, held=0)
    me, diverged = node.session.me, node.session.diverged
    notes = [Note(event="state.diverged", subject=me.name, text=diverged)] if diverged else []
    session, entries = log.overdue(node.session)
    return replace(node, session=session), [*notes, *(Send(entry=entry) for entry in entries)]


def _quorum_seen(node: Participant, seen: QuorumSeen, local_ms: int) -> tuple[Participant, list[Effect]]:
    session = node.session
    if session.view is None or session.view.view_id != seen.view_id:
        return node, []
    if seen.quorate:
        return replace(node, session=replace(session, quorate=True), gap_until_ms=None), []
    if node.gap_until_ms is None and blocked.is_gap(session):
        return replace(node, gap_until_ms=local_ms + GAP_MS), []
    if node.gap_until_ms is not None and local_ms < node.gap_until_ms:
        return node, []
    return _without_quorum(node)


def _count_votes(node: Participant) -> tuple[Participant, list[Effect]]:
    """Tell the engine what quorum is judged by, where that has changed."""
    session = node.session
    if session.state is None and session.provisional is None:
        return node, []
    table = in_force(ballot_of(session))
    if table == node.told:
        return node, []
    return replace(node, told=table), [UseVotes(table=table)]


def _without_quorum(node: Participant) -> tuple[Participant, list[Effect]]:
    node = replace(node, session=replace(node.session, quorate=False), gap_until_ms=None)
    labour, effects = asked.end_unrecorded(node.labour, node.session)
    return replace(node, labour=labour), effects


def _epoch_stored(node: Participant, event: EpochStored, local_ms: int) -> tuple[Participant, list[Effect]]:
    labour = labouring.epoch_stored(node.labour, event.epoch, ok=event.ok, local_ms=local_ms)
    node = replace(node, labour=labour)
    if event.ok:
        return node, []
    text = f"epoch {event.epoch.number} could not be written: {event.text}; no service starts before a majority has it"
    return node, [Note(event="epoch.not-kept", subject=node.session.me.name, text=text)]


def _time_passed(node: Participant, local_ms: int) -> tuple[Participant, list[Effect]]:
    node = replace(node, labour=labouring.time_passed(node.labour, local_ms))
    if node.gap_until_ms is None or local_ms < node.gap_until_ms:
        return node, []
    return _without_quorum(node)


def _news(before: ClusterState | None, session: Session) -> list[Effect]:
    """What is to be told, and used, of a state that has changed."""
    after = session.state
    effects: list[Effect] = []
    if after is not None and (before is None or before.config is not after.config):
        effects.append(UseConfig(cluster=after.config, document=after.document))
    effects.extend(Note(event=c.event, subject=c.subject, text=c.text) for c in changes(before, session))
    return effects


def _lead(node: Participant, local_ms: int, wall_s: int) -> tuple[Participant, list[Effect]]:
    """Do the coordinator's part, where this node may and it falls to it."""
    session = node.session
    if session.view is None or session.evicted or node.held:
        return node, []
    if (ruling := blocked.ruling(session, local_ms, wall_s)) is not None:
        return replace(node, session=replace(session, deciding=True)), [Send(entry=ruling)]
    if session.quorate is not True:
        return node, []
    session, entries = lead(session, local_ms, wall_s)
    return replace(node, session=session), [Send(entry=entry) for entry in entries]


def _act(node: Participant) -> tuple[Participant, list[Effect]]:
    """Compare what the state wants of this node with what is done here, and begin or report what is missing."""
    session, labour = node.session, node.labour
    allowed = permission(node)
    wanted = reconcile(session.state, session.me, labour, allowed)
    effects: list[Effect] = []
    for task in wanted.tasks:
        labour = labouring.begun(labour, task)
        effects.append(task)
    if session.state is not None and allowed.begun:
        node, reports = _report(node, wanted.entries)
        effects.extend(reports)
    labour, answered = asked.answers(labour, session)
    effects.extend(answered)
    if wanted.restart:
        effects.extend(asked.end_all(labour))
        effects.append(Restart(because=session.evicted))
        return replace(node, labour=labour, ended=True), effects
    if wanted.leave:
        effects.append(Leave())
        return replace(node, labour=labour, ended=True), effects
    return replace(node, labour=labour), effects


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
