"""Starting a process as the first one of new namespaces."""

import os
import signal
import sys
from typing import NoReturn

from standfast.lab import kernel

_PID_BYTES = 4
CONNECTION = 3  # the descriptor under which the new process finds its connection


def start_machine(*, isolation: int, connection: int, output: int) -> int:
    """Start a machine's first process in the namespaces of `isolation` and return its number here.

    Raises OSError, also when the namespaces are refused.
    """
    command = (sys.executable, "-m", "standfast.lab.machine", str(CONNECTION))
    if isolation == 0:
        pid = os.fork()
        if pid == 0:
            _become(command, connection, output)
        return pid
    readable, writable = os.pipe()
    # The middle process enters the namespaces, since only its children can be in the new PID namespace; then it goes.
    middle = os.fork()
    if middle == 0:
        _start_inside(command, isolation, connection, output, writable)
    os.close(writable)
    with os.fdopen(readable, "rb") as answer:
        packed = answer.read()
    os.waitpid(middle, 0)
    number = int.from_bytes(packed, "little", signed=True)
    if len(packed) != _PID_BYTES or number <= 0:
        raise OSError(-number, f"a machine's namespaces cannot be made: {os.strerror(-number)}")
    return number


def _start_inside(
    command: tuple[str, ...], isolation: int, connection: int, output: int, writable: int
) -> NoReturn:
    number = -1
    try:
        signal.set_wakeup_fd(-1)
        kernel.unshare(isolation)
        number = os.fork()
        if number == 0:
            _become(command, connection, output)
    except OSError as failure:
        number = -(failure.errno or 1)
    finally:
        os.write(writable, number.to_bytes(_PID_BYTES, "little", signed=True))
        os._exit(0)


def _become(command: tuple[str, ...], connection: int, output: int) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        # Both are moved out of the way first: either may have a number that the other is to get.
        connection, output = os.dup(connection), os.dup(output)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(connection, CONNECTION)
        os.execv(command[0], command)
    except OSError as failure:
        os.write(2, f"{command[0]}: {failure.strerror}\n".encode())
    finally:
        os._exit(127)
