"""Clusters on corosync that several situations share, one for each module and number of nodes."""

from collections.abc import Iterator

import pytest
from tests.corosync.coro_lab import TownKeeper, need_corosync
from tests.corosync.coro_town import Town


@pytest.fixture(scope="module")
def pairs() -> Iterator[TownKeeper]:
    """Keeps a cluster of two nodes; a node that is fenced comes back."""
    need_corosync()
    keeper = TownKeeper(2)
    yield keeper
    keeper.close()


@pytest.fixture(scope="module")
def trios() -> Iterator[TownKeeper]:
    """Keeps a cluster of three nodes; a node that is fenced comes back."""
    need_corosync()
    keeper = TownKeeper(3)
    yield keeper
    keeper.close()


@pytest.fixture
def pair(pairs: TownKeeper) -> Iterator[Town]:
    """A whole cluster of two nodes whose service runs."""
    yield from _lend(pairs)


@pytest.fixture
def trio(trios: TownKeeper) -> Iterator[Town]:
    """A whole cluster of three nodes whose service runs."""
    yield from _lend(trios)


def _lend(keeper: TownKeeper) -> Iterator[Town]:
    town = keeper.town()
    yield town
    if not town.is_whole:
        print(f"--- the log of the situation\n{town.log()}")
