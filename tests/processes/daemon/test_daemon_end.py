"""The end of a real daemon: in order, at once, or because its engine is gone."""

import signal

import pytest
from tests.processes.daemon.town import eventually, is_alive, town

from standfast.node.exits import ExitStatus
from standfast.wire.control import Acknowledged, Failure, LeaveCluster, OperateService, Operation

pytestmark = pytest.mark.lab

FAIL_ON_STOP = 'if [ "$1" = stop ] && [ -f "$place.stuck" ]; then exit 1; fi'
SLOW_STOP = 'if [ "$1" = stop ] && [ -f "$place.pid" ]; then touch "$place.stopping"; sleep 1000; fi'


def test_daemon_that_is_told_to_end_gives_its_services_away_first_and_is_no_victim() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        other = cluster.other(owner)
        assert owner.end() == 0
        assert not owner.runs("web")
        eventually(lambda: other.runs("web"))
        assert "fence.began" not in [line.event for line in other.history()]


def test_operator_who_asks_a_node_to_leave_hears_when_it_has_left() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        answer = owner.ask(LeaveCluster())
        assert isinstance(answer, Acknowledged)
        assert owner.daemon is not None
        assert owner.daemon.wait(30) == 0
        eventually(lambda: cluster.other(owner).runs("web"))


def test_node_that_left_comes_back() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        second = cluster.nodes[1]
        assert second.end(signal.SIGINT) == 0
        second.start()
        cluster.wait_online(second)
        assert sum(node.runs("web") for node in cluster.nodes) == 1


def test_second_signal_ends_the_daemon_at_once_and_leaves_its_services_to_the_next_one() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web", SLOW_STOP)))
        owner = cluster.owner("web")
        pid = owner.pid_of("web")
        assert owner.daemon is not None
        owner.daemon.send_signal(signal.SIGTERM)
        eventually((owner.root / "service-web.stopping").exists)
        assert owner.end() == ExitStatus.AT_ONCE
        assert is_alive(pid)


def test_node_with_a_frozen_service_stays_and_says_why() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        freeze = OperateService(operation=Operation.FREEZE, service=owner.service("web").name)  # type: ignore[union-attr]
        owner.ask(freeze)
        answer = owner.ask(LeaveCluster())
        assert isinstance(answer, Failure)
        assert "frozen" in answer.text
        assert owner.runs("web")


def test_services_are_stopped_when_the_engine_is_gone_and_the_daemon_ends_with_a_sentence() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        cluster._sequencer.kill()
        assert owner.daemon is not None
        assert owner.daemon.wait(30) == ExitStatus.LOST
        assert not owner.runs("web")
        assert "standfastd: " in owner.log
        assert "the sequencer is gone" in owner.log


def test_services_are_stopped_when_quorum_is_lost_and_started_when_it_is_regained() -> None:
    with town("vapp1", "vapp2", "vapp3") as cluster:
        cluster.power.answer = lambda action, name: "error no power here"
        cluster.start(
            cluster.conf(cluster.service("web", attributes='domain="d"'), rm="").replace(
                "<rm >",
                '<rm><failoverdomains><failoverdomain name="d" ordered="1" restricted="0">'
                '<failoverdomainnode name="vapp1" priority="1"/></failoverdomain></failoverdomains>',
            )
        )
        first, second, third = cluster.nodes
        assert cluster.owner("web") is first
        second.kill()
        third.kill()
        for node in (second, third):
            node.power_off()
        eventually(lambda: not first.runs("web"))
        assert first.status() is not None
        for node in (second, third):
            node.boot_id = f"{node.name}-boot-2"
            node.power_on()
            node.start()
        eventually(lambda: any(node.runs("web") for node in cluster.nodes))


def test_hangup_changes_nothing_and_is_noted() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        node = cluster.nodes[0]
        assert node.daemon is not None
        node.daemon.send_signal(signal.SIGHUP)
        eventually(lambda: "SIGHUP changes nothing" in node.log)
        assert node.daemon.poll() is None


def test_history_survives_the_daemon() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        node = cluster.nodes[0]
        assert node.end() == 0
        node.start()
        cluster.wait_online(node)
        assert [line.event for line in node.history()].count("daemon.started") == 2
