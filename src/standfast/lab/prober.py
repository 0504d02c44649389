"""A client that asks a web server again and again: python -m standfast.lab.prober ADDRESS PORT; one JSON line for each GET.

Each GET has a connection of its own, and is sent whether or not the ones before have been answered. So the first answer
after a takeover is seen within one interval, although the attempts made before it are lost. Ends when its standard
input does.
"""

import argparse
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import BinaryIO

from msgspec import Struct, json

from standfast.lab.probes import Probe

EVERY_MS = 5.0  # between two GETs
TIMEOUT_MS = 250.0  # longest wait for an answer
UNDERWAY_MAX = 500  # GETs without an answer; the next waits
ANSWER_BYTES_MAX = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # leaves no connection behind in TIME_WAIT


class _Attempt(Struct):
    """One GET under way."""

    connection: socket.socket
    sent_ms: float
    received: bytes = b""
    connected: bool = False


class Prober:
    """Sends GETs and writes down what becomes of them."""

    def __init__(self, address: str, port: int, *, timeout_ms: float, out: BinaryIO) -> None:
        self._target = (address, port)
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        host = f"[{address}]" if ":" in address else address
        self._request = f"GET / HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode()
        self._timeout_ms = timeout_ms
        self._out = out
        self._selector = selectors.DefaultSelector()
        self._underway: list[_Attempt] = []

    def run(self, *, every_ms: float, stop: int) -> None:
        """Go on until the descriptor `stop` is at its end."""
        self._selector.register(stop, selectors.EVENT_READ)
        next_ms = _now_ms()
        while True:
            ready = self._selector.select(max(0.0, next_ms - _now_ms()) / 1000)
            for key, _ in ready:
                if key.data is None:
                    if not os.read(stop, 1):
                        return
                else:
                    self._go_on(key.data)
            now = _now_ms()
            while self._underway and now - self._underway[0].sent_ms > self._timeout_ms:
                self._end(self._underway[0], None, f"no answer within {self._timeout_ms:.0f} ms")
            if now >= next_ms:
                next_ms = max(next_ms + every_ms, now)
                if len(self._underway) < UNDERWAY_MAX:
                    self._begin()

    def _begin(self) -> None:
        connection = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        attempt = _Attempt(connection, _now_ms())
        self._underway.append(attempt)
        self._selector.register(connection, selectors.EVENT_WRITE, attempt)
        try:
            connection.connect(self._target)
        except BlockingIOError:
            return
        except OSError as failure:
            self._end(attempt, None, failure.strerror or str(failure))

    def _go_on(self, attempt: _Attempt) -> None:
        try:
            if not attempt.connected:
                failure = attempt.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failure:
                    self._end(attempt, None, os.strerror(failure))
                    return
                attempt.connection.send(self._request)
                attempt.connected = True
                self._selector.modify(attempt.connection, selectors.EVENT_READ, attempt)
                return
            data = attempt.connection.recv(ANSWER_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError as failure:
            self._end(attempt, None, failure.strerror or str(failure))
            return
        attempt.received += data
        if not data or len(attempt.received) > ANSWER_BYTES_MAX:
            self._judge(attempt)

    def _judge(self, attempt: _Attempt) -> None:
        head, _, body = attempt.received.partition(b"\r\n\r\n")
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(maxsplit=1)
        if len(words) == 2 and words[0].startswith("HTTP/") and words[1].startswith("200"):
            self._end(attempt, body.decode(errors="replace").strip(), "")
        else:
            self._end(
                attempt, None, words[1] if len(words) == 2 else "the connection ended without an answer"
            )

    def _end(self, attempt: _Attempt, answer: str | None, failure: str) -> None:
        self._selector.unregister(attempt.connection)
        attempt.connection.close()
        self._underway = [other for other in self._underway if other is not attempt]
        probe = Probe(
            sent_ms=attempt.sent_ms,
            done_ms=_now_ms(),
            done_unix_ms=time.time() * 1000,
            answer=answer,
            failure=failure,
        )
        self._out.write(json.encode(probe) + b"\n")
        self._out.flush()


def _now_ms() -> float:
    return time.monotonic() * 1000


def main(argv: Sequence[str], out: BinaryIO, stop: int) -> int:
    """Probe until the descriptor `stop` is at its end; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="standfast.lab.prober", description="Ask a web server again and again.", allow_abbrev=False
    )
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("port", metavar="PORT", type=int)
    parser.add_argument(
        "--every-ms", type=float, default=EVERY_MS, help=f"between two GETs (default {EVERY_MS:g})"
    )
    parser.add_argument(
        "--timeout-ms", type=float, default=TIMEOUT_MS, help=f"of one GET (default {TIMEOUT_MS:g})"
    )
    options = parser.parse_args(argv)
    try:
        Prober(options.address, options.port, timeout_ms=options.timeout_ms, out=out).run(
            every_ms=options.every_ms, stop=stop
        )
    except (BrokenPipeError, KeyboardInterrupt):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout.buffer, 0))
