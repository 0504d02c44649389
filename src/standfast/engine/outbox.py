"""What a daemon on corosync has to say and has not heard itself say yet.

A message is cut into parts; it has been said when its last part came back in the view in which its first was sent. What
a change of views interrupts is said again from its first part. Pure.
"""

from collections import deque
from collections.abc import Iterator

from standfast.engine.group_frames import Part

PART_BYTES = 128 * 1024  # longest part of a message; others' messages pass between two parts
WINDOW_BYTES = 512 * 1024  # how much may be under way, sent and not come back; corosync buffers it
PART_COST = 64  # what a part costs beside its bytes


class _Outgoing:
    """One message, and how much of it was sent and came back."""

    def __init__(self, number: int, payload: bytes) -> None:
        self.number = number
        self.payload = payload
        self.count = max(1, -(-len(payload) // PART_BYTES))
        self.sent = 0  # parts
        self.back = 0


class Outbox:
    """Messages in order."""

    def __init__(self) -> None:
        self._messages: deque[_Outgoing] = deque()
        self._next_number = 1
        self._under_way = 0

    @property
    def is_empty(self) -> bool:
        """Whether everything has come back."""
        return not self._messages

    def put(self, payload: bytes) -> None:
        """Add a message."""
        self._messages.append(_Outgoing(self._next_number, payload))
        self._next_number += 1

    def parts(self, view_id: int) -> Iterator[Part]:
        """Yield what may be sent now; each part counts as sent from then on."""
        for message in self._messages:
            while message.sent < message.count:
                data = message.payload[message.sent * PART_BYTES : (message.sent + 1) * PART_BYTES]
                cost = len(data) + PART_COST
                if self._under_way and self._under_way + cost > WINDOW_BYTES:
                    return
                self._under_way += cost
                message.sent += 1
                yield Part(view_id, message.number, message.sent - 1, message.count, data)

    def came_back(self, part: Part) -> None:
        """One of our parts was delivered."""
        self._under_way = max(0, self._under_way - len(part.data) - PART_COST)

    def accepted(self, part: Part) -> None:
        """One of our parts was delivered in the view it was sent in."""
        message = self._messages[0]
        assert (part.number, part.index) == (message.number, message.back)
        message.back += 1
        if message.back == message.count:
            self._messages.popleft()

    def rewind(self) -> None:
        """A new view: what has not come back whole is said again."""
        self._under_way = 0
        for message in self._messages:
            message.sent = message.back = 0
