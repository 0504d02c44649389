"""The simulated fence agents: they switch machines off and on again, fail, are slow, err, and outlive their daemon."""

from collections import Counter
from collections.abc import Callable

from standfast.cluster import participant as part
from standfast.fencing.domain import AttemptId
from standfast.simulation.agents import Feed, See
from standfast.simulation.chronicle import FenceBegan, FenceEnded, Step
from standfast.simulation.fault import Moment
from standfast.simulation.machine import Daemon, Machine
from standfast.simulation.timeline import Timeline, dice

FENCE_MS = (20, 600)
SLOW_MS = 20_000  # the most that a slow one takes longer
OFF_MS = (200, 20_000)  # from off to on again
STUBBORN = 40  # how many of a hundred agents that nobody waits for any more do their work all the same


class FenceAgents:
    """All fencing under way."""

    def __init__(
        self,
        time: Timeline,
        chronicle: list[Step],
        counts: Counter[str],
        *,
        seed: int,
        feed: Feed,
        see: See,
        switch: Callable[[Machine, bool], None],
    ) -> None:
        """`switch` takes or gives a machine's power."""
        self._rng = dice(seed, "fence agents")
        self._time = time
        self._chronicle = chronicle
        self._counts = counts
        self._feed = feed
        self._see = see
        self._switch = switch
        self.fails = 0
        self.slow = 0
        self.lies = 0

    def begin(self, machine: Machine, daemon: Daemon, attempt: AttemptId, victim: Machine) -> None:
        """Run the agents of one attempt."""
        rng = self._rng
        works = rng.randrange(100) >= self.fails
        lies = rng.randrange(100) < self.lies
        stubborn = rng.randrange(100) < STUBBORN
        ms = rng.randint(*FENCE_MS)
        if rng.randrange(100) < self.slow:
            ms += rng.randint(0, SLOW_MS)
        off_ms = rng.randint(*OFF_MS)
        boots = machine.boots
        daemon.attempts.add(attempt)
        self._counts["fencing: begun"] += 1
        self._time.say(f"{machine.name} fences {victim.name}, attempt {attempt[2]}")
        self._chronicle.append(FenceBegan(self._time.now_ms, machine.nodeid, victim.nodeid))

        def ends() -> None:
            if not machine.powered or machine.boots != boots or machine.is_held_up(ends):
                return
            wanted = machine.daemon is daemon and attempt in daemon.attempts
            if works and (wanted or stubborn):
                self._switch(victim, False)
                self._time.call_in(off_ms, lambda: self._switch(victim, True))
                self._see(Moment.POWERED_OFF, machine.nodeid, victim.nodeid)
            if not wanted:
                return
            daemon.attempts.discard(attempt)
            fenced = works and not lies
            self._counts[f"fencing: {'done' if fenced else 'failed'}"] += 1
            self._chronicle.append(FenceEnded(self._time.now_ms, machine.nodeid, victim.nodeid, fenced))
            self._feed(machine, daemon.incarnation, part.AttemptEnded(attempt, fenced, "simulated"))

        self._time.call_in(ms, ends)

    def work(self) -> None:
        """Let the agents work as they should."""
        self.fails = self.slow = self.lies = 0
