"""cman_tool against real daemons: the test vectors that one machine can show. Source: spec membership, section 17."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest
from tests.processes.daemon.town import Node, Town, eventually, town

from standfast.engine import admin
from standfast.node.exits import ExitStatus
from standfast.terms import NodeId

pytestmark = pytest.mark.lab

PROGRAM = "import sys; from standfast.cli.cman_tool import run; sys.exit(run())"
CLUSTAT = "import sys; from standfast.cli.clustat import run; sys.exit(run())"
GONE = (1, "", "cman_tool: Cannot open connection to cman, is it running ?\n")
THREE = ("vapp1", "vapp2", "vapp3")
FIVE = (*THREE, "vapp4", "vapp5")
RUN_S_MAX = 60.0
NOBODY = 65534


def cman(node: Node, *argv: str, uid: int | None = None) -> tuple[int, str, str]:
    """Run cman_tool on a node; returns exit status, standard output and error."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *argv],
        env={**node.environment, "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_S_MAX,
        user=uid,
        extra_groups=None if uid is None else (),
    )
    return ran.returncode, ran.stdout, ran.stderr


def lines(node: Node, *argv: str) -> list[str]:
    """Run cman_tool on a node, which has to succeed, and return what it prints."""
    status, out, err = cman(node, *argv)
    assert (status, err) == (0, "")
    return out.splitlines()


def state(node: Node) -> dict[str, str]:
    """What cman_tool status says on a node, by the names of the lines; nothing while it fails."""
    status, out, _ = cman(node, "status")
    return dict(line.split(": ", 1) for line in out.splitlines() if ": " in line) if status == 0 else {}


def quorum(node: Node) -> str:
    """The line Quorum of cman_tool status."""
    return state(node).get("Quorum", "")


def founding(cluster: Town) -> str:
    """A configuration with the name, version and nodes of the founding document."""
    text = cluster.conf(version=4).replace('name="town"', 'name="VMCluster"')
    assert 'two_node="1" expected_votes="1"' in text
    return text


def start_alone(cluster: Town, conf: str) -> Node:
    """Start the first node only."""
    first = cluster.nodes[0]
    first.conf.write_text(conf)
    first.power_on()
    first.start()
    eventually(lambda: state(first))
    return first


def no_power(cluster: Town) -> None:
    """Let no node be fenced from here on."""
    cluster.power.answer = lambda _action, _name: "error no power here"


def test_m01_one_node_of_the_founding_cluster_alone_is_quorate_at_once() -> None:
    with town() as cluster:
        first = start_alone(cluster, founding(cluster))
        eventually(lambda: state(first).get("Flags") == "2node Dirty ")
        seen = state(first)
        assert {name: seen[name] for name in ("Cluster Name", "Config Version", "Cluster Id", "Quorum")} == {
            "Cluster Name": "VMCluster",
            "Config Version": "4",
            "Cluster Id": "43188",
            "Quorum": "1  ",
        }
        assert (seen["Nodes"], seen["Expected votes"], seen["Total votes"]) == ("1", "1", "1")
        assert seen["Multicast addresses"] == "239.192.168.93 "
        assert cman(first, "wait", "-q", "-t", "9") == (0, "", "")


def test_m02_node_that_is_lost_is_dead_and_a_victim_and_the_other_stays_quorate() -> None:
    with town() as cluster:
        cluster.start(founding(cluster))
        first, second = cluster.nodes
        rows = lines(first, "nodes")
        assert rows[0] == "Node  Sts   Inc   Joined               Name"
        assert [(row[:9], row[39:]) for row in rows[1:]] == [("   1   M ", "vapp1"), ("   2   M ", "vapp2")]
        no_power(cluster)
        second.power_off()
        eventually(lambda: lines(first, "nodes", "-F", "id,type") == ["1 M ", "2 X "])
        assert lines(first, "nodes", "-f")[-2:] == [
            "   2   X      0                        vapp2",
            "       Node has not been fenced since it went down",
        ]
        assert quorum(first) == "1  "
        seen = first.sees("vapp2")
        assert seen is not None
        assert seen.victim


def test_m03_and_m13_one_of_three_is_blocked_and_waits_in_vain() -> None:
    with town(*THREE) as cluster:
        first = start_alone(cluster, cluster.conf(cluster.service("web")))
        assert quorum(first) == "2 Activity blocked"
        began = time.monotonic()
        assert cman(first, "wait", "-q", "-t", "2") == (2, "", "Timed-out waiting for cluster\n")
        assert 2.0 <= time.monotonic() - began < 10.0
        assert "start" not in first.calls("web")
        assert "fence.began" not in [line.event for line in first.history()]


def test_m04_crash_after_a_removal_blocks() -> None:
    with town(*THREE) as cluster:
        cluster.start(cluster.conf())
        first, second, third = cluster.nodes
        text = "the others will need 2 votes for quorum, and have 2\n"
        assert cman(third, "-w", "-t", "30", "leave", "remove") == (0, text, "")
        assert cman(third, "status") == GONE
        eventually(lambda: state(first).get("Expected votes") == "2")
        no_power(cluster)
        second.power_off()
        eventually(lambda: quorum(first) == "2 Activity blocked")
        assert (state(first)["Expected votes"], state(first)["Total votes"]) == ("2", "1")


def test_m05_cluster_that_shrank_to_two_takes_one_back() -> None:
    with town(*FIVE) as cluster:
        cluster.start(cluster.conf())
        first = cluster.nodes[0]
        for node in cluster.nodes[:1:-1]:
            assert cman(node, "leave", "remove", "-w")[0] == 0
        eventually(lambda: quorum(first) == "2  ")
        third = cluster.nodes[2]
        third.start()
        eventually(lambda: (quorum(first), state(first)["Expected votes"]) == ("3  ", "5"))
        assert state(first)["Total votes"] == "3"


def test_m06_m07_expected_votes() -> None:
    with town(*THREE) as cluster:
        cluster.start(cluster.conf())
        first, second, third = cluster.nodes
        before = [state(node) for node in cluster.nodes]
        status, out, err = cman(first, "expected", "-e", "7")
        assert (status, out) == (1, "")
        assert err.startswith("cman_tool: can't set expected votes: Invalid argument (")
        assert [state(node) for node in cluster.nodes] == before
        assert cman(first, "expected", "-e", "5") == (0, "", "")
        eventually(lambda: [quorum(node) for node in cluster.nodes] == ["3  "] * 3)
        no_power(cluster)
        third.power_off()
        eventually(lambda: quorum(first) == "3 Activity blocked")
        assert cman(second, "expected", "-e", "2") == (0, "", "")
        eventually(lambda: [quorum(node) for node in (first, second)] == ["2  "] * 2)


def test_m08_expected_votes_below_the_total() -> None:
    with town(*FIVE) as cluster:
        cluster.start(cluster.conf())
        assert cman(cluster.nodes[3], "expected", "-e", "3") == (0, "", "")
        for node in cluster.nodes:
            eventually(lambda node=node: state(node).get("Expected votes") == "3")  # type: ignore[misc]
            assert quorum(node) == "3  "


def test_m09_changes_without_a_number_change_nothing() -> None:
    with town() as cluster:
        cluster.start(founding(cluster))
        first = cluster.nodes[0]
        before = state(first)
        assert cman(first, "expected") == (1, "", "cman_tool: expected votes not given (-e)\n")
        assert cman(first, "votes") == (1, "", "cman_tool: votes not given (-v)\n")
        assert state(first) == before


def test_m10_kill_goes_on_after_an_unknown_name() -> None:
    with town(*THREE) as cluster:
        cluster.start(cluster.conf())
        first, second, _ = cluster.nodes
        expected = "Can't kill node nosuch : No such file or directory\n"
        assert cman(first, "kill", "-n", "nosuch", "-n", "vapp2") == (1, "", expected)
        eventually(lambda: lines(first, "nodes", "-n", "vapp2", "-F", "type") == ["X "])
        assert second.daemon is None or second.daemon.wait(30) != 0
        eventually(lambda: any(line.event == "fence.done" for line in first.history()))
        eventually(lambda: " by fence_lab" in lines(first, "nodes", "-f", "-n", "vapp2")[-1])


def test_m11_m12_nodes_that_are_chosen() -> None:
    with town() as cluster:
        cluster.start(founding(cluster))
        first = cluster.nodes[0]
        assert lines(first, "nodes", "-n", "nosuch") == ["Node  Sts   Inc   Joined               Name"]
        assert lines(first, "nodes", "-F", "id,bogus,type") == ["1 M ", "2 M "]


def test_m15_every_operation_without_a_daemon() -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        for argv in (["status"], ["nodes"], ["services"], ["version"], ["wait"], ["leave"], ["debug"]):
            assert cman(node, *argv) == GONE


def test_m16_five_nodes_in_two_parts_have_one_owner_and_the_smaller_part_restarts() -> None:
    with town(*FIVE) as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        no_power(cluster)
        pair, rest = cluster.nodes[:2], cluster.nodes[2:]
        before = {node.name: started(node) for node in pair}
        cut(cluster, pair, rest)
        eventually(lambda: all(quorum(node) == "3 Activity blocked" for node in pair))
        eventually(lambda: all(quorum(node) == "3  " for node in rest))
        eventually(lambda: not any(node.runs("web") for node in pair))
        admin.heal(str(cluster.sequencer_path))
        for node in pair:
            eventually(lambda node=node: started(node) > before[node.name])  # type: ignore[misc]
            cluster.wait_online(node)
        eventually(lambda: sum(node.runs("web") for node in cluster.nodes) == 1)
        assert all(quorum(node) == "3  " for node in cluster.nodes)


def test_m17_the_half_of_two_that_can_fence_goes_on_and_the_other_is_reset() -> None:
    with town() as cluster:
        cluster.start(founding(cluster).replace("<rm >", f"<rm >{cluster.service('web')}"))
        first, second = cluster.nodes
        switch = cluster.power.answer
        cluster.power.answer = lambda action, name: (
            switch(action, name) if name == "vapp2" else "error out of reach"
        )
        cut(cluster, [first], [second])
        eventually(lambda: second.daemon is None)
        eventually(lambda: first.runs("web"))
        assert quorum(first) == "1  "
        eventually(lambda: any(line.event == "fence.done" for line in first.history()))


def cut(cluster: Town, one: Sequence[Node], other: Sequence[Node]) -> None:
    """Break every link between the two parts."""
    for a in one:
        for b in other:
            admin.cut(str(cluster.sequencer_path), NodeId(a.nodeid), NodeId(b.nodeid))


def started(node: Node) -> int:
    """How often the node's daemon has begun, also anew by itself."""
    return node.log.count("daemon.started")


def test_m18_third_node_does_not_get_into_a_two_node_cluster() -> None:
    with town(*THREE) as cluster:
        conf = cluster.conf().replace("<cman/>", '<cman two_node="1" expected_votes="1"/>')
        first = cluster.nodes[0]
        first.conf.write_text(conf)
        status, out, err = cman(first, "join")
        assert (status, out) == (1, "")
        assert "[I23]" in err
        assert err.endswith("cman_tool: Not joining, configuration is not valid\n")
        first.power_on()
        assert first.start().wait(30) == ExitStatus.REFUSED
        assert "I23" in first.log


def test_m21_leave_is_vetoed_while_a_service_runs_and_force_stops_it_first() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        pid = owner.pid_of("web")
        refused = "cman_tool: Error leaving cluster: Device or resource busy (rgmanager: 1 service)\n"
        assert cman(owner, "leave", "-w", "-t", "20") == (1, "", refused)
        assert owner.pid_of("web") == pid
        assert owner.runs("web")
        assert cman(owner, "leave", "force", "-w", "-t", "30") == (0, "", "")
        assert owner.daemon is not None
        assert owner.daemon.wait(30) == 0
        assert not owner.runs("web")
        eventually(lambda: cluster.other(owner).runs("web"))


def test_services_lists_the_fence_domain_and_the_manager() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        cluster.owner("web")
        assert [line.split() for line in lines(cluster.nodes[0], "services")] == [
            ["type", "level", "name", "id", "state"],
            ["fence", "0", "default", "00010001", "none"],
            ["[1", "2]"],
            ["dlm", "1", "rgmanager", "00020001", "none"],
            ["[1", "2]"],
        ]


def test_version_makes_the_file_of_one_node_the_cluster_s() -> None:
    with town() as cluster:
        cluster.start(founding(cluster))
        first, second = cluster.nodes
        assert cman(first, "version") == (0, "6.2.0 config 4\n", "")
        first.conf.write_text(first.conf.read_text().replace('config_version="4"', 'config_version="5"'))
        assert cman(first, "version", "-r", "6")[2].endswith("configuration file has version 5, not 6\n")
        assert cman(first, "version", "-r", "5", "-t", "30") == (0, "", "")
        assert cman(second, "version") == (0, "6.2.0 config 5\n", "")
        assert second.conf.read_text() == first.conf.read_text()


def test_debug_makes_the_log_longer_until_it_is_off_again() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        node = cluster.nodes[0]
        assert cman(node, "debug", "-d4") == (0, "", "")
        assert cman(node, "status")[0] == 0
        assert cman(node, "expected", "-e", "1") == (0, "", "")
        eventually(lambda: " DEBUG core.step event=Asked" in node.log)
        assert cman(node, "debug") == (0, "", "")
        told = node.log.count(" DEBUG ")
        assert cman(node, "expected", "-e", "1") == (0, "", "")
        assert node.log.count(" DEBUG ") == told


def test_node_removed_from_the_configuration_after_it_left_is_estranged_until_a_restart() -> None:
    with town(*THREE) as cluster:
        cluster.start(cluster.conf())
        first, second, third = cluster.nodes
        assert cman(third, "leave", "remove", "-w")[0] == 0
        without = cluster.conf(version=2)
        begin = without.index('<clusternode name="vapp3"')
        without = without[:begin] + without[without.index("</clusternodes>") :]
        first.conf.write_text(without)
        assert cman(first, "version", "-r", "2") == (0, "", "")
        lingering = ["vapp3", "3", "Offline,", "Estranged"]
        eventually(lambda: lingering in clustat(first))
        eventually(lambda: lingering in clustat(second))
        assert lines(first, "nodes", "-F", "name,type") == ["vapp1 M ", "vapp2 M ", "vapp3 X "]
        assert second.end() == 0
        second.start()
        cluster.wait_online(second)
        assert lingering not in clustat(second)
        assert lingering in clustat(first)
        third.start()
        assert third.daemon is not None
        assert third.daemon.wait(30) == ExitStatus.REFUSED
        assert 'node "vapp3" with id 3 is not in cluster.conf version 2' in third.log


def clustat(node: Node) -> list[list[str]]:
    """The lines that clustat prints on a node, each as its words."""
    ran = subprocess.run(
        [sys.executable, "-c", CLUSTAT],
        env=node.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=RUN_S_MAX,
    )
    return [line.split() for line in ran.stdout.splitlines()]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_anybody_may_look_and_only_operators_may_change() -> None:
    with town() as cluster:
        cluster.start(founding(cluster))
        first = cluster.nodes[0]
        before = state(first)
        denied = (1, "", "cman_tool: Cannot open connection to cman, permission denied.\n")
        for argv in (["status"], ["nodes", "-a"], ["services"], ["version"], ["wait", "-q"]):
            status, _, err = cman(first, *argv, uid=NOBODY)
            assert (status, err) == (0, "")
        for argv in (
            ["expected", "-e", "1"],
            ["votes", "-v", "1"],
            ["kill", "-n", "vapp2"],
            ["leave"],
            ["debug", "-d"],
        ):
            assert cman(first, *argv, uid=NOBODY) == denied
        assert state(first) == before
