"""standfast: one command for what RHCS never had, and a door to the rest.

Each word's code is loaded when it is used, since the command as a whole would start slowly.
"""

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from standfast.cli.entry import run_command

PROGRAM = "standfast"

USAGE = """\
usage: standfast <word> [<options>]
    status             Show members and services, as clustat does, and what is being waited for
    history            Show this node's recent decisions and events
    doctor             Say what is wrong with this node, and what to do
    check [<file>]     Say whether a cluster.conf is valid, and if not, where
    ports [<file>]     Show the ports that a cluster's firewalls must let through
    keygen [<file>]    Make the key that the nodes of a cluster share
    up                 Start this node: corosync, the daemon, and its part in the cluster
    down               Stop this node: services, the daemon, corosync
    reconfigure <file> Stop the whole cluster for a cluster.conf that it cannot take while it runs
    leave              Stop this node's services, leave the cluster and end the daemon
    lab <word>         Run a whole cluster on this machine, to play with
    --version          Print the version and exit
    --help             Print this text and exit

"standfast <word> --help" says more. The commands of old are there as well: clustat, clusvcadm, ccs_tool,
fence_ack_manual.

"""


def main(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run the word that `argv` begins with and return its exit status."""
    word, rest = (argv[0], argv[1:]) if argv else ("", argv)
    match word:
        case "--help" | "-h" | "help":
            out.write(USAGE)
            return 0
        case "--version" | "-V" | "-v":
            from importlib.metadata import version

            out.write(f"{PROGRAM} {version('standfast')}\n")
            return 0
        case "status":
            from standfast.cli import clustat, status

            return status.main(rest, clustat.ask_here, out, err, clustat.screen_on(out))
        case "history":
            from standfast.cli import client, history

            return history.main(rest, client.daemon_of(os.environ), out, err)
        case "leave":
            from standfast.cli import client, leave

            return leave.main(rest, client.daemon_of(os.environ), out, err)
        case "reconfigure":
            from standfast.cli import reconfigure

            return reconfigure.run_here(rest, out, err)
        case "check":
            from standfast.cli import check

            return check.main(rest, out, err)
        case "doctor":
            from standfast.cli import client, doctor, examination

            ask = client.daemon_of(os.environ)
            return doctor.main(rest, lambda: examination.gather(ask, os.environ), out, err)
        case "ports":
            from standfast.cli import ports

            return ports.main(rest, out, err)
        case "lab":
            return _become("standfast.lab", rest, err)
        case "up" | "down" | "keygen":
            return _become(f"standfast.node.{word}", rest, err)
        case "":
            err.write(USAGE)
            return 1
        case _:
            err.write(f'{PROGRAM}: there is no word "{word}"; "standfast --help" lists them\n')
            return 1


def run() -> int:
    """Run standfast as a program."""
    return run_command(PROGRAM, lambda out, err: main(sys.argv[1:], out, err))


def _become(module: str, argv: Sequence[str], err: TextIO) -> int:
    """Turn this process into a program of a room that the commands cannot import."""
    command = [sys.executable, "-m", module, *argv]
    try:
        os.execv(sys.executable, command)
    except OSError as error:
        err.write(f"{PROGRAM}: {sys.executable}: {error.strerror}; install Python and standfast anew\n")
    return 1
