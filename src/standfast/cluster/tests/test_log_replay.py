"""Same start, same log, same state: the logs of the stories' daemons, replayed in processes that hash otherwise."""

import subprocess
import sys
from pathlib import Path

from msgspec import json
from tests.stories import scenarios

from standfast.cluster.state import digest
from standfast.cluster.tests.cluster_story import ClusterStory
from standfast.cluster.tests.replay_log import replay
from standfast.cluster.tests.story_machine import Life

SPOILT = "diverged"  # their daemons hold what no log made


def told(path: Path) -> ClusterStory:
    """A story, carried out to its end."""
    story = ClusterStory()
    for line in path.read_text(encoding="utf-8").split("\n\n"):
        for command in line.partition("----\n")[0].splitlines():
            if command and not command.startswith("#") and command != "----":
                story.tell(command)
    return story


def recorded() -> list[ClusterStory]:
    """All stories but those in which a state is spoilt from outside."""
    return [told(path) for path in scenarios(__file__) if not path.stem.startswith(SPOILT)]


def lives_of(story: ClusterStory) -> list[Life]:
    return [life for _, machine in sorted(story.world.machines.items()) for life in machine.logs()]


def replayed(path: Path, seed: str) -> str:
    """What a process with that PYTHONHASHSEED makes of the logs in the file."""
    command = [sys.executable, "-m", "standfast.cluster.tests.replay_log", str(path)]
    done = subprocess.run(
        command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, timeout=100, check=True
    )
    return done.stdout


def test_logs_lead_to_the_same_states_and_effects_whatever_the_hash_seed(tmp_path: Path) -> None:
    lives = [life for story in recorded() for life in lives_of(story)]
    path = tmp_path / "lives.json"
    path.write_bytes(json.encode(lives))
    here = "".join(f"{line}\n" for life in lives for line in replay(life))
    assert here.count("\n") > 5_000
    assert replayed(path, "0") == here
    assert replayed(path, "1") == here


def test_replayed_log_ends_in_the_state_that_the_daemon_has() -> None:
    machines = [m for story in recorded() for m in story.world.machines.values() if m.took]
    living = [(m.logs()[-1], m.daemon.session.state) for m in machines if m.daemon is not None]
    ends = [(tuple(replay(life))[-1].split()[1], state) for life, state in living]
    assert len(ends) > 100
    assert [end for end, state in ends if end != ("none" if state is None else digest(state))] == []
