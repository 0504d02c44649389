"""Start, stop and checks of a whole service, told as stories: agents' answers in, calls and outcome out.

A story is a file of scenarios/: an XML tree first, then commands and, after `----`, what the walk did.
Commands: `start`, `stop`, `status AT_S`, `exit CODE|signal|timeout [AT_S]`, `give-up`. REWRITE=1 renews the answers.
"""

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.resources.checks import Schedule, begin_schedule
from standfast.resources.operation import AgentOperation
from standfast.resources.order import start_order, stop_order
from standfast.resources.resource import ResourceKey, ResourceNode, resources_below
from standfast.resources.tests.sample import tree_of
from standfast.resources.walk import (
    AgentExited,
    Effect,
    Finished,
    Purpose,
    RunAgent,
    Walk,
    begin_walk,
    start_walk,
    status_walk,
    step,
    step_of,
    stop_walk,
)

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("walk-*.txt"))


class _Story:
    """The service of one story, and the walk that it is at."""

    def __init__(self, tree: str) -> None:
        self.root = tree_of(tree)
        self.walk = Walk(purpose=Purpose.START)
        self.schedule: Schedule = begin_schedule(self.root, 0, round_ms=10_000)

    def tell(self, command: str) -> str:
        """Carry out one command and return the answer, one line for each effect."""
        match command.split():
            case ["start"]:
                self.walk, effects = start_walk(self.root, self.walk.started)
            case ["stop"]:
                self.walk, effects = stop_walk(self.root, self.walk.started)
            case ["status", at_s]:
                self.walk, effects = status_walk(
                    self.root, self.schedule, int(at_s) * 1000, self.walk.started
                )
            case ["exit", how, *at_s]:
                self.walk, effects = step(self.walk, self._exited(how, at_s))
            case _:
                assert command == "give-up", f"no such command: {command}"
                return "maybe started: " + " ".join(self._short(key) for key in self.walk.maybe_started)
        self.schedule = self.walk.schedule or self.schedule
        return "\n".join(line for effect in effects for line in self._lines(effect))

    def _exited(self, how: str, at_s: list[str]) -> AgentExited:
        assert self.walk.running is not None, "no agent runs"
        return AgentExited(
            key=self.walk.running.key,
            exit_code=int(how) if how.isdigit() else None,
            timed_out=how == "timeout",
            at_ms=int(at_s[0]) * 1000 if at_s else 0,
        )

    def _lines(self, effect: Effect) -> list[str]:
        if isinstance(effect, RunAgent):
            depth = f" depth={effect.depth}" if effect.depth else ""
            timeout = f" timeout={effect.timeout_s}s" if effect.timeout_s is not None else ""
            return [f"run {effect.operation} {effect.agent}:{effect.name}{depth}{timeout}"]
        failures = [f"  {failure.text}" for failure in effect.failures]
        started = " ".join(self._short(key) for key in effect.started)
        return ["finished well" if effect.ok else "failed", *failures, f"  started: {started or 'nothing'}"]

    def _short(self, key: ResourceKey) -> str:
        return next(f"{node.type}:{node.name}" for node in resources_below(self.root) if node.key == key)


def _retold(text: str) -> str:
    """Return the story with the answers that the walk gives now."""
    comment_and_tree, *blocks = text.split("\n\n")
    story = _Story(comment_and_tree[comment_and_tree.index("<") :])
    told = [comment_and_tree]
    for block in blocks:
        commands = block.split("----")[0].strip().splitlines()
        answers = [story.tell(command) for command in commands]
        told.append("\n".join([*commands, "----", answers[-1]]))
    return "\n\n".join(told) + "\n"


def _written(path: Path) -> str:
    """Return the story as its file has it, which REWRITE=1 renews first."""
    if os.environ.get("REWRITE") == "1":
        path.write_text(_retold(path.read_text(encoding="utf-8")), encoding="utf-8")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_walk_goes_as_the_story_tells(path: Path) -> None:
    text = _written(path)
    assert _retold(text) == text


def test_there_are_stories() -> None:
    assert len(SCENARIOS) >= 6


SERVICE = '<service name="s"><ip address="1"/><script name="h" file="/h"/><vm name="v"/></service>'


def test_walk_is_saved_and_read_back_equal() -> None:
    root = tree_of(SERVICE)
    walk, _ = status_walk(root, begin_schedule(root, 0, round_ms=10_000), 30_000)
    assert msgspec.json.decode(msgspec.json.encode(walk), type=Walk) == walk
    _, effects = step(walk, AgentExited(key=root.children[0].key, exit_code=3))
    assert msgspec.json.decode(msgspec.json.encode(effects), type=tuple[Effect, ...]) == effects


def test_walk_over_nothing_is_over_at_once() -> None:
    walk, effects = begin_walk(Purpose.STOP, (), (ResourceKey("x"),))
    assert effects == (Finished(ok=True, started=(ResourceKey("x"),)),)
    assert (walk.running, walk.maybe_started) == (None, (ResourceKey("x"),))


def test_exit_of_an_agent_that_is_not_awaited_is_a_bug() -> None:
    walk, _ = start_walk(tree_of(SERVICE))
    with pytest.raises(AssertionError, match="awaited service:s, not other"):
        step(walk, AgentExited(key=ResourceKey("other"), exit_code=0))


def test_exit_after_the_end_of_a_walk_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="the walk is over"):
        step(Walk(purpose=Purpose.START), AgentExited(key=ResourceKey("x"), exit_code=0))


def test_reconfig_does_not_change_what_is_started() -> None:
    root = tree_of(SERVICE)
    walk, _ = begin_walk(Purpose.START, (step_of(root, AgentOperation.RECONFIG),), ())
    _, effects = step(walk, AgentExited(key=root.key, exit_code=0))
    assert effects == (Finished(ok=True),)


_TREE = tree_of(
    '<service name="s"><fs name="f" device="/d" mountpoint="/m"><fs name="g" device="/e" mountpoint="/n"/></fs>'
    '<ip address="1"/><script name="h" file="/h"/><apache name="a"/></service>'
)
_EXITS = st.lists(st.sampled_from([0, 0, 0, 1, 5, None]), min_size=6, max_size=6)


def _run(
    stepped: tuple[Walk, tuple[Effect, ...]], exits: list[int | None]
) -> tuple[list[ResourceKey], Finished]:
    """Answer each call with the next exit code; return which resources were called, and the end."""
    called, answers = [], iter(exits)
    walk, (effect,) = stepped
    while isinstance(effect, RunAgent):
        called.append(effect.key)
        walk, (effect,) = step(walk, AgentExited(key=effect.key, exit_code=next(answers)))
    return called, effect


def _keys(nodes: tuple[ResourceNode, ...]) -> list[ResourceKey]:
    return [node.key for node in nodes]


@given(_EXITS)
def test_start_goes_on_to_the_first_failure(exits: list[int | None]) -> None:
    called, finished = _run(start_walk(_TREE), exits)
    well = next((place for place, code in enumerate(exits) if code != 0), len(exits))
    assert called == _keys(start_order(_TREE))[: well + 1]
    assert finished.ok == (well == len(exits))
    assert list(finished.started[:well]) == called[:well]


@given(_EXITS, st.sets(st.sampled_from(_keys(start_order(_TREE)))))
def test_stop_reaches_every_resource_and_what_did_not_stop_stays_started(
    exits: list[int | None], started: set[ResourceKey]
) -> None:
    called, finished = _run(stop_walk(_TREE, tuple(sorted(started))), exits)
    answers = dict(zip(called, exits, strict=True))
    left = {key for key, code in answers.items() if code != 0 and (code != 5 or key in started)}
    assert called == _keys(stop_order(_TREE))
    assert finished.ok == (not left)
    assert set(finished.started) == left


@given(_EXITS)
def test_stop_after_any_start_that_stops_all_leaves_nothing(exits: list[int | None]) -> None:
    _, started = _run(start_walk(_TREE), exits)
    _, stopped = _run(stop_walk(_TREE, started.started), [0] * 6)
    assert stopped == Finished(ok=True)
