"""The simulated engine as an arena: its time is a number, and passes in `wait` only."""

import heapq
from collections.abc import Callable, Iterable
from itertools import count
from random import Random

from tests.contract.engines.promises import Witness

from standfast.engine.contract import EngineEvent
from standfast.engine.sim import SimNetwork, SimPort
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId

WAIT_MS_MAX = 600_000  # longest virtual time that a condition may take


class SimArena:
    """A SimNetwork with its own clock."""

    takes_single_cuts = True

    def __init__(self, *, seed: int, token_ms: int) -> None:
        self.witnesses: list[Witness] = []
        self.token_ms = token_ms
        self.now_ms = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = count()
        self._network = SimNetwork(
            rng=Random(seed), call_at=self._call_at, now_ms=lambda: self.now_ms, token_ms=token_ms
        )
        self._ports: dict[int, SimPort] = {}
        self._sent: dict[int, Witness] = {}
        self._frozen: set[int] = set()

    def attach(self, nodeid: int, votes: VoteTable, *, name: str = "") -> Witness:
        witness = Witness(NodeId(nodeid), name or f"vapp{nodeid}")

        def deliver(event: EngineEvent) -> None:
            assert self._sent.get(nodeid) is witness, f"{witness.name} was told {event} after its end"
            assert nodeid not in self._frozen, f"{witness.name} was told {event} while frozen"
            witness.events.append(event)

        port = self._network.attach(NodeId(nodeid), witness.name, votes, deliver)
        self._ports[nodeid], self._sent[nodeid] = port, witness
        self.witnesses.append(witness)
        return witness

    def send(self, nodeid: int, payloads: Iterable[bytes]) -> None:
        for payload in payloads:
            self.send_one(nodeid, payload)

    def send_one(self, nodeid: int, payload: bytes) -> None:
        self._ports[nodeid].send(payload)
        self._sent[nodeid].sent.append(payload)

    def configure(self, nodeid: int, votes: VoteTable) -> None:
        self._ports[nodeid].configure(votes)

    def leave(self, nodeid: int) -> None:
        self._ports[nodeid].leave()

    def process_down(self, nodeid: int) -> None:
        self._network.process_down(NodeId(nodeid))
        self._sent.pop(nodeid, None)

    def host_up(self, nodeid: int) -> None:
        self._network.host_up(NodeId(nodeid))

    def host_down(self, nodeid: int) -> None:
        self._network.host_down(NodeId(nodeid))
        self._sent.pop(nodeid, None)
        self._frozen.discard(nodeid)

    def freeze(self, nodeid: int) -> None:
        self._network.freeze(NodeId(nodeid))
        self._frozen.add(nodeid)

    def thaw(self, nodeid: int) -> None:
        self._frozen.discard(nodeid)
        self._network.thaw(NodeId(nodeid))

    def cut(self, a: int, b: int) -> None:
        self._network.cut(NodeId(a), NodeId(b))

    def heal(self) -> None:
        self._network.heal_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        limit_ms = self.now_ms + WAIT_MS_MAX
        while not condition():
            assert self._agenda, "nothing more will happen"
            self.now_ms, _, act = heapq.heappop(self._agenda)
            assert self.now_ms <= limit_ms, "the condition does not come true"
            act()

    def pass_ms(self, duration_ms: int) -> None:
        """Let virtual time pass."""
        until_ms = self.now_ms + duration_ms
        while self._agenda and self._agenda[0][0] <= until_ms:
            self.now_ms, _, act = heapq.heappop(self._agenda)
            act()
        self.now_ms = until_ms

    def _call_at(self, at_ms: int, act: Callable[[], None]) -> None:
        assert at_ms >= self.now_ms
        heapq.heappush(self._agenda, (at_ms, next(self._serial), act))
