"""The replicated state: what every synced member of the cluster knows, equal on all of them at the same place of the log.

Pure. Source: design section 2.
"""

from enum import StrEnum
from hashlib import blake2b

from msgspec import Struct, json

from standfast.cluster.epoch import Epoch
from standfast.conf.model import Cluster, ClusterNode
from standfast.fencing.domain import FenceDomain
from standfast.membership.quorum import Ballot, is_majority
from standfast.services.proposal import ServiceRequest
from standfast.services.record import ServiceRecord
from standfast.terms import BootId, Incarnation, NodeId
from standfast.wire.control import Code

PROTOCOL_VERSION = 1  # the highest version of the log's records that this program speaks
PROTOCOL_VERSION_MIN = 1
GRACE_MS = 10_000  # how long a machine's daemon may be away before the machine is a victim
OUTCOMES_MAX = 128  # answered requests that are remembered


class MemberStatus(StrEnum):
    """How far a member is."""

    SYNCED = "synced"  # has the state; what it really runs is not known yet
    ONLINE = "online"  # takes part
    AWAY = "away"  # its machine is there, its daemon is not


class Member(Struct, frozen=True, kw_only=True):
    """One node that takes part, or may come back to take part, in this run of the cluster."""

    nodeid: NodeId
    incarnation: Incarnation
    boot_id: BootId
    status: MemberStatus
    protocol: int = PROTOCOL_VERSION
    away_until_ms: int | None = None  # cluster time; then it is a victim
    leaving: bool = False
    removing: bool = False  # it leaves for good: its votes go with it
    killed: str = ""  # why its daemon ends at once by an operator's will; it gets no grace
    joined_epoch: int = 0
    joined_s: int = 0  # Unix time, for people only


class Boot(Struct, frozen=True):
    """The last boot of a machine that the cluster has seen."""

    nodeid: NodeId
    boot_id: BootId


class ConfigRequest(Struct, frozen=True, tag=True, kw_only=True):
    """A whole new configuration that an operator proposed."""

    id: str
    asked_by: NodeId
    document: str
    cluster: Cluster


class HaltRequest(Struct, frozen=True, tag=True, kw_only=True):
    """An operator wants the whole cluster to stop and to find this configuration on its disks when it starts again."""

    id: str
    asked_by: NodeId
    document: str
    cluster: Cluster


class LeaveRequest(Struct, frozen=True, tag=True, kw_only=True):
    """An operator wants the node `asked_by` to leave in order.

    `remove`: for good, so that the others expect its votes no more. `unless_busy`: only if no service is on it.
    """

    id: str
    asked_by: NodeId
    remove: bool = False
    unless_busy: bool = False


class OverrideRequest(Struct, frozen=True, tag=True, kw_only=True):
    """An operator declares that the victim is powered off."""

    id: str
    asked_by: NodeId
    victim: NodeId


class ExpectedRequest(Struct, frozen=True, tag=True, kw_only=True):
    """An operator wants the cluster to expect so many votes, until a node that expects more joins."""

    id: str
    asked_by: NodeId
    votes: int


class VotesRequest(Struct, frozen=True, tag=True, kw_only=True):
    """An operator wants a node to have so many votes, until the next configuration."""

    id: str
    asked_by: NodeId
    nodeid: NodeId
    votes: int


class KillRequest(Struct, frozen=True, tag=True, kw_only=True):
    """An operator wants a node's daemon to die at once, as if its machine had failed."""

    id: str
    asked_by: NodeId
    nodeid: NodeId


QuorumRequest = ExpectedRequest | VotesRequest
"""What operators may change about votes; ExpectedRequest, which vouches for absent nodes, without quorum, too."""

OperatorRequest = (
    ServiceRequest
    | ConfigRequest
    | HaltRequest
    | LeaveRequest
    | OverrideRequest
    | QuorumRequest
    | KillRequest
)


class Outcome(Struct, frozen=True, kw_only=True):
    """How a request ended. `reason` is for configuration updates, as in wire.control.UpdateRejected."""

    request: str
    asked_by: NodeId
    code: Code
    owner: NodeId | None = None
    text: str = ""
    reason: str = ""
    old_version: int = 0
    new_version: int = 0


class Rollout(Struct, frozen=True, kw_only=True):
    """A configuration, the active one or that of `halt`, is being written to the disks of `waiting`.

    `request` is answered when all have it.
    """

    version: int
    old_version: int
    request: str
    asked_by: NodeId
    waiting: tuple[NodeId, ...]
    written: tuple[NodeId, ...] = ()
    failures: tuple[tuple[NodeId, str], ...] = ()


class Halt(Struct, frozen=True, kw_only=True):
    """The cluster stops for another configuration: it is written to all disks, then (`begun`) all leave.

    The node `asked_by` leaves last, so that its operator sees the others go.
    """

    version: int
    document: str
    asked_by: NodeId
    begun: bool = False


class ClusterState(Struct, frozen=True, kw_only=True):
    """Everything that the log folds into. Tuples of records are sorted by node id or name."""

    epoch: int  # its number: grows by one when a quorate part begins to decide in a new view
    begun_by: NodeId
    begun_view: int
    kept: tuple[NodeId, ...]  # members that have this epoch on their disks
    index: int  # entries folded since the cluster was formed
    now_ms: int  # cluster time
    wall_s: int  # Unix time of the coordinator's last entry, for people only
    protocol: int
    document: str
    config: Cluster
    ballot: Ballot  # the votes of the members that are synced, with what operators changed
    members: tuple[Member, ...] = ()
    boots: tuple[Boot, ...] = ()
    fence: FenceDomain = FenceDomain()
    services: tuple[ServiceRecord, ...] = ()
    requests: tuple[OperatorRequest, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    rollout: Rollout | None = None
    halt: Halt | None = None
    estranged: tuple[tuple[NodeId, str], ...] = ()  # removed from the configuration while they were members

    @property
    def present_epoch(self) -> Epoch:
        """The epoch of this state."""
        return Epoch(number=self.epoch, view=self.begun_view)

    def member(self, nodeid: NodeId) -> Member | None:
        """The member with this node id."""
        return next((m for m in self.members if m.nodeid == nodeid), None)

    def node(self, nodeid: NodeId) -> ClusterNode | None:
        """The configured node with this id."""
        return next((n for n in self.config.nodes if n.nodeid == nodeid), None)

    def name_of(self, nodeid: NodeId) -> str:
        """The node's name, for people."""
        node = self.node(nodeid)
        if node is not None:
            return node.name
        return next((name for n, name in self.estranged if n == nodeid), f"node {nodeid}")

    def service(self, name: str) -> ServiceRecord | None:
        """The service's record."""
        return next((s for s in self.services if s.name == name), None)


def is_kept(state: ClusterState) -> bool:
    """Whether a majority of the votes will remember this epoch: only then is anything started in it.

    A part of the cluster that comes back with an older state then meets somebody who knows better. In two-node mode the
    fencing of the other half takes this place.
    """
    return is_majority(state.ballot, state.kept)


def digest(state: ClusterState) -> str:
    """Return a short fingerprint; equal states, equal fingerprints, on every node."""
    return blake2b(json.encode(state, order="deterministic"), digest_size=16).hexdigest()


def part_digests(state: ClusterState) -> tuple[str, ...]:
    """Return a shorter fingerprint of each field, in the order of the fields, to tell which of them differ."""
    parts = (getattr(state, name) for name in ClusterState.__struct_fields__)
    return tuple(
        blake2b(json.encode(part, order="deterministic"), digest_size=4).hexdigest() for part in parts
    )
