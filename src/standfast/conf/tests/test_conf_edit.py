"""Edits: the same as the same edit of the tree (the twin), with everything else in the text as it was."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from standfast.conf.document import Comment, Document, Element
from standfast.conf.edit import (
    Draft,
    NewNode,
    add_fence,
    add_node,
    add_nodeids,
    create,
    multicast_address,
    remove_fence,
    remove_node,
)
from standfast.conf.load import load
from standfast.conf.parse import parse
from standfast.conf.tests.conf_documents import bare_document
from standfast.conf.write import canonical, escape_value
from standfast.errors import ConfError

EXAMPLES = Path(__file__).resolve().parents[4] / "tests/golden/conf"

BY_HAND = """<?xml version='1.0'?>
<!-- our cluster; ask Jennifer before you change it -->
<cluster name='farm'   config_version='7'>

    <clusternodes>   <!-- the nodes -->
        <clusternode name="a" nodeid="1"
                     votes="1" >
            <fence/>
        </clusternode>
        <clusternode name="b" nodeid="2"/>  <!-- second floor -->
    </clusternodes>

    <fencedevices><fencedevice name="apc" agent="fence_apc" passwd='x"2'/></fencedevices>
    <rm/></cluster>"""


def draft(text: str) -> Draft:
    return Draft("cluster.conf", parse("cluster.conf", text.encode()))


def refusal(text: str, *arguments: str) -> str:
    with pytest.raises(ConfError) as caught:
        add_fence(draft(text), arguments[0], arguments[1], arguments[2:])
    return str(caught.value)


def node_refusal(text: str, node: NewNode) -> str:
    with pytest.raises(ConfError) as caught:
        add_node(draft(text), node)
    return str(caught.value)


def test_commands_of_the_founding_document_give_its_file() -> None:
    text = create("VMCluster", two_node=True)
    text = add_fence(draft(text), "manual", "fence_manual", ())
    text = add_node(draft(text), NewNode(name="vapp1", nodeid=1, fence="manual"))
    text = add_node(draft(text), NewNode(name="vapp2", nodeid=2, fence="manual"))
    assert text.encode() == (EXAMPLES / "E2.xml").read_bytes()


def test_edits_of_a_file_laid_out_by_hand_touch_nothing_else() -> None:
    text = add_node(
        draft(BY_HAND), NewNode(name="c", nodeid=3, votes=2, altname="c2", fence="apc", arguments=("port=3",))
    )
    text = remove_node(draft(text), "b")
    text = add_fence(draft(text), "man", "fence_manual", ("note=<&>",))
    assert text == (
        BY_HAND.replace("'7'", "'10'")
        .replace('<clusternode name="b" nodeid="2"/>  <!--', "<!--")
        .replace(
            "floor -->\n",
            "floor -->\n"
            '        <clusternode name="c" votes="2" nodeid="3">\n'
            '            <altname name="c2"/>\n'
            "            <fence>\n"
            '                <method name="single"><device name="apc" port="3"/></method>\n'
            "            </fence>\n"
            "        </clusternode>\n",
        )
        .replace(
            "passwd='x\"2'/></fence",
            'passwd=\'x"2\'/>\n        <fencedevice name="man" agent="fence_manual" note="&lt;&amp;>"/>\n    </fence',
        )
    )


def test_first_element_goes_into_an_empty_section_and_the_last_leaves_it_empty() -> None:
    text = '<cluster name="c" config_version="1">\r\n\t<clusternodes  />\r\n</cluster>'
    added = add_node(draft(text), NewNode(name="a", nodeid=1))
    assert added == (
        '<cluster name="c" config_version="2">\r\n\t<clusternodes>\r\n'
        '\t\t<clusternode name="a" votes="1" nodeid="1"/>\r\n\t</clusternodes>\r\n</cluster>'
    )
    assert remove_node(draft(added), "a") == text.replace('"1"', '"3"').replace("  />", "/>")


def test_element_among_others_on_one_line_is_removed_alone() -> None:
    devices = '<fencedevice name="a"/> <fencedevice name="b"/>'
    text = f'<cluster config_version="1"><fencedevices>{devices}</fencedevices></cluster>'
    assert remove_fence(draft(text), "b") == text.replace(' <fencedevice name="b"/>', "").replace(
        '"1"', '"2"'
    )
    assert remove_fence(draft(text), "a") == text.replace('<fencedevice name="a"/>', "").replace('"1"', '"2"')


def test_element_that_begins_its_line_is_removed_up_to_its_neighbour() -> None:
    devices = '\n <fencedevice name="a"/> <fencedevice name="b"/>'
    text = f'<cluster config_version="1"><fencedevices>{devices}</fencedevices></cluster>'
    assert '<fencedevices>\n <fencedevice name="b"/></fencedevices>' in remove_fence(draft(text), "a")


def test_nodes_without_id_get_the_lowest_free_ones_in_order() -> None:
    text = (
        '<cluster config_version="1"><clusternodes><clusternode name="a"/><clusternode name="b" nodeid="2"/>'
        '<clusternode nodeid="" name="c"/></clusternodes><cman two_node="1"/></cluster>'
    )
    assert add_nodeids(draft(text), start=0) == (
        text.replace('"1"', '"2"', 1)
        .replace('name="a"', 'name="a" nodeid="1"')
        .replace('nodeid=""', 'nodeid="3"'),
        (("a", 1), ("c", 3)),
    )


@pytest.mark.parametrize(
    ("cman", "expected"),
    [
        ("", '\n  <cman>\n    <multicast addr="239.1.2.3"/>\n  </cman>\n</cluster>'),
        ('<cman port="1"/>', '<cman port="1">\n  <multicast addr="239.1.2.3"/>\n</cman></cluster>'),
        (
            "<cman><multicast ttl='2'/></cman>",
            "<cman><multicast ttl='2' addr=\"239.1.2.3\"/></cman></cluster>",
        ),
        ("<cman><multicast addr='1.1.1.1'/></cman>", "<cman><multicast addr='239.1.2.3'/></cman></cluster>"),
    ],
)
def test_multicast_address_goes_into_the_one_cman(cman: str, expected: str) -> None:
    text = f'<cluster config_version="1"><clusternodes/>{cman}</cluster>'
    edited, _ = add_nodeids(draft(text), multicast="239.1.2.3")
    assert edited.endswith(expected)
    assert multicast_address(parse("f", edited.encode()).root) == "239.1.2.3"


def test_file_without_a_multicast_address_has_none() -> None:
    assert multicast_address(parse("f", b"<cluster/>").root) is None


def test_skeleton_of_a_cluster_has_its_nodes_and_a_place_for_the_arguments() -> None:
    text = create("c", nodes=2, agent="fence_apc")
    found = load("f", text.encode())
    assert found.findings == ()
    assert found.cluster
    assert [node.name for node in found.cluster.nodes] == ["NEEDNAME-01", "NEEDNAME-02"]
    assert "<!-- give the fence device its arguments" in text


@pytest.mark.parametrize(
    ("name", "nodes", "message"),
    [
        ("", 0, "cluster name is empty"),
        ("a b", 0, 'cluster name "a b" contains a blank or "/"'),
        ("sixteen-bytes-ab", 0, 'cluster name "sixteen-bytes-ab" is longer than 15 bytes'),
        ("\x01", 0, "cluster name has a character that no cluster.conf can hold"),
        ("c", 129, "129 nodes is out of range (0..128)"),
    ],
)
def test_cluster_that_cannot_be_created_is_refused(name: str, nodes: int, message: str) -> None:
    with pytest.raises(ConfError, match="^" + message.replace("(", r"\(").replace(")", r"\)") + "$"):
        create(name, nodes=nodes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("apc", "x"), "fence type apc already exists"),
        (("n", "x", "port"), "option 'port' is not opt=value pair"),
        (("n", "x", "=1"), "option '=1' is not opt=value pair"),
        (("n", "x", "name=1"), 'Can\'t use "name" as a fence argument name'),
        (("n", "x", "agent=1"), 'Can\'t use "agent" as a fence argument name'),
        (("n", "x", "1a=1"), '"1a" cannot be a fence argument name'),
        (("n", "x", "a=1", "a=2"), 'fence argument "a" is given twice'),
        (("n", "x", "a=\x02"), 'value of "a" has a character that no cluster.conf can hold'),
        (("n", "x", "a=1\nb=2"), 'the value of "a" has a line break'),
        ((" ", "x"), "fence device name is empty"),
        (("n\udcff", "x"), "fence device name has a character that no cluster.conf can hold"),
        (("n", ""), "agent name is empty"),
    ],
)
def test_fence_device_that_cannot_be_added_is_refused(arguments: tuple[str, ...], message: str) -> None:
    assert refusal(BY_HAND, *arguments) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<rm config_version='1'/>", "cluster.conf:1: root element is <rm>, expected <cluster>"),
        ("<cluster/>", 'Can\'t find "config_version" in config file'),
        ("<cluster config_version=' '/>", 'Can\'t find "config_version" in config file'),
        (
            "\n<cluster config_version='abc'/>",
            'cluster.conf:2: config_version "abc" is not a positive integer; mend it first',
        ),
        (
            "<cluster config_version='2147483647'/>",
            "cluster.conf:1: config_version 2147483647 cannot be raised any more",
        ),
        ("<cluster config_version='1'/>", 'Can\'t find "fencedevices" cluster.conf'),
    ],
)
def test_file_that_cannot_be_edited_is_refused(text: str, message: str) -> None:
    assert refusal(text, "n", "x") == message


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (NewNode(name="a", nodeid=9), "node a already exists in cluster.conf"),
        (NewNode(name="z", nodeid=None), "nodeid not specified"),
        (NewNode(name="z", nodeid=0), "nodeid not specified"),
        (NewNode(name="z", nodeid=2), "nodeid 2 already in use"),
        (NewNode(name="z", nodeid=3, fence="ipmi"), "fence type 'ipmi' not known"),
        (
            NewNode(name="z", nodeid=3, fence="apc", arguments=("name=x",)),
            'Can\'t use "name" as a fence argument name',
        ),
        (NewNode(name="", nodeid=3), "node name is empty"),
        (NewNode(name="n" * 256, nodeid=3), "node name is longer than 255 bytes"),
        (NewNode(name="z", nodeid=3, altname=""), "alternative name is empty"),
        (NewNode(name="z", nodeid=65536), "nodeid 65536 is out of range (1..65535)"),
        (NewNode(name="z", nodeid=3, votes=256), "votes 256 is out of range (0..255)"),
    ],
)
def test_node_that_cannot_be_added_is_refused(node: NewNode, message: str) -> None:
    assert node_refusal(BY_HAND, node) == message


def test_node_is_not_added_where_there_is_no_place_for_it() -> None:
    text = "<cluster config_version='1'/>"
    assert node_refusal(text, NewNode(name="z", nodeid=1)) == 'Can\'t find "clusternodes" in cluster.conf'
    assert (
        node_refusal(
            "<cluster config_version='1'><clusternodes/></cluster>", NewNode(name="z", nodeid=1, fence="d")
        )
        == "fence type 'd' not known"
    )


def test_unknown_node_or_device_is_not_removed() -> None:
    with pytest.raises(ConfError, match=r"^node z does not exist in cluster\.conf$"):
        remove_node(draft(BY_HAND), "z")
    with pytest.raises(ConfError, match=r"^fence type z does not exist$"):
        remove_fence(draft(BY_HAND), "z")


def test_ids_run_out_with_a_sentence() -> None:
    with pytest.raises(ConfError, match=r"^no free node id from 65536 to 65535$"):
        add_nodeids(
            draft('<cluster config_version="1"><clusternodes><clusternode/></clusternodes></cluster>'),
            start=65536,
        )


def test_address_that_is_not_multicast_is_refused() -> None:
    with pytest.raises(ConfError, match=r"^10\.1\.4\.1 is not a valid multicast address$"):
        add_nodeids(draft(BY_HAND), multicast="10.1.4.1")


BLANK = st.sampled_from(["", " ", "\n", "\n  ", "\n\t", "\n\n    "])
ASIDE = st.sampled_from(["", "", "<!-- a word -->", "<!--<clusternode name='z'/>-->", "<?p q?>"])
NAMES = ("n1", "n2", "n3", "n4")


@st.composite
def texts(pick: st.DrawFn) -> str:
    """A cluster.conf laid out in any way at all."""

    def gap() -> str:
        return pick(BLANK) + pick(ASIDE) + pick(BLANK)

    def tag(name: str, *pairs: tuple[str, str], inside: str | None = None) -> str:
        quotes = [pick(st.sampled_from("'\"")) for _ in pairs]
        head = f"<{name}" + "".join(
            f" {pick(BLANK)}{key}{pick(BLANK)}={pick(BLANK)}{q}{escape_value(value, q)}{q}"
            for (key, value), q in zip(pairs, quotes, strict=True)
        )
        if inside is None:
            return head + pick(BLANK) + "/>"
        return f"{head}{pick(BLANK)}>{inside}</{name}>"

    present = pick(st.lists(st.sampled_from(NAMES), unique=True))
    nodes = "".join(
        gap() + tag("clusternode", ("name", name), ("nodeid", str(NAMES.index(name) + 1)), ("x", "a>'\"&\n"))
        for name in present
    )
    section = tag(
        "clusternodes", inside=(nodes + gap()) if present else pick(st.sampled_from([None, "", "\n ", gap()]))
    )
    devices = tag("fencedevices", inside=gap() + tag("fencedevice", ("name", "d"), ("agent", "f")) + gap())
    root = tag(
        "cluster",
        ("name", "c"),
        ("config_version", "4"),
        inside=gap() + section + gap() + devices + gap() + tag("rm") + gap(),
    )
    return (
        pick(st.sampled_from(["", '<?xml version="1.0"?>\n', "<!-- top -->\n", "\ufeff"]))
        + root
        + pick(BLANK)
    )


NEW = Element(name="clusternode", attributes=(("name", "new"), ("votes", "1"), ("nodeid", "9")))


def with_nodes(document: Document, add: tuple[Element, ...], without: str | None) -> Document:
    """The twin of an edit: the same on the tree, which knows no layout."""

    def below(element: Element) -> Element:
        match element.name:
            case "cluster":
                children = tuple(below(c) if isinstance(c, Element) else c for c in element.children)
                pairs = tuple((k, "5" if k == "config_version" else v) for k, v in element.attributes)
                return structs.replace(element, attributes=pairs, children=children)
            case "clusternodes":
                kept = tuple(
                    c for c in element.children if not (isinstance(c, Element) and c.get("name") == without)
                )
                return structs.replace(element, children=kept + add)
            case _:
                return element

    return structs.replace(document, root=below(document.root))


@given(texts())
def test_added_node_is_the_last_and_all_else_is_as_it_was(text: str) -> None:
    before = draft(text).document
    edited = add_node(draft(text), NewNode(name="new", nodeid=9))
    after = parse("f", edited.encode())
    assert bare_document(after) == bare_document(with_nodes(before, (NEW,), None))


@given(texts(), st.sampled_from(NAMES))
def test_removed_node_is_gone_and_all_else_is_as_it_was(text: str, name: str) -> None:
    before = draft(text).document
    try:
        edited = remove_node(draft(text), name)
    except ConfError:
        assert name not in {node.get("name") for node in before.root.elements("clusternodes")[0].elements()}
    else:
        assert bare_document(parse("f", edited.encode())) == bare_document(with_nodes(before, (), name))


@given(texts())
def test_added_and_removed_again_leaves_the_text_but_for_blanks_and_the_version(text: str) -> None:
    edited = remove_node(draft(add_node(draft(text), NewNode(name="new", nodeid=9))), "new")

    def squeeze(some: str) -> str:
        return "".join(some.split()).replace("></clusternodes>", "/>")

    assert squeeze(edited) == squeeze(text).replace("config_version='4'", "config_version='6'").replace(
        'config_version="4"', 'config_version="6"'
    )


@given(texts(), st.sampled_from(NAMES))
def test_canonical_file_stays_canonical(text: str, name: str) -> None:
    tidy = canonical(parse("f", text.encode()))
    edited = add_fence(draft(tidy), "e", "f", ("a=1",))
    edited = add_node(draft(edited), NewNode(name="new", nodeid=9, altname="alt", fence="e"))
    edited = remove_fence(draft(edited), "d")
    if f'name="{name}"' in edited:
        edited = remove_node(draft(edited), name)
    edited, _ = add_nodeids(draft(edited), multicast="239.0.0.1")
    assert canonical(parse("f", edited.encode())) == edited


@given(texts())
def test_every_comment_survives_an_edit(text: str) -> None:
    edited = add_fence(draft(text), "e", "f", ())

    def comments(document: Document) -> list[str]:
        def below(element: Element) -> list[str]:
            return [
                line
                for child in element.children
                for line in (
                    [child.text]
                    if isinstance(child, Comment)
                    else below(child)
                    if isinstance(child, Element)
                    else []
                )
            ]

        return below(document.root)

    assert comments(parse("f", edited.encode())) == comments(parse("f", text.encode()))
