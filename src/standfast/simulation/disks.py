"""The simulated disks: what a daemon writes is there some time later, or not at all."""

from collections.abc import Callable
from random import Random

from standfast.cluster import participant as part
from standfast.cluster.epoch import Epoch
from standfast.conf.model import Cluster
from standfast.simulation.agents import Feed
from standfast.simulation.chronicle import Step, Stored
from standfast.simulation.machine import Daemon, Machine
from standfast.simulation.timeline import Timeline, dice

WRITE_MS = (1, 60)
TELL_MS = (0, 10)  # from the disk to the daemon that waits for it
NO_SPACE = "no space left on device"


class Disks:
    """The disks of all machines."""

    def __init__(self, time: Timeline, chronicle: list[Step], *, seed: int, feed: Feed) -> None:
        self._rng: Random = dice(seed, "disks")
        self._time = time
        self._chronicle = chronicle
        self._feed = feed

    def write(self, machine: Machine, daemon: Daemon, cluster: Cluster) -> None:
        """Replace the configuration on a machine's disk."""
        version = cluster.config_version

        def put() -> None:
            machine.disk = cluster
            self._chronicle.append(Stored(self._time.now_ms, machine.nodeid, version))

        def told(ok: bool) -> part.Event:
            return part.ConfigStored(version=version, ok=ok, text="" if ok else NO_SPACE)

        self._replace(machine, daemon, put, told)

    def keep(self, machine: Machine, daemon: Daemon, epoch: Epoch) -> None:
        """Put the epoch on a machine's disk."""

        def put() -> None:
            machine.epoch_seen = epoch

        def told(ok: bool) -> part.Event:
            return part.EpochStored(epoch=epoch, ok=ok, text="" if ok else NO_SPACE)

        self._replace(machine, daemon, put, told)

    def swap(self, machine: Machine, cluster: Cluster) -> None:
        """Put a file there by hand."""
        machine.disk = cluster
        self._chronicle.append(
            Stored(self._time.now_ms, machine.nodeid, cluster.config_version, by_hand=True)
        )

    def _replace(
        self, machine: Machine, daemon: Daemon, put: Callable[[], None], told: Callable[[bool], part.Event]
    ) -> None:
        """Do it all or not at all; the daemon may die before, or after and before it knows."""
        tell_ms = self._rng.randint(*TELL_MS)

        def written() -> None:
            if machine.daemon is not daemon or machine.is_held_up(written):
                return
            ok = machine.disk_full_until <= self._time.now_ms
            if ok:
                put()
            self._time.call_in(tell_ms, lambda: self._feed(machine, daemon.incarnation, told(ok)))

        self._time.call_in(self._rng.randint(*WRITE_MS), written)
