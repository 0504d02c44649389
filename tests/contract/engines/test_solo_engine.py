"""The engine of a cluster of one keeps the contract, too."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.contract.engines.arena import equal_votes

from standfast.engine.contract import MESSAGE_BYTES_MAX, EngineEvent, Message, Quorum
from standfast.engine.solo import SoloEngine
from standfast.errors import EngineError
from standfast.membership.view import View
from standfast.terms import NodeId

ONE = NodeId(1)
ALONE = equal_votes(1)
WAIT_S_MAX = 10.0


def run(story: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(WAIT_S_MAX):
            await story

    asyncio.run(limited())


async def take(engine: SoloEngine, count: int) -> list[EngineEvent]:
    return [await anext(engine.events()) for _ in range(count)]


def test_it_is_alone_quorate_and_hears_itself_in_order() -> None:
    async def story() -> None:
        engine = SoloEngine(ONE, "vapp1", ALONE, view_id=7)
        await engine.send(b"first")
        await engine.send(b"second")
        assert await take(engine, 4) == [
            View(view_id=7, members=(ONE,), joined=(ONE,), left=(), hosts=(ONE,)),
            Quorum(7, quorate=True),
            Message(ONE, b"first"),
            Message(ONE, b"second"),
        ]
        assert engine.nodeid == 1

    run(story())


def test_a_new_vote_table_is_judged_at_once() -> None:
    async def story() -> None:
        engine = SoloEngine(ONE, "vapp1", ALONE, view_id=7)
        engine.configure(equal_votes(1, 2))
        assert (await take(engine, 3))[1:] == [Quorum(7, quorate=True), Quorum(7, quorate=False)]

    run(story())


def test_a_message_that_is_too_long_is_refused() -> None:
    async def story() -> None:
        engine = SoloEngine(ONE, "vapp1", ALONE, view_id=7)
        with pytest.raises(EngineError, match="vapp1: a message of 1048577 bytes"):
            await engine.send(b"x" * (MESSAGE_BYTES_MAX + 1))

    run(story())


def test_sending_waits_while_nothing_is_taken() -> None:
    async def story() -> None:
        engine = SoloEngine(ONE, "vapp1", ALONE, view_id=7)
        async with asyncio.TaskGroup() as tasks:
            sending = [tasks.create_task(engine.send(bytes(MESSAGE_BYTES_MAX))) for _ in range(8)]
            while sum(task.done() for task in sending) < 4:
                await asyncio.sleep(0)
            assert not all(task.done() for task in sending)
            events = await take(engine, 10)
        assert len([event for event in events if isinstance(event, Message)]) == 8

    run(story())


def test_iteration_ends_after_goodbye_and_nothing_can_be_sent() -> None:
    async def story() -> None:
        engine = SoloEngine(ONE, "vapp1", ALONE, view_id=7)
        await engine.leave()
        assert len([event async for event in engine.events()]) == 2
        with pytest.raises(EngineError, match="vapp1: this daemon left the engine"):
            await engine.send(b"too late")

    run(story())


def test_a_wait_for_events_that_is_given_up_loses_none() -> None:
    async def story() -> None:
        engine = SoloEngine(ONE, "vapp1", ALONE, view_id=7)
        await take(engine, 2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(engine.events()), timeout=0.01)
        await engine.send(b"still there")
        assert await take(engine, 1) == [Message(ONE, b"still there")]

    run(story())
