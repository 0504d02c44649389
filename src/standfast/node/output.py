"""What an agent prints: taken as it comes, so that no agent ever waits for us, and only so much of it kept."""

import asyncio
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Protocol

OUTPUT_BYTES_MAX = 64 * 1024  # how much of an agent's output is kept, from its end
FILE_BYTES_MAX = 1024 * 1024  # a longer output file is emptied
LOOK_S = 1.0  # how often a file's length is looked at while its agent runs
_READ_BYTES = 64 * 1024


class Output(Protocol):
    """Where an agent writes to; `writable` is its descriptor."""

    writable: int

    def begun(self) -> None:
        """The agent has its own copy of the descriptor."""
        ...

    def finish(self) -> str:
        """The agent has ended: return the end of what it wrote, and free everything."""
        ...


class PipeOutput:
    """A pipe that is read continuously; for agents that leave nothing running."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._readable, self.writable = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._readable, False)
        self._kept = bytearray()
        self._loop.add_reader(self._readable, self._read)

    def begun(self) -> None:
        """Close our end."""
        os.close(self.writable)

    def finish(self) -> str:
        """Take what is there and close; something that still writes gets an error, as the agent's callers do not read on."""
        while self._read():
            pass
        self._loop.remove_reader(self._readable)
        os.close(self._readable)
        return self._kept.decode(errors="replace")

    def _read(self) -> bool:
        """Take one piece; False when there is none now."""
        try:
            piece = os.read(self._readable, _READ_BYTES)
        except BlockingIOError:
            return False
        if not piece:
            self._loop.remove_reader(self._readable)
            return False
        self._kept += piece
        if len(self._kept) > 2 * OUTPUT_BYTES_MAX:
            del self._kept[:-OUTPUT_BYTES_MAX]
        return True


class FileOutput:
    """A file of the resource; for agents that leave a server running, which goes on writing when we are gone.

    A server with a pipe of ours as its output would die of it when the daemon ends.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._loop = asyncio.get_running_loop()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self.writable = os.open(path, flags, 0o600)
        self._begin = self._length()
        if self._begin > FILE_BYTES_MAX:
            self._empty()
        self._look = self._loop.call_later(LOOK_S, self._bound)

    def begun(self) -> None:
        """Keep ours, to read it at the end."""

    def finish(self) -> str:
        """Return what was written since the agent began, or the end of it."""
        self._look.cancel()
        try:
            length = self._length()
            start = max(self._begin, length - OUTPUT_BYTES_MAX) if length >= self._begin else 0
            return os.pread(self.writable, OUTPUT_BYTES_MAX, start).decode(errors="replace")
        finally:
            os.close(self.writable)

    def _bound(self) -> None:
        if self._length() > FILE_BYTES_MAX:
            self._empty()
        self._look = self._loop.call_later(LOOK_S, self._bound)

    def _empty(self) -> None:
        with suppress(OSError):
            os.ftruncate(self.writable, 0)
            self._begin = 0

    def _length(self) -> int:
        found = os.fstat(self.writable)
        return found.st_size if stat.S_ISREG(found.st_mode) else 0


def last_line(output: str) -> str:
    """Return the last line that says something, "" where there is none."""
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
