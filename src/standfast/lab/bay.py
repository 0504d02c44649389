"""One machine's place in the lab: its power, its cable, its files, and the connection to its first process."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from standfast.errors import StandfastError
from standfast.lab import calls, channel, isolation, launch, network, orders, processes
from standfast.lab.addresses import AddressWatch
from standfast.lab.calls import PowerState
from standfast.lab.filesystem import PRIVATE
from standfast.lab.httpd import INIT_SCRIPT
from standfast.lab.logbook import LogBook
from standfast.lab.plan import LabPlan, MachinePlan, Place
from standfast.lab.reaper import Reaper

BOOT_S_MAX = 20.0  # longest time until a machine is up
DEATH_S_MAX = 10.0  # longest time until the last process of a machine is dead
OPERATE_S_MAX = 40.0  # longest time until a machine has started or ended its daemon
_T = TypeVar("_T")
_UNPLUG_AFTER_S = 0.05  # a dead machine's silent interface is removed when whoever waited has been answered


class Surroundings(Struct, frozen=True, kw_only=True):
    """What all machines of a lab share."""

    plan: LabPlan
    reaper: Reaper
    logbook: LogBook
    watch: AddressWatch
    numbers: Iterator[int]
    tasks: asyncio.TaskGroup
    kill_strays: Callable[[], Coroutine[None, None, None]]


class Bay:
    """One machine, off at first."""

    def __init__(self, machine: MachinePlan, around: Surroundings) -> None:
        self.machine = machine
        self.daemon_pid: int | None = None
        self.power = PowerState.OFF
        self._around = around
        self._place = Place(directory=Path(around.plan.directory))
        self._pid = 0
        self._connection: socket.socket | None = None
        self._gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._booted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._operated: asyncio.Future[str] | None = None
        self._plugged = False
        self._dies_by_order = False

    @property
    def pid(self) -> int:
        """The machine's first process, 0 while it is off."""
        return self._pid

    @property
    def name(self) -> str:
        """The machine's name."""
        return self.machine.name

    async def switch_on(self) -> None:
        """Apply power; the machine then boots. Nothing happens if it is on. Raises StandfastError."""
        if self.power is not PowerState.OFF:
            return
        self._unplug()
        boot_id = str(uuid.uuid4())
        self._prepare_files(boot_id)
        ours, theirs = channel.pair()
        output = self._around.logbook.open_pipe(self.name)
        isolated = self._around.plan.isolated
        try:
            self._pid = launch.start_machine(
                isolation=isolation.MACHINE if isolated else 0, connection=theirs.fileno(), output=output
            )
        except OSError as failure:
            ours.close()
            raise StandfastError(f"{self.name}: {failure.strerror}", code="lab-no-machine") from failure
        finally:
            theirs.close()
            os.close(output)
        loop = asyncio.get_running_loop()
        self.power = PowerState.ON
        self._dies_by_order = False
        self._gone, self._booted = loop.create_future(), loop.create_future()
        self._around.reaper.end_of(self._pid).add_done_callback(self._note_death)
        number = next(self._around.numbers)
        ours.setblocking(False)
        self._connection = ours
        self._around.watch.follow(self.name, number, self._place.root(self.name) / "run/standfast/addresses")
        if isolated:
            network.plug_in(self.machine, self._pid, number)
            self._plugged = True
        channel.send(ours, orders.Boot(plan=self._around.plan, machine=self.machine, boot_id=boot_id))
        self._around.tasks.create_task(self._listen(ours, self._booted))

    async def wait_until_booted(self) -> None:
        """Wait until the machine is up; raises StandfastError when it does not come up."""
        try:
            async with asyncio.timeout(BOOT_S_MAX):
                failure = await asyncio.shield(self._booted)
        except TimeoutError:
            failure = f"is not up within {BOOT_S_MAX:.0f} s"
        if failure:
            raise StandfastError(f"{self.name}: {failure}", code="lab-no-machine")

    async def switch_off(self) -> None:
        """Cut the power: when this returns, nothing of the machine runs or is heard. Raises StandfastError."""
        if self.power is PowerState.OFF:
            return
        gone = self._gone
        self._dies_by_order = True
        try:
            if self._around.plan.isolated:
                if self._plugged:
                    network.silence(self.machine)
                processes.signal_one(self._pid, signal.SIGKILL)
            else:
                await processes.kill_family(self._pid)
            async with asyncio.timeout(DEATH_S_MAX):
                await asyncio.shield(gone)
        except TimeoutError:
            raise StandfastError(
                f"{self.name}: not dead within {DEATH_S_MAX:.0f} s after SIGKILL", code="lab-undead"
            ) from None

    async def freeze(self) -> None:
        """Stop every process where it stands; raises StandfastError."""
        self._need_power()
        if self.power is PowerState.FROZEN:
            return
        try:
            await processes.stop_all(self._find_processes)
        except TimeoutError:
            raise StandfastError(
                f"{self.name}: some processes cannot be stopped", code="lab-undead"
            ) from None
        if self.power is PowerState.ON:
            self.power = PowerState.FROZEN

    async def thaw(self) -> None:
        """Let every process go on; raises StandfastError."""
        self._need_power()
        processes.continue_all(self._find_processes)
        self.power = PowerState.ON

    async def execute(self, call: calls.Execute, descriptors: list[int]) -> None:
        """Have the machine run a command; it reports to the last of the descriptors. Raises StandfastError."""
        await self._need_response()
        self._order(call, descriptors)

    async def operate_daemon(self, call: calls.OperateDaemon) -> None:
        """Start or end the daemon; raises StandfastError."""
        await self._need_response()
        if self._operated is not None:
            raise StandfastError(f"{self.name}: its daemon is being operated already", code="lab-busy")
        self._operated = asyncio.get_running_loop().create_future()
        try:
            self._order(call)
            async with asyncio.timeout(OPERATE_S_MAX):
                refusal = await self._operated
        except TimeoutError:
            refusal = f"no answer within {OPERATE_S_MAX:.0f} s"
        finally:
            self._operated = None
        if refusal:
            raise StandfastError(f"{self.name}: {refusal}", code="lab-daemon")

    def _order(self, order: orders.Order, descriptors: list[int] | None = None) -> None:
        assert self._connection is not None
        try:
            channel.send(self._connection, order, descriptors or ())
        except OSError as failure:
            raise StandfastError(
                f"{self.name}: does not listen: {failure.strerror}", code="lab-off"
            ) from failure

    def _need_power(self) -> None:
        if self.power is PowerState.OFF:
            raise StandfastError(
                f"{self.name} is off; switch it on with: standfast lab power-on {self.name}", code="lab-off"
            )

    async def _need_response(self) -> None:
        self._need_power()
        if self.power is PowerState.FROZEN:
            raise StandfastError(
                f"{self.name} is frozen; thaw it with: standfast lab thaw {self.name}", code="lab-frozen"
            )
        await self.wait_until_booted()

    def _find_processes(self) -> tuple[int, ...]:
        find: Callable[[int], tuple[int, ...]] = (
            processes.namespace_members if self._around.plan.isolated else processes.family
        )
        return find(self._pid) if self._pid else ()

    def _prepare_files(self, boot_id: str) -> None:
        """Lay out the machine's own files: its disk is kept, its /run is new."""
        root = self._place.root(self.name)
        shutil.rmtree(root / "run", ignore_errors=True)
        for folder in (
            *PRIVATE,
            "run/standfast/addresses",
            "var/www/html",
        ):
            (root / folder).mkdir(parents=True, exist_ok=True)
        if self._around.plan.corosync:
            key = root / "etc/cluster/authkey"
            if not key.exists():
                shutil.copy2(self._place.key, key)
        (root / "boot_id").write_text(f"{boot_id}\n")
        script, page = root / "etc/init.d/httpd", root / "var/www/html/index.html"
        if not script.exists():
            script.write_text(INIT_SCRIPT)
            script.chmod(0o755)
        if not page.exists():
            page.write_text(f"Hello from {self.name}\n")

    async def _listen(self, connection: socket.socket, booted: asyncio.Future[str]) -> None:
        """Take what the machine tells, until it dies."""
        while True:
            data, _ = await channel.receive_soon(connection)
            if not data:
                connection.close()
                return
            match orders.decode_news(data):
                case orders.Booted():
                    _resolve(booted, "")
                case orders.BootFailed(text):
                    _resolve(booted, text)
                case orders.DaemonOperated(refusal):
                    _resolve(self._operated, refusal)
                case orders.DaemonRuns(pid):
                    self.daemon_pid = pid

    def _note_death(self, end: asyncio.Future[int]) -> None:
        """The machine's first process is dead, and with it, in namespaces, all others."""
        _resolve(self._booted, "died while it booted")
        _resolve(self._operated, "died meanwhile")
        _resolve(self._gone, end.result())
        self.power = PowerState.OFF
        self._pid = 0
        self.daemon_pid = None
        self._connection = None
        if self._plugged:
            with contextlib.suppress(
                OSError
            ):  # its network namespace may be gone already, and the port with it
                network.silence(self.machine)
            asyncio.get_running_loop().call_later(_UNPLUG_AFTER_S, self._unplug)
        if not self._around.plan.isolated and not self._dies_by_order:
            self._around.tasks.create_task(self._around.kill_strays())
        self._around.watch.forget(self.name)
        shutil.rmtree(self._place.root(self.name) / "run", ignore_errors=True)
        self._around.logbook.note(self.name, f"lab: {self.name} is off")

    def _unplug(self) -> None:
        if self._plugged and self.power is PowerState.OFF:
            self._plugged = False
            network.unplug(self.machine)


def _resolve(future: asyncio.Future[_T] | None, result: _T) -> None:
    if future is not None and not future.done():
        future.set_result(result)
