"""The local engine as an arena: a sequencer process, and a thread with an event loop for each machine."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.contract.engines.promises import Witness

from standfast.engine import admin
from standfast.engine.host import hold_host
from standfast.engine.local import LocalEngine, attach
from standfast.errors import EngineError, StandfastError
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId

WAIT_S_MAX = 20.0  # longest time that a condition may take

T = TypeVar("T")


class Sequencer:
    """A sequencer process that listens by the time it is made."""

    def __init__(self, socket_path: str, *, token_ms: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "standfast.engine.sequencer", socket_path, "--token-ms", str(token_ms)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"listening on {socket_path}\n".encode()

    def end(self) -> int:
        """End it and return its status."""
        self.process.terminate()
        with self.process:
            return self.process.wait(WAIT_S_MAX)


class Machine:
    """An event loop in a thread: freezing it freezes all that runs there."""

    def __init__(self, happened: threading.Condition) -> None:
        self.daemon: Daemon | None = None
        self.held: Future[None] | None = None
        self._happened = happened
        self._gate = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run something on this machine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on this machine and return what comes of it."""
        return self.start(work).result(WAIT_S_MAX)

    def tell(self, act: Callable[[], None]) -> None:
        """Note something that happened, for those who wait for it."""
        with self._happened:
            act()
            self._happened.notify_all()

    def freeze(self) -> None:
        """Let the loop hang."""
        self._gate.clear()
        self._loop.call_soon_threadsafe(self._gate.wait)

    def thaw(self) -> None:
        """Let the loop go on."""
        self._gate.set()

    def end(self) -> None:
        """End the thread and everything in it."""
        self.thaw()

        async def stop() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        if self.daemon is not None:
            self.run(self.daemon.engine.close())
        self.run(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S_MAX)
        self._loop.close()


class Daemon:
    """A daemon that notes what it is told; it can stop taking events while its event loop goes on."""

    def __init__(self, machine: Machine, engine: LocalEngine, witness: Witness) -> None:
        self.engine = engine
        self.witness = witness
        self.end: StandfastError | None = None
        self.has_ended = False
        self._machine = machine
        self._takes = asyncio.Event()
        self._takes.set()

    async def listen(self) -> None:
        """Take events until there are no more."""
        try:
            async for event in self.engine.events():
                await self._takes.wait()
                self._machine.tell(lambda: self.witness.events.append(event))  # noqa: B023
        except StandfastError as end:
            self.end = end
        self._machine.tell(self._note_end)

    def _note_end(self) -> None:
        self.has_ended = True

    async def send(self, payloads: Iterable[bytes]) -> None:
        """Send these until the engine does not take them any more."""
        with suppress(EngineError):
            for payload in payloads:
                self.witness.sent.append(payload)
                await self.engine.send(payload)

    async def stop_taking(self) -> None:
        """Leave events where they are."""
        self._takes.clear()

    async def take_again(self) -> None:
        """Go on taking events."""
        self._takes.set()


class LocalArena:
    """A sequencer process and machines on it."""

    takes_single_cuts = True

    def __init__(self, folder: Path, *, token_ms: int) -> None:
        self.witnesses: list[Witness] = []
        self.token_ms = token_ms
        self.socket_path = str(folder / "sequencer.sock")
        self.happened = threading.Condition()
        self.sequencer = Sequencer(self.socket_path, token_ms=token_ms)
        self.machines: dict[int, Machine] = {}

    def close(self) -> None:
        """End everything."""
        self.sequencer.end()
        for machine in self.machines.values():
            machine.end()

    def attach(self, nodeid: int, votes: VoteTable, *, name: str = "") -> Witness:
        machine = self.machine(nodeid)
        witness = Witness(NodeId(nodeid), name or f"vapp{nodeid}")

        async def start() -> None:
            engine = await attach(self.socket_path, NodeId(nodeid), witness.name, votes)
            machine.daemon = Daemon(machine, engine, witness)
            self.witnesses.append(witness)

        machine.run(start())
        machine.start(self.daemon(nodeid).listen())
        return witness

    def send(self, nodeid: int, payloads: Iterable[bytes]) -> None:
        self.machine(nodeid).start(self.daemon(nodeid).send(payloads))

    def send_one(self, nodeid: int, payload: bytes) -> None:
        daemon = self.daemon(nodeid)
        self.machine(nodeid).run(daemon.engine.send(payload))
        daemon.witness.sent.append(payload)

    def configure(self, nodeid: int, votes: VoteTable) -> None:
        async def configure() -> None:
            self.daemon(nodeid).engine.configure(votes)

        self.machine(nodeid).run(configure())

    def leave(self, nodeid: int) -> None:
        self.machine(nodeid).start(self.daemon(nodeid).engine.leave())

    def process_down(self, nodeid: int) -> None:
        machine, daemon = self.machine(nodeid), self.daemon(nodeid)
        machine.daemon = None
        machine.run(daemon.engine.close())

    def host_up(self, nodeid: int) -> None:
        machine = self.machine(nodeid)
        machine.held = machine.start(hold_host(self.socket_path, NodeId(nodeid)))

    def host_down(self, nodeid: int) -> None:
        machine = self.machines.pop(nodeid)
        machine.end()

    def freeze(self, nodeid: int) -> None:
        self.machine(nodeid).freeze()

    def thaw(self, nodeid: int) -> None:
        self.machine(nodeid).thaw()

    def cut(self, a: int, b: int) -> None:
        admin.cut(self.socket_path, NodeId(a), NodeId(b))

    def heal(self) -> None:
        admin.heal(self.socket_path)

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.happened:
            assert self.happened.wait_for(condition, WAIT_S_MAX), "the condition does not come true"

    def machine(self, nodeid: int) -> Machine:
        """The machine of a node; switched on when it was off."""
        if nodeid not in self.machines:
            self.machines[nodeid] = Machine(self.happened)
        return self.machines[nodeid]

    def daemon(self, nodeid: int) -> Daemon:
        """The daemon that runs on a node."""
        daemon = self.machine(nodeid).daemon
        assert daemon is not None
        return daemon
