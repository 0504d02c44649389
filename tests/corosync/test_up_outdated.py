"""A node that was off while the cluster's configuration changed, and how a change reaches the corosync that runs."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.corosync.machines import DOWN, UP, Machine, eventually, machines, short_folder, start_all

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

DROP_IN = Path(__file__).resolve().parents[2] / "systemd/corosync.service.d/standfast.conf"
FOURTH = re.compile(r'    <clusternode name="vapp4".*?</clusternode>\n', re.DOTALL)
THIRD = re.compile(r'    <clusternode name="vapp3".*?</clusternode>\n', re.DOTALL)


@pytest.fixture(name="three")
def _three() -> Iterator[tuple[Machine, ...]]:
    with short_folder() as folder, machines(folder, 3) as three:
        yield three


@pytest.fixture(name="four")
def _four() -> Iterator[tuple[Machine, ...]]:
    with short_folder() as folder, machines(folder, 4) as four:
        yield four


def update(machine: Machine, text: str) -> None:
    """Activate a new cluster.conf from this node."""
    version = int(re.findall(r'config_version="(\d+)"', text)[0])
    machine.conf.write_text(text.replace(f'config_version="{version}"', f'config_version="{version + 1}"'))
    machine.must("ccs_tool", "update", "/etc/cluster/cluster.conf")


def setting(machine: Machine, key: str) -> str:
    """The value of a setting that the corosync of a machine runs with, "" where it has none."""
    return machine.run("corosync-cmapctl", "-g", key).stdout.rpartition(" = ")[2].strip()


def times_fenced(machine: Machine) -> int:
    """How many fencings its history knows."""
    return machine.must("standfast", "history").count("fence.began")


def test_votes_and_timeouts_that_changed_meanwhile_are_taken_over(three: tuple[Machine, ...]) -> None:
    first, second, third = three
    start_all(three)
    third.must(*DOWN)
    new = first.conf.read_text().replace('name="vapp1" votes="1"', 'name="vapp1" votes="3"')
    update(first, new.replace('token="1000"', 'token="1600"'))
    eventually(lambda: setting(second, "runtime.config.totem.token") == "1600", what="the new token time")
    assert third.must(*UP).endswith("vapp3 is up\n[  OK  ]\n")
    eventually(
        lambda: setting(third, "runtime.config.totem.token") == "1600", what="the new token time there"
    )
    assert third.conf.read_text() == first.conf.read_text()
    eventually(
        lambda: "Total votes:      5" in third.run("corosync-quorumtool", "-s").stdout, what="the new votes"
    )
    assert "Expected votes:   5" in first.run("corosync-quorumtool", "-s").stdout
    assert times_fenced(first) == 0


def test_node_that_was_added_meanwhile_is_known_before_corosync_starts(four: tuple[Machine, ...]) -> None:
    *others, added = four
    whole = added.conf.read_text().replace('name="vapp1" votes="1"', 'name="vapp1" votes="3"')
    for machine in others:
        machine.conf.write_text(FOURTH.sub("", whole))
    start_all(others)
    first, second, late = others
    late.must(*DOWN)
    update(first, whole)
    eventually(
        lambda: setting(second, "nodelist.node.3.name") == "vapp4", what="the new node in its corosync"
    )
    added.conf.write_text(first.conf.read_text())
    added.must(*UP)
    assert first.members() == ["vapp1", "vapp2", "vapp4"]

    said = late.must(*UP)
    assert re.search(
        r"Asking the other nodes for a newer list of nodes... done: vapp\d has version 2, which is used", said
    )
    assert first.members() == ["vapp1", "vapp2", "vapp3", "vapp4"]
    assert (late.conf.read_text(), times_fenced(first)) == (first.conf.read_text(), 0)


def test_node_that_was_removed_meanwhile_is_told_so(three: tuple[Machine, ...]) -> None:
    first, second, third = three
    start_all(three)
    third.must(*DOWN)
    update(first, THIRD.sub("", first.conf.read_text()))
    eventually(lambda: setting(second, "nodelist.node.2.name") == "", what="the removal in its corosync")
    text = third.refuses(*UP)
    assert "vapp3 with node id 3 is not in version 2 of cluster.conf, by which vapp" in text
    assert "ccs_tool addnode" in text
    assert third.runs() == []


def test_only_who_has_the_key_is_told_the_list_of_nodes(three: tuple[Machine, ...]) -> None:
    first, _, third = three
    first.must("standfast", "up", "--no-wait")
    third.must("standfast", "up", "--no-wait")
    third.must(*DOWN)
    assert "newer list of nodes... done: there is none" in third.must("standfast", "up", "--no-wait")
    third.must(*DOWN)
    third.key.unlink()
    third.key.write_bytes(bytes(256))
    third.key.chmod(0o400)
    assert "newer list of nodes... done: no node tells one" in third.must("standfast", "up", "--no-wait")


def test_corosync_that_runs_with_a_newer_list_of_nodes_keeps_it(three: tuple[Machine, ...]) -> None:
    first, second, third = three
    old = third.conf.read_text()
    start_all(three)
    update(first, old.replace('token="1000"', 'token="1600"'))
    eventually(lambda: setting(third, "runtime.config.totem.token") == "1600", what="the new token time")
    third.must("standfast", "leave")
    third.conf.write_text(old)
    said = third.must(*UP)
    assert "with the newer version 2 of cluster.conf" in said
    assert setting(third, "runtime.config.totem.token") == "1600"
    assert third.conf.read_text() == second.conf.read_text()


def test_preparation_for_a_service_manager_starts_nothing(three: tuple[Machine, ...]) -> None:
    first, *_ = three
    assert first.must("standfast", "up", "--prepare").endswith("corosync may start on vapp1\n[  OK  ]\n")
    assert (first.runs(), first.corosync_conf.exists()) == ([], True)
    first.key.unlink()
    assert "standfast keygen" in first.refuses("standfast", "up", "--prepare")


def test_service_manager_prepares_nodes_of_a_cluster_only(three: tuple[Machine, ...]) -> None:
    first, *_ = three
    (line,) = [line for line in DROP_IN.read_text().splitlines() if line.startswith("ExecStartPre=")]
    words = shlex.split(line.removeprefix("ExecStartPre="))
    first.must(*words)
    assert first.corosync_conf.exists()
    first.corosync_conf.unlink()
    first.conf.unlink()
    assert first.must(*words) == ""
    assert not first.corosync_conf.exists()
