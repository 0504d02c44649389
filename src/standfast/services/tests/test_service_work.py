"""What a node does or reports for a service: each phase of its own work against each state that the cluster may want."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.values import values_of

from standfast.services.proposal import Cleared, Failed, Gone, Ran, ServiceFact, Stuck
from standfast.services.record import Flag, ServiceRecord, ServiceState
from standfast.services.work import (
    GiveUpWork,
    Phase,
    ServiceTask,
    ServiceWork,
    StartService,
    StopService,
    needs_care,
    reconcile_service,
)
from standfast.terms import NodeId, ServiceName

WEB = ServiceName("service:web")
ME, OTHER = NodeId(1), NodeId(2)
NOW, OLD = 7, 3  # the record's generation, and an earlier one

TABLE = """
                      | stopped   | stopped, tried | starting | starting, old | starting, ended | running
must stop             | -         | -              | give up  | give up       | -               | stop
unknown               | -         | -              | give up  | give up       | -               | stop
starting here         | start     | gone           | -        | give up       | -               | started
starting, may not     | -         | gone           | -        | give up       | -               | started
started here          | gone      | gone           | give up  | give up       | -               | -
frozen here           | gone      | gone           | give up  | give up       | -               | -
stopping here         | stopped   | stopped        | give up  | give up       | -               | stop
recoverable here      | stopped   | stopped        | give up  | give up       | -               | stop
started elsewhere     | -         | -              | give up  | give up       | -               | stop
held here             | cleared   | cleared        | give up  | give up       | -               | stop
failed here           | cleared   | cleared        | give up  | give up       | -               | stop
disabled              | -         | -              | give up  | give up       | -               | stop

                      | running, bad | stopping | unclean      | broken       | broken, old
must stop             | stop         | -        | stop         | -            | -
unknown               | stop         | -        | stop         | -            | -
starting here         | started      | -        | start failed | start failed | start failed
starting, may not     | started      | -        | start failed | start failed | start failed
started here          | check failed | -        | check failed | check failed | check failed
frozen here           | -            | -        | -            | -            | -
stopping here         | stop         | -        | stop         | stop failed  | stop
recoverable here      | stop         | -        | stop         | stop failed  | stop
started elsewhere     | stop         | -        | stop         | stuck        | stuck
held here             | stop         | -        | stop         | stuck        | stuck
failed here           | stop         | -        | stop         | -            | -
disabled              | stop         | -        | stop         | -            | -
"""

_HERE = ServiceRecord(name=WEB, generation=NOW, owner=ME, may_run_on=(ME,))
RECORDS = {
    "must stop": replace(_HERE, state=ServiceState.STARTED),
    "unknown": None,
    "starting here": replace(_HERE, state=ServiceState.STARTING),
    "starting, may not": replace(_HERE, state=ServiceState.STARTING),
    "started here": replace(_HERE, state=ServiceState.STARTED),
    "frozen here": replace(_HERE, state=ServiceState.STARTED, flags=int(Flag.FROZEN)),
    "stopping here": replace(_HERE, state=ServiceState.STOPPING),
    "recoverable here": replace(_HERE, state=ServiceState.RECOVERABLE),
    "started elsewhere": replace(_HERE, state=ServiceState.STARTED, owner=OTHER, may_run_on=(OTHER,)),
    "held here": replace(_HERE, owner=None),
    "failed here": replace(_HERE, owner=None, state=ServiceState.FAILED),
    "disabled": replace(_HERE, owner=None, state=ServiceState.DISABLED, may_run_on=()),
}
_IDLE = ServiceWork(name=WEB, generation=NOW)
WORKS = {
    "stopped": replace(_IDLE, generation=OLD),
    "stopped, tried": _IDLE,
    "starting": replace(_IDLE, phase=Phase.STARTING),
    "starting, old": replace(_IDLE, phase=Phase.STARTING, generation=OLD),
    "starting, ended": replace(_IDLE, phase=Phase.STARTING, generation=OLD, given_up=True),
    "running": replace(_IDLE, phase=Phase.RUNNING),
    "running, bad": replace(_IDLE, phase=Phase.RUNNING, failure="no answer"),
    "stopping": replace(_IDLE, phase=Phase.STOPPING),
    "unclean": replace(_IDLE, phase=Phase.UNCLEAN),
    "broken": replace(_IDLE, phase=Phase.BROKEN),
    "broken, old": replace(_IDLE, phase=Phase.BROKEN, generation=OLD),
}


def cells() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for block in TABLE.strip("\n").split("\n\n"):
        head, *rows = ([cell.strip() for cell in line.split("|")] for line in block.splitlines())
        found.extend(
            (state, phase, expected)
            for state, *row in rows
            for phase, expected in zip(head[1:], row, strict=True)
        )
    return found


def wanted(state: str, phase: str) -> ServiceTask | ServiceFact | None:
    return reconcile_service(
        RECORDS[state],
        WORKS[phase],
        ME,
        may_start=state == "starting here",
        must_stop="no quorum" if state == "must stop" else "",
    )


def spelled(wanted: ServiceTask | ServiceFact | None) -> str:
    match wanted:
        case Ran():
            done = "started" if wanted.start else "stopped"
            return done if wanted.ok else f"{'start' if wanted.start else 'stop'} failed"
        case Failed():
            return "check failed"
        case StartService() | StopService() | GiveUpWork() | Gone() | Cleared() | Stuck():
            return {StartService: "start", StopService: "stop", GiveUpWork: "give up"}.get(
                type(wanted), type(wanted).__name__.lower()
            )
        case _:
            return "-"


@pytest.mark.parametrize(("state", "phase", "expected"), cells())
def test_node_does_what_the_table_says(state: str, phase: str, expected: str) -> None:
    assert spelled(wanted(state, phase)) == expected


def test_work_table_has_every_cell() -> None:
    assert len(cells()) == len(RECORDS) * len(WORKS)


def test_reports_and_tasks_name_the_generation_of_the_record_they_are_for() -> None:
    asked = [wanted(state, phase) for state, phase, _ in cells() if state not in ("must stop", "unknown")]
    assert {w.generation for w in asked if w is not None and not isinstance(w, GiveUpWork)} == {NOW}


def test_stop_without_a_known_record_keeps_the_generation_of_the_last_work() -> None:
    work = replace(WORKS["running"], generation=OLD)
    task = reconcile_service(None, work, ME, may_start=False, must_stop="")
    assert task == StopService(service=WEB, generation=OLD, because="the cluster does not know it")


def test_emergency_stop_says_why() -> None:
    task = wanted("must stop", "running")
    assert task == StopService(service=WEB, generation=NOW, because="no quorum")


@pytest.mark.parametrize(
    ("text", "told"), [("", "its start was given up"), ("it was killed", "it was killed")]
)
def test_start_that_was_given_up_says_how_its_work_ended(text: str, told: str) -> None:
    work = replace(WORKS["stopped, tried"], text=text)
    gone = reconcile_service(RECORDS["starting here"], work, ME, may_start=True, must_stop="")
    assert gone == Gone(service=WEB, generation=NOW, text=told)


@pytest.mark.parametrize(("phase", "care"), [(p, p is not Phase.STOPPED) for p in Phase])
def test_only_a_stopped_service_needs_no_care(phase: Phase, care: bool) -> None:
    assert needs_care(ServiceWork(name=WEB, phase=phase)) is care


def begun(work: ServiceWork, task: ServiceTask) -> ServiceWork:
    """The work once the task is under way, as the participant notes it."""
    match task:
        case GiveUpWork():
            return replace(work, given_up=True)
        case StartService():
            return replace(work, phase=Phase.STARTING, generation=task.generation, failure=None)
        case StopService():
            return replace(work, phase=Phase.STOPPING, generation=task.generation, failure=None)


records = values_of(ServiceRecord)
works = values_of(ServiceWork)


@given(st.one_of(st.none(), records), works, st.booleans(), st.sampled_from(("", "no quorum")))
def test_task_that_was_begun_is_not_asked_for_again(
    record: ServiceRecord | None, work: ServiceWork, may_start: bool, must_stop: str
) -> None:
    first = reconcile_service(record, work, ME, may_start=may_start, must_stop=must_stop)
    after = begun(work, first) if isinstance(first, StartService | StopService | GiveUpWork) else work
    again = reconcile_service(record, after, ME, may_start=may_start, must_stop=must_stop)
    assert again == (first if after is work else None)


@given(records, works, st.booleans())
def test_nothing_starts_on_a_node_that_may_not_or_does_not_own_it(
    record: ServiceRecord, work: ServiceWork, may_start: bool
) -> None:
    task = reconcile_service(record, work, ME, may_start=may_start, must_stop="")
    owns = record.owner == ME and record.state is ServiceState.STARTING
    assert not isinstance(task, StartService) or (owns and may_start and work.phase is Phase.STOPPED)


@given(records, works)
def test_nothing_is_reported_and_nothing_started_while_everything_must_stop(
    record: ServiceRecord, work: ServiceWork
) -> None:
    asked = reconcile_service(record, work, ME, may_start=True, must_stop="evicted")
    assert asked is None or isinstance(asked, StopService | GiveUpWork)
