"""The ip resource on a real link: what it does to the interface, and what the neighbour sees of it."""

import itertools
import re
import sys
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from tests.contract.agents.network import Cable, Namespace, eventually

from standfast.agents.frames import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV6,
    arp_announcements,
    mac_bytes,
    ndp_announcement,
)

VIP = "10.1.4.150"
ICMPV6 = 58
VIP6 = "fd00:4::150"


def addresses(namespace: Namespace) -> str:
    return namespace.ip("address", "show", "dev", "eth0")


def mac(namespace: Namespace) -> bytes:
    return mac_bytes(re.findall(r"link/ether (\S+)", addresses(namespace))[0])


def cut(link: Cable) -> None:
    link.peer.ip("link", "set", "eth0", "down")
    assert eventually(lambda: "NO-CARRIER" in addresses(link.node))


def test_started_address_is_shown_as_the_founding_document_shows_it(link: Cable) -> None:
    ended = link.node.agent("ip", "start", address=VIP, monitor_link="1")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"    inet {VIP}/24 scope global secondary eth0\n" in addresses(link.node)


def test_started_ipv6_address_is_usable_at_once(link: Cable) -> None:
    assert link.node.agent("ip", "start", address=VIP6).returncode == 0
    program = f"import socket; socket.create_server(('{VIP6}', 8080), family=socket.AF_INET6)"
    assert link.node.run(sys.executable, "-c", program).stderr == ""


@pytest.mark.parametrize("address", [VIP, f"{VIP}/24", VIP6, f"{VIP6.upper()}/64"])
def test_address_comes_and_goes_and_every_operation_may_be_repeated(link: Cable, address: str) -> None:
    codes = [
        (operation, link.node.agent("ip", operation, address=address).returncode)
        for operation in ("status", "stop", "start", "start", "status", "monitor", "stop", "stop", "status")
    ]
    assert [code for _, code in codes] == [7, 0, 0, 0, 0, 0, 0, 0, 7]
    assert "150/" not in addresses(link.node)


@pytest.mark.parametrize("address", [VIP, VIP6])
def test_address_that_a_neighbour_has_is_not_taken(link: Cable, address: str) -> None:
    assert link.peer.agent("ip", "start", address=address).returncode == 0
    ended = link.node.agent("ip", "start", address=address)
    assert ended.returncode == 1
    assert (
        f'another machine answers for {address} on "eth0", link address {mac(link.peer).hex(":")}'
        in ended.stdout
    )
    assert address not in addresses(link.node)


def test_neighbour_is_told_twice_of_the_new_place_of_an_ipv4_address(link: Cable) -> None:
    with link.peer.hearing("eth0", ETHERTYPE_ARP) as frames:
        assert link.node.agent("ip", "start", address=VIP).returncode == 0
        request, reply = arp_announcements(mac(link.node), IPv4Address(VIP))
        claims = (frame[:42] for frame in frames if frame[28:32] == IPv4Address(VIP).packed)
        assert list(itertools.islice(claims, 4)) == [request, reply, request, reply]


def test_neighbour_is_told_twice_of_the_new_place_of_an_ipv6_address(link: Cable) -> None:
    with link.peer.hearing("eth0", ETHERTYPE_IPV6) as frames:
        assert link.node.agent("ip", "start", address=VIP6).returncode == 0
        claims = (
            frame for frame in frames if frame[22:38] == IPv6Address(VIP6).packed and frame[20] == ICMPV6
        )
        assert list(itertools.islice(claims, 2)) == [ndp_announcement(mac(link.node), IPv6Address(VIP6))] * 2


@pytest.mark.parametrize(("address", "family"), [(VIP, "-4"), (VIP6, "-6")])
def test_neighbour_that_knew_the_old_place_uses_the_new_one_at_once(
    link: Cable, address: str, family: str
) -> None:
    old = "02:00:00:00:00:99"
    link.peer.ip(family, "neighbour", "add", address, "lladdr", old, "nud", "reachable", "dev", "eth0")
    assert link.node.agent("ip", "start", address=address).returncode == 0
    assert mac(link.node).hex(":") in link.peer.ip(family, "neighbour", "show", address)


def test_link_down_is_seen_by_status_unless_monitor_link_is_off(link: Cable) -> None:
    assert link.node.agent("ip", "start", address=VIP).returncode == 0
    cut(link)
    ended = link.node.agent("ip", "status", address=VIP, monitor_link="yes")
    assert (ended.returncode, ended.stdout) == (7, f'resource: "eth0", which has {VIP}, has no link\n')
    assert link.node.agent("ip", "status", address=VIP, monitor_link="0").returncode == 0


def test_link_down_prevents_a_start_unless_monitor_link_is_off(link: Cable) -> None:
    cut(link)
    ended = link.node.agent("ip", "start", address=VIP)
    assert ended.returncode == 1
    assert f'no interface takes {VIP}: "eth0" has no link' in ended.stdout
    assert link.node.agent("ip", "start", address=VIP, monitor_link="no").returncode == 0


def test_interface_that_is_down_is_told_apart(link: Cable) -> None:
    assert link.node.agent("ip", "start", address=VIP).returncode == 0
    link.node.ip("link", "set", "eth0", "down")
    assert link.node.agent("ip", "status", address=VIP, monitor_link="0").returncode == 2


@pytest.mark.parametrize("address", [VIP, VIP6])
def test_deep_status_asks_the_address_itself(link: Cable, address: str) -> None:
    assert link.node.agent("ip", "start", address=address).returncode == 0
    ended = link.node.agent("ip", "status", address=address, OCF_CHECK_LEVEL="10")
    assert (ended.returncode, ended.stdout) == (0, "")


def test_deep_status_fails_when_the_address_does_not_answer(link: Cable) -> None:
    assert link.node.agent("ip", "start", address=VIP).returncode == 0
    link.node.ip("link", "set", "lo", "down")  # what a machine sends to itself goes through lo
    assert link.node.agent("ip", "status", address=VIP).returncode == 0
    ended = link.node.agent("ip", "status", address=VIP, OCF_CHECK_LEVEL="10")
    assert (ended.returncode, ended.stdout) == (7, f"resource: {VIP} does not answer an echo request\n")


def test_address_without_a_static_neighbour_names_the_cure(link: Cable) -> None:
    ended = link.node.agent("ip", "start", address="192.0.2.7")
    assert ended.returncode == 1
    assert "no address in the subnet of 192.0.2.7 on any interface of this node" in ended.stdout


def test_preferred_interface_is_the_only_one_considered(link: Cable) -> None:
    ended = link.node.agent("ip", "start", address=VIP, prefer_interface="eth7")
    assert ended.returncode == 1
    assert 'on interface "eth7" of this node' in ended.stdout
    assert link.node.agent("ip", "start", address=VIP, prefer_interface="eth0").returncode == 0


def test_pause_after_stop_is_as_long_as_sleeptime_says(link: Cable) -> None:
    assert link.node.agent("ip", "start", address=VIP).returncode == 0
    began_s = time.monotonic()
    assert link.node.agent("ip", "stop", address=VIP, sleeptime="1").returncode == 0
    assert time.monotonic() - began_s >= 1


def test_missing_privilege_is_said(link: Cable) -> None:
    command = [sys.executable, "-m", "standfast.agents.ip", "start"]
    ended = link.node.run(
        "setpriv",
        "--bounding-set=-all",
        "--inh-caps=-all",
        *command,
        env={"OCF_RESKEY_address": VIP, "PATH": "/usr/bin:/bin"},
    )
    assert (ended.returncode, ended.stderr) == (4, "")
    assert "run as root" in ended.stdout


def test_loopback_address_is_a_claim_that_needs_no_privilege(tmp_path: Path, link: Cable) -> None:
    settings = {"address": "127.0.0.150/8", "STANDFAST_PREFIX": str(tmp_path)}
    codes = [
        link.node.agent("ip", operation, **settings).returncode
        for operation in ("status", "stop", "start", "start", "status", "stop", "stop", "status")
    ]
    assert codes == [7, 0, 0, 0, 0, 0, 0, 7]
    assert list(tmp_path.rglob("127.*")) == []
