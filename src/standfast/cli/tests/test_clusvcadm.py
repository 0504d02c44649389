"""clusvcadm's options, local checks, waiting and complaints; its answers are in tests/golden/clusvcadm."""

import io
import json
from collections.abc import Callable

import pytest

from standfast.cli.clusvcadm import ACTIONS, RESULTS, USAGE, main
from standfast.cli.tests.daemon_double import STATUS
from standfast.errors import UnreachableError
from standfast.terms import ServiceName
from standfast.wire.control import (
    Acknowledged,
    Answer,
    Call,
    Code,
    Failure,
    GetStatus,
    Operated,
    OperateService,
    Operation,
)

DONE = Operated(code=Code.SUCCESS, owner="vapp1")
Outcome = Answer | BaseException


class Run:
    """One run of clusvcadm: the daemon gives `status` to the first question and `outcome` to the second."""

    def __init__(
        self, *argv: str, outcome: Outcome = DONE, status: Outcome = STATUS, says: tuple[str, ...] = ()
    ) -> None:
        self.asked: list[Call] = []
        self.limits: list[float | None] = []
        out, err = io.StringIO(), io.StringIO()

        def ask(
            call: Call,
            *,
            timeout_s: float | None = None,
            progress: Callable[[str], None] | None = None,
        ) -> Answer:
            self.asked.append(call)
            self.limits.append(timeout_s)
            if progress is not None:
                for text in says:
                    progress(text)
            answer = status if isinstance(call, GetStatus) else outcome
            if isinstance(answer, BaseException):
                raise answer
            return answer

        self.status = main(argv, ask, out, err)
        self.out, self.err = out.getvalue(), err.getvalue()

    @property
    def order(self) -> OperateService:
        order = self.asked[-1]
        assert isinstance(order, OperateService)
        return order


def down() -> UnreachableError:
    return UnreachableError("/x: no daemon answers here", code="daemon-down")


def died() -> UnreachableError:
    return UnreachableError("/x: the daemon went away", code="daemon-died")


@pytest.mark.parametrize(
    ("option", "operation"),
    [
        ("-d", Operation.DISABLE),
        ("-e", Operation.ENABLE),
        ("-r", Operation.RELOCATE),
        ("-R", Operation.RESTART),
        ("-s", Operation.STOP),
        ("-U", Operation.UNFREEZE),
        ("-Z", Operation.FREEZE),
    ],
)
def test_each_operation_is_asked_of_the_daemon(option: str, operation: Operation) -> None:
    assert Run(option, "web").order == OperateService(operation=operation, service=ServiceName("service:web"))


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("-d", "disabling"),
        ("-e", "trying to enable"),
        ("-R", "trying to restart"),
        ("-s", "stopping"),
        ("-U", "unfreezing"),
        ("-Z", "freezing"),
    ],
)
def test_each_action_is_said_of_this_machine_or_of_the_member(option: str, text: str) -> None:
    assert Run(option, "web").out.startswith(f"Local machine {text} service:web...Success\n")
    assert Run(option, "web", "-m", "vapp2").out.startswith(f"Member vapp2 {text} service:web...Success\n")


def test_every_operation_has_words() -> None:
    assert {*ACTIONS, Operation.RELOCATE} == set(Operation)


def test_every_code_has_words() -> None:
    assert set(RESULTS) == set(Code)


@pytest.mark.parametrize("code", list(Code))
def test_exit_status_is_the_code_modulo_256_but_for_already_running(code: Code) -> None:
    run = Run("-e", "web", outcome=Operated(code=code))
    assert run.status == (0 if code == -10 else code % 256)
    assert run.out == f"Local machine trying to enable service:web...{RESULTS[code]}\n"


@pytest.mark.parametrize("option", ["-d", "-R", "-s", "-U", "-Z"])
def test_only_enable_and_relocate_say_where_the_service_runs(option: str) -> None:
    assert "is now running on" not in Run(option, "web", "-m", "vapp1").out


def test_member_is_compared_without_case_and_written_as_the_cluster_does() -> None:
    run = Run("-e", "web", "-n", "VAPP1")
    assert run.order.target == "vapp1"
    assert run.out == (
        "Member vapp1 trying to enable service:web...Success\nservice:web is now running on vapp1\n"
    )


def test_other_owner_without_a_wanted_member_is_no_warning() -> None:
    run = Run("-r", "web", outcome=Operated(code=Code.SUCCESS, owner="vapp2"))
    assert run.out == "Trying to relocate service:web...Success\nservice:web is now running on vapp2\n"


def test_success_without_an_owner_says_no_more() -> None:
    run = Run("-e", "web", outcome=Operated(code=Code.SUCCESS))
    assert run.out == "Local machine trying to enable service:web...Success\n"


def test_domain_decides_with_f() -> None:
    run = Run("-e", "web", "-F")
    assert (run.order.by_domain, run.order.target) == (True, None)


@pytest.mark.parametrize("member", ["-m", "-n"])
@pytest.mark.parametrize("first", [True, False])
def test_domain_and_member_exclude_each_other_in_either_order(member: str, first: bool) -> None:
    both = ["-F", member, "vapp1"] if first else [member, "vapp1", "-F"]
    run = Run("-e", "web", *both)
    assert (run.status, run.err, run.asked) == (1, "Cannot use '-F' with '-n' or '-m'\n", [])


def test_domain_goes_with_enable_only() -> None:
    run = Run("-r", "web", "-F")
    assert (run.status, run.asked) == (1, [])
    assert run.err == "clusvcadm: -F goes with -e only; nothing was done\n"


def test_last_operation_wins() -> None:
    run = Run("-d", "mail", "-e", "web")
    assert (run.order.operation, run.order.service) == (Operation.ENABLE, "service:web")


def test_type_in_the_name_is_kept_and_long_names_are_cut() -> None:
    assert Run("-e", "vm:guest1").order.service == "vm:guest1"
    assert Run("-e", "x" * 80).order.service == "service:" + "x" * 55


@pytest.mark.parametrize("argv", [(), ("-m", "vapp1"), ("-h",), ("-?",), ("--help",), ("-e", "")])
def test_usage_exits_1(argv: tuple[str, ...]) -> None:
    run = Run(*argv)
    assert (run.status, run.out, run.err, run.asked) == (1, USAGE, "", [])


def test_unknown_option_is_complained_of() -> None:
    run = Run("-y")
    assert (run.status, run.out, run.err) == (1, USAGE, "clusvcadm: invalid option -- 'y'\n")


def test_version_is_printed_alone() -> None:
    run = Run("-v")
    assert (run.status, run.asked) == (0, [])
    assert run.out.count("\n") == 1


@pytest.mark.parametrize(
    "argv",
    [("-M", "vm:guest1", "-m", "vapp2"), ("-c", "web"), ("-l",), ("-u",), ("-S",), ("-l", "-e", "web")],
)
def test_operation_of_later_is_refused_with_a_sentence(argv: tuple[str, ...]) -> None:
    run = Run(*argv)
    assert (run.status, run.out, run.asked) == (1, "", [])
    assert run.err.startswith(f"clusvcadm: {argv[0]}: ")
    assert run.err.endswith("is not supported yet; nothing was done\n")


def test_second_service_is_refused() -> None:
    run = Run("-e", "web", "mail")
    assert (run.status, run.asked) == (1, [])
    assert run.err == 'clusvcadm: "mail" is one argument too many; name one service, and a member with -m\n'


def test_single_closest_member_is_shown_and_not_used() -> None:
    run = Run("-r", "web", "-m", "vapp12")
    assert (run.status, run.out, len(run.asked)) == (1, "", 1)
    assert run.err == "'vapp12' not in membership list\nClosest match: 'vapp1'\n"


def test_prefix_is_searched_with_case() -> None:
    run = Run("-r", "web", "-m", "VA")
    assert run.err == "'VA' not in membership list\nNo matches for 'VA' found\n"


def test_two_closest_members_are_too_many() -> None:
    run = Run("-r", "web", "-m", "vapp3")
    assert run.err == "'vapp3' not in membership list\nMore than one possible match for 'vapp3' found\n"


def test_daemon_that_does_not_run_is_told_before_anything() -> None:
    run = Run("-e", "web", status=down())
    assert (run.status, run.out) == (1, "")
    assert run.err == "Could not connect to cluster service\nclusvcadm: /x: no daemon answers here\n"


def test_daemon_that_cannot_say_its_status_is_told() -> None:
    run = Run("-e", "web", status=Failure(code="starting", text="the engine is not connected yet"))
    assert (run.status, run.out, run.err) == (1, "", "clusvcadm: the engine is not connected yet\n")


def test_daemon_that_dies_while_it_works_is_told() -> None:
    run = Run("-e", "web", outcome=died())
    assert run.status == 1
    assert run.err == "Error receiving reply!\nclusvcadm: /x: the daemon went away\n"


def test_operation_is_waited_for_without_limit_but_not_the_members() -> None:
    members, operation = Run("-e", "web").limits
    assert (members is not None, operation) == (True, None)


def test_refusal_is_a_failure_with_its_reason() -> None:
    run = Run(
        "-e", "web", outcome=Failure(code="not-permitted", text="only root and the group standfast may")
    )
    assert (run.status, run.out) == (255, "Local machine trying to enable service:web...Failure\n")
    assert run.err == "clusvcadm: only root and the group standfast may\n"


def test_reason_follows_a_result_that_is_no_success() -> None:
    run = Run("-e", "web", outcome=Operated(code=Code.ABORT, text="script http: start exited 1"))
    assert run.err == "clusvcadm: script http: start exited 1\n"


def test_reason_of_a_success_is_not_shown() -> None:
    assert Run("-e", "web", outcome=Operated(code=Code.SUCCESS, owner="vapp1", text="as asked")).err == ""


def test_what_is_waited_for_is_said() -> None:
    run = Run("-e", "web", says=("waiting for the fencing of vapp2",))
    assert run.err == "\nclusvcadm: waiting for the fencing of vapp2\n"


def test_interrupt_says_that_the_operation_goes_on() -> None:
    run = Run("-e", "web", outcome=KeyboardInterrupt())
    assert (run.status, run.out) == (130, "Local machine trying to enable service:web...\n")
    assert run.err == (
        "clusvcadm: the operation on service:web goes on; watch it with: clustat -s service:web\n"
    )


def test_quiet_prints_errors_only() -> None:
    run = Run("-q", "-e", "web", outcome=Operated(code=Code.ABORT, text="script http: start exited 1"))
    assert (run.status, run.out, run.err) == (254, "", "clusvcadm: script http: start exited 1\n")


def test_json_is_the_wires_record_alone() -> None:
    run = Run("--json", "-e", "web")
    assert json.loads(run.out) == {"type": "operated", "code": 0, "owner": "vapp1", "text": ""}


@pytest.mark.parametrize("which", ["status", "outcome"])
def test_answer_that_does_not_belong_to_the_question_is_told(which: str) -> None:
    strange = Acknowledged("yes")
    with pytest.raises(UnreachableError, match="the daemon answered Acknowledged"):
        Run("-e", "web", status=strange if which == "status" else STATUS, outcome=strange)
