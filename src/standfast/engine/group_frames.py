"""What the daemons on corosync say to each other through their process group: who is there, and parts of messages.

Every frame is one multicast of the group; corosync gives all of them one order.
"""

from msgspec import Struct, msgpack

from standfast.terms import NodeId


class Here(Struct, frozen=True, tag=1, array_like=True, kw_only=True):
    """What a daemon sees since something changed; a view forms when all members have said the same.

    `nodes` are the nodes that it counts as members, `hosts` the machines that corosync reaches in the ring `ring`,
    `out` the members whose daemon hangs. `last_view` is the id of its view, 0 before the first; `is_broken` says that
    somebody of that view was away meanwhile.
    """

    name: str
    pid: int
    ring: int
    nodes: tuple[NodeId, ...]
    hosts: tuple[NodeId, ...]
    out: tuple[NodeId, ...]
    last_view: int
    is_broken: bool


class Part(Struct, frozen=True, tag=2, array_like=True):
    """One part of one message: the sender's view, its own count of messages, and the place among `count` parts."""

    view_id: int
    number: int
    index: int
    count: int
    data: bytes


class Beat(Struct, frozen=True, tag=3, array_like=True):
    """A sign of life."""


class Expel(Struct, frozen=True, tag=4, array_like=True):
    """A member's daemon has given no sign of life for too long: go on without it."""

    nodeid: NodeId


class Return(Struct, frozen=True, tag=5, array_like=True):
    """A daemon that was expelled has read so, and wants to be a member again."""


class Full(Struct, frozen=True, tag=6, array_like=True):
    """A daemon has (no longer) more than it can take in: others send nothing meanwhile."""

    is_full: bool


class InUse(Struct, frozen=True, tag=7, array_like=True):
    """The daemon of a node tells a second one there that the node has one."""

    name: str


class TurnedAway(Struct, frozen=True, tag=8, array_like=True):
    """A second daemon of one node says that it goes, and why."""

    text: str


Frame = Here | Part | Beat | Expel | Return | Full | InUse | TurnedAway

_encoder = msgpack.Encoder()
_decoder: msgpack.Decoder[Frame] = msgpack.Decoder(Frame)


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame."""
    return _encoder.encode(frame)


def decode(data: bytes) -> Frame:
    """Read a frame; raises msgspec.DecodeError (ValidationError) on anything else."""
    return _decoder.decode(data)
