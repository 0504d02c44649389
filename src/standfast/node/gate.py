"""The gate in front of every agent of a service: closed while the node does not know what it missed."""

import asyncio
from collections.abc import Callable


class Gate:
    """Open or closed; agents that are at work are not touched."""

    def __init__(self, look: Callable[[], None]) -> None:
        """`look` notices a standstill of the daemon, and may close the gate."""
        self._look = look
        self._opened: asyncio.Future[None] | None = None

    def open(self) -> None:
        """Let those that wait go on."""
        if self._opened is not None:
            self._opened.set_result(None)
            self._opened = None

    def close(self) -> None:
        """Let nobody pass until `open`."""
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()

    async def passed(self, give_up: asyncio.Future[None]) -> bool:
        """Wait until the gate is open; False as soon as `give_up` is done. The agent is to be started without any wait."""
        self._look()
        while self._opened is not None and not give_up.done():
            await asyncio.wait((self._opened, give_up), return_when=asyncio.FIRST_COMPLETED)
            self._look()
        return not give_up.done()
