"""The operators' desk: from a call on the control socket to a request in the log, and from its outcome to the answer."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol, assert_never

from msgspec.structs import replace

from standfast.cluster.election import Addresses, ballot_now
from standfast.cluster.entry import Request, encode
from standfast.cluster.participant import Asked, Event, Participant, permission
from standfast.cluster.state import (
    ConfigRequest,
    ExpectedRequest,
    HaltRequest,
    KillRequest,
    LeaveRequest,
    OperatorRequest,
    Outcome,
    OverrideRequest,
    VotesRequest,
)
from standfast.cluster.status import status
from standfast.conf.load import load
from standfast.conf.model import Cluster
from standfast.conf.reload import announcements, refusals
from standfast.conf.update import check_update, not_newer_lines
from standfast.engine.contract import MESSAGE_BYTES_MAX
from standfast.membership.quorum import Removed, step
from standfast.node.control import Reply
from standfast.node.follower import Follower
from standfast.node.journal import Journal
from standfast.services.proposal import ServiceRequest
from standfast.services.work import needs_care
from standfast.terms import Incarnation, NodeId
from standfast.wire.control import (
    Acknowledged,
    AcknowledgeFencing,
    Answer,
    Call,
    Changes,
    Code,
    DaemonReport,
    Failure,
    GetChanges,
    GetDaemon,
    GetHistory,
    GetStatus,
    History,
    KillNode,
    LeaveCluster,
    Operated,
    OperateService,
    Progress,
    Reconfigure,
    SetDebug,
    SetExpectedVotes,
    SetNodeVotes,
    Status,
    UpdateConfig,
    Updated,
    UpdateRejected,
)

CONFIG_BYTES_MAX = MESSAGE_BYTES_MAX // 4
"""Longest request for a new configuration as it goes into the log: the state holds the one in force beside it."""
VOTES_MAX = 255  # of one node, as in cluster.conf
EXPECTED_VOTES_MAX = 1_000_000  # more than all nodes that there can be have together

Settle = Callable[[Outcome], None]


class Surroundings(Protocol):
    """What the desk needs of the daemon beside the cluster's core."""

    def addresses(self) -> Addresses:
        """The addresses of the nodes, as far as they are known."""
        ...

    def clients(self) -> int:
        """How many connections to the control socket are open."""
        ...

    def report(self) -> DaemonReport:
        """How the daemon is."""
        ...

    def debug(self, mask: int) -> None:
        """Log more, or with 0 as usual."""
        ...

    def end_alone(self) -> None:
        """Stop everything here and end, without the cluster's consent."""
        ...


class Desk:
    """Takes calls, and remembers who waits for which request."""

    def __init__(
        self,
        *,
        nodeid: NodeId,
        incarnation: Incarnation,
        types: Collection[str],
        journal: Journal,
        participant: Callable[[], Participant],
        tell: Callable[[Event], None],
        tasks: asyncio.TaskGroup,
        around: Surroundings,
        follower: Follower | None,
    ) -> None:
        """`types` are the resource types, in lower case, for which this node has an agent; `follower`: on corosync."""
        self._nodeid = nodeid
        self._incarnation = incarnation
        self._types = types
        self._journal = journal
        self._participant = participant
        self._tell = tell
        self._tasks = tasks
        self._around = around
        self._follower = follower
        self._waiting: dict[str, Settle] = {}
        self._leaving: list[Reply] = []
        self._last_number = 0

    def take_call(self, call: Call, is_operator: bool, reply: Reply) -> None:
        """Act on one call; the answer may come later."""
        match call:
            case GetStatus():
                addresses, clients = self._around.addresses(), self._around.clients()
                now_s = int(time.time())
                found = status(self._participant(), now_s, addresses=addresses, clients=clients)
                reply(found if self._follower is None else _with_note(found, self._follower.complaint))
            case GetDaemon():
                reply(self._around.report())
            case GetHistory(last=last):
                reply(History(self._journal.last(last)))
            case _ if not is_operator:
                reply(_denied())
            case OperateService():
                self._operate(call, reply)
            case UpdateConfig(document=document):
                self._tasks.create_task(self._update(document, reply))
            case GetChanges(document=document):
                self._tasks.create_task(self._changes(document, reply))
            case Reconfigure(document=document):
                self._tasks.create_task(self._reconfigure(document, reply))
            case AcknowledgeFencing(nodename=nodename):
                self._override(nodename, reply)
            case LeaveCluster():
                self._leave(call, reply)
            case SetExpectedVotes() | SetNodeVotes() | KillNode():
                self._change_membership(call, reply)
            case SetDebug(mask=mask):
                self._around.debug(mask)
                reply(Acknowledged())
            case _:
                assert_never(call)

    def settle(self, outcome: Outcome) -> None:
        """A request of this node has ended: tell who waits for it."""
        waiting = self._waiting.pop(outcome.request, None)
        if waiting is not None:
            waiting(outcome)

    def leave(self, settle: Settle) -> None:
        """Ask the cluster to let this node go; `settle` hears whether it does."""
        self._ask(LeaveRequest(id=self._new_id(), asked_by=self._nodeid), settle)

    def _leave(self, call: LeaveCluster, reply: Reply) -> None:
        node = self._participant()
        if may_leave_in_order(node):
            state = node.session.state
            member = None if state is None else state.member(self._nodeid)
            if member is not None and member.leaving:
                reply(Failure(code="leaving-already", text="this node is leaving already; wait for it"))
                return
            request = LeaveRequest(
                id=self._new_id(),
                asked_by=self._nodeid,
                remove=call.remove,
                unless_busy=call.unless_busy,
            )
            text = "the services of this node go elsewhere, then it leaves"
            if call.remove:
                left = step(ballot_now(node), Removed(self._nodeid))
                text = f"the others will need {left.quorum} votes for quorum, and have {left.total}"
            self._ask(request, lambda outcome: self._left_or_not(outcome, text, reply))
            return
        busy = [work for work in node.labour.services if needs_care(work)]
        if call.unless_busy and busy:
            reply(Failure(code="node-busy", text=f"rgmanager: {len(busy)} services are being stopped"))
            return
        self._leaving.append(reply)
        reply(Progress("this node has no quorum or is not synced; it leaves alone"))
        self._around.end_alone()

    def _change_membership(self, call: SetExpectedVotes | SetNodeVotes | KillNode, reply: Reply) -> None:
        if isinstance(call, SetExpectedVotes):
            if not 1 <= call.votes <= EXPECTED_VOTES_MAX:
                reply(_refused("expected votes must be at least 1"))
                return
            request: OperatorRequest = ExpectedRequest(
                id=self._new_id(), asked_by=self._nodeid, votes=call.votes
            )
        else:
            found = self._nodeid if call.nodename is None else self._find_node(call.nodename)
            if found is None:
                reply(self._unknown_node(call.nodename or ""))
                return
            if isinstance(call, KillNode):
                request = KillRequest(id=self._new_id(), asked_by=self._nodeid, nodeid=found)
            elif not 0 <= call.votes <= VOTES_MAX:
                reply(_refused(f"a node has 0 to {VOTES_MAX} votes"))
                return
            else:
                request = VotesRequest(
                    id=self._new_id(), asked_by=self._nodeid, nodeid=found, votes=call.votes
                )
        self._ask(request, lambda outcome: reply(_changed(outcome)))

    def left(self) -> None:
        """The node has left: tell who waits for that."""
        for reply in self._leaving:
            reply(Acknowledged("left the cluster"))
        self._leaving.clear()

    def _operate(self, call: OperateService, reply: Reply) -> None:
        target = None if call.target is None else self._find_node(call.target)
        if call.target is not None and target is None:
            reply(self._unknown_node(call.target))
            return
        request = ServiceRequest(
            id=self._new_id(),
            operation=call.operation,
            service=call.service,
            asked_by=self._nodeid,
            target=target,
            by_domain=call.by_domain,
        )
        self._ask(request, lambda outcome: reply(self._operated(outcome)))

    async def _update(self, document: str, reply: Reply) -> None:
        loaded = await asyncio.to_thread(load, "cluster.conf", document.encode(), self._types)
        cluster = loaded.cluster
        if cluster is None:
            reply(UpdateRejected(reason="invalid", findings=loaded.lines))
            return
        rejection = self._objection(cluster)
        if rejection is None and self._follower is not None:
            unfit = await self._follower.check(cluster)
            rejection = self._rejected(cluster, unfit.splitlines()) if unfit else self._objection(cluster)
        if rejection is not None:
            reply(rejection)
            return
        request = ConfigRequest(id=self._new_id(), asked_by=self._nodeid, document=document, cluster=cluster)
        if (text := too_long(request)) is not None:
            reply(UpdateRejected(reason="invalid", findings=(text,)))
            return
        proposed = cluster.config_version
        if self._follower is not None:
            for line in announcements(self._running(), cluster):
                reply(Progress(line))
        self._ask(request, lambda outcome: reply(self._updated(outcome, proposed)))

    async def _changes(self, document: str, reply: Reply) -> None:
        cluster = await self._successor(document, reply)
        if cluster is not None:
            old = self._running()
            reply(
                Changes(
                    old=old.config_version,
                    new=cluster.config_version,
                    stop=refusals(old, cluster),
                    live=announcements(old, cluster),
                )
            )

    async def _successor(self, document: str, reply: Reply) -> Cluster | None:
        """Return a configuration that could follow the active one after a stop; where it cannot, say why."""
        loaded = await asyncio.to_thread(load, "cluster.conf", document.encode(), self._types)
        cluster = loaded.cluster
        if cluster is None:
            reply(UpdateRejected(reason="invalid", findings=loaded.lines))
            return None
        proposed, current = cluster.config_version, self._running().config_version
        if proposed > current:
            return cluster
        findings = not_newer_lines(current, proposed)
        reply(UpdateRejected(reason="not-newer", current=current, proposed=proposed, findings=findings))
        return None

    async def _reconfigure(self, document: str, reply: Reply) -> None:
        cluster = await self._successor(document, reply)
        if cluster is None:
            return
        proposed = cluster.config_version
        request = HaltRequest(id=self._new_id(), asked_by=self._nodeid, document=document, cluster=cluster)
        if (text := too_long(request)) is not None:
            reply(UpdateRejected(reason="invalid", findings=(text,)))
            return
        self._ask(request, lambda outcome: self._halted_or_not(outcome, proposed, reply))

    def _halted_or_not(self, outcome: Outcome, proposed: int, reply: Reply) -> None:
        if outcome.code is Code.SUCCESS:
            self._leaving.append(reply)
            reply(
                Progress(
                    f"version {proposed} is on the disk of every member; all services stop, all nodes leave"
                )
            )
        else:
            reply(self._updated(outcome, proposed))

    def _objection(self, new: Cluster) -> UpdateRejected | None:
        session = self._participant().session
        old = self._running()
        current, proposed = old.config_version, new.config_version
        if proposed <= current:
            return UpdateRejected(
                reason="not-newer",
                current=current,
                proposed=proposed,
                findings=not_newer_lines(current, proposed),
            )
        members = () if session.view is None else session.view.members
        findings = check_update(old, new, members)
        if not findings:
            refused = () if self._follower is None else refusals(old, new)
            return self._rejected(new, refused) if refused else None
        reason = "other-name" if any(finding.code == "I65" for finding in findings) else "invalid"
        return UpdateRejected(
            reason=reason,
            current=current,
            proposed=proposed,
            findings=tuple(f"{finding.text} [{finding.code}]" for finding in findings),
        )

    def _running(self) -> Cluster:
        session = self._participant().session
        return session.config if session.state is None else session.state.config

    def _rejected(self, new: Cluster, findings: Sequence[str]) -> UpdateRejected:
        return UpdateRejected(
            reason="invalid",
            current=self._running().config_version,
            proposed=new.config_version,
            findings=tuple(findings),
        )

    def _override(self, nodename: str, reply: Reply) -> None:
        victim = self._find_node(nodename)
        if victim is None:
            reply(self._unknown_node(nodename))
            return
        request = OverrideRequest(id=self._new_id(), asked_by=self._nodeid, victim=victim)
        self._ask(request, lambda outcome: reply(_acknowledged(outcome)))

    def _ask(self, request: OperatorRequest, settle: Settle) -> None:
        self._waiting[request.id] = settle
        self._tell(Asked(request))

    def _left_or_not(self, outcome: Outcome, text: str, reply: Reply) -> None:
        if outcome.code is Code.SUCCESS:
            self._leaving.append(reply)
            reply(Progress(text))
        else:
            reply(_failed(outcome))

    def _operated(self, outcome: Outcome) -> Operated:
        owner = None if outcome.owner is None else self._name_of(outcome.owner)
        return Operated(code=outcome.code, owner=owner, text=outcome.text)

    def _updated(self, outcome: Outcome, proposed: int) -> Answer:
        if outcome.code is Code.SUCCESS:
            return Updated(old=outcome.old_version, new=outcome.new_version)
        current = self._participant().session.config.config_version
        return UpdateRejected(
            reason=outcome.reason or "invalid",
            current=outcome.old_version or current,
            proposed=proposed,
            winning=current,
            findings=(outcome.text,) if outcome.text else (),
        )

    def _new_id(self) -> str:
        self._last_number += 1
        return f"{self._incarnation}-{self._last_number}"

    def _find_node(self, name: str) -> NodeId | None:
        """Return the node of that name in the active configuration, or that was removed from it while a member."""
        session = self._participant().session
        named = [(node.name, node.nodeid) for node in session.config.nodes]
        if session.state is not None:
            named.extend((other, nodeid) for nodeid, other in session.state.estranged)
        return next((nodeid for other, nodeid in named if other.lower() == name.lower()), None)

    def _name_of(self, nodeid: NodeId) -> str:
        state = self._participant().session.state
        return f"node {nodeid}" if state is None else state.name_of(nodeid)

    def _unknown_node(self, name: str) -> Failure:
        listed = ", ".join(node.name for node in self._participant().session.config.nodes)
        return Failure(
            code="node-unknown", text=f'there is no node "{name}" in cluster.conf; choose one of: {listed}'
        )


def may_leave_in_order(node: Participant) -> bool:
    """Whether the rest of the cluster can let this node go: it is synced, and there is a quorum."""
    allowed = permission(node)
    return allowed.begun and node.session.quorate is True and not allowed.must_stop


def too_long(request: ConfigRequest | HaltRequest) -> str | None:
    """Return why a configuration does not fit into the log, None where it does."""
    length = len(encode(Request(view_id=2**53, request=request)))
    if length <= CONFIG_BYTES_MAX:
        return None
    return (
        f"the configuration is too long: {length} bytes for the cluster's log, which takes {CONFIG_BYTES_MAX}; "
        "shorten it"
    )


def _with_note(found: Status, note: str) -> Status:
    """Return the status with a note at this node's own line."""
    if not note:
        return found
    nodes = (replace(n, note="; ".join(filter(None, (n.note, note)))) if n.local else n for n in found.nodes)
    return replace(found, nodes=tuple(nodes))


def _acknowledged(outcome: Outcome) -> Answer:
    return Acknowledged(outcome.text) if outcome.code is Code.SUCCESS else _failed(outcome)


def _failed(outcome: Outcome) -> Failure:
    match outcome.code:
        case Code.NO_QUORUM:
            return Failure(code="not-quorate", text=f"{outcome.text}; start more nodes")
        case Code.AGAIN:
            return Failure(code="not-synced", text=f"{outcome.text}; try again in a moment")
        case Code.RUNNING:
            return Failure(code="node-busy", text=outcome.text)
        case _:
            return Failure(code="request-failed", text=outcome.text or "the cluster did not do it")


def _changed(outcome: Outcome) -> Answer:
    match outcome.code:
        case Code.INVALID:
            return _refused(outcome.text)
        case Code.NODE_DEAD:
            return Failure(code="node-not-member", text=outcome.text)
        case _:
            return _acknowledged(outcome)


def _refused(text: str) -> Failure:
    return Failure(code="value-refused", text=text)


def _denied() -> Failure:
    return Failure(
        code="permission-denied",
        text='only root and the members of group "standfast" may do this; become one of them',
    )
