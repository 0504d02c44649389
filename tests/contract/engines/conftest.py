"""The engines that the contract tests run on, and the judgement that each of them ends with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.contract.engines.arena import Arena
from tests.contract.engines.local_arena import LocalArena
from tests.contract.engines.promises import broken_promises
from tests.contract.engines.sim_arena import SimArena

ENGINES = ("local", "sim-1", "sim-2", "sim-3")  # the simulated engine with three seeds


@pytest.fixture(name="arena_of", params=ENGINES)
def _arena_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[int], Arena]]:
    engine = str(request.param)
    with ExitStack() as made:

        def make(token_ms: int) -> Arena:
            if engine == "local":
                local = LocalArena(tmp_path, token_ms=token_ms)
                made.callback(local.close)
                return local
            return SimArena(seed=int(engine.removeprefix("sim-")), token_ms=token_ms)

        yield make


@pytest.fixture(name="arena")
def _arena(arena_of: Callable[[int], Arena]) -> Iterator[Arena]:
    """An engine that waits for a silent node longer than these tests take."""
    arena = arena_of(30_000)
    yield arena
    assert broken_promises(arena.witnesses) == []


@pytest.fixture(name="alert_arena")
def _alert_arena(arena_of: Callable[[int], Arena]) -> Iterator[Arena]:
    """An engine that soon gives up a node that is silent."""
    arena = arena_of(400)
    yield arena
    assert broken_promises(arena.witnesses) == []


@pytest.fixture(name="local")
def _local(tmp_path: Path) -> Iterator[LocalArena]:
    arena = LocalArena(tmp_path, token_ms=30_000)
    yield arena
    arena.close()
    assert broken_promises(arena.witnesses) == []


@pytest.fixture(name="alert_local")
def _alert_local(tmp_path: Path) -> Iterator[LocalArena]:
    arena = LocalArena(tmp_path, token_ms=400)
    yield arena
    arena.close()
    assert broken_promises(arena.witnesses) == []
