"""The engines that the contract tests run on, and the judgement that each of them ends with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.contract.engines.arena import Arena
from tests.contract.engines.corosync_arena import CorosyncArena, CorosyncLab
from tests.contract.engines.local_arena import LocalArena
from tests.contract.engines.promises import broken_promises
from tests.contract.engines.sim_arena import SimArena

EMBEDDED = ("local", "sim-1", "sim-2", "sim-3")  # the simulated engine with three seeds
ENGINES = (
    *EMBEDDED,
    pytest.param("corosync", marks=(pytest.mark.lab, pytest.mark.timeout(300))),
)
COROSYNC_TOKENS_MS = (1_000, 2_000)  # shortest and longest: it sets how soon its links are up, too


@pytest.fixture(name="corosync_lab", scope="session")
def _corosync_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CorosyncLab]:
    lab = CorosyncLab(tmp_path_factory.mktemp("corosync"))
    yield lab
    lab.close()


@pytest.fixture(name="arena_of", params=ENGINES)
def _arena_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[int], Arena]]:
    engine = str(request.param)
    with ExitStack() as made:

        def make(token_ms: int) -> Arena:
            if engine == "local":
                local = LocalArena(tmp_path, token_ms=token_ms)
                made.callback(local.close)
                return local
            if engine == "corosync":
                shortest, longest = COROSYNC_TOKENS_MS
                machines: CorosyncLab = request.getfixturevalue("corosync_lab")
                corosync = CorosyncArena(machines, token_ms=min(max(token_ms, shortest), longest))
                made.callback(corosync.close)
                return corosync
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


@pytest.fixture(name="corosync")
def _corosync(corosync_lab: CorosyncLab) -> Iterator[CorosyncArena]:
    arena = CorosyncArena(corosync_lab, token_ms=COROSYNC_TOKENS_MS[0])
    yield arena
    arena.close()
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
