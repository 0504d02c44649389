"""What cluster.conf says of one place in the tree: the `__` attributes, and the <action> overrides.

Pure. Source: spec resources, sections 1.4 and 2.7.
"""

from collections.abc import Callable, Sequence

from msgspec import structs

from standfast.conf.model import Arguments, ResourceElement
from standfast.resources.agent import Action, AgentMetadata, is_true, read_number, read_time_s
from standfast.resources.resource import Independence, Place

RUN_ACTIONS = ("start", "stop", "status", "recover", "reconfig", "migrate")
"""The actions that the daemon ever runs."""

PLACE_ATTRIBUTES = (
    "__independent_subtree",
    "__enforce_timeouts",
    "__max_failures",
    "__failure_expire_time",
    "__max_restarts",
    "__restart_expire_time",
)


def read_place(element: ResourceElement, *, top_level: bool) -> tuple[Place, tuple[str, ...]]:
    """Return the element's `__` attributes, and a sentence for each that has no effect as it is written."""
    independence = _read_independence(element.get("__independent_subtree") or "")
    problems = []
    if top_level and independence is not Independence.NONE:
        problems.append('"__independent_subtree" has no effect on a whole service; set it on a resource')
        independence = Independence.NONE
    max_failures, failure_expire_s, problem = _read_pair(element, "__max_failures", "__failure_expire_time")
    problems += problem
    max_restarts, restart_expire_s, problem = _read_pair(element, "__max_restarts", "__restart_expire_time")
    problems += problem
    if max_restarts and independence is Independence.NONE:
        problems.append('"__max_restarts" has no effect without "__independent_subtree"; set both')
        max_restarts = restart_expire_s = 0
    place = Place(
        independence=independence,
        enforce_timeouts=is_true(element.get("__enforce_timeouts") or ""),
        max_failures=max_failures,
        failure_expire_s=failure_expire_s,
        max_restarts=max_restarts,
        restart_expire_s=restart_expire_s,
    )
    return place, tuple(problems)


def override_actions(
    agent: AgentMetadata, overrides: Sequence[Arguments]
) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    """Return the actions that the daemon runs, changed as the <action> elements say, and what is wrong with those.

    An interval of 0 switches that depth off.
    """
    actions = tuple(action for action in agent.actions if action.name in RUN_ACTIONS)
    problems: tuple[str, ...] = ()
    for override in overrides:
        written = dict(override)
        if written.get("name") == agent.status_word:
            written["name"] = "status"
        actions, problem = _override(actions, written)
        problems += problem
    return actions, problems


def _override(
    actions: tuple[Action, ...], written: dict[str, str]
) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    name = written.get("name", "")
    if name not in RUN_ACTIONS:
        return actions, (f'<action name="{name}"> is never run; use one of {", ".join(RUN_ACTIONS)}',)
    depth, bad_depth = _read_field(written, "depth", read_number)
    timeout_s, bad_timeout = _read_field(written, "timeout", read_time_s)
    interval_s, bad_interval = _read_field(written, "interval", read_time_s)
    problems = tuple(
        f'<action name="{name}"> has {field}="{written[field]}", which cannot be read; it is ignored'
        for field in (*bad_depth, *bad_timeout, *bad_interval)
    )
    if bad_depth:
        return actions, problems
    if any(action.name == name and depth in (None, action.depth) for action in actions):
        changed = tuple(
            _changed(action, timeout_s, interval_s)
            if action.name == name and depth in (None, action.depth)
            else action
            for action in actions
        )
        return changed, problems
    if depth is None or timeout_s is None or interval_s is None:
        missing = (
            f'<action name="{name}"> is not one of the agent\'s; give depth, timeout and interval to add it'
        )
        return actions, (*problems, missing)
    return (*actions, Action(name=name, depth=depth, timeout_s=timeout_s, interval_s=interval_s)), problems


def _changed(action: Action, timeout_s: int | None, interval_s: int | None) -> Action:
    return structs.replace(
        action,
        timeout_s=action.timeout_s if timeout_s is None else timeout_s,
        interval_s=action.interval_s if interval_s is None else interval_s,
    )


def _read_field(
    written: dict[str, str], field: str, read: Callable[[str], int | None]
) -> tuple[int | None, tuple[str, ...]]:
    text = written.get(field)
    if text is None or (field == "depth" and text == "*"):
        return None, ()
    value = read(text)
    if value is None or value < 0:
        return None, (field,)
    return value, ()


def _read_independence(text: str) -> Independence:
    if text.strip().lower() == "non-critical" or read_number(text) == 2:
        return Independence.NON_CRITICAL
    return Independence.INDEPENDENT if is_true(text) else Independence.NONE


def _read_pair(element: ResourceElement, count: str, expire: str) -> tuple[int, int, tuple[str, ...]]:
    """Return a count and its time in seconds, both positive, or both 0 and why."""
    written = (element.get(count), element.get(expire))
    number = read_number(written[0] or "") or 0
    seconds = read_time_s(written[1] or "") or 0
    if number > 0 and seconds > 0:
        return number, seconds, ()
    if written == (None, None):
        return 0, 0, ()
    return 0, 0, (f'"{count}" and "{expire}" have an effect only together, both above 0; set both',)
