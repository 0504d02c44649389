"""clustat's options, exit statuses and complaints; its screens are in tests/golden/clustat."""

import io
import json
import time
from collections.abc import Callable, Iterator

import pytest
from msgspec import structs

from standfast.cli.clustat import CLEAR_SCREEN, USAGE, Screen, main
from standfast.cli.line import LOCAL_STATUS_LINE, STATUS_LINE
from standfast.cli.tests.daemon_double import STATUS
from standfast.errors import UnreachableError
from standfast.wire.control import Answer, Failure, GetStatus, Status, decode_call, encode_answer

VAPP2, VAPP1 = STATUS.nodes
assert STATUS.services
(HTTP,) = STATUS.services
NO_STATES = structs.replace(STATUS, services=None, unavailable="Operation requires quorum", quorate=False)


class Run:
    """One run of clustat against a daemon that gives these answers, one each round."""

    def __init__(
        self,
        *argv: str,
        answers: tuple[Answer, ...] = (STATUS,),
        pause: Callable[[int], bool] = lambda _seconds: True,
        clears: bool = False,
    ) -> None:
        self.asked: list[bool] = []
        self.held = 0
        out, err = io.StringIO(), io.StringIO()
        rounds = iter(answers)

        def ask(local: bool) -> bytes:
            self.asked.append(local)
            return encode_answer(next(rounds)).rstrip(b"\n")

        screen = Screen(now_s=lambda: 1274770240, hold_signals=self._hold, pause=pause, clears=clears)
        self.status = main(argv, ask, out, err, screen)
        self.out, self.err = out.getvalue(), err.getvalue()

    def _hold(self) -> None:
        self.held += 1


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def with_state(state: str) -> Status:
    return structs.replace(STATUS, services=(structs.replace(HTTP, state=state),))


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("starting", 0),
        ("started", 0),
        ("stopping", 0),
        ("stopped", 110),
        ("failed", 114),
        ("uninitialized", 115),
        ("checking", 116),
        ("recoverable", 117),
        ("recovering", 118),
        ("disabled", 119),
        ("migrating", 120),
        ("of-the-future", 255),
    ],
)
def test_one_services_exit_status_is_its_state(state: str, status: int) -> None:
    assert Run("-s", "VirtualHTTP", answers=(with_state(state),)).status == status


def test_service_is_found_with_and_without_its_type() -> None:
    assert Run("-s", "service:VirtualHTTP").out == Run("-s", "VirtualHTTP").out


def test_service_name_is_cut_as_the_cluster_cuts_it() -> None:
    name = "service:" + "x" * 55
    long = structs.replace(STATUS, services=(structs.replace(HTTP, name=name),))
    assert Run("-s", "x" * 80, answers=(long,)).status == 0


def test_unknown_service_is_named_with_those_that_exist() -> None:
    run = Run("-s", "nosuch")
    assert (run.status, run.out) == (255, "")
    assert run.err == 'clustat: no service "service:nosuch"; there are: service:VirtualHTTP\n'


def test_unknown_service_as_xml_is_an_empty_document() -> None:
    run = Run("-x", "-s", "nosuch")
    assert run.status == 255
    assert (
        run.out == '<?xml version="1.0"?>\n<clustat version="4.1.1">\n  <groups>\n  </groups>\n</clustat>\n'
    )


def test_one_service_without_states_exits_255() -> None:
    run = Run("-s", "VirtualHTTP", answers=(NO_STATES,))
    assert (run.status, run.out) == (255, "Service states unavailable: Operation requires quorum\n")


def test_one_service_without_states_as_xml_has_no_groups() -> None:
    run = Run("-s", "VirtualHTTP", "-x", answers=(NO_STATES,))
    assert run.status == 255
    assert run.out == '<?xml version="1.0"?>\n<clustat version="4.1.1">\n</clustat>\n'
    assert run.err == "Service states unavailable: Operation requires quorum\n"


def test_one_service_in_full_has_no_table() -> None:
    run = Run("-l", "-s", "VirtualHTTP")
    assert run.out == (
        "Service Information\n------- -----------\n\n"
        "Service Name      : service:VirtualHTTP\n"
        "  Current State   : started (112)\n"
        "  Flags           : none (0)\n"
        "  Owner           : vapp1\n"
        "  Last Owner      : none\n"
        "  Last Transition : Tue May 25 07:14:00 2010\n\n"
    )


def test_full_form_names_both_flags_and_the_epoch_for_never() -> None:
    never = structs.replace(HTTP, frozen=True, partial=True, transition_s=0)
    run = Run("-l", answers=(structs.replace(STATUS, services=(never,)),))
    assert "  Flags           : frozen, partial (3)\n" in run.out
    assert "  Last Transition : Thu Jan  1 00:00:00 1970\n" in run.out


def test_members_name_is_compared_without_case() -> None:
    run = Run("-m", "VAPP2")
    assert run.status == 0
    assert run.out.splitlines()[2:] == [f" {'vapp2':<40}    1 Online"]


def test_unknown_member_is_named_with_those_that_exist() -> None:
    run = Run("-m", "vapp9")
    assert (run.status, run.out) == (255, "")
    assert run.err == 'clustat: no member "vapp9"; there are: vapp2, vapp1\n'


def test_part_of_a_members_name_is_no_member() -> None:
    assert Run("-m", "vapp").status == 255


def test_member_as_xml_is_the_nodes_alone() -> None:
    run = Run("-m", "vapp1", "-x")
    assert run.out == (
        '<?xml version="1.0"?>\n<clustat version="4.1.1">\n  <nodes>\n'
        '    <node name="vapp1" state="1" local="1" estranged="0" rgmanager="0" rgmanager_master="0" qdisk="0" '
        'nodeid="0x00000002"/>\n  </nodes>\n</clustat>\n'
    )


def test_member_before_service_shows_the_member_and_exits_0() -> None:
    offline = structs.replace(STATUS, nodes=(structs.replace(VAPP2, online=False), VAPP1))
    run = Run("-m", "vapp2", "-s", "VirtualHTTP", answers=(offline,))
    assert (run.status, "service" in run.out, "Offline" in run.out) == (0, False, True)


def test_member_without_states_says_nothing_of_them() -> None:
    assert "unavailable" not in Run("-m", "vapp1", answers=(NO_STATES,)).out


@pytest.mark.parametrize(("quorate", "status"), [(True, 0), (False, 1)])
def test_quorum_question_is_answered_by_the_exit_status_alone(quorate: bool, status: int) -> None:
    run = Run("-Q", answers=(structs.replace(STATUS, quorate=quorate),))
    assert (run.status, run.out, run.err) == (status, "", "")


def test_members_are_shown_as_managers_where_no_service_is_configured() -> None:
    run = Run(answers=(structs.replace(STATUS, services=()),))
    assert run.status == 0
    assert run.out.endswith(" 2 Online, Local, rgmanager\n\n")


def test_fast_asks_for_the_local_copy() -> None:
    assert (Run("-f").asked, Run().asked) == ([True], [False])
    assert decode_call(LOCAL_STATUS_LINE) == GetStatus(local=True)
    assert decode_call(STATUS_LINE) == GetStatus()


def test_version_needs_no_daemon() -> None:
    run = Run("-v", answers=())
    assert (run.status, run.asked) == (0, [])
    assert run.out.startswith("clustat version ")


@pytest.mark.parametrize("option", ["-h", "-?", "--help"])
def test_help_exits_0(option: str) -> None:
    run = Run(option, answers=())
    assert (run.status, run.out, run.err) == (0, USAGE, "")


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("-z", "clustat: invalid option -- 'z'\n"),
        ("-s", "clustat: option requires an argument -- 's'\n"),
        ("--nonsense", "clustat: option --nonsense not recognized\n"),
    ],
)
def test_unknown_option_is_complained_of_and_exits_0(option: str, complaint: str) -> None:
    run = Run(option, answers=())
    assert (run.status, run.out, run.err) == (0, USAGE, complaint)


def test_usage_keeps_its_columns() -> None:
    first, *lines, last = USAGE.split("\n")[:-1]
    assert (first, last) == ("usage: clustat <options>", "")
    assert {(line[:4], line[22:23] == " ", line[23:24] != " ") for line in lines} == {("    ", True, True)}


def test_stray_word_is_refused() -> None:
    run = Run("VirtualHTTP", answers=())
    assert run.status == 1
    assert run.err == (
        'clustat: "VirtualHTTP" is no option; to see one service or member, use -s or -m before its name\n'
    )


@pytest.mark.parametrize("argv", [("-i", "2", "-x"), ("-x", "-i", "2")])
def test_refreshing_xml_is_refused_in_either_order(argv: tuple[str, ...]) -> None:
    run = Run(*argv, answers=())
    assert (run.status, run.out) == (1, "Error: Options '-i' and '-x' are mutually exclusive\n")


@pytest.mark.parametrize("other", ["-x", "-i1", "-svirtual", "-mvapp1"])
def test_json_stands_alone(other: str) -> None:
    run = Run("--json", other, answers=())
    assert (run.status, run.asked) == (1, [])
    assert "'--json' are mutually exclusive" in run.out


def test_json_is_the_wires_record() -> None:
    run = Run("--json")
    assert run.out.encode() == encode_answer(STATUS).replace(b'{"v":1,"answer":', b"").replace(b"}\n", b"\n")
    assert json.loads(run.out)["type"] == "status"


@pytest.mark.parametrize("argv", [(), ("-x",), ("--json",), ("-Q",)])
def test_daemons_refusal_is_shown(argv: tuple[str, ...]) -> None:
    run = Run(*argv, answers=(Failure(code="starting", text="the engine is not connected yet"),))
    assert (run.status, run.out, run.err) == (1, "", "clustat: the engine is not connected yet\n")


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"[]",
        b"{}",
        b'{"v":2,"answer":{"type":"status"}}',
        b'{"v":1,"answer":{"type":"status"}}',
        b'{"v":1,"answer":{"type":"acknowledged","text":""}}',
        b'{"v":1,"answer":[]}',
        b'{"v":1,"answer":{"type":"failure","code":1,"text":2}}',
        b"\xff\xff",
        b"[" * 100_000,
        encode_answer(STATUS).replace(b'"quorate":true', b'"quorate":1'),
        encode_answer(STATUS).replace(b'"nodeid":1', b'"nodeid":true'),
        encode_answer(STATUS).replace(b'"owner":"vapp1"', b'"owner":7'),
        encode_answer(STATUS).replace(b'"nodes":[', b'"nodes":[7,'),
    ],
)
def test_answer_of_another_release_is_told(line: bytes) -> None:
    out, err = io.StringIO(), io.StringIO()
    assert main([], lambda _local: line, out, err) == 1
    assert out.getvalue() == ""
    assert "not of our protocol" in err.getvalue()


def test_answer_of_a_daemon_without_the_newer_fields_is_shown() -> None:
    fields = json.loads(encode_answer(STATUS))
    del (
        fields["answer"]["fencing"],
        fields["answer"]["services"][0]["frozen"],
        fields["answer"]["nodes"][0]["note"],
    )
    out, err = io.StringIO(), io.StringIO()
    assert (
        main([], lambda _local: json.dumps(fields).encode(), out, err, Screen(now_s=lambda: 1274770240)) == 0
    )
    assert out.getvalue() == Run().out


def test_silent_daemon_is_told_in_the_managers_words() -> None:
    def ask(_local: bool) -> bytes:
        raise UnreachableError(
            "/x: the daemon did not answer within 5 s", code="daemon-timeout"
        ) from TimeoutError()

    out, err = io.StringIO(), io.StringIO()
    assert main([], ask, out, err) == 1
    assert err.getvalue() == (
        "Timed out waiting for a response from Resource Group Manager\n"
        "clustat: /x: the daemon did not answer within 5 s\n"
    )


def test_refresh_shows_round_after_round_and_one_more_after_the_signal() -> None:
    pauses: list[int] = []

    def pause(seconds: int) -> bool:
        pauses.append(seconds)
        return len(pauses) == 2

    run = Run("-i", "3", answers=(STATUS, STATUS, NO_STATES), pause=pause)
    assert (pauses, len(run.asked), run.held) == ([3, 3], 3, 1)
    assert run.out == Run().out * 2 + Run(answers=(NO_STATES,)).out


def test_refresh_exits_with_the_last_rounds_status() -> None:
    run = Run("-i", "1", "-s", "VirtualHTTP", answers=(STATUS, with_state("failed")))
    assert run.status == 114


def test_refresh_clears_a_terminal_before_each_round() -> None:
    run = Run("-i", "1", answers=(STATUS, STATUS), clears=True)
    assert run.out == (CLEAR_SCREEN + Run().out) * 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2", 2), ("0", 1), ("-5", 1), ("soon", 1), ("3s", 3), ("9" * 5000, 999_999_999)],
)
def test_interval_is_read_as_it_always_was(text: str, seconds: int) -> None:
    pauses: list[int] = []

    def pause(wanted: int) -> bool:
        pauses.append(wanted)
        return True

    Run("-i", text, answers=(STATUS, STATUS), pause=pause)
    assert pauses == [seconds]
