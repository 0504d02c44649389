"""The web server of a lab's machine: small, real, and started in a millisecond by the machine's first process.

Serves the files of one folder by HTTP/1.0 to many clients at once. /etc/init.d/httpd starts and stops it.
"""

import os
import signal
import socket
import threading
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

INIT_SCRIPT = r"""#!/bin/sh
### BEGIN INIT INFO
# Provides:          httpd
# Required-Start:    $network
# Required-Stop:     $network
# Default-Start:
# Default-Stop:
# Short-Description: the web server of this machine
### END INIT INFO

RUN=$STANDFAST_PREFIX/run/httpd

ask() {
    reply=$RUN/reply.$$
    trap 'rm -f "$reply"' EXIT
    mkfifo "$reply" || exit 1
    echo "$1 reply.$$" >"$RUN/call" || exit 1
    read -r status text <"$reply"
    [ -z "$text" ] || echo "httpd: $text"
    exit "${status:-1}"
}

case "$1" in
    start|stop|status) ask "$1" ;;
    restart|force-reload) "$0" stop && exec "$0" start ;;
    *) echo "usage: $0 start|stop|status|restart"; exit 2 ;;
esac
"""
"""LSB exit codes: 0 done or running, 1 failed (status: dead, pid file left), 2 usage, 3 not running."""

REQUEST_BYTES_MAX = 8192
CLIENT_S_MAX = 5.0  # longest time that a client may take to ask or to take the answer
CLIENTS_MAX = 64  # connections served at once; the next waits


def open_listener(address: str, port: int) -> socket.socket:
    """Return a listening socket; "" is every address of the machine. Raises OSError."""
    if address or not socket.has_dualstack_ipv6():
        return socket.create_server((address, port), backlog=256)
    return socket.create_server(("", port), family=socket.AF_INET6, backlog=256, dualstack_ipv6=True)


def serve(listener: socket.socket, documents: Path) -> NoReturn:
    """Answer clients until SIGTERM; for a process that is nothing but this server."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))
    places = threading.BoundedSemaphore(CLIENTS_MAX)

    def attend(client: socket.socket) -> None:
        try:
            with client:
                _answer(client, documents)
        finally:
            places.release()

    while True:
        places.acquire()
        client, _ = listener.accept()
        threading.Thread(target=attend, args=(client,), daemon=True).start()


def _answer(client: socket.socket, documents: Path) -> None:
    client.settimeout(CLIENT_S_MAX)
    try:
        head = _read_head(client)
        client.sendall(_response(head, documents))
        client.shutdown(socket.SHUT_WR)
        client.recv(1)  # the client closes first, so that no reset overtakes the answer
    except OSError:
        return


def _read_head(client: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head and len(head) < REQUEST_BYTES_MAX:
        more = client.recv(REQUEST_BYTES_MAX)
        if not more:
            break
        head += more
    return head


def _response(head: bytes, documents: Path) -> bytes:
    words = head.split(b"\n", 1)[0].decode("latin-1").split()
    if len(words) not in (2, 3) or not words[1].startswith("/"):
        return _message("400 Bad Request", b"this is not HTTP\n")
    if words[0] not in ("GET", "HEAD"):
        return _message("501 Not Implemented", b"only GET and HEAD are served here\n")
    wanted = (documents / unquote(urlsplit(words[1]).path).lstrip("/")).resolve()
    if wanted.is_dir():
        wanted /= "index.html"
    if not wanted.is_relative_to(documents.resolve()):
        return _message("404 Not Found", b"there is no such page\n")
    try:
        body = wanted.read_bytes()
    except OSError:
        return _message("404 Not Found", b"there is no such page\n")
    message = _message("200 OK", body)
    return message if words[0] == "GET" else message[: len(message) - len(body)]


def _message(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.0 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
