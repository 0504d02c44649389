import pytest

from standfast.simulation.calm import a_daemons_restart_is_no_failure
from standfast.simulation.chronicle import (
    Asked,
    Became,
    Began,
    Claim,
    ClockChanged,
    DaemonDown,
    DaemonUp,
    Ended,
    FenceBegan,
    LinksChanged,
    Setting,
    Step,
    Truth,
)
from standfast.simulation.verdict import Judgement
from standfast.terms import NodeId, ServiceName

A, B = NodeId(1), NodeId(2)
S = ServiceName("service:s")
CALM = (
    Setting(0, two_node=False, disks=((A, 1), (B, 1))),
    DaemonUp(1_000, A),
    DaemonUp(1_000, B),
    Became(2_000, A, S, Truth.WHOLE),
)
DOWN, UP = DaemonDown(50_000, A), DaemonUp(52_000, A)
FENCED = FenceBegan(53_000, B, A)
STOPPED = Began(53_000, A, S, start=False)


def judged(*steps: Step) -> Judgement:
    return a_daemons_restart_is_no_failure((*CALM, *steps)).judgement


def test_restart_from_which_nothing_follows_is_well() -> None:
    assert judged(DOWN, UP) is Judgement.HELD


def test_fencing_of_a_node_whose_daemon_is_back_is_wrong() -> None:
    assert judged(DOWN, UP, FENCED) is Judgement.BROKEN


def test_fencing_of_a_node_whose_daemon_was_away_for_a_moment_only_is_wrong() -> None:
    assert judged(DOWN, FenceBegan(51_000, B, A)) is Judgement.BROKEN


def test_fencing_of_a_node_whose_daemon_stays_away_is_right() -> None:
    assert judged(DOWN, FenceBegan(70_000, B, A)) is Judgement.HELD


def test_stop_of_what_ran_whole_is_wrong() -> None:
    assert judged(DOWN, UP, STOPPED) is Judgement.BROKEN


def test_stop_of_what_did_not_run_whole_is_right() -> None:
    assert judged(Became(20_000, A, S, Truth.PART), DOWN, UP, STOPPED) is Judgement.HELD


def test_stop_long_after_is_right() -> None:
    assert judged(DOWN, UP, Began(90_000, A, S, start=False)) is Judgement.HELD


@pytest.mark.parametrize(
    "step",
    [
        LinksChanged(40_000),
        ClockChanged(40_000, B),
        DaemonDown(40_000, B),
        Asked(40_000, B, "r1", "stop", S),
        DaemonUp(40_000, B, Claim.NOT_LISTED),
    ],
    ids=lambda step: type(step).__name__,
)
def test_where_something_else_happened_nothing_is_judged(step: Step) -> None:
    assert judged(step, DOWN, UP, FENCED) is Judgement.HELD


def test_what_happens_after_the_restart_ends_the_calm() -> None:
    assert judged(DOWN, UP, LinksChanged(52_500), FENCED) is Judgement.HELD


def test_where_a_stop_had_failed_nothing_is_judged() -> None:
    assert judged(Ended(9_000, A, S, start=False, ok=False), DOWN, UP, FENCED) is Judgement.HELD
