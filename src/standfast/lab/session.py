"""One command on a lab's machine, seen from outside: its end, its signals, and its terminal."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import IO, Protocol

from standfast.errors import StandfastError
from standfast.lab import calls, channel

LOST_POWER = 137  # the status of a command whose machine died: as if by SIGKILL
_COPY_BYTES = 65536
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class MachineLostError(StandfastError):
    """The machine died while the command ran."""


class Remote:
    """A command that was started on a machine."""

    def __init__(self, machine: str, report: socket.socket) -> None:
        self._machine = machine
        self._report = report
        self._status: int | None = None

    def wait(self, timeout_s: float | None = None) -> int:
        """Return the command's exit status, negative for a signal.

        Raises TimeoutError, StandfastError when the command could not be started, MachineLostError when its machine died.
        """
        while self._status is None:
            readable, _, _ = select.select([self._report], [], [], timeout_s)
            if not readable:
                raise TimeoutError
            self.hear()
        return self._status

    def hear(self) -> bool:
        """Take one report of the machine, waiting for it; returns whether the command has ended. Raises as `wait`."""
        data = self._receive()
        if not data:
            raise MachineLostError(f"{self._machine} died while the command ran", code="lab-machine-lost")
        match calls.decode_report(data):
            case calls.Began():
                return False
            case calls.Ended(status):
                self._status = status
                self._report.close()
                return True
            case calls.NotBegun(status, text):
                self._report.close()
                raise NotBegunError(f"{self._machine}: {text}", status)

    def signal(self, number: int) -> None:
        """Send a signal to the command and its children of the same process group."""
        if self._status is None:
            with contextlib.suppress(OSError):
                channel.send(self._report, calls.Signal(number))

    def close(self) -> None:
        """Hang up: a command that still runs gets SIGHUP."""
        self._report.close()

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is news."""
        return self._report.fileno()

    def _receive(self) -> bytes:
        try:
            data, _ = channel.receive(self._report)
        except ConnectionError:
            return b""
        return data


class NotBegunError(StandfastError):
    """The command could not be started; `status` is what a shell would return, 126 or 127."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text, code="lab-no-command")
        self.status = status


class Start(Protocol):
    """Starts a command on a machine; cluster.Node.start."""

    def __call__(
        self,
        arguments: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        environment: Mapping[str, str] | None = None,
        directory: str | None = None,
        terminal: bool = False,
    ) -> Remote:
        """Start it on the given descriptors."""
        ...


def run(
    start: Start,
    arguments: Sequence[str],
    *,
    text: str | None,
    timeout_s: float | None,
    environment: Mapping[str, str] | None,
    check: bool,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with the given text as its input, and return what it wrote; as subprocess.run."""
    with contextlib.ExitStack() as files:
        stdin = files.enter_context(_input(text))
        collectors = [_Collector(), _Collector()]
        try:
            remote = start(
                arguments,
                stdin=stdin.fileno(),
                stdout=collectors[0].writable,
                stderr=collectors[1].writable,
                environment=environment,
            )
        finally:
            for collector in collectors:
                collector.close()
        try:
            status = remote.wait(timeout_s)
        except TimeoutError:
            remote.signal(signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(arguments), timeout_s or 0) from None
        finally:
            remote.close()
        out, err = (collector.text() for collector in collectors)
    if check and status:
        raise subprocess.CalledProcessError(status, list(arguments), out, err)
    return subprocess.CompletedProcess(list(arguments), status, out, err)


def attach(
    start: Start, arguments: Sequence[str], environment: Mapping[str, str], directory: str | None = None
) -> int:
    """Run a command with this process's own input and output, on a terminal if both are one; returns the exit status.

    `directory` None: this process's own, where the machine has it, too.

    Raises as Remote.wait does.
    """
    if sys.stdin is not None and os.isatty(0) and os.isatty(1):
        return _attach_terminal(start, arguments, environment, directory)
    remote = start(arguments, stdin=0, stdout=1, stderr=2, environment=environment, directory=directory)
    with _signals_to(remote):
        return remote.wait()


def _attach_terminal(
    start: Start, arguments: Sequence[str], environment: Mapping[str, str], directory: str | None
) -> int:
    """Give the command a terminal of its own and connect it with ours."""
    near, far = os.openpty()
    before = termios.tcgetattr(0)

    def resize(_number: int = 0, _frame: FrameType | None = None) -> None:
        fcntl.ioctl(near, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))

    resize()
    try:
        remote = start(
            arguments,
            stdin=far,
            stdout=far,
            stderr=far,
            environment=environment,
            directory=directory,
            terminal=True,
        )
    finally:
        os.close(far)
    previous = signal.signal(signal.SIGWINCH, resize)
    try:
        tty.setraw(0)
        _relay(near, remote)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, previous)
        os.close(near)
    return remote.wait()


def _relay(near: int, remote: Remote) -> None:
    """Copy between our terminal and the command's until the command has ended and what it wrote has been copied."""
    ended = False
    inputs: list[int] = [0, near, remote.fileno()]
    while True:
        ready, _, _ = select.select(inputs, [], [], 0 if ended else None)
        if near in ready:
            try:
                data = os.read(near, _COPY_BYTES)
            except OSError:  # no process has the terminal open any more
                return
            _write_all(1, data)
        elif ended:
            return
        elif remote.fileno() in ready:
            ended = remote.hear()
            inputs = [near] if ended else inputs
        else:
            data = os.read(0, _COPY_BYTES)
            if data:
                _write_all(near, data)
            else:
                inputs.remove(0)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextlib.contextmanager
def _signals_to(remote: Remote) -> Iterator[None]:
    """Pass our signals on to the command."""
    previous = {
        number: signal.signal(number, lambda number, _frame: remote.signal(number)) for number in _FORWARDED
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _input(text: str | None) -> IO[bytes]:
    """Return an open file that holds the text."""
    descriptor = os.memfd_create("input", os.MFD_CLOEXEC)
    file = os.fdopen(descriptor, "w+b")
    file.write((text or "").encode())
    file.seek(0)
    return file


class _Collector:
    """Reads a pipe to its end, beside everything else."""

    def __init__(self) -> None:
        readable, self.writable = os.pipe()
        self._data = b""
        self._thread = threading.Thread(target=self._read, args=(readable,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close our writing end."""
        os.close(self.writable)

    def text(self) -> str:
        """What was written, when the last writer has closed."""
        self._thread.join()
        return self._data.decode(errors="replace")

    def _read(self, readable: int) -> None:
        with os.fdopen(readable, "rb") as pipe:
            self._data = pipe.read()
