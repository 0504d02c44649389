"""What the daemon keeps on disk: the trees that may run, the history; and its log's lines."""

import io
import logging
from pathlib import Path

import pytest

from standfast.conf.load import load
from standfast.node.journal import FILE_BYTES_MAX, Journal
from standfast.node.log import EventFormatter
from standfast.node.place import file_name
from standfast.node.trees import Definitions, TreeStore
from standfast.resources.builtin import BUILTIN_AGENTS
from standfast.resources.resource import ResourceNode
from standfast.terms import BootId, ServiceName

WEB = ServiceName("service:web/../x")
CONF = b"""<cluster name="c" config_version="1"><clusternodes><clusternode name="a" nodeid="1"/></clusternodes>
<rm><service name="web"><ip address="10.1.4.150"/><script name="http" file="/etc/init.d/http"/></service></rm></cluster>"""


def tree() -> ResourceNode:
    loaded = load("cluster.conf", CONF)
    assert loaded.cluster is not None
    definitions = Definitions(BUILTIN_AGENTS)
    definitions.use(loaded.cluster)
    found = definitions.tree(definitions.services[0])
    assert found is not None
    assert found.root is not None
    return found.root


def test_tree_that_was_kept_is_found_in_the_same_boot(tmp_path: Path) -> None:
    root = tree()
    TreeStore(tmp_path, BootId("one")).keep(WEB, root)
    assert list(TreeStore(tmp_path, BootId("one")).load()) == [(WEB, root)]


def test_tree_of_another_boot_is_removed(tmp_path: Path) -> None:
    TreeStore(tmp_path, BootId("one")).keep(WEB, tree())
    assert list(TreeStore(tmp_path, BootId("two")).load()) == []
    assert list(tmp_path.iterdir()) == []


def test_tree_that_cannot_be_read_is_removed(tmp_path: Path) -> None:
    store = TreeStore(tmp_path, BootId("one"))
    store.keep(WEB, tree())
    next(tmp_path.iterdir()).write_text('{"boot_id": 7}')
    assert (list(store.load()), list(tmp_path.iterdir())) == ([], [])


def test_tree_that_was_forgotten_is_gone(tmp_path: Path) -> None:
    store = TreeStore(tmp_path, BootId("one"))
    store.keep(WEB, tree())
    store.forget(WEB)
    store.forget(WEB)
    assert list(store.load()) == []


def test_no_services_name_leads_out_of_its_folder() -> None:
    assert "/" not in file_name(WEB)


def test_history_is_read_by_the_next_daemon_even_if_its_last_line_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "history.log"
    journal = Journal(path)
    journal.add("one", "vapp1", "")
    journal.add("two", "vapp1", "why")
    with path.open("ab") as file:
        file.write(b'{"at_ms": 1, "ev')
    lines = Journal(path).last(10)
    assert [(line.event, line.text) for line in lines] == [("one", ""), ("two", "why")]


def test_history_gives_the_last_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "history.log")
    for number in range(5):
        journal.add(str(number), "vapp1", "")
    assert [line.event for line in journal.last(2)] == ["3", "4"]
    assert journal.last(0) == journal.last(-1) == ()


def test_history_file_is_put_aside_when_it_is_long(tmp_path: Path) -> None:
    path = tmp_path / "history.log"
    path.write_bytes(b"x" * (FILE_BYTES_MAX + 1))
    journal = Journal(path)
    journal.add("one", "vapp1", "")
    assert path.stat().st_size < 200
    assert (tmp_path / "history.log.1").stat().st_size > FILE_BYTES_MAX


@pytest.mark.parametrize("event", ["config.not-written", "engine.notice"])
def test_what_somebody_has_to_look_at_soon_is_a_warning_in_the_log(
    event: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Journal(tmp_path / "history.log").add(event, "vapp1", "why")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_history_that_cannot_be_written_is_told_once_and_still_remembered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "missing" / "history.log")
    with caplog.at_level(logging.WARNING):
        journal.add("one", "vapp1", "")
        journal.add("two", "vapp1", "")
    assert [record.getMessage() for record in caplog.records] == ["history.not-written"]
    assert [line.event for line in journal.last(10)] == ["one", "two"]


def test_log_line_has_the_event_and_its_fields_and_no_line_end_inside() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(EventFormatter())
    logger = logging.getLogger("standfast.test-of-the-log")
    logger.addHandler(handler)
    logger.warning("agent.failed", extra={"service": "service:web", "output": 'one\n"two"', "empty": ""})
    assert stream.getvalue().endswith(
        ' WARNING agent.failed service=service:web output="one\\n\\"two\\"" empty=""\n'
    )


def test_endless_value_is_cut_in_the_log() -> None:
    record = logging.makeLogRecord({"msg": "x", "output": "y" * 100_000})
    assert len(EventFormatter().format(record)) < 2_200
