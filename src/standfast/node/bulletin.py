"""What a node that was away has to know before it starts corosync: who the nodes of the cluster are by now.

A corosync with an old list of nodes does not hear those that were added, while others hear both; no ring holds them all,
and nodes that worked are lost. So each daemon tells its corosync.conf, which has no secret in it, to whoever has the
cluster's key. Source: spec membership, section 16.7; docs/decisions/0015.
"""

import asyncio
import hmac
import os
import re
import socket
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from msgspec import DecodeError, Struct, ValidationError, json

from standfast.conf.model import Cluster
from standfast.conf.ports import link_ports
from standfast.errors import RefusedError, StandfastError
from standfast.node.corosync_process import key_file, resolve_addresses
from standfast.node.journal import Journal
from standfast.terms import NodeId

VERSION = 1
LINE_BYTES_MAX = 1024 * 1024  # longest line in either direction
ASK_BYTES_MAX = 1024
CALL_S_MAX = 5.0  # longest time that a caller may take
CALLERS_MAX = 32  # at once
ASK_S_MAX = 2.0  # longest wait for all nodes that are asked
_NONCE_BYTES = 16
_HEADER = re.compile(r"# Written by Standfast from version (\d{1,12}) of cluster\.conf")
_SYSTEM = re.compile(r"^system \{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
_NODE = re.compile(r"^ +node \{\n(.*?)^ +\}\n", re.MULTILINE | re.DOTALL)


class Bulletin(Struct, frozen=True, kw_only=True):
    """A corosync.conf and the version of cluster.conf that it was made from; `teller` is the node that told it."""

    teller: str
    version: int
    text: str


class _Ask(Struct, frozen=True, kw_only=True):
    v: int
    cluster: str
    nonce: str
    mac: str


class _Told(Struct, frozen=True, kw_only=True):
    v: int
    text: str
    mac: str


class Teller:
    """Tells this node's corosync.conf over TCP."""

    def __init__(self, conf: Path, key: Path, cluster: str) -> None:
        self._conf = conf
        self._key = key
        self._cluster = cluster
        self._server: asyncio.Server | None = None
        self._callers = 0

    async def listen(self, address: str, port: int) -> None:
        """Begin to tell. Raises OSError."""
        self._server = await asyncio.start_server(
            self._serve, address, port, limit=ASK_BYTES_MAX, reuse_address=True
        )

    def close(self) -> None:
        """Tell nobody any more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._callers >= CALLERS_MAX:
            writer.transport.abort()
            return
        self._callers += 1
        try:
            async with asyncio.timeout(CALL_S_MAX):
                answer = await asyncio.to_thread(self._answer, await reader.readline())
                if answer:
                    writer.write(answer)
                    await writer.drain()
        except (TimeoutError, ValueError, OSError):
            writer.transport.abort()  # whoever it is, it is none of ours, or does not listen
        finally:
            self._callers -= 1
            writer.close()

    def _answer(self, line: bytes) -> bytes:
        """Return the answer, nothing for a stranger. Raises OSError."""
        try:
            ask = json.decode(line, type=_Ask)
        except (DecodeError, ValidationError):
            return b""
        secret = _secret(self._key)
        known = ask.v == VERSION and ask.cluster == self._cluster
        if not known or not hmac.compare_digest(
            ask.mac.encode(), _mac(secret, "ask", ask.nonce, ask.cluster).encode()
        ):
            return b""
        text = self._conf.read_text(encoding="utf-8")
        mac = _mac(secret, "told", ask.nonce, text)
        return json.encode(_Told(v=VERSION, text=text, mac=mac)) + b"\n"


async def tell_nodes(
    conf: Path, cluster_conf: Path, cluster: Cluster, nodeid: NodeId, journal: Journal
) -> None:
    """Tell this node's corosync.conf at its address, until cancelled; where that is not possible, say so and end."""
    try:
        addresses = await asyncio.to_thread(resolve_addresses, cluster, str(cluster_conf))
        teller = Teller(conf, key_file(cluster), cluster.name)
        await teller.listen(addresses[nodeid][0], link_ports(cluster)[0])
    except (StandfastError, OSError) as failure:
        text = f"nodes that were away cannot ask this one for the list of nodes: {failure}"
        journal.add("bulletin.not-told", str(nodeid), text)
        return
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        teller.close()


def newest(
    peers: Collection[tuple[str, str]], port: int, cluster: str, key: Path, limit_s: float = ASK_S_MAX
) -> Bulletin | None:
    """Return the newest corosync.conf that any of these nodes tells, None where none tells one in time.

    `peers` are names and addresses. Raises OSError when the key cannot be read.
    """
    secret = _secret(key)
    heard: list[Bulletin] = []
    deadline = time.monotonic() + limit_s

    def ask(name: str, address: str) -> None:
        with suppress(OSError, DecodeError, ValidationError):
            text = _ask((address, port), cluster, secret, deadline)
            version = version_of(text)
            if version is not None:
                heard.append(Bulletin(teller=name, version=version, text=text))

    threads = [threading.Thread(target=ask, args=peer, daemon=True) for peer in peers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return max(heard, key=lambda bulletin: (bulletin.version, bulletin.teller), default=None)


def version_of(text: str) -> int | None:
    """Return the version of cluster.conf that a corosync.conf was made from; None where it is not ours."""
    found = _HEADER.match(text)
    return None if found is None else int(found[1])


def adopt(bulletin: Bulletin, own: str, nodeid: int, name: str) -> str:
    """Return the corosync.conf for this node: what was told, with the part that depends on this machine from its own.

    Raises RefusedError where this node is not in it.
    """
    nodes = [(_value(block, "nodeid"), _value(block, "name")) for block in _NODE.findall(bulletin.text)]
    if (str(nodeid), name) not in nodes:
        raise RefusedError(
            f"{name} with node id {nodeid} is not in version {bulletin.version} of cluster.conf, by which "
            f"{bulletin.teller} runs; it was removed: add it there with ccs_tool addnode and ccs_tool update, or leave "
            f"it off",
            code="node-removed",
        )
    system = _SYSTEM.search(own)
    return _SYSTEM.sub("", bulletin.text) + (system[0] if system else "")


def _ask(where: tuple[str, int], cluster: str, secret: bytes, deadline: float) -> str:
    """Return what a node tells, "" where it tells nothing that can be trusted. Raises OSError and msgspec's errors."""
    nonce = os.urandom(_NONCE_BYTES).hex()
    ask = _Ask(v=VERSION, cluster=cluster, nonce=nonce, mac=_mac(secret, "ask", nonce, cluster))
    with socket.create_connection(where, timeout=max(0.01, deadline - time.monotonic())) as connection:
        connection.sendall(json.encode(ask) + b"\n")
        line = bytearray()
        while not line.endswith(b"\n"):
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            chunk = connection.recv(65536)
            if not chunk or len(line) > LINE_BYTES_MAX:
                return ""
            line += chunk
    told = json.decode(bytes(line), type=_Told)
    is_true = hmac.compare_digest(told.mac.encode(), _mac(secret, "told", nonce, told.text).encode())
    return told.text if is_true else ""


def _secret(key: Path) -> bytes:
    """Return what both sides know; not the key itself, which is corosync's."""
    return hmac.digest(key.read_bytes(), b"standfast bulletin 1", "sha256")


def _mac(secret: bytes, word: str, nonce: str, text: str) -> str:
    return hmac.digest(secret, f"{word}\0{nonce}\0{text}".encode(), "sha256").hex()


def _value(block: str, name: str) -> str:
    found = re.search(rf"^ +{name}: (.*)$", block, re.MULTILINE)
    return found[1] if found else ""
