"""The lab's power, asked by its fence agent from inside the nodes."""

import threading

import pytest
from tests.processes.lab.conftest import eventually

from standfast.engine import admin
from standfast.lab.cluster import Lab

pytestmark = pytest.mark.lab


def fence(lab: Lab, by: str, victim: str, action: str) -> tuple[int, str]:
    """Call the agent on a node as the daemon does; returns its exit code and output."""
    text = f"ipaddr={lab.place.power}\nport={victim}\naction={action}\n"
    done = lab.node(by).run(["fence_lab"], text=text, timeout_s=30)
    return done.returncode, done.stdout + done.stderr


def power_of(lab: Lab, name: str) -> str:
    return next(machine.power for machine in lab.status().machines if machine.name == name)


def test_a_node_fences_another(lab: Lab) -> None:
    assert fence(lab, "vapp2", "vapp1", "off")[0] == 0
    assert power_of(lab, "vapp1") == "off"
    assert fence(lab, "vapp2", "vapp1", "status")[0] == 2
    assert fence(lab, "vapp2", "vapp1", "on")[0] == 0
    eventually(lambda: lab.node("vapp1").run(["true"]).returncode == 0)


def test_a_frozen_node_is_fenced_like_any_other(lab: Lab) -> None:
    lab.freeze("vapp1")
    assert fence(lab, "vapp2", "vapp1", "off")[0] == 0
    assert power_of(lab, "vapp1") == "off"


def test_two_nodes_that_fence_each_other_do_not_both_die(lab: Lab) -> None:
    labs = [Lab(lab.place.directory), Lab(lab.place.directory)]

    def shoot(own: Lab, by: str, victim: str) -> None:
        try:
            fence(own, by, victim, "off")
        except Exception as lost:  # noqa: BLE001  # the loser dies while its agent runs
            outcomes.append(lost)

    outcomes: list[Exception] = []
    threads = [
        threading.Thread(target=shoot, args=(labs[0], "vapp1", "vapp2")),
        threading.Thread(target=shoot, args=(labs[1], "vapp2", "vapp1")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(power_of(lab, name) for name in ("vapp1", "vapp2")) == ["off", "on"]


def test_the_engine_knows_which_machines_are_on_and_which_are_cut_off(lab: Lab) -> None:
    def machines() -> list[tuple[int, ...]]:
        return [tuple(part.hosts) for part in admin.components(str(lab.place.sequencer))]

    eventually(lambda: machines() == [(1, 2)])
    lab.cut("vapp1", "vapp2")
    assert machines() == [(1,), (2,)]
    lab.heal()
    assert machines() == [(1, 2)]
    lab.kill("vapp1")
    eventually(lambda: machines() == [(2,)])
    lab.power_on("vapp1")
    eventually(lambda: machines() == [(1, 2)])
    lab.freeze("vapp1")
    eventually(lambda: machines() == [(2,)])
    lab.thaw("vapp1")
    eventually(lambda: machines() == [(1, 2)])
