"""A daemon that stood still notices it before it does anything else, and holds its agents back."""

import asyncio
import signal
import subprocess
import sys

from standfast.node.gate import Gate
from standfast.node.guard import Guard, WatchfulSelector, clock_ms, longest_silence_ms

STOPPED = """
import asyncio, sys
from standfast.node.guard import Guard, WatchfulSelector

guard = Guard()

async def main():
    guard.watch(200, lambda ms: print("woke", flush=True))
    loop = asyncio.get_running_loop()
    taken = asyncio.Event()
    loop.add_reader(0, taken.set)
    print("ready", flush=True)
    while not taken.is_set():
        await asyncio.wait([loop.create_future()], timeout=0.01)
    print("event", flush=True)

with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(WatchfulSelector(guard))) as runner:
    runner.run(main())
"""


def test_standstill_is_told_before_any_event_that_waited() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGSTOP)
        child.stdin.write(b"x")
        child.stdin.flush()
        try:
            child.communicate(timeout=0.5)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGCONT)
        told = child.stdout.read().decode().split()
    assert told[:2] == ["woke", "event"]


def test_longer_token_time_makes_longer_standstills_ordinary() -> None:
    guard = Guard()
    told: list[int] = []
    guard.allow(10_000)  # nothing is watched yet
    guard.watch(0, told.append)
    stand_still()
    guard.look()
    guard.allow(10_000)
    stand_still()
    guard.look()
    assert len(told) == 1


def stand_still() -> None:
    since_ms = clock_ms()
    while clock_ms() == since_ms:
        pass


def test_ordinary_life_is_no_standstill() -> None:
    guard = Guard()
    told: list[int] = []

    async def live() -> None:
        guard.watch(2000, told.append)
        await asyncio.sleep(0.05)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(WatchfulSelector(guard))) as runner:
        runner.run(live())
    assert told == []


def test_longest_silence_is_always_shorter_than_the_token_time() -> None:
    assert [longest_silence_ms(token_ms) for token_ms in (50, 1000, 10_000)] == [35, 700, 7000]


def test_nobody_passes_a_closed_gate_until_it_is_opened() -> None:
    async def pass_gate() -> bool:
        gate = Gate(lambda: None)
        give_up = asyncio.get_running_loop().create_future()
        gate.close()
        async with asyncio.TaskGroup() as tasks:
            passing = tasks.create_task(gate.passed(give_up))
            await asyncio.sleep(0)
            assert not passing.done()
            gate.open()
        return passing.result()

    assert asyncio.run(pass_gate())


def test_work_that_is_given_up_waits_at_no_gate() -> None:
    async def pass_gate() -> bool:
        gate = Gate(lambda: None)
        give_up = asyncio.get_running_loop().create_future()
        gate.close()
        async with asyncio.TaskGroup() as tasks:
            passing = tasks.create_task(gate.passed(give_up))
            give_up.set_result(None)
        return passing.result()

    assert not asyncio.run(pass_gate())


def test_standstill_that_is_noticed_at_the_gate_closes_it_first() -> None:
    async def pass_gate() -> bool:
        gate = Gate(lambda: gate.close())  # noqa: PLW0108 - the gate is not there yet
        give_up = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks:
            passing = tasks.create_task(gate.passed(give_up))
            await asyncio.sleep(0)
            was_held = not passing.done()
            give_up.set_result(None)
        return was_held

    assert asyncio.run(pass_gate())
