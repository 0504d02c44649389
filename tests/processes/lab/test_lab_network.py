"""A lab's network in namespaces: who reaches whom, who has which address, and what a client sees."""

import time

import pytest
from tests.processes.lab.conftest import eventually
from tests.processes.lab.test_lab_machines import fetch

from standfast.lab.cluster import Lab
from standfast.lab.probes import answering_nodes, silences
from standfast.lab.probing import Probing
from standfast.lab.watcher import Verdict, holdings, never_on_two

pytestmark = pytest.mark.lab

CONNECT = """
import socket, sys
try: socket.create_connection((sys.argv[1], 9), timeout=float(sys.argv[2]))
except ConnectionRefusedError: print("reached")
except OSError: print("cut off")
"""


def reaches(lab: Lab, one: str, address: str, within_s: float = 5) -> bool:
    """Whether a machine's packets come to an address: nobody listens at this port, so a refusal comes back."""
    done = lab.node(one).run(["python3", "-c", CONNECT, address, str(within_s)])
    return done.stdout == "reached\n"


def is_cut_off(lab: Lab, one: str, address: str) -> bool:
    return not reaches(lab, one, address, within_s=0.3)


def test_every_machine_reaches_every_other_by_both_protocols(network_lab: Lab) -> None:
    addresses = ("10.1.4.1", "10.1.4.201", "10.1.4.202", "10.1.4.203", "fd00:10:1:4::1", "fd00:10:1:4::203")
    names = ("core", "vapp1", "vapp2", "vapp3")
    assert [
        (name, address) for name in names for address in addresses if not reaches(network_lab, name, address)
    ] == []


def test_a_node_looks_like_a_machine_of_its_own(network_lab: Lab) -> None:
    node = network_lab.node("vapp2")
    assert node.run(["hostname"]).stdout == "vapp2\n"
    assert node.run(["id", "-u"]).stdout == "0\n"
    assert "inet 10.1.4.202/24 brd 10.1.4.255 scope global eth0" in node.run(["ip", "addr", "list"]).stdout
    assert "10.1.4.203\tvapp3" in node.run(["cat", "/etc/hosts"]).stdout
    assert node.run(["cat", "/etc/cluster/cluster.conf"]).stdout == network_lab.plan().cluster_conf
    assert node.run(["cat", "/sys/class/net/eth0/carrier"]).stdout == "1\n"
    assert (
        node.run(["readlink", "/proc/1/ns/pid"]).stdout == node.run(["readlink", "/proc/self/ns/pid"]).stdout
    )
    shown = node.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout
    assert shown == node.run(["sh", "-c", "echo $STANDFAST_BOOT_ID"]).stdout
    assert shown != network_lab.node("vapp1").run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout


def test_the_host_s_other_files_are_there(network_lab: Lab) -> None:
    assert network_lab.node("vapp1").run(["cat", "/etc/passwd"]).stdout == open("/etc/passwd").read()  # noqa: PTH123, SIM115


def test_a_cut_parts_two_nodes_and_no_others(network_lab: Lab) -> None:
    network_lab.cut("vapp1", "vapp2")
    assert is_cut_off(network_lab, "vapp1", "10.1.4.202")
    assert is_cut_off(network_lab, "vapp2", "fd00:10:1:4::201")
    for one, address in (
        ("vapp1", "10.1.4.1"),
        ("vapp2", "10.1.4.1"),
        ("vapp1", "10.1.4.203"),
        ("vapp3", "10.1.4.202"),
    ):
        assert reaches(network_lab, one, address)
    assert network_lab.status().cuts == (("vapp1", "vapp2"),)
    network_lab.heal()
    assert reaches(network_lab, "vapp1", "10.1.4.202")
    assert network_lab.status().cuts == ()


def test_a_cut_is_mended_whichever_node_is_named_first(network_lab: Lab) -> None:
    network_lab.cut("vapp3", "vapp1")
    assert is_cut_off(network_lab, "vapp1", "10.1.4.203")
    network_lab.heal()
    assert reaches(network_lab, "vapp1", "10.1.4.203")


def test_a_cut_outlives_a_reboot(network_lab: Lab) -> None:
    network_lab.cut("vapp1", "vapp2")
    network_lab.kill("vapp1")
    network_lab.power_on("vapp1")
    assert is_cut_off(network_lab, "vapp1", "10.1.4.202")
    assert reaches(network_lab, "vapp1", "10.1.4.1")


def test_a_dead_node_answers_nothing(network_lab: Lab) -> None:
    assert reaches(network_lab, "core", "10.1.4.201")
    network_lab.kill("vapp1")
    assert is_cut_off(network_lab, "core", "10.1.4.201")


def take(lab: Lab, node: str) -> None:
    """Give a node the service's address and let it serve; core learns of it as from a gratuitous ARP."""
    lab.node(node).run(["ip", "addr", "add", "10.1.4.150/24", "dev", "eth0"], check=True)
    lab.node(node).run([lab.web_script, "start"], check=True)
    lab.core.run(["ip", "neigh", "flush", "all"], check=True)


def test_a_takeover_is_seen_from_core_and_judged(network_lab: Lab) -> None:
    with Probing(network_lab) as probing:
        take(network_lab, "vapp1")
        probing.wait_for_answer("vapp1", within_s=10)
        network_lab.kill("vapp1")
        dead_ms = time.monotonic() * 1000
        probing.wait_for_failure(since_ms=dead_ms, within_s=10)
        take(network_lab, "vapp2")
        first = probing.wait_for_answer("vapp2", within_s=10)
    seen = probing.probes()
    assert answering_nodes(seen) == ("vapp1", "vapp2")
    assert [probe.node for probe in seen if probe.sent_ms > dead_ms and probe.node == "vapp1"] == []
    assert first in [silence.until for silence in silences(seen, longer_than_ms=50)]
    events = network_lab.address_events()
    assert [holding.node for holding in holdings(events, "10.1.4.150")] == ["vapp1", "vapp2"]
    assert never_on_two(events, "10.1.4.150").verdict is Verdict.KEPT


def test_an_address_on_two_nodes_at_once_does_not_go_unseen(network_lab: Lab) -> None:
    for node in ("vapp1", "vapp2"):
        network_lab.node(node).run(["ip", "addr", "add", "10.1.4.150/24", "dev", "eth0"], check=True)
    network_lab.node("vapp1").run(["ip", "addr", "del", "10.1.4.150/24", "dev", "eth0"], check=True)
    eventually(lambda: never_on_two(network_lab.address_events(), "10.1.4.150").verdict is Verdict.BROKEN)


def test_moves_back_and_forth_are_heard_in_their_order(network_lab: Lab) -> None:
    rounds = 20
    for _ in range(rounds):
        for node in ("vapp1", "vapp2"):
            for change in ("add", "del"):
                network_lab.node(node).run(["ip", "addr", change, "10.1.4.150/24", "dev", "eth0"], check=True)
    eventually(lambda: len(holdings(network_lab.address_events(), "10.1.4.150")) == 2 * rounds)
    assert never_on_two(network_lab.address_events(), "10.1.4.150").verdict is Verdict.KEPT


def test_a_claim_on_a_loopback_address_is_heard_like_an_address(loopback_lab: Lab) -> None:
    claim = "$STANDFAST_PREFIX/run/standfast/addresses/127.1.4.150"
    loopback_lab.node("vapp1").run(["sh", "-c", f"touch {claim}"], check=True)
    loopback_lab.kill("vapp1")
    loopback_lab.node("vapp2").run(["sh", "-c", f"touch {claim}; rm {claim}"], check=True)
    eventually(lambda: len(holdings(loopback_lab.address_events(), "127.1.4.150")) == 2)
    assert never_on_two(loopback_lab.address_events(), "127.1.4.150").verdict is Verdict.KEPT


def test_on_loopback_two_nodes_cannot_serve_the_address_at_once(loopback_lab: Lab) -> None:
    assert loopback_lab.node("vapp1").run([loopback_lab.web_script, "start"]).returncode == 0
    refused = loopback_lab.node("vapp2").run([loopback_lab.web_script, "start"])
    assert (refused.returncode, refused.stdout) == (
        1,
        "httpd: cannot listen on 127.1.4.150:8080: Address already in use\n",
    )
    loopback_lab.kill("vapp1")
    assert loopback_lab.node("vapp2").run([loopback_lab.web_script, "start"]).returncode == 0
    assert fetch(loopback_lab, "http://127.1.4.150:8080/") == "Hello from vapp2\n"
