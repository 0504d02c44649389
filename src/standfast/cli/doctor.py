"""standfast doctor: says what is wrong with this node or its configuration, and what to do.

Exit status: 0 all is well, 1 there are warnings, 2 there are errors; 3 it was called wrongly.
"""

from collections.abc import Callable, Sequence
from typing import TextIO

from msgspec import json

from standfast.cli.clustat_text import printable
from standfast.cli.health import Facts, Finding, examine, exit_status
from standfast.cli.options import OptionError, read_options

PROGRAM = "standfast doctor"
USAGE_FAULT = 3

USAGE = """\
usage: standfast doctor [--json]
    --json             Write the findings as JSON
    -h, --help         Print this text and exit

Run it as root: an ordinary user does not see everything. Exit status: 0 all is well, 1 warnings, 2 errors.

"""


def main(argv: Sequence[str], gather: Callable[[], Facts], out: TextIO, err: TextIO) -> int:
    """Run the command and return its exit status."""
    try:
        options, rest = read_options(PROGRAM, argv, "h", ["json", "help"])
    except OptionError as error:
        err.write(f"{error}\n{USAGE}")
        return USAGE_FAULT
    names = {name for name, _ in options}
    if names & {"-h", "--help"}:
        out.write(USAGE)
        return 0
    if rest:
        err.write(f'{PROGRAM}: "{rest[0]}" is no option; it looks at this node only\n{USAGE}')
        return USAGE_FAULT
    findings = examine(gather())
    out.write(json.encode(findings).decode() + "\n" if "--json" in names else render_findings(findings))
    return exit_status(findings)


def render_findings(findings: Sequence[Finding]) -> str:
    """Return a line for each finding: how bad, what was looked at, what is true, and what to do."""
    widths = [
        max((len(text) for text in column), default=0) for column in zip(*map(_labels, findings), strict=True)
    ]
    return "".join(_line(finding, widths) for finding in findings)


def _labels(finding: Finding) -> tuple[str, str]:
    return finding.grade, finding.subject


def _line(finding: Finding, widths: Sequence[int]) -> str:
    labels = "  ".join(label.ljust(width) for label, width in zip(_labels(finding), widths, strict=True))
    cure = f"; {finding.cure}" if finding.cure else ""
    return f"{labels}  {printable(finding.what)}{printable(cure)}\n"
