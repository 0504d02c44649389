"""One node's place in the ordered log: the view, who is synced, joining, merging, and folding entries in order.

Pure: `step`-like functions over a frozen Session; what a node sends is returned as entries. Source: design section 2.
"""

from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from standfast.cluster import apply as folding
from standfast.cluster.entry import (
    Barrier,
    Checkpoint,
    Decision,
    Entry,
    Evict,
    Hello,
    Inventory,
    Joiner,
    Kill,
    Lineage,
    Observation,
    Open,
    Refuse,
    Request,
    Resync,
    Snapshot,
)
from standfast.cluster.membership import form
from standfast.cluster.state import (
    PROTOCOL_VERSION,
    PROTOCOL_VERSION_MIN,
    ClusterState,
    Outcome,
    QuorumRequest,
    digest,
    part_digests,
)
from standfast.conf.model import Cluster
from standfast.membership.quorum import Ballot, electorate, is_majority
from standfast.membership.view import View
from standfast.membership.votes import vote_table
from standfast.terms import BootId, Incarnation, NodeId

OPEN_WAIT_MS = 3_000  # how long a view waits for the Hello of a member that says nothing
CHECKPOINT_ENTRIES = 64  # how often decisions carry the state's fingerprint
CHECKPOINTS_KEPT = 8


class Identity(Struct, frozen=True, kw_only=True):
    """Who this node is in this run of its daemon."""

    cluster: str
    nodeid: NodeId
    name: str
    incarnation: Incarnation
    boot_id: BootId
    epoch_seen: int = 0  # the highest epoch that this machine remembers from earlier runs


class Delivered(Struct, frozen=True):
    """One message of this view that could not be folded yet, for want of a state."""

    position: int
    sender: NodeId
    entry: Entry


class Session(Struct, frozen=True, kw_only=True):
    """What a node knows from the log. `state` is None until it is synced.

    `position` counts the messages of this view. `quorate` is this node's own flag for this view, None before the engine has
    told it. `since_ms` is when the view began, on this node's clock; `anchor_ms` is when cluster time was last heard, on it.
    """

    me: Identity
    config: Cluster
    document: str
    view: View | None = None
    quorate: bool | None = None
    opened: bool = False
    hellos: tuple[Hello, ...] = ()
    synced: tuple[NodeId, ...] = ()
    state: ClusterState | None = None
    position: int = 0
    backlog: tuple[Delivered, ...] = ()
    since_ms: int = 0
    anchor_ms: int = 0
    deciding: bool = False  # a Decision of this node is on its way
    snapshots: tuple[Incarnation, ...] = ()  # joiners that got a snapshot from this node in this view
    open_sent: bool = False
    checkpoints: tuple[tuple[int, ClusterState], ...] = ()
    epoch_seen: int = 0
    barrier: int = 0  # the last one that came back
    # What operators ask about votes in a view in which nobody decides anything else yet: see cluster.blocked.
    pleas: tuple[QuorumRequest, ...] = ()
    verdicts: tuple[Outcome, ...] = ()
    provisional: Ballot | None = None  # what they changed where nobody has a state
    # What the node has to do about itself; empty while there is nothing.
    refused: str = ""
    evicted: str = ""
    killed: str = ""
    diverged: str = ""
    greet: bool = False  # say Hello once more: this node has no state any more
    notes: tuple[str, ...] = ()  # for the log, since the last look


def coordinator(session: Session) -> NodeId | None:
    """Return the node that decides: the lowest synced member, None while nobody is synced here."""
    if session.state is None or not session.opened or not session.synced:
        return None
    return min(session.synced)


def has_begun(session: Session) -> bool:
    """Whether the quorate part has begun to decide in the current view, as far as this node has read."""
    view, state = session.view, session.state
    return view is not None and state is not None and session.opened and state.begun_view == view.view_id


def ballot_of(session: Session) -> Ballot:
    """Return the votes as this node knows them: those of the state, or of its file while it has none."""
    if session.state is not None:
        return session.state.ballot
    return session.provisional or Ballot(table=vote_table(session.config))


def cluster_now_ms(session: Session, local_ms: int) -> int:
    """Return cluster time: the last that was heard, plus this node's own time since."""
    assert session.state is not None
    return session.state.now_ms + max(0, local_ms - session.anchor_ms)


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
    return _try_open(session), () if is_heard else (greeting(session),)


def greeting(session: Session) -> Hello:
    """Return this node's Hello for the current view."""
    assert session.view is not None
    me, state = session.me, session.state
    lineage = None if state is None else Lineage(state.epoch, state.index, state.begun_view)
    return Hello(
        view_id=session.view.view_id,
        cluster=me.cluster,
        nodeid=me.nodeid,
        name=me.name,
        incarnation=me.incarnation,
        boot_id=me.boot_id,
        protocol=PROTOCOL_VERSION,
        protocol_min=PROTOCOL_VERSION_MIN,
        epoch_seen=max(session.epoch_seen, me.epoch_seen),
        config_version=session.config.config_version,
        votes=dict(ballot_of(session).table.votes).get(me.nodeid, 0),
        votes_total=electorate(ballot_of(session)),
        two_node=session.config.two_node,
        lineage=lineage,
        restarting=bool(session.evicted),
    )


def on_message(session: Session, sender: NodeId, entry: Entry, local_ms: int) -> Session:
    """Take one message in, at its place of the order."""
    session = replace(session, position=session.position + 1)
    view = session.view
    assert view is not None
    match entry:
        case Hello():
            return _on_hello(session, sender, entry)
        case Open():
            if entry.view_id == view.view_id and not session.opened:
                return _open(session, frozenset(entry.nodes))
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
            kept = (*session.backlog, Delivered(session.position, sender, entry))
            session = replace(session, backlog=kept)
            return _on_snapshot(session, sender, entry, local_ms) if isinstance(entry, Snapshot) else session
        case _:
            assert_never(entry)


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
    epoch = 1 + max(h.epoch_seen for h in hellos)
    listed = {n.nodeid: n.name for n in session.config.nodes}
    welcome = [h for h in hellos if listed.get(h.nodeid) == h.name and _is_blank(h)]
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


def checkpoint(session: Session) -> Checkpoint | None:
    """Return the fingerprint of the last state that is compared among the nodes."""
    if not session.checkpoints:
        return None
    index, state = session.checkpoints[-1]
    return Checkpoint(index, digest(state), part_digests(state))


def forget_state(session: Session) -> Session:
    """Drop a state that differs from the others': the node is synced anew, by those that still are."""
    others = tuple(n for n in session.synced if n != session.me.nodeid)
    return replace(session, state=None, synced=others, diverged="", checkpoints=(), backlog=())


def _on_hello(session: Session, sender: NodeId, hello: Hello) -> Session:
    assert session.view is not None
    if hello.view_id != session.view.view_id or hello.nodeid != sender:
        return session
    others = tuple(h for h in session.hellos if h.nodeid != sender)
    session = replace(session, hellos=tuple(sorted((*others, hello), key=lambda h: h.nodeid)))
    return session if session.opened else _try_open(session)


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


def _resynced(session: Session, sender: NodeId) -> Session:
    """Another node gave its state up: it is to get a snapshot, even if it had one in this view already."""
    again = {h.incarnation for h in session.hellos if h.nodeid == sender}
    return replace(
        session,
        synced=tuple(n for n in session.synced if n != sender),
        snapshots=tuple(i for i in session.snapshots if i not in again),
    )


def _related(session: Session) -> tuple[Hello, ...]:
    return tuple(h for h in session.hellos if h.cluster == session.me.cluster)


def _try_open(session: Session) -> Session:
    assert session.view is not None
    heard = {h.nodeid for h in session.hellos}
    return _open(session, frozenset(heard)) if heard >= set(session.view.members) else session


def _open(session: Session, nodes: frozenset[NodeId]) -> Session:
    """Open the view: the best lineage goes on, whoever holds another one gives its own up."""
    session = _sort_out(replace(session, opened=True), nodes)
    heard = [h for h in _related(session) if h.nodeid in nodes]
    with_state = [(h.nodeid, h.lineage) for h in heard if h.lineage is not None]
    if not with_state:
        lost = session.state is not None
        session = replace(session, synced=(), state=None, checkpoints=())
        return replace(session, evicted="the cluster began anew without this node") if lost else session
    sizes = {lineage: sum(1 for _, other in with_state if other == lineage) for _, lineage in with_state}
    # Two parts may have begun an epoch of the same number; the later view had a majority that knew nothing of the earlier.
    _, best = max(
        with_state,
        key=lambda pair: (pair[1].epoch, pair[1].begun_view, pair[1].index, sizes[pair[1]], -pair[0]),
    )
    winners = tuple(sorted(nodeid for nodeid, lineage in with_state if lineage == best))
    if not _is_latest(best, winners, heard):
        lost = session.state is not None
        session = replace(session, synced=(), state=None, checkpoints=())
        text = "what the cluster knew last was lost with the nodes that knew it"
        return replace(session, evicted=text) if lost else session
    if session.me.nodeid in winners:
        return replace(session, synced=winners)
    state = session.state
    session = replace(session, synced=winners, state=None, checkpoints=())
    if state is None:
        return session
    if state.epoch == best.epoch and state.begun_view == best.begun_view:
        note = "this node missed the last entries of its view; it is synced anew"
        return replace(session, greet=True, notes=(*session.notes, note))
    return replace(session, evicted="the cluster went on without this node")


def _is_latest(best: Lineage, winners: tuple[NodeId, ...], heard: list[Hello]) -> bool:
    """Whether no later state than this can exist: half of the votes has it, or remembers no later epoch.

    A later epoch was kept by a majority before anything was started in it, and a majority and a half share a node. How many
    votes there are is for those to say that have the state: others may have the file of another cluster. A node that
    remembers nothing (a new or diskless one) vouches for nothing. In two-node mode the half with the state was not fenced,
    so the other half can have started nothing.
    """
    holders = [h for h in heard if h.nodeid in winners]
    if any(h.two_node for h in holders):
        return True
    vouching = [h for h in heard if h.nodeid in winners or 0 < h.epoch_seen <= best.epoch]
    return 2 * sum(h.votes for h in vouching) >= max(h.votes_total for h in holders)


def _is_blank(hello: Hello) -> bool:
    """Whether the node has no state and is free to take one over."""
    return hello.lineage is None and not hello.restarting


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
            session = _compare(session, entry.checkpoint)
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
        epoch_seen=max(session.epoch_seen, state.epoch),
        config=state.config,
        document=state.document,
    )


def _compare(session: Session, theirs: Checkpoint | None) -> Session:
    if theirs is None:
        return session
    ours = next((state for index, state in session.checkpoints if index == theirs.index), None)
    if ours is None or digest(ours) == theirs.digest:
        return session
    parts = zip(ClusterState.__struct_fields__, part_digests(ours), theirs.parts, strict=False)
    named = ", ".join(name for name, mine, other in parts if mine != other) or "unknown"
    text = f"the state after entry {theirs.index} differs from the coordinator's; what differs: {named}"
    return replace(session, diverged=text)
