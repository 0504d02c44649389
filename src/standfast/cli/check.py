"""standfast check: says whether a cluster.conf is valid, and of each fault where it stands and how to mend it.

Exit status as of ccs_config_validate: 0 valid, 3 against the rules, 1 not readable as XML, 255 no file.
"""

import os
from collections.abc import Sequence
from typing import TextIO

from msgspec import json

from standfast.cli.conf_file import read_file
from standfast.cli.options import OptionError, read_options
from standfast.conf.findings import Level
from standfast.conf.load import Loaded, load
from standfast.conf.parse import BYTES_MAX
from standfast.wire.paths import PREFIX_VARIABLE, paths_under

PROGRAM = "standfast check"
INVALID = 3
NOT_XML = 1
NO_FILE = 255
USAGE_FAULT = 255

USAGE = """\
usage: standfast check [--json] [<file>]
    <file>             The cluster.conf to check; this node's without it
    --json             Write the findings as JSON
    -h, --help         Print this text and exit

"""


def main(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
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
    if len(rest) > 1:
        err.write(f"{PROGRAM}: {len(rest)} files named; check one at a time\n{USAGE}")
        return USAGE_FAULT
    name = rest[0] if rest else paths_under(os.environ.get(PREFIX_VARIABLE, "")).cluster_conf
    try:
        data = read_file(name, BYTES_MAX)
    except OSError as error:
        err.write(
            f"{name}: {error.strerror or error}; name a readable file\nUnable to get the configuration\n"
        )
        return NO_FILE
    loaded = load(name, data)
    status = exit_status(loaded)
    if "--json" in names:
        out.write(json.encode(loaded.findings).decode() + "\n")
        return status
    out.write(render_verdict(loaded))
    return status


def render_verdict(loaded: Loaded) -> str:
    """Return the findings, one a line, and the verdict."""
    verdict = "Configuration fails to validate" if exit_status(loaded) else "Configuration validates"
    return "".join(f"{line}\n" for line in (*loaded.lines, verdict))


def exit_status(loaded: Loaded) -> int:
    """Return 0 for a usable file, whatever its warnings."""
    if loaded.cluster is not None:
        return 0
    return NOT_XML if any(finding.level is Level.FATAL for finding in loaded.findings) else INVALID
