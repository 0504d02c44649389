"""Virtual time: what is going to happen when, and a log of what did."""

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random


class Timeline:
    """Everything that is still to happen, in order; what is due at the same time happens in the order of the asking."""

    def __init__(self, *, keep_log: bool = False) -> None:
        self.now_ms = 0
        self.keep_log = keep_log
        self.log: list[str] = []
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0

    def call_at(self, at_ms: int, act: Callable[[], None]) -> None:
        """Let something happen at a virtual time."""
        self._order += 1
        heappush(self._queue, (max(at_ms, self.now_ms), self._order, act))

    def call_in(self, ms: int, act: Callable[[], None]) -> None:
        """Let something happen in `ms`."""
        self.call_at(self.now_ms + ms, act)

    def advance(self) -> None:
        """Let the next thing happen."""
        self.now_ms, _, act = heappop(self._queue)
        act()

    def next_ms(self) -> int | None:
        """When the next thing happens, None when there is none."""
        return self._queue[0][0] if self._queue else None

    def say(self, text: str) -> None:
        """Note what happens, where somebody wants to read it."""
        if self.keep_log:
            self.log.append(f"{self.now_ms:8d} {text}")


def dice(seed: int, purpose: str) -> Random:
    """Return the chance of one thing in one run; what is drawn for one thing does not change what is drawn for another."""
    return Random(f"{seed} {purpose}")
