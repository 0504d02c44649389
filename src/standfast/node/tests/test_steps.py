"""How the steps of a start or a stop are told."""

import io
from collections.abc import Callable, Iterator

import pytest
from msgspec import json

from standfast.errors import StandfastError
from standfast.node.program import run_steps
from standfast.node.steps import JsonLines, Lines, Steps, Teller


def clock(*readings: float) -> Callable[[], float]:
    """A clock that shows these seconds, one after the other."""
    left: Iterator[float] = iter(readings)
    return lambda: next(left)


def told(teller: Teller, *readings: float) -> None:
    """A start of two steps, the second of which says something."""
    steps = Steps(teller, clock(*readings))
    teller.title("Starting cluster")
    with steps.step("one", "Starting one"):
        pass
    with steps.step("two", "Waiting for two") as step:
        step.note("1 of 2")
        step.note("1 of 2")
        step.note("")
        step.note("2 of 2\nat last")
        step.result = "2 votes"
    teller.succeeded("it is up")


def test_person_sees_a_line_for_each_step_as_the_scripts_of_old_printed_it() -> None:
    out, err = io.StringIO(), io.StringIO()
    told(Lines(out, err), 0.0, 0.4, 1.0, 13.34)
    assert out.getvalue() == (
        "Starting cluster: \n"
        "   Starting one... done\n"
        "   Waiting for two... \n"
        "      1 of 2\n"
        "      2 of 2\n"
        "      at last\n"
        "   ... done (12.3 s): 2 votes\n"
        "it is up\n"
        "[  OK  ]\n"
    )
    assert err.getvalue() == ""


def test_program_reads_an_object_for_each_thing_that_happens() -> None:
    out = io.StringIO()
    told(JsonLines(out), 0.0, 0.25, 1.0, 2.0)
    assert [json.decode(line) for line in out.getvalue().splitlines()] == [
        {"event": "title", "text": "Starting cluster"},
        {"event": "begin", "step": "one", "text": "Starting one"},
        {"event": "done", "step": "one", "text": "", "seconds": 0.25},
        {"event": "begin", "step": "two", "text": "Waiting for two"},
        {"event": "note", "step": "two", "text": "1 of 2"},
        {"event": "note", "step": "two", "text": "2 of 2\nat last"},
        {"event": "done", "step": "two", "text": "2 votes", "seconds": 1.0},
        {"event": "succeeded", "text": "it is up"},
    ]


@pytest.mark.parametrize(
    ("failure", "status", "code", "text"),
    [
        (StandfastError("vapp1: no", code="not-left"), 1, "not-left", "vapp1: no"),
        (KeyboardInterrupt(), 130, "interrupted", "it goes on"),
        (
            PermissionError(13, "Permission denied", "/run/standfast"),
            1,
            "system",
            "/run/standfast: Permission denied; mend it, or become root, then try again",
        ),
        (
            OSError(5, "Input/output error"),
            1,
            "system",
            "Input/output error; mend it, or become root, then try again",
        ),
    ],
    ids=["ours", "interrupted", "with-a-file", "without-a-file"],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["lines", "json"])
def test_failure_ends_the_step_and_says_why(
    failure: BaseException, status: int, code: str, text: str, *, as_json: bool
) -> None:
    def work(steps: Steps) -> str:
        with steps.step("one", "Starting one"):
            raise failure

    out, err = io.StringIO(), io.StringIO()
    assert run_steps(work, "it goes on", as_json=as_json, out=out, err=err) == status
    if as_json:
        events = [json.decode(line) for line in out.getvalue().splitlines()]
        assert [event["event"] for event in events] == ["begin", "failed", "gave-up"]
        assert events[-1] == {"event": "gave-up", "code": code, "text": text}
        assert err.getvalue() == ""
    else:
        assert out.getvalue() == "   Starting one... failed\n[FAILED]\n"
        assert err.getvalue() == f"{text}\n"
