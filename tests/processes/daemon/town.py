"""A small cluster of real daemons on this machine: sequencer, machines, power controller, and services that are scripts."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.contract.agents.power_socket import PowerSocket, power_socket

from standfast.wire.control import (
    Answer,
    Call,
    GetHistory,
    GetStatus,
    History,
    HistoryLine,
    NodeStatus,
    Progress,
    ServiceStatus,
    Status,
    decode_answer,
    encode_call,
)
from standfast.wire.paths import paths_under

WAIT_S_MAX = 30.0  # longest time that a condition may take on a loaded machine
CALL_S_MAX = 60.0

HOLD = """
import asyncio, sys
from standfast.engine.host import hold_host
asyncio.run(hold_host(sys.argv[1], int(sys.argv[2])))
"""

SCRIPT = """#!/bin/sh
# A service: a process that sleeps. Notes each call in the node's own files.
place="$STANDFAST_PREFIX/service-%(name)s"
echo "$1 $$" >>"$place.calls"
%(extra)s
case "$1" in
start)
  grep -q "^State:.[^Z]" "/proc/$(cat "$place.pid")/status" 2>/dev/null && exit 0
  setsid sleep 1000 </dev/null >/dev/null 2>&1 &
  echo $! >"$place.pid"
  ;;
stop)
  [ -f "$place.pid" ] || exit 0
  kill -9 "$(cat "$place.pid")" 2>/dev/null
  rm -f "$place.pid"
  ;;
status) grep -q "^State:.[^Z]" "/proc/$(cat "$place.pid")/status" 2>/dev/null ;;
esac
"""

T = TypeVar("T")


def eventually(look: Callable[[], T | None], *, within_s: float = WAIT_S_MAX, what: str = "") -> T:
    """Return the first true value of `look`; fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what or 'it'} did not happen within {within_s:g} s"
        time.sleep(0.02)
    return found


class Node:
    """One node: its files, its machine, its daemon."""

    def __init__(self, town: "Town", name: str, nodeid: int) -> None:
        self.name = name
        self.nodeid = nodeid
        self.root = town.folder / name
        self.boot_id = f"{name}-boot-1"
        self.daemon: subprocess.Popen[bytes] | None = None
        self._town = town
        self.machine: subprocess.Popen[bytes] | None = None
        self._paths = paths_under(str(self.root))
        self.conf.parent.mkdir(parents=True)

    @property
    def conf(self) -> Path:
        """Its cluster.conf."""
        return Path(self._paths.cluster_conf)

    @property
    def log(self) -> str:
        """What its daemons have logged."""
        return (self._town.folder / f"{self.name}.log").read_text()

    @property
    def run_dir(self) -> Path:
        """What it keeps for a boot."""
        return Path(self._paths.run_dir)

    @property
    def state_dir(self) -> Path:
        """What it keeps."""
        return Path(self._paths.state_dir)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a program on this node."""
        return {
            "PATH": os.environ["PATH"],
            "STANDFAST_PREFIX": str(self.root),
            "STANDFAST_BOOT_ID": self.boot_id,
        }

    def power_on(self) -> None:
        """Boot the machine: it answers, and nothing of it runs."""
        self.machine = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(self._town.sequencer_path), str(self.nodeid)],
            stderr=subprocess.DEVNULL,
        )

    def power_off(self) -> None:
        """End everything that runs on the machine, at once."""
        for process in (self.machine, self.daemon):
            if process is not None:
                process.kill()
                process.wait()
        self.machine = self.daemon = None
        kill_marked(f"STANDFAST_PREFIX={self.root}")

    def freeze(self) -> None:
        """Let the machine stand still, with all that runs on it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for pid in marked(f"STANDFAST_PREFIX={self.root}"):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if self.machine is not None:
            self.machine.send_signal(number)

    def start(self, *options: str, log: str = "") -> subprocess.Popen[bytes]:
        """Start the daemon."""
        with (self._town.folder / (log or f"{self.name}.log")).open("ab") as output:
            self.daemon = subprocess.Popen(
                self._town.command(self.name, *options),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self.daemon

    def kill(self) -> None:
        """Kill the daemon alone."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell the daemon to end, and return its status."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        return self.daemon.wait(WAIT_S_MAX)

    def connect(self) -> socket.socket:
        """Open a connection to the daemon's control socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(CALL_S_MAX)
        connection.connect(self._paths.control_socket)
        return connection

    def ask(self, call: Call) -> Answer:
        """Call the daemon and return the answer that is not progress."""
        with self.connect() as connection, connection.makefile("rb") as lines:
            connection.sendall(encode_call(call))
            for line in lines:
                answer = decode_answer(line)
                if not isinstance(answer, Progress):
                    return answer
        raise ConnectionResetError("the daemon hung up without an answer")

    def status(self) -> Status | None:
        """Return its view of the cluster, None while it does not answer."""
        with suppress(OSError):
            answer = self.ask(GetStatus())
            assert isinstance(answer, Status)
            return answer
        return None

    def sees(self, name: str) -> NodeStatus | None:
        """Return what it says of a node."""
        status = self.status()
        return None if status is None else next((n for n in status.nodes if n.name == name), None)

    def service(self, name: str) -> ServiceStatus | None:
        """Return what it says of a service."""
        status = self.status()
        services = () if status is None else status.services or ()
        return next((s for s in services if s.name == f"service:{name}"), None)

    def history(self) -> tuple[HistoryLine, ...]:
        """Return what it remembers."""
        answer = self.ask(GetHistory(10_000))
        assert isinstance(answer, History)
        return answer.lines

    def takes_part(self) -> bool:
        """Whether its present daemon takes part in the cluster."""
        lines = self._told()
        begun = max((n for n, line in enumerate(lines) if line.event == "daemon.started"), default=len(lines))
        return any(line.event == "member.online" and line.subject == self.name for line in lines[begun:])

    def knows(self, name: str) -> bool:
        """Whether it takes part itself, and has heard of nothing that keeps the node from it."""
        heard = [
            line.event for line in self._told() if line.subject == name and line.event.startswith("member.")
        ]
        return self.takes_part() and heard[-1:] in ([], ["member.online"])

    def _told(self) -> tuple[HistoryLine, ...]:
        with suppress(OSError):
            return self.history()
        return ()

    def calls(self, service: str) -> list[str]:
        """Return the operations that the service's script was asked for here, in order."""
        with suppress(FileNotFoundError):
            return [line.split()[0] for line in self._calls(service)]
        return []

    def runs(self, service: str) -> bool:
        """Whether the service's process is alive here."""
        with suppress(FileNotFoundError, ValueError):
            return is_alive(self.pid_of(service))
        return False

    def pid_of(self, service: str) -> int:
        """Return the service's process."""
        return int((self.root / f"service-{service}.pid").read_text())

    def _calls(self, service: str) -> list[str]:
        return (self.root / f"service-{service}.calls").read_text().splitlines()


class Town:
    """All nodes, and what they share."""

    def __init__(self, folder: Path, names: Sequence[str], power: PowerSocket) -> None:
        self.folder = folder
        self.power = power
        self.sequencer_path = folder / "seq.sock"
        self.nodes = [Node(self, name, number) for number, name in enumerate(names, 1)]
        power.power = dict.fromkeys(names, "on")
        power.answer = self._switch
        self._sequencer = subprocess.Popen(
            [sys.executable, "-m", "standfast.engine.sequencer", str(self.sequencer_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._sequencer.stdout is not None
        assert self._sequencer.stdout.readline()

    def command(self, name: str, *options: str) -> list[str]:
        """Return the command line of a node's daemon."""
        program = [sys.executable, "-m", "standfast.node.daemon", "--foreground", "--name", name]
        return [*program, "--engine", "local", "--sequencer", str(self.sequencer_path), *options]

    def script(self, name: str, extra: str = "", *, text: str = SCRIPT) -> Path:
        """Make the script of a service; `extra` runs before each operation."""
        path = self.folder / f"{name}.sh"
        path.write_text(text % {"name": name, "extra": extra})
        path.chmod(0o755)
        return path

    def conf(self, services: str = "", *, version: int = 1, rm: str = "", daemon: str = "") -> str:
        """Return a cluster.conf with these services."""
        names = [node.name for node in self.nodes]
        nodes = "".join(
            f'<clusternode name="{name}" votes="1" nodeid="{number}"><fence><method name="power">'
            f'<device name="power" plug="{name}"/></method></fence></clusternode>\n'
            for number, name in enumerate(names, 1)
        )
        cman = '<cman two_node="1" expected_votes="1"/>' if len(names) == 2 else "<cman/>"
        return f"""<?xml version="1.0"?>
<cluster name="town" config_version="{version}">
<clusternodes>{nodes}</clusternodes>
{cman}
<fence_daemon post_join_delay="3" {daemon}/>
<fencedevices><fencedevice name="power" agent="fence_lab" ip="{self.power.path}" power_timeout="5"/></fencedevices>
<rm {rm}>{services}</rm>
</cluster>
"""

    def service(self, name: str, extra: str = "", attributes: str = "") -> str:
        """Make a service's script, and return its element."""
        path = self.script(name, extra)
        return f'<service name="{name}" {attributes}><script name="{name}" file="{path}"/></service>\n'

    def start(self, conf: str) -> None:
        """Give every node this file, power it on, and start its daemon; returns when all take part."""
        for node in self.nodes:
            node.conf.write_text(conf)
            node.power_on()
            node.start()
        for node in self.nodes:
            self.wait_online(node)

    def wait_online(self, node: Node) -> None:
        """Wait until a node's present daemon takes part, and every other one knows."""
        eventually(node.takes_part, what=f"{node.name} to take part")
        for other in self.nodes:
            if other.daemon is not None and other.daemon.poll() is None:
                eventually(partial(other.knows, node.name), what=f"{other.name} to see {node.name}")

    def owner(self, service: str) -> Node:
        """Wait until a service is started, and return where."""

        def look() -> Node | None:
            for node in self.nodes:
                found = node.service(service)
                if found is not None and found.state == "started":
                    return next(n for n in self.nodes if n.name == found.owner)
            return None

        return eventually(look, what=f"the start of {service}")

    def other(self, node: Node) -> Node:
        """Return another node."""
        return next(n for n in self.nodes if n is not node)

    def close(self) -> None:
        """End everything."""
        for daemon in [node.daemon for node in self.nodes if node.daemon is not None]:
            daemon.kill()  # all of them before the first is missed by another
        for node in self.nodes:
            node.power_off()
        self._sequencer.kill()
        with self._sequencer:
            self._sequencer.wait()

    def _switch(self, action: str, name: str) -> str | None:
        node = next((n for n in self.nodes if n.name == name), None)
        if node is not None and action == "off":
            if all(other.daemon is None for other in self.nodes if other is not node):
                return "error whoever asked is off by now"
            node.power_off()
        return self.power.obey(action, name)


@contextmanager
def town(*names: str) -> Iterator[Town]:
    """Make a cluster of these nodes, with nothing started; everything goes away with the block."""
    folder = Path(tempfile.mkdtemp(prefix="sf-", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        made = Town(folder, names or ("vapp1", "vapp2"), stack.enter_context(power_socket(folder / "power")))
        stack.callback(made.close)
        try:
            yield made
        except BaseException:
            for log in sorted(folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()}")
            raise


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not only its corpse."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def marked(mark: str) -> list[int]:
    """Return the processes with this variable in their environment."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _has(pid, mark)]  # noqa: PTH208


def kill_marked(mark: str) -> None:
    """Kill every process that was started with this variable in its environment."""
    while found := marked(mark):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _has(pid: int, mark: str) -> bool:
    try:
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
