"""The order of start and stop: the spec's worked examples, and its rules over random trees."""

from hypothesis import given
from hypothesis import strategies as st

from standfast.resources.order import start_order, status_order, stop_order
from standfast.resources.resource import ResourceKey, ResourceNode, resources_below
from standfast.resources.tests.sample import tree_of

WORKED = """
<service name="all">
  <apache name="web1"/>
  <script name="s1" file="/s1"/>
  <ip address=".2"/>
  <mysql name="db1"/>
  <fs name="f1" device="/dev/f1" mountpoint="/f1">
    <nfsexport name="exp">
      <nfsclient name="cli" target="a"/>
      <nfsclient name="cli2" target="b"/>
    </nfsexport>
    <fs name="f1b" device="/dev/f1b" mountpoint="/f1/b"/>
  </fs>
  <ip address=".1"/>
  <fs name="f2" device="/dev/f2" mountpoint="/f2"/>
  <script ref="shared"/>
  <lvm name="l" vg_name="vg"/>
</service>"""

SAME_LEVEL = """
<service name="s">
  <clusterfs name="top" device="/dev/t" mountpoint="/t">
    <fs name="a" device="/dev/a" mountpoint="/t/a"/>
    <clusterfs name="c2" device="/dev/c" mountpoint="/t/c"/>
    <fs name="b" device="/dev/b" mountpoint="/t/b"/>
    <nfsexport name="e"/>
  </clusterfs>
  <ip address=".1"/>
</service>"""


def _names(nodes: tuple[ResourceNode, ...]) -> str:
    return " ".join(node.name for node in nodes)


def test_worked_example_starts_storage_first_and_untyped_resources_last() -> None:
    root = tree_of(WORKED, '<script name="shared" file="/shared"/>')
    assert _names(start_order(root)) == "all l f1 f1b exp cli cli2 f2 .2 .1 s1 shared web1 db1"


def test_worked_example_stops_in_the_order_the_original_does() -> None:
    root = tree_of(WORKED, '<script name="shared" file="/shared"/>')
    assert _names(stop_order(root)) == "db1 web1 shared s1 .1 .2 f2 cli2 cli exp f1b f1 l all"


def test_seed_service_starts_its_address_before_its_script_and_stops_it_after() -> None:
    root = tree_of('<service name="S"><ip address="IP"/><script name="http" file="/h"/></service>')
    assert (_names(start_order(root)), _names(stop_order(root))) == ("S IP http", "http IP S")


def test_checks_run_in_the_order_of_start() -> None:
    root = tree_of(SAME_LEVEL)
    assert status_order(root) == start_order(root)


def test_types_that_share_a_level_keep_their_order_on_stop_and_only_reverse_inside_a_type() -> None:
    root = tree_of(SAME_LEVEL)
    assert _names(start_order(root)) == "s top a b c2 e .1"
    assert _names(stop_order(root)) == ".1 e b a c2 top s"


_TYPES = (
    ("fs", 1, 3),
    ("clusterfs", 1, 3),
    ("nfsexport", 3, 1),
    ("script", 0, 2),
    ("ip", 2, 0),
    ("apache", 0, 0),
)


@st.composite
def _trees(draw: st.DrawFn, depth: int = 0, key: str = "r") -> ResourceNode:
    """Draw a tree as the builder leaves it: children of declared types one type after the other, then the others."""
    chosen = draw(st.lists(st.sampled_from(_TYPES), max_size=0 if depth == 3 else 4))
    children = []
    for place, (kind, start, stop) in enumerate(sorted(chosen, key=_TYPES.index)):
        child = draw(_trees(depth=depth + 1, key=f"{key}/{place}"))
        children.append(
            ResourceNode(
                key=child.key,
                type=kind,
                name=kind,
                children=child.children,
                start_level=start,
                stop_level=stop,
            )
        )
    return ResourceNode(key=ResourceKey(key), type="service", name="s", children=tuple(children))


def _places(nodes: tuple[ResourceNode, ...]) -> dict[ResourceKey, int]:
    return {node.key: place for place, node in enumerate(nodes)}


@given(_trees())
def test_every_resource_starts_after_its_parent_and_stops_before_it(root: ResourceNode) -> None:
    start, stop = _places(start_order(root)), _places(stop_order(root))
    edges = [(parent.key, child.key) for parent in resources_below(root) for child in parent.children]
    assert all(start[parent] < start[child] and stop[parent] > stop[child] for parent, child in edges)


@given(_trees())
def test_every_resource_comes_once_in_each_order(root: ResourceNode) -> None:
    keys = sorted(node.key for node in resources_below(root))
    assert sorted(_places(start_order(root))) == sorted(_places(stop_order(root))) == keys
    assert len(start_order(root)) == len(stop_order(root)) == len(keys)


def _brute_start(node: ResourceNode) -> list[ResourceKey]:
    """The spec's sentence as loops: each level, each declared type, each child in tree order; then what remains."""
    found = [node.key]
    for level in range(1, 101):
        for kind, start, _ in _TYPES:
            for child in node.children:
                if start == level and child.type == kind:
                    found += _brute_start(child)
    for child in node.children:
        if child.start_level == 0:
            found += _brute_start(child)
    return found


def _brute_stop(node: ResourceNode) -> list[ResourceKey]:
    found: list[ResourceKey] = []
    for child in reversed(node.children):
        if child.stop_level == 0:
            found += _brute_stop(child)
    for level in range(1, 101):
        for kind, _, stop in _TYPES:
            for child in reversed(node.children):
                if stop == level and child.type == kind:
                    found += _brute_stop(child)
    return [*found, node.key]


@given(_trees())
def test_orders_are_those_of_the_rules_written_as_loops(root: ResourceNode) -> None:
    assert [node.key for node in start_order(root)] == _brute_start(root)
    assert [node.key for node in stop_order(root)] == _brute_stop(root)
