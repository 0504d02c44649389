"""What a check of cluster.conf found: how bad it is, on which line, and in which words.

Source: spec configuration, section 11 (the codes) and 8.1 (the layout).
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """How bad a finding is."""

    FATAL = "F"  # nothing can use the file
    ERROR = "E"  # validation, update and join refuse the file
    WARNING = "W"  # said, and no more


class Finding(Struct, frozen=True):
    """One thing found; `line` is 0 where it concerns the file as a whole."""

    level: Level
    line: int
    code: str
    text: str


def error(line: int, code: str, text: str) -> Finding:
    """Return a finding that refuses the file."""
    return Finding(Level.ERROR, line, code, text)


def warning(line: int, code: str, text: str) -> Finding:
    """Return a finding that only warns."""
    return Finding(Level.WARNING, line, code, text)


def fatal(line: int, code: str, text: str) -> Finding:
    """Return a finding after which the file says nothing."""
    return Finding(Level.FATAL, line, code, text)


def refused(findings: Iterable[Finding]) -> bool:
    """Whether any finding refuses the file."""
    return any(finding.level is not Level.WARNING for finding in findings)


def render_finding(name: str, finding: Finding) -> str:
    """Return the line for a person: `FILE:LINE: error|warning: TEXT [CODE]`."""
    where = f"{name}:{finding.line}" if finding.line else name
    word = "warning" if finding.level is Level.WARNING else "error"
    return f"{where}: {word}: {finding.text} [{finding.code}]"
