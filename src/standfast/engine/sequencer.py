"""The local engine's one program: python3 -m standfast.engine.sequencer SOCKET; serves the daemons of one machine.

It is not for several machines. It runs until SIGTERM or SIGINT, and removes its socket.
"""

import argparse
import asyncio
import fcntl
import json
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from standfast.engine import frames
from standfast.engine.exchange import Exchange, Link
from standfast.errors import EngineError, RefusedError

TOKEN_MS = 1000  # how long a node may be silent, unless the command line says otherwise
BACKLOG = 64  # connections that wait to be accepted
PROBE_S_MAX = 5.0  # how long another sequencer may take to answer before its socket counts as in use anyway


logger = logging.getLogger(__name__)

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({})))


class _Connection(asyncio.Protocol):
    """One accepted connection, and the outlet over which it is answered."""

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self.delay_ms = 0
        self._exchange = exchange
        self._loop = loop
        self._link = Link(self)
        self._reader = frames.Reader(frames.to_sequencer)
        self._transport: asyncio.Transport | None = None
        self._delayed: deque[tuple[float, bytes]] = deque()

    # typing.override, which the three would carry, comes with Python 3.12.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # type: ignore[explicit-override]
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:  # type: ignore[explicit-override]
        try:
            for frame in self._reader.feed(data):
                if self._transport is not None and not self._transport.is_closing():
                    self._exchange.receive(self._link, frame)
        except frames.FrameError as failure:
            refusal = RefusedError(
                f"the sequencer does not understand this client ({failure}); restart it, so that it has this version",
                code="engine-version",
            )
            self._exchange.refuse(self._link, refusal)

    def connection_lost(self, exc: Exception | None) -> None:  # type: ignore[explicit-override]
        if exc is not None:
            logger.warning("connection.broke", extra={"reason": str(exc)})
        self._transport = None
        self._delayed.clear()
        self._exchange.end(self._link)

    def write(self, data: bytes) -> None:
        """Send these bytes after all earlier ones, `delay_ms` from now at the earliest."""
        if self._transport is None or self._transport.is_closing():
            return
        if self.delay_ms == 0 and not self._delayed:
            self._transport.write(data)
            return
        due_at = self._loop.time() + self.delay_ms / 1000
        if self._delayed:
            due_at = max(due_at, self._delayed[-1][0])
        else:
            self._loop.call_at(due_at, self._write_delayed)
        self._delayed.append((due_at, data))

    def close(self) -> None:
        """End the connection once everything written is sent; what is delayed still is dropped."""
        if self._transport is not None:
            self._transport.close()

    def _write_delayed(self) -> None:
        while self._delayed and self._delayed[0][0] <= self._loop.time() and self._transport is not None:
            self._transport.write(self._delayed.popleft()[1])
        if self._delayed:
            self._loop.call_at(self._delayed[0][0], self._write_delayed)


class Sequencer:
    """A sequencer that listens; for the program below, and for tests that want one in their own process."""

    def __init__(self, socket_path: str, *, token_ms: int) -> None:
        """`token_ms`: how long a node may be silent."""
        self._socket_path = socket_path
        # The clock makes view ids grow from one sequencer to the next, as long as views are rarer than milliseconds.
        self._exchange = Exchange(token_ms=token_ms, last_view_id=time.time_ns() // 1_000_000)
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Listen; raises EngineError when another sequencer does already, or the socket cannot be made."""
        listener = listen(self._socket_path)
        self._server = await self._loop.create_unix_server(
            lambda: _Connection(self._exchange, self._loop), sock=listener, backlog=BACKLOG
        )
        self._tick()

    def stop(self) -> None:
        """Stop listening and remove the socket; the connections end with the process or the event loop."""
        if self._ticker is not None:
            self._ticker.cancel()
        if self._server is not None:
            self._server.close()
            with suppress(OSError):
                Path(self._socket_path).unlink()

    def _tick(self) -> None:
        self._exchange.tick(int(self._loop.time() * 1000))
        self._ticker = self._loop.call_later(self._exchange.tick_ms / 1000, self._tick)


def listen(socket_path: str) -> socket.socket:
    """Return a listening socket at the path; replaces the socket of a sequencer that is gone.

    Raises EngineError when a sequencer answers there, or the socket cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _one_at_a_time(Path(socket_path).parent):
            _remove_stale(socket_path)
            listener.bind(socket_path)
            listener.listen(BACKLOG)
    except OSError as failure:
        listener.close()
        reason = failure.strerror or str(failure)
        raise EngineError(
            f"{socket_path}: the socket cannot be made: {reason}; choose a path that can, of at most 107 bytes",
            code="sequencer-socket",
        ) from failure
    except EngineError:
        listener.close()
        raise
    return listener


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Between two sequencers that start at the same moment, one looks at the old socket after the other is done."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_stale(socket_path: str) -> None:
    path = Path(socket_path)
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_S_MAX)
        try:
            probe.connect(socket_path)
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass  # it is stopped or overwhelmed, but there
    raise EngineError(
        f"{socket_path}: another sequencer is running here; end it first, or choose another socket",
        code="sequencer-running",
    )


def _join_fields(record: logging.LogRecord) -> bool:
    """Write an event's fields behind it, as JSON."""
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
    record.fields = " " + json.dumps(fields, sort_keys=True) if fields else ""
    return True


async def _serve(socket_path: str, token_ms: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    sequencer = Sequencer(socket_path, token_ms=token_ms)
    await sequencer.start()
    print(f"listening on {socket_path}", flush=True)
    try:
        await ended.wait()
    finally:
        sequencer.stop()


def _token_ms(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 50 <= int(text) <= 300_000:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of milliseconds between 50 and 300000')
    return int(text)


def main(argv: Sequence[str]) -> int:
    """Run the sequencer until it is told to end; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="standfast.engine.sequencer",
        description="Give the daemons of one machine the order of their messages. Not for several machines.",
        allow_abbrev=False,
    )
    parser.add_argument("socket", metavar="SOCKET", help="path of the Unix socket to listen on")
    parser.add_argument(
        "--token-ms",
        type=_token_ms,
        default=TOKEN_MS,
        help=f"how long a node may be silent (default {TOKEN_MS})",
    )
    options = parser.parse_args(argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s%(fields)s"))
    handler.addFilter(_join_fields)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        asyncio.run(_serve(options.socket, options.token_ms))
    except EngineError as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
