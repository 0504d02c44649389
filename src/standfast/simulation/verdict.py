"""What a rule says of a history: held, broken or unknown.

Pure. Unknown means that the history does not tell; it counts as a failure, like broken.
"""

from enum import StrEnum

from msgspec import Struct


class Judgement(StrEnum):
    """What a rule says of a history."""

    HELD = "held"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class Verdict(Struct, frozen=True):
    """A rule's name and what it says; `because` is empty for a rule that held."""

    rule: str
    judgement: Judgement
    because: str = ""


def sentence(verdict: Verdict) -> str:
    """Return the verdict as one line that begins with the rule's name."""
    doubt = "unknown: " if verdict.judgement is Judgement.UNKNOWN else ""
    return f"{verdict.rule} {doubt}{verdict.because}"


def held(rule: str) -> Verdict:
    """Nothing in the history is against the rule."""
    return Verdict(rule, Judgement.HELD)


def broken(rule: str, at_ms: int, text: str) -> Verdict:
    """At `at_ms` something happened that must not."""
    return Verdict(rule, Judgement.BROKEN, f"at {at_ms} ms: {text}")


def unknown(rule: str, at_ms: int, text: str) -> Verdict:
    """The history does not tell."""
    return Verdict(rule, Judgement.UNKNOWN, f"at {at_ms} ms: {text}")
