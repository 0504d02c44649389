"""fence_ack_manual: nothing without consent, and "Done" only when the daemon said so."""

import io
import json
from collections.abc import Callable

import pytest

from standfast.cli.fence_ack_manual import USAGE, WARNING, main
from standfast.errors import UnreachableError
from standfast.wire.control import Acknowledged, AcknowledgeFencing, Answer, Call, Failure, Updated

QUESTION = WARNING.format(nodename="vapp2") + "Continue [NO/absolutely]? "


class Run:
    """One run against a daemon with one answer, by a person who types `typed`."""

    def __init__(
        self,
        *argv: str,
        typed: str = "",
        answer: Answer | UnreachableError = Acknowledged(),  # noqa: B008
    ) -> None:
        self.asked: list[Call] = []
        out, err = io.StringIO(), io.StringIO()

        def ask(
            call: Call, *, timeout_s: float | None = None, progress: Callable[[str], None] | None = None
        ) -> Answer:
            self.asked.append(call)
            if isinstance(answer, UnreachableError):
                raise answer
            return answer

        self.status = main(argv, ask, out, err, io.StringIO(typed))
        self.out, self.err = out.getvalue(), err.getvalue()


@pytest.mark.parametrize("argv", [("vapp2",), ("-n", "vapp2"), ("-e", "-n", "vapp2"), ("-q", "vapp2")])
def test_consent_acknowledges_the_victim(argv: tuple[str, ...]) -> None:
    run = Run(*argv, typed="absolutely\n")
    assert run.asked == [AcknowledgeFencing("vapp2")]
    assert (run.status, run.out, run.err) == (0, QUESTION + "Done\n", "")


@pytest.mark.parametrize("typed", ["\n", "yes\n", "Absolutely\n", "absolutely not\n", " absolutely\n"])
def test_anything_else_aborts(typed: str) -> None:
    run = Run("vapp2", typed=typed)
    assert (run.status, run.out, run.asked) == (1, QUESTION + "Aborted.\n", [])


def test_end_of_input_aborts_on_a_line_of_its_own() -> None:
    run = Run("vapp2", typed="")
    assert (run.status, run.out, run.asked) == (1, QUESTION + "\nAborted.\n", [])


def test_override_asks_nobody() -> None:
    run = Run("-O", "-n", "vapp2")
    assert (run.status, run.out, run.asked) == (0, "Done\n", [AcknowledgeFencing("vapp2")])


def test_daemons_words_come_before_done() -> None:
    run = Run("-O", "vapp2", answer=Acknowledged("vapp2 is taken as powered off"))
    assert run.out == "vapp2 is taken as powered off\nDone\n"


def test_refusal_is_shown_and_nothing_is_done() -> None:
    run = Run("-O", "vapp9", answer=Failure(code="no-victim", text='"vapp9" is no victim'))
    assert (run.status, run.out, run.err) == (1, "", 'fence_ack_manual: "vapp9" is no victim\n')


def test_daemon_that_does_not_run_is_told() -> None:
    run = Run("-O", "vapp2", answer=UnreachableError("/x: no daemon answers here", code="daemon-down"))
    assert (run.status, run.err) == (1, "fence_ack_manual: /x: no daemon answers here\n")


def test_strange_answer_is_told() -> None:
    run = Run("-O", "vapp2", answer=Updated(old=1, new=2))
    assert (run.status, run.err) == (1, "fence_ack_manual: unexpected answer Updated\n")


@pytest.mark.parametrize("argv", [(), ("-h",), ("-?",), ("--help",), ("-O",)])
def test_usage_exits_1(argv: tuple[str, ...]) -> None:
    run = Run(*argv)
    assert (run.status, run.out, run.asked) == (1, USAGE, [])


def test_unknown_option_is_complained_of() -> None:
    run = Run("-s", "10.1.4.2")
    assert (run.status, run.out, run.err) == (1, USAGE, "fence_ack_manual: invalid option -- 's'\n")


def test_two_nodes_are_refused() -> None:
    run = Run("-n", "vapp1", "vapp2")
    assert (run.status, run.asked) == (1, [])
    assert run.err == "fence_ack_manual: 2 nodes named (vapp1, vapp2); acknowledge one at a time\n"


def test_version_is_printed() -> None:
    assert Run("-V").out.startswith("fence_ack_manual version ")


def test_json_needs_the_consent_beforehand() -> None:
    run = Run("--json", "vapp2", typed="absolutely\n")
    assert (run.status, run.out, run.asked) == (1, "", [])


def test_json_is_the_wires_record_alone() -> None:
    run = Run("--json", "-O", "vapp2")
    assert json.loads(run.out) == {"type": "acknowledged", "text": ""}
