"""`reconcile`: compare what the state wants of this node with what is done here; return what to begin, end and report.

Pure and level-triggered: asked again with the same facts it says the same. Source: design section 1.
"""

from msgspec import Struct

from standfast.cluster.effect import KeepEpoch, TakeInventory, Task, WriteConfig
from standfast.cluster.entry import (
    ConfigWritten,
    Entry,
    EpochKept,
    Fact,
    FenceResult,
    Inventory,
    Observation,
    Request,
    Vacant,
)
from standfast.cluster.labour import Labour, is_idle
from standfast.cluster.session import Identity
from standfast.cluster.state import ClusterState, Member, MemberStatus, is_kept
from standfast.fencing import domain as fencing
from standfast.services.work import (
    GiveUpWork,
    Phase,
    StartService,
    StopService,
    needs_care,
    reconcile_service,
)


class Permission(Struct, frozen=True, kw_only=True):
    """What a node may do: `begun` says that the state is that of the current view, `may_act` that it may start things."""

    begun: bool
    may_act: bool
    must_stop: str
    evicted: bool
    is_last: bool = False  # nobody else who took part is in the view


class Wanted(Struct, frozen=True, kw_only=True):
    """What is to be begun, and the entries that should be on their way."""

    tasks: tuple[Task, ...] = ()
    entries: tuple[Entry, ...] = ()
    restart: bool = False
    leave: bool = False


def reconcile(state: ClusterState | None, me: Identity, labour: Labour, allowed: Permission) -> Wanted:
    """Return what this node should do now."""
    if allowed.must_stop:
        return _stop_everything(state, me, labour, allowed)
    if state is None or not allowed.begun:
        return Wanted()
    member = state.member(me.nodeid)
    if member is None or member.incarnation != me.incarnation:
        return Wanted()
    requests = _requests(state, labour)
    if member.status is MemberStatus.SYNCED:
        return _introduce(me, labour, requests)
    return _take_part(state, member, me, labour, allowed, requests)


def _stop_everything(state: ClusterState | None, me: Identity, labour: Labour, allowed: Permission) -> Wanted:
    tasks: list[Task] = []
    for work in labour.services:
        task = reconcile_service(None, work, me.nodeid, may_start=False, must_stop=allowed.must_stop)
        if isinstance(task, StartService | StopService | GiveUpWork):
            tasks.append(task)
    tasks.extend(
        fencing.CancelAttempt(nodeid=n, generation=g, number=k) for n, g, k in (a.id for a in labour.attempts)
    )
    if not labour.inventory_taken:
        if not labour.inventory_asked:
            tasks.append(TakeInventory())
        return Wanted(tasks=tuple(tasks))
    is_done = not tasks and is_idle(labour)
    # Of a cluster that stops as a whole the last ones have no quorum any more, and nobody who could let them go.
    is_clean = not tasks and not any(needs_care(w) for w in labour.services)
    leave = is_clean and not allowed.evicted and _is_halted(state, me) and _may_go(state, me, allowed)
    return Wanted(tasks=tuple(tasks), restart=allowed.evicted and is_done, leave=leave)


def _is_halted(state: ClusterState | None, me: Identity) -> bool:
    member = None if state is None else state.member(me.nodeid)
    is_mine = member is not None and member.incarnation == me.incarnation
    return state is not None and state.halt is not None and state.halt.begun and is_mine


def _may_go(state: ClusterState | None, me: Identity, allowed: Permission) -> bool:
    """Whether nobody waits for this node: the one that an operator had stop the cluster goes last."""
    return state is None or state.halt is None or state.halt.asked_by != me.nodeid or allowed.is_last


def _introduce(me: Identity, labour: Labour, requests: tuple[Entry, ...]) -> Wanted:
    if not labour.inventory_taken:
        return Wanted(tasks=() if labour.inventory_asked else (TakeInventory(),), entries=requests)
    running = tuple(w.name for w in labour.services if needs_care(w) and w.phase is not Phase.BROKEN)
    broken = tuple(w.name for w in labour.services if w.phase is Phase.BROKEN)
    inventory = Inventory(incarnation=me.incarnation, running=running, broken=broken)
    return Wanted(entries=(*requests, inventory))


def _take_part(  # noqa: PLR0917
    state: ClusterState,
    member: Member,
    me: Identity,
    labour: Labour,
    allowed: Permission,
    requests: tuple[Entry, ...],
) -> Wanted:
    tasks: list[Task] = []
    facts: list[Fact] = []
    may_start = allowed.may_act and is_kept(state) and not member.leaving
    names = sorted({r.name for r in state.services} | {w.name for w in labour.services})
    for name in names:
        wanted = reconcile_service(
            state.service(name), labour.service(name), me.nodeid, may_start=may_start, must_stop=""
        )
        if isinstance(wanted, StartService | StopService | GiveUpWork):
            tasks.append(wanted)
        elif wanted is not None:
            facts.append(wanted)
    tasks.extend(_attempts(state, me, labour, allowed))
    facts.extend(
        FenceResult(victim=a.id[0], generation=a.id[1], number=a.id[2], fenced=a.fenced, text=a.text)
        for a in labour.attempts
        if a.fenced is not None
    )
    version, document = state.config.config_version, state.document
    if state.halt is not None:
        version, document = state.halt.version, state.halt.document
    # What kept another version from the disk says nothing of this one: an operator may have made room meanwhile.
    is_pausing = labour.write_again_ms is not None and labour.write_failed == version
    if version != labour.disk_version and labour.writing is None and not is_pausing:
        tasks.append(WriteConfig(version=version, document=document))
    if state.rollout is not None and me.nodeid in state.rollout.waiting:
        if labour.disk_version == state.rollout.version:
            facts.append(ConfigWritten(version=state.rollout.version, ok=True))
        elif labour.write_failure and is_pausing:
            facts.append(ConfigWritten(version=state.rollout.version, ok=False, text=labour.write_failure))
    epoch = state.present_epoch
    if labour.epoch_kept != epoch and labour.keeping is None and labour.keep_again_ms is None:
        tasks.append(KeepEpoch(epoch=epoch))
    elif labour.epoch_kept == epoch and me.nodeid not in state.kept:
        facts.append(EpochKept(epoch=epoch))
    leave = False
    if member.leaving and not tasks and not any(needs_care(w) for w in labour.services):
        if any(me.nodeid in record.may_run_on for record in state.services):
            facts.append(Vacant())
        else:
            leave = not member.removing or me.nodeid in state.ballot.leaving
            leave = leave and _may_go(state, me, allowed)
    entries = (*requests, *(Observation(incarnation=me.incarnation, fact=fact) for fact in facts))
    return Wanted(tasks=tuple(tasks), entries=entries, leave=leave)


def _attempts(state: ClusterState, me: Identity, labour: Labour, allowed: Permission) -> tuple[Task, ...]:
    known = frozenset(a.id for a in labour.attempts)
    wanted = fencing.reconcile(state.fence, me.nodeid, known)
    return tuple(t for t in wanted if allowed.may_act or isinstance(t, fencing.CancelAttempt))


def _requests(state: ClusterState, labour: Labour) -> tuple[Entry, ...]:
    """The operators' requests of this node that the log does not know yet."""
    known = {r.id for r in state.requests} | {o.request for o in state.outcomes}
    if state.rollout is not None:
        known.add(state.rollout.request)
    return tuple(Request(view_id=state.begun_view, request=r) for r in labour.asked if r.id not in known)
