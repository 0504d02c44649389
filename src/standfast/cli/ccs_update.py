"""`ccs_tool update`: make a cluster.conf the active one on every member, with the words of RHCS for each way to fail.

Source: spec configuration, sections 6.2 (steps 1 to 8 and 11) and 6.4.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from standfast.cli.conf_file import read_file
from standfast.cli.line import system_reason
from standfast.conf.document import BLANKS
from standfast.conf.findings import Finding, error, fatal, render_finding
from standfast.conf.nodes import read_config_version
from standfast.conf.update import not_newer_lines
from standfast.errors import UnreachableError
from standfast.wire.control import (
    Answer,
    Call,
    Failure,
    GetStatus,
    Status,
    UpdateConfig,
    Updated,
    UpdateRejected,
)

Ask = Callable[[Call], Answer]

PROGRAM = "ccs_tool"


class Proposal(Struct, frozen=True):
    """A file that was read and checked, ready to be proposed."""

    name: str  # as given
    text: str
    version: int


class _StopError(Exception):
    """The update ends here; its arguments are the lines for standard error."""


def update(path: str, ask: Ask, out: TextIO, err: TextIO, *, verbose: bool) -> bool:
    """Propose the file to the cluster, print what happens, and return whether it is active."""
    try:
        status = _running(ask)
        proposal = _read(path, status.config_version)
        _check_cluster(status)
        _check_file(path, proposal, status, err)
        if verbose:
            out.writelines(f"{line}\n" for line in _members(status))
        version = _propose(proposal, status.config_version, ask)
    except _StopError as stop:
        err.writelines(f"{line}\n" for line in stop.args)
        return False
    out.write(f"Config file updated from version {status.config_version} to {version}\n")
    return True


def _running(ask: Ask) -> Status:
    try:
        answer = ask(GetStatus())
    except UnreachableError as gone:
        reason = system_reason(gone) or str(gone)
        raise _StopError(f"Unable to connect to the CCS daemon: {reason}", f"{PROGRAM}: {gone}") from gone
    match answer:
        case Status():
            return answer
        case Failure(text=text):
            raise _StopError("Unable to connect to cluster infrastructure.", f"{PROGRAM}: {text}")
        case _:
            raise _StopError(
                "Unable to get current config_version: the daemon gave an answer to another question; restart it"
            )


def _read(path: str, current: int) -> Proposal:
    from standfast.conf.parse import BYTES_MAX, read

    unparsable = f"Unable to parse {Path(path).absolute()}"
    try:
        data = read_file(path, BYTES_MAX)
    except OSError as bad:
        finding = fatal(0, "I03", f"cannot read: {bad.strerror}")
        raise _StopError(render_finding(path, finding), unparsable) from bad
    document = read(data)
    if isinstance(document, Finding):
        raise _StopError(render_finding(path, document), unparsable)
    text = document.root.get("config_version") if document.root.name == "cluster" else None
    if text is None or not text.strip(BLANKS):
        raise _StopError(
            "Error while retrieving config_version.", f"Unable to get the config_version from {path}"
        )
    version = read_config_version(text)
    if version is None:
        raise _StopError(
            "config_version is not a valid integer.", f"Unable to get the config_version from {path}"
        )
    if version <= current:
        raise _StopError(*not_newer_lines(current, version))
    return Proposal(path, document.text, version)


def _check_cluster(status: Status) -> None:
    if not status.quorate:
        raise _StopError("Unable to honor update request. Cluster is not quorate.")
    if not status.synced:
        raise _StopError(
            "Unable to connect to cluster infrastructure.",
            f"{PROGRAM}: this node is still joining the cluster; wait until 'clustat' shows it as a member",
        )


def _check_file(path: str, proposal: Proposal, status: Status, err: TextIO) -> None:
    """Say all that the checks find; a file with an error is not even proposed."""
    from standfast.conf.load import load

    loaded = load(path, proposal.text.encode())
    err.writelines(f"{line}\n" for line in loaded.lines)
    if loaded.cluster is None:
        raise _StopError
    if loaded.cluster.name != status.cluster:
        text = f'cluster name "{loaded.cluster.name}" differs from running cluster "{status.cluster}"'
        raise _StopError(render_finding(path, error(0, "I65", text)))


def _propose(proposal: Proposal, current: int, ask: Ask) -> int:
    try:
        answer = ask(UpdateConfig(proposal.text))
    except UnreachableError as gone:
        if _is_running(proposal.version, ask):
            return proposal.version
        raise _StopError(
            f"{PROGRAM}: {gone}",
            f"{PROGRAM}: it is not known whether version {proposal.version} is active; "
            "'clustat' or the log of another node tells",
        ) from gone
    match answer:
        case Updated(new=new):
            return new
        case UpdateRejected():
            raise _StopError(*_rejection_lines(proposal, current, answer))
        case Failure(text=text):
            raise _StopError(f"{PROGRAM}: {text}")
        case _:
            raise _StopError(f"{PROGRAM}: the daemon gave an answer to another question; restart it")


def _is_running(version: int, ask: Ask) -> bool:
    """Whether a version became the running one although its proposer was not told: step 11 looks again."""
    try:
        answer = ask(GetStatus())
    except UnreachableError:
        return False
    return isinstance(answer, Status) and answer.config_version == version


def _rejection_lines(proposal: Proposal, current: int, answer: UpdateRejected) -> Iterator[str]:
    match answer.reason:
        case "not-newer":
            yield from not_newer_lines(answer.current or current, answer.proposed or proposal.version)
        case "not-quorate":
            yield "Unable to honor update request. Cluster is not quorate."
        case "not-synced":
            yield "Unable to connect to cluster infrastructure."
        case "lost-race":
            yield from (
                "Warning:: Simultaneous update requests detected.",
                "  You have lost the race.",
                f"  Old config version :: {answer.current or current}",
                f"  Proposed config version :: {answer.proposed or proposal.version}",
                f"  Winning config version  :: {answer.winning}",
                "",
                f"Check {proposal.name} against the active one, raise its config_version and try again.",
            )
        case _:
            pass
    yield from answer.findings


def _members(status: Status) -> Iterator[str]:
    for node in status.nodes:
        if node.online:
            family, address = _address(node.name)
            yield f"Processing node: {node.name}"
            yield f" family: {family}"
            yield f" address: {address}"


def _address(name: str) -> tuple[str, str]:
    import socket

    try:
        family, _, _, _, address = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        return "unknown", "unknown"
    return ("ipv6" if family == socket.AF_INET6 else "ipv4"), str(address[0])
