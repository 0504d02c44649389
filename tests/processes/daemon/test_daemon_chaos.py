"""Daemons and machines that die, freeze and come back at random: never two owners, and in the end exactly one."""

import random
import signal
import threading
import time

import pytest
from tests.processes.daemon.town import Node, Town, eventually, town

pytestmark = pytest.mark.lab

ROUNDS = 14
SEEDS = (1, 2)


class Watch:
    """Looks all the time on how many nodes the service runs."""

    def __init__(self, cluster: Town) -> None:
        self.doubles: list[tuple[str, ...]] = []
        self._cluster = cluster
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.002):
            owners = tuple(node.name for node in self._cluster.nodes if node.runs("web"))
            if len(owners) > 1:
                self.doubles.append(owners)

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()


def revive(node: Node) -> None:
    """Bring a node back, whatever is missing of it."""
    if node.machine is None:
        node.boot_id = f"{node.name}-{time.monotonic_ns()}"
        node.power_on()
    if node.daemon is None or node.daemon.poll() is not None:
        node.start()


def disturb(node: Node, chance: random.Random) -> None:
    """Do something bad to a node."""
    act = chance.choice(("kill", "kill", "power", "freeze", "end"))
    if node.daemon is None or node.daemon.poll() is not None:
        revive(node)
    elif act == "kill":
        node.kill()
    elif act == "power":
        node.power_off()
    elif act == "end":
        node.daemon.send_signal(signal.SIGTERM)
    else:
        node.freeze()
        time.sleep(chance.choice((0.2, 1.5)))
        node.thaw()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_service_has_one_owner_whatever_happens_to_daemons_and_machines(seed: int) -> None:
    chance = random.Random(seed)
    with town("vapp1", "vapp2", "vapp3") as cluster:
        action = '<action name="status" interval="1s"/>'
        path = cluster.script("web")
        service = f'<service name="web"><script name="web" file="{path}">{action}</script></service>'
        cluster.start(cluster.conf(service, rm='status_poll_interval="1"'))
        cluster.owner("web")
        watch = Watch(cluster)
        try:
            for _ in range(ROUNDS):
                disturb(chance.choice(cluster.nodes), chance)
                time.sleep(chance.choice((0.0, 0.05, 0.3, 1.0)))
            for node in cluster.nodes:
                revive(node)
            eventually(lambda: sum(node.runs("web") for node in cluster.nodes) == 1, within_s=60)
            assert cluster.owner("web").runs("web")
        finally:
            watch.end()
        assert watch.doubles == []
