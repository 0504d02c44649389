"""clustat's screens as text, in the columns that people and scripts know.

Pure. Source: spec commands-services, sections 1.3 to 1.7.
"""

from __future__ import annotations

from time import ctime

from standfast.cli.service_state import (
    PARENTHESISED_STATES,
    flag_letters,
    flags_number,
    flags_text,
    state_number,
)

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Iterable

    from standfast.cli.snapshot import Member, Service, Snapshot

WIDTH_MAX = 64  # of a column of names
STATE_WIDTH = 14


def render_summary(snapshot: Snapshot, *, now_s: float) -> str:
    """Return the two lines above the tables and the blank one; `now_s` is Unix time, shown in local time."""
    quorum = "Quorate" if snapshot.quorate else "Inquorate"
    return (
        f"Cluster Status for {printable(snapshot.cluster)} @ {local_time(now_s)}\nMember Status: {quorum}\n\n"
    )


def render_members(members: Iterable[Member], *, columns: int) -> str:
    """Return the member table; ids and statuses stand one column right of their headings, as they always did."""
    width = max(min(columns // 2, WIDTH_MAX), 1)
    lines = [f" {cell('Member Name', width)}ID   Status", f" {cell('------ ----', width)}---- ------"]
    lines += [f" {cell(m.name, width)} {m.nodeid:4d} {member_status(m)}" for m in members]
    return "".join(f"{line}\n" for line in lines)


def render_services(services: Iterable[Service], *, columns: int) -> str:
    """Return the service table; trailing blanks are part of it."""
    width = max(min((columns - 20) // 2, WIDTH_MAX), 1)
    rows = [("Service Name", "Owner (Last)", "State"), ("------- ----", "----- ------", "-----")]
    rows += [(s.name, _owner(s, width), _state(s)) for s in services]
    return "".join(
        f" {cell(name, width)} {cell(owner, width)} {cell(state, STATE_WIDTH)}\n"
        for name, owner, state in rows
    )


def render_service_blocks(services: Iterable[Service]) -> str:
    """Return the long form, one block a service; times are local, and "never" is the epoch."""
    return "Service Information\n------- -----------\n\n" + "".join(
        f"Service Name      : {printable(s.name)}\n"
        f"  Current State   : {printable(s.state)} ({state_number(s.state)})\n"
        f"  Flags           : {flags_text(s, ', ') or 'none'} ({flags_number(s)})\n"
        f"  Owner           : {printable(s.owner or 'none')}\n"
        f"  Last Owner      : {printable(s.last_owner or 'none')}\n"
        f"  Last Transition : {local_time(s.transition_s)}\n"
        "\n"
        for s in services
    )


def member_status(member: Member) -> str:
    """Return a member's status with its flags, such as "Online, Local, rgmanager"."""
    words = ["Online" if member.online else "Offline"]
    if member.local:
        words.append("Local")
    if member.estranged:
        words.append("Estranged")
    if member.manager:
        words.append("rgmanager")
    if member.quorum_disk:
        words.append("Quorum Disk")
    return ", ".join(words)


def local_time(unix_s: float) -> str:
    """Return a Unix time as ctime(3) writes it, without the newline; a time beyond the calendar stays a number."""
    try:
        return ctime(unix_s)
    except (OverflowError, ValueError, OSError):
        return str(unix_s)


def printable(text: str) -> str:
    """Return `text` with everything that would move the cursor replaced by "?"."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def cell(text: str, width: int) -> str:
    """Return `text` cut and filled to exactly `width` characters."""
    return f"{printable(text):<{width}.{width}}"


def _owner(service: Service, width: int) -> str:
    if service.state in PARENTHESISED_STATES:
        return f"({printable(service.last_owner or 'none'):.{max(width - 2, 0)}})"
    return service.owner or "none"


def _state(service: Service) -> str:
    letters = flag_letters(service)
    if not letters:
        return service.state
    return f"{cell(service.state, STATE_WIDTH - len(letters) - 2)}[{letters}]"
