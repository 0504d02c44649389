"""A line of the simulated network: what is put in comes out in order, each thing some virtual milliseconds later."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Pipe(Generic[T]):
    """First in, first out, in virtual time; can be paused, and its newest content taken back."""

    def __init__(
        self,
        deliver: Callable[[T], None],
        *,
        latency_ms: Callable[[], int],
        call_at: Callable[[int, Callable[[], None]], None],
        now_ms: Callable[[], int],
    ) -> None:
        """`deliver` gets each thing; `latency_ms` says how long the next one takes."""
        self._deliver = deliver
        self._latency_ms = latency_ms
        self._call_at = call_at
        self._now_ms = now_ms
        self._things: deque[tuple[int, T]] = deque()  # with the time at which each comes out
        self._is_armed = False
        self._is_paused = False
        self.is_closed = False

    def put(self, thing: T) -> None:
        """Send one thing; a closed pipe swallows it."""
        if self.is_closed:
            return
        due_ms = self._now_ms() + self._latency_ms()
        if self._things:
            due_ms = max(due_ms, self._things[-1][0])
        self._things.append((due_ms, thing))
        self._arm()

    def pause(self) -> None:
        """Deliver nothing until `resume`."""
        self._is_paused = True

    def resume(self) -> None:
        """Go on; what is overdue comes out now, in order."""
        self._is_paused = False
        self._arm()

    def close(self) -> tuple[T, ...]:
        """Deliver nothing ever again; returns what was still under way, oldest first."""
        self.is_closed = True
        things = tuple(thing for _, thing in self._things)
        self._things.clear()
        return things

    def tail(self, belongs: Callable[[T], bool]) -> int:
        """How many of the newest things under way belong together, counted back to the first that does not."""
        count = 0
        for _, thing in reversed(self._things):
            if not belongs(thing):
                break
            count += 1
        return count

    def take_back(self, count: int) -> None:
        """Remove the newest `count` things that are still under way."""
        for _ in range(count):
            self._things.pop()

    def _arm(self) -> None:
        if self._things and not (self._is_armed or self._is_paused):
            self._is_armed = True
            self._call_at(max(self._now_ms(), self._things[0][0]), self._fire)

    def _fire(self) -> None:
        self._is_armed = False
        if self._is_paused or not self._things:
            return
        if self._things[0][0] <= self._now_ms():
            _, thing = self._things.popleft()
            self._deliver(thing)
        self._arm()
