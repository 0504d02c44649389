"""A node that dies, freezes or is cut off: it is fenced, and only then do its services start elsewhere."""

import pytest
from tests.processes.daemon.town import Town, eventually, is_alive, town

from standfast.engine import admin
from standfast.terms import NodeId
from standfast.wire.control import Acknowledged, AcknowledgeFencing, Failure

pytestmark = pytest.mark.lab


def events(cluster: Town, number: int) -> list[str]:
    """Return the names of what a node remembers."""
    return [line.event for line in cluster.nodes[number].history()]


def test_services_of_a_dead_node_start_on_the_survivor_after_it_was_fenced() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        other = cluster.other(owner)
        owner.power_off()
        eventually(lambda: other.runs("web"))
        assert cluster.power.power[owner.name] == "on"  # off, and on again: a reboot
        assert f"off {owner.name}" in cluster.power.asked
        told = [line.event for line in other.history()]
        assert told.index("fence.done") < len(told) - told[::-1].index("service.starting") - 1


def test_fencing_begins_within_milliseconds_of_its_decision_and_the_takeover_follows_at_once() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        other = cluster.other(owner)
        owner.power_off()
        eventually(lambda: other.runs("web"))
        eventually(lambda: (s := other.service("web")) is not None and s.state == "started")
        at_ms = {line.event: line.at_ms for line in other.history()}
        assert at_ms["service.started"] - at_ms["fence.done"] < 150


def test_victim_whose_agent_fails_is_tried_again_until_an_operator_acknowledges() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        other = cluster.other(owner)
        cluster.power.answer = lambda action, name: "error the power switch is jammed"
        owner.power_off()
        eventually(lambda: "fence.failed" in [line.event for line in other.history()])
        assert "the power switch is jammed" in other.log
        assert not other.runs("web")
        answer = other.ask(AcknowledgeFencing(owner.name))
        assert isinstance(answer, Acknowledged)
        eventually(lambda: other.runs("web"))


def test_acknowledging_a_node_that_is_no_victim_is_refused() -> None:
    with town() as cluster:
        cluster.start(cluster.conf())
        first = cluster.nodes[0]
        answer = first.ask(AcknowledgeFencing("vapp2"))
        unknown = first.ask(AcknowledgeFencing("vapp9"))
        assert isinstance(answer, Failure)
        assert isinstance(unknown, Failure)
        assert unknown.code == "node-unknown"


def test_victim_without_a_fence_method_is_said_to_need_a_person() -> None:
    with town() as cluster:
        conf = cluster.conf(cluster.service("web")).replace('<device name="power" plug="vapp1"/>', "")
        conf = conf.replace('<device name="power" plug="vapp2"/>', "")
        conf = conf.replace('<method name="power"></method>', "")
        cluster.start(conf)
        owner = cluster.owner("web")
        other = cluster.other(owner)
        owner.power_off()
        eventually(lambda: f"run fence_ack_manual {owner.name}" in other.log)
        assert not other.runs("web")


def test_password_of_a_fence_device_is_in_no_log_and_no_answer() -> None:
    with town() as cluster:
        agent = cluster.folder / "fence_talker"
        agent.write_text("#!/bin/sh\ngrep passwd\nexit 1\n")
        agent.chmod(0o755)
        conf = cluster.conf().replace('agent="fence_lab"', f'agent="{agent}" passwd="hush-hush-7"')
        cluster.start(conf)
        cluster.nodes[1].power_off()
        eventually(lambda: "fence.failed" in events(cluster, 0))
        assert "fence_talker" in cluster.nodes[0].log
        assert "hush-hush-7" not in cluster.nodes[0].log + repr(cluster.nodes[0].history())


def test_fence_agent_that_never_ends_is_killed_once_its_victim_is_declared_off() -> None:
    with town() as cluster:
        agent = cluster.folder / "fence_sleeper"
        mark = cluster.folder / "sleeps"
        agent.write_text(
            f"#!/bin/sh\ntrap '' TERM\necho $$ >{mark}.new; mv {mark}.new {mark}\nsleep 1000\nsleep 1000\n"
        )
        agent.chmod(0o755)
        cluster.start(cluster.conf().replace('agent="fence_lab"', f'agent="{agent}"'))
        cluster.nodes[1].power_off()
        eventually(mark.exists)
        assert isinstance(cluster.nodes[0].ask(AcknowledgeFencing("vapp2")), Acknowledged)
        eventually(lambda: not is_alive(int(mark.read_text())))


def test_exactly_one_half_of_a_cut_pair_survives_and_serves() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        cluster.owner("web")
        admin.cut(str(cluster.sequencer_path), NodeId(1), NodeId(2))
        survivor = eventually(
            lambda: next((n for n in cluster.nodes if cluster.other(n).daemon is None), None)
        )
        eventually(lambda: survivor.runs("web"))
        assert not cluster.other(survivor).runs("web")


def test_daemon_that_was_frozen_and_taken_over_from_stops_its_services_and_restarts() -> None:
    with town() as cluster:
        cluster.power.answer = lambda action, name: "ok off" if action in {"off", "status"} else "ok on"
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        other = cluster.other(owner)
        owner.freeze()
        # The power controller lies: it says "off" and does nothing, so that both have the service for a while.
        eventually(lambda: f'fence.done subject={owner.name} text="agent' in other.log)
        owner.thaw()
        eventually(lambda: not owner.runs("web"))
        eventually(lambda: owner.log.count("daemon.started") == 2)
        assert "daemon.woke" in owner.log
        cluster.wait_online(owner)
        assert (cluster.owner("web"), owner.runs("web")) == (other, False)
        assert owner.calls("web").count("start") == 1
