"""What our resource agents share: the exit codes, how an operation ends, and how a program starts.

Source: spec resources, sections 3.1, 3.3 and 8.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import TextIO

PROGRAM_PATH = (
    "/sbin:/usr/sbin:/bin:/usr/bin"  # where agents look for programs when the environment has no PATH
)


class Exit(IntEnum):
    """Exit codes of a resource agent (spec resources, section 3.3)."""

    SUCCESS = 0
    GENERIC = 1
    ARGUMENT = 2
    UNIMPLEMENTED = 3
    PRIVILEGE = 4
    NOT_INSTALLED = 5
    NOT_CONFIGURED = 6
    NOT_RUNNING = 7


class OperationError(Exception):
    """An operation that failed: the exit code to end with and the sentence to say."""

    def __init__(self, status: Exit, text: str) -> None:
        super().__init__(text)
        self.status = status


Operation = Callable[[Mapping[str, str], TextIO], None]
Main = Callable[[str, Mapping[str, str], TextIO], int]


def say(out: TextIO, text: str) -> None:
    """Write one line for the daemon's log; work goes on even when nobody reads any more."""
    with contextlib.suppress(OSError):
        out.write(text + "\n")
        out.flush()


def perform(
    agent: str, operations: Mapping[str, Operation], operation: str, env: Mapping[str, str], out: TextIO
) -> int:
    """Run one operation of an agent and return the exit code; a failure is told on `out` in one sentence."""
    if operation == "meta-data":
        return _print_metadata(agent, out)
    chosen = operations.get(operation)
    if chosen is None:
        say(out, f'operation "{operation}" is not one of: {" ".join(operations)} meta-data')
        return Exit.UNIMPLEMENTED
    try:
        chosen(env, out)
    except OperationError as error:
        say(out, f"{instance(env)}: {error}")
        return error.status
    return Exit.SUCCESS


def _print_metadata(agent: str, out: TextIO) -> int:
    from standfast.resources.builtin import (
        BUILTIN_AGENTS,
        render_metadata,
    )  # only here: it costs start-up time

    say(out, render_metadata(BUILTIN_AGENTS[agent]).rstrip("\n"))
    return Exit.SUCCESS


def instance(env: Mapping[str, str]) -> str:
    """Return the resource's name for messages, `type:value`."""
    return env.get("OCF_RESOURCE_INSTANCE") or env.get("OCF_RESOURCE_TYPE") or "resource"


def parameter(env: Mapping[str, str], name: str) -> str:
    """Return a parameter's text without surrounding blanks; "" where it is not given."""
    return env.get(f"OCF_RESKEY_{name}", "").strip()


def is_off(text: str) -> bool:
    """Tell whether a boolean parameter's text says no: 0, no, false or off, in any case."""
    return text.lower() in {"0", "no", "false", "off"}


def check_level(env: Mapping[str, str]) -> int:
    """Return the depth of a status check; 0 where it is missing or no number."""
    text = env.get("OCF_CHECK_LEVEL", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def shielded(call: Callable[[], int]) -> int:
    """Return what `call` returns; a defect of an agent becomes exit code 1 and one line on standard error."""
    try:
        return call()
    except Exception as defect:  # noqa: BLE001 - the process ends here; its daemon takes 1 for a failed operation
        say(
            sys.stderr,
            f"the agent failed unexpectedly: {type(defect).__name__}: {' '.join(str(defect).split())}",
        )
        return Exit.GENERIC


def run(main: Main) -> None:
    """Start `main` as a program: the operation is the first argument, the parameters are in the environment."""
    if len(sys.argv) < 2:
        say(
            sys.stdout,
            f"usage: {sys.argv[0]} OPERATION, with parameters as OCF_RESKEY_NAME in the environment",
        )
        sys.exit(Exit.ARGUMENT)
    sys.exit(shielded(lambda: main(sys.argv[1], dict(os.environ), sys.stdout)))
