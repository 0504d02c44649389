"""The words of `standfast`: status with its notes, history, leave, check, and the way to the lab."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import structs

from standfast.cli import check, clustat, history, leave, standfast, status
from standfast.cli.client import Ask
from standfast.cli.tests.daemon_double import STATUS
from standfast.errors import UnreachableError
from standfast.wire.control import (
    Acknowledged,
    Answer,
    Call,
    Failure,
    GetHistory,
    History,
    HistoryLine,
    LeaveCluster,
    Status,
    encode_answer,
)

HISTORY = History(
    (
        HistoryLine(at_ms=1274770240007, event="member.lost", subject="vapp1", text="left without notice"),
        HistoryLine(at_ms=1274770241500, event="fence.done", subject="vapp1"),
        HistoryLine(at_ms=1274770241650, event="service.started", subject="service:VirtualHTTP", text="a\nb"),
    )
)
CONF = """<?xml version="1.0"?>
<cluster name="VMCluster" config_version="1">
  <clusternodes>
    <clusternode name="vapp1" nodeid="1"/>
    <clusternode name="vapp2" nodeid="2"/>
  </clusternodes>
  <cman two_node="1" expected_votes="1"/>
</cluster>
"""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def asking(answer: Answer | BaseException, asked: list[Call] | None = None, *says: str) -> Ask:
    def ask(
        call: Call, *, timeout_s: float | None = None, progress: Callable[[str], None] | None = None
    ) -> Answer:
        if asked is not None:
            asked.append(call)
        if progress is not None:
            for text in says:
                progress(text)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return ask


def run_word(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return standfast.main(argv, out, err), out.getvalue(), err.getvalue()


def run_status(answer: Status, *argv: str) -> tuple[int, str]:
    out = io.StringIO()
    line = encode_answer(answer)
    screen = clustat.Screen(now_s=lambda: 1274770240)
    return status.main(argv, lambda _local: line, out, io.StringIO(), screen), out.getvalue()


def plain_clustat(answer: Status) -> str:
    out = io.StringIO()
    clustat.main([], lambda _local: encode_answer(answer), out, out, clustat.Screen(now_s=lambda: 1274770240))
    return out.getvalue()


def test_status_is_clustat_where_all_is_well() -> None:
    assert run_status(STATUS) == (0, plain_clustat(STATUS))


def test_status_adds_what_is_waited_for_and_why() -> None:
    vapp2, vapp1 = STATUS.nodes
    assert STATUS.services
    (http,) = STATUS.services
    waiting = structs.replace(
        STATUS,
        nodes=(structs.replace(vapp2, online=False, note="being fenced, attempt 3"), vapp1),
        services=(
            structs.replace(http, state="stopped", owner=None, because="waits for the fencing of vapp2"),
        ),
        fencing=("vapp2 is fenced by vapp1: agent failed; attempt 3",),
    )
    assert run_status(waiting) == (
        0,
        plain_clustat(waiting) + "\nvapp2 is fenced by vapp1: agent failed; attempt 3\n"
        "vapp2: being fenced, attempt 3\n"
        "service:VirtualHTTP: waits for the fencing of vapp2\n",
    )


def test_status_without_services_has_one_blank_line_before_the_notes() -> None:
    bare = structs.replace(STATUS, services=(), fencing=("vapp2 is fenced",))
    assert run_status(bare)[1] == plain_clustat(structs.replace(bare, fencing=())) + "vapp2 is fenced\n"


def test_status_with_options_is_clustat_with_them() -> None:
    assert run_status(STATUS, "-I") == (0, "0x00000002\n")


def test_status_of_a_daemon_that_refuses_has_no_notes() -> None:
    out, err = io.StringIO(), io.StringIO()
    line = encode_answer(Failure(code="starting", text="not yet"))
    assert status.main([], lambda _local: line, out, err, clustat.Screen()) == 1
    assert (out.getvalue(), err.getvalue()) == ("", "clustat: not yet\n")


def test_history_is_a_table() -> None:
    out = io.StringIO()
    assert history.main([], asking(HISTORY), out, io.StringIO()) == 0
    assert out.getvalue() == (
        "2010-05-25 06:50:40.007  member.lost      vapp1                left without notice\n"
        "2010-05-25 06:50:41.500  fence.done       vapp1\n"
        "2010-05-25 06:50:41.650  service.started  service:VirtualHTTP  a?b\n"
    )


def test_history_as_json_is_the_wires_record() -> None:
    out = io.StringIO()
    assert history.main(["--json"], asking(HISTORY), out, io.StringIO()) == 0
    assert json.loads(out.getvalue())["lines"][0]["at_ms"] == 1274770240007


def test_history_asks_for_as_many_lines_as_wanted() -> None:
    asked: list[Call] = []
    history.main(["-n", "5"], asking(History(()), asked), io.StringIO(), io.StringIO())
    assert asked == [GetHistory(5)]


def test_history_beyond_the_calendar_keeps_the_number() -> None:
    far = History((HistoryLine(at_ms=2**80, event="x", subject="y"),))
    assert history.render_history(far) == f"{2**80} ms  x  y\n"


@pytest.mark.parametrize(
    "argv", [("-n", "0"), ("-n", "-1"), ("-n", "many"), ("-n", "9" * 9), ("x",), ("-z",)]
)
def test_history_with_a_wrong_option_is_refused(argv: tuple[str, ...]) -> None:
    err = io.StringIO()
    assert history.main(argv, asking(HISTORY), io.StringIO(), err) == 1
    assert history.USAGE in err.getvalue()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (UnreachableError("/x: nobody", code="daemon-down"), "standfast history: /x: nobody\n"),
        (Failure(code="starting", text="not yet"), "standfast history: not yet\n"),
        (Acknowledged(), "standfast history: unexpected answer Acknowledged\n"),
    ],
)
def test_history_that_is_not_given_is_told(answer: Answer | BaseException, text: str) -> None:
    err = io.StringIO()
    assert (history.main([], asking(answer), io.StringIO(), err), err.getvalue()) == (1, text)


def test_leave_waits_and_says_what_goes_on() -> None:
    out, err, asked = io.StringIO(), io.StringIO(), list[Call]()
    assert leave.main([], asking(Acknowledged(), asked, "stopping service:VirtualHTTP"), out, err) == 0
    assert asked == [LeaveCluster()]
    assert (out.getvalue(), err.getvalue()) == ("left the cluster\n", "stopping service:VirtualHTTP\n")


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        (UnreachableError("/x: nobody", code="daemon-down"), 1, "standfast leave: /x: nobody\n"),
        (Failure(code="busy", text="a stop failed"), 1, "standfast leave: a stop failed\n"),
        (HISTORY, 1, "standfast leave: unexpected answer History\n"),
        (
            KeyboardInterrupt(),
            130,
            "standfast leave: the node goes on leaving; watch it with: standfast status\n",
        ),
    ],
)
def test_leave_that_fails_is_told(answer: Answer | BaseException, code: int, text: str) -> None:
    err = io.StringIO()
    assert (leave.main([], asking(answer), io.StringIO(), err), err.getvalue()) == (code, text)


def test_leave_as_json_is_the_wires_record() -> None:
    out = io.StringIO()
    assert leave.main(["--json"], asking(Acknowledged("bye")), out, io.StringIO()) == 0
    assert json.loads(out.getvalue()) == {"type": "acknowledged", "text": "bye"}


@pytest.mark.parametrize("argv", [("vapp2",), ("-z",)])
def test_leave_of_another_node_is_refused(argv: tuple[str, ...]) -> None:
    asked: list[Call] = []
    assert leave.main(argv, asking(Acknowledged(), asked), io.StringIO(), io.StringIO()) == 1
    assert asked == []


def test_check_of_a_valid_file_exits_0(tmp_path: Path) -> None:
    file = tmp_path / "cluster.conf"
    file.write_text(CONF, encoding="utf-8")
    code, out, err = run_word("check", str(file))
    assert (code, out.splitlines()[-1], err) == (0, "Configuration validates", "")


def test_check_names_file_and_line_and_exits_3(tmp_path: Path) -> None:
    file = tmp_path / "cluster.conf"
    file.write_text(CONF.replace(' nodeid="2"', ""), encoding="utf-8")
    code, out, _ = run_word("check", str(file))
    assert (code, out.splitlines()[-1]) == (3, "Configuration fails to validate")
    assert f"{file}:5: error: " in out


def test_check_of_what_is_no_xml_exits_1(tmp_path: Path) -> None:
    file = tmp_path / "cluster.conf"
    file.write_text("<cluster", encoding="utf-8")
    assert run_word("check", str(file))[0] == 1


@pytest.mark.parametrize("name", ["missing", "."])
def test_check_without_a_readable_file_exits_255(tmp_path: Path, name: str) -> None:
    code, out, err = run_word("check", str(tmp_path / name))
    assert (code, out) == (255, "")
    assert err.startswith(f"{tmp_path / name}: ")
    assert err.endswith("; name a readable file\nUnable to get the configuration\n")


def test_check_without_a_name_reads_this_nodes_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDFAST_PREFIX", str(tmp_path))
    assert f"{tmp_path}/etc/cluster/cluster.conf: No such file" in run_word("check")[2]


def test_check_as_json_is_the_list_of_findings(tmp_path: Path) -> None:
    file = tmp_path / "cluster.conf"
    file.write_text("<cluster", encoding="utf-8")
    code, out, _ = run_word("check", "--json", str(file))
    assert (code, json.loads(out)[0]["level"]) == (1, "F")


@pytest.mark.parametrize("argv", [("a", "b"), ("-z",)])
def test_check_of_two_files_is_refused(argv: tuple[str, ...]) -> None:
    code, out, err = run_word("check", *argv)
    assert (code, out) == (255, "")
    assert check.USAGE in err


@pytest.mark.parametrize("word", ["history", "leave", "check", "status"])
def test_each_word_has_its_help(word: str) -> None:
    code, out, err = run_word(word, "--help")
    assert (code, out.startswith("usage: "), err) == (0, True, "")


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_lists_the_words(word: str) -> None:
    assert run_word(word) == (0, standfast.USAGE, "")


def test_no_word_is_answered_with_the_list_and_exits_1() -> None:
    assert run_word() == (1, "", standfast.USAGE)


def test_unknown_word_is_told() -> None:
    assert run_word("staus") == (
        1,
        "",
        'standfast: there is no word "staus"; "standfast --help" lists them\n',
    )


def test_version_is_printed() -> None:
    code, out, _ = run_word("--version")
    assert (code, out.startswith("standfast ")) == (0, True)
