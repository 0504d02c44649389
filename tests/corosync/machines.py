"""Machines in namespaces with real addresses, on which nodes are started and stopped by hand as on real ones."""

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, TypeVar

import pytest
from tests.corosync.lone_node import reason_against

from standfast.lab import isolation
from standfast.lab.cluster import Lab, Wanted

RUN_S_MAX = 90.0  # longest run of one command
WAIT_S_MAX = 30.0
UP = ("standfast", "up", "--wait-quorum", "30")
DOWN = ("standfast", "down")

SCRIPT = """#!/bin/sh
# A service: a process that sleeps. Its stop takes a moment, so that it can be watched.
case "$1" in
start) setsid sleep 4321 </dev/null >/dev/null 2>&1 & echo $! >/run/web.pid ;;
stop) [ -f /run/web.pid ] || exit 0; sleep 1.5; kill -9 "$(cat /run/web.pid)"; rm -f /run/web.pid ;;
status) grep -q "^State:.[^Z]" "/proc/$(cat /run/web.pid)/status" 2>/dev/null ;;
esac
"""
SERVICE = '<service autostart="1" name="web"><script name="web" file="/etc/init.d/web"/></service>'

T = TypeVar("T")


def eventually(look: Callable[[], T | None], *, what: str, within_s: float = WAIT_S_MAX) -> T:
    """Return the first true value of `look`; fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s:g} s"
        time.sleep(0.1)
    return found


class Machine:
    """One machine, switched on, on which nothing of the cluster runs yet."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.root = lab.place.root(name)  # what this machine has for itself

    @property
    def conf(self) -> Path:
        """Its cluster.conf."""
        return self.root / "etc/cluster/cluster.conf"

    @property
    def corosync_conf(self) -> Path:
        """Its corosync.conf."""
        return self.root / "etc/corosync/corosync.conf"

    @property
    def key(self) -> Path:
        """Its key."""
        return self.root / "etc/cluster/authkey"

    def run(self, *arguments: str, timeout_s: float = RUN_S_MAX) -> CompletedProcess[str]:
        """Run a command there."""
        return self.lab.node(self.name).run(arguments, timeout_s=timeout_s)

    def must(self, *arguments: str) -> str:
        """Run a command that has to succeed, and return what it prints."""
        result = self.run(*arguments)
        assert result.returncode == 0, f"{self.name}: {' '.join(arguments)}\n{result.stdout}{result.stderr}"
        return result.stdout

    def refuses(self, *arguments: str) -> str:
        """Run a command that has to fail with a sentence, and return that."""
        result = self.run(*arguments)
        assert result.returncode == 1, f"{self.name}: {result.returncode}\n{result.stdout}{result.stderr}"
        assert "Traceback" not in result.stdout + result.stderr
        assert result.stdout.endswith("[FAILED]\n")
        return result.stderr

    def edit(self, old: str, new: str) -> None:
        """Change its cluster.conf, as an editor would."""
        text = self.conf.read_text()
        assert old in text
        self.conf.write_text(text.replace(old, new))

    def status(self) -> dict[str, Any]:
        """What its daemon says of the cluster."""
        found: dict[str, Any] = json.loads(self.must("clustat", "--json"))
        return found

    def members(self) -> list[str]:
        """The nodes that are members, as its daemon sees it; none where there is no daemon."""
        said = self.run("cman_tool", "nodes", "-F", "name,state").stdout
        return sorted(line.split()[0] for line in said.splitlines() if line.rstrip().endswith(" Member"))

    def runs(self) -> list[str]:
        """The command lines of all that runs there beside the machine itself and this question."""
        said = self.must("ps", "-eo", "pid=,args=")
        rows = [line.split(None, 1) for line in said.splitlines()]
        return [args for pid, args in rows if pid != "1" and not args.startswith("ps ")]

    def left_in_run(self) -> list[str]:
        """The files below /run, without those of the lab."""
        said = self.must(
            "find", "/run", "-xdev", "-path", "/run/host", "-prune", "-o", "-type", "f", "-print"
        )
        return said.split()

    def corosync_member_count(self) -> int:
        """How many nodes its corosync reaches."""
        return sum(
            " = joined" in line
            for line in self.run("corosync-cmapctl", "runtime.members").stdout.splitlines()
        )


@contextmanager
def machines(folder: Path, nodes: int) -> Iterator[tuple[Machine, ...]]:
    """Machines vapp1, vapp2, ...; skips the test where they cannot be."""
    if reason := reason_against("corosync") or isolation.reason_against():
        pytest.skip(reason)
    with Lab.up(Wanted(directory=folder, nodes=nodes, corosync=True, start_daemons=False)) as lab:
        yield tuple(Machine(lab, machine.name) for machine in lab.plan().machines)


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short name, since sockets are in it."""
    folder = Path(tempfile.mkdtemp(prefix="sf-"))
    try:
        yield folder / "lab"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def add_service(some: Sequence[Machine]) -> None:
    """Give the cluster a service, before it is started."""
    for machine in some:
        script = machine.root / "etc/init.d/web"
        script.write_text(SCRIPT)
        script.chmod(0o755)
        machine.edit("<resources/>", f"<resources/>{SERVICE}")


def start_all(some: Sequence[Machine]) -> None:
    """Start the nodes at the same time."""
    failures: list[str] = []

    def start(machine: Machine) -> None:
        result = machine.run(*UP)
        if result.returncode != 0:
            failures.append(f"{machine.name}: {result.stdout}{result.stderr}")

    threads = [threading.Thread(target=start, args=(machine,)) for machine in some]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def owner_of(machine: Machine) -> str | None:
    """The node that runs the service, as this one sees it."""
    services = machine.status().get("services") or []
    return next((str(one["owner"]) for one in services if one["state"] == "started"), None)
