"""cman_tool version: the protocol's and the configuration's; with -r, makes the file of this node the cluster's.

Source: spec membership, section 9.9; spec configuration, section 6.4.
"""

from __future__ import annotations

from standfast.cli.cman_daemon import PROGRAM, TIMED_OUT, StopError, progress_text, reason, stop
from standfast.cli.cman_text import VERSION
from standfast.errors import StandfastError

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from typing import TextIO

    from standfast.cli.cman_daemon import Daemon
    from standfast.cli.cman_options import Options
    from standfast.cli.fields import Json


def version(options: Options, daemon: Daemon, conf: str, out: TextIO, err: TextIO) -> int:
    """Print the versions, or with -r propose the file `conf` and wait until every member has it."""
    running = daemon.cluster().config_version
    if "r" not in options.numbers:
        out.write(f"{VERSION} config {running}\n")
        return 0
    text, proposed = read_checked(options, conf, err, "Not reloading, configuration is not valid")
    wanted = options.numbers["r"]
    if wanted not in (0, proposed):
        raise StopError(f"{PROGRAM}: configuration file has version {proposed}, not {wanted}")
    if proposed == running:
        return 0
    limit_s = float(options.numbers["t"]) if options.numbers.get("t") else None
    try:
        answer: Json = {}
        for answer in daemon.converse({"type": "update", "document": text}, limit_s):
            if (said := progress_text(answer)) is not None:
                out.write(f"{said}\n")
                out.flush()
    except StandfastError as error:
        if error.code == "daemon-timeout":
            raise StopError("Timed-out waiting for cluster", TIMED_OUT) from error
        if error.code == "permission-denied":
            raise stop(error) from error
        raise StopError(f"{PROGRAM}: can't set version: {reason(error)}") from error
    if answer.get("type") == "updated":
        return 0
    findings = answer.get("findings")
    lines = [str(line) for line in findings] if isinstance(findings, list) else []
    err.writelines(f"{line}\n" for line in lines)
    raise StopError(f"{PROGRAM}: can't set version: Invalid argument ({answer.get('reason')})")


def read_checked(options: Options, conf: str, err: TextIO, refusal: str) -> tuple[str, int]:
    """Return the text and version of a file that passes the check that -D asks for; raises StopError with `refusal`.

    A file that has no version is refused in any case: nobody could say which one is newer.
    """
    from standfast.cli.conf_file import read_file
    from standfast.conf.load import load
    from standfast.conf.parse import BYTES_MAX

    try:
        data = read_file(conf, BYTES_MAX)
    except OSError as error:
        raise StopError(f"{conf}: {error.strerror}\n{PROGRAM}: {refusal}") from error
    loaded = load(conf, data)
    if options.check != "none":
        err.writelines(f"{line}\n" for line in loaded.lines)
    if loaded.cluster is None:
        if options.check == "none":
            err.writelines(f"{line}\n" for line in loaded.lines)
        raise StopError(f"{PROGRAM}: {refusal}")
    return data.decode(), loaded.cluster.config_version
