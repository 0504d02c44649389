"""The ends of child processes, for programs that are the parent of everyone: orphans too are waited for."""

import asyncio
import os
import signal


class Reaper:
    """Waits for every child of this process, from the running loop; one for each process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._awaited: dict[int, asyncio.Future[int]] = {}
        loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def end_of(self, pid: int) -> asyncio.Future[int]:
        """Return the future exit status of a child, negative for a signal; to be called before the loop runs again."""
        return self._awaited.setdefault(pid, self._loop.create_future())

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            awaited = self._awaited.pop(pid, None)
            if awaited is not None and not awaited.done():
                awaited.set_result(os.waitstatus_to_exitcode(status))
