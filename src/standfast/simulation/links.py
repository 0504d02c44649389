"""The links between the simulated machines, and who could be quorate with whom."""

from collections.abc import Callable, Iterable, Mapping

from standfast.engine.sim import SimNetwork
from standfast.engine.topology import Pair, pair_of
from standfast.simulation.chronicle import Heard, LinksChanged, Step
from standfast.simulation.machine import Machine
from standfast.simulation.timeline import Timeline
from standfast.terms import NodeId


class Links:
    """All links. A link that is cut twice is whole again when the first cut is healed."""

    def __init__(
        self, time: Timeline, chronicle: list[Step], network: SimNetwork, votes: Mapping[NodeId, int]
    ) -> None:
        self._time = time
        self._chronicle = chronicle
        self._network = network
        self._votes = votes
        self._cuts: set[Pair] = set()
        self._heard: dict[NodeId, bool] = {}

    def cut(self, pairs: Iterable[tuple[NodeId, NodeId]], ms: int, changed: Callable[[], None]) -> None:
        """Cut links for a while; `changed` is called now and when they are whole again."""
        broken = [pair_of(a, b) for a, b in pairs if a != b]
        for pair in broken:
            self._cuts.add(pair)
            self._network.cut(*pair)
        self._chronicle.append(LinksChanged(self._time.now_ms))

        def heal() -> None:
            for pair in broken:
                self._cuts.discard(pair)
                self._network.heal(*pair)
            self._chronicle.append(LinksChanged(self._time.now_ms))
            changed()

        self._time.call_in(ms, heal)
        changed()

    def heal_all(self) -> None:
        """Mend every link."""
        self._cuts.clear()
        self._network.heal_all()

    def note(self, machines: Iterable[Machine]) -> None:
        """Note for each machine whether those that it can hear have a majority of the votes."""
        there = [m.nodeid for m in machines if m.alive()]
        needed = sum(self._votes.values()) // 2 + 1
        for nodeid in self._votes:
            votes = sum(
                self._votes[n]
                for n in there
                if n in self._votes and (n == nodeid or pair_of(n, nodeid) not in self._cuts)
            )
            if self._heard.get(nodeid) is not (votes >= needed):
                self._heard[nodeid] = votes >= needed
                self._chronicle.append(Heard(self._time.now_ms, nodeid, votes >= needed))
