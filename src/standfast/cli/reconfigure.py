"""standfast reconfigure: stops the whole cluster for a cluster.conf that corosync cannot take while it runs.

From two nodes to three and back, another key, port or name: what the founding document has done by hand, on each node,
in the right order ("Adding and removing cluster nodes").
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from standfast.cli.client import Ask, daemon_of
from standfast.cli.conf_file import read_file
from standfast.cli.entry import INTERRUPTED
from standfast.cli.options import OptionError, read_options
from standfast.cli.service_state import RUNNING_STATES
from standfast.conf.load import load
from standfast.conf.model import Cluster
from standfast.conf.parse import BYTES_MAX
from standfast.errors import UnreachableError
from standfast.wire.control import (
    Acknowledged,
    Answer,
    Changes,
    Failure,
    GetChanges,
    GetStatus,
    NodeState,
    Reconfigure,
    Status,
    UpdateRejected,
)

PROGRAM = "standfast reconfigure"
STATUS_S_MAX = 10.0

USAGE = """\
usage: standfast reconfigure [--yes] <file>
    Stops the whole cluster for a cluster.conf that cannot be taken while it runs.
    --yes              Do not ask before anything is done
    -h, --help         Print this text and exit

"""


class Change(Struct, frozen=True, kw_only=True):
    """What is to be changed, and the cluster as it stands."""

    file: str
    document: str
    new: Cluster
    changes: Changes
    status: Status


class _StopError(Exception):
    """The command ends here; its arguments are the lines for standard error."""


def main(argv: Sequence[str], ask: Ask, confirm: Callable[[], bool], out: TextIO, err: TextIO) -> int:
    """Run the command and return its exit status; `confirm` asks the person whether to go on."""
    try:
        options, rest = read_options(PROGRAM, argv, "h", ["yes", "help"])
    except OptionError as error:
        err.write(f"{error}\n{USAGE}")
        return 1
    names = {name for name, _ in options}
    if names & {"-h", "--help"}:
        out.write(USAGE)
        return 0
    if len(rest) != 1:
        err.write(f"{PROGRAM}: name one file, the new cluster.conf\n{USAGE}")
        return 1
    try:
        change = _change(rest[0], ask, err)
        out.writelines(f"{line}\n" for line in render_plan(change))
        out.flush()
        if "--yes" not in names and not confirm():
            raise _StopError(f"{PROGRAM}: nothing was done")
        _carry_out(change, ask, out)
    except _StopError as stop:
        err.writelines(f"{line}\n" for line in stop.args)
        return 1
    except KeyboardInterrupt:
        err.write(f"{PROGRAM}: interrupted; if it had begun it goes on, watch it with: standfast status\n")
        return INTERRUPTED
    return 0


def confirm_on(stdin: TextIO, out: TextIO) -> bool:
    """Ask the person at the terminal."""
    out.write("Stop the whole cluster now? [yes/no] ")
    out.flush()
    return stdin.readline().strip().lower() == "yes"


def run_here(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run the command for the node that the environment names."""
    return main(argv, daemon_of(os.environ), lambda: confirm_on(sys.stdin, out), out, err)


def render_plan(change: Change) -> Iterator[str]:
    """Yield the lines that say what changes, what is interrupted, and what is done."""
    new, changes, status = change.new, change.changes, change.status
    there = [n.name for n in status.nodes if n.membership.state is NodeState.MEMBER]
    local = next((n.name for n in status.nodes if n.local), "")
    others = [name for name in there if name != local]
    yield f"{change.file}: version {changes.old} of cluster {status.cluster} becomes version {changes.new}"
    yield ""
    yield "Needs a full stop:"
    yield from (f"  {text.partition(': ')[0]}" for text in changes.stop)
    if changes.live:
        yield "With it:"
        yield from (f"  {text.partition(': ')[0]}" for text in changes.live)
    running = [f"{s.name} on {s.owner}" for s in status.services or () if s.state in RUNNING_STATES]
    yield f"Interrupted until the nodes are started again: {', '.join(running) or 'no service'}"
    yield ""
    yield "Steps:"
    yield f"  1. every member writes the new file, or nothing is done: {', '.join(there)}"
    yield f"  2. all services stop, and all nodes leave, corosync with them: {', '.join((*others, local))}"
    yield "  3. on every node, by you: standfast up"
    absent = [n.name for n in new.nodes if n.name not in there]
    if absent:
        yield f"Copy the new file and the cluster's key to {', '.join(absent)} before you start there."


def _change(file: str, ask: Ask, err: TextIO) -> Change:
    document, new = _read(file, err)
    try:
        status = ask(GetStatus(), timeout_s=STATUS_S_MAX)
        changes = ask(GetChanges(document), timeout_s=STATUS_S_MAX)
    except UnreachableError as gone:
        raise _StopError(
            f"{PROGRAM}: {gone}; where no node runs, put the file onto every node and start them"
        ) from gone
    if not isinstance(status, Status) or not isinstance(changes, Changes):
        answer = changes if isinstance(status, Status) else status
        raise _StopError(*_complaint(answer))
    if not status.quorate or not status.synced:
        raise _StopError(
            f"{PROGRAM}: this node has no quorum or is still joining; stop the nodes with: standfast leave, and put "
            f"the file onto every node by hand"
        )
    if not changes.stop:
        raise _StopError(
            f"{PROGRAM}: nothing of this needs a stop; activate it while the cluster runs with: ccs_tool update {file}"
        )
    return Change(file=file, document=document, new=new, changes=changes, status=status)


def _complaint(answer: Answer) -> Iterator[str]:
    match answer:
        case UpdateRejected(findings=findings, reason=reason):
            yield from findings
            yield f"{PROGRAM}: refused ({reason}); nothing was stopped"
        case Failure(text=text):
            yield f"{PROGRAM}: {text}"
        case _:
            yield f"{PROGRAM}: the daemon gave an answer to another question; restart it"


def _read(file: str, err: TextIO) -> tuple[str, Cluster]:
    try:
        data = read_file(file, BYTES_MAX)
    except OSError as failure:
        raise _StopError(f"{file}: cannot read: {failure.strerror}") from failure
    loaded = load(file, data)
    err.writelines(f"{line}\n" for line in loaded.lines)
    if loaded.cluster is None:
        raise _StopError(f"{PROGRAM}: {Path(file).name} has errors; nothing was done")
    return data.decode(), loaded.cluster


def _carry_out(change: Change, ask: Ask, out: TextIO) -> None:
    def say(text: str) -> None:
        out.write(f"{text}\n")
        out.flush()

    try:
        answer = ask(Reconfigure(change.document), progress=say)
    except UnreachableError as gone:
        raise _StopError(f"{PROGRAM}: {gone}; see with: standfast status, on every node") from gone
    if not isinstance(answer, Acknowledged):
        raise _StopError(*_complaint(answer))
    names = ", ".join(node.name for node in change.new.nodes)
    say(f"All nodes have left. Start each of them, with: standfast up, on {names}")
