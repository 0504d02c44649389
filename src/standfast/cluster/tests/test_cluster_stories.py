"""The cluster told as stories: who decides, who joins, what becomes of requests, when nodes, daemons and networks fail."""

from pathlib import Path

import pytest
from tests.stories import difference, scenarios

from standfast.cluster.tests.cluster_story import ClusterStory

STORIES = scenarios(__file__)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_cluster_goes_as_the_story_tells(path: Path) -> None:
    assert difference(path, ClusterStory) == ""


def test_there_are_cluster_stories() -> None:
    assert len(STORIES) >= 30
