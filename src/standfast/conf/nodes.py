"""The cluster's name and version, its nodes, and their votes: the rules about <cluster>, <clusternodes> and <cman>.

Source: spec configuration, section 11 (I06 to I31, I34, I43, I44).
"""

import ipaddress
import re
from collections.abc import Iterator

from standfast.conf.document import BLANKS, Element
from standfast.conf.findings import Finding, error, fatal, warning
from standfast.conf.shape import empty_attribute, not_an_integer
from standfast.conf.values import read_flag, read_integer
from standfast.conf.wiring import net_device

NAME_BYTES_MAX = 15  # of a cluster; the wire field of RHCS holds 16 with its end
NODE_NAME_BYTES_MAX = 255
NODEID_MAX = 65535  # knet's limit
NODEID_USUAL_MAX = 4096  # cman_tool's limit
VOTES_MAX = 255
ALTNAMES_MAX = 7
CONFIG_VERSION_MAX = 2_147_483_647

_DIGITS = re.compile(r"[0-9]{1,10}")


def read_config_version(text: str) -> int | None:
    """Return the version, None unless the text is decimal digits for a number that fits."""
    digits = text.strip(BLANKS)
    if not _DIGITS.fullmatch(digits):
        return None
    return int(digits) if int(digits) <= CONFIG_VERSION_MAX else None


def check_cluster(root: Element) -> Iterator[Finding]:
    """Yield what is wrong with the name and the version."""
    yield from check_cluster_name(root.get("name"), root.line)
    text = root.get("config_version")
    if text is None or not text.strip(BLANKS):
        yield fatal(root.line, "I09", "cluster has no config_version")
        return
    version = read_config_version(text)
    if version is None:
        yield fatal(root.line, "I10", f'config_version "{text}" is not a positive integer')
    elif version == 0:
        yield error(root.line, "I11", f'config_version "{text}" is not a positive integer')


def check_cluster_name(name: str | None, line: int) -> Iterator[Finding]:
    """Yield what is wrong with a cluster's name."""
    if name is None:
        yield fatal(line, "I06", "cluster has no name")
    elif not name:
        yield fatal(line, "I07", "cluster name is empty")
    elif len(name.encode()) > NAME_BYTES_MAX:
        yield fatal(line, "I08", f'cluster name "{name}" is longer than {NAME_BYTES_MAX} bytes')
    elif re.search(r"[\s/]", name):
        yield fatal(line, "I08", f'cluster name "{name}" contains a blank or "/"')


def check_nodes(root: Element) -> Iterator[Finding]:
    """Yield what is wrong with the nodes, one by one and together."""
    section = root.first("clusternodes")
    if section is None:
        yield error(root.line, "I13", "no clusternodes")
        return
    nodes = section.elements("clusternode")
    if not nodes:
        yield error(section.line, "I14", "no clusternode defined")
    for node in nodes:
        yield from _check_node(node)
    yield from _check_twice(nodes)
    counts = {len(node.elements("altname")) for node in nodes}
    if len(counts) > 1 or max(counts, default=0) > ALTNAMES_MAX:
        yield error(section.line, "I44", f"every node needs the same number of altnames (0..{ALTNAMES_MAX})")


def check_cman(root: Element) -> Iterator[Finding]:
    """Yield what is wrong with <cman>, and with the votes as a whole."""
    cman = root.first("cman")
    if cman is None:
        return
    if read_flag(cman.get("two_node") or "0"):
        yield from _check_two_node(root, cman)
    else:
        yield from _check_expected_votes(root, cman)
    yield from _check_bounded(cman, "cluster_id", 1, "I29", "{element}{name} {value} out of range")
    yield from _check_bounded(cman, "port", 2, "I34", "{element}{name} {value} out of range")
    for group in cman.elements("multicast", "altmulticast"):
        yield from _check_group(group)
        yield from _check_bounded(group, "port", 2, "I34", "{element}{name} {value} out of range")


def votes_of(node: Element) -> int | None:
    """Return a clusternode's votes, 1 where it gives none, None where they are unreadable."""
    text = node.get("votes") or ""
    return read_integer(text) if text.strip(BLANKS) else 1


def _check_node(node: Element) -> Iterator[Finding]:
    name = node.get("name") or ""
    if not name:
        yield error(node.line, "I16", "clusternode without name")
    elif len(name.encode()) > NODE_NAME_BYTES_MAX:
        yield error(
            node.line, "I16", f'clusternode name "{name[:20]}..." is longer than {NODE_NAME_BYTES_MAX} bytes'
        )
    yield from _check_nodeid(node, name or "without name")
    votes = votes_of(node)
    text = node.get("votes")
    if text is not None and not text.strip(BLANKS):
        yield empty_attribute(node, "votes")
    elif votes is None or not 0 <= votes <= VOTES_MAX:
        yield error(node.line, "I22", f'node {name}: votes "{text}" must be 0..{VOTES_MAX}')
    for altname in node.elements("altname"):
        if not altname.get("name"):
            yield error(altname.line, "I43", f"node {name}: altname without name")


def _check_nodeid(node: Element, name: str) -> Iterator[Finding]:
    text = node.get("nodeid")
    if text is None or not text.strip(BLANKS):
        yield error(node.line, "I17", f"no node id for {name}; run 'ccs_tool addnodeids'")
        return
    nodeid = read_integer(text)
    if nodeid is None or nodeid < 1:
        yield error(node.line, "I18", f'node {name}: nodeid "{text}" is not a positive integer')
    elif nodeid > NODEID_MAX:
        yield error(node.line, "I19", f"node {name}: nodeid {nodeid} is out of range")
    elif nodeid > NODEID_USUAL_MAX:
        yield warning(
            node.line, "I19", f"node {name}: nodeid {nodeid} is out of range (1..{NODEID_USUAL_MAX}) for cman"
        )


def _check_twice(nodes: tuple[Element, ...]) -> Iterator[Finding]:
    names: set[str] = set()
    ids: dict[int, str] = {}
    for node in nodes:
        name = node.get("name") or ""
        nodeid = read_integer(node.get("nodeid") or "")
        if name and name in names:
            yield error(node.line, "I21", f"node {name} defined twice")
        elif nodeid is not None and nodeid > 0 and nodeid in ids:
            yield error(node.line, "I20", f"nodeid {nodeid} used by {ids[nodeid]} and {name}")
        names.add(name)
        if nodeid is not None:
            ids.setdefault(nodeid, name)


def _check_two_node(root: Element, cman: Element) -> Iterator[Finding]:
    section = root.first("clusternodes")
    nodes = section.elements("clusternode") if section else ()
    if len(nodes) != 2:
        yield error(
            cman.line,
            "I23",
            f"two_node needs exactly 2 nodes, found {len(nodes)}; stop the cluster and remove two_node",
        )
    if any(votes_of(node) != 1 for node in nodes):
        yield error(cman.line, "I24", "two_node needs 1 vote per node")
    if root.first("quorumd") is not None:
        yield error(cman.line, "I26", "two_node and quorumd exclude each other")
    expected = cman.get("expected_votes")
    if expected is not None and expected.strip(BLANKS) and read_integer(expected) != 1:
        yield warning(cman.line, "I25", f"two_node: expected_votes {expected} ignored, 1 used")


def _check_expected_votes(root: Element, cman: Element) -> Iterator[Finding]:
    text = cman.get("expected_votes")
    if text is None:
        return
    if not text.strip(BLANKS):
        yield empty_attribute(cman, "expected_votes")
        return
    expected = read_integer(text)
    if expected is None or expected < 0:
        yield error(cman.line, "I27", f'expected_votes "{text}" is not a positive integer')
        return
    if net_device(root) is not None:
        return  # corosync counts, and conf/votequorum.py compares
    section = root.first("clusternodes")
    quorumd = root.first("quorumd")
    configured = sum(votes_of(node) or 0 for node in (section.elements("clusternode") if section else ()))
    configured += max(0, read_integer(quorumd.get("votes") or "") or 0) if quorumd else 0
    if 0 < expected < configured // 2 + 1:
        yield warning(
            cman.line,
            "I28",
            f"expected_votes {expected} allows two quorate halves ({configured} votes configured)",
        )


def _check_bounded(element: Element, name: str, least: int, code: str, text: str) -> Iterator[Finding]:
    value = element.get(name)
    if value is None:
        return
    if not value.strip(BLANKS):
        yield empty_attribute(element, name)
        return
    number = read_integer(value)
    if number is None:
        yield not_an_integer(element, name, value)
    elif not least <= number <= 65535:
        owner = "" if element.name == "cman" else f"{element.name} "
        yield error(element.line, code, text.format(element=owner, name=name, value=number))


def _check_group(group: Element) -> Iterator[Finding]:
    address = (group.get("addr") or "").strip(BLANKS)
    if not address:
        yield error(group.line, "I30", f"{group.name} without addr")
    elif not is_multicast(address):
        yield error(group.line, "I31", f"{address} is not a multicast address")


def is_multicast(address: str) -> bool:
    """Whether the text is an IPv4 or IPv6 multicast address."""
    try:
        return ipaddress.ip_address(address).is_multicast
    except ValueError:
        return False
