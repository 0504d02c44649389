"""Asking this node's daemon: one call, one answer, as the wire's records."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from msgspec import DecodeError, Struct, ValidationError, json

from standfast.cli.line import answer_lines
from standfast.errors import UnreachableError
from standfast.wire.control import PROTOCOL_VERSION, Answer, AnswerLine, Call, Progress, encode_call
from standfast.wire.paths import PREFIX_VARIABLE, paths_under


class Ask(Protocol):
    """What a command needs of the daemon: `ask`, with the socket already known."""

    def __call__(
        self, call: Call, *, timeout_s: float | None = None, progress: Callable[[str], None] | None = None
    ) -> Answer:
        """Return the answer to one call; UnreachableError where there is none."""


class _Version(Struct, frozen=True):
    v: int


def ask(
    call: Call,
    *,
    socket_path: str,
    timeout_s: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Answer:
    """Send one call and return the first answer that is not Progress, whose texts go to `progress`.

    `timeout_s` bounds the whole conversation; None waits without limit. Raises UnreachableError, with the system's
    reason, where no daemon answers, where it dies in the middle, and where what answers is not of our protocol.
    """
    for line in answer_lines(encode_call(call), socket_path=socket_path, timeout_s=timeout_s):
        answer = _read(line, socket_path)
        if not isinstance(answer, Progress):
            return answer
        if progress is not None:
            progress(answer.text)
    raise AssertionError("answer_lines ends by an exception only")


def daemon_of(environ: Mapping[str, str]) -> Ask:
    """Return `ask` for the daemon of the node that the environment names; no name: the machine itself."""
    return partial(ask, socket_path=paths_under(environ.get(PREFIX_VARIABLE, "")).control_socket)


def _read(line: bytes, socket_path: str) -> Answer:
    try:
        version = json.decode(line, type=_Version).v
        if version == PROTOCOL_VERSION:
            return json.decode(line, type=AnswerLine).answer
    except (ValidationError, DecodeError) as error:
        raise UnreachableError(
            f"{socket_path}: the answer is not of our protocol ({error}); this is not the daemon's socket, or the "
            "daemon is of another release: restart it",
            code="not-our-protocol",
        ) from error
    raise UnreachableError(
        f"{socket_path}: the daemon speaks version {version} of the protocol and this command version "
        f"{PROTOCOL_VERSION}; restart the daemon, so that both are of one release",
        code="not-our-protocol",
    )
