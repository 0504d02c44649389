"""Calls that wait for corosync, made in threads of their own, and waits that have an end."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from standfast.engine.corosync_library import CorosyncError
from standfast.errors import StandfastError

T = TypeVar("T")


async def within(limit_s: float, waiting: Awaitable[object]) -> None:
    """Wait for something that may not come."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await waiting


def leave_behind(call: Callable[[], None]) -> None:
    """Make a call whose end nobody waits for."""
    threading.Thread(target=call, name="corosync end", daemon=True).start()


async def in_thread(call: Callable[[], T], limit_s: float) -> T:
    """Make a call that waits for corosync; raises TimeoutError when it does not come back (the thread is left behind)."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, failure: BaseException | None) -> None:
        if done.done():
            return
        if failure is not None:
            done.set_exception(failure)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        try:
            result, failure = call(), None
        except (CorosyncError, StandfastError) as error:
            result, failure = None, error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            return  # the daemon has ended meanwhile

    threading.Thread(target=run, name="corosync call", daemon=True).start()
    async with asyncio.timeout(limit_s):
        return await done
