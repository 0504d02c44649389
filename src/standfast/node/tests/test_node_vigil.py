"""When a node is petted and when it is left to its watchdog."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from standfast.node.vigil import Seen, Vigil, begin, deserves_petting, look

PATIENCE_MS = 100
IN_ORDER = Seen(now_ms=0, steps=1, takes_part=True, may_run=True)
STOPPING = replace(IN_ORDER, takes_part=False)
STOPPED = replace(STOPPING, may_run=False)


def live(vigil: Vigil, life: Sequence[tuple[int, Seen]]) -> Vigil:
    """Look at these moments, in each of which the state machine has taken another step."""
    for number, (now_ms, seen) in enumerate(life, vigil.steps + 1):
        vigil = look(vigil, replace(seen, now_ms=now_ms, steps=number))
    return vigil


def fresh() -> Vigil:
    return begin(PATIENCE_MS, 0, None, may_run=False)


@pytest.mark.parametrize(
    ("life", "deserved"),
    [
        ([(0, IN_ORDER)], True),
        ([(0, STOPPED), (1000, STOPPED)], True),
        ([(0, IN_ORDER), (1000, IN_ORDER)], True),
        ([(0, IN_ORDER), (10, STOPPING), (109, STOPPING)], True),
        ([(0, IN_ORDER), (10, STOPPING), (110, STOPPING)], False),
        ([(0, IN_ORDER), (10, STOPPING), (109, STOPPED), (500, STOPPED)], True),
        ([(0, IN_ORDER), (10, STOPPING), (90, IN_ORDER), (120, STOPPING), (180, STOPPING)], True),
        ([(0, IN_ORDER), (10, STOPPING), (110, STOPPING), (111, STOPPED)], True),
    ],
    ids=[
        "takes part",
        "nothing runs here",
        "takes part for long",
        "stops what runs, and has time",
        "stops what runs, and is overdue",
        "has stopped in time",
        "lost its quorum twice, shortly",
        "has stopped late, but is still alive",
    ],
)
def test_node_is_petted_while_it_is_in_order_and_for_its_patience_after(
    life: list[tuple[int, Seen]], deserved: bool
) -> None:
    assert deserves_petting(live(fresh(), life)) is deserved


def test_state_machine_that_takes_no_step_is_not_petted_although_the_loop_looks() -> None:
    first = look(fresh(), IN_ORDER)
    assert not deserves_petting(look(first, replace(IN_ORDER, now_ms=1)))


def test_daemon_without_its_state_machine_yet_or_any_more_need_take_no_steps() -> None:
    first = look(fresh(), IN_ORDER)
    assert deserves_petting(look(first, replace(STOPPING, now_ms=1, stepping=False)))


def test_daemon_that_finds_services_has_as_long_as_any_to_bring_them_in_order() -> None:
    returned = begin(PATIENCE_MS, 1000, None, may_run=True)
    assert deserves_petting(live(returned, [(1099, STOPPING)]))
    assert not deserves_petting(live(returned, [(1100, STOPPING)]))


def test_daemon_that_follows_one_that_left_the_node_out_of_order_gets_the_rest_of_its_time() -> None:
    returned = begin(PATIENCE_MS, 1000, 950, may_run=True)
    assert deserves_petting(live(returned, [(1049, STOPPING)]))
    assert not deserves_petting(live(returned, [(1050, STOPPING)]))


def test_what_a_predecessor_left_is_over_where_nothing_runs() -> None:
    returned = begin(PATIENCE_MS, 1000, 10, may_run=False)
    assert deserves_petting(live(returned, [(1000, STOPPED), (1050, STOPPING), (1100, STOPPING)]))


def test_predecessor_in_the_future_gives_no_extra_time() -> None:
    returned = begin(PATIENCE_MS, 1000, 5000, may_run=True)
    assert not deserves_petting(live(returned, [(1100, STOPPING)]))


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.booleans()), max_size=30))
def test_node_is_never_petted_when_it_was_out_of_order_for_its_whole_patience(
    life: list[tuple[int, bool, bool]],
) -> None:
    vigil, now_ms, good_ms = fresh(), 0, 0
    for steps, (pause_ms, takes_part, may_run) in enumerate(life, 1):
        now_ms += pause_ms
        vigil = look(vigil, Seen(now_ms=now_ms, steps=steps, takes_part=takes_part, may_run=may_run))
        in_order = takes_part or not may_run
        since_ms = vigil.disorder_ms
        assert (since_ms is None) is in_order
        good_ms = now_ms if in_order else good_ms
        assert since_ms is None or since_ms >= good_ms
        assert deserves_petting(vigil) is (since_ms is None or now_ms - since_ms < PATIENCE_MS)
