"""Rendering corosync.conf: the addresses that are refused, and what holds for every cluster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from standfast.conf.addresses import check_addresses
from standfast.conf.corosync import log_files, render_corosync_conf
from standfast.conf.findings import Finding, Level
from standfast.conf.messaging import Log, Messaging, QuorumDevice
from standfast.conf.model import Altname, Cluster, ClusterNode
from standfast.errors import ConfError
from standfast.terms import NodeId


def pair(*altnames: str, messaging: Messaging = Messaging(), two_node: bool = False) -> Cluster:  # noqa: B008
    return Cluster(
        name="c",
        config_version=7,
        nodes=tuple(
            ClusterNode(
                name=name,
                nodeid=NodeId(nodeid),
                altnames=tuple(Altname(name=f"{name}{altname}") for altname in altnames),
            )
            for nodeid, name in ((1, "a"), (2, "b"))
        ),
        two_node=two_node,
        messaging=messaging,
    )


def addresses(a: tuple[str, ...], b: tuple[str, ...]) -> dict[NodeId, tuple[str, ...]]:
    return {NodeId(1): a, NodeId(2): b}


GOOD = addresses(("10.0.0.1",), ("10.0.0.2",))


@pytest.mark.parametrize(
    ("cluster", "given_addresses", "code", "text"),
    [
        (pair(), {NodeId(1): ("10.0.0.1",)}, "I98", "node b: 1 links need as many addresses, found 0"),
        (
            pair("2"),
            addresses(("10.0.0.1", "10.1.0.1"), ("10.0.0.2",)),
            "I98",
            "node b: 2 links need as many addresses, found 1",
        ),
        *(
            (
                pair(),
                addresses(("10.0.0.1",), (bad,)),
                "I98",
                f'b: "{bad}" is not an address that corosync can use; use another',
            )
            for bad in (
                "b.example.com",
                "0.0.0.0",
                "224.0.0.1",
                "fe80::1",
                "fd00::1%eth0",
                "::ffff:10.0.0.2",
                "",
            )
        ),
        (pair(), addresses(("10.0.0.1",), ("127.0.1.1",)), "I33", "b resolves to 127.0.1.1; fix /etc/hosts"),
        (
            pair("2"),
            addresses(("10.0.0.1", "10.1.0.1"), ("10.0.0.2", "::1")),
            "I33",
            "b2 resolves to ::1; fix /etc/hosts",
        ),
        (
            pair("2"),
            addresses(("10.0.0.1", "10.1.0.1"), ("10.0.0.2", "10.0.0.1")),
            "I98",
            "link 1 of node b has the address 10.0.0.1 of link 0 of node a; give it its own",
        ),
        (
            pair(),
            addresses(("10.0.0.1",), ("fd00::2",)),
            "I98",
            "link 0: node a has an IPv4 address and node b an IPv6 one; a link uses one family",
        ),
    ],
)
def test_addresses_that_corosync_cannot_use_are_refused(
    cluster: Cluster, given_addresses: dict[NodeId, tuple[str, ...]], code: str, text: str
) -> None:
    assert check_addresses(cluster, given_addresses) == (Finding(Level.ERROR, 0, code, text),)
    with pytest.raises(ConfError) as refused:
        render_corosync_conf(cluster, given_addresses, keyfile="/k")
    assert (refused.value.code, str(refused.value)) == (
        "corosync-addresses",
        f"corosync.conf: error: {text} [{code}]",
    )


def test_same_address_written_in_two_ways_is_the_same() -> None:
    found = check_addresses(pair(), addresses(("fd00::1",), ("fd00:0:0::1",)))
    assert [finding.code for finding in found] == ["I98"]


def test_addresses_are_written_in_their_usual_form() -> None:
    text = render_corosync_conf(pair(), addresses(("FD00:0:0::1",), ("fd00::2",)), keyfile="/k")
    assert "ring0_addr: fd00::1\n" in text


def test_fallback_of_knet_is_allowed_only_on_request() -> None:
    plain = render_corosync_conf(pair(), GOOD, keyfile="/k")
    allowed = render_corosync_conf(pair(), GOOD, keyfile="/k", allow_knet_handle_fallback=True)
    assert allowed == plain + "system {\n    allow_knet_handle_fallback: yes\n}\n"


@pytest.mark.parametrize(
    ("log", "files", "written"),
    [
        (Log(), (), "logging {\n    to_syslog: yes\n    syslog_facility: daemon\n}\n"),
        (
            Log(to_logfile=True),
            ("/var/log/cluster/corosync.log",),
            "    to_logfile: yes\n    logfile: /var/log/cluster/corosync.log\n",
        ),
        (Log(logfile="/l"), ("/l",), "    to_logfile: yes\n    logfile: /l\n"),
        (Log(logfile="/l", to_logfile=False), (), "    to_logfile: no\n"),
        (Log(to_syslog=False), (), "    to_syslog: no\n"),
    ],
)
def test_log_file_is_written_only_where_one_is_asked_for(
    log: Log, files: tuple[str, ...], written: str
) -> None:
    cluster = pair(messaging=Messaging(log=log))
    assert log_files(cluster) == files
    assert written in render_corosync_conf(cluster, GOOD, keyfile="/k")


def test_log_of_one_part_of_corosync_is_set_apart() -> None:
    cluster = pair(messaging=Messaging(log_subsystems=(Log(subsys="CPG", debug=True),)))
    assert "    logger_subsys {\n        subsys: CPG\n        debug: on\n    }\n" in render_corosync_conf(
        cluster, GOOD, keyfile="/k"
    )


def test_device_in_the_network_is_rendered_and_its_vote_is_expected() -> None:
    cluster = replace(pair(messaging=Messaging(device=QuorumDevice(host="q"))), expected_votes=9)
    text = render_corosync_conf(cluster, GOOD, keyfile="/k")
    assert "    device {\n        model: net\n        votes: 1\n        net {\n            host: q\n" in text
    assert "    expected_votes: 3\n" in text


@given(st.booleans(), st.integers(1, 7))
def test_always_knet_and_always_encrypted_whatever_else_is_asked(two_node: bool, links: int) -> None:
    cluster = pair(*map(str, range(2, links + 1)), two_node=two_node)
    text = render_corosync_conf(
        cluster,
        {node.nodeid: tuple(f"10.{link}.0.{node.nodeid}" for link in range(links)) for node in cluster.nodes},
        keyfile="/k",
    )
    words = [line.strip() for line in text.splitlines()]
    assert {"transport: knet", "crypto_cipher: aes256", "crypto_hash: sha256", "keyfile: /k"} <= set(words)
    assert sum(word.startswith("linknumber:") for word in words) == links
    assert ("wait_for_all: 0" in words) == two_node
    assert words.count("}") == sum(word.endswith("{") for word in words)
