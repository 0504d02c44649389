"""corosync follows cluster.conf while it runs: its file is written anew, read again by all, and the result is looked at.

One node, the coordinator, lets all corosyncs read their files when every member has written its own. Each node then
looks into its own corosync's map, since a reload says that all is done in any case. It compares and does not react: what
was missed for whatever reason (a crash, a full disk, a node that was away) is seen at the next look.
Source: spec membership, section 16.7.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from msgspec import Struct

from standfast.cluster.participant import Participant, permission
from standfast.cluster.session import coordinator
from standfast.cluster.state import MemberStatus
from standfast.conf.corosync_map import REFUSAL_KEY, Value, missing
from standfast.conf.load import load
from standfast.conf.model import Cluster
from standfast.engine.blocking import in_thread
from standfast.engine.corosync_library import CorosyncError
from standfast.engine.corosync_settings import read_map, reload_configuration, shut_down
from standfast.errors import StandfastError
from standfast.node.corosync_file import CorosyncFile
from standfast.terms import NodeId

PREPARE_S_MAX = 20.0  # longest time for names to be looked up and the file to be written
CALL_S_MAX = 10.0  # longest wait for corosync's answer
GRACE_S = 3.0  # how long the reload is left to the coordinator, and how long corosync may take to act on it
RELOADS_MAX = 2  # in a row; then a pause
LOOK_S = 0.25  # between two looks at corosync's map, which has no event for "all has been taken"
AGAIN_S = 15.0  # pause after tries that came to nothing
KEYS_MAX = 4  # of those that differ, how many are named

_Failure = (StandfastError, CorosyncError, TimeoutError)


class _Occasion(Struct, frozen=True):
    """What makes a look at corosync worth while, whenever it changes."""

    version: int
    view_id: int
    leads: bool
    waits_for: tuple[NodeId, ...]  # have not written their corosync.conf


class Follower:
    """Keeps this node's corosync as the active configuration wants it."""

    def __init__(
        self,
        file: CorosyncFile,
        *,
        nodeid: NodeId,
        participant: Callable[[], Participant],
        refresh: Callable[[], Awaitable[None]],
        note: Callable[[str, str], None],
    ) -> None:
        """`refresh` is called when corosync has taken a configuration; `note` takes an event's name and a sentence."""
        self._file = file
        self._nodeid = nodeid
        self._participant = participant
        self._refresh = refresh
        self._note = note
        self._lacking: frozenset[NodeId] = frozenset()
        self._seen: _Occasion | None = None
        self._was_behind = False  # at the last look
        self._stirred = asyncio.Event()
        self.complaint = ""  # what of corosync is not as the configuration wants it, for a person

    async def check(self, cluster: Cluster) -> str:
        """Return why this node could not write a corosync.conf for this configuration, "" where it could."""
        return await self._attempt(lambda: self._file.check(cluster))

    async def store(self, document: str) -> str:
        """Write corosync.conf for this cluster.conf, for the reload to come; return "" or why that was not possible.

        One for which the cluster is to stop is left to the start after that: no corosync that runs may read it.
        """
        state = self._participant().session.state
        if state is not None and state.halt is not None:
            return ""
        return await self._attempt(lambda: self._store(document))

    async def end(self) -> str:
        """End corosync on this node; return "" or why that was not possible."""
        try:
            await in_thread(shut_down, CALL_S_MAX)
        except _Failure as failure:
            return f"corosync did not end ({failure}); end it with: systemctl stop corosync"
        return ""

    def look(self) -> None:
        """Have corosync looked at, if there is a reason to."""
        occasion = self._occasion()
        if occasion != self._seen:
            self._seen = occasion
            if occasion is not None:
                self._stirred.set()

    async def run(self) -> None:
        """Look at corosync whenever there is a reason to, and again where something was missing; never ends."""
        while True:
            try:
                async with asyncio.timeout(AGAIN_S if self.complaint else None):
                    await self._stirred.wait()
            except TimeoutError:
                pass
            self._stirred.clear()
            if self._occasion() is not None:
                text = await self._follow()
                if text is not None:
                    self._complain(text)

    async def _attempt(self, act: Callable[[], object]) -> str:
        try:
            await in_thread(act, PREPARE_S_MAX)
        except TimeoutError:
            return (
                f"corosync.conf was not written within {PREPARE_S_MAX:.0f} s: the names of the nodes are not resolved, or "
                f"the disk hangs; put the names into /etc/hosts"
            )
        except StandfastError as failure:
            return str(failure)
        return ""

    def _store(self, document: str) -> None:
        cluster = load("cluster.conf", document.encode()).cluster
        assert cluster is not None, "it was checked before it went into the log"
        if any(node.nodeid == self._nodeid for node in cluster.nodes):
            self._file.put(cluster)

    def _occasion(self) -> _Occasion | None:
        """What there is to follow; None while this node takes no part, or an update is still being stored."""
        node = self._participant()
        session = node.session
        state, view = session.state, session.view
        if state is None or view is None or not permission(node).may_act:
            return None
        member = state.member(self._nodeid)
        if member is None or member.status is not MemberStatus.ONLINE or state.node(self._nodeid) is None:
            return None
        if state.halt is not None:
            return None
        if state.rollout is not None:
            self._lacking = frozenset(state.rollout.waiting)
            return None
        there = {m.nodeid for m in state.members if m.status is MemberStatus.ONLINE}
        return _Occasion(
            version=state.config.config_version,
            view_id=view.view_id,
            leads=coordinator(session) == self._nodeid,
            waits_for=tuple(sorted(self._lacking & there - {self._nodeid})),
        )

    async def _follow(self) -> str | None:
        """Bring corosync to what the configuration wants; return "" or what is missing, None where that has changed."""
        state = self._participant().session.state
        assert state is not None
        cluster = state.config
        try:
            wanted = await in_thread(lambda: self._file.put(cluster), PREPARE_S_MAX)
            lacking: str | None = await self._missing(wanted)
            if not lacking and (self._was_behind or self._lacking - {self._nodeid}):
                # What was missing is there: somebody's reload has come, or comes from the node that writes its file last.
                self._file.is_unread = False
            self._was_behind = bool(lacking)
            was_behind = bool(lacking) or self._file.is_unread
            if was_behind:
                lacking = await self._reload(wanted, lacking or "")
            if lacking == "":
                self._lacking = frozenset()
                await self._refresh()
        except TimeoutError:
            return f"version {cluster.config_version} is not in force in corosync: it, or the resolver, does not answer"
        except _Failure as failure:
            return f"version {cluster.config_version} is not in force in corosync: {failure}"
        if lacking is None:
            return None
        if lacking:
            return f"version {cluster.config_version} is not in force in corosync: {lacking}"
        if was_behind:
            self._note("corosync.reloaded", f"version {cluster.config_version}")
        return ""

    async def _reload(self, wanted: Mapping[str, Value], lacking: str) -> str | None:
        """Wait until corosync has taken its file, and have it read by all where nobody else does.

        Returns "", what is missing after all, or None where there is something else to be taken.
        """
        loop = asyncio.get_running_loop()
        leave_it_until, reloads = loop.time() + GRACE_S, 0
        while lacking or self._file.is_unread:
            occasion = self._occasion()
            if occasion is None or occasion != self._seen:
                return None  # and another look comes as soon as there is an occasion
            if loop.time() > leave_it_until and (occasion.waits_for or reloads == RELOADS_MAX):
                names = ", ".join(map(self._name_of, occasion.waits_for))
                reason = f"{names} could not write its corosync.conf yet, and it is read by all when it has"
                return reason if names else lacking
            if not occasion.waits_for and (loop.time() > leave_it_until or (occasion.leads and not reloads)):
                reloads += 1
                leave_it_until = loop.time() + GRACE_S
                with suppress(CorosyncError):  # it refuses while another one is under way
                    await in_thread(reload_configuration, CALL_S_MAX)
                    self._file.is_unread = False
            await asyncio.sleep(LOOK_S)
            before, lacking = lacking, await self._missing(wanted)
            if before and not lacking:
                self._file.is_unread = False  # somebody's reload has shown
        return ""

    async def _missing(self, wanted: Mapping[str, Value]) -> str:
        found = await in_thread(lambda: read_map(*wanted, REFUSAL_KEY), CALL_S_MAX)
        lacking = missing(wanted, found)
        if not lacking:
            return ""
        more = f" and {len(lacking) - KEYS_MAX} more" if len(lacking) > KEYS_MAX else ""
        refusal = f"; corosync says: {found[REFUSAL_KEY]}" if found.get(REFUSAL_KEY) else ""
        return f"{', '.join(lacking[:KEYS_MAX])}{more}{refusal}"

    def _name_of(self, nodeid: NodeId) -> str:
        state = self._participant().session.state
        return f"node {nodeid}" if state is None else state.name_of(nodeid)

    def _complain(self, text: str) -> None:
        if text and text != self.complaint:
            self._note("corosync.not-reloaded", f"{text}; it is tried again")
        self.complaint = text
