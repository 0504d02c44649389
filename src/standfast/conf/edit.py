"""The edits of ccs_tool: a cluster.conf in, the text of the edited one out, its config_version raised by one.

Each edit is made in the text itself (conf/splice.py), so that a person's layout and comments survive it. An edit that may
not be made raises ConfError with ccs_tool's words. Source: spec configuration, section 7.3.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from standfast.conf.document import BLANKS, Comment, Document, Element
from standfast.conf.model import Arguments
from standfast.conf.nodes import (
    CONFIG_VERSION_MAX,
    NODE_NAME_BYTES_MAX,
    NODEID_MAX,
    VOTES_MAX,
    check_cluster_name,
    is_multicast,
    read_config_version,
)
from standfast.conf.splice import Splice, append_child, apply_splices, remove_child, set_attribute
from standfast.conf.values import read_integer
from standfast.conf.write import canonical
from standfast.errors import ConfError

NODES_MAX = 128  # of a skeleton

_ATTRIBUTE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # no character of XML 1.0


class Draft(Struct, frozen=True):
    """A document to edit, and the name of its file for messages."""

    file: str
    document: Document

    @property
    def root(self) -> Element:
        """The <cluster> element."""
        return self.document.root


class NewNode(Struct, frozen=True, kw_only=True):
    """What `addnode` is told; `arguments` are the words KEY=VALUE for the fence device."""

    name: str
    nodeid: int | None  # None: not given, which is refused
    votes: int = 1
    altname: str | None = None
    fence: str | None = None  # None: no fence method
    arguments: Sequence[str] = ()


def create(name: str, *, two_node: bool = False, nodes: int = 0, agent: str | None = None) -> str:
    """Return the text of version 1 of a new cluster; with `nodes`, that many to be filled in."""
    for finding in check_cluster_name(name, 0):
        raise _refuse(finding.text)
    _check_characters(name, "cluster name")
    _check_characters(agent or "", "agent")
    if not 0 <= nodes <= NODES_MAX:
        raise _refuse(f"{nodes} nodes is out of range (0..{NODES_MAX})")
    root = Element(
        name="cluster",
        attributes=(("name", name), ("config_version", "1")),
        children=tuple(_skeleton(two_node=two_node, nodes=nodes, agent=agent)),
    )
    return canonical(Document(root=root))


def add_fence(draft: Draft, name: str, agent: str, words: Sequence[str]) -> str:
    """Return the text with one more <fencedevice>; `words` are its arguments, KEY=VALUE."""
    raised = _raised_version(draft)
    section = draft.root.first("fencedevices")
    if section is None:
        raise _refuse(f'Can\'t find "fencedevices" {draft.file}')
    if _named(section, "fencedevice", name) is not None:
        raise _refuse(f"fence type {name} already exists")
    arguments = _arguments(words, ("name", "agent"))
    _check_name(name, "fence device")
    _check_name(agent, "agent")
    device = Element(name="fencedevice", attributes=(("name", name), ("agent", agent), *arguments))
    return _edited(draft, raised, append_child(draft.document, section, device))


def remove_fence(draft: Draft, name: str) -> str:
    """Return the text without a <fencedevice>, even where nodes still use it."""
    raised = _raised_version(draft)
    section = _section(draft, "fencedevices")
    device = _named(section, "fencedevice", name)
    if device is None:
        raise _refuse(f"fence type {name} does not exist")
    return _edited(draft, raised, remove_child(draft.document, section, device))


def add_node(draft: Draft, node: NewNode) -> str:
    """Return the text with one more <clusternode>."""
    raised = _raised_version(draft)
    section = _section(draft, "clusternodes")
    if _named(section, "clusternode", node.name) is not None:
        raise _refuse(f"node {node.name} already exists in {draft.file}")
    if not node.nodeid:
        raise _refuse("nodeid not specified")
    if node.nodeid in _used_ids(section):
        raise _refuse(f"nodeid {node.nodeid} already in use")
    devices = draft.root.first("fencedevices")
    if node.fence is not None and (devices is None or _named(devices, "fencedevice", node.fence) is None):
        raise _refuse(f"fence type '{node.fence}' not known")
    arguments = _arguments(node.arguments, ("name",))
    _check_new_node(node)
    element = Element(
        name="clusternode",
        attributes=(("name", node.name), ("votes", str(node.votes)), ("nodeid", str(node.nodeid))),
        children=tuple(_below_node(node, arguments)),
    )
    return _edited(draft, raised, append_child(draft.document, section, element))


def remove_node(draft: Draft, name: str) -> str:
    """Return the text without a <clusternode>; failover domains that name it are left."""
    raised = _raised_version(draft)
    section = _section(draft, "clusternodes")
    node = _named(section, "clusternode", name)
    if node is None:
        raise _refuse(f"node {name} does not exist in {draft.file}")
    return _edited(draft, raised, remove_child(draft.document, section, node))


def add_nodeids(
    draft: Draft, *, start: int = 1, multicast: str | None = None
) -> tuple[str, tuple[tuple[str, int], ...]]:
    """Return the text in which every node has an id, and the (name, id) that were given.

    A node without id gets the lowest free one from `start`, in document order. `multicast` is the address to set.
    """
    if multicast is not None and not is_multicast(multicast):
        raise _refuse(f"{multicast} is not a valid multicast address")
    raised = _raised_version(draft)
    section = _section(draft, "clusternodes")
    used = _used_ids(section)
    given: list[tuple[str, int]] = []
    splices: list[Splice] = [raised]
    nodeid = max(1, start)
    for node in section.elements("clusternode"):
        if (node.get("nodeid") or "").strip(BLANKS):
            continue
        while nodeid in used:
            nodeid += 1
        if nodeid > NODEID_MAX:
            raise _refuse(f"no free node id from {start} to {NODEID_MAX}")
        used.add(nodeid)
        given.append((node.get("name") or "", nodeid))
        splices.append(set_attribute(draft.document, node, "nodeid", str(nodeid)))
    if multicast is not None:
        splices.append(_set_multicast(draft, multicast))
    return apply_splices(draft.document.text, splices), tuple(given)


def multicast_address(root: Element) -> str | None:
    """Return the multicast address that the file sets, None where it leaves it to the default."""
    cman = root.first("cman")
    group = cman.first("multicast") if cman else None
    return group.get("addr") if group else None


def _edited(draft: Draft, *splices: Splice) -> str:
    return apply_splices(draft.document.text, splices)


def _raised_version(draft: Draft) -> Splice:
    root = draft.root
    if root.name != "cluster":
        raise _refuse(f"{draft.file}:{root.line}: root element is <{root.name}>, expected <cluster>")
    text = root.get("config_version")
    if text is None or not text.strip(BLANKS):
        raise _refuse('Can\'t find "config_version" in config file')
    version = read_config_version(text)
    if version is None:
        raise _refuse(
            f'{draft.file}:{root.line}: config_version "{text}" is not a positive integer; mend it first'
        )
    if version == CONFIG_VERSION_MAX:
        raise _refuse(f"{draft.file}:{root.line}: config_version {version} cannot be raised any more")
    return set_attribute(draft.document, root, "config_version", str(version + 1))


def _section(draft: Draft, name: str) -> Element:
    section = draft.root.first(name)
    if section is None:
        raise _refuse(f'Can\'t find "{name}" in {draft.file}')
    return section


def _named(section: Element, kind: str, name: str) -> Element | None:
    return next((element for element in section.elements(kind) if element.get("name") == name), None)


def _used_ids(section: Element) -> set[int]:
    ids = (read_integer(node.get("nodeid") or "") for node in section.elements("clusternode"))
    return {nodeid for nodeid in ids if nodeid is not None}


def _arguments(words: Sequence[str], reserved: Sequence[str]) -> Arguments:
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise _refuse(f"option '{word}' is not opt=value pair")
        if key in reserved:
            raise _refuse(f'Can\'t use "{key}" as a fence argument name')
        if not _ATTRIBUTE_NAME.fullmatch(key):
            raise _refuse(f'"{key}" cannot be a fence argument name')
        if key in pairs:
            raise _refuse(f'fence argument "{key}" is given twice')
        _check_characters(value, f'value of "{key}"')
        if "\n" in value or "\r" in value:
            raise _refuse(f'the value of "{key}" has a line break')
        pairs[key] = value
    return tuple(pairs.items())


def _check_new_node(node: NewNode) -> None:
    _check_name(node.name, "node")
    if len(node.name.encode()) > NODE_NAME_BYTES_MAX:
        raise _refuse(f"node name is longer than {NODE_NAME_BYTES_MAX} bytes")
    if node.altname is not None:
        _check_name(node.altname, "alternative")
    if node.nodeid is not None and node.nodeid > NODEID_MAX:
        raise _refuse(f"nodeid {node.nodeid} is out of range (1..{NODEID_MAX})")
    if node.votes > VOTES_MAX:
        raise _refuse(f"votes {node.votes} is out of range (0..{VOTES_MAX})")


def _check_name(name: str, what: str) -> None:
    if not name.strip(BLANKS):
        raise _refuse(f"{what} name is empty")
    _check_characters(name, f"{what} name")


def _check_characters(text: str, what: str) -> None:
    if _FORBIDDEN.search(text):
        raise _refuse(f"{what} has a character that no cluster.conf can hold")


def _below_node(node: NewNode, arguments: Arguments) -> Iterator[Element]:
    if node.altname is not None:
        yield Element(name="altname", attributes=(("name", node.altname),))
    if node.fence is not None:
        yield _fence(node.fence, arguments)


def _fence(device: str, arguments: Arguments = ()) -> Element:
    step = Element(name="device", attributes=(("name", device), *arguments))
    method = Element(name="method", attributes=(("name", "single"),), children=(step,))
    return Element(name="fence", children=(method,))


def _set_multicast(draft: Draft, address: str) -> Splice:
    document = draft.document
    group = Element(name="multicast", attributes=(("addr", address),))
    cman = draft.root.first("cman")
    if cman is None:
        return append_child(document, draft.root, Element(name="cman", children=(group,)))
    present = cman.first("multicast")
    if present is None:
        return append_child(document, cman, group)
    return set_attribute(document, present, "addr", address)


def _skeleton(*, two_node: bool, nodes: int, agent: str | None) -> Iterator[Element]:
    device = "NEEDNAME"
    fence = (_fence(device),) if agent else ()
    yield Element(
        name="clusternodes",
        children=tuple(
            Element(
                name="clusternode",
                attributes=(("name", f"NEEDNAME-{nodeid:02}"), ("votes", "1"), ("nodeid", str(nodeid))),
                children=fence,
            )
            for nodeid in range(1, nodes + 1)
        ),
    )
    if two_node:
        yield Element(name="cman", attributes=(("expected_votes", "1"), ("two_node", "1")))
    yield Element(
        name="fencedevices",
        children=(
            Comment(" give the fence device its arguments, and each node's to its <device> "),
            Element(name="fencedevice", attributes=(("name", device), ("agent", agent))),
        )
        if agent
        else (),
    )
    yield Element(name="rm", children=(Element(name="failoverdomains"), Element(name="resources")))


def _refuse(text: str) -> ConfError:
    return ConfError(text, code="edit-refused")
