"""Which elements and attributes a cluster.conf may have, of which type, and which of them Standfast acts upon.

The tree of <rm> below `service` and `resources` is open (any agent's parameters) and is judged in conf/groups.py.
Source: spec configuration, sections 2 and 3; corosync.conf(5) for the numbers of <totem>.
"""

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What the text of an attribute must be."""

    TEXT = "text"
    INTEGER = "integer"
    FLAG = "flag"  # 0 or 1
    WORD = "word"  # one of a list, in any case
    OWN = "own"  # judged by a rule of its own


class Attribute(Struct, frozen=True):
    """One attribute; `least` and `most` bound an integer; `acted` is whether anything reads it yet."""

    kind: Kind = Kind.TEXT
    words: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None
    acted: bool = False


class Shape(Struct, frozen=True):
    """One element: its attributes, whether others are welcome, whether there may be more than one of it."""

    attributes: dict[str, Attribute] = {}
    is_open: bool = False
    once: bool = False
    acted: bool = False


def shape_of(path: str, model: str | None = None) -> Shape | None:
    """Return the shape of an element by its path below <cluster>, such as `cman/multicast`; None if it is unknown.

    `model` is the element's attribute of that name, which makes <quorumd> a different element.
    """
    return _SHAPES.get(f"{path} {model.strip().lower()}" if model else path) or _SHAPES.get(path)


TEXT = Attribute()
INTEGER = Attribute(Kind.INTEGER)
COUNT = Attribute(Kind.INTEGER, least=0)
POSITIVE = Attribute(Kind.INTEGER, least=1)
FLAG = Attribute(Kind.FLAG)
READ_TEXT = Attribute(acted=True)
OWN = Attribute(Kind.OWN, acted=True)
READ_INTEGER = Attribute(Kind.INTEGER, acted=True)
READ_FLAG = Attribute(Kind.FLAG, acted=True)
READ_YES_NO = Attribute(Kind.WORD, ("yes", "no"), acted=True)
READ_ON_OFF = Attribute(Kind.WORD, ("on", "off"), acted=True)

TIMER_MS_MAX = 3_600_000  # longest timer of the messaging layer, one hour
COUNT_MAX = 2_147_483_647
COROSYNC_TIMER_MS_MIN = 30  # corosync refuses shorter ones
_TIMER = Attribute(Kind.INTEGER, least=0, most=TIMER_MS_MAX, acted=True)
_LONG_TIMER = Attribute(Kind.INTEGER, least=COROSYNC_TIMER_MS_MIN, most=TIMER_MS_MAX, acted=True)
_NUMBER = Attribute(Kind.INTEGER, least=0, most=COUNT_MAX, acted=True)

_FACILITIES = (
    *("auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp"),
    *(f"local{number}" for number in range(8)),
)
_FACILITY = Attribute(Kind.WORD, _FACILITIES)
_PRIORITIES = ("emerg", "alert", "crit", "error", "err", "warning", "warn", "notice", "info", "debug")
_HASH = Attribute(Kind.WORD, ("none", "sha1", "sha256", "sha512"))

LOGGING = {
    "to_syslog": READ_YES_NO,
    "to_logfile": READ_YES_NO,
    "syslog_facility": Attribute(Kind.WORD, _FACILITIES, acted=True),
    "syslog_priority": Attribute(Kind.WORD, _PRIORITIES, acted=True),
    "logfile_priority": Attribute(Kind.WORD, _PRIORITIES, acted=True),
    "logfile": OWN,
    "debug": READ_ON_OFF,
}
_PLOCKS = {
    "enable_plock": FLAG,
    "plock_debug": FLAG,
    "plock_rate_limit": COUNT,
    "plock_ownership": FLAG,
    "drop_resources_time": COUNT,
    "drop_resources_count": COUNT,
    "drop_resources_age": COUNT,
}
TOTEM_SETTINGS = {
    "token_retransmits_before_loss_const": Attribute(Kind.INTEGER, least=1, most=1000, acted=True),
    "token_retransmit": _LONG_TIMER,
    "token_warning": Attribute(Kind.INTEGER, least=0, most=100, acted=True),
    "hold": _LONG_TIMER,
    "consensus": _LONG_TIMER,
    "send_join": _TIMER,
    "merge": _LONG_TIMER,
    "downcheck": _LONG_TIMER,
    "seqno_unchanged_const": _NUMBER,
    "heartbeat_failures_allowed": _NUMBER,
    "max_network_delay": _LONG_TIMER,
    "window_size": _NUMBER,
    "max_messages": _NUMBER,
    "miss_count_const": _NUMBER,
    "netmtu": Attribute(Kind.INTEGER, least=576, most=65536, acted=True),
}
"""Numbers of <totem> that corosync 3 knows by the same name and that are handed on only where they are given, in order."""

TOTEM_GONE = (
    "rrp_problem_count_timeout",
    "rrp_problem_count_threshold",
    "rrp_token_expired_timeout",
    "threads",
    "version",
    "nodeid",
    "vsftype",
)
"""Attributes of <totem> that corosync 3 does not have, or that never come from there."""

INTERFACE_GENERATED = ("bindnetaddr", "mcastaddr", "mcastport", "broadcast", "ttl")
"""Attributes of <interface> that RHCS wrote there itself, and that say nothing here."""

CIPHERS = ("aes256", "aes192", "aes128")
HASHES = ("sha256", "sha384", "sha512")

_SHAPES = {
    "": Shape(
        {"name": OWN, "config_version": OWN, "alias": OWN},
        acted=True,
    ),
    "cman": Shape(
        {
            "two_node": READ_FLAG,
            "expected_votes": OWN,
            "cluster_id": OWN,
            "hash_cluster_id": Attribute(Kind.WORD, ("yes", "no", "on", "off")),
            "port": OWN,
            "keyfile": OWN,
            "broadcast": READ_YES_NO,
            "transport": Attribute(Kind.WORD, ("knet", "udp", "udpb", "udpu"), acted=True),
            "quorum_dev_poll": Attribute(Kind.INTEGER, least=0, most=TIMER_MS_MAX, acted=True),
            "shutdown_timeout": COUNT,
            "ccsd_poll": POSITIVE,
            "startup_config_timeout": COUNT,
            "disallowed": FLAG,
            "upgrading": Attribute(Kind.WORD, ("yes", "no", "on", "off")),
            "max_queued": POSITIVE,
            "disable_openais": FLAG,
            "debug_mask": COUNT,
            "wait_for_all": READ_FLAG,
            "auto_tie_breaker": READ_FLAG,
            "last_man_standing": READ_FLAG,
            "nodename": TEXT,
        },
        once=True,
        acted=True,
    ),
    "cman/multicast": Shape(
        {"addr": OWN, "ttl": Attribute(Kind.INTEGER, least=1, most=255, acted=True)}, once=True, acted=True
    ),
    "cman/altmulticast": Shape({"addr": OWN, "port": OWN, "ttl": READ_INTEGER}, once=True, acted=True),
    "totem": Shape(
        {
            "token": Attribute(Kind.INTEGER, least=1, most=TIMER_MS_MAX, acted=True),
            "token_coefficient": _TIMER,
            "join": _LONG_TIMER,
            "fail_recv_const": _NUMBER,
            "rrp_mode": Attribute(Kind.WORD, ("none", "active", "passive"), acted=True),
            "secauth": Attribute(Kind.WORD, ("on", "off", "1", "0"), acted=True),
            "crypto_cipher": Attribute(Kind.WORD, (*CIPHERS, "none"), acted=True),
            "crypto_hash": Attribute(Kind.WORD, (*HASHES, "sha1", "md5", "none"), acted=True),
            "keyfile": OWN,
            **TOTEM_SETTINGS,
            **dict.fromkeys(TOTEM_GONE, OWN),
        },
        once=True,
        acted=True,
    ),
    "totem/interface": Shape(
        {
            "linknumber": OWN,
            "ringnumber": OWN,
            "knet_link_priority": Attribute(Kind.INTEGER, least=0, most=255, acted=True),
            "knet_ping_interval": _LONG_TIMER,
            "knet_ping_timeout": _LONG_TIMER,
            "knet_pong_count": Attribute(Kind.INTEGER, least=1, most=255, acted=True),
            **dict.fromkeys(INTERFACE_GENERATED, OWN),
        },
        acted=True,
    ),
    "quorumd": Shape(
        {
            "model": OWN,
            "interval": INTEGER,
            "tko": INTEGER,
            "tko_up": INTEGER,
            "upgrade_wait": INTEGER,
            "master_wait": INTEGER,
            "votes": INTEGER,
            "min_score": COUNT,
            "device": TEXT,
            "label": TEXT,
            "cman_label": TEXT,
            "status_file": TEXT,
            "scheduler": TEXT,
            "priority": INTEGER,
            "reboot": FLAG,
            "stop_cman": FLAG,
            "paranoid": FLAG,
            "allow_kill": FLAG,
            "io_timeout": FLAG,
            "max_error_cycles": COUNT,
            "master_wins": FLAG,
            "use_uptime": FLAG,
            "log_level": INTEGER,
            "log_facility": _FACILITY,
        },
        once=True,
    ),
    "quorumd net": Shape(
        {
            "model": OWN,
            "host": OWN,
            "port": OWN,
            "algorithm": OWN,
            "votes": OWN,
            "tls": OWN,
            "tie_breaker": OWN,
        },
        once=True,
        acted=True,
    ),
    "quorumd/heuristic": Shape(
        {"program": Attribute(Kind.OWN), "score": INTEGER, "interval": INTEGER, "tko": INTEGER}
    ),
    "fence_daemon": Shape(
        {
            "post_join_delay": READ_INTEGER,
            "post_fail_delay": READ_INTEGER,
            "clean_start": READ_FLAG,
            "skip_undefined": READ_FLAG,
            "override_path": TEXT,
            "override_time": COUNT,
        },
        once=True,
        acted=True,
    ),
    "fence_xvmd": Shape(
        {
            "debug": INTEGER,
            "port": Attribute(Kind.INTEGER, least=1, most=65535),
            "multicast_address": TEXT,
            "use_uuid": FLAG,
            "auth": _HASH,
            "hash": _HASH,
            "uri": TEXT,
            "key_file": TEXT,
            "multicast_interface": TEXT,
        },
        once=True,
    ),
    "dlm": Shape(
        {
            "log_debug": FLAG,
            "timewarn": COUNT,
            "protocol": Attribute(Kind.WORD, ("tcp", "sctp", "detect")),
            "enable_fencing": FLAG,
            "enable_quorum": FLAG,
            "enable_deadlk": FLAG,
            **_PLOCKS,
        },
        once=True,
    ),
    "dlm/lockspace": Shape({"name": TEXT, "nodir": FLAG}),
    "lockspace/master": Shape({"name": TEXT, "weight": COUNT}),
    "gfs_controld": Shape({"enable_withdraw": FLAG, **_PLOCKS}, once=True),
    "group": Shape({"groupd_compat": COUNT}, once=True),
    "clvmd": Shape({"interface": Attribute(Kind.WORD, ("cman", "corosync", "openais"))}, once=True),
    "logging": Shape(LOGGING, once=True, acted=True),
    "logging/logging_daemon": Shape({**LOGGING, "name": OWN, "subsys": OWN}, acted=True),
    "uidgid": Shape({"uid": TEXT, "gid": TEXT}),
    "event": Shape(is_open=True),
    "aisexec": Shape(is_open=True),
    "amf": Shape(is_open=True),
    "service": Shape(is_open=True),
    "gulm": Shape(is_open=True),
    "clusternodes": Shape(once=True, acted=True),
    "clusternodes/clusternode": Shape(
        {"name": OWN, "nodeid": OWN, "votes": OWN, "weight": COUNT},
        acted=True,
    ),
    "clusternode/altname": Shape(
        {"name": OWN, "port": Attribute(Kind.INTEGER, least=2, most=65535, acted=True), "mcast": OWN},
        acted=True,
    ),
    "clusternode/fence": Shape(once=True, acted=True),
    "clusternode/unfence": Shape(once=True),
    "fence/method": Shape({"name": OWN}, acted=True),
    "method/device": Shape({"name": OWN}, is_open=True, acted=True),
    "unfence/device": Shape({"name": OWN}, is_open=True, acted=True),
    "fencedevices": Shape(once=True, acted=True),
    "fencedevices/fencedevice": Shape({"name": OWN, "agent": OWN}, is_open=True, acted=True),
    "rm": Shape(
        {
            "log_level": Attribute(Kind.INTEGER, least=0, most=7),
            "log_facility": _FACILITY,
            "status_poll_interval": READ_INTEGER,
            "status_child_max": INTEGER,
            "statusmax": INTEGER,
            "transition_throttling": INTEGER,
            "central_processing": FLAG,
            "disabled": FLAG,
        },
        once=True,
        acted=True,
    ),
    "rm/failoverdomains": Shape(once=True, acted=True),
    "failoverdomains/failoverdomain": Shape(
        {"name": OWN, "ordered": READ_FLAG, "restricted": READ_FLAG, "nofailback": READ_FLAG}, acted=True
    ),
    "failoverdomain/failoverdomainnode": Shape({"name": OWN, "priority": OWN}, acted=True),
    "rm/events": Shape(once=True),
    "events/event": Shape(
        {
            "name": TEXT,
            "class": TEXT,
            "priority": INTEGER,
            "file": TEXT,
            "service": TEXT,
            "service_state": TEXT,
            "service_owner": TEXT,
            "node": TEXT,
            "node_id": INTEGER,
            "node_state": TEXT,
            "node_clean": FLAG,
            "node_local": FLAG,
        }
    ),
    "rm/resource-defaults": Shape(is_open=True, once=True, acted=True),
    "rm/resources": Shape(once=True, acted=True),
}
