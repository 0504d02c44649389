"""One machine of this room's stories: its power, its clock, its disk, what really runs on it, and its daemon."""

from msgspec import Struct
from msgspec.structs import replace

from standfast.cluster import participant as core
from standfast.cluster.effect import Effect
from standfast.cluster.entry import Entry, Hello
from standfast.cluster.epoch import Epoch
from standfast.cluster.session import Identity
from standfast.conf.model import Cluster
from standfast.fencing.domain import AttemptId
from standfast.membership import quorum
from standfast.membership.votes import VoteTable, vote_table
from standfast.terms import BootId, Incarnation, NodeId, ServiceName

RUNNING, HALF, BROKEN = "running", "half", "broken"


class Took(Struct, frozen=True):
    """One event that a daemon took in, with its clocks."""

    event: core.Event
    local_ms: int
    wall_s: int


class Life(Struct, frozen=True, kw_only=True):
    """A daemon's whole log: who it is, what stood on its disk, and everything that it took in."""

    me: Identity
    config: Cluster
    document: str
    took: tuple[Took, ...] = ()


class Clock:
    """A steady clock of its own: it may begin anywhere, run at another speed, and jump."""

    def __init__(self, begin_ms: int) -> None:
        self._world_ms = 0
        self._local_ms = begin_ms
        self._percent = 100

    def local_ms(self, world_ms: int) -> int:
        """What it shows at a moment of the world."""
        return self._local_ms + (world_ms - self._world_ms) * self._percent // 100

    def world_ms(self, local_ms: int) -> int:
        """The first moment of the world at which it shows this much."""
        return self._world_ms + -((self._local_ms - local_ms) * 100 // self._percent)

    def set(self, world_ms: int, *, jump_ms: int = 0, percent: int | None = None) -> None:
        """Let it jump, or run at another speed from here on."""
        self._local_ms = self.local_ms(world_ms) + jump_ms
        self._world_ms = world_ms
        self._percent = self._percent if percent is None else percent


class Machine:
    """A machine; its daemon is None while none runs, or its machine is off."""

    def __init__(self, nodeid: NodeId, disk: Cluster) -> None:
        self.nodeid = nodeid
        self.name = f"node{nodeid}"
        self.cluster_name = disk.name
        self.disk = disk
        self.epoch_kept = Epoch()
        self.clock = Clock(begin_ms=1_000_000 * nodeid)
        self.wall_off_s = 0
        self.boots = 0
        self.lives = 0
        self.truth: dict[ServiceName, str] = {}
        self.daemon: core.Participant | None = None
        self.ballot = quorum.Ballot(table=vote_table(disk))
        self.table: VoteTable | None = None  # what the engine was told last to judge quorum by
        self.engine_lags = False  # it does not heed that yet
        self.waiting: list[core.Event] = []  # what its own agents and disk have to tell
        self.at_work: dict[ServiceName, bool] = {}  # services with agents at work: whether they start
        self.attempts: list[AttemptId] = []
        self.frozen_at_ms: int | None = None
        self.lived: list[Life] = []  # the logs of all its daemons, the last one's without what it took in
        self.took: list[Took] = []
        self.speaks: tuple[int, int] | None = None  # protocol versions of another release than ours

    def begin(self) -> None:
        """Start a daemon with what stands on the disk."""
        self.lives += 1
        me = Identity(
            cluster=self.cluster_name,
            nodeid=self.nodeid,
            name=self.name,
            incarnation=Incarnation(f"life-{self.nodeid}-{self.lives}"),
            boot_id=BootId(f"boot-{self.nodeid}-{self.boots}"),
            epoch_seen=self.epoch_kept,
        )
        document = f"version {self.disk.config_version}"
        self.daemon = core.create(me, self.disk, document)
        self.ballot = quorum.Ballot(table=vote_table(self.disk))
        self.waiting, self.at_work, self.attempts = [], {}, []
        self.lived, self.took = [*self.logs(), Life(me=me, config=self.disk, document=document)], []

    def end(self) -> None:
        """The daemon ends; whatever its agents were doing stays half done."""
        self.daemon = None
        self.waiting, self.attempts = [], []
        for name in self.at_work:
            self.truth[name] = HALF
        self.at_work = {}

    def lose_power(self) -> None:
        """Nothing runs any more, and nothing is remembered but the disk."""
        self.end()
        self.truth = {}
        self.frozen_at_ms = None

    def step(self, event: core.Event, world_ms: int) -> tuple[Effect, ...]:
        """Give the daemon an event; return what it wants done."""
        assert self.daemon is not None
        local_ms = self.clock.local_ms(world_ms)
        wall_s = 1_000_000 + world_ms // 1000 + self.wall_off_s
        self.took.append(Took(event, local_ms, wall_s))
        self.daemon, effects = core.step(self.daemon, event, local_ms, wall_s)
        return effects

    def worded(self, entry: Entry) -> Entry:
        """The entry as this machine's release of the program says it."""
        if self.speaks is None or not isinstance(entry, Hello):
            return entry
        return replace(entry, protocol_min=self.speaks[0], protocol=self.speaks[1])

    def wakes_at_ms(self, world_ms: int) -> int | None:
        """When the daemon wants to be woken, in the world's time."""
        if self.daemon is None or self.frozen_at_ms is not None:
            return None
        local_ms = core.next_wake_ms(self.daemon, self.clock.local_ms(world_ms))
        return None if local_ms is None else max(world_ms + 1, self.clock.world_ms(local_ms))

    def logs(self) -> list[Life]:
        """Everything that each of its daemons took in, oldest first."""
        if not self.lived:
            return []
        return [*self.lived[:-1], replace(self.lived[-1], took=tuple(self.took))]
