"""Putting entries into the log in their order, so that whoever decides never waits for a congested engine."""

import asyncio
from collections import deque

from standfast.engine.contract import Engine


class Sender:
    """A queue in front of the engine; `run` is the one task that empties it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def put(self, payload: bytes) -> None:
        """Send this after everything before it. What waits here is bounded by what the core has under way."""
        self._queue.append(payload)
        self._emptied.clear()
        self._filled.set()

    async def run(self) -> None:
        """Send for ever. Raises EngineError when the engine is gone."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                await self._engine.send(self._queue[0])
                self._queue.popleft()
            self._emptied.set()

    async def flushed(self) -> None:
        """Wait until the engine has everything."""
        await self._emptied.wait()
