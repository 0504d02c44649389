"""Quorum as corosync's votequorum does it: its own options, and a quorum device in the network.

Source: spec membership, sections 16.4 and 16.8; votequorum(5); corosync-qdevice(8).
"""

from collections.abc import Iterator

from standfast.conf.document import Element
from standfast.conf.findings import Finding, error, warning
from standfast.conf.messaging import Algorithm, Tls
from standfast.conf.nodes import votes_of
from standfast.conf.shape import not_acted_upon
from standfast.conf.values import read_flag, read_integer
from standfast.conf.wiring import net_device, nodes_of, number_of, text_of, word_of

MODELS = ("disk", "net")


def check_votequorum(root: Element) -> Iterator[Finding]:
    """Yield what is wrong with wait_for_all, last_man_standing and auto_tie_breaker, and with a device beside them."""
    cman = root.first("cman")
    if cman is None:
        return
    last_man, tie_breaker = _is_on(cman, "last_man_standing"), _is_on(cman, "auto_tie_breaker")
    if last_man and not _is_on(cman, "wait_for_all"):
        yield error(
            cman.line, "I95", 'last_man_standing is safe with wait_for_all only; add wait_for_all="1" to cman'
        )
    if last_man and any(votes_of(node) != 1 for node in nodes_of(root)):
        yield error(cman.line, "I95", "last_man_standing needs 1 vote per node")
    if _is_on(cman, "two_node"):
        for name in ("last_man_standing", "auto_tie_breaker"):
            if _is_on(cman, name):
                yield error(cman.line, "I95", f"two_node and {name} exclude each other; remove one of them")
    if root.first("quorumd") is not None and (last_man or tie_breaker):
        name = "last_man_standing" if last_man else "auto_tie_breaker"
        yield error(
            cman.line, "I95", f"{name} and quorumd exclude each other: corosync would switch the device off"
        )
    if text_of(cman, "quorum_dev_poll") and net_device(root) is None:
        yield not_acted_upon(cman.line, "cman/@quorum_dev_poll")


def check_quorum_device(root: Element) -> Iterator[Finding]:
    """Yield what is wrong with <quorumd model="net">."""
    for disk in root.elements("quorumd"):
        model = text_of(disk, "model")
        if model and model.lower() not in MODELS:
            yield _fault(disk, f'model "{model}" does not exist; use net, or none for a quorum disk')
    device = net_device(root)
    if device is None:
        return
    if not text_of(device, "host"):
        yield _fault(device, "without host; name the machine on which corosync-qnetd runs")
    elif any(word_of(device, "host") == (node.get("name") or "").lower() for node in nodes_of(root)):
        yield _fault(device, f"host {device.get('host')} is a node of this cluster; use another machine")
    port = text_of(device, "port")
    if port and not 1 <= (read_integer(port) or 0) <= 65535:
        yield _fault(device, f'port "{port}" must be 1..65535')
    yield from _check_word(device, "algorithm", tuple(Algorithm))
    yield from _check_word(device, "tls", tuple(Tls))
    if word_of(device, "tls") in {"off", "on"}:
        yield warning(
            device.line,
            "I91",
            f'quorumd/@tls "{word_of(device, "tls")}" lets anybody on the way answer for the server; '
            'write tls="required"',
        )
    yield from _check_tie_breaker(root, device)
    yield from _check_votes(root, device)


def _check_word(device: Element, name: str, words: tuple[str, ...]) -> Iterator[Finding]:
    text = text_of(device, name)
    if text and text.lower() not in words:
        yield _fault(device, f'{name} "{text}" does not exist; use {" or ".join(words)}')


def _check_tie_breaker(root: Element, device: Element) -> Iterator[Finding]:
    word = word_of(device, "tie_breaker") or "lowest"
    ids = {number_of(node, "nodeid") for node in nodes_of(root)}
    if word not in {"lowest", "highest"} and (not word.isdecimal() or read_integer(word) not in ids):
        yield _fault(device, f'tie_breaker "{word}" is no node id; use one, or lowest or highest')


def _check_votes(root: Element, device: Element) -> Iterator[Finding]:
    nodes = nodes_of(root)
    if len(nodes) == 1:
        yield _fault(device, "a cluster of one node has no ties to break; remove quorumd")
    if any(votes_of(node) != 1 for node in nodes):
        yield _fault(device, "a quorum device needs 1 vote per node")
    votes = text_of(device, "votes")
    is_lms = word_of(device, "algorithm") == Algorithm.LMS
    own = len(nodes) - 1 if is_lms else 1
    if votes and read_integer(votes) != own:
        why = f"lms gives {own} with {len(nodes)} nodes" if is_lms else "ffsplit gives 1"
        yield _fault(device, f'votes "{votes}" cannot be: {why}; remove votes')
    if not is_lms and len(nodes) % 2 and len(nodes) > 1:
        yield warning(
            device.line,
            "I97",
            f"quorumd: ffsplit helps an even number of nodes only, and there are {len(nodes)}; remove quorumd, "
            "or use lms",
        )
    cman = root.first("cman")
    expected = number_of(cman, "expected_votes") if cman else None
    if expected and cman and not _is_on(cman, "two_node") and expected != len(nodes) + own:
        yield warning(
            cman.line,
            "I97",
            f"expected_votes {expected} ignored, {len(nodes) + own} used: the nodes' votes and the device's",
        )


def _is_on(cman: Element, name: str) -> bool:
    return bool(read_flag(cman.get(name) or ""))


def _fault(device: Element, text: str) -> Finding:
    return error(device.line, "I97", f"quorumd: {text}")
