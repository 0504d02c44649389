"""A daemon that was killed and started again: what runs is adopted, what was under way is brought to a known end."""

import os
from pathlib import Path

import pytest
from tests.processes.daemon.town import eventually, is_alive, town

from standfast.terms import ServiceName
from standfast.wire.control import Code, Operated, OperateService, Operation, UpdateConfig, encode_call

pytestmark = pytest.mark.lab

HANG_ON_START = 'if [ "$1" = start ] && [ -f "$place.trap" ]; then echo $$ >"$place.hangs"; sleep 1000; fi'
HANG_ON_STOP = 'if [ "$1" = stop ] && [ -f "$place.trap" ]; then rm "$place.trap"; echo $$ >"$place.hangs"; sleep 1000; fi'


def test_service_that_still_runs_is_adopted_without_a_restart() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        pid = owner.pid_of("web")
        owner.kill()
        before = owner.calls("web")
        owner.start()
        cluster.wait_online(owner)
        assert cluster.owner("web") is owner
        assert (owner.runs("web"), owner.pid_of("web")) == (True, pid)
        assert owner.calls("web")[len(before) :] == ["status"]
        assert "start" not in cluster.other(owner).calls("web")


def test_nobody_takes_a_service_over_while_the_daemon_of_a_living_machine_is_away() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        other = cluster.other(owner)
        owner.kill()
        eventually(lambda: not other.knows(owner.name))
        owner.start()
        cluster.wait_online(owner)
        assert "start" not in other.calls("web")
        assert "fence.began" not in [line.event for line in other.history()]


def test_service_that_died_together_with_the_daemon_is_stopped_and_started_again() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        pid = owner.pid_of("web")
        owner.kill()
        os.kill(pid, 9)
        owner.start()
        cluster.wait_online(owner)
        running = eventually(lambda: next((n for n in cluster.nodes if n.runs("web")), None))
        assert running.pid_of("web") != pid


def test_start_that_was_under_way_is_ended_and_stopped_before_anything_else_is_done() -> None:
    with town() as cluster:
        service = cluster.service("web", HANG_ON_START)
        for node in cluster.nodes:
            node.root.mkdir(exist_ok=True)
            (node.root / "service-web.trap").touch()
        cluster.start(cluster.conf(service))
        hung = eventually(lambda: next((n for n in cluster.nodes if "start" in n.calls("web")), None))
        marker = hung.root / "service-web.hangs"
        eventually(marker.exists)
        hung.kill()
        assert is_alive(int(marker.read_text()))
        for node in cluster.nodes:
            (node.root / "service-web.trap").unlink()
        before = hung.calls("web")
        hung.start()
        cluster.wait_online(hung)
        cluster.owner("web")
        assert not is_alive(int(marker.read_text()))
        assert hung.calls("web")[len(before) :][:2] == ["status", "stop"]
        assert sum(n.runs("web") for n in cluster.nodes) == 1


def test_stop_that_was_under_way_is_carried_out_by_the_next_daemon() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web", HANG_ON_STOP)))
        owner = cluster.owner("web")
        (owner.root / "service-web.trap").touch()
        marker = owner.root / "service-web.hangs"
        with owner.connect() as connection:
            connection.sendall(encode_call(UpdateConfig(cluster.conf(version=2))))
            eventually(marker.exists)
            owner.kill()
        owner.start()
        cluster.wait_online(owner)
        eventually(lambda: not owner.runs("web"))
        eventually(lambda: not list((owner.state_dir / "running").iterdir()))


def test_what_an_earlier_boot_has_started_is_not_believed_to_run() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        other = cluster.other(owner)
        owner.power_off()
        eventually(lambda: other.runs("web"))
        assert list((owner.state_dir / "running").iterdir())
        owner.boot_id = "another-boot"
        owner.power_on()
        owner.start()
        cluster.wait_online(owner)
        assert list((owner.state_dir / "running").iterdir()) == []
        assert (cluster.owner("web"), owner.runs("web")) == (other, False)


def test_services_are_stopped_once_when_a_machine_has_booted() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web", attributes='autostart="0"')))
        first = cluster.nodes[0]
        assert first.calls("web") == ["stop"]
        first.kill()
        first.start()
        cluster.wait_online(first)
        assert first.calls("web") == ["stop"]


def test_node_whose_agents_server_died_goes_on_with_a_new_one() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        assert owner.daemon is not None
        children = Path(f"/proc/{owner.daemon.pid}/task/{owner.daemon.pid}/children").read_text().split()
        os.kill(int(children[0]), 9)
        eventually(lambda: "agents.server-died" in owner.log)
        answer = owner.ask(OperateService(operation=Operation.RESTART, service=ServiceName("service:web")))
        assert isinstance(answer, Operated)
        assert (answer.code, owner.runs("web")) == (Code.SUCCESS, True)
