"""The lab's few requests to the kernel's network: a link switched off in a millisecond, the addresses of all nodes heard.

One socket hears every machine's address changes, in the order in which the kernel made them (NETLINK_LISTEN_ALL_NSID), so
that two nodes' changes can be compared. Source: rtnetlink(7), netlink(7).
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

from msgspec import Struct

_RTM_DELLINK = 17
_RTM_SETLINK = 19
_RTM_NEWADDR = 20
_RTM_DELADDR = 21
_RTM_NEWNSID = 88
_NLMSG_ERROR = 2
_REQUEST_AND_ACKNOWLEDGE = 0x5

_IFF_UP = 0x1
_IFLA_IFNAME = 3
_NETNSA_NSID = 1
_NETNSA_PID = 2
_IFA_ADDRESS = 1
_IFA_LOCAL = 2

_GROUPS_OF_ADDRESSES = 0x10 | 0x100  # RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_SOL_NETLINK = 270
_NETLINK_LISTEN_ALL_NSID = 8

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_INTEGER = struct.Struct("=i")

RECEIVE_BYTES = 1024 * 1024  # how many unread events the kernel keeps for us before it drops some
_DATAGRAM_BYTES_MAX = 65536


class AddressNotice(Struct, frozen=True):
    """An address came or went in the network namespace that was given this number."""

    namespace: int
    added: bool
    address: str


class EventsLostError(Exception):
    """The kernel dropped address events, since they were not read in time."""


def set_link(name: str, *, up: bool) -> None:
    """Switch a link of this network namespace on or off; raises OSError."""
    _request(_RTM_SETLINK, _LINK.pack(0, 0, 0, _IFF_UP if up else 0, _IFF_UP) + _text(_IFLA_IFNAME, name))


def delete_link(name: str) -> None:
    """Remove a link of this network namespace; nothing happens if there is none of that name."""
    try:
        _request(_RTM_DELLINK, _LINK.pack(0, 0, 0, 0, 0) + _text(_IFLA_IFNAME, name))
    except OSError as failure:
        if failure.errno != errno.ENODEV:
            raise


def number_namespace(pid: int, number: int) -> None:
    """Give the network namespace of a process a number, under which its address changes are then heard here."""
    body = b"\0\0\0\0" + _integer(_NETNSA_NSID, number) + _integer(_NETNSA_PID, pid)
    _request(_RTM_NEWNSID, body)


def open_address_events() -> socket.socket:
    """Return a non-blocking socket that hears the address changes of all numbered network namespaces."""
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    events.setsockopt(_SOL_NETLINK, _NETLINK_LISTEN_ALL_NSID, 1)
    events.bind((0, _GROUPS_OF_ADDRESSES))
    return events


def read_address_events(events: socket.socket) -> tuple[AddressNotice, ...]:
    """Return what is there to be read, oldest first; raises EventsLostError when the kernel had to drop some."""
    found: list[AddressNotice] = []
    while True:
        try:
            datagram, ancillary, _, _ = events.recvmsg(_DATAGRAM_BYTES_MAX, 256)
        except BlockingIOError:
            return tuple(found)
        except OSError as failure:
            if failure.errno == errno.ENOBUFS:
                raise EventsLostError from failure
            raise
        numbers = [
            _INTEGER.unpack(value)[0]
            for level, kind, value in ancillary
            if (level, kind) == (_SOL_NETLINK, _NETLINK_LISTEN_ALL_NSID)
        ]
        if numbers:
            found.extend(_address_notices(numbers[0], datagram))


def _address_notices(namespace: int, datagram: bytes) -> Iterator[AddressNotice]:
    for kind, body in _messages(datagram):
        if kind not in (_RTM_NEWADDR, _RTM_DELADDR):
            continue
        attributes = dict(_attributes(body[_ADDRESS.size :]))
        packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
        if packed:
            yield AddressNotice(namespace, kind == _RTM_NEWADDR, str(ip_address(packed)))


def _request(kind: int, body: bytes) -> None:
    """Send one request and wait for the kernel's answer, which comes at once; raises OSError when it is a refusal."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as channel:
        channel.bind((0, 0))
        channel.sendto(
            _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST_AND_ACKNOWLEDGE, 1, 0) + body, (0, 0)
        )
        answer = channel.recv(_DATAGRAM_BYTES_MAX)
    for kind_of_answer, content in _messages(answer):
        if kind_of_answer == _NLMSG_ERROR:
            number = -_INTEGER.unpack_from(content)[0]
            if number:
                raise OSError(number, os.strerror(number))


def _messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(datagram):
        length, kind, _, _, _ = _HEADER.unpack_from(datagram, at)
        if length < _HEADER.size:
            return
        yield kind, datagram[at + _HEADER.size : at + length]
        at += _aligned(length)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _integer(kind: int, value: int) -> bytes:
    return _attribute(kind, _INTEGER.pack(value))


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + b"\0" * (_aligned(length) - length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
