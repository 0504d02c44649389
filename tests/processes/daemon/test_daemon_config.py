"""A new cluster.conf on real daemons: active everywhere, on every disk, or nowhere; and disks that cannot take it."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.processes.daemon.town import Node, Town, eventually, town

from standfast.terms import ServiceName
from standfast.wire.control import (
    Acknowledged,
    Answer,
    Changes,
    Code,
    GetChanges,
    Operated,
    OperateService,
    Operation,
    Reconfigure,
    UpdateConfig,
    Updated,
    UpdateRejected,
)

pytestmark = pytest.mark.lab

WEB = ServiceName("service:web")
ROOM = 20_000  # bytes; the daemon's log is a file, too, and has to fit


@contextmanager
def full_disk(node: Node) -> Iterator[None]:
    """Let the node's daemon write no file longer than ROOM, as on a full disk."""
    assert node.daemon is not None
    before = resource.prlimit(node.daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(node.daemon.pid, resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.prlimit(node.daemon.pid, resource.RLIMIT_FSIZE, before)


def update(node: Node, document: str) -> Answer:
    """Propose a configuration."""
    return node.ask(UpdateConfig(document))


def rejection(cluster: Town, document: str) -> UpdateRejected:
    """Propose a configuration that must be refused, and find that nothing has changed."""
    first = cluster.nodes[0]
    before = [node.conf.read_text() for node in cluster.nodes]
    answer = update(first, document)
    assert isinstance(answer, UpdateRejected)
    assert [node.conf.read_text() for node in cluster.nodes] == before
    return answer


def test_update_is_on_both_disks_with_the_old_file_beside_it_when_it_is_acknowledged() -> None:
    with town() as cluster:
        old = cluster.conf()
        new = cluster.conf(cluster.service("web"), version=2)
        cluster.start(old)
        assert update(cluster.nodes[0], new) == Updated(old=1, new=2)
        eventually(lambda: all(node.conf.read_text() == new for node in cluster.nodes))
        assert all(Path(f"{node.conf}.old").read_text() == old for node in cluster.nodes)
        assert sorted(p.name for p in cluster.nodes[0].conf.parent.iterdir()) == [
            "cluster.conf",
            "cluster.conf.old",
        ]
        assert cluster.owner("web").runs("web")


def test_service_whose_definition_changed_is_restarted_and_others_are_not() -> None:
    with town() as cluster:
        web, mail = cluster.service("web"), cluster.service("mail")
        cluster.start(cluster.conf(web + mail))
        web_pid, mail_pid = cluster.owner("web").pid_of("web"), cluster.owner("mail").pid_of("mail")
        changed = web.replace('<script name="web"', '<script name="www"')
        assert isinstance(update(cluster.nodes[1], cluster.conf(changed + mail, version=2)), Updated)
        owner = eventually(
            lambda: next((n for n in cluster.nodes if n.runs("web") and n.pid_of("web") != web_pid), None)
        )
        assert owner.runs("web")
        assert cluster.owner("mail").pid_of("mail") == mail_pid


def test_version_that_is_not_newer_is_refused() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(version=5))
        answer = rejection(cluster, cluster.conf(version=5))
        assert (answer.reason, answer.current, answer.proposed) == ("not-newer", 5, 5)


def test_document_that_is_not_valid_is_refused_with_all_findings() -> None:
    with town() as cluster:
        cluster.start(cluster.conf())
        broken = cluster.conf(version=2).replace('nodeid="2"', 'nodeid="1"')
        answer = rejection(cluster, broken)
        assert (answer.reason, bool(answer.findings)) == ("invalid", True)
        assert rejection(cluster, "<cluster").reason == "invalid"


def test_configuration_of_another_cluster_is_refused() -> None:
    with town() as cluster:
        cluster.start(cluster.conf())
        other = cluster.conf(version=2).replace('name="town"', 'name="village"')
        assert rejection(cluster, other).reason == "other-name"


def test_configuration_that_is_too_long_for_the_log_is_refused() -> None:
    with town() as cluster:
        cluster.start(cluster.conf())
        padded = cluster.conf(version=2).replace("</cluster>", f"<!-- {'x' * 900_000} --></cluster>")
        answer = rejection(cluster, padded)
        assert "too long" in answer.findings[0]


def test_full_disk_is_told_and_leaves_the_old_file_whole_and_is_tried_again() -> None:
    with town() as cluster:
        cluster.start(cluster.conf())
        second = cluster.nodes[1]
        before = sorted(path.name for path in second.conf.parent.iterdir())
        old = second.conf.read_text()
        with full_disk(second):
            longer = cluster.conf(version=2).replace("</cluster>", f"<!-- {'x' * ROOM} --></cluster>")
            update(cluster.nodes[0], longer)
            eventually(lambda: "config.not-written" in second.log)
            assert "File too large; nothing was changed, make room first" in second.log
            assert second.conf.read_text() == old
            assert sorted(path.name for path in second.conf.parent.iterdir()) == before
        eventually(lambda: 'config_version="2"' in second.conf.read_text())


def test_service_is_not_started_where_that_cannot_be_noted_on_disk() -> None:
    with town() as cluster:
        addresses = "".join(f'<ip address="127.9.9.{number}"/>' for number in range(1, 41))
        cluster.start(cluster.conf(f'<service name="web" autostart="0">{addresses}</service>'))
        first, second = cluster.nodes
        enable = OperateService(operation=Operation.ENABLE, service=WEB, target=first.name)
        with full_disk(first):
            answer = second.ask(enable)
        assert isinstance(answer, Operated)
        assert (answer.code, answer.owner) == (Code.SUCCESS, second.name)
        assert "its tree cannot be noted on disk, and so nothing was started" in first.log + second.log
        assert "operation=start" not in first.log


def test_node_that_was_away_gets_the_configuration_and_keeps_a_file_that_claims_more() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web", attributes='autostart="0"')))
        first, second = cluster.nodes
        second.kill()
        claims_more = cluster.conf(version=9)
        second.conf.write_text(claims_more)
        second.start()
        cluster.wait_online(second)
        eventually(lambda: 'config_version="1"' in second.conf.read_text())
        assert Path(f"{second.conf}.rejected-9").read_text() == claims_more
        assert first.conf.read_text() == second.conf.read_text()


def test_full_stop_puts_the_file_on_every_disk_and_ends_every_daemon() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        first, second = cluster.nodes
        owner = cluster.owner("web")
        more = '<clusternode name="vapp3" nodeid="3"/></clusternodes>'
        new = cluster.conf(cluster.service("web"), version=2).replace("</clusternodes>", more)
        new = new.replace('<cman two_node="1" expected_votes="1"/>', "<cman/>")
        changes = first.ask(GetChanges(new))
        assert isinstance(changes, Changes)
        assert changes.stop[0].startswith("two_node is removed, vapp3 is added (quorum 1 becomes 2)")
        assert first.ask(Reconfigure(new)) == Acknowledged("left the cluster")
        assert [node.daemon and node.daemon.wait(30) for node in cluster.nodes] == [0, 0]
        assert [node.conf.read_text() for node in cluster.nodes] == [new, new]
        assert not owner.runs("web")
        assert "cluster.halting" in second.log


def test_full_stop_for_a_version_that_is_not_newer_is_refused() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(version=5))
        answer = cluster.nodes[0].ask(Reconfigure(cluster.conf(version=5)))
        assert isinstance(answer, UpdateRejected)
        assert (answer.reason, answer.current, answer.proposed) == ("not-newer", 5, 5)
        assert all(node.takes_part() for node in cluster.nodes)
