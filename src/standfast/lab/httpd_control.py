"""The machine's side of /etc/init.d/httpd: starts, stops and watches the web server as a process of the machine."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from pathlib import Path
from typing import NoReturn

from standfast.lab import httpd, kernel, processes
from standfast.lab.reaper import Reaper

STOP_S_MAX = 3.0  # longest time between SIGTERM and SIGKILL
_REPLY_S_MAX = 2.0  # longest wait for the script to read its answer
_PAUSE_S = 0.001
_CALL_BYTES_MAX = 4096


class WebServer:
    """The web server of one machine; `folder` holds its pid file, and `address` "" is every address of the machine."""

    def __init__(self, *, folder: Path, documents: Path, address: str, port: int, reaper: Reaper) -> None:
        self._folder = folder
        self._documents = documents
        self._address = address
        self._port = port
        self._reaper = reaper
        self._pid: int | None = None
        self._end: asyncio.Future[int] | None = None

    async def run(self) -> None:
        """Obey the script until the machine dies."""
        self._folder.mkdir(parents=True, exist_ok=True)
        pipe = self._folder / "call"
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe, 0o600)
        descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, readable.set)
        while True:
            await readable.wait()
            readable.clear()
            with contextlib.suppress(BlockingIOError):
                for line in os.read(descriptor, _CALL_BYTES_MAX).decode(errors="replace").splitlines():
                    operation, _, reply = line.partition(" ")
                    status, text = await self._operated(operation)
                    await self._reply(reply, f"{status} {text}\n")

    async def _operated(self, operation: str) -> tuple[int, str]:
        match operation:
            case "start":
                return self._start()
            case "stop":
                return await self._stop()
            case _:
                return self._status()

    def _start(self) -> tuple[int, str]:
        if self._alive():
            return 0, f"already running (pid {self._pid})"
        try:
            listener = httpd.open_listener(self._address, self._port)
        except OSError as failure:
            reason = os.strerror(failure.errno) if failure.errno else str(failure)
            return 1, f"cannot listen on {self._address or '*'}:{self._port}: {reason}"
        pid = os.fork()
        if pid == 0:
            self._become_server(listener)
        listener.close()
        self._pid, self._end = pid, self._reaper.end_of(pid)
        (self._folder / "httpd.pid").write_text(f"{pid}\n")
        return 0, f"started (pid {pid})"

    def _become_server(self, listener: socket.socket) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            kept = listener.fileno()
            os.closerange(3, kept)
            os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
            kernel.set_process_name("httpd")
            httpd.serve(listener, self._documents)
        finally:
            os._exit(1)

    async def _stop(self) -> tuple[int, str]:
        pid, end = self._pid, self._end
        if pid is None or end is None or not self._alive():
            self._forget()
            return 0, "not running"
        processes.signal_one(pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S_MAX):
                await asyncio.shield(end)
        except TimeoutError:
            processes.signal_one(pid, signal.SIGKILL)
            await end
        self._forget()
        return 0, "stopped"

    def _status(self) -> tuple[int, str]:
        if self._alive():
            return 0, f"running (pid {self._pid})"
        if self._pid is not None:
            return 1, f"dead, but {self._folder}/httpd.pid exists"
        return 3, "not running"

    def _alive(self) -> bool:
        return self._end is not None and not self._end.done()

    def _forget(self) -> None:
        (self._folder / "httpd.pid").unlink(missing_ok=True)
        self._pid = self._end = None

    async def _reply(self, name: str, text: str) -> None:
        """Write to the script's own pipe as soon as it listens; a script that has gone away is let go."""
        path = self._folder / Path(name).name
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REPLY_S_MAX):
                while True:
                    try:
                        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                    except OSError as failure:
                        if failure.errno != errno.ENXIO:
                            return
                        await asyncio.sleep(_PAUSE_S)
                    else:
                        with os.fdopen(descriptor, "w") as pipe:
                            pipe.write(text)
                        return
