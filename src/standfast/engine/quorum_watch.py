"""Quorum as corosync counts it, watched from a thread of its own: its calls wait for corosync, and corosync can hang."""

import os
import selectors
import threading
from collections.abc import Callable, Iterable
from functools import partial

from msgspec import Struct

from standfast.engine.corosync_library import (
    FLAG_DEVICE,
    FLAG_LAST_MAN_STANDING,
    CorosyncError,
    VoteCount,
    Votes,
)
from standfast.membership.quorum import plain
from standfast.membership.votes import VoteTable


class Counted(Struct, frozen=True, kw_only=True):
    """The votes of one ring: all of them, and those of each node that was asked for.

    `needed` is how many votes the table asks for where corosync did not take it; 0 where it did.
    """

    ring: int
    count: VoteCount
    votes: tuple[tuple[int, int], ...]
    needed: int = 0

    def quorate_with(self, members: Iterable[int]) -> bool:
        """Tell whether the ring is quorate if only the nodes whose daemon is a member may vote.

        A machine that corosync reaches and whose daemon is not there has no vote here: what it knows is missing.
        """
        votes = dict(self.votes)
        present = sum(votes.get(n, 0) for n in members) + self.count.device_votes
        is_whole = present >= self.count.total_votes
        return self.count.quorate and (is_whole or present >= self.count.quorum) and present >= self.needed


class QuorumWatch:
    """The thread. It tells `counted` after each change and `alive` at each beat; `lost` ends it.

    All three are called in the thread. Source: design section 2, "Quorum is not ordered".
    """

    def __init__(
        self,
        table: VoteTable,
        *,
        beat_s: float,
        counted: Callable[[Counted], None],
        alive: Callable[[], None],
        refused: Callable[[str], None],
        lost: Callable[[CorosyncError], None],
    ) -> None:
        """`table` is what corosync was started with; `refused` is told what corosync does not take of another one."""
        self._table = table
        self._is_told = False  # the cluster has said by which table; before, corosync counts by its file
        self._refusal = ""  # the last thing that it did not take
        self._needed = 0
        self._beat_s = beat_s
        self._counted = counted
        self._alive = alive
        self._refused = refused
        self._lost = lost
        self._ring = 0
        self._is_due = False
        self._is_closed = False
        self._wake_in, self._wake_out = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="quorum", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def configure(self, table: VoteTable) -> None:
        """Have the votes counted by this table from now on."""
        self._table = table
        self._is_told = True
        self._wake()

    def renew(self, beat_s: float) -> None:
        """Look again whether corosync counts by the table: it has read its file anew. `beat_s` holds from now on."""
        self._beat_s = beat_s
        self._wake()

    def close(self) -> None:
        """End the thread, without waiting for it: corosync may hang. To be called once."""
        self._is_closed = True
        self._wake()
        os.close(self._wake_out)

    def _wake(self) -> None:
        try:
            os.write(self._wake_out, b".")
        except (BlockingIOError, BrokenPipeError):
            return  # it has been woken already, or has ended

    def _run(self) -> None:
        try:
            votes = Votes(ring=self._note_ring, quorate=self._note_count)
            try:
                self._watch(votes)
            finally:
                votes.close()
        except CorosyncError as failure:
            self._lost(failure)
        finally:
            os.close(self._wake_in)

    def _watch(self, votes: Votes) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(votes.descriptor(), selectors.EVENT_READ)
            selector.register(self._wake_in, selectors.EVENT_READ)
            while not self._is_closed:
                ready = [key.fd for key, _ in selector.select(self._beat_s)]
                if self._wake_in in ready:
                    os.read(self._wake_in, 4096)
                votes.dispatch()
                if self._is_told and (self._is_due or self._wake_in in ready):
                    # Each time: corosync goes back to the numbers of its file when a node leaves, or when it reads it.
                    self._give(votes, self._table)
                    self._is_due = True
                if self._is_due and self._ring:
                    self._is_due = False
                    self._counted(self._count(votes))
                elif not ready:
                    votes.count()
                self._alive()

    def _count(self, votes: Votes) -> Counted:
        each = tuple((n, v) for n, _ in self._table.votes if (v := votes.votes_of(n)) is not None)
        return Counted(ring=self._ring, count=votes.count(), votes=each, needed=self._needed)

    def _give(self, votes: Votes, table: VoteTable) -> None:
        """Tell corosync what differs from what it counts by; what it does not take is tried again at each change."""
        refusals = []
        leaving = table.leaving
        table = plain(table, tuple(n for n, _ in table.votes if votes.votes_of(n) is not None))
        for nodeid, wanted in table.votes:
            known = votes.votes_of(nodeid)
            if known is not None and known != wanted:
                what = f"{wanted} votes for node {nodeid}"
                refusal = _try(what, partial(votes.set_votes, nodeid, wanted))
                if nodeid not in leaving:  # else quorum waits until it is gone
                    refusals.append(refusal)
        count = votes.count()
        self._needed = 0
        if not table.two_node and not count.flags & (FLAG_LAST_MAN_STANDING | FLAG_DEVICE):
            wanted = max(table.expected_votes, count.total_votes)  # corosync expects no less than there is
            if wanted != count.expected_votes:
                refusal = _try(f"{wanted} expected votes", partial(votes.expect, wanted))
                refusals.append(refusal)
                self._needed = (
                    (wanted + 2) // 2 if refusal else 0
                )  # a majority; source: spec membership, section 3.1
        refusal = "; ".join(refusal for refusal in refusals if refusal)
        if refusal and refusal != self._refusal:
            self._refused(f"corosync does not take {refusal}; it is tried again when its votes change")
        self._refusal = refusal

    def _note_ring(self, ring: int) -> None:
        self._ring = ring

    def _note_count(self) -> None:
        self._is_due = True


def _try(what: str, act: Callable[[], None]) -> str:
    """Do it and return "", or return what was not taken and why."""
    try:
        act()
    except CorosyncError as failure:
        return f"{what} ({failure})"
    return ""
