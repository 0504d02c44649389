"""Services told as stories: how they start, fail, move and rest, and what operators are answered."""

from pathlib import Path

import pytest
from tests.stories import difference, scenarios

from standfast.services.tests.service_story import ServiceStory

STORIES = scenarios(__file__)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_services_go_as_the_story_tells(path: Path) -> None:
    assert difference(path, ServiceStory) == ""


def test_there_are_service_stories() -> None:
    assert len(STORIES) >= 20
