"""Noticing that the daemon stood still: stopped by a signal, paused with its machine, or starved.

The engine pings its daemons ten times in each token time, so the event loop never sleeps for long while the daemon is
attached. A longer silence means that the others may have given this node up and taken its services over.
"""

import selectors
import time
from collections.abc import Callable

FREEZE_MS = 700  # longest silence of the event loop that is ordinary, with a token time of 1000 ms
TOKEN_MS = 1000


def longest_silence_ms(token_ms: int) -> int:
    """Return the longest silence that is ordinary with this token time; always shorter than the token time."""
    return token_ms * FREEZE_MS // TOKEN_MS


def clock_ms() -> int:
    """Milliseconds that go on while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Guard:
    """Compares the clock with the last sign of life. Silent until `watch`."""

    def __init__(self) -> None:
        self._alive_ms = clock_ms()
        self._longest_ms: int | None = None
        self._woke: Callable[[int], None] = _ignore

    def watch(self, longest_ms: int, woke: Callable[[int], None]) -> None:
        """From now on call `woke` with the length of each silence above `longest_ms`."""
        self._alive_ms = clock_ms()
        self._longest_ms = longest_ms
        self._woke = woke

    def allow(self, longest_ms: int) -> None:
        """From now on silences up to `longest_ms` are ordinary; changes nothing before `watch`."""
        if self._longest_ms is not None:
            self._longest_ms = longest_ms

    def look(self) -> None:
        """Give a sign of life; tells first if the last one is too long ago."""
        now_ms = clock_ms()
        silence_ms = now_ms - self._alive_ms
        self._alive_ms = now_ms
        if self._longest_ms is not None and silence_ms > self._longest_ms:
            self._woke(silence_ms)


class WatchfulSelector(selectors.EpollSelector):
    """The event loop's selector: it looks at the guard as it wakes up, before the loop takes any event."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def select(  # type: ignore[explicit-override]  # Python 3.12 has it
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as the loop asks."""
        ready = super().select(timeout)
        self._guard.look()
        return ready


def _ignore(_ms: int) -> None:
    return
