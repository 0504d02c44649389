"""fence_lab: the fence agent that powers a lab node off and on.

It asks the lab's power controller over a Unix stream socket: one connection is one request, the line `ACTION NODE`
(ACTION: off, on, reboot, status, list), answered with one line `ok STATE` (STATE: on or off), `ok NODE,NODE,...`
for list, or `error TEXT`.
"""

import socket
from collections.abc import Sequence

from standfast.agents.fence_api import (
    ACTION,
    DELAY,
    PLUG,
    POWER_TIMEOUT,
    FenceAgent,
    FenceError,
    FenceOption,
    Options,
    Streams,
    perform_fencing,
    run_fencing,
    seconds,
)
from standfast.agents.fence_power import POWER_ACTIONS, Power, perform_power_action

ANSWER_BYTES_MAX = 64 * 1024  # longest answer of the power controller
ANSWER_S_MIN = 1.0  # the controller is given at least this long to answer, even with power_timeout=0

_SOCKET = FenceOption(
    name="ip",
    old=("ipaddr",),
    short="a",
    required=True,
    shortdesc="Path of the lab's power socket",
)

AGENT = FenceAgent(
    name="fence_lab",
    shortdesc="Fence agent for the nodes of a lab on this machine",
    longdesc="fence_lab powers a node of `standfast lab` off and on through the lab's power socket.",
    options=(ACTION, _SOCKET, PLUG, DELAY, POWER_TIMEOUT),
    actions=POWER_ACTIONS,
)


class LabPower:
    """The lab's power controller behind its socket."""

    def __init__(self, path: str, answer_s_max: float) -> None:
        self._path = path
        self._answer_s_max = answer_s_max

    def power(self, plug: str) -> Power:
        """Ask whether a node is on."""
        return self._state("status", plug)

    def switch(self, plug: str, wanted: Power) -> None:
        """Order a node off or on."""
        self._state(wanted.value, plug)

    def plugs(self) -> tuple[str, ...]:
        """Return the names of the lab's nodes."""
        return tuple(name for name in self._ask("list", "").split(",") if name)

    def _state(self, action: str, plug: str) -> Power:
        answer = self._ask(action, plug)
        if answer not in {Power.ON, Power.OFF}:
            raise FenceError(f"{self._path}: the power controller's answer '{answer}' is neither on nor off")
        return Power(answer)

    def _ask(self, action: str, plug: str) -> str:
        """Send one request and return what follows `ok`."""
        if any(character.isspace() for character in plug):
            raise FenceError(f"plug {plug!r} is no node name")
        try:
            answer = self._exchange(f"{action} {plug}".strip() + "\n")
        except TimeoutError:
            raise FenceError(
                f"{self._path}: the power controller did not answer '{action}' within {self._answer_s_max:.0f} s"
            ) from None
        except OSError as error:
            raise FenceError(
                f"{self._path}: {error.strerror}; is the lab up? see: standfast lab status"
            ) from None
        word, _, rest = answer.strip().partition(" ")
        if word == "ok":
            return rest.strip()
        text = rest.strip() if word == "error" else f"cannot read its answer '{answer.strip()}'"
        raise FenceError(f"the power controller: {text or 'failed without a reason'}")

    def _exchange(self, request: str) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._answer_s_max)
            connection.connect(self._path)
            connection.sendall(request.encode())
            answer = b""
            while not answer.endswith(b"\n"):
                part = connection.recv(4096)
                if not part:
                    raise FenceError(f"{self._path}: the power controller hung up before it had answered")
                answer += part
                if len(answer) > ANSWER_BYTES_MAX:
                    raise FenceError(f"{self._path}: the answer is longer than {ANSWER_BYTES_MAX} bytes")
        return answer.decode(errors="replace")


def main(argv: Sequence[str], streams: Streams) -> int:
    """Carry out one fencing action and return the exit code."""
    return perform_fencing(AGENT, _act, argv, streams)


def _act(action: str, options: Options, streams: Streams) -> int:
    device = LabPower(options[_SOCKET.name], max(ANSWER_S_MIN, seconds(options, POWER_TIMEOUT)))
    return perform_power_action(device, action, options, streams)


def run() -> None:
    """Start the agent as a program."""
    run_fencing(main)


if __name__ == "__main__":
    run()
