"""What every command does around its work: standard output that may be closed, broken or full, and ^C."""

from __future__ import annotations

import os
import sys

from standfast.errors import StandfastError

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ended
INTERRUPTED = 130  # the same of SIGINT


def run_command(program: str, work: Callable[[TextIO, TextIO], int]) -> int:
    """Call `work` with standard output and error and return the exit status.

    A reader that went away (`| head`) ends the command silently. A full disk is said on standard error.
    """
    out = sys.stdout if sys.stdout is not None else _nowhere()
    err = sys.stderr if sys.stderr is not None else _nowhere()
    for stream in (out, err):
        _print_anything(stream)
    try:
        status = work(out, err)
        out.flush()
    except BrokenPipeError:
        _abandon(out)
        return BROKEN_PIPE
    except KeyboardInterrupt:
        _abandon(out)
        return INTERRUPTED
    except StandfastError as error:
        err.write(f"{program}: {error}\n")
        return 1
    except OSError as error:
        _abandon(out)
        err.write(
            f"{program}: standard output: {error.strerror or error}; what was printed is not complete\n"
        )
        return 1
    return status


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open until the process ends


def _print_anything(stream: TextIO) -> None:
    """Escape the characters that the locale's encoding lacks, instead of failing on them."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _abandon(out: TextIO) -> None:
    """Let the interpreter's last flush of standard output go nowhere, since it would fail again."""
    try:
        out.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)
