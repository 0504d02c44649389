"""One simulated machine: its power, its clock, its disk, what really runs on it, and its daemon."""

from collections.abc import Callable
from enum import StrEnum
from random import Random

from standfast.cluster.participant import Participant
from standfast.conf.model import Cluster
from standfast.engine.sim import SimPort
from standfast.terms import BootId, Incarnation, NodeId, ServiceName


class Truth(StrEnum):
    """What is really true of a service on a machine; absent: nothing of it runs and it was stopped in full."""

    WHOLE = "whole"
    PART = "part"  # a start or a stop did not go through
    DEAD = "dead"  # it ended by itself; nobody stopped it


class Run:
    """Agents at work for a service: a start or a stop that ends at some time, unless it is ended before."""

    def __init__(self, service: ServiceName, *, start: bool, ok: bool, incarnation: Incarnation) -> None:
        self.service = service
        self.start = start
        self.ok = ok
        self.incarnation = incarnation
        self.cancelled = False


class Daemon:
    """One life of a node's daemon."""

    def __init__(self, participant: Participant, port: SimPort) -> None:
        self.participant = participant
        self.port = port
        self.incarnation = participant.session.me.incarnation
        self.wake_at: int | None = None
        self.attempts: dict[tuple[NodeId, int, int], Run | None] = {}


class Machine:
    """A computer with one node's daemon on it."""

    def __init__(self, nodeid: NodeId, cluster: Cluster, rng: Random) -> None:
        self.nodeid = nodeid
        self.name = f"node{nodeid}"
        self.powered = False
        self.boots = 0
        self.lives = 0
        self.frozen_since: int | None = None
        self.waiting: list[Callable[[], None]] = []  # what happens as soon as it is thawed
        self.disk: Cluster = cluster
        self.disk_full_until = 0
        self.epoch_seen = 0
        self.services: dict[ServiceName, Truth] = {}
        self.runs: dict[ServiceName, Run] = {}
        self.daemon: Daemon | None = None
        self.offset_ms = rng.randint(0, 10_000_000)
        self.per_mille = 1_000
        self.clock_from = 0
        self.start_fails = 0
        self.stop_fails = 0
        self.hangs = 0
        self.slow = 0

    @property
    def boot_id(self) -> BootId:
        """The present boot."""
        return BootId(f"boot-{self.nodeid}-{self.boots}")

    def next_incarnation(self) -> Incarnation:
        """The name of the daemon's next life."""
        self.lives += 1
        return Incarnation(f"life-{self.nodeid}-{self.lives}")

    def local_ms(self, now_ms: int) -> int:
        """What the machine's own steady clock says at a virtual time."""
        return self.offset_ms + (now_ms - self.clock_from) * self.per_mille // 1_000

    def virtual_ms(self, local_ms: int) -> int:
        """The virtual time at which the machine's clock says `local_ms`."""
        return self.clock_from + -(-(local_ms - self.offset_ms) * 1_000 // self.per_mille)

    def change_clock(self, now_ms: int, offset_ms: int, per_mille: int) -> None:
        """Let the clock go on from elsewhere at another speed; a steady clock never goes back."""
        self.offset_ms = self.local_ms(now_ms) + max(0, offset_ms)
        self.clock_from = now_ms
        self.per_mille = per_mille

    def alive(self) -> bool:
        """Whether the daemon can do anything now."""
        return self.powered and self.frozen_since is None and self.daemon is not None
