"""The control socket: one call a line from any local program, one answer a line back.

A client that is slow, broken, silent or greedy costs itself its connection, and nobody else anything.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import DecodeError, Struct, json

from standfast.errors import RefusedError
from standfast.node.peers import may_act, operators_gid, peer_of
from standfast.wire.control import (
    LINE_BYTES_MAX,
    PROTOCOL_VERSION,
    Answer,
    Call,
    Failure,
    Progress,
    decode_call,
    encode_answer,
)

CLIENTS_MAX = 256  # connections at once
LOOKERS_MAX = 192  # of these, by users who may only look
LOOKER_LINE_BYTES_MAX = 64 * 1024  # longest line of one of them
SILENCE_S_MAX = 30.0  # longest wait for a client that has begun no call, or does not take its answer
BACKLOG = 512  # connections that wait to be accepted; the system may allow less
_MODE = 0o666  # anybody may ask; what is done about it depends on who it is

logger = logging.getLogger(__name__)


class Reply(Protocol):
    """Takes the answer to one call; Progress may come before it."""

    def __call__(self, answer: Answer) -> None:
        """Send it to the client, if it is still there."""
        ...


TakeCall = Callable[[Call, bool, Reply], None]
"""Act on one call; the flag says whether the client may do more than look."""


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at the path; one that an earlier daemon left is replaced. Raises RefusedError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.unlink(missing_ok=True)
        listener.bind(str(beside))
        beside.chmod(_MODE)
        listener.listen(BACKLOG)
        beside.rename(path)
    except OSError as failure:
        listener.close()
        raise RefusedError(
            f"{path}: the control socket cannot be made: {failure.strerror or failure}; "
            "it needs a folder that can be written, with a path of less than 100 bytes",
            code="control-socket",
        ) from failure
    return listener


class ControlServer:
    """Serves the control socket."""

    def __init__(self, path: Path, listener: socket.socket, take_call: TakeCall) -> None:
        self._path = path
        self._listener = listener
        self._take_call = take_call
        self._gid = operators_gid()
        self._server: asyncio.Server | None = None
        self._clients: set[Client] = set()

    async def start(self) -> None:
        """Begin to serve."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._accept, sock=self._listener, backlog=BACKLOG)

    async def close(self, grace_s: float) -> None:
        """Stop listening, remove the socket, and give the clients a moment to take their answers."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        deadline = asyncio.get_running_loop().time() + grace_s
        while any(client.has_unsent for client in self._clients):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.005)
        for client in tuple(self._clients):
            client.hang_up()

    def _accept(self) -> "Client":
        return Client(self)

    def admit(self, client: "Client") -> str:
        """Count a client in; returns why it cannot be served, "" where it can."""
        mine = sum(not other.is_operator for other in self._clients)
        if len(self._clients) >= CLIENTS_MAX or (not client.is_operator and mine >= LOOKERS_MAX):
            return "too many clients are connected; try again when some have gone"
        self._clients.add(client)
        return ""

    def dismiss(self, client: "Client") -> None:
        """Count a client out."""
        self._clients.discard(client)

    def take_call(self, call: Call, client: "Client") -> None:
        """Act on a client's call."""
        self._take_call(call, client.is_operator, client.reply)

    @property
    def clients(self) -> int:
        """How many connections are open."""
        return len(self._clients)

    @property
    def operators_gid(self) -> int | None:
        """The group whose members may act."""
        return self._gid


class _Version(Struct, frozen=True):
    v: int


class Client(asyncio.Protocol):
    """One connection: calls one after the other, each answered before the next is read."""

    def __init__(self, server: ControlServer) -> None:
        self.is_operator = False
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._is_busy = False  # a call waits for its answer
        self._is_stuffed = False  # the client does not take what it is sent
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_unsent(self) -> bool:
        """Whether something is still on its way to the client."""
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    # typing.override, which these would carry, comes with Python 3.12.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # type: ignore[explicit-override]
        """Called by the event loop."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        try:
            peer = peer_of(transport.get_extra_info("socket"))
        except OSError as failure:
            logger.warning("control.unknown-peer", extra={"reason": failure.strerror})
            transport.abort()
            return
        self.is_operator = may_act(peer, self._server.operators_gid)
        if refusal := self._server.admit(self):
            self._refuse(Failure(code="daemon-busy", text=refusal))
            return
        self._expect()

    def data_received(self, data: bytes) -> None:  # type: ignore[explicit-override]
        """Called by the event loop."""
        self._buffer += data
        self._go_on()

    def eof_received(self) -> bool:  # type: ignore[explicit-override]
        """Called by the event loop: a client that only stopped sending still gets its answer."""
        return self._is_busy

    def pause_writing(self) -> None:  # type: ignore[explicit-override]
        """Called by the event loop."""
        self._is_stuffed = True
        self._expect()

    def resume_writing(self) -> None:  # type: ignore[explicit-override]
        """Called by the event loop."""
        self._is_stuffed = False
        self._go_on()

    def connection_lost(self, _exc: Exception | None) -> None:  # type: ignore[explicit-override]
        """Called by the event loop."""
        self._transport = None
        self._server.dismiss(self)
        self._stop_timer()

    def reply(self, answer: Answer) -> None:
        """Send an answer; the next call is read after one that is not Progress."""
        if self._transport is None:
            return
        self._transport.write(encode_answer(answer))
        if not isinstance(answer, Progress):
            self._is_busy = False
            self._expect()
            self._loop.call_soon(self._go_on)

    def hang_up(self) -> None:
        """Break off."""
        if self._transport is not None:
            self._transport.abort()

    def _go_on(self) -> None:
        """Take the next call if there is one, and read on only when it could be taken."""
        if self._transport is None or self._transport.is_closing():
            return
        if not self._is_busy and not self._is_stuffed:
            end = self._buffer.find(b"\n")
            longest = LINE_BYTES_MAX if self.is_operator else LOOKER_LINE_BYTES_MAX
            if max(end, len(self._buffer) if end < 0 else 0) > longest:
                text = f"the call is longer than {longest} bytes; send less"
                self._refuse(Failure(code="call-too-long", text=text))
                return
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                self._take(line)
        if self._is_busy or self._is_stuffed:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _take(self, line: bytes) -> None:
        try:
            version = json.decode(line, type=_Version).v
            call = decode_call(line) if version == PROTOCOL_VERSION else None
        except DecodeError as failure:  # ValidationError is one
            self._refuse(Failure(code="call-unreadable", text=f"the call cannot be read: {failure}"))
            return
        if call is None:
            text = f"the call is of protocol version {version}, the daemon speaks {PROTOCOL_VERSION}; "
            self._refuse(Failure(code="not-our-protocol", text=f"{text}use the commands of its release"))
            return
        self._is_busy = True
        self._stop_timer()
        self._server.take_call(call, self)

    def _refuse(self, failure: Failure) -> None:
        """Say why, and hang up."""
        assert self._transport is not None
        self._transport.write(encode_answer(failure))
        self._transport.close()
        self._expect()

    def _expect(self) -> None:
        """The client has to do something now, within a certain time."""
        self._stop_timer()
        self._timer = self._loop.call_later(SILENCE_S_MAX, self.hang_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
