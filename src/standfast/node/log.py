"""The daemon's log: one line for each event, `EVENT key=value ...`, on standard error."""

import json
import logging
import re
import sys
from typing import TextIO

VALUE_CHARACTERS_MAX = 2000  # a longer value is cut

_STANDARD_FIELDS = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_PLAIN = re.compile(r"[\w./:@%+,-]+")


def log_to(stream: TextIO) -> None:
    """Send everything that the programs of this process log to the stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(EventFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.raiseExceptions = False  # a log that nobody reads any more is no reason to end


def log_everything(mask: int) -> None:
    """Log what only we ourselves need, too; with 0 no more. cman's bits of the mask are one to us."""
    logging.getLogger().setLevel(logging.DEBUG if mask else logging.INFO)


class EventFormatter(logging.Formatter):
    """Writes an event's fields behind its name; a line end in a value is never one in the log."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    # typing.override, which this would carry, comes with Python 3.12.
    def formatMessage(  # type: ignore[explicit-override]  # noqa: N802 - the standard library's name
        self, record: logging.LogRecord
    ) -> str:
        """Return the line; a traceback comes after it."""
        fields = (
            f" {name}={_value(value)}" for name, value in vars(record).items() if name not in _STANDARD_FIELDS
        )
        return super().formatMessage(record) + "".join(fields)


def say(text: str) -> None:
    """Say one sentence to whoever started the daemon."""
    sys.stderr.write(f"standfastd: {text}\n")
    sys.stderr.flush()


def _value(value: object) -> str:
    text = str(value)
    if len(text) > VALUE_CHARACTERS_MAX:
        text = f"{text[:VALUE_CHARACTERS_MAX]}..."
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
