"""One simulated machine: its power, its clock, its disk, what really runs on it, and its daemon."""

from collections.abc import Callable

from standfast.cluster.epoch import Epoch
from standfast.cluster.participant import Participant
from standfast.conf.model import Cluster
from standfast.engine.sim import SimPort
from standfast.fencing.domain import AttemptId
from standfast.simulation.chronicle import Claim, Truth
from standfast.simulation.configs import first_cluster, with_stranger
from standfast.simulation.plan import Plan
from standfast.terms import BootId, Incarnation, NodeId, ServiceName


class Run:
    """Agents at work on a service: a start or a stop that ends at some time, unless it is ended before."""

    def __init__(self, service: ServiceName, *, start: bool, ok: bool, incarnation: Incarnation) -> None:
        self.service = service
        self.start = start
        self.ok = ok
        self.incarnation = incarnation
        self.over = False


class Daemon:
    """One life of a node's daemon. `attempts` are the fencings that somebody still waits for."""

    def __init__(self, participant: Participant, port: SimPort, claim: Claim) -> None:
        self.participant = participant
        self.port = port
        self.claim = claim
        self.incarnation = participant.session.me.incarnation
        self.wake_at: int | None = None
        self.attempts: set[AttemptId] = set()


class Machine:
    """A computer with one node's daemon on it."""

    def __init__(self, nodeid: NodeId, cluster: Cluster, *, clock_ms: int) -> None:
        self.nodeid = nodeid
        self.name = f"node{nodeid}"
        self.belongs = True  # it is a node of the simulated cluster
        self.alias: tuple[str, str] | None = (
            None  # wrong names of the node and the cluster, while somebody erred
        )
        self.powered = False
        self.boots = 0
        self.lives = 0
        self.frozen_since: int | None = None
        self.waiting: list[Callable[[], None]] = []  # what happens as soon as it is thawed
        self.disk: Cluster = cluster
        self.disk_full_until = 0
        self.epoch_seen = Epoch()
        self.services: dict[ServiceName, Truth] = {}
        self.runs: dict[ServiceName, Run] = {}
        self.daemon: Daemon | None = None
        self.offset_ms = clock_ms
        self.per_mille = 1_000
        self.clock_from = 0
        self.start_fails = 0
        self.stop_fails = 0
        self.hangs = 0
        self.slow = 0

    @property
    def own(self) -> bool:
        """Whether a daemon runs that says the truth of itself."""
        return self.daemon is not None and self.daemon.claim is Claim.TRUE

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

    def is_held_up(self, act: Callable[[], None]) -> bool:
        """Whether the machine stands still; then `act` is done when it goes on."""
        if self.frozen_since is None:
            return False
        self.waiting.append(act)
        return True

    def agents_work(self) -> None:
        """Let the agents work as they should."""
        self.start_fails = self.stop_fails = self.hangs = self.slow = 0


def stranger(plan: Plan) -> Machine:
    """Return a machine that is in nobody's configuration but its own."""
    nodeid = NodeId(plan.nodes + 1)
    machine = Machine(nodeid, first_cluster(plan, 1), clock_ms=0)
    machine.disk = with_stranger(machine.disk, machine.name, nodeid)
    machine.belongs = False
    return machine
