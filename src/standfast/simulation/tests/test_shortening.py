from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from standfast.simulation.fault import Crash
from standfast.simulation.plan import Scheduled
from standfast.simulation.shortening import shortest
from standfast.terms import NodeId


def faults(numbers: Sequence[int]) -> tuple[Scheduled, ...]:
    return tuple(Scheduled(n, Crash(NodeId(1), 0)) for n in numbers)


def times(schedule: tuple[Scheduled, ...]) -> set[int]:
    return {s.at_ms for s in schedule}


@given(st.integers(1, 40), st.sets(st.integers(0, 39), max_size=4))
def test_what_is_left_is_what_shows_it_and_nothing_more(length: int, needed: set[int]) -> None:
    needed = {n for n in needed if n < length}
    found = shortest(faults(range(length)), lambda schedule: needed <= times(schedule))
    assert times(found) == needed
    assert list(found) == sorted(found, key=lambda s: s.at_ms)


def test_schedule_that_shows_nothing_alone_or_in_part_stays_whole() -> None:
    whole = faults(range(9))
    assert shortest(whole, lambda schedule: len(schedule) == 9) == whole


def test_looking_ends_when_it_is_enough() -> None:
    asked: list[int] = []

    def shows(schedule: tuple[Scheduled, ...]) -> bool:
        asked.append(len(schedule))
        return 7 in times(schedule)

    found = shortest(faults(range(64)), shows, lambda: len(asked) >= 5)
    assert len(asked) == 5
    assert 7 in times(found)
