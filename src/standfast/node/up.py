"""standfast up: starts this node. corosync, the daemon, and then it waits for what the cluster makes of it.

Source: spec membership, sections 2.1, 2.5 and 12 (what `service cman start; service rgmanager start` did).
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from standfast.conf.load import load
from standfast.conf.model import Cluster, ClusterNode
from standfast.conf.ports import link_ports
from standfast.errors import ConfError, EngineError, RefusedError
from standfast.node import corosync_conf
from standfast.node.bulletin import adopt, newest, version_of
from standfast.node.caller import find_daemon
from standfast.node.corosync_process import CONF, key_file, resolve_addresses
from standfast.node.identity import find_node
from standfast.node.joining import Waiting, await_fence_domain, await_quorum, count_services
from standfast.node.launcher import launch_corosync, launch_daemon
from standfast.node.place import Place, place_under
from standfast.node.program import run_steps, take_turn
from standfast.node.running_corosync import Purpose, find_corosync_process, purpose, reload_corosync
from standfast.node.service_manager import (
    COROSYNC_UNIT,
    DAEMON_UNIT,
    DEVICE_UNIT,
    Systemd,
    service_manager,
)
from standfast.node.steps import Steps
from standfast.wire.paths import PREFIX_VARIABLE

PROGRAM = "standfast up"
NAME_VARIABLE = "CMAN_NODENAME"
INTERRUPTED = (
    "interrupted; what was started goes on, and takes its part when it can: standfast status shows it, "
    "standfast up waits again, standfast down stops it"
)


class Options(Struct, frozen=True, kw_only=True):
    """The command line. `wait_quorum_s` None: as long as it takes."""

    name: str = ""
    engine: str | None = None
    prepares: bool = False
    waits: bool = True
    wait_quorum_s: float | None = None
    as_json: bool = False


def main(argv: Sequence[str], environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Run the command and return its exit status: 0 the node is up, 1 it is not, 130 interrupted."""
    options = read_options(argv)
    place = place_under(environ.get(PREFIX_VARIABLE, ""))

    def work(steps: Steps) -> str:
        steps.teller.title("Preparing corosync" if options.prepares else "Starting cluster")
        return _Start(options, environ, place, steps).run()

    return run_steps(work, INTERRUPTED, as_json=options.as_json, out=out, err=err)


def read_options(argv: Sequence[str]) -> Options:
    """Return the options; ends the program with status 2 where they cannot be read."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Start this node: corosync, the daemon, and its part in the cluster.",
        allow_abbrev=False,
    )
    parser.add_argument("--name", default="", metavar="NODENAME", help="which node of cluster.conf this is")
    parser.add_argument(
        "--engine",
        choices=("corosync", "solo"),
        help="solo, without corosync, is for a cluster.conf of one node, and there the default",
    )
    parser.add_argument(
        "--wait-quorum",
        type=_seconds,
        metavar="SECONDS",
        help="give up when there is no quorum after so long (default: wait for ever); the node goes on waiting",
    )
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="return as soon as the daemon runs, without quorum or fence domain",
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="only check everything and write corosync.conf, for the service manager before it starts corosync",
    )
    parser.add_argument("--json", action="store_true", help="tell each step as a JSON object, one a line")
    options = parser.parse_args(argv)
    return Options(
        name=options.name,
        engine=options.engine,
        prepares=options.prepare,
        waits=not options.no_wait,
        wait_quorum_s=options.wait_quorum,
        as_json=options.json,
    )


class _Start:
    """One start, step by step."""

    def __init__(self, options: Options, environ: Mapping[str, str], place: Place, steps: Steps) -> None:
        self._options = options
        self._environ = environ
        self._place = place
        self._steps = steps
        self._manager = service_manager() if not place.prefix else None
        self._logs = Path(f"{place.prefix}/var/log/cluster")

    def run(self) -> str:
        """Do it all, and return the last sentence. Raises StandfastError, OSError."""
        cluster, me = self._configuration()
        engine = choose_engine(cluster, self._options.engine, self._place)
        if self._options.prepares:
            self._prepare(cluster, me, self._check(cluster, me))
            return f"corosync may start on {me.name}"
        with ExitStack() as turn:
            turn.enter_context(take_turn(self._place, PROGRAM))
            started = self._programs(cluster, me, engine)
        if not self._options.waits:
            return f"{me.name} is started"
        waiting = Waiting(self._place, self._steps, hints=_hints(cluster, engine))
        await_quorum(waiting, self._options.wait_quorum_s)
        await_fence_domain(waiting)
        count_services(waiting, me.name)
        return f"{me.name} is up" if started else f"{me.name} was up already"

    def _configuration(self) -> tuple[Cluster, ClusterNode]:
        conf = self._place.cluster_conf
        with self._steps.step("configuration", f"Checking {conf}") as step:
            try:
                data = conf.read_bytes()
            except OSError as failure:
                raise ConfError(
                    f"{conf}: cannot read: {failure.strerror}; copy it from another node, or make one with: "
                    f"ccs_tool create",
                    code="conf-unreadable",
                ) from failure
            loaded = load(str(conf), data)
            if loaded.cluster is None:
                raise ConfError("\n".join(loaded.lines), code="conf-invalid")
            for line in loaded.lines:
                step.note(line)
            cluster = loaded.cluster
            wanted = self._options.name or self._environ.get(NAME_VARIABLE, "")
            me = find_node(cluster, wanted, os.uname().nodename, conf)
            step.result = (
                f"{cluster.name} version {cluster.config_version}, this is {me.name} (node id {me.nodeid})"
            )
        return cluster, me

    def _programs(self, cluster: Cluster, me: ClusterNode, engine: str) -> bool:
        """Start what does not run; returns whether that was anything."""
        daemon = find_daemon(self._place.control_socket)
        if daemon is not None:
            with daemon, self._steps.step("daemon", "Starting standfastd") as step:
                step.result = f"it runs already, as process {daemon.pid}"
            return False
        if engine == "corosync":
            self._corosync(cluster, me)
        with self._steps.step("daemon", "Starting standfastd"):
            self._start_daemon(me, engine)
        return True

    def _corosync(self, cluster: Cluster, me: ClusterNode) -> None:
        text = self._check(cluster, me)
        running = find_corosync_process()
        if running is not None:
            with running:
                if self._is_running_for_us(cluster, me, text, running.pid):
                    return
        self._prepare(cluster, me, text)
        with self._steps.step("corosync", "Starting corosync"):
            if self._manager is not None:
                self._manager.start(COROSYNC_UNIT)
            else:
                launch_corosync(CONF, self._logs)
            _check_purpose(purpose(), cluster, me)
        if cluster.messaging.device is not None:
            self._device(self._manager)

    def _check(self, cluster: Cluster, me: ClusterNode) -> str:
        """Check what does not depend on others; returns this node's corosync.conf."""
        with self._steps.step("program", "Looking for corosync") as step:
            step.result = corosync_conf.check_program()
        with self._steps.step("addresses", f"Checking the key {key_file(cluster)} and the addresses"):
            return corosync_conf.corosync_conf_text(cluster, str(self._place.cluster_conf), me)

    def _prepare(self, cluster: Cluster, me: ClusterNode, text: str) -> None:
        """Put everything in place for a corosync that does not run yet."""
        where = str(self._place.cluster_conf)
        with self._steps.step("ports", "Checking the ports") as step:
            step.result = corosync_conf.check_ports(cluster, where, me)
        with self._steps.step("bulletin", "Asking the other nodes for a newer list of nodes") as step:
            text, step.result = _newer(cluster, where, me, text)
        with self._steps.step("corosync.conf", f"Writing {CONF}") as step:
            placed = corosync_conf.put_in_place(CONF, text)
            step.note("\n".join(placed.said))
            step.result = "" if placed.changed else "it is as it has to be"
            corosync_conf.make_log_folders(cluster)

    def _is_running_for_us(self, cluster: Cluster, me: ClusterNode, text: str, pid: int) -> bool:
        """Whether the corosync that runs is the one that is wanted; the example of a package is ended."""
        with self._steps.step("corosync", "Starting corosync") as step:
            found = purpose()
            if found.is_example and found.cluster != cluster.name:
                step.note(
                    f'ending the example "{found.cluster}" of the package, which ran for this machine alone'
                )
                self._end_corosync()
                step.result = "it is free for this cluster"
                return False
            _check_purpose(found, cluster, me)
            step.result = f"it runs already, as process {pid}"
            version = version_of(CONF.read_text(errors="replace")) if CONF.exists() else None
            if version is not None and version > cluster.config_version:
                step.result += f", with the newer version {version} of cluster.conf"
                return True  # an older list of nodes would break the ring; the daemon will get the newer file
            placed = corosync_conf.put_in_place(CONF, text)
            step.note("\n".join(placed.said))
            if placed.changed:
                reload_corosync()
                step.result += f", and has read the new {CONF}"
        return True

    def _end_corosync(self) -> None:
        if self._manager is not None:
            self._manager.stop(COROSYNC_UNIT)
        running = find_corosync_process()
        if running is not None:
            with running:
                running.end()

    def _device(self, manager: Systemd | None) -> None:
        with self._steps.step("device", "Starting corosync-qdevice") as step:
            if manager is not None:
                manager.start(DEVICE_UNIT)
            else:
                step.note("there is no service manager here; start corosync-qdevice by hand")

    def _start_daemon(self, me: ClusterNode, engine: str) -> None:
        """Start the daemon by its unit where there is one for this engine, else by ourselves."""
        if engine == "corosync" and self._manager is not None and self._manager.knows(DAEMON_UNIT):
            self._manager.start(DAEMON_UNIT)
            return
        launch_daemon(("--engine", engine, "--name", me.name), self._environ, self._logs)


def choose_engine(cluster: Cluster, wanted: str | None, place: Place) -> str:
    """Return the engine: what is wanted, else solo for a cluster of one node. Raises RefusedError where it cannot be."""
    engine = wanted or ("solo" if len(cluster.nodes) == 1 else "corosync")
    if engine == "solo" and len(cluster.nodes) > 1:
        raise RefusedError(
            f"{place.cluster_conf}: {len(cluster.nodes)} nodes cannot each be alone, services would run twice; leave "
            f"out --engine solo, or make the file one of a single node",
            code="engine-unfit",
        )
    if engine == "corosync" and place.prefix:
        raise RefusedError(
            f"below {place.prefix} corosync cannot run, since a machine has one; use a lab with namespaces",
            code="engine-unfit",
        )
    return engine


def _newer(cluster: Cluster, where: str, me: ClusterNode, own: str) -> tuple[str, str]:
    """Return the corosync.conf to start with, and where it is from. Raises RefusedError where this node was removed."""
    addresses = resolve_addresses(cluster, where)
    peers = [(node.name, addresses[node.nodeid][0]) for node in cluster.nodes if node.nodeid != me.nodeid]
    found = newest(peers, link_ports(cluster)[0], cluster.name, key_file(cluster))
    if found is None:
        return own, "no node tells one"
    if found.version <= cluster.config_version:
        return own, "there is none"
    return adopt(found, own, me.nodeid, me.name), f"{found.teller} has version {found.version}, which is used"


def _check_purpose(found: Purpose, cluster: Cluster, me: ClusterNode) -> None:
    """Raise EngineError when the corosync that runs is not this node's of this cluster."""
    if found.cluster == cluster.name and found.nodeid == me.nodeid:
        return
    who = f'cluster "{found.cluster}", node id {found.nodeid}'
    raise EngineError(
        f'corosync runs here already, for {who}, and this is to be "{cluster.name}", node id {me.nodeid}; stop that '
        f"one (systemctl stop corosync, or by its process), then try again",
        code="corosync-other",
    )


def _hints(cluster: Cluster, engine: str) -> str:
    """Return what to look at where a node that runs is not reached."""
    if engine != "corosync":
        return ""
    key = key_file(cluster)
    return (
        f"a node that runs and is not reached has another key (compare: sha256sum {key}), a firewall that shuts the "
        f"ports (see: standfast ports), no network (try: ping), or another cluster.conf"
    )


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of seconds')
    return number


def run() -> None:
    """Run the command as a program."""
    sys.exit(main(sys.argv[1:], os.environ, sys.stdout, sys.stderr))


if __name__ == "__main__":
    run()
