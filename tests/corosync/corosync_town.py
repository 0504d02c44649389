"""A cluster on real corosync: machines of a lab, on which corosync and the daemon are started and ended by the test."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from standfast.errors import StandfastError
from standfast.lab import isolation
from standfast.lab.cluster import Lab, Wanted
from standfast.node.corosync_process import find_corosync
from standfast.wire.control import (
    Answer,
    Call,
    GetHistory,
    GetStatus,
    History,
    HistoryLine,
    Progress,
    Status,
    decode_answer,
    encode_call,
)

WAIT_S_MAX = 60.0  # longest time that a condition may take on a loaded machine
CALL_S_MAX = 90.0
TOKEN_MS = 1500

WRITE = """
import sys
from pathlib import Path
from standfast.node.corosync_process import read_cluster, write_conf
path = Path("/etc/cluster/cluster.conf")
write_conf(read_cluster(path), str(path), sys.argv[1], fallback=True)
"""

T = TypeVar("T")


def eventually(look: Callable[[], T | None], *, within_s: float = WAIT_S_MAX, what: str = "") -> T:
    """Return the first true value of `look`; fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what or 'it'} did not happen within {within_s:g} s"
        time.sleep(0.1)
    return found


class Machine:
    """One node."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.name = name
        self._lab = lab
        self.conf = lab.place.cluster_conf(name)
        self.corosync_conf = lab.place.root(name) / "etc/corosync/corosync.conf"

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command there."""
        done = self._lab.node(self.name).run(arguments, timeout_s=CALL_S_MAX)
        assert not check or done.returncode == 0, f"{self.name}: {arguments}: {done.stdout}{done.stderr}"
        return done

    def start(self) -> None:
        """Start corosync by its cluster.conf, and the daemon."""
        self.start_corosync()
        self.start_daemon()

    def start_corosync(self) -> None:
        """Start corosync by its cluster.conf, and wait until it answers."""
        self.run(sys.executable, "-c", WRITE, self.name)
        self.run("corosync", "-c", "/etc/corosync/corosync.conf")
        eventually(lambda: self.value("totem.cluster_name"), what=f"{self.name}: an answer of corosync")

    def start_daemon(self) -> None:
        """Start the daemon alone; its log goes to a file of the machine."""
        self.run(
            "sh",
            "-c",
            f"exec {sys.executable} -m standfast.node.daemon --engine corosync >>/run/standfast/log 2>&1",
        )

    def kill_daemon(self) -> None:
        """Kill the daemon alone."""
        self.run("sh", "-c", "kill -9 $(pgrep -f standfast.node.daemo[n])")

    def stop_corosync(self) -> None:
        """End corosync, and wait until it is gone."""
        self.run("sh", "-c", "pkill -x corosync; while pgrep -x corosync >/dev/null; do sleep 0.1; done")

    def runs(self, program: str) -> bool:
        """Whether a program runs there: corosync, or the daemon."""
        words = ("-f", "standfast.node.daemo[n]") if program == "standfastd" else ("-x", program)
        return self.run("pgrep", *words, check=False).returncode == 0

    @property
    def log(self) -> str:
        """What its daemons have logged."""
        with suppress(OSError):
            return (self._lab.place.root(self.name) / "run/standfast/log").read_text()
        return ""

    def value(self, key: str) -> str:
        """Return a value of its corosync's map, "" where it has none."""
        said = self.run("corosync-cmapctl", "-g", key, check=False).stdout
        return said.partition(" = ")[2].strip()

    def wait_value(self, key: str, value: str) -> None:
        """Wait until its corosync's map has this value, "" for none."""
        eventually(lambda: self.value(key) == value, what=f'{self.name}: {key} "{value}"')

    def wait_quorum(self, expected: int, quorum: int) -> None:
        """Wait until its corosync counts so."""
        eventually(lambda: self.quorum() == (expected, quorum), what=f"{self.name}: {quorum} of {expected}")

    def ask(self, call: Call) -> Answer:
        """Call the daemon and return the answer that is not progress."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(CALL_S_MAX)
            connection.connect(str(self._lab.place.control_socket(self.name)))
            connection.sendall(encode_call(call))
            with connection.makefile("rb") as lines:
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

    def members(self) -> set[str]:
        """Return the nodes whose daemons take part, as its own daemon sees it; none while it has no quorum."""
        status = self.status()
        if status is None or not status.quorate or not status.synced:
            return set()
        return {node.name for node in status.nodes if node.manager}

    def has_members(self, names: set[str]) -> bool:
        """Whether these and no others are members."""
        return self.members() == names

    def note(self) -> str:
        """Return what is not as it should be with this node, as its daemon says."""
        status = self.status()
        return "" if status is None else next(node.note for node in status.nodes if node.local)

    def wait_conf(self, text: str) -> None:
        """Wait until this is its cluster.conf."""
        eventually(lambda: self.conf.read_text() == text, what=f"{self.name}: its cluster.conf")

    def wait_off(self) -> None:
        """Wait until neither corosync nor a daemon runs there."""
        eventually(lambda: not self.runs("corosync") and not self.runs("standfastd"), what=f"{self.name} off")

    def wait_note(self) -> str:
        """Wait until something is not as it should be with this node, and return what."""
        return eventually(self.note, what=f"{self.name}: a note")

    def wait_no_note(self) -> None:
        """Wait until all is as it should be with this node."""
        eventually(lambda: self.note() == "", what=f"{self.name}: no note")

    def history(self) -> tuple[HistoryLine, ...]:
        """Return what its daemon remembers."""
        answer = self.ask(GetHistory(10_000))
        assert isinstance(answer, History)
        return answer.lines

    def wait_event(self, event: str, text: str) -> None:
        """Wait until its daemon has told this."""
        eventually(
            lambda: any(line.event == event and line.text == text for line in self.history()),
            what=f"{self.name}: {event} {text}",
        )

    def quorum(self) -> tuple[int, int]:
        """Return the expected votes and the quorum, as its corosync counts."""
        lines = self.run("corosync-quorumtool", "-s", check=False).stdout.splitlines()
        words = dict(line.split(":", 1) for line in lines if ":" in line)
        return int(words.get("Expected votes", "0")), int(words.get("Quorum", "0").split()[0])


class Town:
    """The machines; those that a test does not start are only there."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.machines = [Machine(lab, machine.name) for machine in lab.plan().machines]

    def conf(
        self,
        count: int,
        *,
        version: int = 1,
        token_ms: int = TOKEN_MS,
        votes: int = 1,
        links: int = 1,
        more: str = "",
    ) -> str:
        """Return a cluster.conf of the first `count` machines; `votes` are those of the first one."""
        nodes = "".join(
            f'<clusternode name="{machine.name}" votes="{votes if number == 1 else 1}" nodeid="{number}">'
            f'<fence><method name="single"><device name="power" port="{machine.name}"/></method></fence>'
            + "".join(f'<altname name="{machine.name}-{link}"/>' for link in range(1, links))
            + "</clusternode>\n"
            for number, machine in enumerate(self.machines[:count], 1)
        )
        cman = '<cman two_node="1" expected_votes="1"/>' if count == 2 else "<cman/>"
        return f"""<?xml version="1.0"?>
<cluster name="town" config_version="{version}">
<clusternodes>{nodes}</clusternodes>
{cman}<totem token="{token_ms}"/>
<fence_daemon post_join_delay="30"/>
<fencedevices><fencedevice name="power" agent="fence_lab" ipaddr="{self.lab.place.power}"/></fencedevices>
<rm><service name="web"><script name="web" file="/bin/true"/></service></rm>
{more}
</cluster>
"""

    def place(self, conf: str, machines: Sequence[Machine]) -> None:
        """Put a cluster.conf onto machines."""
        for machine in machines:
            machine.conf.write_text(conf)

    def start(self, conf: str, count: int) -> list[Machine]:
        """Start the first `count` machines with this file; returns them when all are members."""
        started = self.machines[:count]
        self.place(conf, started)
        for machine in started:
            machine.start_corosync()
        for machine in started:
            machine.start_daemon()
        self.wait_members(started)
        return started

    def wait_members(self, machines: Sequence[Machine]) -> None:
        """Wait until these machines, and no others, are members for each of them."""
        names = {machine.name for machine in machines}
        for machine in machines:
            eventually(partial(machine.has_members, names), what=f"{machine.name}: members {sorted(names)}")

    def update(self, machine: Machine, conf: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Propose a file by ccs_tool update."""
        return machine.run("ccs_tool", "update", self._proposed(machine, conf), check=check)

    def begin_update(self, machine: Machine, conf: str) -> None:
        """Propose a file, and do not wait for what becomes of it."""
        machine.run("sh", "-c", f"ccs_tool update {self._proposed(machine, conf)} >/dev/null 2>&1 &")

    def reconfigure(
        self, machine: Machine, conf: str, *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Stop everything for a file by standfast reconfigure."""
        return machine.run("standfast", "reconfigure", "--yes", self._proposed(machine, conf), check=check)

    def _proposed(self, machine: Machine, conf: str) -> str:
        (self.lab.place.root(machine.name) / "run/standfast/proposed.conf").write_text(conf)
        return "/run/standfast/proposed.conf"


@contextmanager
def corosync_town(count: int) -> Iterator[Town]:
    """Make a lab of so many machines, with nothing started on them; everything goes away with the block."""
    reason = isolation.reason_against()
    if os.geteuid() != 0:
        reason = reason or "they need root"
    try:
        find_corosync()
    except StandfastError as failure:
        reason = reason or str(failure)
    if reason:
        pytest.skip(f"nodes on corosync cannot be here: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="sfc-", dir="/tmp"))
    try:
        wanted = Wanted(directory=folder / "lab", nodes=count, start_daemons=False, corosync=True)
        with Lab.up(wanted) as lab:
            town = Town(lab)
            try:
                yield town
            except BaseException:
                for machine in town.machines:
                    print(f"--- {machine.name}\n{machine.log}")
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
