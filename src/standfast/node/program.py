"""What the start and the stop of a node have in common: their turn, how they end, and how that is said."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from standfast.errors import RefusedError, StandfastError
from standfast.node.files import remove_file
from standfast.node.place import Place
from standfast.node.steps import JsonLines, Lines, Steps, Teller

FAILED = 1
INTERRUPTED = 130  # what a shell reports of a program that SIGINT ended


def run_steps(
    work: Callable[[Steps], str], interrupted: str, *, as_json: bool, out: TextIO, err: TextIO
) -> int:
    """Do the work, tell how it went, and return the exit status. `interrupted` is said after Ctrl-C."""
    teller: Teller = JsonLines(out) if as_json else Lines(out, err)
    try:
        teller.succeeded(work(Steps(teller, time.monotonic)))
        return 0
    except KeyboardInterrupt:
        teller.gave_up("interrupted", interrupted)
        return INTERRUPTED
    except StandfastError as failure:
        teller.gave_up(failure.code, str(failure))
    except OSError as failure:
        where = f"{failure.filename}: " if failure.filename else ""
        teller.gave_up(
            "system", f"{where}{failure.strerror or failure}; mend it, or become root, then try again"
        )
    return FAILED


@contextmanager
def take_turn(place: Place, program: str) -> Iterator[None]:
    """Keep other starts and stops of this node away. Raises RefusedError where one is at work, OSError."""
    place.run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = place.run_dir / "turn.lock"
    descriptor = _lock(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{program}, process {os.getpid()}\n".encode(), 0)
        try:
            yield
        finally:
            remove_file(path)
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Return the descriptor of the file at the path, locked. Raises RefusedError, OSError."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            who = os.pread(descriptor, 100, 0).decode(errors="replace").strip() or "another program"
            os.close(descriptor)
            raise RefusedError(
                f"this node is being started or stopped already, by {who}; wait for it, then try again",
                code="turn-taken",
            ) from None
        os.close(descriptor)  # whoever had it has removed it in between
