"""cman_tool: the cluster's membership and votes, shown and changed, with the words, layouts and exit codes of the original.

Source: spec membership, sections 2, 5, 8 and 9. Loads little, because scripts call it often: see cman_snapshot.py.
"""

from __future__ import annotations

import os
import sys

from standfast.cli.cman_daemon import PROGRAM, StopError, daemon_here
from standfast.cli.cman_options import UsageError, read_options
from standfast.cli.cman_text import render_formatted, render_nodes, render_services, render_status
from standfast.cli.entry import run_command
from standfast.cli.line import PREFIX_VARIABLE

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

    from standfast.cli.cman_daemon import Daemon
    from standfast.cli.cman_options import Options
    from standfast.cli.cman_snapshot import Cluster

NOT_MEMBER = "Error getting extra info: Node is not yet a cluster member"


def main(argv: Sequence[str], daemon: Daemon, out: TextIO, err: TextIO, *, conf: str) -> int:
    """Run the command and return its exit status; `conf` is the path of this node's cluster.conf."""
    try:
        options = read_options(PROGRAM, argv)
        if options.has("V"):
            out.write(_version())
            return 0
        if options.has("h"):
            from standfast.cli.cman_usage import usage

            out.write(usage(options.operation))
            return 0
        return _operate(options, daemon, out, err, conf)
    except UsageError as error:
        err.write(f"{error}\n")
        return 1
    except StopError as error:
        err.write(f"{error.text}\n")
        return error.status


def run() -> int:
    """Run cman_tool as a program."""
    conf = f"{os.environ.get(PREFIX_VARIABLE, '').rstrip('/')}/etc/cluster/cluster.conf"
    return run_command(PROGRAM, lambda out, err: main(sys.argv[1:], daemon_here(), out, err, conf=conf))


def _operate(options: Options, daemon: Daemon, out: TextIO, err: TextIO, conf: str) -> int:
    operation = options.operation
    if operation in ("status", "nodes", "services"):
        return _show(options, daemon.cluster(), out)
    if operation == "wait":
        from standfast.cli.cman_wait import wait

        return wait(options, daemon)
    if operation == "version":
        from standfast.cli.cman_version import version

        return version(options, daemon, conf, out, err)
    if operation == "join":
        from standfast.cli.cman_join import join

        return join(options, daemon, conf, err)
    return _change(options, daemon, out, err)


def _show(options: Options, cluster: Cluster, out: TextIO) -> int:
    if options.operation == "status":
        if cluster.joining:
            raise StopError(NOT_MEMBER)
        out.write(render_status(cluster))
    elif options.operation == "services":
        out.write(render_services(cluster))
    else:
        rows = [row for row in cluster.rows if not options.names or row.name in options.names]
        if "F" in options.texts:
            out.write(render_formatted(rows, options.texts["F"]))
        else:
            out.write(render_nodes(rows, addresses=options.has("a"), fencing=options.has("f")))
    return 0


def _change(options: Options, daemon: Daemon, out: TextIO, err: TextIO) -> int:
    from standfast.cli import cman_change

    changes: dict[str | None, Callable[[], int]] = {
        "leave": lambda: cman_change.leave(options, daemon, out),
        "kill": lambda: cman_change.kill(options, daemon, err),
        "expected": lambda: cman_change.set_expected(options, daemon),
        "votes": lambda: cman_change.set_votes(options, daemon),
        "debug": lambda: cman_change.set_debug(options, daemon),
    }
    return changes[options.operation]()


def _version() -> str:
    import time
    from importlib.metadata import version

    built = time.strftime("%b %d %Y %H:%M:%S", time.localtime(os.stat(__file__).st_mtime))  # noqa: PTH116
    return (
        f"{PROGRAM} {version('standfast')} (built {built})\n"
        "Copyright the Standfast authors; licensed under the Apache License 2.0\n"
    )
