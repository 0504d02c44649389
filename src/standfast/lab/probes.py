"""What a prober saw: one GET after the other, who answered it and when, and the silences between.

Pure. Times in milliseconds: `_ms` on the monotonic clock of this machine, which all its namespaces share.
"""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct, json


class Probe(Struct, frozen=True, kw_only=True):
    """One GET. `answer` is the page's text, None when there was none; `failure` says why, "" when there was."""

    sent_ms: float
    done_ms: float
    done_unix_ms: float
    answer: str | None
    failure: str = ""

    @property
    def node(self) -> str | None:
        """The node that answered, by the last word of its page."""
        return self.answer.split()[-1] if self.answer else None


class Silence(Struct, frozen=True, kw_only=True):
    """A time without answers, between two that came, or, `until` None, up to now."""

    since: Probe
    until: Probe | None

    @property
    def length_ms(self) -> float | None:
        """From the last answer to the first; None while it lasts."""
        return None if self.until is None else self.until.done_ms - self.since.done_ms


def decode_probe(line: str | bytes) -> Probe:
    """Read a prober's line; raises msgspec.DecodeError, also when it is something else."""
    return json.decode(line, type=Probe)


def silences(probes: Sequence[Probe], longer_than_ms: float) -> tuple[Silence, ...]:
    """Return the times without answers that were longer than this, oldest first; the last one may still last."""
    answered = sorted(
        (probe for probe in probes if probe.answer is not None), key=lambda probe: probe.done_ms
    )
    found = [
        Silence(since=one, until=other)
        for one, other in pairwise(answered)
        if other.done_ms - one.done_ms > longer_than_ms
    ]
    if answered and max(probe.done_ms for probe in probes) - answered[-1].done_ms > longer_than_ms:
        found.append(Silence(since=answered[-1], until=None))
    return tuple(found)


def answering_nodes(probes: Sequence[Probe]) -> tuple[str, ...]:
    """Return the nodes that answered, in order, one that answered on and on only once."""
    found: list[str] = []
    for probe in sorted(probes, key=lambda probe: probe.done_ms):
        if probe.node is not None and found[-1:] != [probe.node]:
            found.append(probe.node)
    return tuple(found)
