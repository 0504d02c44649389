"""What a simulation tells at its end: how much was simulated, what happened, and what went wrong.

Pure: results go in, text comes out.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from textwrap import indent, wrap

from msgspec import Struct

from standfast.simulation.plan import Plan
from standfast.simulation.source import plan_source

WIDTH = 100
LABEL = 16


class Breach(Struct, frozen=True, kw_only=True):
    """One seed that broke a rule. `shortest` is None where nobody looked for a shorter schedule."""

    seed: int
    sentences: tuple[str, ...]
    shortest: Plan | None = None
    length: int = 0  # faults in the schedule that the seed drew


class Summary(Struct, frozen=True, kw_only=True):
    """One whole simulation."""

    first: int
    asked: int
    run: int
    virtual_ms: int
    real_s: float
    jobs: int
    commit: str
    counts: dict[str, int]
    breaches: tuple[Breach, ...] = ()


def render(summary: Summary) -> str:
    """Return the report for a person."""
    speed = f"{_speed(summary):,} times real time, {summary.jobs} process{'es' if summary.jobs > 1 else ''}"
    lines = [
        f"{'seeds':<{LABEL}}{summary.first} to {summary.first + summary.asked - 1}, {summary.run:,} run",
        f"{'simulated time':<{LABEL}}{_duration(summary.virtual_ms)} in {summary.real_s:.1f} s: {speed}",
    ]
    for group, kinds in groups(summary.counts).items():
        total = f"{sum(kinds.values()):,}"
        shown = ", ".join(
            f"{kind} {count:,}"
            for kind, count in sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))
            if kind
        )
        body = wrap(f"{total:<10}{shown}" if shown else total, WIDTH - LABEL)
        lines.extend(f"{group if k == 0 else '':<{LABEL}}{line}" for k, line in enumerate(body))
    count = len(summary.breaches)
    lines.append(f"{'violations':<{LABEL}}{f'in {count} seed{_s(count)}' if count else 'none'}")
    lines.extend(render_breach(breach, summary.commit) for breach in summary.breaches)
    return "\n".join(lines)


def render_breach(breach: Breach, commit: str) -> str:
    """Return what went wrong with one seed, and how to see it again."""
    lines = ["", f"seed {breach.seed}{f' of commit {commit}' if commit else ''}"]
    lines.extend(f"  {sentence}" for sentence in breach.sentences)
    if breach.shortest is not None:
        lines.append(f"  shortest schedule found: {len(breach.shortest.schedule)} of {breach.length} faults")
        lines.append(indent(plan_source(breach.shortest), "    "))
    lines.append(f"  everything that happened: ./run sim --seed {breach.seed} --log")
    return "\n".join(lines)


def as_json(summary: Summary) -> dict[str, object]:
    """Return the report for a program."""
    return {
        "first_seed": summary.first,
        "seeds_asked": summary.asked,
        "seeds_run": summary.run,
        "simulated_ms": summary.virtual_ms,
        "real_s": round(summary.real_s, 3),
        "speed": _speed(summary),
        "processes": summary.jobs,
        "commit": summary.commit,
        "events": groups(summary.counts),
        "violations": [
            {
                "seed": breach.seed,
                "sentences": list(breach.sentences),
                "shortest": None if breach.shortest is None else plan_source(breach.shortest),
            }
            for breach in summary.breaches
        ],
    }


def groups(counts: dict[str, int]) -> dict[str, dict[str, int]]:
    """Return the counts by group and kind; a counter's name is "group: kind" or a group alone."""
    grouped: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, count in sorted(counts.items()):
        group, _, kind = name.partition(": ")
        grouped[group][kind] += count
    return {group: dict(kinds) for group, kinds in sorted(grouped.items())}


def progress(done: int, asked: int, breaches: Sequence[object], virtual_ms: int, real_s: float) -> str:
    """Return the line that is shown while it runs."""
    speed = virtual_ms / 1000 / real_s if real_s else 0
    left_s = (asked - done) * real_s / done if done else 0
    found = f"{len(breaches)} with violations" if breaches else "no violation"
    return f"{done:,} of {asked:,} seeds, {found}, {speed:,.0f} times real time, about {left_s:.0f} s left"


def _speed(summary: Summary) -> int:
    return round(summary.virtual_ms / 1000 / summary.real_s) if summary.real_s else 0


def _duration(ms: int) -> str:
    minutes = ms // 60_000
    return f"{minutes // 60:,} h {minutes % 60} min" if minutes >= 60 else f"{ms // 1000:,} s"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
