"""The daemon's side of the warm fork server, for tests: a real server process at the other end of a real socket."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from standfast.wire.agents import (
    PACKET_BYTES_MAX,
    Answer,
    Exited,
    Refused,
    RunAgent,
    Started,
    decode_answer,
    encode_request,
)

ANSWER_S_MAX = 20


class ForkServer:
    """One server and what it answered."""

    def __init__(self, enter: Sequence[str] = ()) -> None:
        self._running: dict[int, int] = {}  # pid by run
        self.daemon, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.daemon.settimeout(ANSWER_S_MAX)
        self.process = subprocess.Popen(
            [*enter, sys.executable, "-m", "standfast.agents.server"],
            stdin=theirs.fileno(),
            stderr=subprocess.PIPE,
            text=True,
        )
        theirs.close()

    def send(self, request: RunAgent, *, given: bytes = b"") -> int:
        """Send a run with `given` as its standard input; returns where its output can be read."""
        stdin, feed = os.pipe()
        os.write(feed, given)
        os.close(feed)
        output, stdout = os.pipe()
        socket.send_fds(self.daemon, [encode_request(request)], [stdin, stdout, stdout])
        os.close(stdin)
        os.close(stdout)
        return output

    def answer(self) -> Answer:
        """Wait for the next answer."""
        answer = decode_answer(self.daemon.recv(PACKET_BYTES_MAX))
        match answer:
            case Started(id=id_, pid=pid):
                self._running[id_] = pid
            case Exited(id=id_):
                self._running.pop(id_)
            case Refused():
                pass
        return answer

    def close(self) -> None:
        """End the server, and the agents that a failed test left running."""
        self.daemon.close()
        self.process.wait(ANSWER_S_MAX)
        for pid in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def run(self, request: RunAgent, *, given: bytes = b"") -> tuple[Started, Exited, str]:
        """Run one agent to its end; returns its output, too."""
        output = self.send(request, given=given)
        started, exited = self.answer(), self.answer()
        assert isinstance(started, Started)
        assert isinstance(exited, Exited)
        with os.fdopen(output) as text:
            return started, exited, text.read()

    def refusal(self, request: RunAgent) -> str:
        """Send a run that must be refused; returns why."""
        os.close(self.send(request))
        refused = self.answer()
        assert isinstance(refused, Refused)
        return refused.text


@contextmanager
def fork_server() -> Iterator[ForkServer]:
    """Start a server; it ends with the block."""
    server = ForkServer()
    with server.process:
        try:
            yield server
        finally:
            server.close()


def environment(prefix: Path, **parameters: str) -> tuple[tuple[str, str], ...]:
    """Return what the daemon gives an agent."""
    given: Mapping[str, str] = {f"OCF_RESKEY_{key}": value for key, value in parameters.items()}
    return (*given.items(), ("STANDFAST_PREFIX", str(prefix)), ("PATH", "/usr/bin:/bin"))
