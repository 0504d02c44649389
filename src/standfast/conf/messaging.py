"""What cluster.conf asks of the messaging layer: links and their ports, the key, timers, quorum rules, its log.

Handed to corosync by conf/corosync.py. Source: spec membership, sections 11.3 and 16.2; corosync.conf(5), votequorum(5),
corosync-qdevice(8).
"""

from enum import StrEnum

from msgspec import Struct

PORT_DEFAULT = 5405
QNETD_PORT_DEFAULT = 5403
KEYFILE_DEFAULT = "/etc/cluster/authkey"
LOGFILE_DEFAULT = "/var/log/cluster/corosync.log"
LINKS_MAX = 8  # of corosync: numbers 0..7


class LinkMode(StrEnum):
    """How several links are used."""

    PASSIVE = "passive"  # one at a time
    ACTIVE = "active"  # every packet on all of them


class LinkSettings(Struct, frozen=True, kw_only=True):
    """One <interface>: what differs from corosync's own values on one link; None leaves a value to corosync."""

    number: int
    priority: int | None = None
    ping_interval_ms: int | None = None
    ping_timeout_ms: int | None = None
    pong_count: int | None = None


class Totem(Struct, frozen=True, kw_only=True):
    """<totem>, but for the token (`Cluster.token_ms`) and the key.

    `consensus_ms` is None where corosync's own 1.2 x token holds; `settings` are further numbers, only those given.
    """

    token_coefficient_ms: int = 0
    join_ms: int = 60
    fail_recv_const: int = 2500
    consensus_ms: int | None = None
    link_mode: LinkMode = LinkMode.PASSIVE
    cipher: str = "aes256"
    hash: str = "sha256"
    settings: tuple[tuple[str, int], ...] = ()
    links: tuple[LinkSettings, ...] = ()  # by number


class Algorithm(StrEnum):
    """How a quorum device's server decides which part gets its votes."""

    FFSPLIT = "ffsplit"  # one vote, to the better half
    LMS = "lms"  # as many votes as let a single node go on


class Tls(StrEnum):
    """Whether the way to the quorum device's server is encrypted."""

    REQUIRED = "required"
    ON = "on"  # tried first
    OFF = "off"


class QuorumDevice(Struct, frozen=True, kw_only=True):
    """<quorumd model="net">: a corosync-qnetd server that breaks ties.

    `votes` is None where corosync's own value holds, the nodes' votes less one. `tie_breaker` is "lowest", "highest" or
    a node id. `timeout_ms` is cman/@quorum_dev_poll; None leaves it to corosync.
    """

    host: str
    port: int = QNETD_PORT_DEFAULT
    algorithm: Algorithm = Algorithm.FFSPLIT
    votes: int | None = 1
    tls: Tls = Tls.REQUIRED
    tie_breaker: str = "lowest"
    timeout_ms: int | None = None


class Log(Struct, frozen=True, kw_only=True):
    """Where corosync logs, or one of its subsystems; None where nothing is said. Priorities as corosync spells them."""

    subsys: str | None = None  # None: corosync as a whole
    to_syslog: bool | None = None
    to_logfile: bool | None = None
    syslog_facility: str | None = None
    syslog_priority: str | None = None
    logfile: str | None = None
    logfile_priority: str | None = None
    debug: bool | None = None


class Messaging(Struct, frozen=True, kw_only=True):
    """Everything that corosync needs beside the nodes, their votes and the token."""

    port: int = PORT_DEFAULT
    keyfile: str | None = None  # None: KEYFILE_DEFAULT, which is made where it is missing
    totem: Totem = Totem()
    wait_for_all: bool = False
    auto_tie_breaker: bool = False
    last_man_standing: bool = False
    device: QuorumDevice | None = None
    shutdown_timeout_ms: int = 5000
    log: Log = Log()
    log_subsystems: tuple[Log, ...] = ()
