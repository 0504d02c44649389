"""From elements to trees: references, inheritance, defaults, and what is left out, and with which words."""

from collections.abc import Iterator
from itertools import count

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.conf.model import ResourceElement, ResourceManager, Service
from standfast.resources.agent import Action, AgentMetadata, ChildType, Parameter, agents_by_type
from standfast.resources.resource import (
    Independence,
    ResourceKey,
    ResourceNode,
    Tree,
    find_resource,
    resources_below,
)
from standfast.resources.tests.sample import STOCK, forest, manager, texts, tree_of
from standfast.resources.tree import build_tree, build_trees
from standfast.terms import ServiceName

SEED = """
<service name="VirtualHTTP" domain="VirtualHTTP" autostart="1" recovery="relocate">
  <ip address="10.1.4.150" monitor_link="1"/>
  <script name="http" file="/etc/init.d/httpd"/>
</service>"""

NFS = """
<service name="NAME" nfslock="0">
  <fs name="f1" mountpoint="/f1" device="/dev/f1" fsid="77">
    <nfsexport name="exp"><nfsclient name="cli" target="*"/></nfsexport>
    <fs name="inner" mountpoint="/f1/i" device="/dev/i"/>
  </fs>
</service>"""


def _keys(root: ResourceNode) -> list[str]:
    return [node.key for node in resources_below(root)]


def _node(root: ResourceNode, key: str) -> ResourceNode:
    node = find_resource(root, ResourceKey(key))
    assert node is not None
    return node


def _children(root: ResourceNode | None) -> list[str]:
    assert root is not None
    return [f"{child.type}:{child.name}" for child in root.children]


def test_seed_service_has_all_values_that_its_agents_get() -> None:
    root = tree_of(SEED)
    assert _keys(root) == [
        "service:VirtualHTTP",
        "service:VirtualHTTP/ip:10.1.4.150",
        "service:VirtualHTTP/script:http",
    ]
    ip, script = root.children
    assert ip.parameters == (("address", "10.1.4.150"), ("monitor_link", "1"), ("nfslock", "0"))
    assert (ip.inherited, ip.start_level, ip.stop_level, ip.line) == (("nfslock",), 7, 2, 2)
    assert script.parameters == (
        ("name", "http"),
        ("file", "/etc/init.d/httpd"),
        ("service_name", "VirtualHTTP"),
    )
    assert (script.get("file"), script.get("colour")) == ("/etc/init.d/httpd", None)
    assert root.get("recovery") == "relocate"
    assert root.reconfig == ("domain", "autostart", "exclusive", "recovery")


def test_good_file_has_no_findings() -> None:
    assert texts(forest(SEED + NFS)) == ()


def test_tree_is_saved_as_json_and_read_back_equal() -> None:
    (tree,) = forest(NFS).trees
    assert msgspec.json.decode(msgspec.json.encode(tree), type=Tree) == tree


def test_one_tree_is_found_by_the_name_of_its_service() -> None:
    rm = manager(SEED + NFS)
    assert build_tree(ServiceName("service:NAME"), rm, STOCK) == build_trees(rm, STOCK).trees[1]
    assert build_tree(ServiceName("service:nobody"), rm, STOCK) is None


def test_resource_that_is_not_in_the_tree_is_not_found() -> None:
    assert find_resource(tree_of(SEED), ResourceKey("service:VirtualHTTP/ip:10.1.4.151")) is None


def test_values_go_down_the_chain_of_an_nfs_export() -> None:
    root = tree_of(NFS)
    export = _node(root, "service:NAME/fs:f1/nfsexport:exp")
    client = _node(root, "service:NAME/fs:f1/nfsexport:exp/nfsclient:cli")
    assert export.parameters == (("name", "exp"), ("device", "/dev/f1"), ("path", "/f1"), ("fsid", "77"))
    assert client.parameters == (
        ("name", "cli"),
        ("target", "*"),
        ("path", "/f1"),
        ("svcname", "NAME"),
        ("fsid", "77"),
        ("service_name", "NAME"),
        ("use_cache", "0"),
    )
    assert _node(root, "service:NAME/fs:f1/fs:inner").get("nfslock") == "0"


def test_nothing_is_inherited_where_no_ancestor_has_it() -> None:
    found = forest('<vm name="guest"><nfsexport name="exp"/></vm><ip address="10.1.1.1"/>')
    vm, ip = (tree.root for tree in found.trees)
    assert vm is not None
    assert vm.children[0].parameters == (("name", "exp"),)
    assert ip is not None
    assert ip.parameters == (("address", "10.1.1.1"), ("monitor_link", "1"))


def test_written_value_wins_over_an_inherited_one_and_that_over_a_default() -> None:
    agent = AgentMetadata(
        type="a",
        parameters=(
            Parameter(name="name", primary=True),
            Parameter(name="x", inherit="x", default="default"),
        ),
    )
    found = forest(
        '<a name="1"><a name="2" x="written"><a name="3"/></a></a>', agents=agents_by_type([agent])
    )
    root = found.trees[0].root
    assert root is not None
    nodes = list(resources_below(root))
    assert [node.get("x") for node in nodes] == ["default", "written", "written"]
    assert [node.inherited for node in nodes] == [(), (), ("x",)]


def test_empty_default_is_a_value() -> None:
    agent = AgentMetadata(
        type="a", parameters=(Parameter(name="name"), Parameter(name="x", default=""), Parameter(name="y"))
    )
    root = forest('<a name="1"/>', agents=agents_by_type([agent])).trees[0].root
    assert root is not None
    assert root.parameters == (("name", "1"), ("x", ""))


def test_default_satisfies_a_required_parameter() -> None:
    agent = AgentMetadata(
        type="a", parameters=(Parameter(name="name"), Parameter(name="x", required=True, default="d"))
    )
    found = forest('<a name="1"/>', agents=agents_by_type([agent]))
    assert texts(found) == ()


def test_resource_defaults_hold_for_definitions_and_inline_resources() -> None:
    found = forest(
        '<service name="s"><ip address="1"/><ip ref="2"/></service>',
        '<ip address="2"/>',
        '<ip monitor_link="0"/>',
    )
    root = found.trees[0].root
    assert root is not None
    assert [child.get("monitor_link") for child in root.children] == ["0", "0"]


def test_vm_is_neither_stopped_when_new_nor_when_removed() -> None:
    (tree,) = forest('<vm name="guest"/>').trees
    assert (tree.init_on_add, tree.destroy_on_delete) == (False, False)


def test_reference_takes_the_values_and_actions_of_its_definition_and_its_own_children() -> None:
    root = tree_of(
        '<service name="s"><clusterfs ref="c"><nfsexport name="e"/></clusterfs></service>',
        '<clusterfs name="c" device="/dev/c" mountpoint="/c">'
        '<action name="start" timeout="9"/><nfsexport name="unused"/></clusterfs>',
    )
    (node,) = root.children
    assert (node.name, node.shared, node.get("mountpoint")) == ("c", True, "/c")
    assert node.actions == (Action(name="start", timeout_s=9), Action(name="stop"))
    assert _children(node) == ["nfsexport:e"]
    assert node.children[0].get("path") == "/c"


def test_reference_may_name_a_unique_required_value() -> None:
    root = tree_of('<service name="s"><script ref="/h"/></service>', '<script name="http" file="/h"/>')
    assert _children(root) == ["script:http"]


def test_type_names_do_not_care_about_case() -> None:
    root = tree_of('<SERVICE name="s"><IP address="1"/><Apache name="a"/></SERVICE>')
    assert _keys(root) == ["service:s", "service:s/ip:1", "service:s/apache:a"]


def test_reference_to_nothing_is_left_out_and_its_siblings_are_not() -> None:
    found = forest('<service name="s"><ip ref="9"/><ip address="1"/><apache name="a"/></service>')
    assert _children(found.trees[0].root) == ["ip:1", "apache:a"]
    assert texts(found) == (
        '2: "ip" refers to "9", which is not in <resources>, and is left out; define it there',
    )


def test_reference_to_an_inline_resource_is_left_out() -> None:
    found = forest('<service name="s"><ip address="1"/></service><service name="t"><ip ref="1"/></service>')
    assert _children(found.trees[1].root) == []
    assert texts(found) == (
        (
            '4: "ip" refers to "1", which line 2 defines inside a service, and is left out; '
            "move that definition to <resources>"
        ),
    )


def test_definition_is_used_as_often_as_its_agent_allows() -> None:
    found = forest(
        '<service name="s"><ip ref="1"/></service><service name="t"><ip ref="1"/></service>',
        '<ip address="1"/>',
    )
    assert [_children(tree.root) for tree in found.trees] == [["ip:1"], []]
    assert texts(found) == (
        '4: "ip" refers to "1" more often than its agent allows (1) and is left out; remove one reference',
    )


def test_same_definition_twice_under_one_parent_has_two_keys() -> None:
    root = tree_of(
        '<service name="s"><script ref="a"/><script ref="a"/></service>', '<script name="a" file="/a"/>'
    )
    assert _keys(root) == ["service:s", "service:s/script:a", "service:s/script:a#2"]


@pytest.mark.parametrize(
    ("element", "finding"),
    [
        ("<apache/>", '2: "apache" has no "name" and is left out; give it one'),
        ('<apache name=""/>', '2: "apache" has no name and is left out; give it one'),
        ('<script name="x"/>', '2: "script" has no "file" and is left out; give it one'),
        ("<nobody/>", '2: there is no agent for "nobody" and it is left out; install one, or remove it'),
        (
            '<ip address="1"/>',
            (
                '3: "ip" with address="1" is already in line 2, and this one is left out; '
                "change one of them, or define it in <resources> and use ref"
            ),
        ),
    ],
)
def test_element_that_cannot_be_loaded_is_left_out_alone(element: str, finding: str) -> None:
    found = forest(f'<service name="s">{element}<ip address="1"/><apache name="last"/></service>')
    assert _children(found.trees[0].root) == ["ip:1", "apache:last"]
    assert texts(found) == (finding,)


def test_agent_without_parameters_cannot_be_named() -> None:
    found = forest('<a name="1"/>', agents=agents_by_type([AgentMetadata(type="a")]))
    assert found.trees[0].root is None
    assert texts(found) == ('1: "a" has no name and is left out; give it one',)


def test_unique_values_do_not_meet_across_types_but_across_services() -> None:
    found = forest(
        '<service name="s"><fs name="f" device="/d" mountpoint="/m"/></service>'
        '<service name="t"><clusterfs name="f" device="/d" mountpoint="/m"/>'
        '<fs name="g" device="/d" mountpoint="/g"/></service>'
    )
    assert [_children(tree.root) for tree in found.trees] == [["fs:f"], ["clusterfs:f"]]
    assert len(texts(found)) == 1
    assert '"fs" with device="/d" is already in line 2' in texts(found)[0]


def test_definition_that_cannot_be_loaded_does_not_hide_later_ones() -> None:
    found = forest('<service name="s"><ip ref="2"/></service>', '<ip/><ip address="2"/><nobody/>')
    assert _children(found.trees[0].root) == ["ip:2"]
    assert [finding.line for finding in found.findings] == [1, 3]


def test_service_that_cannot_be_loaded_has_no_root_and_the_others_have() -> None:
    found = forest('<service/><nobody name="x"/><service name="s"/>')
    assert [tree.root is None for tree in found.trees] == [True, True, False]
    assert [len(tree.findings) for tree in found.trees] == [1, 1, 0]


def test_forbidden_child_is_left_out() -> None:
    found = forest('<service name="s"><ip address="1"><nfsexport name="e"/></ip></service>')
    assert texts(found) == ('3: "nfsexport" is not allowed below "ip" and is left out; move it',)


def test_children_are_in_the_order_of_their_types_then_as_written() -> None:
    root = tree_of(
        '<service name="s"><apache name="a"/><script name="x" file="/x"/><mysql name="m"/>'
        '<lvm name="l" vg_name="v"/><apache name="b"/></service>'
    )
    assert _children(root) == ["lvm:l", "script:x", "apache:a", "mysql:m", "apache:b"]


def test_child_type_that_an_agent_declares_twice_counts_once() -> None:
    agent = AgentMetadata(
        type="a",
        parameters=(Parameter(name="name"),),
        children=(ChildType(type="A", start=3), ChildType(type="a", start=4)),
    )
    root = forest('<a name="1"><a name="2"/></a>', agents=agents_by_type([agent])).trees[0].root
    assert root is not None
    assert [(child.name, child.start_level) for child in root.children] == [("2", 3)]


def test_what_has_no_effect_is_told() -> None:
    found = forest(
        '<service name="s" colour="red"><ip ref="1" monitor_link="0" __enforce_timeouts="1">'
        '<action name="status" interval="5"/></ip>'
        '<script name="x" file="/x" __max_failures="1"><action name="dance"/></script></service>',
        '<ip address="1" mask="24"/>',
    )
    assert texts(found) == (
        '1: "mask" is not a parameter of ip and is ignored; remove it',
        '1: "colour" is not a parameter of service and is ignored; remove it',
        '2: "monitor_link" has no effect beside ref and is ignored; remove it',
        '2: <action> has no effect beside ref; move it to "1" in <resources>',
        '4: "__max_failures" and "__failure_expire_time" have an effect only together, both above 0; set both',
        '4: <action name="dance"> is never run; use one of start, stop, status, recover, reconfig, migrate',
    )
    root = found.trees[0].root
    assert root is not None
    assert root.children[0].place.enforce_timeouts


def test_definition_with_several_places_is_not_non_critical_anywhere() -> None:
    place = '__independent_subtree="non-critical"'
    found = forest(
        f'<service name="s"><script ref="a" {place}/><script name="own" file="/o" {place}/></service>'
        f'<service name="t"><script ref="a"/><script ref="b" {place}/></service><nobody/>',
        '<script name="a" file="/a"/><script name="b" file="/b"/>',
    )
    independence = {
        node.key: node.place.independence
        for tree in found.trees
        if tree.root is not None
        for node in resources_below(tree.root)
    }
    assert independence == {
        "service:s": Independence.NONE,
        "service:s/script:a": Independence.INDEPENDENT,
        "service:s/script:own": Independence.NON_CRITICAL,
        "service:t": Independence.NONE,
        "service:t/script:a": Independence.NONE,
        "service:t/script:b": Independence.NON_CRITICAL,
    }


_KINDS = st.sampled_from(
    ["service", "ip", "script", "fs", "nfsexport", "nfsclient", "apache", "vm", "nobody"]
)
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["name", "address", "ref", "file", "device", "mountpoint", "target", "__max_failures"]),
    st.sampled_from(["", "a", "b", "c", "1"]),
)


def _resource(children: st.SearchStrategy[tuple[ResourceElement, ...]]) -> st.SearchStrategy[ResourceElement]:
    return st.builds(
        ResourceElement,
        type=_KINDS,
        attributes=_ATTRIBUTES.map(lambda found: tuple(found.items())),
        children=children,
        actions=st.sampled_from([(), ((("name", "status"), ("interval", "5")),)]),
    )


_ELEMENTS = st.recursive(
    _resource(st.just(())), lambda below: _resource(st.lists(below, max_size=4).map(tuple)), max_leaves=12
)


def _numbered(element: ResourceElement, lines: Iterator[int]) -> ResourceElement:
    """Return the element with every element of it in a line of its own."""
    line = next(lines)
    children = tuple(_numbered(child, lines) for child in element.children)
    return msgspec.structs.replace(element, line=line, children=children)


def _reached(element: ResourceElement, loaded: set[int]) -> Iterator[int]:
    """Yield the lines of the elements that the builder comes to: the top one, and those below loaded ones."""
    yield element.line
    if element.line in loaded:
        yield from (line for child in element.children for line in _reached(child, loaded))


@given(st.lists(_ELEMENTS, max_size=4), st.lists(_ELEMENTS, min_size=1, max_size=4))
def test_every_element_is_loaded_once_or_left_out_with_a_finding(
    shared: list[ResourceElement], groups: list[ResourceElement]
) -> None:
    lines = count(1)
    services = tuple(
        Service(name=ServiceName(f"service:{place}"), element=_numbered(group, lines))
        for place, group in enumerate(groups)
    )
    rm = ResourceManager(services=services, resources=tuple(_numbered(each, lines) for each in shared))
    trees = build_trees(rm, STOCK).trees
    nodes = [node for tree in trees if tree.root is not None for node in resources_below(tree.root)]
    loaded = [node.line for node in nodes]
    left_out = [f.line for tree in trees for f in tree.findings if "left out" in f.text]
    reached = [line for service in services for line in _reached(service.element, set(loaded))]
    assert sorted(loaded + left_out) == sorted(reached)
    assert len({node.key for node in nodes}) == len(nodes)
