"""Telling the service manager how the daemon is. Without one, nothing is sent.

Source: sd_notify(3), systemd.service(5); the protocol is one datagram of NAME=VALUE lines on a Unix socket.
"""

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import Mapping

from msgspec import Struct

ADDRESS_VARIABLE = "NOTIFY_SOCKET"
WATCHDOG_VARIABLE = "WATCHDOG_USEC"
WATCHDOG_PID_VARIABLE = "WATCHDOG_PID"
STATUS_CHARACTERS_MAX = 500  # a longer status is cut
UNSENT_MAX = 64  # notices that wait for a service manager that does not read; then the oldest is lost
AGAIN_S = 0.1  # pause before they are sent again

logger = logging.getLogger(__name__)


class Notices(Struct, frozen=True, kw_only=True):
    """What the service manager wants. `address` "": there is none. `alive_ms`: how often it wants to hear, None: never."""

    address: str = ""
    alive_ms: int | None = None


def wanted_notices(environ: Mapping[str, str], pid: int) -> Notices:
    """Return what the environment of this process asks for."""
    address = environ.get(ADDRESS_VARIABLE, "")
    meant_for = environ.get(WATCHDOG_PID_VARIABLE, str(pid))
    limit = environ.get(WATCHDOG_VARIABLE, "")
    is_limited = address and meant_for == str(pid) and limit.isascii() and limit.isdigit() and int(limit) > 0
    return Notices(address=address, alive_ms=int(limit) // 1000 if is_limited else None)


class Notifier:
    """Sends notices, in order, without ever waiting; where nobody listens, that is said once."""

    def __init__(self, address: str) -> None:
        """`address` is a path, or a name that begins with "@" (an abstract socket); "": nothing is ever sent."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._status = ""
        self._unsent: deque[bytes] = deque(maxlen=UNSENT_MAX)
        self._timer: asyncio.TimerHandle | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    @property
    def is_heard(self) -> bool:
        """Whether there is somebody to tell."""
        return self._socket is not None

    def ready(self) -> None:
        """The daemon listens."""
        self._send("READY=1", f"MAINPID={os.getpid()}")

    def status(self, text: str) -> None:
        """Say in a line what the daemon does or waits for; the same line is not sent again."""
        line = " ".join(text.split())[:STATUS_CHARACTERS_MAX]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """The daemon works."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon is on its way out."""
        self._send("STOPPING=1")

    def need_longer(self, ms: int) -> None:
        """Ask not to be killed for this long."""
        self._send(f"EXTEND_TIMEOUT_USEC={ms * 1000}")

    def close(self) -> None:
        """Send nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            self._unsent.append("\n".join(lines).encode(errors="replace"))
            self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            while self._unsent and self._socket is not None:
                self._socket.sendto(self._unsent[0], self._address)
                self._unsent.popleft()
        except BlockingIOError:  # its queue is full
            self._timer = asyncio.get_running_loop().call_later(AGAIN_S, self._flush)
        except OSError as failure:
            fields = {"socket": self._address.replace("\0", "@"), "reason": failure.strerror or str(failure)}
            logger.warning("notify.lost", extra=fields)
            self.close()
