"""Running one agent to its end: our own through the warm fork server, other people's as plain processes.

Whoever asks says how long it may take; an agent that takes longer, or is given up, is ended with its whole process group.
"""

import asyncio
import logging
import os
import signal
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from standfast.conf.model import Arguments
from standfast.node.census import note_intent, note_pid
from standfast.node.files import remove_file
from standfast.node.forkserver import ForkServer
from standfast.node.output import FileOutput, Output, PipeOutput
from standfast.node.process import TERM_S, Exit, OwnProcess, Process, end_group
from standfast.resources.operation import CANNOT_EXECUTE
from standfast.wire.agents import SERVED_AGENTS

logger = logging.getLogger(__name__)


class Order(Struct, frozen=True, kw_only=True):
    """One agent to run. `program` is a path, or the name of an agent that the fork server has.

    `given` is its standard input. `record` names the file that notes it while it runs. `output_file` is set for an agent
    that may leave a server running with its output.
    """

    program: str
    words: tuple[str, ...] = ()
    environment: Arguments
    given: bytes = b""
    limit_ms: int
    record: str
    output_file: Path | None = None


class Outcome(Struct, frozen=True, kw_only=True):
    """How an agent ended; `exit_code` is None where a signal ended it, ours or another."""

    exit_code: int | None
    output: str = ""
    timed_out: bool = False
    given_up: bool = False


class Agency:
    """Runs agents, any number at once."""

    def __init__(self, folder: Path, server: ForkServer) -> None:
        """`folder` holds the notes of agents at work."""
        self._folder = folder
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._last_number = 0

    async def run(self, order: Order, give_up: asyncio.Future[None]) -> Outcome:
        """Run the agent; once `give_up` is done it is ended. Returns when it is really gone."""
        self._last_number += 1
        note = self._folder / f"{order.record}.{os.getpid()}.{self._last_number}"
        given = _open_input(order.given)
        try:
            output = PipeOutput() if order.output_file is None else FileOutput(order.output_file)
        except OSError as failure:
            os.close(given)
            return _not_run(order, failure)
        try:
            process = self._begin(order, note, given, output)
        except OSError as failure:
            output.begun()
            output.finish()
            remove_file(note)
            return _not_run(order, failure)
        finally:
            os.close(given)
        output.begun()
        timed_out, given_up = await self._attend(process, order.limit_ms, give_up)
        end = process.ended.result()
        if order.program not in SERVED_AGENTS:
            remove_file(note)
        text = output.finish()
        return Outcome(
            exit_code=end.status,
            output=f"{text}{end.text}",
            timed_out=timed_out,
            given_up=given_up,
        )

    def _begin(self, order: Order, note: Path, given: int, output: Output) -> Process:
        if order.program in SERVED_AGENTS:
            return self._server.run(
                order.program,
                order.words[0] if order.words else "",
                environment=order.environment,
                given=given,
                output=output.writable,
                pid_file=str(note),
            )
        arguments = (order.program, *order.words)
        note_intent(note, arguments)
        process = OwnProcess(arguments, environment=order.environment, given=given, output=output.writable)
        assert process.pid is not None
        with suppress(OSError):  # its arguments are noted, and it can be found by them
            note_pid(note, process.pid)
        return process

    async def _attend(
        self, process: Process, limit_ms: int, give_up: asyncio.Future[None]
    ) -> tuple[bool, bool]:
        """Wait for the agent's end, or make it; returns whether it timed out, and whether it was given up."""
        await _first_of(process.ended, give_up, timeout_s=limit_ms / 1000)
        if process.ended.done():
            return False, False
        given_up = give_up.done()
        grace_s = TERM_S if given_up else 0.0
        begun_at = self._loop.time()
        if given_up:
            process.signal(signal.SIGTERM)
            await _first_of(process.ended, timeout_s=grace_s)
        if not process.ended.done():
            process.signal(signal.SIGKILL)
            await asyncio.wait([process.ended])
        # The number of the group could only be another's by now if the kernel had gone through all numbers meanwhile.
        if process.pid is not None:
            await end_group(process.pid, grace_s=grace_s - (self._loop.time() - begun_at))
        return not given_up, given_up


async def _first_of(*futures: asyncio.Future[Exit] | asyncio.Future[None], timeout_s: float) -> None:
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


def _open_input(text: bytes) -> int:
    """Return a descriptor from which the text can be read; it may be long, and hold a password."""
    if not text:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    descriptor = os.memfd_create("input")
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _not_run(order: Order, failure: OSError) -> Outcome:
    reason = failure.strerror or str(failure)
    logger.error("agent.not-run", extra={"program": order.program, "reason": reason})
    where = failure.filename if isinstance(failure.filename, str) else order.program
    return Outcome(exit_code=CANNOT_EXECUTE, output=f"{where}: {reason}")
