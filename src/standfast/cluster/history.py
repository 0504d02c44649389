"""What happened, in words: the difference between two states as lines for a person.

Pure. Event names are for programs, texts for people.
"""

from msgspec import Struct

from standfast.cluster.session import Session
from standfast.cluster.state import ClusterState, MemberStatus
from standfast.services.record import ServiceRecord


class Change(Struct, frozen=True):
    """One thing that happened: event name, node or service, and a sentence."""

    event: str
    subject: str
    text: str = ""


def changes(before: ClusterState | None, session: Session) -> tuple[Change, ...]:
    """Return what is new since the state `before`, in a fixed order: the session's own, members, fencing, services, file."""
    after, me = session.state, session.me
    own = [Change("cluster.note", me.name, text) for text in session.notes]
    if after is None or after is before:
        return tuple(own)
    if before is None:
        synced = Change("node.synced", after.name_of(me.nodeid), f"synced with epoch {after.epoch}")
        return (*own, synced)
    lines = own
    if before.members is not after.members:
        lines.extend(_members(before, after))
    if before.fence is not after.fence:
        lines.extend(_fencing(before, after))
    if before.services is not after.services:
        lines.extend(_services(before, after))
    if before.config is not after.config:
        text = f"version {before.config.config_version} to {after.config.config_version}"
        lines.append(Change("config.activated", after.config.name, text))
    if before.halt is not after.halt:
        lines.append(_halt(after))
    return tuple(lines)


def _halt(after: ClusterState) -> Change:
    if after.halt is None:
        return Change(
            "cluster.stays", after.config.name, "not every member could write the new configuration"
        )
    event = "cluster.halting" if after.halt.begun else "cluster.to-halt"
    return Change(event, after.config.name, f"for version {after.halt.version}")


def _members(before: ClusterState, after: ClusterState) -> list[Change]:
    lines: list[Change] = []
    for member in after.members:
        old = before.member(member.nodeid)
        status = None if old is None or old.incarnation != member.incarnation else old.status
        if status is not member.status:
            event = {
                MemberStatus.SYNCED: "member.joined",
                MemberStatus.ONLINE: "member.online",
                MemberStatus.AWAY: "member.away",
            }[member.status]
            lines.append(Change(event, after.name_of(member.nodeid)))
    for member in before.members:
        if after.member(member.nodeid) is None:
            victim = after.fence.victim(member.nodeid)
            if victim is None:
                lines.append(Change("member.left", after.name_of(member.nodeid)))
            else:
                lines.append(Change("member.lost", after.name_of(member.nodeid), victim.reason))
    return lines


def _fencing(before: ClusterState, after: ClusterState) -> list[Change]:
    lines: list[Change] = []
    for victim in after.fence.victims:
        old = before.fence.victim(victim.nodeid)
        name = after.name_of(victim.nodeid)
        if old is None:
            lines.append(Change("fence.victim", name, victim.reason))
        if victim.attempt is not None and (old is None or old.attempt != victim.attempt):
            text = f"attempt {victim.attempt.number} by {after.name_of(victim.attempt.by)}"
            lines.append(Change("fence.began", name, text))
        if old is not None and victim.last_failure and old.attempt is not None and victim.attempt is None:
            lines.append(Change("fence.failed", name, f"attempt {victim.attempts}: {victim.last_failure}"))
    lines.extend(
        Change("fence.done", after.name_of(done.nodeid), f"{done.how} {done.text}".strip())
        for done in after.fence.history
        if done not in before.fence.history
    )
    return lines


def _services(before: ClusterState, after: ClusterState) -> list[Change]:
    lines: list[Change] = []
    for record in after.services:
        old = before.service(record.name)
        if old is None or old.state is not record.state or old.owner != record.owner:
            lines.append(Change(f"service.{record.state.value}", record.name, _where(record, after)))
        elif old.frozen is not record.frozen:
            lines.append(Change("service.frozen" if record.frozen else "service.unfrozen", record.name))
    known = {record.name for record in after.services}
    lines.extend(Change("service.forgotten", r.name) for r in before.services if r.name not in known)
    return lines


def _where(record: ServiceRecord, state: ClusterState) -> str:
    where = "" if record.owner is None else f"on {state.name_of(record.owner)}"
    return f"{where}: {record.because}" if where and record.because else where or record.because
