"""One node's place in the ordered log: the view, who is synced, the state, and what this node has to do about itself.

Pure. The log's entries change it (log.py), and the opening of a view does (opening.py). Source: design section 2.
"""

from msgspec import Struct
from msgspec.structs import replace

from standfast.cluster.entry import Checkpoint, Entry, Hello, Lineage
from standfast.cluster.epoch import Epoch
from standfast.cluster.state import (
    PROTOCOL_VERSION,
    PROTOCOL_VERSION_MIN,
    ClusterState,
    ExpectedRequest,
    Outcome,
    digest,
    part_digests,
)
from standfast.conf.model import Cluster
from standfast.membership.quorum import Ballot, electorate
from standfast.membership.view import View
from standfast.membership.votes import has_arbiter, vote_table
from standfast.terms import BootId, Incarnation, NodeId


class Identity(Struct, frozen=True, kw_only=True):
    """Who this node is in this run of its daemon."""

    cluster: str
    nodeid: NodeId
    name: str
    incarnation: Incarnation
    boot_id: BootId
    epoch_seen: Epoch = Epoch()  # the last epoch that this machine remembers from earlier runs


class Unfolded(Struct, frozen=True):
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
    backlog: tuple[Unfolded, ...] = ()
    since_ms: int = 0
    anchor_ms: int = 0
    deciding: bool = False  # a Decision of this node is on its way
    snapshots: tuple[Incarnation, ...] = ()  # joiners that got a snapshot from this node in this view
    open_sent: bool = False
    checkpoints: tuple[tuple[int, ClusterState], ...] = ()
    epoch_seen: Epoch | None = None  # the last one of this run
    barrier: int = 0  # the last one that came back
    # What operators ask in a view in which nobody decides anything else: see cluster.blocked.
    pleas: tuple[ExpectedRequest, ...] = ()
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


def last_epoch(session: Session) -> Epoch:
    """Return the last epoch that this node took part in, or its disk remembers."""
    return session.me.epoch_seen if session.epoch_seen is None else session.epoch_seen


def greeting(session: Session) -> Hello:
    """Return this node's Hello for the current view."""
    assert session.view is not None
    me, state = session.me, session.state
    lineage = None if state is None else Lineage(state.present_epoch, state.index, digest(state))
    return Hello(
        view_id=session.view.view_id,
        cluster=me.cluster,
        nodeid=me.nodeid,
        name=me.name,
        incarnation=me.incarnation,
        boot_id=me.boot_id,
        protocol=PROTOCOL_VERSION,
        protocol_min=PROTOCOL_VERSION_MIN,
        epoch_seen=last_epoch(session),
        config_version=session.config.config_version,
        votes=dict(ballot_of(session).table.votes).get(me.nodeid, 0),
        votes_total=electorate(ballot_of(session)),
        arbiter=has_arbiter(session.config),
        two_node=session.config.two_node,
        lineage=lineage,
        restarting=bool(session.evicted),
    )


def checkpoint(session: Session) -> Checkpoint | None:
    """Return the fingerprint of the last state that is compared among the nodes."""
    if not session.checkpoints:
        return None
    index, state = session.checkpoints[-1]
    return Checkpoint(index, digest(state), part_digests(state))


def compared(session: Session, theirs: Checkpoint | None) -> Session:
    """Note where the state differs from what the coordinator had at the same place of the log."""
    if theirs is None:
        return session
    ours = next((state for index, state in session.checkpoints if index == theirs.index), None)
    if ours is None or digest(ours) == theirs.digest:
        return session
    parts = zip(ClusterState.__struct_fields__, part_digests(ours), theirs.parts, strict=False)
    named = ", ".join(name for name, mine, other in parts if mine != other) or "unknown"
    text = f"the state after entry {theirs.index} differs from the coordinator's; what differs: {named}"
    return replace(session, diverged=text)


def forget_state(session: Session) -> Session:
    """Drop a state that differs from the others': the node is synced anew, by those that stay synced."""
    others = tuple(n for n in session.synced if n != session.me.nodeid)
    return replace(session, state=None, synced=others, diverged="", checkpoints=(), backlog=())
