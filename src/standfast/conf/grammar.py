"""Which elements and attributes a cluster.conf may have, of which type, and which of them Standfast acts upon.

The tree of <rm> below `service` and `resources` is open (any agent's parameters) and is judged in conf/groups.py.
Source: spec configuration, sections 2 and 3.
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


def shape_of(path: str) -> Shape | None:
    """Return the shape of an element by its path below <cluster>, such as `cman/multicast`; None if it is unknown."""
    return _SHAPES.get(path)


TEXT = Attribute()
INTEGER = Attribute(Kind.INTEGER)
COUNT = Attribute(Kind.INTEGER, least=0)
POSITIVE = Attribute(Kind.INTEGER, least=1)
FLAG = Attribute(Kind.FLAG)
YES_NO = Attribute(Kind.WORD, ("yes", "no"))
ON_OFF = Attribute(Kind.WORD, ("on", "off"))
READ_TEXT = Attribute(acted=True)
OWN = Attribute(Kind.OWN, acted=True)
READ_INTEGER = Attribute(Kind.INTEGER, acted=True)
READ_FLAG = Attribute(Kind.FLAG, acted=True)

_FACILITY = Attribute(
    Kind.WORD,
    (
        *(
            "auth",
            "authpriv",
            "cron",
            "daemon",
            "ftp",
            "kern",
            "lpr",
            "mail",
            "news",
            "syslog",
            "user",
            "uucp",
        ),
        *(f"local{number}" for number in range(8)),
    ),
)
_PRIORITY = Attribute(
    Kind.WORD, ("emerg", "alert", "crit", "error", "err", "warning", "warn", "notice", "info", "debug")
)
_HASH = Attribute(Kind.WORD, ("none", "sha1", "sha256", "sha512"))

_LOGGING = {
    "to_syslog": YES_NO,
    "to_logfile": YES_NO,
    "syslog_facility": _FACILITY,
    "syslog_priority": _PRIORITY,
    "logfile_priority": _PRIORITY,
    "logfile": TEXT,
    "debug": ON_OFF,
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
_TOTEM_NUMBERS = (
    "token_retransmits_before_loss_const",
    "join",
    "consensus",
    "fail_recv_const",
    "netmtu",
    "window_size",
    "max_messages",
    "send_join",
    "merge",
    "downcheck",
    "hold",
    "token_retransmit",
    "token_warning",
    "token_coefficient",
    "seqno_unchanged_const",
    "heartbeat_failures_allowed",
    "max_network_delay",
    "miss_count_const",
    "rrp_problem_count_timeout",
    "rrp_problem_count_threshold",
    "rrp_token_expired_timeout",
    "threads",
    "version",
    "nodeid",
)

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
            "port": Attribute(Kind.OWN),
            "keyfile": TEXT,
            "broadcast": YES_NO,
            "transport": Attribute(Kind.WORD, ("udp", "udpb", "udpu")),
            "quorum_dev_poll": COUNT,
            "shutdown_timeout": COUNT,
            "ccsd_poll": POSITIVE,
            "startup_config_timeout": COUNT,
            "disallowed": FLAG,
            "upgrading": Attribute(Kind.WORD, ("yes", "no", "on", "off")),
            "max_queued": POSITIVE,
            "disable_openais": FLAG,
            "debug_mask": COUNT,
            "wait_for_all": FLAG,
            "auto_tie_breaker": FLAG,
            "last_man_standing": FLAG,
            "nodename": TEXT,
        },
        once=True,
        acted=True,
    ),
    "cman/multicast": Shape(
        {"addr": Attribute(Kind.OWN), "ttl": Attribute(Kind.INTEGER, least=1, most=255)}, once=True
    ),
    "cman/altmulticast": Shape(
        {"addr": Attribute(Kind.OWN), "port": Attribute(Kind.OWN), "ttl": INTEGER}, once=True
    ),
    "totem": Shape(
        {
            "token": Attribute(Kind.INTEGER, least=1, acted=True),
            "rrp_mode": Attribute(Kind.WORD, ("none", "active", "passive")),
            "secauth": Attribute(Kind.WORD, ("on", "off", "1", "0")),
            "keyfile": TEXT,
            "vsftype": TEXT,
            **dict.fromkeys(_TOTEM_NUMBERS, INTEGER),
        },
        once=True,
        acted=True,
    ),
    "totem/interface": Shape(is_open=True),
    "quorumd": Shape(
        {
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
    "logging": Shape(_LOGGING, once=True),
    "logging/logging_daemon": Shape({**_LOGGING, "name": TEXT, "subsys": TEXT}),
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
        {"name": OWN, "port": Attribute(Kind.INTEGER, least=2, most=65535), "mcast": TEXT}
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
