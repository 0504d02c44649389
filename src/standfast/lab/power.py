"""The lab's power controller: switches machines off and on for whoever asks on its socket, one request at a time.

A line `ACTION NODE` (off, on, reboot, status; or `list` alone) is answered by one line: `ok on`, `ok off`, `ok a,b,c` or
`error TEXT`. A request whose client has gone before its turn is dropped: the client may be the node that was just
switched off, and a dead node's wishes must not be fulfilled.
"""

import asyncio
import select
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from msgspec import Struct

from standfast.errors import StandfastError
from standfast.lab import channel

REQUEST_S_MAX = 5.0  # longest time between a connection and its line
_LINE_BYTES_MAX = 1024


class Outlet(Struct, frozen=True, kw_only=True):
    """One power outlet: what can be done to one machine. Each may raise StandfastError."""

    switch_off: Callable[[], Awaitable[None]]
    switch_on: Callable[[], Awaitable[None]]
    is_on: Callable[[], bool]


class PowerController:
    """The outlets behind one Unix socket."""

    def __init__(self, outlets: Mapping[str, Outlet], note: Callable[[str], None]) -> None:
        self._outlets = outlets
        self._note = note
        self._turn = asyncio.Lock()

    async def serve(self, path: Path) -> None:
        """Take requests at the path, until cancelled."""
        channel.check_path(path)
        server = await asyncio.start_unix_server(self._attend, path, limit=_LINE_BYTES_MAX)
        async with server:
            await server.serve_forever()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_S_MAX):
                line = (await reader.readline()).decode(errors="replace")
            async with self._turn:
                if not _is_gone(writer.get_extra_info("socket")):
                    writer.write(f"{await self._answer(line.split())}\n".encode())
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            return
        finally:
            writer.close()

    async def _answer(self, words: list[str]) -> str:
        if words == ["list"]:
            return f"ok {','.join(self._outlets)}"
        if len(words) != 2 or words[0] not in ("off", "on", "reboot", "status"):
            return "error not understood; ask off, on, reboot or status and a node, or list"
        action, node = words
        outlet = self._outlets.get(node)
        if outlet is None:
            return f'error there is no node "{node}"; there are {", ".join(self._outlets)}'
        try:
            await self._act(outlet, action, node)
        except StandfastError as failure:
            return f"error {' '.join(str(failure).split())}"
        return "ok on" if outlet.is_on() else "ok off"

    async def _act(self, outlet: Outlet, action: str, node: str) -> None:
        if action in ("off", "reboot"):
            self._note(f"switches {node} off")
            await outlet.switch_off()
        if action in ("on", "reboot"):
            self._note(f"switches {node} on")
            await outlet.switch_on()


def _is_gone(connection: socket.socket) -> bool:
    """Whether the other side has closed the connection for good."""
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), 0)  # a hang-up is always reported
    return bool(poll.poll(0))
