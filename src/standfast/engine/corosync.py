"""The engine of production: one order for daemons on several machines, by corosync 3.

Membership, order, encryption and quorum are corosync's. What is added here: a number for each view that all members
know (engine/formation.py), messages of up to 1 MiB, nobody is flooded, and a daemon or a corosync that hangs is noticed.
"""

import asyncio
import math
import os
from collections.abc import Callable, Iterable

from msgspec import DecodeError

from standfast.engine import sayings
from standfast.engine.blocking import in_thread, leave_behind, within
from standfast.engine.contract import MESSAGE_BYTES_MAX, EngineEvent, Message, Notice, Quorum, too_long
from standfast.engine.corosync_library import (
    ERR_TRY_AGAIN,
    Address,
    CorosyncError,
    Group,
    Reason,
)
from standfast.engine.corosync_settings import reaches_any, read_map
from standfast.engine.flow import OWED_BYTES_MAX, SEND_BYTES_MAX, cost_of
from standfast.engine.formation import Formation, Gone, Seat
from standfast.engine.group_frames import Frame, Full, decode, encode
from standfast.engine.inbox import Inbox
from standfast.engine.quorum_watch import Counted, QuorumWatch
from standfast.engine.topology import in_use
from standfast.errors import EngineError, RefusedError, StandfastError
from standfast.membership.view import DepartureReason, View
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId

GROUP = "standfast"
CALL_S_MAX = 10.0  # longest wait for corosync to answer while a daemon joins
LEAVE_S_MAX = 5.0  # longest wait for its goodbye
TOKEN_KEY = "runtime.config.totem.token"
TOKEN_MS = 10_000  # where corosync does not say
BEATS_PER_TOKEN = 4  # how often within a token time a daemon gives a sign of life
RETRY_S = (0.001, 0.05)  # shortest and longest wait before corosync is offered again what it could not take
RING_TOKENS = 6  # how many token times corosync may deliver nothing before that is said
SETTLE_TOKENS = (
    1.5  # how many token times a daemon waits for its corosync to find any other, before it goes on alone
)
STUCK_TOKENS = 5  # how many token times a daemon may take nothing while the others wait for it

_REASONS = {
    Reason.LEAVE: DepartureReason.LEAVE,
    Reason.PROCESS_DOWN: DepartureReason.PROCESS_DOWN,
    Reason.NODE_DOWN: DepartureReason.NODE_DOWN,
}


class CorosyncEngine:
    """One daemon's membership of the process group; made by `attach`. Implements contract.Engine."""

    def __init__(self, nodeid: NodeId, name: str, votes: VoteTable) -> None:
        """See `attach`."""
        self._loop = asyncio.get_running_loop()
        self._nodeid = nodeid
        self._name = name
        self._votes = votes
        self._token_ms = TOKEN_MS
        self._group: Group | None = None
        self._descriptor = -1
        self._watch: QuorumWatch | None = None
        self._inbox = Inbox(self._taken)
        self._formation = Formation(
            Seat(nodeid, os.getpid()), name, cast=self._cast, tell=self._tell, refused=self._turn_away
        )
        self._casting: list[bytes] = []  # corosync could not take these yet
        self._retry: asyncio.TimerHandle | None = None
        self._retry_s = RETRY_S[0]
        self._pulse: asyncio.TimerHandle | None = None
        self._answered_at = 0.0  # when corosync last answered the watching thread
        self._pulsed_at = 0.0
        self._silent_since: float | None = None  # a beat is under way since then; inf: and that was said
        self._counted: Counted | None = None
        self._flag: tuple[int, bool] | None = None
        self._owed_cost = 0  # delivered to the daemon, and not taken
        self._said_full_at: float | None = None
        self._unordered_cost = 0
        self._sending = asyncio.Lock()
        self._room = asyncio.Event()
        self._is_leaving = False
        self._joined: asyncio.Future[None] = self._loop.create_future()
        self._met = asyncio.Event()  # corosync reaches another machine
        self._end: StandfastError | None = None

    @property
    def nodeid(self) -> NodeId:
        """This node."""
        return self._nodeid

    @property
    def token_ms(self) -> int:
        """How long a node may be silent before corosync gives it up."""
        return self._token_ms

    @property
    def _beat_s(self) -> float:
        return self._token_ms / 1000 / BEATS_PER_TOKEN

    def events(self) -> Inbox:
        """Yield what the engine delivers; it is the same iterator each time, and may be waited for once at a time."""
        return self._inbox

    async def open(self, cluster: str) -> None:
        """Connect to corosync and join the group; called by `attach`, once."""
        try:
            settings = await in_thread(lambda: read_map("totem.cluster_name", TOKEN_KEY), CALL_S_MAX)
            self._token_ms = int(settings.get(TOKEN_KEY, TOKEN_MS))
            found = str(settings.get("totem.cluster_name", ""))
            if found != cluster:
                raise RefusedError(
                    sayings.other_cluster(self._name, found, cluster), code="corosync-other-cluster"
                )
            group = self._group = await in_thread(
                lambda: Group(deliver=self._deliver, regroup=self._regroup, ring=self._ring), CALL_S_MAX
            )
            nodeid = await in_thread(group.nodeid, CALL_S_MAX)
            if nodeid != self._nodeid:
                raise RefusedError(
                    sayings.other_node(self._name, nodeid, self._nodeid), code="corosync-other-node"
                )
            await self._join(group)
            if self._end is not None:
                raise self._end
        except CorosyncError as failure:
            await self.close()
            raise sayings.unusable(self._name, failure) from failure
        except TimeoutError as failure:
            await self.close()
            raise EngineError(sayings.silent(self._name, CALL_S_MAX), code="corosync-hangs") from failure
        except StandfastError:
            await self.close()
            raise
        self._watch = QuorumWatch(
            self._votes,
            beat_s=self._beat_s,
            counted=lambda counted: self._soon(lambda: self._recount(counted)),
            alive=lambda: self._soon(self._answered),
            refused=lambda text: self._soon(lambda: self._tell(Notice(text))),
            lost=lambda failure: self._soon(lambda: self._end_with(sayings.gone(self._name, failure))),
        )
        self._watch.start()
        self._answered_at = self._pulsed_at = self._loop.time()
        self._pulse = self._loop.call_later(self._beat_s, self._beat, self._beat_s)
        await asyncio.wait([self._joined], timeout=CALL_S_MAX)
        if not self._joined.done():
            self._turn_away(in_use(self._name, self._nodeid, "another process"))
        if self._end is not None:
            raise self._end

    async def send(self, payload: bytes) -> None:
        """Queue one message; waits while the engine is congested.

        The task that takes the events must not wait here: while it does, its own messages cannot come back.
        """
        if len(payload) > MESSAGE_BYTES_MAX:
            raise too_long(self._name, len(payload))
        cost = cost_of(payload)
        async with self._sending:
            while self._end is None and not self._is_leaving and not self._has_room(cost):
                self._room.clear()
                await self._room.wait()
            if self._end is not None:
                raise self._end
            if self._is_leaving:
                raise sayings.left(self._name)
            self._unordered_cost += cost
            self._formation.outbox.put(payload)
            self._send_parts()

    def configure(self, votes: VoteTable) -> None:
        """Have corosync count by these votes from now on, as far as it lets itself be told."""
        self._votes = votes
        if self._watch is not None:
            self._watch.configure(votes)

    async def refresh(self) -> None:
        """Take over what corosync has read anew: its token time, and votes that the table in force may differ from.

        Raises CorosyncError, TimeoutError.
        """
        self._token_ms = await in_thread(_token_ms, CALL_S_MAX)
        if self._watch is not None:
            self._watch.renew(self._beat_s)

    async def leave(self) -> None:
        """Say goodbye after everything that was sent, and wait until the others know; then break off."""
        if self._end is None and not self._is_leaving:
            self._is_leaving = True
            self._room.set()
            group = self._group
            if group is not None:
                try:
                    async with asyncio.timeout(LEAVE_S_MAX):
                        while not self._formation.outbox.is_empty and self._end is None:
                            self._room.clear()
                            await self._room.wait()
                        await in_thread(lambda: group.leave(GROUP), LEAVE_S_MAX)
                except (TimeoutError, CorosyncError):
                    pass  # it ends all the same, and the others see a process that ended
        await self.close()

    async def close(self) -> None:
        """Break off; iteration over the events ends after those that are there."""
        self._disconnect()
        self._inbox.finish()
        self._end_with(sayings.left(self._name))

    # What corosync delivers

    def _deliver(self, nodeid: int, pid: int, data: bytes) -> None:
        try:
            frame = decode(data)
        except DecodeError as failure:
            self._tell(Notice(f"node id {nodeid}, process {pid}: a message that nobody can read ({failure})"))
            return
        self._formation.receive(Seat(NodeId(nodeid), pid), frame, self._now_ms())

    def _regroup(
        self, members: tuple[Address, ...], left: tuple[Address, ...], joined: tuple[Address, ...]
    ) -> None:
        gone = [Gone(_seat(a), _REASONS.get(Reason(a.reason), DepartureReason.PROCESS_DOWN)) for a in left]
        self._formation.regroup(_seats(members), gone, _seats(joined), self._now_ms())
        if not self._formation.is_second:
            self._admit()

    def _ring(self, seq: int, nodes: tuple[int, ...]) -> None:
        self._formation.reached(seq, (NodeId(n) for n in nodes), self._now_ms())
        if len(nodes) > 1:
            self._met.set()
        self._judge()

    def _readable(self) -> None:
        assert self._group is not None
        try:
            self._group.dispatch()
        except CorosyncError as failure:
            self._end_with(sayings.gone(self._name, failure))
            return
        self._send_parts()
        self._room.set()

    def _tell(self, event: EngineEvent) -> None:
        if isinstance(event, Message):
            self._owed_cost += cost_of(event.payload)
            if event.sender == self._nodeid:
                self._unordered_cost = max(0, self._unordered_cost - cost_of(event.payload))
        self._inbox.put(event)
        if isinstance(event, View):
            self._admit()
            self._judge()
        if self._owed_cost > OWED_BYTES_MAX and self._said_full_at is None and not self._is_leaving:
            self._said_full_at = self._loop.time()
            self._cast(Full(is_full=True))

    def _taken(self, event: EngineEvent) -> None:
        if isinstance(event, Message):
            self._owed_cost -= cost_of(event.payload)
            if self._said_full_at is not None:
                self._said_full_at = self._loop.time()
                if self._owed_cost <= OWED_BYTES_MAX // 2:
                    self._said_full_at = None
                    self._cast(Full(is_full=False))

    # Quorum

    def _recount(self, counted: Counted) -> None:
        self._counted = counted
        self._judge()

    def _judge(self) -> None:
        """Tell this node's flag for its view, once corosync has counted the votes of the view's ring."""
        view, counted = self._formation.view, self._counted
        if view is None or counted is None or counted.ring != self._formation.ring:
            return
        quorate = counted.quorate_with(view.members)
        if self._flag != (view.view_id, quorate):
            self._flag = (view.view_id, quorate)
            self._inbox.put(Quorum(view.view_id, quorate))

    # What is sent

    def _send_parts(self) -> None:
        view = self._formation.view
        if view is None or self._formation.holds or self._casting or self._end is not None:
            return
        for part in self._formation.outbox.parts(view.view_id):
            self._cast(part)
            if self._casting:
                break

    def _cast(self, frame: Frame) -> None:
        if self._end is None and self._group is not None:
            self._casting.append(encode(frame))
            if self._retry is None:
                self._flush()

    def _flush(self) -> None:
        """Give corosync what it takes; what it does not take now is offered again a little later."""
        self._retry = None
        assert self._group is not None
        try:
            while self._casting:
                if not self._group.cast(self._casting[0]):
                    self._retry = self._loop.call_later(self._retry_s, self._flush_again)
                    self._retry_s = min(2 * self._retry_s, RETRY_S[1])
                    return
                del self._casting[0]
                self._retry_s = RETRY_S[0]
        except CorosyncError as failure:
            self._end_with(sayings.gone(self._name, failure))

    def _flush_again(self) -> None:
        if self._end is None:
            self._flush()
            self._send_parts()

    def _has_room(self, cost: int) -> bool:
        return self._unordered_cost == 0 or self._unordered_cost + cost <= SEND_BYTES_MAX

    # Signs of life

    def _beat(self, beat_s: float) -> None:
        """Give a sign of life, and judge corosync's."""
        now = self._loop.time()
        late_s = now - self._pulsed_at - beat_s
        self._pulsed_at = now
        if late_s > beat_s:  # it was this program that did not run
            self._answered_at += late_s
            if self._said_full_at is not None:
                self._said_full_at += late_s
        limit_s = (BEATS_PER_TOKEN + 1) * beat_s
        if now - self._answered_at > limit_s:
            self._end_with(EngineError(sayings.silent(self._name, limit_s), code="corosync-hangs"))
            return
        if self._said_full_at is not None and now - self._said_full_at > STUCK_TOKENS * self._token_ms / 1000:
            self._end_with(EngineError(sayings.stuck(self._name), code="engine-stuck"))
            return
        self._complain_of_ring(now)
        self._formation.wait(self._now_ms())
        self._formation.beat()
        self._pulse = self._loop.call_later(self._beat_s, self._beat, self._beat_s)

    def _complain_of_ring(self, now: float) -> None:
        """Say so when corosync forms no ring for long; it goes on trying."""
        if not self._formation.beats:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        elif (
            not math.isinf(self._silent_since)
            and now - self._silent_since > RING_TOKENS * self._token_ms / 1000
        ):
            self._silent_since = math.inf
            self._tell(Notice(sayings.no_ring(self._name, RING_TOKENS * self._token_ms / 1000)))

    def _answered(self) -> None:
        self._answered_at = self._loop.time()

    # The end

    def _turn_away(self, text: str) -> None:
        self._end_with(RefusedError(text, code="nodeid-in-use"))

    def _end_with(self, end: StandfastError) -> None:
        if self._end is None:
            self._end = end
            self._disconnect()
            self._inbox.fail(end)
            self._room.set()
            self._admit()

    def _admit(self) -> None:
        """Whether it is a member is known."""
        if not self._joined.done():
            self._joined.set_result(None)

    def _disconnect(self) -> None:
        for timer in (self._retry, self._pulse):
            if timer is not None:
                timer.cancel()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        group, self._group = self._group, None
        if group is not None:
            if self._descriptor >= 0:
                self._loop.remove_reader(self._descriptor)
            leave_behind(group.close)  # it waits for an answer, and corosync may hang

    async def _join(self, group: Group) -> None:
        self._descriptor = group.descriptor()
        os.set_inheritable(self._descriptor, False)
        self._loop.add_reader(self._descriptor, self._readable)
        others = [n for n, _ in self._votes.votes if n != self._nodeid]
        # Changes of the ring are heard from here on; a ring that was there before is only in corosync's map.
        if others and not await in_thread(lambda: reaches_any(others), CALL_S_MAX):
            # A corosync that has just started is alone at first. Who joins then would found a cluster of its own beside
            # one that is there, and one of the two would have to give up as soon as they meet.
            await within(SETTLE_TOKENS * self._token_ms / 1000, self._met.wait())
        async with asyncio.timeout(CALL_S_MAX):
            wait_s = RETRY_S[0]
            while True:
                try:
                    await in_thread(lambda: group.join(GROUP), CALL_S_MAX)
                    break
                except CorosyncError as failure:
                    if failure.number != ERR_TRY_AGAIN:
                        raise
                await asyncio.sleep(wait_s)  # the ring is changing, and corosync has no event for its end
                wait_s = min(2 * wait_s, RETRY_S[1])

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1000)

    def _soon(self, act: Callable[[], None]) -> None:
        """Do it in the event loop, if there still is one."""
        try:
            self._loop.call_soon_threadsafe(lambda: None if self._end is not None else act())
        except RuntimeError:
            return


async def attach(nodeid: NodeId, name: str, cluster: str, votes: VoteTable) -> CorosyncEngine:
    """Join the daemons of the cluster through this node's corosync; `votes` are those that it was started with.

    Raises RefusedError when corosync belongs to another cluster or has another node id, or the node has a daemon;
    EngineError when corosync is missing, does not run, or hangs.
    """
    engine = CorosyncEngine(nodeid, name, votes)
    await engine.open(cluster)
    return engine


def _token_ms() -> int:
    return int(read_map(TOKEN_KEY).get(TOKEN_KEY, TOKEN_MS))


def _seat(address: Address) -> Seat:
    return Seat(NodeId(address.nodeid), address.pid)


def _seats(addresses: Iterable[Address]) -> list[Seat]:
    return [_seat(address) for address in addresses]
