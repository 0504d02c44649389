"""What crosses the sequencer's socket: a length of four bytes, then one record as msgpack."""

from struct import Struct as Layout
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from standfast.engine.contract import MESSAGE_BYTES_MAX, Message, Notice
from standfast.membership.view import View
from standfast.terms import NodeId

FRAME_BYTES_MAX = MESSAGE_BYTES_MAX + 65536  # a frame that claims to be longer ends the connection

_LENGTH = Layout(">I")

T = TypeVar("T")


class Attach(Struct, frozen=True, tag=True):
    """A daemon takes part from now on."""

    nodeid: NodeId
    name: str


class Hold(Struct, frozen=True, tag=True):
    """A machine is alive as long as this connection answers."""

    nodeid: NodeId


class Send(Struct, frozen=True, tag=True):
    """A daemon's message, to be ordered."""

    payload: bytes


class Taken(Struct, frozen=True, tag=True):
    """The daemon has taken delivered messages of this cost (flow.cost_of) since it last said so."""

    cost: int


class Goodbye(Struct, frozen=True, tag=True):
    """The daemon leaves once everything it sent is ordered."""


class Pong(Struct, frozen=True, tag=True):
    """The answer to a Ping."""

    number: int


class Cut(Struct, frozen=True, tag=True):
    """Break the link between two nodes."""

    a: NodeId
    b: NodeId


class Heal(Struct, frozen=True, tag=True):
    """Mend the link between two nodes."""

    a: NodeId
    b: NodeId


class HealAll(Struct, frozen=True, tag=True):
    """Mend every link and end every delay."""


class Delay(Struct, frozen=True, tag=True):
    """Hold everything that goes to this node's daemon back for so long."""

    nodeid: NodeId
    delay_ms: int


class Show(Struct, frozen=True, tag=True):
    """Ask who reaches whom."""


ToSequencer = Attach | Hold | Send | Taken | Goodbye | Pong | Cut | Heal | HealAll | Delay | Show


class Welcome(Struct, frozen=True, tag=True):
    """The daemon or the machine is admitted; it is given up when it does not answer for `token_ms`."""

    token_ms: int


class Refusal(Struct, frozen=True, tag=True):
    """The connection ends, and why; `code` is that of the error."""

    text: str
    code: str


class Ping(Struct, frozen=True, tag=True):
    """To be answered at once with a Pong of the same number."""

    number: int


class Farewell(Struct, frozen=True, tag=True):
    """The daemon has left."""


class Parts(Struct, frozen=True, tag=True):
    """Who reaches whom: each part with its machines and its daemons, lowest node id first."""

    hosts: tuple[tuple[NodeId, ...], ...]
    members: tuple[tuple[NodeId, ...], ...]


FromSequencer = Welcome | Refusal | Ping | Farewell | Parts | View | Message | Notice

_encoder = msgspec.msgpack.Encoder()
to_sequencer: msgspec.msgpack.Decoder[ToSequencer] = msgspec.msgpack.Decoder(ToSequencer)
from_sequencer: msgspec.msgpack.Decoder[FromSequencer] = msgspec.msgpack.Decoder(FromSequencer)


class FrameError(Exception):
    """What arrived is not a frame that belongs here."""


def encode(frame: ToSequencer | FromSequencer) -> bytes:
    """Return the frame as it goes over the socket."""
    body = _encoder.encode(frame)
    return _LENGTH.pack(len(body)) + body


class Reader(Generic[T]):
    """Puts frames together from what arrives in pieces."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[T]) -> None:
        """`decoder` is to_sequencer or from_sequencer."""
        self._decoder = decoder
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[T]:
        """Return the frames that are complete now; raises FrameError when there is something else."""
        self._buffer += data
        frames: list[T] = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if length > FRAME_BYTES_MAX:
                raise FrameError(f"a frame of {length} bytes")
            end = start + _LENGTH.size + length
            if end > len(self._buffer):
                break
            try:
                with memoryview(self._buffer) as view:
                    frames.append(self._decoder.decode(view[start + _LENGTH.size : end]))
            except msgspec.DecodeError as failure:
                raise FrameError(str(failure)) from failure
            start = end
        del self._buffer[:start]
        return frames
