"""Agents that hang and disks that are full on a node of a cluster on corosync."""

from subprocess import CompletedProcess

import pytest
from tests.corosync.coro_audit import lost
from tests.corosync.coro_lab import coro_town, need_corosync
from tests.corosync.coro_town import Town, eventually, now_ms

pytestmark = pytest.mark.lab

STUBBORN = """#!/bin/sh
# Agrees to everything, but hangs in an operation for which there is a file /run/hang-OPERATION.
case "$1" in
meta-data)
  cat <<'XML'
<?xml version="1.0"?>
<resource-agent name="stubborn" version="1.0">
  <version>1.0</version>
  <shortdesc lang="en">An agent that hangs when it is told to</shortdesc>
  <parameters><parameter name="name" primary="1" unique="1" required="1"><content type="string"/></parameter></parameters>
  <actions>
    <action name="start" timeout="2"/><action name="stop" timeout="2"/>
    <action name="status" interval="5" timeout="2"/>
    <action name="meta-data" timeout="2"/>
  </actions>
</resource-agent>
XML
  ;;
*)
  [ ! -e "/run/hang-$1" ] || sleep 1000
  exit 0
  ;;
esac
"""
FULL = ("history.not-written", "epoch.not-kept")
SERVICE = (
    '<stubborn name="mule" __enforce_timeouts="1"/><ip address="10.1.4.150" monitor_link="1"/>'
    '<script name="http" file="/etc/init.d/httpd"/>'
)


@pytest.fixture(autouse=True)
def _needs() -> None:
    need_corosync()


def test_service_whose_start_hangs_on_one_node_runs_on_the_other() -> None:
    with coro_town(2, service=SERVICE, agent=STUBBORN) as town:
        owner = town.audit()
        (other,) = town.others(owner)
        town.begin().shell(other, "touch /run/hang-start")
        moved = town.node(owner).run(["clusvcadm", "-r", "VirtualHTTP", "-m", other], timeout_s=60)
        assert moved.returncode != 0
        assert (
            town.audit(explained=(f"{other}  ", "agent.failed"), possible=("service.recoverable",)) == owner
        )


def test_service_whose_stop_hangs_fails_and_is_started_nowhere() -> None:
    with coro_town(2, service=SERVICE, agent=STUBBORN) as town:
        owner = town.audit()
        (other,) = town.others(owner)
        town.begin().shell(owner, "touch /run/hang-stop")
        moved = town.node(owner).run(["clusvcadm", "-r", "VirtualHTTP", "-m", other], timeout_s=60)
        assert moved.returncode != 0
        for name in town.names:
            eventually(lambda name=name: town.service_state(name) == "failed", what="the failure")  # type: ignore[misc]
        assert town.holders() in ((), (owner,))
        assert town.web_servers(other) == []
        town.check_address()
        town.check_log(explained=("agent.failed", "service.failed"))
        town.shell(owner, "rm /run/hang-stop")
        town.node(owner).run(["clusvcadm", "-d", "VirtualHTTP"], timeout_s=60, check=True)
        town.node(owner).run(["clusvcadm", "-e", "VirtualHTTP"], timeout_s=60, check=True)
        town.audit(possible=("agent.failed", "service.failed"))


@pytest.mark.parametrize("whose", ["owner", "bystander"])
def test_update_that_a_full_disk_cannot_take_names_the_node_and_the_service_goes_on(
    trio: Town, whose: str
) -> None:
    owner = trio.owner()
    full = owner if whose == "owner" else trio.others(owner)[0]
    asking = trio.others(full)[0]
    server, since_ms = trio.web_server(owner), now_ms()
    trio.fill_disk(full, "/etc/cluster")
    updated = update(trio, asking)
    assert updated.returncode != 0
    assert f"{full}: " in updated.stderr
    assert "make room" in updated.stderr
    trio.make_room(full, "/etc/cluster")
    assert update(trio, asking).returncode == 0
    assert trio.audit(explained=(f"config.not-written subject={full}",)) == owner
    assert trio.web_server(owner) == server
    assert trio.silences(since_ms) == ()
    written = {trio.shell(name, "cat /etc/cluster/cluster.conf") for name in trio.names}
    assert len(written) == 1


def update(town: Town, on: str) -> CompletedProcess[str]:
    """Have a node propose the configuration that it goes by with the next version."""
    version = town.config_version(on)
    newer = f's/config_version="[0-9]*"/config_version="{version + 1}"/'
    town.shell(on, f"sed '{newer}' /etc/cluster/cluster.conf >/run/new.conf")
    return town.node(on).run(["ccs_tool", "update", "/run/new.conf"], timeout_s=60)


def test_service_goes_on_where_the_disk_is_full(pair: Town) -> None:
    owner = pair.owner()
    (other,) = pair.others(owner)
    server, since_ms = pair.web_server(owner), now_ms()
    pair.fill_disk(owner, "/var/lib/standfast")
    pair.lab.kill(other)
    pair.logs(f"fence.done subject={other}")
    assert pair.audit(explained=lost(other), possible=FULL) == owner
    assert pair.web_server(owner) == server
    assert pair.silences(since_ms) == ()
    pair.make_room(owner, "/var/lib/standfast")


def test_node_with_a_full_disk_starts_nothing_and_says_why(pair: Town) -> None:
    owner = pair.owner()
    (other,) = pair.others(owner)
    pair.fill_disk(other, "/var/lib/standfast")
    pair.lab.kill(owner)
    pair.logs(f"on {other}: start failed: its tree cannot be noted on disk")
    assert pair.audit(explained=(*lost(owner), "service.recoverable"), possible=FULL) == owner
    pair.make_room(other, "/var/lib/standfast")
