"""What cluster.conf says of a place in the tree: `__` attributes and <action> overrides."""

import pytest

from standfast.resources.agent import Action, AgentMetadata
from standfast.resources.builtin import SCRIPT
from standfast.resources.place import override_actions, read_place
from standfast.resources.resource import Independence, Place
from standfast.resources.tests.sample import FS, elements


def _place(attributes: str, *, top_level: bool = False) -> tuple[Place, tuple[str, ...]]:
    (element,) = elements(f'<fs name="x" {attributes}/>')
    return read_place(element, top_level=top_level)


def _overridden(agent: AgentMetadata, actions: str) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    (element,) = elements(f'<fs name="x">{actions}</fs>')
    return override_actions(agent, element.actions)


def test_place_without_attributes_is_the_default_one() -> None:
    assert _place("") == (Place(), ())


@pytest.mark.parametrize(
    ("text", "independence"),
    [
        ("1", Independence.INDEPENDENT),
        ("yes", Independence.INDEPENDENT),
        ("True", Independence.INDEPENDENT),
        ("2", Independence.NON_CRITICAL),
        ("Non-Critical", Independence.NON_CRITICAL),
        ("0", Independence.NONE),
        ("no", Independence.NONE),
        ("", Independence.NONE),
    ],
)
def test_independence_is_a_word_or_a_number(text: str, independence: Independence) -> None:
    assert _place(f'__independent_subtree="{text}"') == (Place(independence=independence), ())


def test_whole_service_cannot_be_independent() -> None:
    place, problems = _place('__independent_subtree="1"', top_level=True)
    assert (place, problems) == (
        Place(),
        ('"__independent_subtree" has no effect on a whole service; set it on a resource',),
    )


def test_failures_and_restarts_are_counted_within_their_times() -> None:
    place, problems = _place(
        '__independent_subtree="1" __enforce_timeouts="yes" __max_failures="3" __failure_expire_time="5m" '
        '__max_restarts="2" __restart_expire_time="1h"'
    )
    assert (place, problems) == (
        Place(
            independence=Independence.INDEPENDENT,
            enforce_timeouts=True,
            max_failures=3,
            failure_expire_s=300,
            max_restarts=2,
            restart_expire_s=3600,
        ),
        (),
    )


@pytest.mark.parametrize(
    "attributes",
    [
        '__max_failures="3"',
        '__failure_expire_time="60"',
        '__max_failures="3" __failure_expire_time="0"',
        '__max_failures="-3" __failure_expire_time="60"',
        '__max_failures="three" __failure_expire_time="60"',
        '__max_failures="3" __failure_expire_time="soon"',
    ],
)
def test_count_without_its_time_has_no_effect_and_is_told(attributes: str) -> None:
    place, problems = _place(attributes)
    assert place == Place()
    assert problems == (
        '"__max_failures" and "__failure_expire_time" have an effect only together, both above 0; set both',
    )


def test_restarts_are_counted_on_independent_subtrees_only() -> None:
    place, problems = _place('__max_restarts="2" __restart_expire_time="60"')
    assert place == Place()
    assert problems == ('"__max_restarts" has no effect without "__independent_subtree"; set both',)


def test_actions_that_the_daemon_never_runs_are_left_out() -> None:
    actions, problems = _overridden(SCRIPT, "")
    assert actions == (Action(name="start"), Action(name="stop"), Action(name="status", interval_s=30))
    assert problems == ()


def test_override_of_a_depth_replaces_only_the_given_fields() -> None:
    actions, problems = _overridden(FS, '<action name="status" depth="10" interval="2m"/>')
    assert actions[3] == Action(name="status", depth=10, timeout_s=30, interval_s=120)
    assert [action.interval_s for action in actions if action.name == "status"] == [60, 120, 60]
    assert problems == ()


@pytest.mark.parametrize("depth", ["", 'depth="*"'])
def test_override_without_depth_is_for_all_depths(depth: str) -> None:
    actions, _ = _overridden(FS, f'<action name="status" {depth} timeout="7" interval="0"/>')
    checks = [(a.depth, a.timeout_s, a.interval_s) for a in actions if a.name == "status"]
    assert checks == [(0, 7, 0), (10, 7, 0), (20, 7, 0)]


def test_new_depth_is_added_when_all_its_fields_are_given() -> None:
    actions, problems = _overridden(SCRIPT, '<action name="status" depth="5" timeout="9" interval="1m"/>')
    assert actions[-1] == Action(name="status", depth=5, timeout_s=9, interval_s=60)
    assert problems == ()


@pytest.mark.parametrize(
    "override",
    [
        '<action name="status" depth="5" timeout="9"/>',
        '<action name="status" depth="5" interval="9"/>',
        '<action name="recover" timeout="9" interval="9"/>',
    ],
)
def test_new_depth_with_a_field_missing_is_not_added_and_told(override: str) -> None:
    actions, problems = _overridden(SCRIPT, override)
    assert actions == _overridden(SCRIPT, "")[0]
    assert "is not one of the agent's; give depth, timeout and interval to add it" in problems[0]


def test_override_of_an_action_that_is_never_run_is_told() -> None:
    actions, problems = _overridden(SCRIPT, '<action name="monitor" interval="9"/><action interval="9"/>')
    assert actions == _overridden(SCRIPT, "")[0]
    assert [problem.split(" is ")[0] for problem in problems] == [
        '<action name="monitor">',
        '<action name="">',
    ]


def test_time_that_cannot_be_read_is_told_and_does_not_switch_the_check_off() -> None:
    actions, problems = _overridden(SCRIPT, '<action name="status" interval="often" timeout="4"/>')
    assert actions[-1] == Action(name="status", timeout_s=4, interval_s=30)
    assert problems == ('<action name="status"> has interval="often", which cannot be read; it is ignored',)


@pytest.mark.parametrize("depth", ["deep", "-1"])
def test_override_with_a_depth_that_cannot_be_read_is_ignored_and_told(depth: str) -> None:
    actions, problems = _overridden(SCRIPT, f'<action name="status" depth="{depth}" interval="5"/>')
    assert actions == _overridden(SCRIPT, "")[0]
    assert problems == (f'<action name="status"> has depth="{depth}", which cannot be read; it is ignored',)


def test_override_of_monitor_reaches_the_checks_of_an_agent_that_declares_only_that() -> None:
    agent = AgentMetadata(
        type="a", actions=(Action(name="start"), Action(name="status", interval_s=9)), status_word="monitor"
    )
    actions, problems = _overridden(agent, '<action name="monitor" interval="5"/>')
    assert actions == (Action(name="start"), Action(name="status", interval_s=5))
    assert problems == ()
