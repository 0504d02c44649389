"""The packets of ARP and neighbour discovery."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.agents.frames import (
    arp_announcements,
    arp_claimant,
    arp_probe,
    checksum,
    mac_bytes,
    ndp_announcement,
    ndp_claimant,
    ndp_probe,
    solicited_node,
)

MINE = mac_bytes("02:00:00:00:00:01")
OTHER = mac_bytes("02:00:00:00:00:02")
VIP = IPv4Address("10.1.4.150")
VIP6 = IPv6Address("fd00:4::150")


def icmpv6_part(frame: bytes) -> tuple[bytes, bytes]:
    """Return the pseudo header and the ICMPv6 message of a frame."""
    message = frame[54:]
    return frame[22:54] + len(message).to_bytes(4, "big") + (58).to_bytes(4, "big"), message


def test_arp_probe_is_that_of_rfc_5227() -> None:
    assert arp_probe(MINE, VIP).hex() == (
        "ffffffffffff02000000000108060001080006040001020000000001000000000000000000000a010496"
    )  # fmt: skip


def test_arp_announcements_are_a_request_and_a_reply_to_oneself() -> None:
    request, reply = arp_announcements(MINE, VIP)
    assert request[20:].hex() == "00010200000000010a0104960000000000000a010496"
    assert reply[20:].hex() == "00020200000000010a0104960200000000010a010496"


def test_neighbour_solicitation_is_that_of_duplicate_address_detection() -> None:
    frame = ndp_probe(MINE, VIP6)
    assert frame[:14].hex() == "3333ff00015002000000000186dd"
    assert frame[14:22].hex() == "6000000000183aff"
    assert frame[22:38] == bytes(16)
    assert frame[38:54] == IPv6Address("ff02::1:ff00:150").packed
    assert frame[54] == 135
    assert frame[62:] == VIP6.packed


def test_neighbour_advertisement_overrides_what_neighbours_know() -> None:
    frame = ndp_announcement(MINE, VIP6)
    assert frame[:14].hex() == "33330000000102000000000186dd"
    assert frame[22:38] == VIP6.packed
    assert frame[58:62].hex() == "20000000"
    assert frame[62:].hex() == VIP6.packed.hex() + "0201020000000001"


@pytest.mark.parametrize("frame", [ndp_probe(MINE, VIP6), ndp_announcement(MINE, VIP6)])
def test_checksum_of_icmpv6_is_right(frame: bytes) -> None:
    pseudo_header, message = icmpv6_part(frame)
    assert checksum(pseudo_header + message) == 0


@given(st.binary(max_size=64))
def test_checksum_inserted_sums_to_zero(data: bytes) -> None:
    even = data + b"\0" * (len(data) % 2)
    assert checksum(even + checksum(even).to_bytes(2, "big")) == 0


@pytest.mark.parametrize("frame", [*arp_announcements(OTHER, VIP), arp_probe(OTHER, VIP)])
def test_other_machine_with_the_ipv4_address_is_recognised(frame: bytes) -> None:
    assert arp_claimant(frame, MINE, VIP) == "02:00:00:00:00:02"


@pytest.mark.parametrize(
    "frame",
    [
        *arp_announcements(MINE, VIP),
        *arp_announcements(OTHER, IPv4Address("10.1.4.151")),
        arp_probe(OTHER, IPv4Address("10.1.4.151")),
        ndp_announcement(OTHER, VIP6),
        b"",
    ],
)
def test_other_arp_is_no_claim(frame: bytes) -> None:
    assert arp_claimant(frame, MINE, VIP) is None


@pytest.mark.parametrize("frame", [ndp_probe(OTHER, VIP6), ndp_announcement(OTHER, VIP6)])
def test_other_machine_with_the_ipv6_address_is_recognised(frame: bytes) -> None:
    assert ndp_claimant(frame, MINE, VIP6) == "02:00:00:00:00:02"


def test_ordinary_solicitation_by_a_neighbour_is_no_claim() -> None:
    probe = bytearray(ndp_probe(OTHER, VIP6))
    probe[22:38] = IPv6Address("fd00:4::7").packed
    assert ndp_claimant(bytes(probe), MINE, VIP6) is None


@pytest.mark.parametrize(
    "frame",
    [
        ndp_announcement(MINE, VIP6),
        ndp_announcement(OTHER, IPv6Address("fd00:4::151")),
        arp_probe(OTHER, VIP),
        ndp_announcement(OTHER, VIP6)[:20] + b"\x06" + ndp_announcement(OTHER, VIP6)[21:],
        b"",
    ],
)
def test_other_discovery_is_no_claim(frame: bytes) -> None:
    assert ndp_claimant(frame, MINE, VIP6) is None


@given(st.binary(max_size=120))
def test_no_frame_at_all_breaks_the_recognition(frame: bytes) -> None:
    arp_claimant(frame, MINE, VIP)
    ndp_claimant(frame, MINE, VIP6)


def test_solicited_node_group_takes_the_last_three_bytes() -> None:
    group, mac = solicited_node(IPv6Address("2001:db8::1:2345:6789"))
    assert (IPv6Address(group), mac.hex(":")) == (IPv6Address("ff02::1:ff45:6789"), "33:33:ff:45:67:89")
