"""The packets that ask for a claimant of an address, announce its new one, and recognise an answer.

Pure: bytes in, bytes out. Source: RFC 826 and 5227 (ARP), RFC 4861 and 4862 (IPv6 neighbour discovery).
"""

import struct
from ipaddress import IPv4Address, IPv6Address

ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD

_BROADCAST = b"\xff" * 6
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_ETHERNET_IPV4 = (1, 0x0800, 6, 4)
_REQUEST, _REPLY = 1, 2
_NO_IPV4 = bytes(4)
_ICMPV6 = 58
_SOLICITATION, _ADVERTISEMENT = 135, 136
_OVERRIDE = 0x20000000  # of an advertisement: replace the address that a neighbour has cached
_TARGET_LINK_ADDRESS = b"\x02\x01"  # option type 2, one unit of 8 bytes
_ALL_NODES = IPv6Address("ff02::1").packed
_ETHERNET_BYTES = 14
_IPV6_BYTES = 40


def mac_bytes(text: str) -> bytes:
    """Return the 6 bytes of a link address such as 02:00:00:00:00:01."""
    return bytes.fromhex(text.replace(":", ""))


def arp_probe(mac: bytes, address: IPv4Address) -> bytes:
    """Return the frame that asks who has `address`, without claiming it (RFC 5227, section 1.1)."""
    body = _ARP.pack(*_ARP_ETHERNET_IPV4, _REQUEST, mac, _NO_IPV4, bytes(6), address.packed)
    return _ethernet(_BROADCAST, mac, ETHERTYPE_ARP, body)


def arp_announcements(mac: bytes, address: IPv4Address) -> tuple[bytes, bytes]:
    """Return the gratuitous ARP in its request and its reply form; some neighbours believe only one of them."""
    request = _ARP.pack(*_ARP_ETHERNET_IPV4, _REQUEST, mac, address.packed, bytes(6), address.packed)
    # Linux takes a reply for gratuitous only when its target is the sender itself (RFC 5944, section 4.6).
    reply = _ARP.pack(*_ARP_ETHERNET_IPV4, _REPLY, mac, address.packed, mac, address.packed)
    return _ethernet(_BROADCAST, mac, ETHERTYPE_ARP, request), _ethernet(
        _BROADCAST, mac, ETHERTYPE_ARP, reply
    )


def arp_claimant(frame: bytes, mac: bytes, address: IPv4Address) -> str | None:
    """Return the link address of another machine that has, or is probing for, `address`; None for other frames."""
    if len(frame) < _ETHERNET_BYTES + _ARP.size or _ethertype(frame) != ETHERTYPE_ARP:
        return None
    *_, sender_mac, sender, _target_mac, target = _ARP.unpack_from(frame, _ETHERNET_BYTES)
    if sender_mac == mac:
        return None
    if sender == address.packed or (sender == _NO_IPV4 and target == address.packed):
        return _mac_text(sender_mac)
    return None


def solicited_node(address: IPv6Address) -> tuple[bytes, bytes]:
    """Return the multicast group of `address` as an IPv6 and as an Ethernet address (RFC 4291, section 2.7.1)."""
    tail = address.packed[-3:]
    return IPv6Address("ff02::1:ff00:0").packed[:13] + tail, b"\x33\x33\xff" + tail


def ndp_probe(mac: bytes, address: IPv6Address) -> bytes:
    """Return the neighbour solicitation of duplicate address detection (RFC 4862, section 5.4.2)."""
    group, group_mac = solicited_node(address)
    body = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + address.packed
    return _icmpv6(group_mac, mac, bytes(16), group, body)


def ndp_announcement(mac: bytes, address: IPv6Address) -> bytes:
    """Return the unsolicited neighbour advertisement that replaces what neighbours have cached (RFC 4861, 7.2.6)."""
    body = struct.pack("!BBHI", _ADVERTISEMENT, 0, 0, _OVERRIDE) + address.packed + _TARGET_LINK_ADDRESS + mac
    return _icmpv6(b"\x33\x33\x00\x00\x00\x01", mac, address.packed, _ALL_NODES, body)


def ndp_claimant(frame: bytes, mac: bytes, address: IPv6Address) -> str | None:
    """Return the link address of another machine that has, or is probing for, `address`; None for other frames."""
    at = _ETHERNET_BYTES + _IPV6_BYTES
    if len(frame) < at + 24 or _ethertype(frame) != ETHERTYPE_IPV6 or frame[_ETHERNET_BYTES + 6] != _ICMPV6:
        return None
    source_mac = frame[6:12]
    if source_mac == mac or frame[at + 8 : at + 24] != address.packed:
        return None
    source = frame[_ETHERNET_BYTES + 8 : _ETHERNET_BYTES + 24]
    is_probe = frame[at] == _SOLICITATION and source == bytes(16)
    return _mac_text(source_mac) if frame[at] == _ADVERTISEMENT or is_probe else None


def _ethernet(target: bytes, source: bytes, ethertype: int, body: bytes) -> bytes:
    return target + source + struct.pack("!H", ethertype) + body


def _ethertype(frame: bytes) -> int:
    return int.from_bytes(frame[12:14], "big")


def _icmpv6(target_mac: bytes, mac: bytes, source: bytes, target: bytes, body: bytes) -> bytes:
    pseudo_header = source + target + struct.pack("!II", len(body), _ICMPV6)
    summed = body[:2] + struct.pack("!H", checksum(pseudo_header + body)) + body[4:]
    header = struct.pack("!IHBB", 0x60000000, len(summed), _ICMPV6, 255) + source + target
    return _ethernet(target_mac, mac, ETHERTYPE_IPV6, header + summed)


def checksum(data: bytes) -> int:
    """Return the internet checksum (RFC 1071)."""
    padded = data + b"\x00" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total & 0xFFFF) + (total >> 16)
    total += total >> 16
    return 0xFFFF - (total & 0xFFFF)


def _mac_text(mac: bytes) -> str:
    return mac.hex(":")
