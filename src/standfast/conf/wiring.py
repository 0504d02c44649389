"""From <cman>, <totem>, <quorumd> and <logging> to the records of conf/messaging.py, with every default filled in.

Source: spec configuration, sections 3.2 to 3.4 and 3.7; spec membership, section 16.2.
"""

from standfast.conf.document import BLANKS, Element
from standfast.conf.grammar import CIPHERS, HASHES, LOGGING, TOTEM_SETTINGS
from standfast.conf.messaging import (
    PORT_DEFAULT,
    QNETD_PORT_DEFAULT,
    Algorithm,
    LinkMode,
    LinkSettings,
    Log,
    Messaging,
    QuorumDevice,
    Tls,
    Totem,
)
from standfast.conf.values import read_flag, read_integer

SUBSYSTEMS = (
    *("CFG", "CMAP", "CPG", "KNET", "MAIN", "MON", "QB"),
    *("QDEVICE", "QUORUM", "SERV", "SYNC", "TOTEM", "VOTEQ", "WD"),
)
"""Parts of corosync 3 (and its qdevice) whose log can be set apart."""

TOKEN_MS_DEFAULT = 10_000

_PRIORITY_NAMES = {"error": "err", "warn": "warning"}


def read_messaging(root: Element) -> Messaging:
    """Return what a file without errors asks of the messaging layer."""
    cman = root.first("cman") or Element(name="cman")
    totem = root.first("totem") or Element(name="totem")
    return Messaging(
        port=number_of(cman, "port") or PORT_DEFAULT,
        keyfile=text_of(cman, "keyfile") or text_of(totem, "keyfile"),
        totem=_read_totem(root, totem),
        wait_for_all=_flag(cman, "wait_for_all"),
        auto_tie_breaker=_flag(cman, "auto_tie_breaker"),
        last_man_standing=_flag(cman, "last_man_standing"),
        device=_read_device(root, cman),
        shutdown_timeout_ms=number_or(cman, "shutdown_timeout", Messaging().shutdown_timeout_ms),
        log=_read_log(root),
        log_subsystems=_read_log_subsystems(root),
    )


def net_device(root: Element) -> Element | None:
    """Return the <quorumd> that is a server in the network; None where there is none, or it is a disk."""
    device = root.first("quorumd")
    return device if device and word_of(device, "model") == "net" else None


def number_of(element: Element, name: str) -> int | None:
    """Return an attribute's number, None where it is not written or is none."""
    return read_integer(element.get(name) or "")


def number_or(element: Element, name: str, default: int) -> int:
    """Return an attribute's number, or the default."""
    number = number_of(element, name)
    return default if number is None else number


def text_of(element: Element, name: str) -> str | None:
    """Return an attribute's text without blanks around it, None where nothing is left."""
    return (element.get(name) or "").strip(BLANKS) or None


def word_of(element: Element, name: str) -> str | None:
    """Return an attribute's word in lower case, None where there is none."""
    text = text_of(element, name)
    return text.lower() if text else None


def nodes_of(root: Element) -> tuple[Element, ...]:
    """Return the <clusternode> elements."""
    section = root.first("clusternodes")
    return section.elements("clusternode") if section else ()


def token_ms(root: Element) -> int:
    """Return after how long without the token corosync takes it for lost, in ms, with what each node adds."""
    totem = root.first("totem") or Element(name="totem")
    coefficient_ms = number_or(totem, "token_coefficient", Totem().token_coefficient_ms)
    return number_or(totem, "token", TOKEN_MS_DEFAULT) + coefficient_ms * max(0, len(nodes_of(root)) - 2)


def consensus_ms_min(root: Element) -> int:
    """Return the shortest consensus that fits the token, in ms. Source: corosync.conf(5), consensus."""
    return (token_ms(root) * 12 + 9) // 10


def link_number(interface: Element) -> int | None:
    """Return which link an <interface> is about, 0 where it does not say; None where that is unreadable."""
    text = text_of(interface, "linknumber") or text_of(interface, "ringnumber")
    return read_integer(text) if text else 0


def _flag(element: Element, name: str) -> bool:
    return bool(read_flag(element.get(name) or ""))


def _read_totem(root: Element, totem: Element) -> Totem:
    default = Totem()
    consensus_ms = number_of(totem, "consensus")
    cipher = word_of(totem, "crypto_cipher")
    digest = word_of(totem, "crypto_hash")
    given = ((name, number_of(totem, name)) for name in TOTEM_SETTINGS if name != "consensus")
    return Totem(
        token_coefficient_ms=number_or(totem, "token_coefficient", default.token_coefficient_ms),
        join_ms=number_or(totem, "join", default.join_ms),
        fail_recv_const=number_or(totem, "fail_recv_const", default.fail_recv_const),
        consensus_ms=consensus_ms if (consensus_ms or 0) >= consensus_ms_min(root) else None,
        link_mode=LinkMode.ACTIVE if word_of(totem, "rrp_mode") == "active" else LinkMode.PASSIVE,
        cipher=cipher if cipher in CIPHERS else default.cipher,
        hash=digest if digest in HASHES else default.hash,
        settings=tuple((name, number) for name, number in given if number is not None),
        links=_read_links(totem),
    )


def _read_links(totem: Element) -> tuple[LinkSettings, ...]:
    links = (
        LinkSettings(
            number=link_number(interface) or 0,
            priority=number_of(interface, "knet_link_priority"),
            ping_interval_ms=number_of(interface, "knet_ping_interval"),
            ping_timeout_ms=number_of(interface, "knet_ping_timeout"),
            pong_count=number_of(interface, "knet_pong_count"),
        )
        for interface in totem.elements("interface")
    )
    said = (link for link in links if link != LinkSettings(number=link.number))
    return tuple(sorted(said, key=lambda link: link.number))


def _read_device(root: Element, cman: Element) -> QuorumDevice | None:
    device = net_device(root)
    if device is None:
        return None
    default = QuorumDevice(host="")
    algorithm = Algorithm(word_of(device, "algorithm") or default.algorithm)
    return QuorumDevice(
        host=text_of(device, "host") or "",
        port=number_or(device, "port", QNETD_PORT_DEFAULT),
        algorithm=algorithm,
        votes=1 if algorithm is Algorithm.FFSPLIT else None,
        tls=Tls(word_of(device, "tls") or default.tls),
        tie_breaker=word_of(device, "tie_breaker") or default.tie_breaker,
        timeout_ms=number_of(cman, "quorum_dev_poll") or None,
    )


def _read_log(root: Element) -> Log:
    """Join <logging> with the <logging_daemon> of corosync as a whole, which wins."""
    logging = root.first("logging") or Element(name="logging")
    own = (daemon for daemon in _corosync_daemons(root) if not text_of(daemon, "subsys"))
    return _log_of((logging, *own))


def _read_log_subsystems(root: Element) -> tuple[Log, ...]:
    daemons = _corosync_daemons(root)
    names = {(text_of(daemon, "subsys") or "").upper() for daemon in daemons}
    return tuple(
        _log_of(
            tuple(daemon for daemon in daemons if (text_of(daemon, "subsys") or "").upper() == name), name
        )
        for name in SUBSYSTEMS
        if name in names
    )


def _corosync_daemons(root: Element) -> tuple[Element, ...]:
    logging = root.first("logging")
    daemons = logging.elements("logging_daemon") if logging else ()
    return tuple(daemon for daemon in daemons if word_of(daemon, "name") == "corosync")


def _log_of(elements: tuple[Element, ...], subsys: str | None = None) -> Log:
    """The last element that gives a value gives it; what is not a known word counts as absent."""
    words: dict[str, str] = {}
    for element in elements:
        for name, rule in LOGGING.items():
            word = text_of(element, name) if not rule.words else word_of(element, name)
            if word and (not rule.words or word in rule.words):
                words[name] = word
    return Log(
        subsys=subsys,
        to_syslog=_yes(words.get("to_syslog")),
        to_logfile=_yes(words.get("to_logfile")),
        syslog_facility=words.get("syslog_facility"),
        syslog_priority=_priority(words.get("syslog_priority")),
        logfile=words.get("logfile"),
        logfile_priority=_priority(words.get("logfile_priority")),
        debug=_yes(words.get("debug")),
    )


def _yes(word: str | None) -> bool | None:
    return None if word is None else word in {"yes", "on"}


def _priority(word: str | None) -> str | None:
    return None if word is None else _PRIORITY_NAMES.get(word, word)
