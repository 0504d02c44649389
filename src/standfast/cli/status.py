"""standfast status: what clustat shows, and below it what is not as a person expects, and why."""

from __future__ import annotations

from standfast.cli import clustat
from standfast.cli.clustat_text import printable
from standfast.cli.service_state import RUNNING_STATES
from standfast.cli.snapshot import Snapshot, read_snapshot

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO


def main(
    argv: Sequence[str], ask: Callable[[bool], bytes], out: TextIO, err: TextIO, screen: clustat.Screen
) -> int:
    """Run clustat and, where it has no options of its own, add the notes; `ask` is as for clustat."""
    if argv:
        return clustat.main(argv, ask, out, err, screen)
    lines: list[bytes] = []

    def ask_once(local: bool) -> bytes:
        lines.append(ask(local))
        return lines[-1]

    status = clustat.main(argv, ask_once, out, err, screen)
    if status == 0:
        out.write(render_notes(read_snapshot(lines[-1])))
    return status


def render_notes(snapshot: Snapshot) -> str:
    """Return a line for each victim waited for, member with a note, and service that does not run and says why."""
    notes = [*snapshot.fencing]
    notes += [f"{member.name}: {member.note}" for member in snapshot.members if member.note]
    notes += [
        f"{service.name}: {service.because}"
        for service in snapshot.services or []
        if service.because and service.state not in RUNNING_STATES
    ]
    blank = "\n" if snapshot.services else ""  # clustat itself ends with one where it has no services to show
    return blank + "".join(f"{printable(note)}\n" for note in notes) if notes else ""
