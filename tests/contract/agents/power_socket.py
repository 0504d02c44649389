"""A small power controller on a real Unix socket, which can be slow, lie, hang up or stay silent."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread


class PowerSocket:
    """The controller: what is on, what it was asked, and how it answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.power = {"vapp1": "on", "vapp2": "on"}
        self.asked: list[str] = []
        self.answer: Callable[[str, str], str | None] = self.obey  # None: hang up without an answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def obey(self, action: str, node: str) -> str | None:
        """Do what is asked, at once."""
        if action == "list":
            return "ok " + ",".join(sorted(self.power))
        if node not in self.power:
            return f'error there is no node "{node}" in this lab'
        if action in {"on", "off"}:
            self.power[node] = action
        return f"ok {self.power[node]}"

    def serve(self) -> None:
        """Serve one connection after the other, one request each."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            # A client that was killed while it waited is no reason to stop serving the others.
            with suppress(OSError), connection, connection.makefile("rw") as lines:
                request = lines.readline().rstrip("\n")
                self.asked.append(request)
                action, _, node = request.partition(" ")
                answer = self.answer(action, node)
                if answer is not None:
                    lines.write(answer + "\n")

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def power_socket(path: Path) -> Iterator[PowerSocket]:
    """Run a power controller for the length of the block."""
    controller = PowerSocket(path)
    thread = Thread(target=controller.serve)
    thread.start()
    try:
        yield controller
    finally:
        controller.close()
        thread.join(10)
