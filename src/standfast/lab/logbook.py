"""The lab's logs: what each machine's programs say, a file for each and one for all, every line with its time."""

import asyncio
import contextlib
import os
from datetime import datetime
from typing import TextIO

from standfast.lab.plan import Place

LOG_BYTES_MAX = 32 * 1024 * 1024  # a longer file is set aside as NAME.log.1, in place of an older one
_READ_BYTES = 65536
_LINE_BYTES_MAX = 16384  # a longer line is broken


class LogBook:
    """Writes the logs of all machines; the programs write into pipes that outlive their machine's death."""

    def __init__(self, place: Place, loop: asyncio.AbstractEventLoop) -> None:
        self._place = place
        self._loop = loop
        self._files: dict[str, TextIO] = {}
        self._unfinished: dict[int, bytes] = {}

    def open_pipe(self, name: str) -> int:
        """Return a descriptor to write to; what is written becomes lines of the log `name`. The caller closes it."""
        readable, writable = os.pipe()
        os.set_blocking(readable, False)
        self._unfinished[readable] = b""
        self._loop.add_reader(readable, self._read, readable, name)
        return writable

    def note(self, name: str, text: str) -> None:
        """Add a line of the lab's own."""
        self._write(name, text)

    def _read(self, readable: int, name: str) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(readable, _READ_BYTES):
                *lines, rest = (self._unfinished[readable] + data).split(b"\n")
                if len(rest) > _LINE_BYTES_MAX:
                    lines.append(rest)
                    rest = b""
                self._unfinished[readable] = rest
                for line in lines:
                    self._write(name, line.decode(errors="replace"))
            rest = self._unfinished.pop(readable)
            if rest:
                self._write(name, rest.decode(errors="replace"))
            self._loop.remove_reader(readable)
            os.close(readable)

    def _write(self, name: str, text: str) -> None:
        line = f"{datetime.now().astimezone():%H:%M:%S.%f}"[:-3] + f" {name:<6} {text}\n"
        for file_name in (name, "all"):
            file = self._file(file_name)
            file.write(line)
            file.flush()

    def _file(self, name: str) -> TextIO:
        path = self._place.log(name)
        file = self._files.get(name)
        if file is not None and file.tell() > LOG_BYTES_MAX:
            file.close()
            path.replace(path.with_name(f"{path.name}.1"))
            file = None
        if file is None:
            file = self._files[name] = path.open("a", encoding="utf-8")
        return file
