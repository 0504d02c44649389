"""corosync or the daemon dies or hangs on a node, and nodes leave: the service goes on, or moves, and never doubles."""

import pytest
from tests.corosync.coro_audit import lost
from tests.corosync.coro_lab import coro_town, need_corosync
from tests.corosync.coro_town import Town, eventually, now_ms

from standfast.lab.calls import DaemonAction
from standfast.lab.plan import corosync_daemon_command

pytestmark = pytest.mark.lab

COROSYNC = "/corosync -f"
DAEMON = "standfast.node.daemon"
DAEMON_THERE = f"{' '.join(corosync_daemon_command())} </dev/null >/proc/1/fd/1 2>&1"
AHEAD_S = 1_000_000


def test_owner_whose_corosync_is_killed_stops_and_is_fenced(pair: Town) -> None:
    owner = pair.owner()
    pair.signal(COROSYNC, owner, "KILL")
    pair.audit(
        explained=(*lost(owner), "lab: corosync, process"),
        possible=(f"{owner}: corosync is gone", "lab: the daemon, process"),
    )


def test_bystander_whose_corosync_is_killed_does_not_disturb_the_service(trio: Town) -> None:
    owner = trio.owner()
    bystander = trio.others(owner)[0]
    since_ms = now_ms()
    trio.signal(COROSYNC, bystander, "KILL")
    trio.logs(f"fence.done subject={bystander}")
    found = trio.audit(
        explained=(*lost(bystander), "lab: corosync, process"),
        possible=(f"{bystander}: corosync is gone", "lab: the daemon, process"),
    )
    assert found == owner
    assert trio.silences(since_ms) == ()


def test_owner_whose_corosync_hangs_stops_and_is_fenced(pair: Town) -> None:
    owner = pair.owner()
    pair.signal(COROSYNC, owner, "STOP")
    pair.logs(f"fence.done subject={owner}")
    pair.audit(
        explained=lost(owner),
        possible=(f"{owner}: corosync has not answered", "lab: the daemon, process"),
    )


def test_daemon_that_is_killed_and_started_again_adopts_the_service(pair: Town) -> None:
    owner = pair.owner()
    server, since_ms = pair.web_server(owner), now_ms()
    pair.lab.operate_daemon(owner, DaemonAction.KILL)
    pair.logs(f"member.away subject={owner}")
    pair.lab.operate_daemon(owner, DaemonAction.START)
    assert pair.audit(explained=(f"member.away subject={owner}", "lab: the daemon, process")) == owner
    assert pair.web_server(owner) == server
    assert pair.silences(since_ms) == ()


def test_daemon_that_is_started_again_joins_at_once_however_long_the_token_is() -> None:
    need_corosync()
    with coro_town(2, totem='<totem token="10000"/>') as town:
        owner = town.audit()
        town.begin().lab.operate_daemon(owner, DaemonAction.KILL)
        town.logs(f"member.away subject={owner}")
        town.lab.operate_daemon(owner, DaemonAction.START)
        assert town.audit(explained=(f"member.away subject={owner}", "lab: the daemon, process")) == owner


def test_clock_of_one_node_that_is_days_ahead_of_the_others_changes_nothing(pair: Town) -> None:
    pair.owner()
    pair.lab.operate_daemon("vapp2", DaemonAction.KILL)
    pair.logs("member.away subject=vapp2")
    pair.shell("vapp2", f"setsid unshare --time --monotonic {AHEAD_S} --boottime {AHEAD_S} {DAEMON_THERE} &")
    pair.audit(explained=("member.away subject=vapp2", "lab: the daemon, process"))
    clocks = pair.shell("vapp2", f"readlink /proc/1/ns/time /proc/{pair.pid_of(DAEMON, 'vapp2')}/ns/time")
    assert len(set(clocks.split())) == 2
    pair.begin().lab.kill("vapp1")  # vapp2 is the coordinator now
    pair.answers("vapp2")
    assert pair.audit(explained=lost("vapp1")) == "vapp2"
    pair.begin().lab.kill("vapp2")  # and vapp1, which has been it again, goes on alone
    assert pair.audit(explained=lost("vapp2")) == "vapp1"


def test_node_whose_daemon_hangs_is_fenced(trio: Town) -> None:
    owner = trio.owner()
    trio.signal(DAEMON, owner, "STOP")
    trio.logs(f"fence.done subject={owner}")
    assert trio.audit(explained=lost(owner)) != owner


def test_node_whose_daemon_is_killed_for_good_is_fenced_when_its_grace_is_over(pair: Town) -> None:
    owner = pair.owner()
    (other,) = pair.others(owner)
    pair.lab.operate_daemon(owner, DaemonAction.KILL)
    pair.logs(f"member.away subject={owner}")
    pair.answers(owner)
    pair.logs(f"fence.done subject={owner}")
    assert (
        pair.audit(
            explained=(
                f"member.away subject={owner}",
                f"fence.victim subject={owner}",
                "lab: the daemon, process",
            ),
            possible=lost(owner),
        )
        == other
    )


def test_node_that_leaves_hands_its_service_over_and_is_not_fenced(pair: Town) -> None:
    owner = pair.owner()
    (other,) = pair.others(owner)
    before = len(pair.history(other))
    pair.node(owner).run(["standfast", "leave"], timeout_s=60, check=True)
    assert pair.audit(members=(other,)) == other
    pair.lab.operate_daemon(owner, DaemonAction.START)
    assert pair.audit() == other
    assert not any(event.startswith("fence.") for event, _ in pair.events(other, before))


def test_service_stops_without_quorum_and_starts_with_it(trio: Town) -> None:
    owner = trio.owner()
    for name in trio.others(owner):
        trio.lab.kill(name)
    eventually(lambda: trio.holders() == (), what="the stop of the service")
    assert trio.web_servers(owner) == []
    assert "fence.began" not in trio.log()
    for name in trio.others(owner):
        trio.lab.power_on(name)
    # When there is a quorum again, a node that died and has not come back by then is fenced.
    trio.audit(possible=(*lost(*trio.others(owner)), "member.away"))
