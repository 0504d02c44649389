"""Clusters that start with something missing, and fencing that fails first or takes its time."""

from collections.abc import Callable
from threading import Event

import pytest
from tests.corosync.coro_audit import lost
from tests.corosync.coro_lab import coro_town, need_corosync
from tests.corosync.coro_town import WAIT_S_MAX, Town, eventually, now_ms

from standfast.lab.calls import DaemonAction

pytestmark = pytest.mark.lab

OFF = 'action="off"'


@pytest.fixture(autouse=True)
def _needs() -> None:
    need_corosync()


def test_node_that_never_came_is_fenced_once_and_is_welcome_later() -> None:
    with coro_town(3, start=False) as town:
        town.lab.operate_daemon("vapp1", DaemonAction.START)
        town.lab.operate_daemon("vapp2", DaemonAction.START)
        town.audit(members=("vapp1", "vapp2"))
        for name in ("vapp1", "vapp2"):
            assert town.events(name).count(("fence.done", "vapp3")) == 1
        town.begin().lab.operate_daemon("vapp3", DaemonAction.START)
        town.audit()
        assert town.events("vapp1").count(("fence.began", "vapp3")) == 1


def test_one_of_two_nodes_that_start_without_a_link_wins_and_serves() -> None:
    with coro_town(2, fence=OFF, start=False) as town:
        town.lab.cut("vapp1", "vapp2")
        town.lab.operate_daemon("vapp1", DaemonAction.START)
        town.lab.operate_daemon("vapp2", DaemonAction.START)
        eventually(lambda: len(town.powered()) == 1, what="the fencing of one node")
        (winner,) = town.powered()
        (loser,) = town.others(winner)
        town.audit(members=(winner,))
        assert f"fence.done subject={loser}" in town.log()
        town.lab.heal()
        town.lab.power_on(loser)
        town.begin().lab.operate_daemon(loser, DaemonAction.START)
        assert town.audit() == winner


def test_service_waits_until_a_switch_that_was_unplugged_is_plugged_in_again(pair: Town) -> None:
    owner = pair.owner()
    (other,) = pair.others(owner)
    power = pair.lab.place.power
    unplugged = power.rename(power.with_name("unplugged.sock"))
    pair.lab.kill(owner)
    pair.logs(f"fence.failed subject={owner}")
    assert (pair.holders(), pair.web_servers(other)) == ((), [])
    unplugged.rename(power)
    assert (
        pair.audit(explained=(*lost(owner), "fence.agent-failed", f"fence.failed subject={owner}")) == other
    )


def test_service_waits_for_a_switch_that_answers_after_five_seconds() -> None:
    asked, may_answer = Event(), Event()

    def answer(action: str, name: str, lab: Callable[[str, str], str]) -> str:
        asked.set()
        may_answer.wait(WAIT_S_MAX)
        return lab(action, name)

    with coro_town(2, switch=answer) as town:
        owner = town.audit()
        (other,) = town.others(owner)
        town.begin().lab.kill(owner)
        assert asked.wait(WAIT_S_MAX)
        asked_ms = now_ms()
        town.passes(5000)
        assert (town.holders(), town.web_servers(other)) == ((), [])
        assert {probe.answer for probe in town.probing.probes(asked_ms)} == {None}
        may_answer.set()
        assert town.audit(explained=lost(owner)) == other
