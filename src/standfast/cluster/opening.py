"""The opening of a view: everyone has said Hello, or was waited for; then it is clear whose state goes on, and who founds.

Pure. Source: design section 2, joining and merging.
"""

from msgspec.structs import replace

from standfast.cluster.entry import Hello, Joiner, Lineage, Open, Snapshot
from standfast.cluster.epoch import remembers_nothing_later
from standfast.cluster.membership import form
from standfast.cluster.session import Session, ballot_of
from standfast.membership.quorum import is_majority
from standfast.terms import NodeId

OPEN_WAIT_MS = 3_000  # how long a view waits for the Hello of a member that says nothing


def take_hello(session: Session, sender: NodeId, hello: Hello) -> Session:
    """Take in what a node says of itself; the last one that was waited for opens the view."""
    assert session.view is not None
    if hello.view_id != session.view.view_id or hello.nodeid != sender:
        return session
    others = tuple(h for h in session.hellos if h.nodeid != sender)
    session = replace(session, hellos=tuple(sorted((*others, hello), key=lambda h: h.nodeid)))
    return session if session.opened else try_open(session)


def try_open(session: Session) -> Session:
    """Open the view if everybody in it has said Hello."""
    assert session.view is not None
    heard = {h.nodeid for h in session.hellos}
    return open_view(session, frozenset(heard)) if heard >= set(session.view.members) else session


def open_view(session: Session, nodes: frozenset[NodeId]) -> Session:
    """Open the view: the best lineage goes on, whoever holds another one gives its own up."""
    session = _sort_out(replace(session, opened=True), nodes)
    heard = [h for h in _related(session) if h.nodeid in nodes]
    with_state = [(h.nodeid, h.lineage) for h in heard if h.lineage is not None]
    if not with_state:
        lost = session.state is not None
        session = replace(session, synced=(), state=None, checkpoints=())
        return replace(session, evicted="the cluster began anew without this node") if lost else session
    sizes = {lineage: sum(1 for _, other in with_state if other == lineage) for _, lineage in with_state}
    latest = [(nodeid, lineage) for nodeid, lineage in with_state if _is_latest(lineage, heard)]
    if not latest:
        lost = session.state is not None
        session = replace(session, synced=(), state=None, checkpoints=())
        text = "what the cluster knew last was lost with the nodes that knew it"
        return replace(session, evicted=text) if lost else session
    # Of two parts that went on, the one of the later view had a majority that knew nothing of the other.
    _, best = max(latest, key=lambda pair: (pair[1].epoch, pair[1].index, sizes[pair[1]], -pair[0]))
    winners = tuple(sorted(nodeid for nodeid, lineage in with_state if lineage == best))
    if session.me.nodeid in winners:
        return replace(session, synced=winners)
    state = session.state
    session = replace(session, synced=winners, state=None, checkpoints=())
    if state is None:
        return session
    if state.present_epoch == best.epoch:
        note = "this node missed the last entries of its view; it is synced anew"
        return replace(session, greet=True, notes=(*session.notes, note))
    return replace(session, evicted="the cluster went on without this node")


def opening(session: Session, local_ms: int) -> Open | None:
    """Return the entry that opens a view although somebody says nothing, when it is this node's turn to send it."""
    if session.opened or session.open_sent or session.view is None or not session.quorate:
        return None
    if local_ms - session.since_ms < OPEN_WAIT_MS:
        return None
    heard = tuple(h.nodeid for h in session.hellos)
    if session.me.nodeid not in heard or session.me.nodeid != min(heard):
        return None
    if not is_majority(ballot_of(session), heard):
        return None
    return Open(view_id=session.view.view_id, nodes=heard)


def founding(session: Session, wall_s: int) -> Snapshot | None:
    """Return the first state of a new epoch, where nobody has one and it is for this node to make it.

    It is made by the node with the highest config version, lowest id first, once the view is quorate.
    """
    view = session.view
    if view is None or not session.opened or session.synced or session.state is not None:
        return None
    if not session.quorate or session.evicted or session.snapshots or session.me.nodeid != founder(session):
        return None
    hellos = _related(session)
    epoch = 1 + max(h.epoch_seen.number for h in hellos)
    listed = {n.nodeid: n.name for n in session.config.nodes}
    own = [h for h in hellos if listed.get(h.nodeid) == h.name]
    if not is_majority(ballot_of(session), {h.nodeid for h in own}):
        return None  # the engine counts daemons of another cluster, too; they know nothing of what this one has agreed
    welcome = [h for h in own if _is_blank(h)]
    state = form(
        session.config,
        session.document,
        epoch=epoch,
        by=session.me.nodeid,
        view_id=view.view_id,
        present=frozenset(h.nodeid for h in welcome),
        ballot=ballot_of(session),
        wall_s=wall_s,
    )
    return Snapshot(
        view_id=view.view_id,
        as_of=session.position,
        joiners=tuple(
            Joiner(nodeid=h.nodeid, incarnation=h.incarnation, boot_id=h.boot_id, protocol=h.protocol)
            for h in welcome
        ),
        synced=(),
        state=state,
        now_ms=0,
        wall_s=wall_s,
    )


def founder(session: Session) -> NodeId | None:
    """The node that makes the first state: the one with the newest configuration, of those the one that was there last.

    Two files may have the same number; the one that the cluster acknowledged is with the nodes that remember it.
    While a node that has to restart holds a newer one, nobody is: it will be back, and an acknowledged update is not lost.
    """
    hellos = _related(session)
    newest = max(
        hellos, key=lambda h: (h.config_version, h.epoch_seen, _is_blank(h), -h.nodeid), default=None
    )
    return newest.nodeid if newest is not None and _is_blank(newest) else None


def _sort_out(session: Session, nodes: frozenset[NodeId]) -> Session:
    """Clusters with different names on one engine: the one with more to lose stays, the others' nodes go; all say so.

    More to lose has who has a state, then who has more votes, then who has the lowest node id.
    """
    heard = [h for h in session.hellos if h.nodeid in nodes]
    rank = {
        name: (
            any(h.lineage is not None for h in heard if h.cluster == name),
            sum(h.votes for h in heard if h.cluster == name),
            -min(h.nodeid for h in heard if h.cluster == name),
        )
        for name in {h.cluster for h in heard}
    }
    stays = max(rank, key=lambda name: rank[name], default=session.me.cluster)
    for hello in heard:
        if hello.cluster == session.me.cluster:
            continue
        text = (
            f'node "{hello.name}" (id {hello.nodeid}) belongs to cluster "{hello.cluster}", '
            f'this node to cluster "{session.me.cluster}"'
        )
        if stays != session.me.cluster:
            return replace(
                session, refused=f"{text}; give them engines of their own, or mend the cluster's name"
            )
        session = replace(session, notes=(*session.notes, f"{text}: it is refused"))
    return session


def _related(session: Session) -> tuple[Hello, ...]:
    return tuple(h for h in session.hellos if h.cluster == session.me.cluster)


def _is_latest(lineage: Lineage, heard: list[Hello]) -> bool:
    """Whether no later state than this can exist: half of the votes has it, or remembers no later epoch.

    A later epoch was kept by a majority before anything was started in it, and a majority and a half share a node. How many
    votes there are is for those to say that have the state: others may have the file of another cluster. A node that
    remembers nothing (a new or diskless one) vouches for nothing. With an arbiter no votes tell: whoever has the state was
    not fenced, so others can have started nothing of it, unless somebody who is here remembers that they went on.
    """
    holders = [h for h in heard if h.lineage == lineage]
    if any(h.arbiter for h in holders):
        return any(h.two_node for h in holders) or not any(
            h.epoch_seen.number and not remembers_nothing_later(h.epoch_seen, lineage.epoch)
            for h in heard
            if h not in holders
        )
    vouching = [h for h in heard if h in holders or remembers_nothing_later(h.epoch_seen, lineage.epoch)]
    # Operators may have lowered the votes that the holders count. Whoever remembers a later epoch shows that more counted
    # since: then it is half of the most that anybody knows of.
    is_passed = any(h not in vouching and h.epoch_seen.number for h in heard)
    counting = heard if is_passed else holders
    return 2 * sum(h.votes for h in vouching) >= max(h.votes_total for h in counting)


def _is_blank(hello: Hello) -> bool:
    """Whether the node has no state and is free to take one over."""
    return hello.lineage is None and not hello.restarting
