"""When checks are due: the spec's example, a brute-force twin, and failures that are let pass."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from standfast.resources.agent import Action
from standfast.resources.checks import (
    CheckClock,
    DueCheck,
    Schedule,
    begin_round,
    begin_schedule,
    carry_schedule,
    due,
    next_deadline_ms,
    tolerate,
)
from standfast.resources.resource import Place, ResourceKey, ResourceNode
from standfast.resources.tests.sample import tree_of

FS = '<service name="s"><fs name="f" device="/d" mountpoint="/m"/></service>'
F = ResourceKey("service:s/fs:f")
POLL_MS = 10_000


def _rounds(schedule: Schedule, until_ms: int) -> list[tuple[int, tuple[DueCheck, ...]]]:
    """Run the rounds as a timer that knows only next_deadline_ms would."""
    rounds = []
    while (deadline_ms := next_deadline_ms(schedule)) is not None and deadline_ms <= until_ms:
        schedule, checks = begin_round(schedule, deadline_ms)
        rounds.append((deadline_ms, checks))
    return rounds


def test_file_system_is_checked_at_the_times_of_the_worked_example() -> None:
    rounds = _rounds(begin_schedule(tree_of(FS), 0, round_ms=POLL_MS), 120_000)
    assert [(at_ms // 1000, [check.depth for check in checks]) for at_ms, checks in rounds] == [
        (30, [10]),
        (60, [20]),
        (70, [10]),
        (80, [0]),
        (100, [10]),
        (120, [20]),
    ]


def test_seed_service_is_checked_as_its_agents_say() -> None:
    root = tree_of('<service name="s"><ip address="1"/><script name="h" file="/h"/></service>')
    rounds = _rounds(begin_schedule(root, 5_000, round_ms=POLL_MS), 65_000)
    assert [(ms // 1000, [(check.key[10:], check.depth) for check in checks]) for ms, checks in rounds] == [
        (25, [("ip:1", 0)]),
        (35, [("script:h", 0)]),
        (45, [("ip:1", 0)]),
        (65, [("ip:1", 10), ("script:h", 0)]),
    ]


def test_interval_shorter_than_the_timer_is_as_long_as_the_timer() -> None:
    root = tree_of(
        '<service name="s"><script name="h" file="/h"><action name="status" interval="3"/></script></service>'
    )
    schedule = begin_schedule(root, 0, round_ms=POLL_MS)
    assert [at_ms for at_ms, _ in _rounds(schedule, 30_000)] == [10_000, 20_000, 30_000]


def test_late_round_does_not_shift_the_timer() -> None:
    schedule, _ = begin_round(begin_schedule(tree_of(FS), 0, round_ms=POLL_MS), 34_000)
    assert next_deadline_ms(schedule) == 60_000


def test_nothing_is_due_for_a_service_without_checks() -> None:
    schedule = begin_schedule(tree_of('<service name="s"><apache name="a"/></service>'), 0, round_ms=POLL_MS)
    assert (next_deadline_ms(schedule), due(schedule, 10**9)) == (None, ())


def test_check_with_interval_0_never_runs() -> None:
    root = tree_of(
        '<service name="s"><script name="h" file="/h"><action name="status" interval="0"/></script></service>'
    )
    assert begin_schedule(root, 0, round_ms=POLL_MS).clocks == ()


def test_schedule_is_saved_and_read_back_equal() -> None:
    schedule, _ = tolerate(_tolerant(), F, 5)
    assert msgspec.json.decode(msgspec.json.encode(schedule), type=Schedule) == schedule


def test_clocks_go_on_when_the_tree_of_a_running_service_changes() -> None:
    old, _ = begin_round(begin_schedule(tree_of(FS), 0, round_ms=POLL_MS), 30_000)
    root = tree_of(FS.replace("</service>", '<script name="h" file="/h"/></service>'))
    new = carry_schedule(old, root, 47_000, round_ms=20_000)
    assert [(clock.depth, clock.last_ms) for clock in new.clocks] == [
        (0, 0),
        (10, 30_000),
        (20, 0),
        (0, 47_000),
    ]
    assert (new.begun_ms, new.round_ms) == (47_000, 20_000)


_CLOCKS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 9)),
    max_size=6,
    unique_by=lambda found: found[:2],
)


def _drawn(clocks: list[tuple[int, int, int]]) -> Schedule:
    return Schedule(
        begun_ms=0,
        round_ms=2,
        last_round_ms=0,
        clocks=tuple(
            CheckClock(key=ResourceKey(f"r{node}"), depth=depth, interval_ms=interval, last_ms=0)
            for node, depth, interval in clocks
        ),
    )


@given(_CLOCKS, st.integers(1, 60))
def test_rounds_at_the_deadlines_are_those_of_a_timer_that_asks_at_each_step(
    clocks: list[tuple[int, int, int]], until_ms: int
) -> None:
    last = {(node, depth): 0 for node, depth, _ in clocks}
    expected = []
    for now_ms in range(2, until_ms + 1, 2):
        depths: dict[int, int] = {}
        for node, depth, interval in clocks:
            if now_ms - last[node, depth] >= interval and depth >= depths.get(node, 0):
                depths[node] = depth
        last.update(dict.fromkeys(depths.items(), now_ms))
        if depths:
            expected.append((now_ms, sorted((f"r{node}", depth) for node, depth in depths.items())))
    rounds = _rounds(_drawn(clocks), until_ms)
    assert [(ms, sorted((check.key, check.depth) for check in checks)) for ms, checks in rounds] == expected


def _tolerant(failures: int = 2, expire_s: int = 60) -> Schedule:
    node = ResourceNode(
        key=F,
        type="fs",
        name="f",
        actions=(Action(name="status", interval_s=10),),
        place=Place(max_failures=failures, failure_expire_s=expire_s),
    )
    return begin_schedule(node, 0, round_ms=POLL_MS)


def _verdicts(schedule: Schedule, failed_at_s: list[int]) -> list[bool]:
    verdicts = []
    for second in failed_at_s:
        schedule, passes = tolerate(schedule, F, second * 1000)
        verdicts.append(passes)
    return verdicts


def test_failure_is_let_pass_until_as_many_as_allowed_are_remembered() -> None:
    assert _verdicts(_tolerant(), [10, 20, 30]) == [True, True, False]


def test_failure_is_forgotten_after_its_time() -> None:
    assert _verdicts(_tolerant(), [10, 20, 70, 79, 80]) == [True, True, True, False, True]


def test_failure_of_a_resource_without_max_failures_is_a_failure() -> None:
    schedule = begin_schedule(tree_of(FS), 0, round_ms=POLL_MS)
    assert tolerate(schedule, F, 5) == (schedule, False)


def test_failure_of_one_resource_does_not_count_for_another() -> None:
    root = tree_of(
        '<service name="s"><script name="a" file="/a" __max_failures="1" __failure_expire_time="60"/>'
        '<script name="b" file="/b" __max_failures="1" __failure_expire_time="60"/></service>'
    )
    a, b = (child.key for child in root.children)
    schedule, _ = tolerate(begin_schedule(root, 0, round_ms=POLL_MS), a, 5)
    assert [tolerate(schedule, key, 6)[1] for key in (a, b)] == [False, True]


@given(st.lists(st.integers(0, 30), max_size=12), st.integers(1, 4), st.integers(1, 10))
def test_memory_holds_no_more_failures_than_allowed(gaps: list[int], failures: int, expire_s: int) -> None:
    schedule, now_s = _tolerant(failures, expire_s), 0
    remembered: list[int] = []
    for gap in gaps:
        now_s += gap
        remembered = [second for second in remembered if second > now_s - expire_s]
        schedule, passes = tolerate(schedule, F, now_s * 1000)
        assert passes == (len(remembered) < failures)
        remembered += [now_s] if passes else []
        assert len(schedule.tolerances[0].failed_at_ms) == len(remembered) <= failures
