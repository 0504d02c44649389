"""A tape of a run: what every daemon was fed, and the fingerprint of the state that it then had. It can be played again.

Pure. Source: design section 2 (same log, same state).
"""

from collections.abc import Iterable

from msgspec import Struct, json

from standfast.cluster import participant as part
from standfast.cluster.session import Identity
from standfast.cluster.state import digest
from standfast.conf.model import Cluster
from standfast.terms import Incarnation


class Frame(Struct, frozen=True):
    """One event with the clocks that were given to it, and the state after it; empty where there was none."""

    event: part.Event
    local_ms: int
    wall_s: int
    state: str


class Reel(Struct, frozen=True):
    """One life of a daemon."""

    me: Identity
    config: Cluster
    document: str
    frames: tuple[Frame, ...]


class Tape:
    """What is recorded while a run goes on."""

    def __init__(self) -> None:
        self._lives: dict[Incarnation, tuple[Identity, Cluster, str, list[Frame]]] = {}

    def begin(self, me: Identity, config: Cluster, document: str) -> None:
        """A daemon starts."""
        self._lives[me.incarnation] = (me, config, document, [])

    def note(self, node: part.Participant, event: part.Event, local_ms: int, wall_s: int) -> None:
        """A daemon was fed an event, and is `node` since."""
        frames = self._lives[node.session.me.incarnation][3]
        frames.append(Frame(event, local_ms, wall_s, _fingerprint(node)))

    def reels(self) -> tuple[Reel, ...]:
        """Return all lives so far, in the order in which they began."""
        return tuple(
            Reel(me, config, text, tuple(frames)) for me, config, text, frames in self._lives.values()
        )


def differences(reels: Iterable[Reel]) -> list[str]:
    """Play tapes again; returns a sentence for each life that came to another state than when it was recorded."""
    sentences: list[str] = []
    for reel in reels:
        node = part.create(reel.me, reel.config, reel.document)
        for number, frame in enumerate(reel.frames):
            node, _ = part.step(node, frame.event, frame.local_ms, frame.wall_s)
            if _fingerprint(node) != frame.state:
                sentences.append(
                    f"{reel.me.incarnation} has another state after event {number}: {frame.event}"
                )
                break
    return sentences


def encode(reels: tuple[Reel, ...]) -> bytes:
    """Return reels as bytes for another process."""
    return json.encode(reels, order="deterministic")


def decode(payload: bytes) -> tuple[Reel, ...]:
    """Read what `encode` wrote."""
    return json.decode(payload, type=tuple[Reel, ...])


def _fingerprint(node: part.Participant) -> str:
    state = node.session.state
    return "" if state is None else digest(state)
