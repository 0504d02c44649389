"""standfast up and down on real corosync: nodes start one after the other, stop in order, and leave nothing behind."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.corosync.machines import (
    DOWN,
    UP,
    Machine,
    add_service,
    eventually,
    machines,
    owner_of,
    short_folder,
    start_all,
)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

FOREIGN = "# by hand\ntotem {\n    version: 2\n}\n"


@pytest.fixture(name="three")
def _three() -> Iterator[tuple[Machine, ...]]:
    with short_folder() as folder, machines(folder, 3) as three:
        yield three


@pytest.fixture(name="two")
def _two() -> Iterator[tuple[Machine, ...]]:
    with short_folder() as folder, machines(folder, 2) as two:
        yield two


@pytest.fixture(name="one")
def _one() -> Iterator[Machine]:
    with short_folder() as folder, machines(folder, 1) as (one,):
        yield one


def test_three_nodes_start_one_after_the_other_stop_and_start_again(three: tuple[Machine, ...]) -> None:
    first, second, third = three
    said = first.must("standfast", "up", "--no-wait")
    assert said.startswith("Starting cluster: \n   Checking /etc/cluster/cluster.conf... done")
    assert said.endswith("vapp1 is started\n[  OK  ]\n")
    assert "no quorum within 1 s: votes 1, needed 2; not reached: vapp2, vapp3" in first.refuses(
        "standfast", "up", "--wait-quorum", "1"
    )
    assert "Waiting for quorum... done" in second.must(*UP)
    assert "members vapp1, vapp2, vapp3" in third.must(*UP)
    assert first.members() == ["vapp1", "vapp2", "vapp3"]
    assert first.must(*UP).endswith("vapp1 was up already\n[  OK  ]\n")

    for machine in (third, second, first):
        assert machine.must(*DOWN).endswith("this node is down\n[  OK  ]\n")
        assert (machine.runs(), machine.left_in_run()) == ([], [])
    assert first.must(*DOWN).endswith("this node was down already\n[  OK  ]\n")

    start_all(three)
    assert first.members() == ["vapp1", "vapp2", "vapp3"]


def test_services_go_elsewhere_before_their_node_is_down(two: tuple[Machine, ...]) -> None:
    add_service(two)
    start_all(two)
    first, second = two
    owner = eventually(lambda: owner_of(first), what="the service's start")
    gone, stays = (first, second) if owner == first.name else (second, first)
    said = gone.must(*DOWN)
    assert "still here: service:web (stopping)" in said
    assert gone.runs() == []
    assert eventually(lambda: owner_of(stays) == stays.name, what="the service's start elsewhere")
    assert stays.members() == [stays.name]
    assert "fence.began" not in stays.must("standfast", "history")


def test_node_that_leaves_for_good_is_expected_no_more(three: tuple[Machine, ...]) -> None:
    start_all(three)
    said = three[2].must(*DOWN, "--remove")
    assert "the others will need 2 votes for quorum, and have 2" in said
    assert "Expected votes: 2\n" in three[0].must("cman_tool", "status")


def test_progress_for_programs_is_one_object_a_line(two: tuple[Machine, ...]) -> None:
    first, second = two
    events = [json.loads(line) for line in first.must(*UP, "--json").splitlines()]
    steps = [event["step"] for event in events if event["event"] == "done"]
    assert steps[0] == "configuration"
    assert steps[-4:] == ["daemon", "quorum", "fence domain", "services"]
    assert events[-1] == {"event": "succeeded", "text": "vapp1 is up"}
    second.key.unlink()
    result = second.run(*UP, "--json")
    last = json.loads(result.stdout.splitlines()[-1])
    assert (result.returncode, last["event"], last["code"], result.stderr) == (
        1,
        "gave-up",
        "key-missing",
        "",
    )


def test_corosync_that_runs_for_this_node_is_used(two: tuple[Machine, ...]) -> None:
    first, _ = two
    first.must(*UP)
    pid = first.must("cat", "/run/corosync.pid")
    first.must("standfast", "leave")
    first.edit('token="1000"', 'token="1500"')
    said = first.must(*UP)
    assert "it runs already, as process" in said
    assert "has read the new /etc/corosync/corosync.conf" in said
    assert first.must("cat", "/run/corosync.pid") == pid
    token = first.must("corosync-cmapctl", "-g", "runtime.config.totem.token")
    assert token.endswith("= 1500\n")


def test_down_without_a_daemon_stops_corosync(two: tuple[Machine, ...]) -> None:
    first, _ = two
    first.must(*UP)
    first.must("standfast", "leave")
    assert any(args.startswith("/usr/sbin/corosync") for args in first.runs())
    first.must(*DOWN)
    assert first.runs() == []


def test_corosync_of_others_is_left_alone_by_down(two: tuple[Machine, ...]) -> None:
    first, _ = two
    first.must(*UP)
    first.must("standfast", "leave")
    first.corosync_conf.write_text(FOREIGN)
    assert "it was left alone, since /etc/corosync/corosync.conf is not ours" in first.must(*DOWN)
    assert any(args.startswith("/usr/sbin/corosync") for args in first.runs())


def test_foreign_corosync_conf_is_kept_once(two: tuple[Machine, ...]) -> None:
    first, _ = two
    first.corosync_conf.write_text(FOREIGN)
    kept = "/etc/corosync/corosync.conf.before-standfast"
    assert f"was not ours; it is kept as {kept}" in first.must(*UP)
    first.must(*DOWN)
    first.corosync_conf.write_text(FOREIGN)
    first.must(*UP)
    found = sorted(path.name for path in first.corosync_conf.parent.iterdir())
    assert found == ["corosync.conf", "corosync.conf.before-standfast"]
    assert (first.root / kept[1:]).read_text() == FOREIGN


def test_daemon_that_hangs_is_named_and_given_up_with_force(two: tuple[Machine, ...]) -> None:
    first, _ = two  # alone, since another node would fence it meanwhile
    add_service(two)
    first.must(*UP)
    eventually(lambda: owner_of(first), what="the service's start")
    first.must("kill", "-STOP", first.must("cat", "/run/standfast/daemon.lock").strip())
    text = first.refuses(*DOWN)
    assert "the daemon is there and does not answer" in text
    assert "standfast down --force" in text
    assert first.must(*DOWN, "--force").endswith("this node is down\n[  OK  ]\n")
    assert first.runs() == []


def test_services_that_a_dead_daemon_left_keep_the_node_up(two: tuple[Machine, ...]) -> None:
    add_service(two)
    first, _ = two
    first.must(*UP)
    eventually(lambda: owner_of(first), what="the service's start")
    first.must("kill", "-KILL", first.must("cat", "/run/standfast/daemon.lock").strip())
    assert "these services may still run here: service:web" in first.refuses(*DOWN)
    assert first.must(*UP).endswith("vapp1 is up\n[  OK  ]\n")
    first.must(*DOWN)
    assert first.runs() == []


def test_one_node_alone_needs_no_corosync(one: Machine) -> None:
    one.key.unlink()
    said = one.must(*UP)
    assert "corosync" not in said
    assert one.members() == ["vapp1"]
    one.must(*DOWN)
    assert (one.runs(), one.left_in_run()) == ([], [])


def test_frozen_service_keeps_its_node_up(two: tuple[Machine, ...]) -> None:
    add_service(two)
    first, _ = two
    first.must(*UP)
    eventually(lambda: owner_of(first), what="the service's start")
    first.must("clusvcadm", "-Z", "web")
    text = first.refuses(*DOWN)
    assert "this node may not leave" in text
    assert "frozen" in text
    assert owner_of(first) == "vapp1"


def test_interrupted_wait_leaves_what_runs(two: tuple[Machine, ...], tmp_path: Path) -> None:
    first, _ = two
    first.edit('two_node="1"', "")
    first.edit('expected_votes="1"', "")
    with (tmp_path / "out").open("wb+") as out, Path(os.devnull).open("rb") as nothing:
        up = first.lab.node(first.name).start(
            ("standfast", "up"), stdin=nothing.fileno(), stdout=out.fileno(), stderr=out.fileno()
        )
        said = tmp_path / "out"
        eventually(lambda: "not reached: vapp2" in said.read_text(), what="the wait for quorum")
        up.signal(2)
        assert up.wait(30.0) == 130
    assert "interrupted; what was started goes on" in said.read_text()
    assert any("standfast.node.daemon" in args for args in first.runs())


def test_cman_tool_joins_and_leaves_with_corosync(two: tuple[Machine, ...]) -> None:
    first, second = two
    assert first.must("cman_tool", "-q", "-t", "30", "join") == ""
    assert first.run("cman_tool", "join").stderr == "cman_tool: Node is already active\n"
    second.key.unlink()
    refused = second.run("cman_tool", "join")
    assert refused.returncode == 1
    assert refused.stderr.startswith(
        "cman_tool: cannot join: /etc/cluster/authkey: No such file or directory"
    )
    assert second.runs() == []
    assert first.must("cman_tool", "-w", "leave") == ""
    assert first.runs() == []
    first.must("cman_tool", "join")
    eventually(lambda: first.members() == ["vapp1"], what="the membership")
    first.must("cman_tool", "leave")
    assert eventually(lambda: first.runs() == [], what="the end of corosync")
