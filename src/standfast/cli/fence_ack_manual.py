"""fence_ack_manual: tells the cluster that a person has seen a victim powered off, so that recovery may go on.

It asks the daemon and prints what the daemon answers. Source: spec fencing, section 12.
"""

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from msgspec import json

from standfast.cli.client import Ask, daemon_of
from standfast.cli.entry import run_command
from standfast.cli.options import OptionError, read_options
from standfast.errors import UnreachableError
from standfast.wire.control import Acknowledged, AcknowledgeFencing, Failure

PROGRAM = "fence_ack_manual"
CONSENT = "absolutely"

USAGE = """\
usage: fence_ack_manual [-O] [--json] [-n] <node>
    -n <node>          The victim, by its name in cluster.conf
    -O                 Do not ask whether you are certain
    -e                 Accepted for old scripts; it changes nothing
    --json             Write the answer as JSON; needs -O
    -h                 Print this text and exit

Use it only after you have made sure, with your own eyes, that the node is powered off.

"""

WARNING = """\
About to override the fencing of {nodename}: the cluster will start its services elsewhere.
If {nodename} is not powered off, both may write to the same file systems and destroy them.

"""


def main(argv: Sequence[str], ask: Ask, out: TextIO, err: TextIO, answers: TextIO) -> int:
    """Run the command and return its exit status; `answers` is where the person's consent is read from."""
    try:
        options, rest = read_options(PROGRAM, argv, "n:eOqhV?", ["json", "help", "version"])
    except OptionError as error:
        err.write(f"{error}\n")
        out.write(USAGE)
        return 1
    names = {name for name, _ in options}
    nodenames = [value for name, value in options if name == "-n"] + rest
    if names & {"-V", "--version"}:
        out.write(f"{PROGRAM} version {_version()}\n")
        return 0
    if names & {"-h", "-?", "--help"} or not nodenames:
        out.write(USAGE)
        return 1
    if len(nodenames) > 1:
        err.write(
            f"{PROGRAM}: {len(nodenames)} nodes named ({', '.join(nodenames)}); acknowledge one at a time\n"
        )
        return 1
    if "--json" in names and "-O" not in names:
        err.write(f"{PROGRAM}: --json leaves no room for the question; add -O if the node is powered off\n")
        return 1
    if "-O" not in names and not _consents(nodenames[0], out, answers):
        out.write("Aborted.\n")
        return 1
    try:
        answer = ask(AcknowledgeFencing(nodenames[0]))
    except UnreachableError as error:
        err.write(f"{PROGRAM}: {error}\n")
        return 1
    if "--json" in names:
        out.write(json.encode(answer).decode() + "\n")
    if isinstance(answer, Acknowledged):
        if "--json" not in names:
            out.write(f"{answer.text}\nDone\n" if answer.text else "Done\n")
        return 0
    text = answer.text if isinstance(answer, Failure) else f"unexpected answer {type(answer).__name__}"
    err.write(f"{PROGRAM}: {text}\n")
    return 1


def run() -> int:
    """Run fence_ack_manual as a program."""
    return run_command(
        PROGRAM,
        lambda out, err: main(sys.argv[1:], daemon_of(os.environ), out, err, sys.stdin or _no_answers()),
    )


def _consents(nodename: str, out: TextIO, answers: TextIO) -> bool:
    out.write(WARNING.format(nodename=nodename))
    out.write("Continue [NO/absolutely]? ")
    out.flush()
    answer = answers.readline()
    if not answer.endswith("\n"):
        out.write("\n")
    return answer.rstrip("\n") == CONSENT


def _no_answers() -> TextIO:
    return open(os.devnull, encoding="utf-8")  # noqa: PTH123 - standard input is closed: nobody consents


def _version() -> str:
    from importlib.metadata import version

    return version("standfast")
