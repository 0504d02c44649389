"""Hearing from the kernel that a network link went up or down, instead of waiting for the next check of an address.

Source: rtnetlink(7).
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable

_RTMGRP_LINK = 1
_READ_BYTES = 65536
SETTLE_S = 0.02  # a change of a link comes in several messages; they are answered by one check
PAUSE_S = 0.5  # shortest time between two answers, however often a link flaps

logger = logging.getLogger(__name__)


class LinkWatch:
    """Calls `changed` soon after any link of this machine has changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = 0.0

    def start(self) -> None:
        """Begin to listen; where that is forbidden the regular checks have to do."""
        listener = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        try:
            listener.bind((0, _RTMGRP_LINK))
        except OSError as failure:
            listener.close()
            logger.warning("link.not-watched", extra={"reason": os.strerror(failure.errno or 0)})
            return
        self._socket = listener
        self._loop.add_reader(listener, self._receive)

    def close(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._timer is not None:
            self._timer.cancel()

    def _receive(self) -> None:
        """Take all messages; what they say is not read, since the check looks for itself."""
        assert self._socket is not None
        while True:
            try:
                self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                break
            except OSError:  # more messages than the kernel keeps: something has changed for sure
                continue
        if self._timer is None:
            earliest = max(self._loop.time() + SETTLE_S, self._told_at + PAUSE_S)
            self._timer = self._loop.call_at(earliest, self._tell)

    def _tell(self) -> None:
        self._timer = None
        self._told_at = self._loop.time()
        self._changed()
