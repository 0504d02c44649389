"""corosync.conf, rendered from a cluster: what corosync 3 is to do, always over knet and always encrypted.

Pure and stable to the byte. Source: spec membership, sections 16.2, 16.4 and 16.8; corosync.conf(5), votequorum(5),
corosync-qdevice(8); docs/decisions/0010.
"""

from collections.abc import Iterator
from ipaddress import ip_address

from standfast.conf.addresses import Addresses, check_addresses
from standfast.conf.findings import render_finding
from standfast.conf.messaging import LOGFILE_DEFAULT, LinkSettings, Log, QuorumDevice
from standfast.conf.model import Cluster
from standfast.conf.ports import link_ports
from standfast.conf.quorum import expected_votes_of
from standfast.errors import ConfError

_INDENT = "    "


def render_corosync_conf(
    cluster: Cluster, addresses: Addresses, *, keyfile: str, allow_knet_handle_fallback: bool = False
) -> str:
    """Return the text of corosync.conf, the same for the same arguments.

    `addresses` are each node's, looked up, link 0 first. `keyfile` is the full path of the key, which must be there
    (128 to 4096 bytes) before corosync starts, as must the folders of `log_files`. `allow_knet_handle_fallback` lets
    corosync start in a container or namespace where it may not raise its buffers. Raises ConfError
    ("corosync-addresses") where corosync cannot use the addresses.
    """
    faults = check_addresses(cluster, addresses)
    if faults:
        raise ConfError(
            "\n".join(render_finding("corosync.conf", fault) for fault in faults), code="corosync-addresses"
        )
    lines = [
        f"# Written by Standfast from version {cluster.config_version} of cluster.conf; edit that file instead.",
        *_section("totem", _totem(cluster, keyfile)),
        *_section("nodelist", _nodelist(cluster, addresses)),
        *_section("quorum", _quorum(cluster)),
        *_section("logging", _logging(cluster)),
    ]
    if allow_knet_handle_fallback:
        lines += _section("system", _pairs(allow_knet_handle_fallback="yes"))
    return "".join(f"{line}\n" for line in lines)


def log_files(cluster: Cluster) -> tuple[str, ...]:
    """Return the files that corosync is told to log to; it does not start where it cannot open one."""
    logs = (cluster.messaging.log, *cluster.messaging.log_subsystems)
    return tuple(sorted({path for log in logs if (path := _logfile(log)) is not None}))


def _section(name: str, lines: Iterator[str]) -> list[str]:
    return [f"{name} {{", *(f"{_INDENT}{line}" for line in lines), "}"]


def _pairs(**values: str | int | None) -> Iterator[str]:
    """Yield `name: value` for each value that is there."""
    for name, value in values.items():
        if value is not None:
            yield f"{name}: {value}"


def _totem(cluster: Cluster, keyfile: str) -> Iterator[str]:
    totem = cluster.messaging.totem
    yield from _pairs(
        version=2,
        cluster_name=cluster.name,
        transport="knet",
        link_mode=totem.link_mode,
        token=cluster.token_ms,
        token_coefficient=totem.token_coefficient_ms,
        join=totem.join_ms,
        fail_recv_const=totem.fail_recv_const,
        consensus=totem.consensus_ms,
    )
    yield from _pairs(**dict(totem.settings))
    yield from _pairs(crypto_cipher=totem.cipher, crypto_hash=totem.hash, keyfile=keyfile)
    settings = {link.number: link for link in totem.links}
    for number, port in enumerate(link_ports(cluster)):
        yield from _section(
            "interface", _interface(port, settings.get(number) or LinkSettings(number=number))
        )


def _interface(port: int, link: LinkSettings) -> Iterator[str]:
    return _pairs(
        linknumber=link.number,
        mcastport=port,
        knet_link_priority=link.priority,
        knet_ping_interval=link.ping_interval_ms,
        knet_ping_timeout=link.ping_timeout_ms,
        knet_pong_count=link.pong_count,
    )


def _nodelist(cluster: Cluster, addresses: Addresses) -> Iterator[str]:
    for node in cluster.nodes:
        rings = {
            f"ring{link}_addr": str(ip_address(text)) for link, text in enumerate(addresses[node.nodeid])
        }
        yield from _section(
            "node", _pairs(nodeid=node.nodeid, name=node.name, **rings, quorum_votes=node.votes)
        )


def _quorum(cluster: Cluster) -> Iterator[str]:
    messaging = cluster.messaging
    device = messaging.device
    yield "provider: corosync_votequorum"
    if cluster.two_node:
        # two_node alone would switch wait_for_all on, and a node that starts alone would wait for ever
        yield from _pairs(two_node=1, wait_for_all=int(messaging.wait_for_all))
    else:
        yield from _pairs(
            expected_votes=cluster.expected_votes if device is None else _expected_votes(cluster, device),
            wait_for_all=1 if messaging.wait_for_all else None,
            last_man_standing=1 if messaging.last_man_standing else None,
            auto_tie_breaker=1 if messaging.auto_tie_breaker else None,
        )
    if device is not None:
        yield from _section("device", _device(device))


def _expected_votes(cluster: Cluster, device: QuorumDevice) -> int | None:
    """Without them, corosync leaves out a device whose votes are written, and of 3 nodes both sides could be quorate.

    Where the device's votes are not written it counts both, and then does not allow the sum to be written.
    """
    return None if device.votes is None else expected_votes_of(cluster)


def _device(device: QuorumDevice) -> Iterator[str]:
    yield from _pairs(model="net", votes=device.votes, timeout=device.timeout_ms)
    yield from _section(
        "net",
        _pairs(
            host=device.host,
            port=device.port,
            algorithm=device.algorithm,
            tls=device.tls,
            tie_breaker=device.tie_breaker,
        ),
    )


def _logging(cluster: Cluster) -> Iterator[str]:
    log = cluster.messaging.log
    yield from _log(log, to_syslog=log.to_syslog is not False, facility=log.syslog_facility or "daemon")
    for part in cluster.messaging.log_subsystems:
        yield from _section(
            "logger_subsys", _log(part, to_syslog=part.to_syslog, facility=part.syslog_facility)
        )


def _log(log: Log, *, to_syslog: bool | None, facility: str | None) -> Iterator[str]:
    logfile = _logfile(log)
    return _pairs(
        subsys=log.subsys,
        to_syslog=_word(to_syslog, "yes", "no"),
        syslog_facility=facility,
        syslog_priority=log.syslog_priority,
        to_logfile="yes" if logfile else _word(log.to_logfile, "yes", "no"),
        logfile=logfile,
        logfile_priority=log.logfile_priority,
        debug=_word(log.debug, "on", "off"),
    )


def _logfile(log: Log) -> str | None:
    """The file that is written, None where none is: a path alone means it, too."""
    if log.to_logfile is False:
        return None
    return log.logfile or (LOGFILE_DEFAULT if log.to_logfile else None)


def _word(flag: bool | None, yes: str, no: str) -> str | None:
    return None if flag is None else yes if flag else no
