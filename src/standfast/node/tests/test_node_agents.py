"""Running agents for real: plain programs and those of the fork server, to their end, whatever they do."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from standfast.node import output
from standfast.node.agency import Agency, Order, Outcome
from standfast.node.census import end_leftovers, note_intent, note_pid, noted_pid
from standfast.node.forkserver import ForkServer
from standfast.node.process import group_is_gone, start_time

T = TypeVar("T")
WAIT_S_MAX = 20.0


def with_agency(folder: Path, work: Callable[[Agency, ForkServer], Awaitable[T]]) -> T:
    """Run some work with an agency that notes its agents in the folder."""

    async def run() -> T:
        async with asyncio.timeout(WAIT_S_MAX), asyncio.TaskGroup() as tasks:
            server = ForkServer(tuple(os.environ.items()), tasks)
            try:
                return await work(Agency(folder, server), server)
            finally:
                await server.close()

    return asyncio.run(run())


def run_agent(folder: Path, order: Order) -> Outcome:
    """Run one agent that nobody gives up."""
    return with_agency(
        folder, lambda agency, _: agency.run(order, asyncio.get_running_loop().create_future())
    )


def shell(script: str, *, given: bytes = b"", limit_ms: int = 15_000, file: Path | None = None) -> Order:
    """Return an order for a plain program."""
    return Order(
        program="/bin/sh",
        words=("-c", script),
        environment=(("PATH", "/usr/bin:/bin"), ("COLOUR", "blue")),
        given=given,
        limit_ms=limit_ms,
        record="test",
        output_file=file,
    )


async def appears(path: Path) -> int:
    """Wait for a file with a number in it."""
    while not (path.exists() and path.read_text().strip()):
        await asyncio.sleep(0.005)
    return int(path.read_text())


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "agents"
    folder.mkdir()
    return folder


def test_plain_program_gets_its_environment_and_its_input_and_nothing_else(notes: Path) -> None:
    done = run_agent(notes, shell("env | grep -v PWD | sort; cat; pwd; exit 3", given=b"one=1\n"))
    assert done == Outcome(exit_code=3, output="COLOUR=blue\nPATH=/usr/bin:/bin\none=1\n/\n")


def test_agent_of_the_fork_server_gets_the_same(notes: Path) -> None:
    order = Order(program="script", words=("start",), environment=(), limit_ms=15_000, record="test")
    done = run_agent(notes, order)
    assert (done.exit_code, "script has no file" in done.output) == (2, True)


def test_program_that_does_not_exist_ends_as_one_that_cannot_be_executed(notes: Path) -> None:
    order = Order(program="/nonexistent/agent", environment=(), limit_ms=1000, record="test")
    done = run_agent(notes, order)
    assert done == Outcome(exit_code=1, output="/nonexistent/agent: No such file or directory")


@pytest.mark.parametrize("kind", ["pipe", "file"])
def test_megabytes_of_output_are_taken_and_only_their_end_is_kept(
    notes: Path, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "output" if kind == "file" else None
    done = run_agent(notes, shell("head -c 30000000 /dev/zero | tr '\\0' x; echo; echo last", file=file))
    assert (done.exit_code, done.output[-5:]) == (0, "last\n")
    assert len(done.output) <= 2 * output.OUTPUT_BYTES_MAX


def test_output_file_of_a_resource_is_emptied_when_it_has_grown(notes: Path, tmp_path: Path) -> None:
    file = tmp_path / "output"
    file.write_bytes(b"x" * (output.FILE_BYTES_MAX + 1))
    done = run_agent(notes, shell("echo hello", file=file))
    assert (done.output, file.read_text()) == ("hello\n", "hello\n")


def test_server_that_an_agent_leaves_running_does_not_delay_its_end_and_can_go_on_writing(
    notes: Path, tmp_path: Path
) -> None:
    file, mark = tmp_path / "output", tmp_path / "mark"
    script = f"setsid sh -c 'echo $$ >{mark}; sleep 60; echo still here' & exit 0"
    done = run_agent(notes, shell(script, file=file))
    assert done.exit_code == 0
    pid = asyncio.run(appears(mark))
    assert start_time(pid) is not None
    os.killpg(pid, signal.SIGKILL)


def test_agent_that_takes_too_long_is_killed_with_its_children(notes: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    begun = time.monotonic()
    done = run_agent(notes, shell(f"trap '' TERM; echo $$ >{mark}; sleep 60 & wait; sleep 60", limit_ms=300))
    assert (done.exit_code, done.timed_out, done.given_up) == (None, True, False)
    assert time.monotonic() - begun < 10
    assert group_is_gone(int(mark.read_text()))


def test_agent_that_is_given_up_may_end_by_itself(notes: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    async def work(agency: Agency, _server: ForkServer) -> Outcome:
        give_up = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            script = (
                f"trap 'echo bye; exit 4' TERM; echo $$ >{mark}; while :; do sleep 0.01; done 2>/dev/null"
            )
            run = tasks.create_task(agency.run(shell(script), give_up))
            await appears(mark)
            give_up.set_result(None)
        return run.result()

    done = with_agency(notes, work)
    assert (done.exit_code, done.given_up, output.last_line(done.output)) == (4, True, "bye")


def test_agent_of_the_fork_server_that_ignores_the_end_is_killed(notes: Path, tmp_path: Path) -> None:
    mark, script = tmp_path / "mark", tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntrap '' TERM\necho $$ >{mark}\nsleep 60\nsleep 60\n")
    script.chmod(0o755)

    async def work(agency: Agency, _server: ForkServer) -> Outcome:
        give_up = asyncio.get_running_loop().create_future()
        order = Order(
            program="script",
            words=("start",),
            environment=(("OCF_RESKEY_file", str(script)), ("STANDFAST_PREFIX", str(tmp_path))),
            limit_ms=15_000,
            record="test",
        )
        async with asyncio.TaskGroup() as tasks:
            run = tasks.create_task(agency.run(order, give_up))
            pid = await appears(mark)
            give_up.set_result(None)
        assert start_time(pid) is None
        return run.result()

    assert with_agency(notes, work).given_up


def test_agents_are_noted_while_they_run_and_not_afterwards(notes: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    async def work(agency: Agency, _server: ForkServer) -> tuple[int, list[int | None]]:
        give_up = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(agency.run(shell(f"echo $$ >{mark}; sleep 60"), give_up))
            pid = await appears(mark)
            noted = [noted_pid(path) for path in notes.iterdir()]
            give_up.set_result(None)
        return pid, noted

    pid, noted = with_agency(notes, work)
    assert (noted, list(notes.iterdir())) == ([pid], [])


def test_end_of_the_fork_server_ends_its_agents_and_the_next_agent_gets_a_new_one(
    notes: Path, tmp_path: Path
) -> None:
    mark, script = tmp_path / "mark", tmp_path / "script"
    script.write_text(f'#!/bin/sh\n[ "$1" = stop ] && exit 0\necho $$ >{mark}\nsleep 60\n')
    script.chmod(0o755)

    def order(operation: str) -> Order:
        environment = (("OCF_RESKEY_file", str(script)), ("STANDFAST_PREFIX", str(tmp_path)))
        return Order(
            program="script", words=(operation,), environment=environment, limit_ms=15_000, record="test"
        )

    async def work(agency: Agency, _server: ForkServer) -> tuple[Outcome, Outcome, int]:
        never = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            lost = tasks.create_task(agency.run(order("start"), never))
            pid = await appears(mark)
            os.kill(server_of(pid), signal.SIGKILL)
        return lost.result(), await agency.run(order("stop"), never), pid

    lost, after, pid = with_agency(notes, work)
    assert (lost.exit_code, "the agents' server died" in lost.output, after.exit_code) == (None, True, 0)
    assert start_time(pid) is None


def server_of(pid: int) -> int:
    """Return the parent of the agent that runs this script."""
    agent = parent_of(pid)
    return parent_of(agent)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def sleeper(*words: str) -> subprocess.Popen[bytes]:
    """Start a process that ignores SIGTERM, with a group of its own."""
    source = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    child = subprocess.Popen(
        [sys.executable, "-c", source, *words], stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    return child


def test_agent_that_a_killed_daemon_left_is_ended(notes: Path) -> None:
    child = sleeper()
    note_pid(notes / "service.start.1", child.pid)
    asyncio.run(end_leftovers(notes))
    with child:
        assert (child.wait(WAIT_S_MAX), list(notes.iterdir())) == (-signal.SIGKILL, [])


def test_agent_that_was_about_to_be_noted_is_found_by_its_arguments(notes: Path) -> None:
    child = sleeper("/usr/share/cluster/lamp.sh", "start hall")
    note_intent(notes / "service.start.1", ("/usr/share/cluster/lamp.sh", "start hall"))
    asyncio.run(end_leftovers(notes))
    with child:
        assert (child.wait(WAIT_S_MAX), list(notes.iterdir())) == (-signal.SIGKILL, [])


@pytest.mark.parametrize(
    "text", ["", "rubbish", "99999999 12", "-", "- no json", '- ["/never/started"]', "1 1"], ids=range(7)
)
def test_note_of_an_agent_that_is_gone_ends_nobody(notes: Path, text: str) -> None:
    (notes / "service.start.1").write_text(text)
    asyncio.run(end_leftovers(notes))
    assert list(notes.iterdir()) == []


def test_process_that_got_the_number_of_an_agent_is_left_alone(notes: Path) -> None:
    child = sleeper()
    (notes / "service.start.1").write_text(f"{child.pid} 1\n")
    asyncio.run(end_leftovers(notes))
    assert child.poll() is None
    child.kill()
    with child:
        child.wait(WAIT_S_MAX)


def test_last_line_is_the_last_one_that_says_something() -> None:
    assert (output.last_line("one\n two \n\n"), output.last_line("\n")) == ("two", "")
