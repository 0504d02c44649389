"""What corosync 3 cannot do, or does otherwise than cman did: transport, links and ports, key, timers, what it can read.

The transport is always knet and always encrypted (docs/decisions/0010). Source: spec membership, sections 11.3 and 16.2;
corosync.conf(5); limits of the timers as corosync 3.1.7 reports them.
"""

import re
from collections.abc import Iterator

from standfast.conf.document import Element
from standfast.conf.findings import Finding, error, warning
from standfast.conf.grammar import COROSYNC_TIMER_MS_MIN, INTERFACE_GENERATED, TOTEM_GONE
from standfast.conf.messaging import PORT_DEFAULT
from standfast.conf.shape import not_acted_upon
from standfast.conf.wiring import (
    SUBSYSTEMS,
    consensus_ms_min,
    link_number,
    nodes_of,
    number_of,
    number_or,
    text_of,
    token_ms,
    word_of,
)

RETRANSMITS_DEFAULT = 4  # of corosync
PORT_MAX = 65535

_UNREADABLE = re.compile(
    r"[{}\x00-\x1f\x7f]"
)  # a brace opens or closes a section wherever it stands in a line


def check_transport(root: Element) -> Iterator[Finding]:
    """Yield what the file asks of the transport and does not get, and where the key cannot be."""
    for cman in root.elements("cman"):
        yield from _check_cman(cman)
    for totem in root.elements("totem"):
        yield from _check_totem(totem)
        yield from _check_interfaces(root, totem)
    for node in nodes_of(root):
        for altname in node.elements("altname"):
            if text_of(altname, "mcast"):
                yield _no_multicast(altname.line, "altname/@mcast")


def check_timers(root: Element) -> Iterator[Finding]:
    """Yield the timers that do not fit each other."""
    totem = root.first("totem")
    if totem is None:
        return
    least = consensus_ms_min(root)
    consensus_ms = number_of(totem, "consensus")
    if consensus_ms is not None and consensus_ms < least:
        yield warning(
            totem.line,
            "I93",
            f"consensus {consensus_ms} ms is less than 1.2 x token; {least} ms is used, "
            "remove consensus or raise it",
        )
    join_ms = number_or(totem, "join", 0)
    if join_ms > max(least, consensus_ms or 0):
        yield error(
            totem.line,
            "I94",
            f"join {join_ms} ms is longer than consensus ({max(least, consensus_ms or 0)} ms); lower join",
        )
    retransmits = number_or(totem, "token_retransmits_before_loss_const", RETRANSMITS_DEFAULT)
    token_least_ms = -(-COROSYNC_TIMER_MS_MIN * (10 * retransmits + 2) // 10)
    if number_of(totem, "token_retransmit") is None and token_ms(root) < token_least_ms:
        yield error(
            totem.line,
            "I94",
            f"token {token_ms(root)} ms is too short for {retransmits} retransmits; set token to at least "
            f"{token_least_ms}, or lower token_retransmits_before_loss_const",
        )


def check_ports(root: Element) -> Iterator[Finding]:
    """Yield the links whose port is beyond the last one, or not the same at all nodes."""
    nodes = nodes_of(root)
    links = max((len(node.elements("altname")) for node in nodes), default=0)
    cman = root.first("cman")
    port = (number_of(cman, "port") if cman else None) or PORT_DEFAULT
    for link in range(1, links + 1):
        altnames = tuple(
            (node.get("name"), node.elements("altname")[link - 1])
            for node in nodes
            if len(node.elements("altname")) >= link
        )
        given = tuple(
            (name, number, altname)
            for name, altname in altnames
            if (number := number_of(altname, "port")) is not None
        )
        if not given and port + link > PORT_MAX >= port:
            yield error(
                altnames[0][1].line,
                "I96",
                f"link {link} would use port {port + link}; lower cman/@port, or give altname a port",
            )
        for name, number, altname in given:
            if number != given[0][1]:
                yield error(
                    altname.line,
                    "I96",
                    f"node {name}: link {link} has port {number}, but {given[0][1]} at node {given[0][0]}; "
                    "give a link the same port at every node",
                )


def check_shared_names(root: Element) -> Iterator[Finding]:
    """Yield names that two nodes share on some network, and text that corosync.conf cannot hold."""
    names = {node.get("name") or "": node.get("name") or "" for node in nodes_of(root)}
    for node in nodes_of(root):
        owner = node.get("name") or ""
        for altname in node.elements("altname"):
            name = altname.get("name") or ""
            if name and name in names:
                yield error(
                    altname.line,
                    "I98",
                    f'node {owner}: altname "{name}" is a name of node {names[name]} already; '
                    "every link of every node needs an address of its own",
                )
            names.setdefault(name, owner)
    for element, attribute in _written(root):
        if _UNREADABLE.search(element.get(attribute) or ""):
            yield error(
                element.line,
                "I99",
                f"{element.name}/@{attribute} has a brace or a control character, which corosync.conf cannot hold",
            )


def check_logging(root: Element) -> Iterator[Finding]:
    """Yield log files without a full path, and parts of corosync that do not exist."""
    for logging in root.elements("logging"):
        yield from _check_path(logging, "logfile")
        for daemon in logging.elements("logging_daemon"):
            name = word_of(daemon, "name")
            if name and name != "corosync":
                yield not_acted_upon(daemon.line, f'logging_daemon "{name}"')
                continue
            yield from _check_path(daemon, "logfile")
            subsys = text_of(daemon, "subsys")
            if subsys and subsys.upper() not in SUBSYSTEMS:
                yield warning(
                    daemon.line,
                    "I92",
                    f'logging_daemon/@subsys: corosync 3 has no part "{subsys}"; use one of {", ".join(SUBSYSTEMS)}',
                )


def _check_cman(cman: Element) -> Iterator[Finding]:
    transport = word_of(cman, "transport")
    if transport in {"udp", "udpb", "udpu"}:
        yield warning(
            cman.line,
            "I91",
            f"cman/@transport {transport} is not used: the nodes always talk over knet, encrypted; remove it",
        )
    if word_of(cman, "broadcast") == "yes":
        yield _no_multicast(cman.line, "cman/@broadcast")
    for group in cman.elements("multicast", "altmulticast"):
        yield _no_multicast(group.line, f"<{group.name}>")
    yield from _check_path(cman, "keyfile")


def _check_totem(totem: Element) -> Iterator[Finding]:
    if word_of(totem, "secauth") in {"off", "0"}:
        yield _always_encrypted(totem, "secauth")
    if word_of(totem, "crypto_cipher") == "none":
        yield _always_encrypted(totem, "crypto_cipher")
    if word_of(totem, "crypto_hash") in {"none", "md5", "sha1"}:
        yield _always_encrypted(totem, "crypto_hash")
    for name in TOTEM_GONE:
        if totem.get(name) is not None:
            yield warning(
                totem.line,
                "I92",
                f"totem/@{name} is ignored: corosync 3 has no such setting, or gets it from elsewhere; remove it",
            )
    yield from _check_path(totem, "keyfile")


def _check_interfaces(root: Element, totem: Element) -> Iterator[Finding]:
    links = max((len(node.elements("altname")) for node in nodes_of(root)), default=0) + 1
    seen: set[int | None] = set()
    for interface in totem.elements("interface"):
        number = link_number(interface)
        if number is None or not 0 <= number < links:
            yield error(
                interface.line,
                "I92",
                f"interface: the nodes have links 0 to {links - 1}, and this is for none of them; mend linknumber",
            )
        elif number in seen:
            yield error(interface.line, "I92", f"interface: link {number} is there twice; join the two")
        seen.add(number)
        for name in INTERFACE_GENERATED:
            if interface.get(name) is not None:
                yield warning(
                    interface.line,
                    "I92",
                    f"interface/@{name} is ignored: addresses come from clusternode and altname, "
                    "ports from cman and altname; remove it",
                )


def _always_encrypted(totem: Element, name: str) -> Finding:
    return warning(
        totem.line,
        "I91",
        f'totem/@{name} "{totem.get(name)}" is not used: what the nodes say is always encrypted and signed; remove it',
    )


def _no_multicast(line: int, what: str) -> Finding:
    return warning(
        line,
        "I91",
        f"{what} is not used: over knet each node is sent to by its own address, without multicast; remove it",
    )


def _check_path(element: Element, name: str) -> Iterator[Finding]:
    path = text_of(element, name)
    if path and not path.startswith("/"):
        yield error(
            element.line, "I99", f'{element.name}/@{name} "{path}" is not a full path; begin it with /'
        )


def _written(root: Element) -> Iterator[tuple[Element, str]]:
    """The attributes whose text goes into corosync.conf as it is."""
    yield root, "name"
    for name in ("cman", "totem"):
        for element in root.elements(name):
            yield element, "keyfile"
    for node in nodes_of(root):
        yield node, "name"
    for device in root.elements("quorumd"):
        yield device, "host"
    for logging in root.elements("logging"):
        for element in (logging, *logging.elements("logging_daemon")):
            yield element, "logfile"
