"""The owner of this node's participant: every event goes through here, and its effects begin before the next is taken."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from standfast.cluster import participant as core
from standfast.cluster.effect import Effect
from standfast.cluster.participant import Event, Participant, TimePassed
from standfast.node.gate import Gate

logger = logging.getLogger(__name__)


class Owner:
    """Takes events, from callbacks and tasks of one event loop, and never waits."""

    def __init__(
        self, participant: Participant, gate: Gate, look: Callable[[], None], changed: Callable[[], None]
    ) -> None:
        """`look` notices a standstill of the daemon; it is called before each event and may tell one itself.

        `changed` is called when the participant may be another than before.
        """
        self.participant = participant
        self.steps = 0  # how many events were taken in
        self._changed = changed
        self._gate = gate
        self._look = look
        self._perform: Callable[[Effect], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._events: deque[Event] = deque()
        self._is_stepping = False
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._wake_ms: int | None = None

    def begin(self, perform: Callable[[Effect], None]) -> None:
        """Begin to take events; `perform` begins to do what an effect asks for, and does not wait."""
        self._perform = perform

    def take(self, event: Event) -> None:
        """Take one event in, after those that are there already."""
        if self._is_closed:
            return
        self._look()
        self._events.append(event)
        if not self._is_stepping:
            self._is_stepping = True
            while self._events:
                self._step(self._events.popleft())
            self._is_stepping = False
            self._arm()
            self._changed()

    def close(self) -> None:
        """Take nothing any more; agents may run without the cluster's consent, since it is for stopping only."""
        self._is_closed = True
        self._events.clear()
        self._gate.open()
        if self._timer is not None:
            self._timer.cancel()

    def _step(self, event: Event) -> None:
        assert self._perform is not None, "begin comes first"
        self.participant, effects = core.step(self.participant, event, self._now_ms(), int(time.time()))
        if logger.isEnabledFor(logging.DEBUG):
            done = ",".join(type(effect).__name__ for effect in effects)
            logger.debug("core.step", extra={"event": type(event).__name__, "effects": done})
        if self.participant.held:
            self._gate.close()
        else:
            self._gate.open()
        for effect in effects:
            self._perform(effect)
        self.steps += 1

    def _arm(self) -> None:
        wake_ms = core.next_wake_ms(self.participant, self._now_ms())
        if wake_ms == self._wake_ms:
            return
        self._wake_ms = wake_ms
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wake_ms is not None:
            self._timer = self._loop.call_at((wake_ms + 0.5) / 1000, self._wake)

    def _wake(self) -> None:
        self._wake_ms = None
        self._timer = None
        self.take(TimePassed())

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)
