"""fence_manual: the fence agent for clusters without a fence device; a person switches the node off.

It cannot fence by itself and says so at once. The daemon keeps the victim waiting, tries again, and takes the
acknowledgement of fence_ack_manual at any time. Source: spec fencing, sections 6 and 14.
"""

from collections.abc import Sequence

from standfast.agents.contract import say
from standfast.agents.fence_api import (
    ACTION,
    FenceAction,
    FenceAgent,
    FenceError,
    FenceExit,
    FenceOption,
    Options,
    Streams,
    perform_fencing,
    run_fencing,
)

_NODE = FenceOption(
    name="nodename",
    old=("ipaddr", "port", "plug"),
    short="n",
    shortdesc="Name of the node that a person has to switch off",
)

AGENT = FenceAgent(
    name="fence_manual",
    shortdesc="Fencing by hand; not for production",
    longdesc="fence_manual never succeeds by itself: a person must switch the node off and then run "
    "fence_ack_manual NODE. Until then the services that may still run on the node wait.",
    options=(ACTION, _NODE),
    actions=tuple(
        FenceAction(name) for name in ("off", "reboot", "status", "monitor", "metadata", "validate-all")
    ),
)


def main(argv: Sequence[str], streams: Streams) -> int:
    """Say what a person has to do, and return the exit code of a failed fencing."""
    return perform_fencing(AGENT, _act, argv, streams)


def _act(action: str, options: Options, streams: Streams) -> int:
    if action == "monitor":
        return FenceExit.SUCCESS
    node = options.get(_NODE.name)
    if node is None:
        raise FenceError("fence_manual no node name; add nodename to the device of the node")
    if action == "status":
        raise FenceError(f"nobody but a person can tell whether {node} is on")
    say(
        streams.err,
        f"{node} must be switched off by a person; then acknowledge it with: fence_ack_manual {node}",
    )
    return FenceExit.FAILURE


def run() -> None:
    """Start the agent as a program."""
    run_fencing(main)


if __name__ == "__main__":
    run()
