"""standfast history: this node's recent decisions and events as a table, oldest first."""

from collections.abc import Sequence
from time import localtime, strftime
from typing import TextIO

from msgspec import json

from standfast.cli.client import Ask
from standfast.cli.clustat_text import printable
from standfast.cli.options import OptionError, read_options
from standfast.errors import UnreachableError
from standfast.wire.control import Failure, GetHistory, History

PROGRAM = "standfast history"
ANSWER_S_MAX = 10.0  # longest wait for the daemon
LINES = 200
LINES_MAX = 1_000_000

USAGE = """\
usage: standfast history [-n <lines>] [--json]
    -n <lines>         The last so many lines; 200 without it
    --json             Write the daemon's answer as JSON
    -h, --help         Print this text and exit

"""


def main(argv: Sequence[str], ask: Ask, out: TextIO, err: TextIO) -> int:
    """Run the command and return its exit status."""
    try:
        options, rest = read_options(PROGRAM, argv, "n:h", ["json", "help"])
    except OptionError as error:
        err.write(f"{error}\n{USAGE}")
        return 1
    values = dict(options)
    if "-h" in values or "--help" in values:
        out.write(USAGE)
        return 0
    last = _count(values.get("-n", str(LINES)))
    if rest or last is None:
        wrong = (
            f'"{rest[0]}" is no option' if rest else f"-n {values['-n']}: not a number from 1 to {LINES_MAX}"
        )
        err.write(f"{PROGRAM}: {wrong}\n{USAGE}")
        return 1
    try:
        answer = ask(GetHistory(last), timeout_s=ANSWER_S_MAX)
    except UnreachableError as error:
        err.write(f"{PROGRAM}: {error}\n")
        return 1
    if not isinstance(answer, History):
        text = answer.text if isinstance(answer, Failure) else f"unexpected answer {type(answer).__name__}"
        err.write(f"{PROGRAM}: {text}\n")
        return 1
    out.write(json.encode(answer).decode() + "\n" if "--json" in values else render_history(answer))
    return 0


def render_history(history: History) -> str:
    """Return one line for each thing that happened: local time in milliseconds, event, subject and text."""
    rows = [(_time(line.at_ms), printable(line.event), printable(line.subject)) for line in history.lines]
    event_width = max((len(event) for _, event, _ in rows), default=0)
    subject_width = max((len(subject) for _, _, subject in rows), default=0)
    return "".join(
        f"{time}  {event:<{event_width}}  {subject:<{subject_width}}  {printable(line.text)}".rstrip() + "\n"
        for (time, event, subject), line in zip(rows, history.lines, strict=True)
    )


def _time(at_ms: int) -> str:
    seconds, milliseconds = divmod(at_ms, 1000)
    try:
        return f"{strftime('%Y-%m-%d %H:%M:%S', localtime(seconds))}.{milliseconds:03d}"
    except (OverflowError, ValueError, OSError):
        return f"{at_ms} ms"


def _count(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LINES_MAX))):
        return None
    return int(text) if 1 <= int(text) <= LINES_MAX else None
