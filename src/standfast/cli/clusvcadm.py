"""clusvcadm: enables, disables, stops, relocates, restarts and freezes services, and waits for the outcome.

Source: spec commands-services, section 2; result codes: spec services, section 12.
"""

import os
import sys
from collections.abc import Sequence
from io import StringIO
from typing import TextIO

from msgspec import Struct, json

from standfast.cli.client import Ask, daemon_of
from standfast.cli.entry import INTERRUPTED, run_command
from standfast.cli.options import Option, OptionError, read_options
from standfast.cli.service_state import full_service_name
from standfast.errors import UnreachableError
from standfast.terms import ServiceName
from standfast.wire.control import (
    Answer,
    Code,
    Failure,
    GetStatus,
    NodeStatus,
    Operated,
    OperateService,
    Operation,
    Status,
)

PROGRAM = "clusvcadm"
STATUS_S_MAX = 5.0  # longest wait for the member list; the operation itself may take as long as it takes

OPERATIONS = {
    "-d": Operation.DISABLE,
    "-e": Operation.ENABLE,
    "-r": Operation.RELOCATE,
    "-R": Operation.RESTART,
    "-s": Operation.STOP,
    "-U": Operation.UNFREEZE,
    "-Z": Operation.FREEZE,
}
ACTIONS = {
    Operation.DISABLE: "disabling",
    Operation.ENABLE: "trying to enable",
    Operation.RESTART: "trying to restart",
    Operation.STOP: "stopping",
    Operation.UNFREEZE: "unfreezing",
    Operation.FREEZE: "freezing",
}
NOT_SUPPORTED = {
    "-M": "live migration",
    "-c": "convalescing",
    "-l": "locking the services",
    "-u": "unlocking the services",
    "-S": "showing the services' lock",
}
RESULTS = {
    Code.SUCCESS: "Success",
    Code.FAIL: "Failure",
    Code.ABORT: "Aborted; service failed",
    Code.NO_SERVICE: "Service does not exist",
    Code.DEADLOCK: "Operation would cause a deadlock",
    Code.AGAIN: "Temporary failure; try again",
    Code.DEPEND: "Operation violates dependency rule",
    Code.INVALID: "Invalid operation for resource",
    Code.NO_QUORUM: "Operation requires quorum",
    Code.RUNNING: "Service is already running",
    Code.FROZEN: "Failure: Service is frozen",
    Code.NODE_DEAD: "Target node dead / nonexistent",
    Code.FENCING: "Fencing operation pending; try again later",
    Code.DOMAIN: "Service not runnable",
    Code.EXCLUSIVE: "Service not runnable: cannot run exclusive",
    Code.RELOCATE_FAILED: "Failed; service running on original owner",
    Code.PERMISSION: "Permission denied",
    Code.WARNING: "Warning; see system logs",
}

USAGE = """\
usage: clusvcadm <operation> [-m <member>] [-q] [--json]
    -d <service>       Disable: stop it, and start it again only when enabled
    -e <service>       Enable: start it here, or on the member of -m
    -e <service> -F    Enable: start it where its failover domain says
    -r <service>       Relocate to another member, or to the one of -m
    -R <service>       Restart where it runs
    -s <service>       Stop, until the next change among the members
    -Z <service>       Freeze: leave it alone, whatever its state
    -U <service>       Unfreeze
    -m, -n <member>    The member to use
    -q                 Print errors only
    --json             Write the outcome as JSON
    -v                 Print the version and exit
    -h                 Print this text and exit

"""


class _Order(Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    operation: Operation
    service: ServiceName
    member: str | None
    by_domain: bool


def main(argv: Sequence[str], ask: Ask, out: TextIO, err: TextIO) -> int:
    """Run the command and return its exit status; `argv` is without the program's name."""
    try:
        options, rest = read_options(
            PROGRAM, argv, "lSue:M:d:r:n:m:FvR:s:Z:U:c:qh?", ["json", "help", "version"]
        )
    except OptionError as error:
        err.write(f"{error}\n")
        out.write(USAGE)
        return 1
    for name, _ in options:
        if name in {"-h", "-?", "--help"}:
            out.write(USAGE)
            return 1
        if name in {"-v", "--version"}:
            out.write(f"{_version()}\n")
            return 0
        if name in NOT_SUPPORTED:
            err.write(f"{PROGRAM}: {name}: {NOT_SUPPORTED[name]} is not supported yet; nothing was done\n")
            return 1
    if rest:
        err.write(
            f'{PROGRAM}: "{rest[0]}" is one argument too many; name one service, and a member with -m\n'
        )
        return 1
    order = _order(options)
    if order is None:
        out.write(USAGE)
        return 1
    if order.by_domain and order.member is not None:
        err.write("Cannot use '-F' with '-n' or '-m'\n")
        return 1
    if order.by_domain and order.operation is not Operation.ENABLE:
        err.write(f"{PROGRAM}: -F goes with -e only; nothing was done\n")
        return 1
    names = {name for name, _ in options}
    shown = StringIO() if names & {"-q", "--json"} else out
    status, answer = _carry_out(order, ask, shown, err)
    if answer is not None and "--json" in names:
        out.write(json.encode(answer).decode() + "\n")
    return status


def run() -> int:
    """Run clusvcadm as a program."""
    return run_command(PROGRAM, lambda out, err: main(sys.argv[1:], daemon_of(os.environ), out, err))


def _order(options: Sequence[Option]) -> _Order | None:
    """Read the options, the last operation wins; None where there is none or its service has no name."""
    operation: Operation | None = None
    service = ""
    member: str | None = None
    for name, value in options:
        if name in OPERATIONS:
            operation, service = OPERATIONS[name], value
        elif name in {"-m", "-n"}:
            member = value
    if operation is None or not service:
        return None
    return _Order(
        operation=operation,
        service=ServiceName(full_service_name(service)),
        member=member,
        by_domain="-F" in {name for name, _ in options},
    )


def _carry_out(order: _Order, ask: Ask, out: TextIO, err: TextIO) -> tuple[int, Operated | Failure | None]:
    """Check the member, ask for the operation and say how it went; return the exit status and the daemon's answer."""
    try:
        status = ask(GetStatus(local=True), timeout_s=STATUS_S_MAX)
    except UnreachableError as error:
        err.write(f"Could not connect to cluster service\n{PROGRAM}: {error}\n")
        return 1, None
    if isinstance(status, Failure):
        err.write(f"{PROGRAM}: {status.text}\n")
        return 1, status
    if not isinstance(status, Status):
        raise _unexpected(status)
    target: str | None = None
    if order.member is not None:
        target = _known_name(order.member, status.nodes)
        if target is None:
            err.write(_no_such_member(order.member, [node.name for node in status.nodes]))
            return 1, None
    out.write(_progress_text(order, target))
    out.flush()
    call = OperateService(
        operation=order.operation, service=order.service, target=target, by_domain=order.by_domain
    )
    try:
        answer = ask(call, progress=lambda text: _say(err, text))
    except UnreachableError as error:
        never_began = error.code in {"daemon-down", "daemon-denied"}
        first = "Could not connect to resource group manager" if never_began else "Error receiving reply!"
        err.write(f"{first}\n{PROGRAM}: {error}\n")
        return 1, None
    except KeyboardInterrupt:
        out.write("\n")
        err.write(
            f"{PROGRAM}: the operation on {order.service} goes on; watch it with: clustat -s {order.service}\n"
        )
        return INTERRUPTED, None
    if isinstance(answer, Failure):
        out.write(f"{RESULTS[Code.FAIL]}\n")
        out.flush()
        err.write(f"{PROGRAM}: {answer.text}\n")
        return _exit_status(Code.FAIL), answer
    if not isinstance(answer, Operated):
        raise _unexpected(answer)
    out.write(f"{RESULTS[answer.code]}\n")
    out.write(_whereabouts(order, target, answer))
    out.flush()
    if answer.code is not Code.SUCCESS and answer.text:
        err.write(f"{PROGRAM}: {answer.text}\n")
    return _exit_status(answer.code), answer


def _progress_text(order: _Order, target: str | None) -> str:
    """Return what is said while the operation goes on, without a newline."""
    if order.operation is Operation.RELOCATE:
        return f"Trying to relocate {order.service}{f' to {target}' if target else ''}..."
    who = "Local machine" if target is None else f"Member {target}"
    return f"{who} {ACTIONS[order.operation]} {order.service}..."


def _whereabouts(order: _Order, target: str | None, outcome: Operated) -> str:
    """Return the line that says where the service runs now, after a success that may have moved it."""
    if outcome.code is not Code.SUCCESS or outcome.owner is None:
        return ""
    if order.operation not in {Operation.ENABLE, Operation.RELOCATE}:
        return ""
    is_elsewhere = target is not None and outcome.owner.lower() != target.lower()
    return f"{'Warning: ' if is_elsewhere else ''}{order.service} is now running on {outcome.owner}\n"


def _known_name(name: str, nodes: Sequence[NodeStatus]) -> str | None:
    """Return the member's name as the cluster writes it; names compare whole and without case."""
    return next((node.name for node in nodes if node.name.lower() == name.lower()), None)


def _no_such_member(name: str, members: Sequence[str]) -> str:
    # Differs from rgmanager: a single closest match is shown and not used, because the guess could move a service
    # to a node that nobody named.
    said = f"'{name}' not in membership list\n"
    lengths = {member: _common_length(name, member) for member in members}
    longest = max(lengths.values(), default=0)
    closest = [member for member, length in lengths.items() if length == longest > 0]
    if not closest:
        return f"{said}No matches for '{name}' found\n"
    if len(closest) > 1:
        return f"{said}More than one possible match for '{name}' found\n"
    return f"{said}Closest match: '{closest[0]}'\n"


def _common_length(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    return [*same, False].index(False)


def _exit_status(code: Code) -> int:
    return 0 if code is Code.RUNNING else code % 256


def _say(err: TextIO, text: str) -> None:
    err.write(f"\n{PROGRAM}: {text}\n")
    err.flush()


def _unexpected(answer: Answer) -> UnreachableError:
    return UnreachableError(
        f"the daemon answered {type(answer).__name__}, which does not belong to the question; it is of another "
        "release: restart it",
        code="not-our-protocol",
    )


def _version() -> str:
    from importlib.metadata import version

    return version("standfast")
