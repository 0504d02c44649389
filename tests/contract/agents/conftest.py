"""What the agents' contract tests stand on."""

from collections.abc import Iterator

import pytest
from tests.contract.agents.network import Cable, cable


@pytest.fixture(name="link")
def _link() -> Iterator[Cable]:
    with cable() as made:
        yield made
