"""How cman_tool talks to this node's daemon, and how it says that it could not. Loads little: see cman_snapshot.py."""

from __future__ import annotations

import json
import os
import time

from standfast.cli.cman_snapshot import Cluster
from standfast.cli.fields import Json, read_answer, text_of
from standfast.cli.line import PREFIX_VARIABLE, PROTOCOL_VERSION, answer_lines, control_socket
from standfast.cli.snapshot import read_status
from standfast.errors import StandfastError, UnreachableError

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PROGRAM = "cman_tool"
ANSWER_S_MAX = 5.0  # longest wait for the daemon's status
TIMED_OUT = 2  # exit status

NOT_RUNNING = f"{PROGRAM}: Cannot open connection to cman, is it running ?"
DENIED = f"{PROGRAM}: Cannot open connection to cman, permission denied."


class StopError(Exception):
    """The command ends here: `text` is for standard error, newline excluded, and `status` is the exit status."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.status = status


def _run(word: str, arguments: Sequence[str]) -> str:
    from standfast.cli.node_program import run_node_program

    return run_node_program(word, arguments)


def _begin(word: str, arguments: Sequence[str]) -> None:
    from standfast.cli.node_program import begin_node_program

    begin_node_program(word, arguments)


class Daemon:
    """This node's daemon. `send` takes a line and a limit in seconds and gives the lines of the answer.

    `run` and `begin` take the word "up" or "down" of standfast, and options: the one waits for its end and returns "" or
    why it failed, the other does not wait. `has_corosync`: there may be one to be ended when the daemon has left.
    """

    def __init__(
        self,
        send: Callable[[bytes, float | None], Iterator[bytes]],
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        run: Callable[[str, Sequence[str]], str] = _run,
        begin: Callable[[str, Sequence[str]], None] = _begin,
        has_corosync: bool = True,
    ) -> None:
        self.has_corosync = has_corosync
        self._send = send
        self.run = run
        self.begin = begin
        self.clock = clock
        self.pause = pause

    def cluster(self) -> Cluster:
        """Return what the daemon says of the membership. Raises StopError."""
        try:
            line = next(self._send(call_line({"type": "status"}), ANSWER_S_MAX))
            return Cluster(read_status(line))
        except StandfastError as error:
            raise stop(error) from error

    def converse(self, call: Json, timeout_s: float | None = None) -> Iterator[Json]:
        """Yield the daemon's answers to one call, progress too. Raises StandfastError."""
        for line in self._send(call_line(call), timeout_s):
            answer = read_answer(line)
            yield answer
            if answer.get("type") != "progress":
                return

    def ask(self, call: Json, timeout_s: float | None = None) -> Json:
        """Return the answer to one call that is not progress. Raises StandfastError."""
        *_, answer = self.converse(call, timeout_s)
        return answer


def daemon_here() -> Daemon:
    """Return the daemon that the environment names."""
    prefix = os.environ.get(PREFIX_VARIABLE, "")
    path = control_socket(prefix)
    return Daemon(
        lambda line, timeout_s: answer_lines(line, socket_path=path, timeout_s=timeout_s),
        has_corosync=not prefix,  # a machine has one, and what has a prefix is less than a machine
    )


def call_line(call: Json) -> bytes:
    """Return the line of a call: wire.control's records, without their library."""
    return json.dumps({"v": PROTOCOL_VERSION, "call": call}, ensure_ascii=False).encode() + b"\n"


def stop(error: StandfastError) -> StopError:
    """Return the words in which cman_tool says that it cannot talk to the daemon."""
    match error.code:
        case "daemon-down" | "daemon-died":
            return StopError(NOT_RUNNING)
        case "daemon-denied" | "permission-denied":
            return StopError(DENIED)
        case _:
            return StopError(f"{PROGRAM}: {error}")


def reason(error: StandfastError) -> str:
    """Return the system's word for a refusal, with the daemon's own reason; raises StopError where nobody refused."""
    if isinstance(error, UnreachableError):
        raise stop(error)
    words = {
        "value-refused": "Invalid argument",
        "node-not-member": "Invalid argument",
        "node-unknown": "No such file or directory",
        "node-busy": "Device or resource busy",
        "leaving-already": "Operation already in progress",
        "not-synced": "Node is not yet a cluster member",
    }
    if error.code == "permission-denied":
        raise stop(error)
    word = words.get(error.code)
    return str(error) if word is None else f"{word} ({error})"


def progress_text(answer: Json) -> str | None:
    """Return what a progress answer says, None where the answer is another."""
    return text_of(answer, "text") if answer.get("type") == "progress" else None
