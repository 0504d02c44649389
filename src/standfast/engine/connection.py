"""A client's connection to the sequencer: frames in and out, pings answered, and its end noticed."""

import asyncio
from collections.abc import Callable

from standfast.engine import frames
from standfast.errors import EngineError, RefusedError, StandfastError

CONNECT_S_MAX = 10.0  # longest wait for a sequencer that accepts and does not answer


class Connection(asyncio.Protocol):
    """Answers pings by itself, in the event loop; a loop that hangs is a node that does not answer."""

    def __init__(
        self,
        socket_path: str,
        *,
        received: Callable[[frames.FromSequencer], None],
        lost: Callable[[StandfastError], None],
    ) -> None:
        """`received` gets each frame but pings; `lost` is called once, unless `close` comes first."""
        self._socket_path = socket_path
        self._received = received
        self._lost = lost
        self._reader = frames.Reader(frames.from_sequencer)
        self._transport: asyncio.Transport | None = None
        self._refusal: RefusedError | None = None

    # typing.override, which the three would carry, comes with Python 3.12.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # type: ignore[explicit-override]
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:  # type: ignore[explicit-override]
        """Called by the event loop."""
        try:
            for frame in self._reader.feed(data):
                match frame:
                    case frames.Ping(number):
                        self.write(frames.Pong(number))
                    case frames.Refusal(text, code):
                        self._refusal = RefusedError(text, code=code)
                    case _:
                        self._received(frame)
        except frames.FrameError as failure:
            self._refusal = RefusedError(
                f"{self._socket_path}: what answers is not a sequencer of this version ({failure}); "
                f"restart the sequencer",
                code="engine-version",
            )
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # type: ignore[explicit-override]
        """Called by the event loop."""
        if self._transport is not None:
            self._transport = None
            self._lost(self._reason(exc))

    def write(self, frame: frames.ToSequencer) -> None:
        """Send one frame; nothing happens when the connection is gone."""
        if self._transport is not None:
            self._transport.write(frames.encode(frame))

    def close(self) -> None:
        """Break off, without `lost`."""
        if self._transport is not None:
            transport, self._transport = self._transport, None
            transport.abort()

    def _reason(self, cause: Exception | None) -> StandfastError:
        if self._refusal is not None:
            return self._refusal
        detail = f" ({cause})" if cause is not None else ""
        return EngineError(
            f"{self._socket_path}: the sequencer is gone{detail}; start it again, then this daemon",
            code="engine-gone",
        )


async def connect(socket_path: str, connection: Connection) -> None:
    """Connect to the sequencer at the path; raises EngineError when none answers."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            await loop.create_unix_connection(lambda: connection, socket_path)
    except OSError as failure:  # TimeoutError is one
        reason = failure.strerror or str(failure) or f"it did not accept within {CONNECT_S_MAX:g} s"
        raise EngineError(
            f"{socket_path}: no sequencer answers ({reason}); "
            f"start it with: python3 -m standfast.engine.sequencer {socket_path}",
            code="engine-unreachable",
        ) from failure


def silent_sequencer(socket_path: str) -> EngineError:
    """Return the error for a sequencer that accepted a connection and then said nothing for CONNECT_S_MAX."""
    return EngineError(
        f"{socket_path}: the sequencer says nothing for {CONNECT_S_MAX:g} s; look at its log, and restart it",
        code="engine-unreachable",
    )
