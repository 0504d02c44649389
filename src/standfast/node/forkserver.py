"""The daemon's side of the warm fork server, which runs our own agents without the cost of starting Python each time.

See standfast.wire.agents for what passes between the two.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import DecodeError

from standfast.node.privilege import ordinary_children
from standfast.node.process import Exit, end_group, signal_group
from standfast.wire.agents import (
    PACKET_BYTES_MAX,
    Answer,
    Exited,
    Refused,
    Request,
    RunAgent,
    SignalAgent,
    Started,
    decode_answer,
    encode_request,
)

END_S_MAX = 5.0  # longest wait for the server's own end

logger = logging.getLogger(__name__)


class ServedProcess:
    """One agent that the fork server runs."""

    def __init__(self, server: "ForkServer", number: int, pid_file: str) -> None:
        self._server = server
        self._number = number
        self.pid_file = pid_file
        self.pid: int | None = None
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def signal(self, number: int) -> None:
        """Send a signal to the group, as long as the server has not reaped the agent."""
        if not self.ended.done():
            self._server.signal(self._number, number)


class ForkServer:
    """One server process at a time; a new one is started for the next agent when it is gone."""

    def __init__(self, environment: Sequence[tuple[str, str]], tasks: asyncio.TaskGroup) -> None:
        """`environment` is the server's own; agents get theirs with each run."""
        self._environment = dict(environment)
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._runs: dict[int, ServedProcess] = {}
        self._last_number = 0
        self._unsent: deque[tuple[bytes, list[int]]] = deque()

    def start(self) -> None:
        """Start the server, so that it is warm for the first agent. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with ordinary_children():
                self._process = subprocess.Popen(
                    (sys.executable, "-m", "standfast.agents.server"),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env=self._environment,
                    cwd="/",
                    start_new_session=True,
                )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._loop.add_reader(ours, self._receive)

    def run(
        self,
        agent: str,
        operation: str,
        *,
        environment: Sequence[tuple[str, str]],
        given: int,
        output: int,
        pid_file: str,
    ) -> ServedProcess:
        """Run one agent; the descriptors may be closed afterwards. Raises OSError where no server can be started."""
        if self._socket is None:
            self.start()
        self._last_number += 1
        number = self._last_number
        process = ServedProcess(self, number, pid_file)
        self._runs[number] = process
        request = RunAgent(
            id=number, agent=agent, operation=operation, environment=tuple(environment), pid_file=pid_file
        )
        self._send(request, [given, output, output])
        return process

    def signal(self, number: int, signal_number: int) -> None:
        """Send a signal to the group of a run."""
        self._send(SignalAgent(number, signal_number), [])

    async def close(self) -> None:
        """End the server; agents that run go on."""
        self._hang_up()
        if self._process is not None:
            process, self._process = self._process, None
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, END_S_MAX)

    def _send(self, request: Request, descriptors: list[int]) -> None:
        packet = encode_request(request)
        if len(packet) > PACKET_BYTES_MAX:
            assert isinstance(request, RunAgent)
            text = f"its parameters are longer than {PACKET_BYTES_MAX} bytes; shorten them"
            self._take(Refused(request.id, text))
            return
        self._unsent.append((packet, [os.dup(descriptor) for descriptor in descriptors]))
        self._flush()

    def _flush(self) -> None:
        """Send what the server takes; the rest when it reads again."""
        if self._socket is None:
            return
        while self._unsent:
            packet, descriptors = self._unsent[0]
            try:
                socket.send_fds(self._socket, [packet], descriptors)
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._flush)
                return
            except ConnectionError:  # the next read sees the end
                break
            self._unsent.popleft()
            _close_all(descriptors)
        self._loop.remove_writer(self._socket)

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            packet = self._socket.recv(PACKET_BYTES_MAX)
            answer = decode_answer(packet) if packet else None
        except BlockingIOError:
            return
        except (ConnectionError, DecodeError) as failure:
            logger.error("agents.server-lost", extra={"reason": str(failure)})
            answer = None
        if answer is None:
            self._lost()
        else:
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        process = self._runs.get(answer.id)
        if process is None:
            return
        match answer:
            case Started(pid=pid):
                process.pid = pid
            case Exited(status=status):
                del self._runs[answer.id]
                process.ended.set_result(Exit(status=status))
            case Refused(text=text):
                del self._runs[answer.id]
                process.ended.set_result(Exit(status=1, text=text))

    def _lost(self) -> None:
        """The server is gone: nobody can tell any more how its agents end, so they are ended, and have failed."""
        logger.error("agents.server-died", extra={"agents": len(self._runs)})
        self._hang_up()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        lost, self._runs = self._runs, {}
        for process in lost.values():
            self._tasks.create_task(_end_lost(process))

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        for _, descriptors in self._unsent:
            _close_all(descriptors)
        self._unsent.clear()


async def _end_lost(process: ServedProcess) -> None:
    pid = process.pid if process.pid is not None else _noted_pid(process.pid_file)
    if pid is not None:
        signal_group(pid, signal.SIGKILL)
        await end_group(pid)
    Path(process.pid_file).unlink(missing_ok=True)
    process.ended.set_result(Exit(status=None, text="the agents' server died"))


def _noted_pid(pid_file: str) -> int | None:
    """Return the pid of an agent whose start was not told any more."""
    try:
        return int(Path(pid_file).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
