"""The coordinator's part: opening and founding where nobody has, deciding, handing the state to those who join.

Pure. Source: design section 2.
"""

from msgspec.structs import replace

from standfast.cluster import decide as policy
from standfast.cluster.entry import Decision, Entry, Snapshot
from standfast.cluster.opening import founding, opening
from standfast.cluster.session import Session, checkpoint, cluster_now_ms, coordinator, has_begun


def lead(session: Session, local_ms: int, wall_s: int) -> tuple[Session, tuple[Entry, ...]]:
    """Return what falls to this node to say in a quorate view; nothing while that is somebody else's."""
    entries: list[Entry] = []
    if (opened := opening(session, local_ms)) is not None:
        entries.append(opened)
        session = replace(session, open_sent=True)
    if (founded := founding(session, wall_s)) is not None:
        entries.append(founded)
        session = replace(session, snapshots=tuple(j.incarnation for j in founded.joiners))
    if coordinator(session) == session.me.nodeid:
        session, more = _coordinate(session, local_ms, wall_s)
        entries.extend(more)
    return session, tuple(entries)


def _coordinate(session: Session, local_ms: int, wall_s: int) -> tuple[Session, list[Entry]]:
    state, view = session.state, session.view
    assert state is not None
    assert view is not None
    now_ms = cluster_now_ms(session, local_ms)
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
                checkpoint=checkpoint(session),
            )
            entries.append(decision)
            session = replace(session, deciding=True)
    if has_begun(session):
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
