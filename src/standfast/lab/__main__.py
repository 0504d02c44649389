"""standfast lab: a whole cluster on this machine, to play with."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from msgspec import json

from standfast.errors import StandfastError
from standfast.lab import session, starting
from standfast.lab.calls import DaemonAction
from standfast.lab.cluster import Lab, Wanted
from standfast.lab.plan import CORE, NODES_MAX, default_directory
from standfast.lab.text import render_status

_FOLLOW_S = 0.1
_KEPT_VARIABLES = ("TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "NO_COLOR")
_SHELL = ("bash", "--norc", "--noprofile", "-i")
_PROMPT = r"[\u@\h \W]\$ "


def main(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Carry out one command; returns the exit status."""
    options = _parser().parse_args(argv)
    directory: Path = (options.dir or default_directory(os.environ, os.geteuid())).absolute()
    command: Callable[[argparse.Namespace, Lab, TextIO], int] = options.command
    try:
        return command(options, Lab(directory), out)
    except session.NotBegunError as failure:
        print(f"standfast lab: {failure}", file=err)
        return failure.status
    except session.MachineLostError as failure:
        print(f"standfast lab: {failure}", file=err)
        return session.LOST_POWER
    except StandfastError as failure:
        print(f"standfast lab: {failure}", file=err)
        return 1
    except KeyboardInterrupt:
        print("standfast lab: interrupted", file=err)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="standfast lab",
        description="A whole cluster on this machine: nodes with their own network, files and processes.",
        allow_abbrev=False,
    )
    place = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    for one in (parser, place):
        one.add_argument("--dir", type=Path, help="the lab's folder, for several labs at once")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(
        name: str, command: Callable[[argparse.Namespace, Lab, TextIO], int], text: str
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text, allow_abbrev=False, parents=[place])
        one.set_defaults(command=command)
        return one

    up = add("up", _up, "start the lab")
    up.add_argument(
        "--nodes", type=int, metavar="N", help=f"how many nodes, 1 to {NODES_MAX} (default 2, or as in FILE)"
    )
    up.add_argument(
        "--config", type=Path, metavar="FILE", help="the nodes' cluster.conf (default: made for the lab)"
    )
    up.add_argument(
        "--engine",
        choices=("local", "corosync"),
        default="local",
        help="the embedded engine, or corosync 3 as root",
    )
    up.add_argument("--no-daemons", action="store_true", help="boot the nodes without starting their daemons")
    up.add_argument(
        "--no-namespaces", action="store_true", help="use loopback addresses even if namespaces are allowed"
    )
    status = add("status", _status, "show the machines, their power, daemons and addresses, and what is cut")
    status.add_argument("--json", action="store_true", help="for programs")
    execute = add("exec", _exec, f"run a command on a node, or on the client's machine, {CORE}")
    execute.add_argument("node", metavar="NODE")
    execute.add_argument("arguments", nargs=argparse.REMAINDER, metavar="COMMAND...")
    for name, command, text in (
        ("shell", _shell, "open a shell on a node"),
        ("kill", _kill, "pull a node's plug: all its processes die at once"),
        ("freeze", _freeze, "stop all processes of a node where they stand"),
        ("thaw", _thaw, "let a frozen node go on"),
        ("power-on", _power_on, "switch a node on"),
    ):
        add(name, command, text).add_argument("node", metavar="NODE")
    daemon = add("daemon", _daemon, "start, stop (SIGTERM) or kill (SIGKILL) a node's daemon alone")
    daemon.add_argument("node", metavar="NODE")
    daemon.add_argument("action", choices=list(DaemonAction))
    cut = add("cut", _cut, "break the link between two nodes")
    cut.add_argument("one", metavar="A")
    cut.add_argument("other", metavar="B")
    add("heal", _heal, "mend all links")
    logs = add("logs", _logs, "show what the daemons said, all of them or one node's")
    logs.add_argument("node", nargs="?", metavar="NODE")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as lines are added")
    add("down", _down, "remove the lab: processes, namespaces and files")
    return parser


def _up(options: argparse.Namespace, lab: Lab, out: TextIO) -> int:
    wanted = Wanted(
        directory=lab.place.directory,
        nodes=options.nodes,
        config=options.config,
        isolated=not options.no_namespaces,
        start_daemons=not options.no_daemons,
        corosync=options.engine == "corosync",
    )
    started = Lab.up(wanted, lambda text: print(text, file=out, flush=True))
    started.release()
    print(
        f"the lab is up in {lab.place.directory}; try: standfast lab exec {_first_node(started)} clustat",
        file=out,
    )
    return 0


def _first_node(lab: Lab) -> str:
    return lab.plan().machines[0].name


def _status(options: argparse.Namespace, lab: Lab, out: TextIO) -> int:
    status = lab.status()
    out.write(
        json.format(json.encode(status), indent=2).decode() + "\n" if options.json else render_status(status)
    )
    return 0


def _exec(options: argparse.Namespace, lab: Lab, _out: TextIO) -> int:
    arguments = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    if not arguments:
        raise StandfastError(
            f"no command to run on {options.node}; add one, such as: clustat", code="lab-usage"
        )
    return _attach(lab, options.node, arguments, {}, None)


def _shell(options: argparse.Namespace, lab: Lab, _out: TextIO) -> int:
    return _attach(lab, options.node, _SHELL, {"PS1": _PROMPT}, os.environ.get("HOME", "/"))


def _attach(
    lab: Lab, node: str, arguments: Sequence[str], more: dict[str, str], directory: str | None
) -> int:
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    status = session.attach(lab.node(node).start, arguments, kept | more, directory)
    return status if status >= 0 else 128 - status


def _kill(options: argparse.Namespace, lab: Lab, _out: TextIO) -> int:
    lab.kill(options.node)
    return 0


def _freeze(options: argparse.Namespace, lab: Lab, _out: TextIO) -> int:
    lab.freeze(options.node)
    return 0


def _thaw(options: argparse.Namespace, lab: Lab, _out: TextIO) -> int:
    lab.thaw(options.node)
    return 0


def _power_on(options: argparse.Namespace, lab: Lab, _out: TextIO) -> int:
    lab.power_on(options.node)
    return 0


def _daemon(options: argparse.Namespace, lab: Lab, _out: TextIO) -> int:
    lab.operate_daemon(options.node, DaemonAction(options.action))
    return 0


def _cut(options: argparse.Namespace, lab: Lab, _out: TextIO) -> int:
    lab.cut(options.one, options.other)
    return 0


def _heal(_options: argparse.Namespace, lab: Lab, _out: TextIO) -> int:
    lab.heal()
    return 0


def _logs(options: argparse.Namespace, lab: Lab, out: TextIO) -> int:
    lab.plan()  # where no lab is, there are no logs
    path = lab.place.log(options.node or "all")
    if not path.exists():
        lab.check_machine(options.node or CORE)
        return 0
    with path.open(encoding="utf-8", errors="replace") as file:
        while True:
            running = starting.is_running(lab.place)
            out.writelines(iter(lambda: file.read(65536), ""))
            out.flush()
            if not options.follow or not running:
                return 0
            time.sleep(_FOLLOW_S)


def _down(_options: argparse.Namespace, lab: Lab, out: TextIO) -> int:
    if starting.is_running(lab.place):
        lab.down()
        return 0
    if starting.remove_leftovers(lab.place):
        print(f"no lab runs in {lab.place.directory}; what was left of one is removed", file=out)
        return 0
    raise lab.not_running()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
