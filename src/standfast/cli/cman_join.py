"""cman_tool join: checks the command line and the file as the original did, and starts corosync and the daemon.

Source: spec membership, sections 2, 9.1 and 9.2.
"""

from __future__ import annotations

from standfast.cli.cman_daemon import NOT_RUNNING, PROGRAM, StopError

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from typing import TextIO

    from standfast.cli.cman_daemon import Daemon
    from standfast.cli.cman_options import Options

ELSEWHERE = {
    "v": "votes come from cluster.conf; use 'cman_tool votes'",
    "2": 'two-node mode comes from cluster.conf: <cman two_node="1" expected_votes="1"/>',
    "X": "a node needs a cluster.conf; make one with: ccs_tool create",
    "N": "node ids come from cluster.conf: <clusternode nodeid=...>",
    "e": "expected votes come from cluster.conf; use 'cman_tool expected'",
    "k": "the key comes from cluster.conf: <cman keyfile=...>",
    "m": "addresses come from cluster.conf",
    "p": "the port comes from cluster.conf: <cman port=...>",
}
"""Options that would give this node other values than the rest of the cluster has, and where those come from."""


def join(options: Options, daemon: Daemon, conf: str, err: TextIO) -> int:
    """Check the command line and the file, start the node, and with -q wait for quorum. Raises StopError."""
    if options.has("2") and options.numbers.get("e", 1) != 1:
        text = f"expected_votes value ({options.numbers['e']}) invalid in two node mode"
        raise StopError(f"{PROGRAM}: {text}")
    for letter, text in ELSEWHERE.items():
        if options.has(letter):
            raise StopError(f"{PROGRAM}: cannot join: {text}")
    if _is_active(daemon):
        raise StopError(f"{PROGRAM}: Node is already active")
    name = options.names[0] if options.names else None
    _check_file(options, conf, name, err)
    reason = daemon.run("up", ("--no-wait", *(("--name", name) if name is not None else ())))
    if reason:
        raise StopError(f"{PROGRAM}: cannot join: {reason}")
    if options.has("q"):
        from standfast.cli.cman_wait import wait

        return wait(options, daemon)
    return 0


def _is_active(daemon: Daemon) -> bool:
    try:
        daemon.cluster()
    except StopError as error:
        return error.text != NOT_RUNNING
    return True


def _check_file(options: Options, conf: str, name: str | None, err: TextIO) -> None:
    from standfast.cli.cman_version import read_checked
    from standfast.conf.load import load

    text, _ = read_checked(options, conf, err, "Not joining, configuration is not valid")
    cluster = load(conf, text.encode()).cluster
    assert cluster is not None
    if options.has("c") and options.texts["c"] != cluster.name:
        raise StopError(
            f"{PROGRAM}: cannot join: Cluster name in CCS does not match that passed to cman_tool"
        )
    if name is not None and all(node.name != name for node in cluster.nodes):
        raise StopError(f"{PROGRAM}: cannot join: Overridden node name is not in CCS")
