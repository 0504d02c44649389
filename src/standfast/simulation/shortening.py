"""A schedule that shows something, made as short as it can be and still show it.

Pure.
"""

from collections.abc import Callable

from standfast.simulation.plan import Scheduled

Schedule = tuple[Scheduled, ...]


def shortest(
    schedule: Schedule, shows: Callable[[Schedule], bool], is_enough: Callable[[], bool] = lambda: False
) -> Schedule:
    """Return a part of the schedule that still `shows` it; stops looking when `is_enough`.

    Ever smaller parts are left out, down to single faults, until none can be spared.
    """
    size = len(schedule)
    while size and not is_enough():
        at, spared = 0, False
        while at < len(schedule) and not is_enough():
            candidate = schedule[:at] + schedule[at + size :]
            if shows(candidate):
                schedule, spared = candidate, True
            else:
                at += size
        if size == 1 and not spared:
            break
        size = max(1, size // 2)
    return schedule
