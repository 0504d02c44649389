"""What makes a part quorate that lacks the majority: a quorum device, the tie-breaker, last_man_standing.

The part goes on: it fences whom it lost, and takes over. Source: spec membership, section 16.4; votequorum(5).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from tests.corosync.corosync_town import Machine, Town, corosync_town, eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def arranged(town: Town, count: int, cman: str, more: str = "") -> str:
    """A cluster.conf in which fenced nodes stay off."""
    text = town.conf(count, more=more)
    for plain in ('<cman two_node="1" expected_votes="1"/>', "<cman/>"):
        text = text.replace(plain, cman)
    return text.replace('"/></method>', '" action="off"/></method>')


def owner(machine: Machine) -> str | None:
    """The node that runs the service, as a node sees it."""
    status = machine.status()
    services = () if status is None else status.services or ()
    return next((service.owner for service in services if service.state == "started"), None)


def wait_owner(machine: Machine, names: set[str]) -> str:
    """Wait until one of these nodes runs the service."""
    return eventually(
        lambda: name if (name := owner(machine)) in names else None, what=f"the service on {sorted(names)}"
    )


def fenced(machine: Machine) -> set[str]:
    """The nodes that an agent switched off, as a node has it in its history."""
    return {
        line.subject
        for line in machine.history()
        if line.event == "fence.done" and line.text.startswith("agent")
    }


@contextmanager
def qnetd(town: Town) -> Iterator[None]:
    """The quorum device's server, on the client's machine."""
    core = town.lab.core
    core.run(["sh", "-c", "mkdir -p /run/corosync-qnetd && corosync-qnetd -s off"], check=True)
    yield


def start_device(machine: Machine) -> None:
    """Start a node's side of the quorum device, and wait for its vote."""
    machine.run("sh", "-c", "mkdir -p /run/corosync-qdevice && corosync-qdevice")
    eventually(
        lambda: "Qdevice" in machine.run("corosync-quorumtool", "-s", check=False).stdout.split("Flags:")[-1],
        what=f"{machine.name}: the device",
    )


def test_one_of_two_nodes_takes_over_with_the_vote_of_the_quorum_device() -> None:
    with corosync_town(2) as town, qnetd(town):
        device = '<quorumd model="net" host="10.1.4.1" algorithm="ffsplit" tls="off"/>'
        one, two = town.start(arranged(town, 2, "<cman/>", device), 2)
        for machine in (one, two):
            start_device(machine)
            machine.wait_quorum(3, 2)
        first = wait_owner(one, {one.name, two.name})
        survivor = two if first == one.name else one
        town.lab.kill(first)
        wait_owner(survivor, {survivor.name})
        assert fenced(survivor) == {first}


def test_the_half_with_the_lowest_node_goes_on_and_the_other_does_not() -> None:
    with corosync_town(4) as town:
        nodes = town.start(arranged(town, 4, '<cman auto_tie_breaker="1"/>'), 4)
        wait_owner(nodes[0], {node.name for node in nodes})
        for low, high in product(nodes[:2], nodes[2:]):
            town.lab.cut(low.name, high.name)
        eventually(lambda: fenced(nodes[0]) == {"vapp3", "vapp4"}, what="both of the other half are off")
        wait_owner(nodes[0], {"vapp1", "vapp2"})


def test_with_last_man_standing_the_cluster_shrinks_to_two_and_goes_on() -> None:
    with corosync_town(4) as town:
        nodes = town.start(arranged(town, 4, '<cman last_man_standing="1" wait_for_all="1"/>'), 4)
        for left in (3, 2):
            town.lab.kill(nodes[left].name)
            eventually(lambda: nodes[0].quorum()[0] == left, what=f"{left} expected votes")  # noqa: B023
        wait_owner(nodes[0], {"vapp1", "vapp2"})
