"""The machine's own connection to the sequencer: while it answers, the machine is alive, whatever its daemon does."""

import asyncio

from standfast.engine import frames
from standfast.engine.connection import Connection, connect
from standfast.errors import EngineError, RefusedError, StandfastError
from standfast.terms import NodeId

RETRY_S = 0.1  # between two tries to reach a sequencer that is not there


async def hold_host(socket_path: str, nodeid: NodeId) -> None:
    """Say that this machine is alive, until cancelled; waits for a sequencer that is not there, or not there yet.

    Raises RefusedError when the sequencer has another machine with this node id.
    """
    while True:
        try:
            await _hold_once(socket_path, nodeid)
        except EngineError:
            await asyncio.sleep(RETRY_S)


async def _hold_once(socket_path: str, nodeid: NodeId) -> None:
    """Hold the machine until the connection ends, which it says by raising."""
    ended: asyncio.Future[StandfastError] = asyncio.get_running_loop().create_future()
    connection = Connection(socket_path, received=_ignore, lost=ended.set_result)
    await connect(socket_path, connection)
    try:
        connection.write(frames.Hold(nodeid))
        end = await ended
    finally:
        connection.close()
    if isinstance(end, RefusedError):
        raise end
    raise EngineError(str(end), code=end.code)


def _ignore(frame: frames.FromSequencer) -> None:
    """A machine takes no part in the order."""
