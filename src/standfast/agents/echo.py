"""Ask an address of this node for an ICMP echo, as `ping -c 1` does.

Source: RFC 792 and 4443; spec resources, section 9.2, "status".
"""

import os
import select
import socket
import struct
import time

from standfast.agents.addresses import Address
from standfast.agents.frames import checksum

ECHO_WAIT_MS = 1000  # a local address answers in microseconds

_SEQUENCE = 1


def answers_echo(address: Address) -> bool | None:
    """Tell whether the address answers within ECHO_WAIT_MS; None: this process may not ask (no CAP_NET_RAW)."""
    is_ipv4 = address.version == 4
    family = socket.AF_INET if is_ipv4 else socket.AF_INET6
    protocol = socket.IPPROTO_ICMP if is_ipv4 else socket.IPPROTO_ICMPV6
    request, reply = (8, 0) if is_ipv4 else (128, 129)
    identifier = os.getpid() & 0xFFFF
    packet = struct.pack("!BBHHH", request, 0, 0, identifier, _SEQUENCE)
    if is_ipv4:  # for ICMPv6 the kernel fills it in
        packet = packet[:2] + struct.pack("!H", checksum(packet)) + packet[4:]
    expected = (reply, identifier, _SEQUENCE)
    try:
        with socket.socket(family, socket.SOCK_RAW, protocol) as icmp:
            icmp.sendto(packet, (str(address), 0))
            return _receives(icmp, expected, time.monotonic() + ECHO_WAIT_MS / 1000)
    except PermissionError:
        return None
    except OSError:  # no route, interface down: not reachable is the answer
        return False


def _receives(icmp: socket.socket, expected: tuple[int, int, int], deadline_s: float) -> bool:
    """Read ICMP packets until the expected (type, identifier, sequence) or the deadline."""
    while (left_s := deadline_s - time.monotonic()) > 0:
        if not select.select([icmp], [], [], left_s)[0]:
            return False
        packet = icmp.recv(2048)
        if icmp.family == socket.AF_INET:
            packet = packet[(packet[0] & 0x0F) * 4 :]
        if len(packet) >= 8:
            kind, _code, _sum, identifier, sequence = struct.unpack_from("!BBHHH", packet)
            if (kind, identifier, sequence) == expected:
                return True
    return False
