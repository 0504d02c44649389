"""What a real daemon tells the service manager that has started it."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.processes.daemon.town import WAIT_S_MAX, Node, Town, eventually, town

from standfast.node.exits import ExitStatus
from standfast.terms import ServiceName
from standfast.wire.control import OperateService, Operation

pytestmark = pytest.mark.lab

ALIVE_S = 0.4
SLOW_STOP = 'if [ "$1" = stop ] && [ -f "$place.pid" ]; then sleep 1; fi'


class Manager:
    """A service manager that writes down what it is told."""

    def __init__(self, cluster: Town) -> None:
        self.path = cluster.folder / "notify"
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(WAIT_S_MAX)

    def start(self, cluster: Town, node: Node) -> int:
        """Start the node's daemon as a service manager does, and return its number."""
        environment = {
            **node.environment,
            "NOTIFY_SOCKET": str(self.path),
            "WATCHDOG_USEC": str(int(ALIVE_S * 1_000_000)),
        }
        node.power_on()
        with (cluster.folder / f"{node.name}.log").open("ab") as log:
            node.daemon = subprocess.Popen(cluster.command(node.name), env=environment, stderr=log)
        return node.daemon.pid

    def hear(self, wanted: str) -> None:
        """Wait until this is told; whatever is told before is written down too."""
        while wanted not in self.told:
            self.told.append(self._socket.recv(4096).decode())

    def hear_nothing_for(self, seconds: float) -> bool:
        """Whether nothing more is told for so long, once what has been told is read."""
        self._socket.settimeout(seconds)
        try:
            while self._socket.recv(4096):
                self._socket.settimeout(seconds)
                self.told.append("")
                if len(self.told) > 1000:
                    return False
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@contextmanager
def managed(cluster: Town) -> Iterator[Manager]:
    """A service manager for one node of this cluster."""
    manager = Manager(cluster)
    try:
        yield manager
    finally:
        manager.close()


def test_daemon_tells_what_it_waits_for_and_what_runs() -> None:
    with town("vapp1") as cluster, managed(cluster) as manager:
        node = cluster.nodes[0]
        node.conf.write_text(cluster.conf(cluster.service("web")))
        pid = manager.start(cluster, node)
        manager.hear("STATUS=synced, 1 service here")
        assert f"READY=1\nMAINPID={pid}" in manager.told
        states = [line for line in manager.told if line.startswith("STATUS=")]
        assert states.index("STATUS=waiting for the cluster engine") < states.index(
            "STATUS=synced, no services here"
        )


def test_daemon_without_quorum_is_ready_and_says_that_it_waits() -> None:
    with town("vapp1", "vapp2", "vapp3") as cluster, managed(cluster) as manager:
        node = cluster.nodes[0]
        node.conf.write_text(cluster.conf())
        pid = manager.start(cluster, node)
        manager.hear(f"READY=1\nMAINPID={pid}")
        manager.hear("STATUS=waiting for quorum")


def test_daemon_says_that_it_lives_until_it_hangs() -> None:
    with town("vapp1") as cluster, managed(cluster) as manager:
        node = cluster.nodes[0]
        node.conf.write_text(cluster.conf())
        pid = manager.start(cluster, node)
        manager.hear("STATUS=synced, no services here")
        manager.told.clear()
        manager.hear("WATCHDOG=1")
        manager.told.clear()
        manager.hear("WATCHDOG=1")
        assert node.daemon is not None
        node.daemon.send_signal(signal.SIGSTOP)
        eventually(lambda: " T " in (f" {stat(pid)} "))
        assert manager.hear_nothing_for(2 * ALIVE_S)


def test_daemon_that_ends_asks_for_the_time_that_its_services_take() -> None:
    with town("vapp1") as cluster, managed(cluster) as manager:
        node = cluster.nodes[0]
        node.conf.write_text(cluster.conf(cluster.service("web", SLOW_STOP)))
        manager.start(cluster, node)
        manager.hear("STATUS=synced, 1 service here")
        assert node.daemon is not None
        node.daemon.send_signal(signal.SIGTERM)
        manager.hear("STOPPING=1")
        assert node.daemon.wait(WAIT_S_MAX) == ExitStatus.IN_ORDER
        assert "EXTEND_TIMEOUT_USEC=15000000" in manager.told
        assert "STATUS=leaving the cluster, 1 service still here" in manager.told


def test_node_with_a_frozen_service_stays_and_asks_for_no_more_time() -> None:
    with town("vapp1") as cluster, managed(cluster) as manager:
        node = cluster.nodes[0]
        node.conf.write_text(cluster.conf(cluster.service("web")))
        manager.start(cluster, node)
        manager.hear("STATUS=synced, 1 service here")
        node.ask(OperateService(operation=Operation.FREEZE, service=ServiceName("service:web")))
        assert node.daemon is not None
        node.daemon.send_signal(signal.SIGTERM)
        eventually(lambda: "daemon.stays" in node.log)
        manager.told.clear()
        manager.hear("WATCHDOG=1")
        manager.told.clear()
        manager.hear("WATCHDOG=1")
        assert "STOPPING=1" not in manager.told


def stat(pid: int) -> str:
    """Return the state of a process."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[0]
