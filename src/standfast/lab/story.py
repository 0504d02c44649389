"""How the demonstration is told: headings, commands with their real output, and the timeline of a takeover."""

import shlex
import sys
from collections.abc import Sequence
from typing import TextIO

from msgspec import Struct, json

from standfast.errors import StandfastError
from standfast.lab.cluster import Node
from standfast.lab.probes import Probe
from standfast.wire.control import HistoryLine

_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


class Narrator:
    """Prints the story; in colour where a person looks at it."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._colour = out.isatty()
        self._step = 0

    def heading(self, text: str) -> None:
        """Begin the next step."""
        self._step += 1
        self._print(f"\n{self._style(_BOLD, f'{self._step}. {text}')}")

    def say(self, text: str) -> None:
        """A sentence between commands."""
        self._print(f"   {text}")

    def progress(self, text: str) -> None:
        """What is going on while somebody waits."""
        self._print(self._style(_DIM, f"   ... {text}"))

    def run(self, node: Node, *words: str, user: str = "root", expect: int | None = 0) -> str:
        """Run a command on a machine, showing it and its output; raises StandfastError when it exits otherwise."""
        self._print(f"[{user}@{node.name} ~]# {shlex.join(words)}")
        done = node.run(words, timeout_s=60)
        output = done.stdout + done.stderr
        if output:
            self._print(output.rstrip("\n"))
        if expect is not None and done.returncode != expect:
            raise StandfastError(
                f"{node.name}: {shlex.join(words)} exited with {done.returncode}, not {expect}",
                code="demo-failed",
            )
        return done.stdout

    def table(self, rows: Sequence[tuple[float, str]]) -> None:
        """A timeline: milliseconds since the first row, and what happened then."""
        first = rows[0][0]
        for at_ms, text in rows:
            self._print(f"   {at_ms - first:9.1f} ms  {text}")

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def _style(self, style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if self._colour else text


class Takeover(Struct, frozen=True, kw_only=True):
    """The moments of one takeover, in Unix milliseconds."""

    last_answer_ms: float
    lost_ms: float
    fencing_began_ms: float
    fenced_ms: float
    start_began_ms: float
    started_ms: float
    first_answer_ms: float

    def rows(self, victim: str, survivor: str) -> tuple[tuple[float, str], ...]:
        """The timeline for a person."""
        return (
            (self.last_answer_ms, f"last answer of {victim}"),
            (self.lost_ms, f"{survivor}: {victim} is lost"),
            (self.fencing_began_ms, f"{survivor}: fencing of {victim} begins"),
            (self.fenced_ms, f"{survivor}: {victim} is fenced"),
            (self.start_began_ms, f"{survivor}: start of the service begins"),
            (self.started_ms, f"{survivor}: the service is started"),
            (self.first_answer_ms, f"first answer of {survivor}"),
        )


def history_of(node: Node) -> tuple[HistoryLine, ...]:
    """Return what a node's daemon remembers, oldest first."""
    done = node.run(["standfast", "history", "--json"], timeout_s=20, check=True)
    answer = json.decode(done.stdout, type=_History)
    return answer.lines


def takeover(
    history: Sequence[HistoryLine], probes: Sequence[Probe], *, victim: str, survivor: str, after_ms: float
) -> Takeover:
    """Put the moments of a takeover together, from the survivor's history and from what the client saw.

    `after_ms` is the Unix time of the blow. Raises StandfastError when a moment is missing.
    """

    def moment(event: str, subject: str | None = None, *, since_ms: float = after_ms - 5) -> float:
        for line in history:
            if line.event == event and line.at_ms >= since_ms and subject in (None, line.subject):
                return float(line.at_ms)
        raise StandfastError(f"{survivor}: its history has no {event}", code="demo-failed")

    fenced_ms = moment("fence.done", victim)
    last = max((p.done_unix_ms for p in probes if p.node == victim), default=after_ms)
    first = min(
        (p.done_unix_ms for p in probes if p.node == survivor and p.done_unix_ms > after_ms), default=0.0
    )
    return Takeover(
        last_answer_ms=last,
        lost_ms=moment("member.lost", victim),
        fencing_began_ms=moment("fence.began", victim),
        fenced_ms=fenced_ms,
        start_began_ms=moment("service.starting", since_ms=fenced_ms),
        started_ms=moment("service.started", since_ms=fenced_ms),
        first_answer_ms=first,
    )


class _History(Struct, frozen=True):
    lines: tuple[HistoryLine, ...]
