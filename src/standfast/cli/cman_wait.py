"""cman_tool wait: returns when the daemon answers, with -q when the cluster is quorate.

Source: spec membership, section 9.7.
"""

from __future__ import annotations

from standfast.cli.cman_daemon import TIMED_OUT, StopError

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from standfast.cli.cman_daemon import Daemon
    from standfast.cli.cman_options import Options

POLL_S = 1.0  # pause between two looks, as cman_tool has it


def wait(options: Options, daemon: Daemon) -> int:
    """Wait as long as -t allows, without it for ever; raises StopError where the daemon is not there or goes away."""
    limit_s = options.numbers.get("t", 0)
    deadline = daemon.clock() + limit_s if limit_s else None
    cluster = daemon.cluster()
    while options.has("q") and not cluster.quorate:
        left_s = POLL_S if deadline is None else min(POLL_S, deadline - daemon.clock())
        if left_s <= 0:
            raise StopError("Timed-out waiting for cluster", TIMED_OUT)
        daemon.pause(left_s)
        cluster = daemon.cluster()
    return 0
