"""corosync on a lab's machine: configured from the machine's cluster.conf, started, and watched."""

import asyncio
import signal

from standfast.errors import StandfastError
from standfast.lab.reaper import Reaper
from standfast.node.corosync_process import Starting, read_cluster, start_corosync, write_conf
from standfast.node.place import place_under

READY_S_MAX = 15.0  # longest time until corosync takes connections


class Corosync:
    """The machine's corosync; off at first."""

    def __init__(self, name: str, reaper: Reaper) -> None:
        self._name = name
        self._reaper = reaper
        self._end: asyncio.Future[int] | None = None

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Unless it runs, write its files, start it, and wait until it is ready; why it is not is in the machine's log."""
        if self._end is not None and not self._end.done():
            return
        try:
            path = place_under("").cluster_conf
            write_conf(read_cluster(path), str(path), self._name, fallback=True)
            starting = start_corosync(output=None)
        except (StandfastError, OSError) as failure:
            _log(f"corosync does not start: {failure}")
            return
        pid = starting.process.pid
        end = self._end = self._reaper.end_of(pid)
        tasks.create_task(_bury(pid, end))
        try:
            await self._wait(starting, end)
        finally:
            starting.close()

    async def _wait(self, starting: Starting, end: asyncio.Future[int]) -> None:
        loop = asyncio.get_running_loop()
        said = asyncio.Event()
        loop.add_reader(starting.notified, said.set)
        end.add_done_callback(lambda _: said.set())
        try:
            async with asyncio.timeout(READY_S_MAX):
                while not end.done():
                    await said.wait()
                    said.clear()
                    if starting.is_ready():
                        return
        except TimeoutError:
            _log(f"corosync is not ready after {READY_S_MAX:.0f} s")
        finally:
            loop.remove_reader(starting.notified)


async def _bury(pid: int, end: asyncio.Future[int]) -> None:
    status = await end
    manner = (
        f"with status {status}" if status >= 0 else f"by signal {-status} ({signal.Signals(-status).name})"
    )
    _log(f"corosync, process {pid}, ended {manner}")


def _log(text: str) -> None:
    print(f"lab: {text}", flush=True)
