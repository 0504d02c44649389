"""The operations of cman_tool that change something: expected, votes, kill, leave, debug.

Source: spec membership, sections 5, 8, 9.3 to 9.6 and 9.12.
"""

from __future__ import annotations

from standfast.cli.cman_daemon import PROGRAM, TIMED_OUT, StopError, progress_text, reason
from standfast.errors import StandfastError, UnreachableError

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from typing import TextIO

    from standfast.cli.cman_daemon import Daemon
    from standfast.cli.cman_options import Options

AFTER_LEAVE = "--after-leave"  # of standfast down: only corosync is left to be ended
POLL_S = 0.1  # pause between two looks whether the daemon has ended


def set_expected(options: Options, daemon: Daemon) -> int:
    """cman_tool expected."""
    if "e" not in options.numbers:
        raise StopError(f"{PROGRAM}: expected votes not given (-e)")
    if options.numbers["e"] < 1:
        raise StopError(f"{PROGRAM}: expected votes must be at least 1")
    try:
        daemon.ask({"type": "expected", "votes": options.numbers["e"]})
    except StandfastError as error:
        raise StopError(f"{PROGRAM}: can't set expected votes: {reason(error)}") from error
    return 0


def set_votes(options: Options, daemon: Daemon) -> int:
    """cman_tool votes."""
    if "v" not in options.numbers:
        raise StopError(f"{PROGRAM}: votes not given (-v)")
    name = options.names[0] if options.names else None
    try:
        daemon.ask({"type": "votes", "votes": options.numbers["v"], "nodename": name})
    except StandfastError as error:
        if error.code == "node-unknown":
            raise StopError(
                f"{PROGRAM}: Can't set votes for node {name} : No such file or directory"
            ) from error
        raise StopError(f"{PROGRAM}: can't set votes: {reason(error)}") from error
    return 0


def kill(options: Options, daemon: Daemon, err: TextIO) -> int:
    """cman_tool kill: every node that is named, whatever becomes of the others."""
    if not options.names:
        raise StopError(f"{PROGRAM}: No node name specified")
    failed = False
    for name in options.names:
        try:
            daemon.ask({"type": "kill", "nodename": name})
        except StandfastError as error:
            failed = True
            if error.code == "node-unknown":
                err.write(f"Can't kill node {name} : No such file or directory\n")
            else:
                err.write(f"kill node failed: {reason(error)}\n")
    return 1 if failed else 0


def set_debug(options: Options, daemon: Daemon) -> int:
    """cman_tool debug."""
    try:
        daemon.ask({"type": "debug", "mask": options.debug})
    except StandfastError as error:
        raise StopError(f"{PROGRAM}: can't set debug: {reason(error)}") from error
    return 0


def leave(options: Options, daemon: Daemon, out: TextIO) -> int:
    """cman_tool leave: returns when the cluster lets this node go, with -w when the daemon has ended."""
    limit_s = float(options.numbers["t"]) if options.numbers.get("t") else None
    deadline = None if limit_s is None else daemon.clock() + limit_s
    call = {"type": "leave", "remove": options.remove, "unless_busy": not options.force}
    try:
        for answer in daemon.converse(call, limit_s):
            text = progress_text(answer)
            if text is None:
                break
            if options.remove:
                out.write(f"{text}\n")
                out.flush()
            if not options.has("w"):
                break
        if not options.has("w"):
            if daemon.has_corosync:
                daemon.begin("down", (AFTER_LEAVE,))
            return 0
        while True:
            _wait_a_moment(daemon, deadline)
    except UnreachableError as error:
        if error.code == "daemon-timeout":
            raise StopError("Timed-out waiting for cluster", TIMED_OUT) from error
        if error.code not in ("daemon-died", "daemon-down") or not options.has("w"):
            raise StopError(f"{PROGRAM}: Error leaving cluster: {reason(error)}") from error
    except StandfastError as error:
        raise StopError(f"{PROGRAM}: Error leaving cluster: {reason(error)}") from error
    left = daemon.run("down", (AFTER_LEAVE,)) if daemon.has_corosync else ""
    if left:
        raise StopError(f"{PROGRAM}: left the cluster, but: {left}")
    return 0


def _wait_a_moment(daemon: Daemon, deadline: float | None) -> None:
    """Raise UnreachableError when the daemon has ended, StopError when there is no time left."""
    daemon.ask({"type": "status"}, None if deadline is None else max(0.001, deadline - daemon.clock()))
    if deadline is not None and daemon.clock() >= deadline:
        raise StopError("Timed-out waiting for cluster", TIMED_OUT)
    daemon.pause(POLL_S)
