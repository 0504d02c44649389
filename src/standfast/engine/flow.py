"""Flow control of the local engine: nothing is lost, nothing grows without bound, and nobody is overtaken.

A sender may have SEND_BYTES_MAX unordered; a message is ordered only when no receiver owes more than OWED_BYTES_MAX.
"""

from collections import deque
from collections.abc import Callable

from standfast.terms import NodeId

SEND_BYTES_MAX = (
    1024 * 1024
)  # cost of one daemon's own messages that have not come back to it; one may be longer
OWED_BYTES_MAX = (
    4 * 1024 * 1024
)  # cost of what a daemon was given and has not taken, beyond which its senders wait
TAKEN_BYTES = 64 * 1024  # cost after which a daemon says what it has taken
INBOX_BYTES_MAX = 4 * SEND_BYTES_MAX  # more than this waiting from one daemon is a fault of its program
MESSAGE_COST = 64  # what a message costs beside its bytes


def cost_of(payload: bytes) -> int:
    """Return what a message counts against the limits."""
    return len(payload) + MESSAGE_COST


class _Lane:
    """One daemon's messages that wait to be ordered, and what it was given and has not taken."""

    def __init__(self) -> None:
        self.inbox: deque[bytes] = deque()
        self.inbox_cost = 0
        self.owed = 0
        self.has_moved = True  # it took something since the last look
        self.full_at_ms: int | None = None


class Flow:
    """The queues of all daemons. Pure: times are arguments."""

    def __init__(self) -> None:
        self._lanes: dict[NodeId, _Lane] = {}
        self._turns: deque[NodeId] = deque()

    def open(self, nodeid: NodeId) -> None:
        """A daemon takes part."""
        self._lanes[nodeid] = _Lane()
        self._turns.append(nodeid)

    def close(self, nodeid: NodeId) -> None:
        """A daemon is gone; what it had sent and is not ordered goes with it."""
        del self._lanes[nodeid]
        self._turns.remove(nodeid)

    def push(self, sender: NodeId, payload: bytes) -> bool:
        """Queue a message; False when the sender has ignored its limit."""
        lane = self._lanes[sender]
        lane.inbox.append(payload)
        lane.inbox_cost += cost_of(payload)
        return lane.inbox_cost <= INBOX_BYTES_MAX

    def pop(
        self, receivers_of: Callable[[NodeId], tuple[NodeId, ...]]
    ) -> tuple[NodeId, bytes, tuple[NodeId, ...]] | None:
        """Return the next message in the order with its sender and receivers, in turn; None when all have to wait."""
        for _ in range(len(self._turns)):
            sender = self._turns[0]
            self._turns.rotate(-1)
            lane = self._lanes[sender]
            receivers = receivers_of(sender) if lane.inbox else ()
            if receivers and all(self._lanes[n].owed < OWED_BYTES_MAX for n in receivers):
                payload = lane.inbox.popleft()
                cost = cost_of(payload)
                lane.inbox_cost -= cost
                for receiver in receivers:
                    self._lanes[receiver].owed += cost
                return sender, payload, receivers
        return None

    def take(self, nodeid: NodeId, cost: int) -> None:
        """A daemon has taken messages of this cost."""
        lane = self._lanes[nodeid]
        lane.owed = max(0, lane.owed - cost)
        lane.has_moved = True

    def has_unordered(self, nodeid: NodeId) -> bool:
        """Whether messages of this daemon wait to be ordered."""
        return bool(self._lanes[nodeid].inbox)

    def has_room(self, nodeid: NodeId) -> bool:
        """Whether the daemon has taken so much that it can be a receiver again."""
        return self._lanes[nodeid].owed <= OWED_BYTES_MAX // 2

    def stuck(self, now_ms: int, *, patience_ms: int) -> tuple[NodeId, ...]:
        """The daemons that are full and have taken nothing for that long; to be asked at regular intervals."""
        found: list[NodeId] = []
        for nodeid, lane in sorted(self._lanes.items()):
            if lane.owed < OWED_BYTES_MAX or lane.has_moved or lane.full_at_ms is None:
                lane.full_at_ms = now_ms if lane.owed >= OWED_BYTES_MAX else None
            elif now_ms - lane.full_at_ms >= patience_ms:
                found.append(nodeid)
            lane.has_moved = False
        return tuple(found)
