"""What the engine has delivered to a daemon and the daemon has not taken yet."""

import asyncio
from collections import deque
from collections.abc import Callable

from standfast.engine.contract import EngineEvent
from standfast.errors import StandfastError

BREATH_S = 0.005  # longest time for which a backlog keeps the event loop from its other work, such as answering pings


class Inbox:
    """Events in order. A wait that is cancelled loses nothing; only one may wait at a time."""

    def __init__(self, taken: Callable[[EngineEvent], None]) -> None:
        """`taken` is called with each event as the daemon takes it."""
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._events: deque[EngineEvent] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._breathed_at = 0.0
        self._has_ended = False
        self._failure: StandfastError | None = None

    def put(self, event: EngineEvent) -> None:
        """Add an event; after the end there are none."""
        if not self._has_ended:
            self._events.append(event)
            self._wake()

    def put_first(self, event: EngineEvent) -> None:
        """Add an event before all others; after the end, too, since it belongs to what is being taken."""
        self._events.appendleft(event)
        self._wake()

    def finish(self) -> None:
        """Nothing comes any more: iteration ends after what is there."""
        self._has_ended = True
        self._wake()

    def fail(self, failure: StandfastError) -> None:
        """The engine is gone: iteration raises at once, unless it had ended."""
        if not self._has_ended:
            self._has_ended = True
            self._failure = failure
            self._wake()

    def __aiter__(self) -> "Inbox":
        """Return itself."""
        return self

    async def __anext__(self) -> EngineEvent:
        """Return the next event, waiting for it if need be."""
        if self._events and self._loop.time() - self._breathed_at > BREATH_S:
            await asyncio.sleep(0)
            self._breathed_at = self._loop.time()
        while True:
            if self._failure is not None:
                raise self._failure
            if self._events:
                event = self._events.popleft()
                self._taken(event)
                return event
            if self._has_ended:
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            await self._waiter
            self._breathed_at = self._loop.time()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
