"""standfast leave: stops this node's services, leaves the cluster and ends the daemon."""

from collections.abc import Sequence
from typing import TextIO

from msgspec import json

from standfast.cli.client import Ask
from standfast.cli.entry import INTERRUPTED
from standfast.cli.options import OptionError, read_options
from standfast.errors import UnreachableError
from standfast.wire.control import Acknowledged, Failure, LeaveCluster

PROGRAM = "standfast leave"

USAGE = """\
usage: standfast leave [--json]
    --json             Write the daemon's answer as JSON
    -h, --help         Print this text and exit

"""


def main(argv: Sequence[str], ask: Ask, out: TextIO, err: TextIO) -> int:
    """Run the command, wait until the node has left, and return the exit status."""
    try:
        options, rest = read_options(PROGRAM, argv, "h", ["json", "help"])
    except OptionError as error:
        err.write(f"{error}\n{USAGE}")
        return 1
    names = {name for name, _ in options}
    if names & {"-h", "--help"}:
        out.write(USAGE)
        return 0
    if rest:
        err.write(
            f'{PROGRAM}: "{rest[0]}" is no option; a node can only leave by itself, so run this there\n{USAGE}'
        )
        return 1
    try:
        answer = ask(LeaveCluster(), progress=lambda text: _say(err, text))
    except UnreachableError as error:
        err.write(f"{PROGRAM}: {error}\n")
        return 1
    except KeyboardInterrupt:
        err.write(f"{PROGRAM}: the node goes on leaving; watch it with: standfast status\n")
        return INTERRUPTED
    if "--json" in names:
        out.write(json.encode(answer).decode() + "\n")
    if isinstance(answer, Acknowledged):
        if "--json" not in names:
            out.write(f"{answer.text or 'left the cluster'}\n")
        return 0
    text = answer.text if isinstance(answer, Failure) else f"unexpected answer {type(answer).__name__}"
    err.write(f"{PROGRAM}: {text}\n")
    return 1


def _say(err: TextIO, text: str) -> None:
    err.write(f"{text}\n")
    err.flush()
