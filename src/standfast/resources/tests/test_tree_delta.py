"""What a new configuration stops, starts and tells: the spec's cases, and its rules over random changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.resources.delta import Delta, compare_trees, definition_changed, down_walk, up_walk
from standfast.resources.operation import AgentOperation
from standfast.resources.order import start_order, stop_order
from standfast.resources.resource import ResourceKey, ResourceNode, resources_below
from standfast.resources.tests.sample import tree_of
from standfast.resources.walk import AgentExited, Finished, RunAgent, Stepped, step

OLD = """
<service name="s" nfslock="0">
  <fs name="f" device="/d" mountpoint="/m"><nfsexport name="e"/></fs>
  <ip address="1" monitor_link="1"/>
  <script name="h" file="/h"/>
</service>"""
EXPORT = '<nfsexport name="e"/>'
ALL_DOWN = "script:h ip:1 nfsexport:e fs:f s"
ALL_UP = "s fs:f nfsexport:e ip:1 script:h"


def _short(keys: tuple[ResourceKey, ...]) -> str:
    return " ".join(key.split("/", 1)[-1].replace("fs:f/", "").removeprefix("service:") for key in keys)


def _delta(new: str, old: str = OLD) -> tuple[str, str, str]:
    delta = compare_trees(tree_of(old), tree_of(new))
    return _short(delta.stop), _short(delta.start), _short(delta.reconfig)


@pytest.mark.parametrize(
    ("old", "new", "stop", "start", "reconfig"),
    [
        ('monitor_link="1"', 'monitor_link="0"', "ip:1", "ip:1", ""),
        ('file="/h"', 'file="/i"', "script:h", "script:h", ""),
        ('name="h"', 'name="i"', "script:h", "script:i", ""),
        ('nfslock="0"', 'nfslock="0" recovery="relocate" domain="d"', "", "", "s"),
        ('nfslock="0"', 'nfslock="0" autostart="0" exclusive="1"', "", "", "s"),
        ('nfslock="0"', 'nfslock="1"', ALL_DOWN, ALL_UP, ""),
        ('nfslock="0"', 'nfslock="0" max_restarts="3"', ALL_DOWN, ALL_UP, ""),
        ('nfslock="0"', 'nfslock="1" recovery="relocate"', ALL_DOWN, ALL_UP, ""),
        ('mountpoint="/m"', 'mountpoint="/n"', "nfsexport:e fs:f", "fs:f nfsexport:e", ""),
        (EXPORT, "", "nfsexport:e", "", ""),
        (EXPORT, f'{EXPORT}<nfsclient name="c" target="*"/>', "", "nfsclient:c", ""),
        (EXPORT, '<nfsexport name="e" device="/d"/>', "nfsexport:e", "nfsexport:e", ""),
        (' file="/h"', ' file="/h" __max_failures="2" __failure_expire_time="9"', "", "", ""),
        (' file="/h"/>', ' file="/h"><action name="status" interval="5"/></script>', "", "", ""),
        (' monitor_link="1"', "", "", "", ""),
    ],
)
def test_change_of_the_file_does_only_what_it_needs(
    old: str, new: str, stop: str, start: str, reconfig: str
) -> None:
    assert _delta(OLD.replace(old, new)) == (stop, start, reconfig)


def test_moved_resource_is_stopped_at_the_old_place_and_started_at_the_new_one() -> None:
    moved = OLD.replace(EXPORT, "").replace("<ip", f"{EXPORT}<ip")
    delta = compare_trees(tree_of(OLD), tree_of(moved))
    assert delta == Delta(
        stop=(ResourceKey("service:s/fs:f/nfsexport:e"),), start=(ResourceKey("service:s/nfsexport:e"),)
    )


def test_order_of_siblings_is_no_difference() -> None:
    old = '<service name="s"><apache name="a"/><apache name="b"/></service>'
    new = '<service name="s"><apache name="b"/><apache name="a"/></service>'
    assert _delta(new, old) == ("", "", "")


def test_children_below_a_resource_that_is_only_told_are_compared() -> None:
    new = OLD.replace('nfslock="0"', 'nfslock="0" domain="d"').replace('file="/h"', 'file="/i"')
    assert _delta(new) == ("script:h", "script:h", "s")


def test_service_that_is_new_starts_whole_and_one_that_is_gone_stops_whole() -> None:
    root = tree_of(OLD)
    keys = tuple(node.key for node in start_order(root))
    assert compare_trees(None, root) == Delta(start=keys)
    assert compare_trees(root, None) == Delta(stop=tuple(node.key for node in stop_order(root)))
    assert compare_trees(None, None) == Delta()


def test_running_service_is_not_touched_by_a_change_of_its_policy() -> None:
    policy = OLD.replace('nfslock="0"', 'nfslock="0" domain="d" recovery="disable" autostart="0"')
    assert not definition_changed(tree_of(OLD), tree_of(policy))
    assert not definition_changed(tree_of(OLD), tree_of(OLD))
    assert definition_changed(tree_of(OLD), tree_of(OLD.replace(EXPORT, "")))
    assert definition_changed(tree_of(OLD.replace(EXPORT, "")), tree_of(OLD))


def _calls(stepped: Stepped, exit_code: int) -> tuple[list[str], Finished]:
    """Answer every call with one exit code; return the calls, and the end."""
    walk, (effect,) = stepped
    calls = []
    while isinstance(effect, RunAgent):
        calls.append(f"{effect.operation} {effect.agent}:{effect.name}")
        walk, (effect,) = step(walk, AgentExited(key=effect.key, exit_code=exit_code))
    return calls, effect


def test_change_goes_down_in_stop_order_and_up_in_start_order() -> None:
    old = tree_of(OLD)
    new = tree_of(
        OLD.replace('nfslock="0"', 'nfslock="0" domain="d"')
        .replace('file="/h"', 'file="/i"')
        .replace('mountpoint="/m"', 'mountpoint="/n"')
    )
    delta = compare_trees(old, new)
    down, stopped = _calls(down_walk(old, delta, tuple(node.key for node in start_order(old))), 0)
    up, started = _calls(up_walk(new, delta, stopped.started), 0)
    assert down == ["stop script:h", "stop nfsexport:e", "stop fs:f"]
    assert up == ["reconfig service:s", "start fs:f", "start nfsexport:e", "start script:h"]
    assert sorted(started.started) == sorted(node.key for node in start_order(new))


def test_failed_stop_does_not_end_the_way_down_but_a_failed_start_ends_the_way_up() -> None:
    old, new = tree_of(OLD), tree_of(OLD.replace('mountpoint="/m"', 'mountpoint="/n"'))
    delta = compare_trees(old, new)
    down, stopped = _calls(down_walk(old, delta, ()), 1)
    up, started = _calls(up_walk(new, delta, ()), 1)
    assert (len(down), stopped.ok) == (2, False)
    assert (up, started.ok) == (["start fs:f"], False)


_PARAMETERS = st.dictionaries(st.sampled_from(["a", "b", "r"]), st.sampled_from(["1", "2"]))


@st.composite
def _trees(draw: st.DrawFn, depth: int = 0, key: str = "s", level: int = 0) -> ResourceNode:
    names = draw(st.lists(st.sampled_from("xyz"), unique=True, max_size=0 if depth == 3 else 3))
    levels = {"x": 1, "y": 2, "z": 0}
    return ResourceNode(
        key=ResourceKey(key),
        type="t",
        name=key,
        parameters=tuple(sorted(draw(_PARAMETERS).items())),
        inherited=tuple(draw(st.sets(st.just("b")))),
        reconfig=("r",),
        children=tuple(draw(_trees(depth + 1, f"{key}/{name}", levels[name])) for name in sorted(names)),
        start_level=level,
        stop_level=level,
    )


@given(_trees())
def test_equal_trees_have_no_delta(root: ResourceNode) -> None:
    assert compare_trees(root, root) == Delta()


def _own(node: ResourceNode) -> dict[str, str]:
    return {name: value for name, value in node.parameters if name not in node.inherited}


def _same(old: ResourceNode | None, new: ResourceNode | None) -> bool:
    """Whether the resource can go on: it is in both, and all but `r` is the same."""
    if old is None or new is None:
        return False
    before, after = _own(old), _own(new)
    return {**before, "r": ""} == {**after, "r": ""}


@given(_trees(), _trees())
def test_delta_is_what_the_rules_say_of_each_place(old: ResourceNode, new: ResourceNode) -> None:
    before = {node.key: node for node in resources_below(old)}
    after = {node.key: node for node in resources_below(new)}

    def goes_on(key: str) -> bool:
        above = [ResourceKey(key[:end]) for end in range(1, len(key) + 1, 2)]
        return all(_same(before.get(place), after.get(place)) for place in above)

    delta = compare_trees(old, new)
    told = {key for key in after if goes_on(key) and _own(before[key]) != _own(after[key])}
    assert set(delta.stop) == {key for key in before if not goes_on(key)}
    assert set(delta.start) == {key for key in after if not goes_on(key)}
    assert set(delta.reconfig) == told


@given(_trees(), _trees())
def test_delta_is_in_the_orders_of_stop_and_start(old: ResourceNode, new: ResourceNode) -> None:
    delta = compare_trees(old, new)
    assert delta.stop == tuple(node.key for node in stop_order(old) if node.key in delta.stop)
    assert delta.start == tuple(node.key for node in start_order(new) if node.key in delta.start)
    assert delta.reconfig == tuple(node.key for node in start_order(new) if node.key in delta.reconfig)


def test_reconfig_is_asked_of_the_service_itself() -> None:
    new = tree_of(OLD.replace('nfslock="0"', 'nfslock="0" domain="d"'))
    walk, _ = up_walk(new, compare_trees(tree_of(OLD), new), ())
    assert walk.running is not None
    assert walk.running.operation is AgentOperation.RECONFIG
