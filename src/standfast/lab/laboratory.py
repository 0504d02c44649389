"""The running lab: builds it, carries out what its clients and its power controller ask, and removes it."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable
from itertools import combinations
from pathlib import Path

from msgspec import DecodeError

from standfast.engine import admin
from standfast.errors import StandfastError
from standfast.lab import calls, channel, network, processes
from standfast.lab.addresses import AddressLog, AddressWatch, ClaimWatch, NetworkWatch
from standfast.lab.bay import Bay, Surroundings
from standfast.lab.calls import PowerState
from standfast.lab.logbook import LogBook
from standfast.lab.plan import CORE, LabPlan, MachinePlan, Place, core_machine, network_of
from standfast.lab.power import Outlet, PowerController
from standfast.lab.reaper import Reaper
from standfast.node.corosync_process import make_key

SEQUENCER_S_MAX = 15.0  # longest time until the sequencer takes connections
_POLL_S = 0.005
_FIRST_NUMBER = 1000  # of the machines' network namespaces; the kernel counts its own from 0

Report = Callable[[str], None]
"""Tell whoever started the lab how far it is."""


class _StopError(Exception):
    """The lab is to be removed."""


class Laboratory:
    """One lab, from its first process to its last."""

    def __init__(self, plan: LabPlan, report: Report) -> None:
        self._plan = plan
        self._place = Place(directory=Path(plan.directory))
        self._report = report
        self._bays: dict[str, Bay] = {}
        self._cuts: set[tuple[str, str]] = set()
        self._addresses = AddressLog()
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._reaper = Reaper(self._loop)
        self._logbook = LogBook(self._place, self._loop)
        self._sequencer_pid = 0

    def stop(self) -> None:
        """Have `run` remove the lab and return."""
        self._stop.set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Build the lab, call `ready`, serve until `stop`, and remove everything. Raises StandfastError."""
        control = channel.listen(self._place.control)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._end_when_stopped())
                await self._build(tasks)
                tasks.create_task(self._serve(control, tasks))
                ready()
        except* _StopError:
            pass
        except* StandfastError as failures:
            raise failures.exceptions[0] from None
        finally:
            control.close()
            await self._remove()

    async def _end_when_stopped(self) -> None:
        await self._stop.wait()
        raise _StopError

    async def _build(self, tasks: asyncio.TaskGroup) -> None:
        around = Surroundings(
            plan=self._plan,
            reaper=self._reaper,
            logbook=self._logbook,
            watch=self._open_watch(),
            numbers=itertools.count(_FIRST_NUMBER),
            tasks=tasks,
            kill_strays=self._kill_strays,
        )
        machines = (core_machine(), *self._plan.machines)
        self._bays = {machine.name: Bay(machine, around) for machine in machines}
        if self._plan.isolated:
            network.build(machines)
        self._write_cluster_conf()
        if self._plan.corosync:
            make_key(self._place.key)
        if self._plan.sequencer:
            await self._start_sequencer()
            self._report("the engine's sequencer runs")
        outlets = {
            bay.name: Outlet(
                switch_off=bay.switch_off,
                switch_on=bay.switch_on,
                is_on=lambda bay=bay: bay.power is not PowerState.OFF,  # type: ignore[misc]
            )
            for bay in self._nodes()
        }
        controller = PowerController(outlets, lambda text: self._logbook.note("power", text))
        tasks.create_task(controller.serve(self._place.power))
        for bay in self._bays.values():
            await bay.switch_on()
        for bay in self._bays.values():
            await bay.wait_until_booted()
            self._report(f"{bay.name} is up")

    def _open_watch(self) -> AddressWatch:
        watch = NetworkWatch if self._plan.isolated else ClaimWatch
        return watch(self._addresses, self._loop)

    def _nodes(self) -> tuple[Bay, ...]:
        return tuple(bay for bay in self._bays.values() if bay.name != CORE)

    def _write_cluster_conf(self) -> None:
        for machine in self._plan.machines:
            path = self._place.cluster_conf(machine.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if self._plan.cluster_conf is not None:
                path.write_text(self._plan.cluster_conf, encoding="utf-8")
                path.chmod(0o640)

    async def _start_sequencer(self) -> None:
        output = self._logbook.open_pipe("sequencer")
        try:
            process = subprocess.Popen(
                self._plan.sequencer, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/"
            )
        except OSError as failure:
            raise StandfastError(
                f"{self._plan.sequencer[0]}: {failure.strerror}", code="lab-sequencer"
            ) from failure
        finally:
            os.close(output)
        self._sequencer_pid = process.pid
        end = self._reaper.end_of(process.pid)
        end.add_done_callback(lambda done: self._note_end_of_sequencer(process, done.result()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEQUENCER_S_MAX):
                while not end.done():
                    if admin.answers(str(self._place.sequencer)):
                        return
                    await asyncio.sleep(_POLL_S)
        raise StandfastError(
            f"the sequencer does not take connections at {self._place.sequencer}", code="lab-sequencer"
        )

    def _note_end_of_sequencer(self, process: subprocess.Popen[bytes], status: int) -> None:
        process.returncode = status
        self._sequencer_pid = 0
        self._logbook.note("sequencer", f"lab: the sequencer ended with status {status}")

    async def _serve(self, control: socket.socket, tasks: asyncio.TaskGroup) -> None:
        while True:
            connection, _ = await self._loop.sock_accept(control)
            tasks.create_task(self._attend(connection))

    async def _attend(self, connection: socket.socket) -> None:
        """Carry out one client's calls, one after the other."""
        connection.setblocking(False)
        with connection:
            while True:
                data, descriptors = await channel.receive_soon(connection)
                if not data:
                    return
                try:
                    answer = await self._answer(data, descriptors)
                finally:
                    for descriptor in descriptors:
                        os.close(descriptor)
                with contextlib.suppress(OSError):  # the client may be gone; what it asked for is done
                    channel.send(connection, answer)

    async def _answer(self, data: bytes, descriptors: list[int]) -> calls.Answer:
        try:
            return await self._carry_out(calls.decode_call(data), descriptors)
        except DecodeError as failure:
            return calls.Refused(
                f"not understood: {failure}; is this client of the same version?", code="lab-failed"
            )
        except StandfastError as failure:
            return calls.Refused(str(failure), failure.code)
        except OSError as failure:
            return calls.Refused(f"the lab failed: {failure}", code="lab-failed")

    async def _carry_out(self, call: calls.Call, descriptors: list[int]) -> calls.Answer:
        match call:
            case calls.GetStatus():
                return self._status()
            case calls.GetAddresses():
                return calls.Addresses(self._addresses.events())
            case calls.Down():
                self.stop()
            case calls.Execute(machine=name):
                await self._bay(name).execute(call, descriptors)
            case calls.Kill(node):
                await self._on_node(node, "killed", lambda bay: bay.switch_off())
            case calls.Freeze(node):
                await self._on_node(node, "frozen", lambda bay: bay.freeze())
            case calls.Thaw(node):
                await self._on_node(node, "thawed", lambda bay: bay.thaw())
            case calls.PowerOn(node):
                await self._on_node(node, "switched on", _switch_on_and_wait)
            case calls.OperateDaemon(node):
                await self._node(node).operate_daemon(call)
            case calls.Cut(one, other):
                self._cut(self._bay(one), self._bay(other))
            case calls.Heal():
                self._heal()
        return calls.Done()

    async def _on_node(self, name: str, outcome: str, act: Callable[[Bay], Awaitable[None]]) -> None:
        bay = self._node(name)
        await act(bay)
        self._logbook.note(name, f"lab: {name} is {outcome} by hand")

    def _bay(self, name: str) -> Bay:
        bay = self._bays.get(name)
        if bay is None:
            raise StandfastError(
                f'there is no machine "{name}" in this lab; there are {", ".join(self._bays)}',
                code="lab-no-node",
            )
        return bay

    def _node(self, name: str) -> Bay:
        bay = self._bay(name)
        if bay.name == CORE:
            raise StandfastError(
                f'"{CORE}" is the client\'s machine and no node; choose one of '
                f"{', '.join(node.name for node in self._nodes())}",
                code="lab-no-node",
            )
        return bay

    def _cut(self, one: Bay, other: Bay) -> None:
        if one is other:
            raise StandfastError(f"{one.name}: a machine has no link to itself; name two", code="lab-no-link")
        if CORE in (one.name, other.name) and not self._plan.isolated:
            raise StandfastError(
                f"without namespaces there is no link to {CORE} to be cut", code="lab-no-link"
            )
        if self._plan.isolated:
            network.cut(one.machine, other.machine)
        if one.machine.nodeid is not None and other.machine.nodeid is not None and self._plan.sequencer:
            admin.cut(str(self._place.sequencer), one.machine.nodeid, other.machine.nodeid)
        self._cuts.add(_pair(one, other))
        self._logbook.note("network", f"the link between {one.name} and {other.name} is cut")

    def _heal(self) -> None:
        if self._plan.isolated:
            for one, other in combinations(self._all_machines(), 2):
                network.mend(one, other)
        if self._plan.sequencer:
            admin.heal(str(self._place.sequencer))
        self._cuts.clear()
        self._logbook.note("network", "all links are whole")

    def _all_machines(self) -> tuple[MachinePlan, ...]:
        return tuple(bay.machine for bay in self._bays.values())

    def _status(self) -> calls.LabStatus:
        return calls.LabStatus(
            directory=self._plan.directory,
            machines=tuple(
                calls.MachineStatus(
                    name=bay.name,
                    nodeid=bay.machine.nodeid,
                    power=bay.power,
                    daemon_pid=bay.daemon_pid,
                    addresses=self._addresses_of(bay),
                )
                for bay in self._bays.values()
            ),
            cuts=tuple(sorted(self._cuts)),
            fallback=self._plan.fallback,
        )

    def _addresses_of(self, bay: Bay) -> tuple[str, ...]:
        """What is known to be on the machine; on the loopback its own address is there without having come."""
        held = self._addresses.held(bay.name)
        if self._plan.isolated or bay.power is PowerState.OFF:
            return held
        return (network_of(self._plan).address(bay.machine), *held)

    async def _kill_strays(self) -> None:
        """Without namespaces, what a machine leaves that died by itself is ours: end it."""
        known = {bay.pid for bay in self._bays.values()} | {self._sequencer_pid}
        for child in processes.children(os.getpid()):
            if child not in known:
                await processes.kill_family(child)

    async def _remove(self) -> None:
        """End every process of the lab and remove its directory."""
        for bay in self._bays.values():
            try:
                await bay.switch_off()
            except StandfastError as failure:
                print(failure, flush=True)
        if self._sequencer_pid:
            processes.signal_one(self._sequencer_pid, signal.SIGKILL)
        await processes.kill_descendants(os.getpid())
        shutil.rmtree(self._place.directory, ignore_errors=True)


async def _switch_on_and_wait(bay: Bay) -> None:
    await bay.switch_on()
    await bay.wait_until_booted()


def _pair(one: Bay, other: Bay) -> tuple[str, str]:
    first, second = sorted((one.machine, other.machine), key=lambda machine: machine.index)
    return first.name, second.name
