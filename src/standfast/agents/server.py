"""The warm fork server: it runs our own agents without the cost of starting Python for each of them.

The daemon starts it with a socket as standard input; `standfast.wire.agents` says what passes over it. Each run is a
forked child. The server holds no state that matters: when it or the daemon dies, running agents go on, and the next
daemon finds them by their pid files.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
import stat
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TextIO, cast

from msgspec import DecodeError, Struct

from standfast.agents import fence_lab, fence_manual, ip, script, service
from standfast.agents.contract import Exit, Main, say, shielded
from standfast.agents.fence_api import FenceMain, Streams
from standfast.wire.agents import (
    DESCRIPTORS,
    PACKET_BYTES_MAX,
    RUNS_MAX,
    Answer,
    Exited,
    Refused,
    RunAgent,
    SignalAgent,
    Started,
    decode_request,
    encode_answer,
)

_RESOURCE_AGENTS: dict[str, Main] = {"ip": ip.main, "script": script.main, "service": service.main}
_FENCE_AGENTS: dict[str, FenceMain] = {"fence_lab": fence_lab.main, "fence_manual": fence_manual.main}
_KEPT_SIGNALS = {
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGPIPE,
    signal.SIGXFSZ,
}  # Python ignores the last two
_SERVER_SIGNALS = (
    signal.SIGCHLD,
    signal.SIGINT,
    signal.SIGHUP,
)  # what the server handles and a child must not


class _Run(Struct, frozen=True):
    """One agent that has not been reaped."""

    id: int
    pid_file: str


class _ProtocolError(Exception):
    """The daemon sent what is no request: the two are of different versions."""


class _Server:
    """The loop: requests in, children out, answers back."""

    def __init__(self, daemon: socket.socket) -> None:
        self._daemon = daemon
        self._runs: dict[int, _Run] = {}  # by pid
        self._answers: deque[bytes] = deque()
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wakeup_source = socket.socketpair()
        for end in (self._daemon, self._wakeup, self._wakeup_source):
            end.setblocking(False)
        self._selector.register(self._daemon, selectors.EVENT_READ)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._wakeup_source.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake)

    def serve(self) -> None:
        """Serve until the daemon closes its end."""
        while True:
            for key, events in self._selector.select():
                if key.fileobj is self._wakeup:
                    self._reap()
                    continue
                if events & selectors.EVENT_READ and not self._receive():
                    return
                if events & selectors.EVENT_WRITE:
                    self._flush()

    def _receive(self) -> bool:
        """Take one packet; False when the daemon has closed its end."""
        try:
            packet, descriptors, flags, _peer = socket.recv_fds(
                self._daemon, PACKET_BYTES_MAX, DESCRIPTORS + 1, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        try:
            if not packet:
                return False
            if flags & socket.MSG_TRUNC:
                raise _ProtocolError(f"a request is longer than {PACKET_BYTES_MAX} bytes")
            try:
                request = decode_request(packet)
            except DecodeError as error:  # ValidationError is one
                raise _ProtocolError(f"a request cannot be read: {error}") from None
            match request:
                case RunAgent():
                    self._answer(self._begin(request, descriptors))
                case SignalAgent(id=id, signal=number):
                    self._signal(id, number)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _begin(self, request: RunAgent, descriptors: list[int]) -> Answer:
        if len(descriptors) != DESCRIPTORS:
            return Refused(
                request.id, f"the request came with {len(descriptors)} descriptors, not {DESCRIPTORS}"
            )
        call = _agent_call(request)
        if call is None:
            return Refused(
                request.id, f'"{request.agent}" is not an agent of this server; run its program instead'
            )
        if len(self._runs) >= RUNS_MAX:
            return Refused(request.id, f"{RUNS_MAX} agents run already; try again when one has ended")
        if any(run.id == request.id for run in self._runs.values()):
            return Refused(request.id, f"run {request.id} has not ended yet")
        try:
            pid = os.fork()
        except OSError as error:
            return Refused(request.id, f"cannot make a process: {error.strerror}")
        if pid == 0:
            _become_agent(request, call, descriptors)
        self._runs[pid] = _Run(request.id, request.pid_file)
        return Started(request.id, pid)

    def _signal(self, id_: int, number: int) -> None:
        if number not in signal.valid_signals():
            raise _ProtocolError(f"{number} is no signal")
        for pid, run in self._runs.items():
            if run.id == id_:
                try:
                    os.killpg(pid, number)
                except ProcessLookupError:  # forked a moment ago, not a group of its own yet
                    os.kill(pid, number)
                return

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)
        while self._runs:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            run = self._runs.pop(pid, None)
            if run is None:
                continue
            if run.pid_file:
                with contextlib.suppress(OSError):
                    Path(run.pid_file).unlink()
            code = os.waitstatus_to_exitcode(status)
            self._answer(Exited(id=run.id, signal=-code) if code < 0 else Exited(id=run.id, status=code))

    def _answer(self, answer: Answer) -> None:
        self._answers.append(encode_answer(answer))
        self._flush()

    def _flush(self) -> None:
        """Send what the daemon takes; the rest waits until it reads."""
        events = selectors.EVENT_READ
        while self._answers:
            try:
                self._daemon.send(self._answers[0])
            except BlockingIOError:
                events |= selectors.EVENT_WRITE
                break
            except ConnectionError:  # the next read sees the end
                self._answers.clear()
                break
            self._answers.popleft()
        self._selector.modify(self._daemon, events)


def _wake(_number: int, _frame: object) -> None:
    """Take SIGCHLD, so that it writes to the wakeup socket."""


def _agent_call(request: RunAgent) -> Callable[[], int] | None:
    """Return what a child has to run; None for an agent that is not ours."""
    main = _RESOURCE_AGENTS.get(request.agent)
    if main is not None:
        return lambda: main(request.operation, dict(request.environment), sys.stdout)
    fence = _FENCE_AGENTS.get(request.agent)
    if fence is not None:
        argv = ("-o", request.operation) if request.operation else ()
        return lambda: fence(argv, Streams(sys.stdin, sys.stdout, sys.stderr))
    return None


def _become_agent(request: RunAgent, call: Callable[[], int], descriptors: list[int]) -> NoReturn:
    """Leave everything of the server behind, run the agent, and end this process."""
    status: int = Exit.GENERIC
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in _SERVER_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        os.closerange(DESCRIPTORS, os.sysconf("SC_OPEN_MAX"))
        sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")
        status = shielded(lambda: _run(request, call))
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
    finally:
        os._exit(status & 0xFF)


def _run(request: RunAgent, call: Callable[[], int]) -> int:
    os.chdir("/")
    os.umask(0o022)
    os.environ.clear()
    os.environ.update(request.environment)
    if request.pid_file:
        try:
            _write_pid_file(Path(request.pid_file))
        except OSError as error:
            say(
                sys.stderr,
                f"{request.pid_file}: cannot note the agent's pid: {error.strerror}; free space there",
            )
            return Exit.GENERIC
    return call()


def _write_pid_file(path: Path) -> None:
    """Write this process's pid and start time, whole or not at all."""
    after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_text(f"{os.getpid()} {after_name[19]}\n")  # field 22, counted from the state, field 3
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _stream(descriptor: int, mode: str) -> TextIO:
    """Return a new text stream on one of the descriptors 0, 1 and 2."""
    return cast(TextIO, open(descriptor, mode, encoding="utf-8", errors="replace", closefd=False))


def run() -> None:
    """Serve on the socket that is this program's standard input; end when the daemon closes the other end."""
    if not stat.S_ISSOCK(os.fstat(0).st_mode):
        say(sys.stderr, "standard input is no socket; this program is started by standfastd, not by hand")
        sys.exit(Exit.ARGUMENT)
    for number in signal.valid_signals() - _KEPT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (
        signal.SIGINT,
        signal.SIGHUP,
    ):  # meant for the daemon, which ends this server by closing its end
        signal.signal(number, signal.SIG_IGN)
    # What is alive now is shared by all children: keep the collector from touching, and so copying, it.
    gc.collect()
    gc.freeze()
    try:
        _Server(socket.socket(fileno=0)).serve()
    except _ProtocolError as error:
        say(sys.stderr, f"{error}; restart standfastd, so that both are of the same version")
        sys.exit(Exit.GENERIC)


if __name__ == "__main__":
    run()
