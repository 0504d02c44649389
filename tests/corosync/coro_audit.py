"""What the nodes of a cluster must agree on, what may be in their logs, and what may be left on them after a situation."""

import re
from collections.abc import Sequence

from msgspec import Struct

from standfast.wire.control import Status

TROUBLE = re.compile(
    r"(WARNING|ERROR|CRITICAL) \w"  # the daemon's log
    r"|standfastd: |Traceback"  # what it says when it ends
    r"|\d (warning|error|crit|alert|emerg) +\["  # corosync's log
    r"|lab: .* ended (by signal|with status [^0])"
)
ORDINARY = (
    "memory.not-spared",  # the lab's machines may not: theirs is a user namespace
    "RLIMIT_MEMLOCK",
    "[WD    ]",  # corosync's own watchdog, which is not used
    "has no active links",  # said by corosync of every node until it hears it
    "Corosync main process was not scheduled",  # this machine is busy with something else
)
"""Words of the lines of trouble that need no explanation."""


class View(Struct, frozen=True, kw_only=True):
    """What all members must see alike."""

    view_id: int
    config_version: int
    nodes: tuple[tuple[str, bool, bool, bool], ...]
    services: tuple[tuple[str, str, str | None], ...]
    is_working: bool  # quorate, synced, and nobody is waited for

    @property
    def members(self) -> tuple[str, ...]:
        """The nodes whose machines are there and whose daemons take part."""
        return tuple(
            sorted(name for name, online, manager, victim in self.nodes if online and manager and not victim)
        )


def view_of(status: Status | None) -> View | None:
    if status is None:
        return None
    return View(
        view_id=status.view_id,
        config_version=status.config_version,
        nodes=tuple((n.name, n.online, n.manager, n.victim) for n in status.nodes),
        services=tuple((s.name, s.state, s.owner) for s in status.services or ()),
        is_working=status.quorate and status.synced and not status.fencing,
    )


def lost(*names: str) -> tuple[str, ...]:
    """What the others say of nodes that do not answer."""
    return tuple(f"{event} subject={name}" for name in names for event in ("member.lost", "fence.victim"))


def check_log(log: str, explained: Sequence[str], possible: Sequence[str]) -> None:
    """Fail where a line of trouble is not explained, or an explained one is missing."""
    trouble = [line for line in log.splitlines() if TROUBLE.search(line)]
    known = (*ORDINARY, *explained, *possible)
    odd = [line for line in trouble if not any(words in line for words in known)]
    assert odd == [], "\n".join(["not explained:", *odd])
    missing = [words for words in explained if not any(words in line for line in trouble)]
    assert missing == [], f"missing in the log: {missing}"


def kinds_of(processes: Sequence[tuple[int, int, str]]) -> list[str]:
    """What the processes of a machine (number, parent, command line) are, sorted; a stranger is its command line."""
    daemons = [pid for pid, _, text in processes if "standfast.node.daemon" in text]
    return sorted(_kind_of(pid, parent, text, daemons) for pid, parent, text in processes)


def _kind_of(pid: int, parent: int, text: str, daemons: Sequence[int]) -> str:
    if "standfast.lab.machine" in text:
        return "machine" if pid == 1 else "web server"
    if pid in daemons:
        return "daemon"
    if "standfast.agents.server" in text and parent in daemons:
        return "agents' server"
    return "corosync" if "/corosync -f" in text else text
