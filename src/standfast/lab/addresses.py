"""Who has which address, and who had it when: heard from the kernel, in its own order."""

import asyncio
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from standfast.lab import inotify, netlink
from standfast.lab.calls import AddressChange, AddressEvent

EVENTS_MAX = 100_000  # the oldest are forgotten first


class AddressLog:
    """The record of all machines' addresses."""

    def __init__(self) -> None:
        self._events: list[AddressEvent] = []
        self._held: dict[str, list[str]] = {}

    def note(self, node: str, change: AddressChange, address: str = "") -> None:
        """Record one change; one that changes nothing is left out."""
        held = self._held.setdefault(node, [])
        match change:
            case AddressChange.ADDED:
                if address in held:
                    return
                held.append(address)
            case AddressChange.REMOVED:
                if address not in held:
                    return
                held.remove(address)
            case AddressChange.POWERED_OFF | AddressChange.LOST_TRACK:
                held.clear()
        self._events.append(
            AddressEvent(
                at_ms=time.monotonic() * 1000,
                unix_ms=time.time() * 1000,
                node=node,
                change=change,
                address=address,
            )
        )
        del self._events[:-EVENTS_MAX]

    def held(self, node: str) -> tuple[str, ...]:
        """The node's addresses now, oldest first."""
        return tuple(self._held.get(node, ()))

    def events(self) -> tuple[AddressEvent, ...]:
        """All changes, oldest first."""
        return tuple(self._events)


class AddressWatch(Protocol):
    """Something that hears of addresses and writes them into an AddressLog."""

    def follow(self, node: str, number: int, folder: Path) -> None:
        """Listen to a machine from now on: to its numbered network namespace, or to its folder of claims."""
        ...

    def forget(self, node: str) -> None:
        """Note that the node is dead, after everything that was heard of it."""
        ...


class NetworkWatch:
    """Hears the machines' network namespaces."""

    def __init__(self, log: AddressLog, loop: asyncio.AbstractEventLoop) -> None:
        self._log = log
        self._nodes: dict[int, str] = {}
        self._events = netlink.open_address_events()
        loop.add_reader(self._events, self._read)

    def follow(self, node: str, number: int, folder: Path) -> None:  # noqa: ARG002
        """Listen to the numbered network namespace; the folder is of no use here."""
        self._nodes[number] = node

    def forget(self, node: str) -> None:
        """Note that the node is dead."""
        self._read()
        self._nodes = {number: other for number, other in self._nodes.items() if other != node}
        self._log.note(node, AddressChange.POWERED_OFF)

    def _read(self) -> None:
        try:
            notices = netlink.read_address_events(self._events)
        except netlink.EventsLostError:
            for node in sorted(set(self._nodes.values())):
                self._log.note(node, AddressChange.LOST_TRACK)
            return
        for notice in notices:
            if notice.namespace in self._nodes and not ip_address(notice.address).is_loopback:
                change = AddressChange.ADDED if notice.added else AddressChange.REMOVED
                self._log.note(self._nodes[notice.namespace], change, notice.address)


class ClaimWatch:
    """Hears the folders in which nodes without network namespaces note the addresses they have."""

    def __init__(self, log: AddressLog, loop: asyncio.AbstractEventLoop) -> None:
        self._log = log
        self._nodes: dict[int, str] = {}
        self._events = inotify.open_folder_events()
        loop.add_reader(self._events, self._read)

    def follow(self, node: str, number: int, folder: Path) -> None:  # noqa: ARG002
        """Listen to the folder of claims; the number is of no use here."""
        self._nodes[inotify.watch_folder(self._events, folder)] = node

    def forget(self, node: str) -> None:
        """Note that the node is dead."""
        self._read()
        self._nodes = {watch: other for watch, other in self._nodes.items() if other != node}
        self._log.note(node, AddressChange.POWERED_OFF)

    def _read(self) -> None:
        for notice in inotify.read_folder_events(self._events):
            if notice.watch in self._nodes:
                change = AddressChange.ADDED if notice.added else AddressChange.REMOVED
                self._log.note(self._nodes[notice.watch], change, notice.name)
