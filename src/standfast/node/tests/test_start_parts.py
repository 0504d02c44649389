"""The parts of a start: engine, files, what is said of quorum and services, the key, systemd's units."""

import os
import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from standfast.conf.model import Cluster, ClusterNode
from standfast.errors import EngineError, RefusedError
from standfast.node.corosync_conf import is_ours, put_in_place
from standfast.node.joining import services_text, votes_text
from standfast.node.keygen import render_made
from standfast.node.launcher import daemon_environment, tail
from standfast.node.place import place_under
from standfast.node.program import take_turn
from standfast.node.service_manager import Systemd
from standfast.node.up import choose_engine
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Election, ServiceStatus, Status

OURS = "# Written by Standfast from version 3 of cluster.conf; edit that file instead.\ntotem {\n}\n"


def cluster(nodes: int) -> Cluster:
    """A cluster of so many nodes."""
    return Cluster(
        name="c",
        config_version=1,
        nodes=tuple(ClusterNode(name=f"vapp{n}", nodeid=NodeId(n)) for n in range(1, nodes + 1)),
    )


def service(name: str, state: str, owner: str | None) -> ServiceStatus:
    """One service."""
    return ServiceStatus(
        name=ServiceName(name), state=state, owner=owner, last_owner=None, restarts=0, transition_s=0
    )


STATUS = Status(
    cluster="c",
    cluster_id=1,
    config_version=1,
    view_id=1,
    quorate=True,
    synced=True,
    local=NodeId(1),
    nodes=(),
    services=(),
)


@pytest.mark.parametrize(
    ("nodes", "wanted", "engine"),
    [(1, None, "solo"), (1, "corosync", "corosync"), (2, None, "corosync"), (2, "corosync", "corosync")],
)
def test_cluster_of_one_node_needs_no_corosync(nodes: int, wanted: str | None, engine: str) -> None:
    assert choose_engine(cluster(nodes), wanted, place_under("")) == engine


@pytest.mark.parametrize(
    ("nodes", "wanted", "prefix", "text"),
    [
        (2, "solo", "", "2 nodes cannot each be alone, services would run twice"),
        (2, None, "/lab", "below /lab corosync cannot run"),
    ],
)
def test_engine_that_does_not_fit_is_refused(nodes: int, wanted: str | None, prefix: str, text: str) -> None:
    with pytest.raises(RefusedError, match=text):
        choose_engine(cluster(nodes), wanted, place_under(prefix))


def test_services_are_counted_by_what_becomes_of_them() -> None:
    some = (
        service("service:a", "started", "vapp1"),
        service("service:b", "starting", "vapp1"),
        service("service:c", "stopped", None),
        service("service:d", "started", "vapp2"),
    )
    assert services_text(replace(STATUS, services=some), "vapp1") == (
        "1 of 4 run here; at work: service:b; stopped or about to start: service:c"
    )
    assert services_text(STATUS, "vapp1") == "none is configured"
    assert services_text(replace(STATUS, services=some[3:]), "vapp1") == "0 of 1 run here"


def test_votes_are_said_with_those_that_are_needed() -> None:
    election = Election(
        generation=1,
        joining=False,
        leaving=False,
        expected_votes=3,
        total_votes=1,
        quorum=2,
        two_node=False,
        dirty=False,
        managing=True,
    )
    assert votes_text(replace(STATUS, election=election)) == "votes 1, needed 2"
    assert votes_text(STATUS) == ""


def test_corosync_conf_is_written_only_when_it_differs(tmp_path: Path) -> None:
    conf = tmp_path / "corosync" / "corosync.conf"
    assert put_in_place(conf, OURS).changed
    written = conf.stat()
    assert stat.S_IMODE(written.st_mode) == 0o644
    assert not put_in_place(conf, OURS).changed
    assert conf.stat().st_mtime_ns == written.st_mtime_ns
    newer = put_in_place(conf, OURS.replace("3", "4"))
    assert (newer.changed, newer.said, list(conf.parent.iterdir())) == (True, (), [conf])


def test_each_foreign_corosync_conf_is_kept_once(tmp_path: Path) -> None:
    conf = tmp_path / "corosync.conf"
    for text in ("one\n", "two\n", "one\n"):
        conf.write_text(text)
        assert not is_ours(conf)
        placed = put_in_place(conf, OURS)
        assert "was not ours; it is kept as" in placed.said[0]
        assert is_ours(conf)
    kept = {path.name: path.read_text() for path in tmp_path.iterdir() if path != conf}
    assert kept == {
        "corosync.conf.before-standfast": "one\n",
        "corosync.conf.before-standfast.2": "two\n",
    }


def test_too_many_foreign_files_are_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    conf = tmp_path / "corosync.conf"
    for number in range(9):
        conf.write_text(f"{number}\n")
        put_in_place(conf, OURS)
    conf.write_text("one more\n")
    with pytest.raises(EngineError, match="9 other files are kept already"):
        put_in_place(conf, OURS)
    assert conf.read_text() == "one more\n"


def test_there_is_no_corosync_conf_of_ours_where_there_is_none(tmp_path: Path) -> None:
    assert not is_ours(tmp_path / "corosync.conf")


def test_daemon_gets_nothing_of_the_operators_session() -> None:
    environ = {"PATH": "/home/x/bin", "SSH_AUTH_SOCK": "/s", "CMAN_NODENAME": "vapp1", "LANG": "de_DE.UTF-8"}
    found = daemon_environment(environ)
    assert sorted(found) == ["CMAN_NODENAME", "LANG", "PATH"]
    assert found["LANG"] == "de_DE.UTF-8"
    assert "/home/x" not in found["PATH"]
    assert daemon_environment({})["LANG"] == "C.UTF-8"


def test_last_words_are_those_since_the_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n" + "".join(f"{n}\n" for n in range(9)))
    assert tail(log) == "   4\n   5\n   6\n   7\n   8"
    assert tail(log, log.stat().st_size - 4) == "   7\n   8"
    assert tail(log, log.stat().st_size) == "   (none)"
    assert tail(tmp_path / "none") == "   (No such file or directory)"


def test_one_turn_at_a_time(tmp_path: Path) -> None:
    place = place_under(str(tmp_path))
    text = f"already, by standfast up, process {os.getpid()}; wait"
    with take_turn(place, "standfast up"), pytest.raises(RefusedError, match=text):
        take_turn(place, "standfast down").__enter__()
    with take_turn(place, "standfast down"):
        pass
    assert list(place.run_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("nodes", "hostname", "copies"),
    [
        (3, "vapp1", ["scp -p /k root@vapp2:/k", "scp -p /k root@vapp3:/k"]),
        (2, "vapp2.example.com", ["scp -p /k root@vapp1:/k"]),
        (0, "vapp1", ["scp -p /k root@NODE:/k"]),
    ],
)
def test_new_key_has_to_go_to_all_other_nodes(nodes: int, hostname: str, copies: list[str]) -> None:
    said = render_made(Path("/k"), cluster(nodes) if nodes else None, hostname)
    assert [line.strip() for line in said.splitlines() if line.startswith("   ")] == copies


def systemctl(folder: Path, body: str) -> Systemd:
    """A service manager's command that notes how it is called."""
    program = folder / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$*" >>{folder}/calls\n{body}')
    program.chmod(0o755)
    return Systemd(str(program))


def test_only_units_that_are_installed_are_stopped(tmp_path: Path) -> None:
    manager = systemctl(tmp_path, '[ "$1 $2" != "cat b.service" ]\n')
    manager.stop("a.service", "b.service", "c.service")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["cat a.service", "cat b.service", "cat c.service", "stop a.service c.service"]


def test_unit_that_fails_is_told_with_the_managers_words(tmp_path: Path) -> None:
    manager = systemctl(tmp_path, 'echo "Job for it failed." >&2; exit 1\n')
    with pytest.raises(
        EngineError, match=r"systemctl start a\.service failed: Job for it failed\.; see: journalctl"
    ):
        manager.start("a.service")


def test_nothing_is_stopped_where_no_unit_is_installed(tmp_path: Path) -> None:
    systemctl(tmp_path, "exit 1\n").stop("a.service")
    assert (tmp_path / "calls").read_text() == "cat a.service\n"
