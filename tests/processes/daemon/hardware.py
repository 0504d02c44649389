"""A watchdog of a test's own: a real daemon pets it over a socket, and it cuts the power of the node when nobody does.

It keeps the kernel's rules: it counts from when it is opened, goes on counting when it is closed without having been told
to stop, and has one user at a time.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

DAEMON = """
import os, socket, sys
from pathlib import Path
from standfast.node.daemon import main

class SocketWatchdog:
    def __init__(self, path):
        self.name = str(path)
        self.timeout_ms = %d
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(path))

    def pet(self):
        self._connection.send(b".")

    def disarm(self):
        self._connection.send(b"V")
        self._connection.close()

    def abandon(self):
        self._connection.close()

sys.exit(main(sys.argv[1:], os.environ, SocketWatchdog))
"""


class Hardware:
    """The device. `cut` is called once, when the time is over; `pettings` counts."""

    def __init__(self, path: Path, timeout_ms: int, cut: Callable[[], None]) -> None:
        self.path = path
        self.timeout_ms = timeout_ms
        self.pettings = 0
        self.openings = 0
        self.has_fired = threading.Event()
        self._cut = cut
        self._deadline: float | None = None  # None: it does not count
        self._change = threading.Condition()
        self._is_over = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._connection = self._listener
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._serve, self._count)]

    def __enter__(self) -> "Hardware":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._change:
            self._is_over = True
            self._change.notify_all()
        for opened in (self._listener, self._connection):
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    @property
    def is_counting(self) -> bool:
        """Whether it would cut the power some time."""
        return self._deadline is not None

    def command(self, command: list[str]) -> list[str]:
        """Return the command line of a daemon that uses this device in place of a kernel's."""
        after = command[command.index("standfast.node.daemon") + 1 :]
        return [sys.executable, "-c", DAEMON % self.timeout_ms, *after, "--watchdog", str(self.path)]

    def _serve(self) -> None:
        while True:
            try:
                self._connection, _ = self._listener.accept()
            except OSError:
                return
            with self._connection as connection:
                self.openings += 1
                self._pet()
                while received := _receive(connection):
                    if received.endswith(b"V"):
                        self._stop()
                    else:
                        self.pettings += len(received)
                        self._pet()

    def _pet(self) -> None:
        with self._change:
            self._deadline = time.monotonic() + self.timeout_ms / 1000
            self._change.notify_all()

    def _stop(self) -> None:
        with self._change:
            self._deadline = None
            self._change.notify_all()

    def _count(self) -> None:
        with self._change:
            while not self._is_over:
                left_s = None if self._deadline is None else self._deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    break
                self._change.wait(left_s)
            if self._is_over:
                return
            self._deadline = None
        self._cut()
        self.has_fired.set()


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1000)
    except ConnectionError:
        return b""
