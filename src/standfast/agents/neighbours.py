"""Ask the neighbours on a link whether one of them has an address, and tell them that it is here now.

Raw packets on one interface: needs CAP_NET_RAW. Source: RFC 5227; spec resources, section 9.2, steps 4 and 5.
"""

import array
import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from standfast.agents.addresses import Address, Interface
from standfast.agents.contract import Exit, OperationError
from standfast.agents.frames import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV6,
    arp_announcements,
    arp_claimant,
    arp_probe,
    mac_bytes,
    ndp_announcement,
    ndp_claimant,
    ndp_probe,
    solicited_node,
)

# Differs from rgmanager: 40 ms instead of a ping of 2 s, because every machine of a local link answers an ARP
# request or a neighbour solicitation out of its kernel, far below this, and the service is down meanwhile.
CLAIM_WAIT_MS = 40  # an answer to the probe within this time is a collision
PROBE_GAP_MS = 15  # until the probe is sent again
ANNOUNCEMENT_GAP_MS = (
    20  # between the two announcements; long before any other node could have the address next
)

_DRAIN_MS_MAX = 10  # longest reading on after the deadline, of what had arrived before it
_SO_ATTACH_FILTER = 26
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_MR_MULTICAST = 0
_NEIGHBOUR_DISCOVERY_FILTER = (  # socket filter: code, jump if true, jump if false, operand
    (0x30, 0, 0, 20),  # load the byte "next header" of IPv6
    (0x15, 0, 4, 58),  # not ICMPv6: drop
    (0x30, 0, 0, 54),  # load the ICMPv6 type
    (0x35, 0, 2, 135),  # below a solicitation: drop
    (0x25, 1, 0, 136),  # above an advertisement: drop
    (0x06, 0, 0, 2048),  # pass
    (0x06, 0, 0, 0),  # drop
)


class Link:
    """A raw socket on one interface, for one address."""

    def __init__(self, interface: Interface, address: Address, link: socket.socket) -> None:
        self._link = link
        mac = mac_bytes(interface.mac)
        self._probe: bytes
        self._announcements: tuple[bytes, ...]
        self._recognise: Callable[[bytes], str | None]
        if isinstance(address, IPv4Address):
            ipv4 = address
            self._probe, self._announcements = arp_probe(mac, ipv4), arp_announcements(mac, ipv4)
            self._recognise = lambda frame: arp_claimant(frame, mac, ipv4)
        else:
            ipv6 = address
            self._probe, self._announcements = ndp_probe(mac, ipv6), (ndp_announcement(mac, ipv6),)
            self._recognise = lambda frame: ndp_claimant(frame, mac, ipv6)

    def claimant(self) -> str | None:
        """Return the link address of another machine that answers for the address in CLAIM_WAIT_MS; None: none does."""
        began = time.monotonic()
        for deadline_ms in (PROBE_GAP_MS, CLAIM_WAIT_MS):
            self._link.send(self._probe)
            for frame in _frames(self._link, began + deadline_ms / 1000):
                found = self._recognise(frame)
                if found:
                    return found
        return None

    def announce(self) -> None:
        """Tell all neighbours that the address is now here, and once more ANNOUNCEMENT_GAP_MS later, from a child."""
        self._send_announcements()
        # The child also spares us the close of the socket, which the kernel draws out over 15 ms and more.
        if os.fork() == 0:
            try:
                os.closerange(0, 3)  # whoever reads the agent's output must not wait for this
                time.sleep(ANNOUNCEMENT_GAP_MS / 1000)
                self._send_announcements()
            finally:
                os._exit(0)

    def _send_announcements(self) -> None:
        for frame in self._announcements:
            self._link.send(frame)


@contextlib.contextmanager
def link_of(interface: Interface, address: Address) -> Iterator[Link]:
    """Open a link for the length of the block; what the operating system refuses becomes a sentence."""
    ethertype = ETHERTYPE_ARP if address.version == 4 else ETHERTYPE_IPV6
    try:
        # Protocol 0 until bound: else the socket would collect the packets of all interfaces first.
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as link:
            link.setblocking(False)
            if not isinstance(address, IPv4Address):
                _hear_discovery_only(link)
            link.bind((interface.name, ethertype))
            if not isinstance(address, IPv4Address):
                group = struct.pack(
                    "iHH8s", interface.index, _PACKET_MR_MULTICAST, 6, solicited_node(address)[1]
                )
                link.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, group)
            yield Link(interface, address, link)
    except PermissionError:
        raise OperationError(
            Exit.PRIVILEGE, f'may not send raw packets on "{interface.name}"; run as root or with CAP_NET_RAW'
        ) from None
    except OSError as error:
        raise OperationError(
            Exit.GENERIC,
            f'cannot reach the neighbours on "{interface.name}" about {address}: {error.strerror}',
        ) from None


def _frames(link: socket.socket, deadline_s: float) -> Iterator[bytes]:
    """Yield the frames that arrive before the deadline, those already waiting included even when it has passed."""
    while (left_s := deadline_s - time.monotonic()) > -_DRAIN_MS_MAX / 1000:
        if not select.select([link], [], [], max(0.0, left_s))[0]:
            return
        with contextlib.suppress(BlockingIOError):
            yield link.recv(2048)


def _hear_discovery_only(link: socket.socket) -> None:
    """Let the kernel drop everything but neighbour discovery, so that other traffic cannot crowd out the answer."""
    program = array.array("B", b"".join(struct.pack("HBBI", *step) for step in _NEIGHBOUR_DISCOVERY_FILTER))
    at, _bytes = program.buffer_info()
    link.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_NEIGHBOUR_DISCOVERY_FILTER), at)
    )
