"""The node's history: the last events in memory, and on disk so that it survives a restart of the daemon."""

import logging
import time
from collections import deque
from pathlib import Path

from msgspec import DecodeError, json

from standfast.wire.control import HistoryLine

LINES_MAX = 2000  # events that are remembered
FILE_BYTES_MAX = 1024 * 1024  # the file is put aside as history.log.1 when it grows longer

LEVELS = {
    "fence.failed": logging.ERROR,
    "service.failed": logging.ERROR,
    "state.diverged": logging.ERROR,
    "epoch.not-kept": logging.ERROR,
    "member.lost": logging.WARNING,
    "member.away": logging.WARNING,
    "fence.victim": logging.WARNING,
    "service.recoverable": logging.WARNING,
    "daemon.woke": logging.WARNING,
    "cluster.note": logging.WARNING,
    "config.not-written": logging.WARNING,
    "engine.notice": logging.WARNING,
}
"""Events that somebody has to look at now (error) or soon (warning); all others are for the record."""

logger = logging.getLogger(__name__)


class Journal:
    """Events in order, oldest first."""

    def __init__(self, path: Path) -> None:
        """Read what earlier daemons have left; what cannot be read is skipped."""
        self._path = path
        self._lines: deque[HistoryLine] = deque(maxlen=LINES_MAX)
        self._is_failing = False
        for older in (path.with_name(f"{path.name}.1"), path):
            self._lines.extend(_read(older))

    def add(self, event: str, subject: str, text: str) -> None:
        """Note that something happened now."""
        line = HistoryLine(at_ms=time.time_ns() // 1_000_000, event=event, subject=subject, text=text)
        self._lines.append(line)
        level = LEVELS.get(event, logging.INFO)
        logger.log(level, event, extra={"subject": subject, **({"text": text} if text else {})})
        try:
            self._write(json.encode(line) + b"\n")
        except OSError as failure:
            if not self._is_failing:
                fields = {"file": str(self._path), "reason": failure.strerror}
                logger.warning("history.not-written", extra=fields)
            self._is_failing = True
        else:
            self._is_failing = False

    def last(self, count: int) -> tuple[HistoryLine, ...]:
        """Return the last so many events, oldest first."""
        return tuple(self._lines)[-count:] if count > 0 else ()

    def _write(self, data: bytes) -> None:
        with self._path.open("ab") as file:
            if file.tell() > FILE_BYTES_MAX:
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
                self._path.write_bytes(data)
            else:
                file.write(data)


def _read(path: Path) -> list[HistoryLine]:
    try:
        data = path.read_bytes()[-2 * FILE_BYTES_MAX :]
    except OSError:
        return []
    lines: list[HistoryLine] = []
    for text in data.split(b"\n"):
        try:
            lines.append(json.decode(text, type=HistoryLine))
        except DecodeError:
            continue  # the last line of a daemon that was killed, or of a full disk
    return lines
