"""One daemon at a time on a node: whoever holds the lock file."""

import fcntl
import os
from pathlib import Path

from standfast.errors import RefusedError


def take_lock(path: Path) -> int:
    """Return the locked file's descriptor; the lock goes with it, or with the process. Raises RefusedError, OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise RefusedError(
            f"another daemon runs on this node already, as process {pid} (it holds {path}); "
            "stop that one first, with: standfast leave",
            code="daemon-running",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
