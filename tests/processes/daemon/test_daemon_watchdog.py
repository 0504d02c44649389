"""A real daemon and a watchdog: what resets the node, and what must not."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.processes.daemon.hardware import Hardware
from tests.processes.daemon.test_daemon_start import start_and_fail
from tests.processes.daemon.town import Node, Town, eventually, is_alive, town

from standfast.node.exits import ExitStatus
from standfast.node.vigil import PATIENCE_TIMEOUTS
from standfast.wire.control import DaemonReport, GetDaemon

pytestmark = pytest.mark.lab

TIMEOUT_MS = 2_000
PATIENT_MS = 4_000  # where daemons are to start within it, one after the other, on a loaded machine
RESET_S_MAX = (PATIENCE_TIMEOUTS + 1) * TIMEOUT_MS / 1000 + 20  # the rest is for a loaded machine
STUCK = 'if [ "$1" = stop ]; then exit 1; fi'
SLOW_CHECK = 'if [ "$1" = status ]; then sleep 2; fi'
HANGS = 'if [ "$1" = stop ] && [ -f "$place.pid" ]; then touch "$place.stopping"; sleep 1000; fi'


@contextmanager
def watched(cluster: Town, node: Node, timeout_ms: int = TIMEOUT_MS) -> Iterator[Hardware]:
    """A watchdog that cuts this node's power."""
    with Hardware(cluster.folder / "wd", timeout_ms, node.power_off) as hardware:
        yield hardware


def start(cluster: Town, node: Node, hardware: Hardware) -> subprocess.Popen[bytes]:
    """Start the node's daemon with its watchdog."""
    with (cluster.folder / f"{node.name}.log").open("ab") as log:
        node.daemon = subprocess.Popen(
            hardware.command(cluster.command(node.name)), env=node.environment, stderr=log
        )
    return node.daemon


def start_alone(cluster: Town, hardware: Hardware, extra: str = "") -> subprocess.Popen[bytes]:
    """Start a cluster of one that runs a service."""
    node = cluster.nodes[0]
    node.conf.write_text(cluster.conf(cluster.service("web", extra)))
    node.power_on()
    daemon = start(cluster, node, hardware)
    assert cluster.owner("web") is node
    return daemon


def start_three(cluster: Town, hardware: Hardware, extra: str) -> Node:
    """Start three nodes, the service on the first, which has the watchdog."""
    cluster.power.answer = lambda action, name: "error no power here"
    first = cluster.nodes[0]
    domain = (
        '<rm><failoverdomains><failoverdomain name="d" ordered="1" restricted="0">'
        '<failoverdomainnode name="vapp1" priority="1"/></failoverdomain></failoverdomains>'
    )
    conf = cluster.conf(cluster.service("web", extra, attributes='domain="d"'), rm="").replace(
        "<rm >", domain
    )
    for node in cluster.nodes:
        node.conf.write_text(conf)
        node.power_on()
        if node is not first:
            node.start()
    start(cluster, first, hardware)
    for node in cluster.nodes:
        cluster.wait_online(node)
    assert cluster.owner("web") is first
    return first


def pettings_go_on(hardware: Hardware) -> None:
    """Wait until the watchdog was petted some more."""
    before = hardware.pettings
    eventually(lambda: hardware.pettings >= before + 3, what="three pettings")


def test_daemon_pets_its_watchdog_as_long_as_it_lives_and_disarms_it_when_it_has_left() -> None:
    with town("vapp1") as cluster, watched(cluster, cluster.nodes[0]) as hardware:
        start_alone(cluster, hardware)
        pettings_go_on(hardware)
        assert cluster.nodes[0].end() == ExitStatus.IN_ORDER
        eventually(lambda: not hardware.is_counting)
        assert not hardware.has_fired.is_set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_daemon_that_is_killed_or_hangs_costs_the_node(number: signal.Signals) -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        with watched(cluster, node) as hardware:
            daemon = start_alone(cluster, hardware)
            service = node.pid_of("web")
            daemon.send_signal(number)
            assert hardware.has_fired.wait(RESET_S_MAX)
            assert not is_alive(service)


def test_daemon_that_comes_back_takes_the_watchdog_over_with_its_services() -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        with watched(cluster, node, PATIENT_MS) as hardware:
            start_alone(cluster, hardware)
            service = node.pid_of("web")
            node.kill()
            start(cluster, node, hardware)
            assert cluster.owner("web") is node
            pettings_go_on(hardware)
            assert (hardware.openings, hardware.has_fired.is_set()) == (2, False)
            assert node.pid_of("web") == service
            eventually(lambda: not (node.run_dir / "disorder").exists())


def test_node_that_stops_its_services_when_quorum_is_lost_is_not_reset() -> None:
    with town("vapp1", "vapp2", "vapp3") as cluster, watched(cluster, cluster.nodes[0]) as hardware:
        first = start_three(cluster, hardware, "")
        for node in cluster.nodes[1:]:
            node.power_off()
        eventually(lambda: not first.runs("web"))
        assert not hardware.has_fired.wait((PATIENCE_TIMEOUTS + 2) * TIMEOUT_MS / 1000)
        pettings_go_on(hardware)


@pytest.mark.parametrize("extra", [STUCK, HANGS], ids=["stop fails", "stop hangs"])
def test_node_that_cannot_stop_its_services_when_quorum_is_lost_is_reset(extra: str) -> None:
    with town("vapp1", "vapp2", "vapp3") as cluster, watched(cluster, cluster.nodes[0]) as hardware:
        # The service's first stop, after the boot, is let pass.
        first = start_three(cluster, hardware, f'if [ -f "$place.pid" ]; then {extra}; fi')
        service = first.pid_of("web")
        for node in cluster.nodes[1:]:
            node.power_off()
        lost_at = time.monotonic()
        assert hardware.has_fired.wait(RESET_S_MAX)
        assert time.monotonic() - lost_at >= PATIENCE_TIMEOUTS * TIMEOUT_MS / 1000
        assert not is_alive(service)
        assert "watchdog.not-petted" in first.log


def test_daemon_that_dies_again_and_again_gets_no_more_time_than_one_that_lives() -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        with watched(cluster, node, PATIENT_MS) as hardware:
            start_alone(cluster, hardware, SLOW_CHECK)
            node.kill()
            begun_at = time.monotonic()
            while not hardware.has_fired.is_set():
                assert time.monotonic() < begun_at + 2 * PATIENCE_TIMEOUTS * PATIENT_MS / 1000
                die_as_soon_as_it_pets(cluster, node, hardware)
            assert time.monotonic() - begun_at >= PATIENCE_TIMEOUTS * PATIENT_MS / 1000
            assert hardware.openings > PATIENCE_TIMEOUTS
            assert "the watchdog resets this node" in node.log


def die_as_soon_as_it_pets(cluster: Town, node: Node, hardware: Hardware) -> None:
    """Start the daemon and kill it before it has brought anything in order, unless it ends by itself."""
    before = hardware.openings
    daemon = start(cluster, node, hardware)
    eventually(lambda: hardware.openings > before or daemon.poll() is not None or hardware.has_fired.is_set())
    daemon.kill()
    daemon.wait()


def test_daemon_that_was_told_to_end_at_once_leaves_the_watchdog_counting() -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        with watched(cluster, node) as hardware:
            daemon = start_alone(cluster, hardware, HANGS)
            daemon.send_signal(signal.SIGTERM)
            eventually((node.root / "service-web.stopping").exists)
            assert node.end() == ExitStatus.AT_ONCE
            assert hardware.is_counting
            assert "watchdog.left-counting" in node.log


def test_daemon_without_a_watchdog_says_so_once() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        assert cluster.nodes[0].log.count("watchdog.none") == 1
        report = cluster.nodes[0].ask(GetDaemon())
        assert isinstance(report, DaemonReport)
        assert (report.watchdog, report.watchdog_ms, report.is_petted) == ("", 0, False)


def test_daemon_reports_what_it_has_of_the_machine() -> None:
    with town("vapp1") as cluster, watched(cluster, cluster.nodes[0]) as hardware:
        daemon = start_alone(cluster, hardware)
        report = cluster.nodes[0].ask(GetDaemon())
        assert isinstance(report, DaemonReport)
        assert (report.pid, report.engine) == (daemon.pid, "local")
        assert report.standing == "synced, 1 service here"
        assert (report.watchdog, report.watchdog_ms, report.is_petted) == (
            str(hardware.path),
            TIMEOUT_MS,
            True,
        )


def test_watchdog_that_cannot_be_used_is_refused_and_nothing_is_done() -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        node.conf.write_text(cluster.conf())
        said = start_and_fail(node, "--watchdog", "/dev/null")
        assert "standfastd: /dev/null: it is no watchdog" in said
        assert not Path(node.run_dir, "control.sock").exists()
