"""The simulated engine under random faults: whatever is drawn, the promises hold, and the same seed is the same run."""

from contextlib import suppress
from random import Random

import pytest
from tests.contract.engines.arena import company, equal_votes, heard, last_view, numbered
from tests.contract.engines.promises import Witness, broken_promises
from tests.contract.engines.sim_arena import SimArena

from standfast.engine.contract import EngineEvent
from standfast.errors import RefusedError

ACTS = (
    *("send",) * 16,
    *("start",) * 10,
    *("kill", "power off", "leave", "freeze", "thaw", "thaw", "thaw"),
    *("cut", "split", "heal", "heal"),
)
PAUSES_MS = (0, 0, 1, 2, 5, 10, 40, 300, 1500)


class Storm:
    """A cluster to which one random thing after the other happens."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.arena = SimArena(seed=seed, token_ms=1000)
        self.nodes = range(1, self.rng.randint(2, 5) + 1)
        self.votes = equal_votes(*self.nodes)
        self.living: dict[int, Witness] = {n: self.arena.attach(n, self.votes) for n in self.nodes}
        self.leaving: set[int] = set()
        self.frozen: set[int] = set()

    def blow(self, acts: int) -> None:
        for number in range(acts):
            self.arena.pass_ms(self.rng.choice(PAUSES_MS))
            self.act(number)

    def calm(self) -> None:
        """Let all faults end and everything arrive."""
        self.arena.heal()
        for nodeid in self.frozen:
            self.arena.thaw(nodeid)
        self.arena.pass_ms(10_000)
        for nodeid in self.leaving:
            self.living.pop(nodeid, None)

    def act(self, number: int) -> None:
        act, nodeid, other = self.rng.choice(ACTS), self.rng.choice(self.nodes), self.rng.choice(self.nodes)
        is_up = nodeid in self.living and nodeid not in self.leaving
        if act == "send":
            for node in sorted(set(self.living) - self.leaving):
                self.arena.send(node, numbered(self.living[node], self.rng.randint(0, 3)))
        elif act == "start" and not is_up and nodeid not in self.frozen:
            with suppress(RefusedError):  # it is leaving, and has not left yet
                self.living[nodeid] = self.arena.attach(nodeid, self.votes, name=f"vapp{nodeid}.{number}")
                self.leaving.discard(nodeid)
        elif act == "kill" and is_up:
            del self.living[nodeid]
            self.arena.process_down(nodeid)
        elif act == "power off" and is_up:
            del self.living[nodeid]
            self.frozen.discard(nodeid)
            self.arena.host_down(nodeid)
        elif act == "leave" and is_up:
            self.leaving.add(nodeid)
            self.arena.leave(nodeid)
        elif act == "freeze" and nodeid in self.living:
            self.frozen.add(nodeid)
            self.arena.freeze(nodeid)
        elif act == "thaw" and nodeid in self.frozen:
            self.frozen.discard(nodeid)
            self.arena.thaw(nodeid)
        elif act == "cut":
            self.arena.cut(nodeid, other)
        elif act == "split":
            side = set(self.rng.sample(self.nodes, self.rng.randint(1, len(self.nodes))))
            for one in sorted(side):
                for two in sorted(set(self.nodes) - side):
                    self.arena.cut(one, two)
        elif act == "heal":
            self.arena.heal()


@pytest.mark.parametrize("seed", [*range(150), 7560])  # 7560: cut twice while one message was under way
def test_no_promise_is_broken_and_all_who_live_meet_and_lose_nothing_of_their_own(seed: int) -> None:
    storm = Storm(seed)
    storm.blow(150)
    storm.calm()
    assert broken_promises(storm.arena.witnesses) == []
    members = tuple(sorted(storm.living))
    assert {company(witness) for witness in storm.living.values()} in ({members}, set())
    assert len({last_view(witness).view_id for witness in storm.living.values()}) <= 1
    for witness in storm.living.values():
        assert [payload for payload in heard(witness) if payload in set(witness.sent)] == witness.sent


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    def told() -> list[list[EngineEvent]]:
        storm = Storm(seed)
        storm.blow(200)
        return [witness.events for witness in storm.arena.witnesses]

    assert told() == told()


def test_a_storm_shows_what_the_contract_allows() -> None:
    """Messages that reach one side of a partition only, and members that receive at different moments."""
    uneven = 0
    for seed in range(60):
        storm = Storm(seed)
        storm.blow(150)
        storm.calm()
        by_view: dict[int, set[int]] = {}
        for witness in storm.arena.witnesses:
            for view, messages in witness.chapters()[:-1]:
                by_view.setdefault(view.view_id, set()).add(len(messages))
        uneven += sum(len(lengths) > 1 for lengths in by_view.values())
    assert uneven >= 10
