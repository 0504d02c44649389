"""The entries of the ordered log, and how they are put into the engine's messages.

Pure. Source: design section 2. The engine's own entry, the View, is engine.contract.View.
"""

import msgspec
from msgspec import Struct

from standfast.cluster.epoch import Epoch
from standfast.cluster.state import ClusterState, OperatorRequest
from standfast.fencing.domain import BeginFencing
from standfast.services.proposal import ServiceFact, ServiceProposal
from standfast.terms import BootId, Incarnation, NodeId, ServiceName


class Lineage(Struct, frozen=True):
    """Which history a node's state is: equal lineages are equal states.

    Sides that part may end a view with different entries, and as many: only the state's digest tells them apart.
    """

    epoch: Epoch
    index: int
    digest: str


class Hello(Struct, frozen=True, tag=True, kw_only=True):
    """A node presents itself in a view. `lineage` is None for a node without state."""

    view_id: int
    cluster: str
    nodeid: NodeId
    name: str
    incarnation: Incarnation
    boot_id: BootId
    protocol: int
    protocol_min: int
    epoch_seen: Epoch
    config_version: int
    votes: int
    votes_total: int  # of all configured nodes
    arbiter: bool  # parts without the majority may be quorate
    two_node: bool
    lineage: Lineage | None = None
    restarting: bool = False  # it was evicted and stops everything; it will come back as a new incarnation


class Open(Struct, frozen=True, tag=True, kw_only=True):
    """Stop waiting for those that have not said Hello in this view: it is opened with `nodes`."""

    view_id: int
    nodes: tuple[NodeId, ...]


class Snapshot(Struct, frozen=True, tag=True, kw_only=True):
    """The coordinator hands its state, as of message number `as_of` of this view, to `joiners`, which are members then."""

    view_id: int
    as_of: int
    joiners: tuple["Joiner", ...]
    synced: tuple[NodeId, ...]
    state: ClusterState
    now_ms: int
    wall_s: int


class Joiner(Struct, frozen=True, kw_only=True):
    """A node that is taken in, with what its Hello said."""

    nodeid: NodeId
    incarnation: Incarnation
    boot_id: BootId
    protocol: int


class Inventory(Struct, frozen=True, tag=True, kw_only=True):
    """What a synced node really runs: services that run, and those of which a part may run that could not be stopped."""

    incarnation: Incarnation
    running: tuple[ServiceName, ...] = ()
    broken: tuple[ServiceName, ...] = ()


class FenceResult(Struct, frozen=True, tag=True, kw_only=True):
    """How an attempt on a victim ended on the node that made it."""

    victim: NodeId
    generation: int
    number: int
    fenced: bool
    text: str


class ConfigWritten(Struct, frozen=True, tag=True, kw_only=True):
    """The configuration is on this node's disk, or could not be written there."""

    version: int
    ok: bool
    text: str = ""


class Vacant(Struct, frozen=True, tag=True, kw_only=True):
    """Nothing runs on this node any more, and it is about to leave as it was asked to."""


class EpochKept(Struct, frozen=True, tag=True, kw_only=True):
    """This node will remember the epoch, even if its power fails."""

    epoch: Epoch


Fact = ServiceFact | FenceResult | ConfigWritten | Vacant | EpochKept


class Observation(Struct, frozen=True, tag=True, kw_only=True):
    """What one node alone saw. Ignored unless the sender is a member in this incarnation."""

    incarnation: Incarnation
    fact: Fact


class Request(Struct, frozen=True, tag=True, kw_only=True):
    """An operator's request. It counts only in the view in which it was sent, so that it cannot come late."""

    view_id: int
    request: OperatorRequest


class Resync(Struct, frozen=True, tag=True, kw_only=True):
    """The sender found that its state differs; it is not synced from here on."""

    view_id: int


class Barrier(Struct, frozen=True, tag=True, kw_only=True):
    """A mark that a node sends to itself, to know that it has read everything before it."""

    number: int
    incarnation: Incarnation


class BeginEpoch(Struct, frozen=True, tag=True, kw_only=True):
    """The quorate part begins to decide in a view: `synced` take part, `hosts` are the machines that are there."""

    synced: tuple[NodeId, ...]
    hosts: tuple[NodeId, ...]
    because: str


class DeclareVictim(Struct, frozen=True, tag=True, kw_only=True):
    """A member whose daemon did not come back in time is a victim."""

    nodeid: NodeId
    incarnation: Incarnation
    because: str


class Refuse(Struct, frozen=True, tag=True, kw_only=True):
    """The node is not let in; its daemon ends with the sentence `because`."""

    nodeid: NodeId
    incarnation: Incarnation
    because: str


class Evict(Struct, frozen=True, tag=True, kw_only=True):
    """The node came back without having restarted: it has to stop everything and restart."""

    nodeid: NodeId
    incarnation: Incarnation
    because: str


class ActivateConfig(Struct, frozen=True, tag=True, kw_only=True):
    """The proposed configuration of this request is in force from here on."""

    request: str
    because: str


class RejectConfig(Struct, frozen=True, tag=True, kw_only=True):
    """The proposed configuration of this request is not taken."""

    request: str
    reason: str
    because: str


class FinishRollout(Struct, frozen=True, tag=True, kw_only=True):
    """The active configuration is on every disk that matters, or some could not take it (`failed`)."""

    version: int
    failed: tuple[tuple[NodeId, str], ...] = ()
    because: str = ""


class BeginHalt(Struct, frozen=True, tag=True, kw_only=True):
    """The cluster is to stop for the configuration of this request: every member writes it to its disk, then all leave."""

    request: str
    because: str


class BeginLeave(Struct, frozen=True, tag=True, kw_only=True):
    """A node is to leave: its services go elsewhere, then it goes."""

    request: str
    nodeid: NodeId
    because: str
    remove: bool = False


class CancelLeave(Struct, frozen=True, tag=True, kw_only=True):
    """A node cannot leave: something on it could not be stopped. It takes part as before."""

    nodeid: NodeId
    because: str


class Override(Struct, frozen=True, tag=True, kw_only=True):
    """An operator's word takes the place of a victim's fencing."""

    request: str
    victim: NodeId
    because: str


class RemoveVotes(Struct, frozen=True, tag=True, kw_only=True):
    """A node that leaves for good is ready to go: from here on the others expect one vote each, and it does not count."""

    nodeid: NodeId
    because: str


class SetExpected(Struct, frozen=True, tag=True, kw_only=True):
    """No member expects more votes than this, and node `by` expects just this; `members` are those of the view."""

    request: str
    by: NodeId
    votes: int
    members: tuple[NodeId, ...]
    because: str


class SetVotes(Struct, frozen=True, tag=True, kw_only=True):
    """The node has so many votes until the next configuration; `members` are those of the view."""

    request: str
    nodeid: NodeId
    votes: int
    members: tuple[NodeId, ...]
    because: str


class Kill(Struct, frozen=True, tag=True, kw_only=True):
    """The node's daemon has to end at once; for the others the node has failed."""

    request: str
    nodeid: NodeId
    incarnation: Incarnation
    because: str


class Tick(Struct, frozen=True, tag=True, kw_only=True):
    """Nothing but cluster time: begins the holds that wait for it."""

    because: str


Proposal = (
    BeginEpoch
    | DeclareVictim
    | Refuse
    | Evict
    | ActivateConfig
    | RejectConfig
    | FinishRollout
    | BeginHalt
    | BeginLeave
    | CancelLeave
    | RemoveVotes
    | SetExpected
    | SetVotes
    | Kill
    | Override
    | Tick
    | BeginFencing
    | ServiceProposal
)


class Checkpoint(Struct, frozen=True):
    """The fingerprint of the coordinator's state after entry `index`, and those of its parts (state.part_digests)."""

    index: int
    digest: str
    parts: tuple[str, ...] = ()


class Decision(Struct, frozen=True, tag=True, kw_only=True):
    """What the coordinator proposes in a view, in order. Each carries its `because`."""

    view_id: int
    now_ms: int
    wall_s: int
    proposals: tuple[Proposal, ...]
    checkpoint: Checkpoint | None = None


Entry = Hello | Open | Snapshot | Inventory | Observation | Request | Resync | Barrier | Decision

_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
_encoder = msgspec.json.Encoder()


def encode(entry: Entry) -> bytes:
    """Return the payload for the engine."""
    return _encoder.encode(entry)


def decode(payload: bytes) -> Entry:
    """Read a payload; raises msgspec.ValidationError or msgspec.DecodeError on what no version of ours wrote."""
    return _decoder.decode(payload)
