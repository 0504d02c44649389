"""One daemon on corosync, for the contract tests: it does what its standard input says and tells what it is told.

Both are one JSON object a line, with payloads in base64.
"""

import asyncio
import json
import sys
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any

from msgspec import json as records

from standfast.engine.contract import EngineEvent, Message
from standfast.engine.corosync import CorosyncEngine, attach
from standfast.errors import EngineError, StandfastError
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId

LINE_BYTES_MAX = 64 * 1024 * 1024


def say(**what: object) -> None:
    """Tell the test something."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def tell(event: EngineEvent) -> None:
    """Tell what the engine delivered."""
    if isinstance(event, Message):
        say(sender=event.sender, payload=b64encode(event.payload).decode())
    else:
        say(kind=type(event).__name__, event=records.encode(event).decode())


async def listen(engine: CorosyncEngine, takes: asyncio.Event) -> None:
    """Take events until there are no more, except while it is told to take none."""
    try:
        async for event in engine.events():
            tell(event)
            await takes.wait()
        say(ended="")
    except StandfastError as end:
        say(ended=str(end), code=end.code)


async def send(engine: CorosyncEngine, queue: asyncio.Queue[list[bytes]]) -> None:
    """Send what is asked for, one after the other, until the engine does not take it any more."""
    with suppress(EngineError):
        while True:
            for payload in await queue.get():
                say(sending=b64encode(payload).decode())
                await engine.send(payload)


async def obey(
    engine: CorosyncEngine, order: dict[str, Any], queue: asyncio.Queue[list[bytes]], takes: asyncio.Event
) -> None:
    """Carry out one order."""
    if "takes" in order:
        (takes.set if order["takes"] else takes.clear)()
    elif "send" in order:
        queue.put_nowait([b64decode(text) for text in order["send"]])
    elif "one" in order:
        payload = b64decode(order["one"])
        try:
            await engine.send(payload)
            say(sent=True)
        except StandfastError as failure:
            say(failed=str(failure), code=failure.code)
    elif "votes" in order:
        engine.configure(records.decode(order["votes"], type=VoteTable))
    elif "leave" in order:
        await engine.leave()


async def main(nodeid: int, name: str, cluster: str, votes: str) -> None:
    """Take part until standard input ends."""
    try:
        engine = await attach(NodeId(nodeid), name, cluster, records.decode(votes, type=VoteTable))
    except StandfastError as failure:
        say(failed=str(failure), code=failure.code)
        return
    say(attached=True)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    queue: asyncio.Queue[list[bytes]] = asyncio.Queue()
    takes = asyncio.Event()
    takes.set()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(listen(engine, takes)), tasks.create_task(send(engine, queue))]
        while line := await reader.readline():
            running.append(tasks.create_task(obey(engine, json.loads(line), queue, takes)))
        for task in running:
            task.cancel()
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:5]))
