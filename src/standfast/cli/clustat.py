"""clustat: shows the cluster's members and services, as a table, in full, as XML or JSON, once or again and again.

Source: spec commands-services, section 1. Loads little, because scripts call it often: see snapshot.py.
"""

from __future__ import annotations

import os
import sys
import time

from standfast.cli.clustat_text import (
    printable,
    render_members,
    render_service_blocks,
    render_services,
    render_summary,
)
from standfast.cli.clustat_xml import render_cluster, render_document, render_groups, render_nodes
from standfast.cli.entry import run_command
from standfast.cli.line import (
    LOCAL_STATUS_LINE,
    PREFIX_VARIABLE,
    STATUS_LINE,
    answer_lines,
    control_socket,
    system_reason,
)
from standfast.cli.options import Option, OptionError, read_options
from standfast.cli.service_state import exit_status, full_service_name
from standfast.cli.snapshot import read_snapshot, read_status
from standfast.errors import StandfastError, UnreachableError

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from standfast.cli.snapshot import Member, Service, Snapshot

PROGRAM = "clustat"
COLUMNS = 80  # where standard output is no terminal
ANSWER_S_MAX = 5.0  # longest wait for the daemon
INTERVAL_DIGITS_MAX = 9  # of -i; some thirty years
CLEAR_SCREEN = "\x1b[H\x1b[2J"
EXCLUSIVE = (("-i", "-x"), ("-i", "--json"), ("-x", "--json"), ("-m", "--json"), ("-s", "--json"))
NOT_FOUND = 255  # exit status: no such member or service, or no states at all

USAGE = """\
usage: clustat <options>
    -i <seconds>       Show the status again and again, with this pause
    -I                 Print this node's id and exit
    -l                 Show each service in full
    -m <member>        Show this member only
    -s <service>       Show this service only; the exit status is its state
    -v                 Print the version and exit
    -x                 Write XML
    -Q                 Print nothing; exit 0 if the cluster is quorate, else 1
    -f                 Fast: show what this node has, without asking the others
    --json             Write the daemon's answer as JSON
    -h                 Print this text and exit

"""


class Screen:
    """What clustat needs of the world besides the daemon: a clock, a width and a pause."""

    def __init__(
        self,
        *,
        now_s: Callable[[], float] = time.time,
        columns: Callable[[], int] = lambda: COLUMNS,
        hold_signals: Callable[[], None] = lambda: None,
        pause: Callable[[int], bool] = lambda _seconds: True,
        clears: bool = False,
    ) -> None:
        self.now_s = now_s  # Unix time
        self.columns = columns
        self.hold_signals = hold_signals  # from here on, SIGINT and SIGTERM end a pause and nothing else
        self.pause = pause  # waits so many seconds; True when the next round is to be the last
        self.clears = clears


class _Options:
    """What the command line asks for."""

    def __init__(self, options: Sequence[Option]) -> None:
        self.letters = frozenset(name for name, _ in options)
        self.interval_s = 0  # 0: once
        self.member: str | None = None
        self.service: str | None = None
        for name, value in options:
            if name == "-i":
                self.interval_s = _interval_s(value)
            elif name == "-m":
                self.member = value
            elif name == "-s":
                self.service = full_service_name(value)


def main(
    argv: Sequence[str], ask: Callable[[bool], bytes], out: TextIO, err: TextIO, screen: Screen | None = None
) -> int:
    """Run the command and return its exit status.

    `argv` is without the program's name. `ask` returns the daemon's line in answer to GetStatus, whose `local` it is given.
    """
    try:
        options, rest = read_options(PROGRAM, argv, "fIi:lm:s:vxQh?", ["json", "help", "version"])
    except OptionError as error:
        err.write(f"{error}\n")
        out.write(USAGE)
        return 0
    for name, _ in options:
        if name in {"-h", "-?", "--help"}:
            out.write(USAGE)
            return 0
        if name in {"-v", "--version"}:
            out.write(f"{PROGRAM} version {_version()}\n")
            return 0
    if rest:
        err.write(
            f'{PROGRAM}: "{rest[0]}" is no option; to see one service or member, use -s or -m before its name\n'
        )
        return 1
    chosen = _Options(options)
    for one, other in EXCLUSIVE:
        if one in chosen.letters and other in chosen.letters:
            out.write(f"Error: Options '{one}' and '{other}' are mutually exclusive\n")
            return 1
    screen = screen or Screen()
    show = _show if chosen.interval_s == 0 else _repeat
    return show(chosen, ask, out, err, screen)


def run() -> int:
    """Run clustat as a program."""
    return run_command(PROGRAM, lambda out, err: main(sys.argv[1:], ask_here, out, err, screen_on(out)))


def ask_here(local: bool) -> bytes:
    """Return the line of the daemon that the environment names, in answer to GetStatus with this `local`."""
    line = LOCAL_STATUS_LINE if local else STATUS_LINE
    path = control_socket(os.environ.get(PREFIX_VARIABLE, ""))
    return next(answer_lines(line, socket_path=path, timeout_s=ANSWER_S_MAX))


def screen_on(out: TextIO) -> Screen:
    """Return the world as it is, with the width of the terminal if `out` is one."""
    if not out.isatty():
        return Screen(hold_signals=_hold_signals, pause=_pause)
    return Screen(
        columns=lambda: os.get_terminal_size(out.fileno()).columns or COLUMNS,
        hold_signals=_hold_signals,
        pause=_pause,
        clears=True,
    )


def _repeat(
    chosen: _Options,
    ask: Callable[[bool], bytes],
    out: TextIO,
    err: TextIO,
    screen: Screen,
) -> int:
    """Show round after round; after a signal one more round is shown, whose exit status counts."""
    screen.hold_signals()
    is_last = False
    while True:
        if screen.clears:
            out.write(CLEAR_SCREEN)
        status = _show(chosen, ask, out, err, screen)
        out.flush()
        if is_last:
            return status
        is_last = screen.pause(chosen.interval_s)


def _show(chosen: _Options, ask: Callable[[bool], bytes], out: TextIO, err: TextIO, screen: Screen) -> int:
    """Ask the daemon once and print what the options choose."""
    try:
        line = ask("-f" in chosen.letters)
        if "--json" in chosen.letters:
            return _show_json(line, out)
        snapshot = read_snapshot(line)
    except UnreachableError as error:
        err.write(_unreachable_text(error))
        return 1
    except StandfastError as error:
        err.write(f"{PROGRAM}: {error}\n")
        return 1
    if "-Q" in chosen.letters:
        return 0 if snapshot.quorate else 1
    if "-I" in chosen.letters:
        out.write(f"0x{snapshot.local:08x}\n")
        return 0
    _forget_unasked(chosen, snapshot)
    if snapshot.services is None and snapshot.unavailable and chosen.member is None:
        warnings = err if "-x" in chosen.letters else out
        warnings.write(f"Service states unavailable: {printable(snapshot.unavailable)}\n")
    if chosen.member is not None:
        return _show_member(chosen, snapshot, out, err, screen)
    if chosen.service is not None:
        return _show_service(chosen, snapshot, out, err, screen)
    _show_all(chosen, snapshot, out, screen)
    return 0


def _show_json(line: bytes, out: TextIO) -> int:
    import json

    out.write(json.dumps(read_status(line), ensure_ascii=False, separators=(",", ":")) + "\n")
    return 0


def _forget_unasked(chosen: _Options, snapshot: Snapshot) -> None:
    """Drop what the original does not ask for: with -f the configuration, with -m and without states the manager."""
    for member in snapshot.members:
        if "-f" in chosen.letters:
            member.estranged = member.quorum_disk = False
        if chosen.member is not None or snapshot.services is None:
            member.manager = False


def _show_all(chosen: _Options, snapshot: Snapshot, out: TextIO, screen: Screen) -> None:
    members = _sorted_members(snapshot.members)
    services = None if snapshot.services is None else _sorted_services(snapshot.services)
    if "-x" in chosen.letters:
        groups = "" if services is None else render_groups(services)
        out.write(render_document(render_cluster(snapshot), render_nodes(members), groups))
        return
    columns = screen.columns()
    out.write(render_summary(snapshot, now_s=screen.now_s()))
    out.write(render_members(members, columns=columns) + "\n")
    if services:
        long = "-l" in chosen.letters
        out.write(render_service_blocks(services) if long else render_services(services, columns=columns))


def _show_member(chosen: _Options, snapshot: Snapshot, out: TextIO, err: TextIO, screen: Screen) -> int:
    name = chosen.member or ""
    found = [member for member in snapshot.members if member.name.lower() == name.lower()]
    if "-x" in chosen.letters:
        out.write(render_document(render_nodes(found)))
    elif found:
        out.write(render_members(found, columns=screen.columns()))
    if not found:
        known = ", ".join(member.name for member in _sorted_members(snapshot.members))
        err.write(f'{PROGRAM}: no member "{name}"; there are: {known or "none"}\n')
        return NOT_FOUND
    return 0 if found[0].online or chosen.service is not None else 1


def _show_service(chosen: _Options, snapshot: Snapshot, out: TextIO, err: TextIO, screen: Screen) -> int:
    if snapshot.services is None:
        if "-x" in chosen.letters:
            out.write(render_document())
        return NOT_FOUND
    name = chosen.service
    found = [service for service in snapshot.services if service.name == name]
    if "-x" in chosen.letters:
        out.write(render_document(render_groups(found)))
    elif found:
        long = "-l" in chosen.letters
        out.write(render_service_blocks(found) if long else render_services(found, columns=screen.columns()))
    if not found:
        known = ", ".join(service.name for service in _sorted_services(snapshot.services))
        err.write(f'{PROGRAM}: no service "{name}"; there are: {known or "none"}\n')
        return NOT_FOUND
    return exit_status(found[0])


def _sorted_members(members: Sequence[Member]) -> list[Member]:
    """The configured ones by node id, then the others."""
    return sorted(members, key=lambda m: (m.estranged or m.quorum_disk, m.nodeid))


def _sorted_services(services: Sequence[Service]) -> list[Service]:
    """By name, in byte order."""
    return sorted(services, key=lambda s: s.name.encode("utf-8", "surrogatepass"))


def _unreachable_text(error: UnreachableError) -> str:
    reason = system_reason(error)
    if error.code == "daemon-timeout":
        return f"Timed out waiting for a response from Resource Group Manager\n{PROGRAM}: {error}\n"
    if reason is not None:
        return f"Could not connect to CMAN: {reason}\n{PROGRAM}: {error}\n"
    return f"{PROGRAM}: {error}\n"


def _interval_s(text: str) -> int:
    """As atoi(3) reads it, but at least 1."""
    digits = text.strip()
    digits = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    return max(int(digits[:INTERVAL_DIGITS_MAX]), 1) if digits else 1


def _hold_signals() -> None:
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


def _pause(seconds: int) -> bool:
    """Wait; return True as soon as one of the held signals has come, also while the last round was printed."""
    import signal

    return signal.sigtimedwait({signal.SIGINT, signal.SIGTERM}, seconds) is not None


def _version() -> str:
    from importlib.metadata import version

    return version("standfast")
