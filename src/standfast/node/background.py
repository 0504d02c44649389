"""Going to the background: the program that was started ends when the daemon is ready, or says why it is not."""

import os
import sys
from collections.abc import Callable

READY = b"0"


def stay() -> Callable[[], None]:
    """Do not go to the background; returns what to call when the daemon is ready."""
    return _nothing


def detach() -> Callable[[], None]:
    """Go on in a process of its own; returns what to call when that is ready. The first process does not return.

    What is logged still goes to the first process's standard error. Only before there are threads.
    """
    readable, writable = os.pipe()
    if os.fork():
        os.close(writable)
        is_ready = os.read(readable, 1) == READY
        os._exit(0 if is_ready else 1)
    os.close(readable)
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    sys.stdout.flush()

    def ready() -> None:
        os.write(writable, READY)
        os.close(writable)

    return ready


def _nothing() -> None:
    return
