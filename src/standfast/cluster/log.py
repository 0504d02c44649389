"""Reading the ordered log: entering views, taking messages in at their place, folding them into the state.

Pure. Source: design section 2.
"""

from typing import assert_never

from msgspec.structs import replace

from standfast.cluster import apply as folding
from standfast.cluster.entry import (
    Barrier,
    Decision,
    Entry,
    Evict,
    Hello,
    Inventory,
    Kill,
    Observation,
    Open,
    Refuse,
    Request,
    Resync,
    Snapshot,
)
from standfast.cluster.opening import founder, open_view, take_hello, try_open
from standfast.cluster.session import Session, Unfolded, compared, coordinator, forget_state, greeting
from standfast.cluster.state import ClusterState
from standfast.membership.view import View
from standfast.terms import NodeId

CHECKPOINT_ENTRIES = 64  # how often decisions carry the state's fingerprint
CHECKPOINTS_KEPT = 8


def on_view(session: Session, view: View, local_ms: int) -> tuple[Session, tuple[Entry, ...]]:
    """Enter a view. With newcomers in it everyone says Hello first; after a mere loss the rest goes on at once."""
    first = session.view is None
    synced = tuple(n for n in session.synced if n in view.members)
    session = replace(
        session,
        view=view,
        quorate=None,
        synced=synced,
        position=0,
        backlog=(),
        since_ms=local_ms,
        deciding=False,
        snapshots=(),
        open_sent=False,
        pleas=(),
        verdicts=(),
        provisional=None,
    )
    if first or view.joined:
        session = replace(session, opened=False, hellos=())
        return session, (greeting(session),)
    session = replace(session, hellos=tuple(h for h in session.hellos if h.nodeid in view.members))
    if session.opened:
        return session, ()
    # A Hello that was still on its way when the view changed is one of the last view, and counts for nobody.
    is_heard = any(h.nodeid == session.me.nodeid for h in session.hellos)
    return try_open(session), () if is_heard else (greeting(session),)


def on_message(session: Session, sender: NodeId, entry: Entry, local_ms: int) -> Session:
    """Take one message in, at its place of the order."""
    session = replace(session, position=session.position + 1)
    view = session.view
    assert view is not None
    match entry:
        case Hello():
            return take_hello(session, sender, entry)
        case Open():
            if entry.view_id == view.view_id and not session.opened:
                return open_view(session, frozenset(entry.nodes))
            return session
        case Resync():
            return _resynced(session, sender) if entry.view_id == view.view_id else session
        case Barrier():
            mine = sender == session.me.nodeid and entry.incarnation == session.me.incarnation
            return replace(session, barrier=max(session.barrier, entry.number)) if mine else session
        case Snapshot() | Inventory() | Observation() | Request() | Decision():
            session = _heed(session, entry)
            if session.state is not None:
                return _fold(session, sender, entry, local_ms)
            kept = (*session.backlog, Unfolded(session.position, sender, entry))
            session = replace(session, backlog=kept)
            return _on_snapshot(session, sender, entry, local_ms) if isinstance(entry, Snapshot) else session
        case _:
            assert_never(entry)


def overdue(session: Session) -> tuple[Session, tuple[Entry, ...]]:
    """Return what this node has to say of itself now: that its state differs from the others', or Hello once more."""
    entries: list[Entry] = []
    if session.diverged:
        assert session.view is not None
        entries.append(Resync(view_id=session.view.view_id))
        session = replace(forget_state(session), greet=True)
    if session.greet:
        session = replace(session, greet=False)
        entries.append(greeting(session))
    return session, tuple(entries)


def _resynced(session: Session, sender: NodeId) -> Session:
    """Another node gave its state up: it is to get a snapshot, even if it had one in this view already."""
    lives = {h.incarnation for h in session.hellos if h.nodeid == sender}
    return replace(
        session,
        synced=tuple(n for n in session.synced if n != sender),
        snapshots=tuple(incarnation for incarnation in session.snapshots if incarnation not in lives),
    )


def _heed(session: Session, entry: Entry) -> Session:
    """Obey what is said to this node itself, whether it is synced or not."""
    if not isinstance(entry, Decision) or session.view is None or entry.view_id != session.view.view_id:
        return session
    for proposal in entry.proposals:
        if isinstance(proposal, Kill) and proposal.incarnation == session.me.incarnation:
            session = replace(session, killed=proposal.because)
        if isinstance(proposal, Refuse | Evict):
            if proposal.incarnation == session.me.incarnation:
                if isinstance(proposal, Refuse):
                    session = replace(session, refused=proposal.because)
                else:
                    session = replace(session, evicted=proposal.because)
            elif isinstance(proposal, Refuse):
                note = f"node {proposal.nodeid} is refused: {proposal.because}"
                session = replace(session, notes=(*session.notes, note))
            if isinstance(proposal, Refuse):
                session = replace(
                    session, hellos=tuple(h for h in session.hellos if h.incarnation != proposal.incarnation)
                )
    return session


def _on_snapshot(session: Session, sender: NodeId, snapshot: Snapshot, local_ms: int) -> Session:
    """A snapshot passes a node without state: take it over if it is meant for this node, else remember who is synced."""
    view = session.view
    assert view is not None
    if snapshot.view_id != view.view_id or not session.opened:
        return session
    if sender != (min(session.synced) if session.synced else founder(session)):
        return session
    if not session.evicted and any(j.incarnation == session.me.incarnation for j in snapshot.joiners):
        return _install(session, snapshot, local_ms)
    joined = {j.nodeid for j in snapshot.joiners if j.nodeid in view.members}
    return replace(session, synced=tuple(sorted({*session.synced, *joined})))


def _install(session: Session, snapshot: Snapshot, local_ms: int) -> Session:
    """Take over the state of a snapshot, and everything that came after its place of the log."""
    backlog = session.backlog
    session = replace(
        session, state=snapshot.state, synced=snapshot.synced, backlog=(), anchor_ms=local_ms, checkpoints=()
    )
    if not snapshot.synced:
        return _admit(session, snapshot, local_ms)
    for delivered in backlog:
        if delivered.position > snapshot.as_of:
            session = _fold(session, delivered.sender, delivered.entry, local_ms)
    return session


def _fold(session: Session, sender: NodeId, entry: Entry, local_ms: int) -> Session:
    """Fold an entry into the state, if it counts at this place of the log."""
    state, view = session.state, session.view
    assert state is not None
    assert view is not None
    begun = session.opened and state.begun_view == view.view_id
    match entry:
        case Snapshot() if begun and entry.view_id == view.view_id and sender == coordinator(session):
            return _admit(session, entry, local_ms)
        case Decision() if (
            session.opened and entry.view_id == view.view_id and sender == coordinator(session)
        ):
            session = compared(session, entry.checkpoint)
            folded = folding.apply_decision(state, entry, sender)
            mine = sender == session.me.nodeid
            session = replace(session, anchor_ms=local_ms, deciding=session.deciding and not mine)
        case Decision() if entry.view_id == view.view_id and sender == session.me.nodeid:
            return replace(session, deciding=False)
        case Inventory() if begun:
            folded = folding.apply_inventory(state, entry, sender)
        case Observation() if begun:
            folded = folding.apply_observation(state, entry, sender)
        case Request() if begun and entry.view_id == view.view_id:
            folded = folding.apply_request(state, entry)
        case _:
            return session
    return _advanced(session, folded)


def _admit(session: Session, snapshot: Snapshot, local_ms: int) -> Session:
    assert session.state is not None
    assert session.view is not None
    folded = folding.apply_snapshot(session.state, snapshot)
    joined = {j.nodeid for j in snapshot.joiners if j.nodeid in session.view.members}
    synced = tuple(sorted({*session.synced, *joined}))
    return _advanced(replace(session, synced=synced, anchor_ms=local_ms), folded)


def _advanced(session: Session, state: ClusterState) -> Session:
    checkpoints = session.checkpoints
    if state.index % CHECKPOINT_ENTRIES == 0:
        checkpoints = (*checkpoints, (state.index, state))[-CHECKPOINTS_KEPT:]
    return replace(
        session,
        state=state,
        checkpoints=checkpoints,
        epoch_seen=state.present_epoch,
        config=state.config,
        document=state.document,
    )
