"""Machines and daemons on an engine, as the contract tests see them: the same acts, whichever engine it is."""

from collections.abc import Callable, Iterable
from typing import Protocol

from tests.contract.engines.promises import Witness

from standfast.engine.contract import Quorum
from standfast.membership.view import View
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId


class Arena(Protocol):
    """One engine with its machines. Each act returns at once; `wait` is how a test learns what came of it."""

    witnesses: list[Witness]  # one for each daemon that was ever admitted, in that order
    token_ms: int
    takes_single_cuts: bool  # whether it copes with two machines that do not reach each other but a third one

    def attach(self, nodeid: int, votes: VoteTable, *, name: str = "") -> Witness:
        """Start a daemon; raises RefusedError when it is turned away."""
        ...

    def send(self, nodeid: int, payloads: Iterable[bytes]) -> None:
        """Let a node's daemon send these, one after the other, each as soon as the engine takes it."""
        ...

    def send_one(self, nodeid: int, payload: bytes) -> None:
        """Let a node's daemon send this now; raises what the engine raises."""
        ...

    def configure(self, nodeid: int, votes: VoteTable) -> None:
        """Give a node's daemon another vote table."""
        ...

    def leave(self, nodeid: int) -> None:
        """Let a node's daemon say goodbye."""
        ...

    def process_down(self, nodeid: int) -> None:
        """Kill a node's daemon."""
        ...

    def host_up(self, nodeid: int) -> None:
        """Switch a machine on."""
        ...

    def host_down(self, nodeid: int) -> None:
        """Kill a machine and what runs on it."""
        ...

    def freeze(self, nodeid: int) -> None:
        """Let a machine stand still."""
        ...

    def thaw(self, nodeid: int) -> None:
        """Let it go on."""
        ...

    def cut(self, a: int, b: int) -> None:
        """Break a link."""
        ...

    def heal(self) -> None:
        """Mend all links."""
        ...

    def wait(self, condition: Callable[[], bool]) -> None:
        """Go on until the condition holds; fails when it does not within a generous limit."""
        ...


def equal_votes(*nodes: int, expected: int | None = None, two_node: bool = False) -> VoteTable:
    """One vote for each node."""
    return VoteTable(
        votes=tuple((NodeId(n), 1) for n in nodes),
        expected_votes=len(nodes) if expected is None else expected,
        two_node=two_node,
    )


def company(witness: Witness) -> tuple[int, ...]:
    """The members of a daemon's last view; none before the first."""
    views = witness.views()
    return views[-1].members if views else ()


def last_view(witness: Witness) -> View:
    """A daemon's last view."""
    return witness.views()[-1]


def flag(witness: Witness) -> bool | None:
    """A daemon's quorum flag for its last view; None when it was not told yet."""
    views = witness.views()
    flags = [
        e.quorate for e in tuple(witness.events) if isinstance(e, Quorum) and e.view_id == views[-1].view_id
    ]
    return flags[-1] if flags else None


def heard(witness: Witness) -> list[bytes]:
    """All payloads that a daemon was given, in order."""
    return [message.payload for message in witness.messages()]


def gather(arena: Arena, nodes: Iterable[int], votes: VoteTable) -> list[Witness]:
    """Start a daemon on each node and wait until they share one view."""
    witnesses = [arena.attach(node, votes) for node in nodes]
    members = tuple(sorted(witness.nodeid for witness in witnesses))
    arena.wait(lambda: all(company(witness) == members for witness in witnesses))
    return witnesses


def numbered(witness: Witness, count: int) -> list[bytes]:
    """Payloads that nobody else sends; each call goes on counting."""
    first = witness.numbered
    witness.numbered += count
    return [f"{witness.name}:{number}".encode() for number in range(first, witness.numbered)]
