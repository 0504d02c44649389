"""A cluster on corosync in a lab, seen from outside: what a client gets, who has the address, and what is left over."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self, TypeVar

from msgspec import json
from tests.corosync.coro_audit import check_log, kinds_of, view_of

from standfast.errors import StandfastError
from standfast.lab import watcher
from standfast.lab.calls import PowerState
from standfast.lab.cluster import Lab, Node
from standfast.lab.probes import Silence, silences
from standfast.lab.probing import Probing
from standfast.lab.story import history_of
from standfast.wire.control import HistoryLine, Status

WAIT_S_MAX = 90.0  # longest time that anything may take on a loaded machine
EVERY_MS = 10.0  # between two GETs of the client
SILENCE_MS_MAX = 700.0  # longest time between two answers of an untouched service, on a loaded machine
SERVICE = "VirtualHTTP"

T = TypeVar("T")


class Town:
    """A running lab with one service: an address and a web server."""

    def __init__(self, lab: Lab, names: Sequence[str], address: str) -> None:
        self.lab = lab
        self.names = tuple(names)
        self.address = address
        self.probing = Probing(lab, address, every_ms=EVERY_MS)
        self.is_whole = False  # the last audit found nothing amiss, and nothing has been done since
        self._log_at = 0

    # What one can ask

    def node(self, name: str) -> Node:
        """One machine."""
        return self.lab.node(name)

    def others(self, name: str) -> tuple[str, ...]:
        """All nodes but this one."""
        return tuple(other for other in self.names if other != name)

    def powered(self) -> tuple[str, ...]:
        """The nodes that are on."""
        return tuple(
            m.name for m in self.lab.status().machines if m.name in self.names and m.power is PowerState.ON
        )

    def status(self, on: str) -> Status | None:
        """What `clustat --json` says on a node; None while it cannot tell."""
        try:
            done = self.node(on).run(["clustat", "--json"], timeout_s=WAIT_S_MAX)
        except StandfastError:
            return None
        return json.decode(done.stdout, type=Status) if done.stdout.startswith("{") else None

    def owner(self, *, on: str | None = None) -> str:
        """Wait until the service is started, as `on` sees it and the client, too; return where."""

        def look() -> str | None:
            status = self.status(on or self.powered()[0])
            for service in (status and status.services) or ():
                if service.state == "started":
                    return service.owner
            return None

        found = eventually(look, what="the start of the service")
        self.answers(found)
        return found

    def config_version(self, on: str) -> int:
        """The version of the configuration that a node goes by."""
        status = self.status(on)
        assert status is not None
        return status.config_version

    def view(self, on: str) -> int:
        """The view that a node is in."""
        status = self.status(on)
        assert status is not None
        return status.view_id

    def takes_part(self, name: str) -> bool:
        """Whether a node is synced with the cluster and counts as sound there."""
        status = self.status(name)
        return (
            status is not None
            and status.synced
            and any(n.local and n.manager and not n.victim for n in status.nodes)
        )

    def service_state(self, on: str) -> str:
        """The service's state, as a node sees it, "" while it cannot tell."""
        status = self.status(on)
        return status.services[0].state if status is not None and status.services else ""

    def holders(self) -> tuple[str, ...]:
        """The nodes that have the service's address now, as the kernel says."""
        return tuple(m.name for m in self.lab.status().machines if self.address in m.addresses)

    def history(self, on: str) -> tuple[HistoryLine, ...]:
        """What a node remembers."""
        return history_of(self.node(on))

    def events(self, on: str, since: int = 0) -> list[tuple[str, str]]:
        """The names and subjects of what a node remembers."""
        return [(line.event, line.subject) for line in self.history(on)][since:]

    def pid_of(self, program: str, on: str) -> int:
        """The process of a program on a node, by its number there."""
        (found,) = (pid for pid, _, text in self.processes(on) if program in text)
        return found

    def processes(self, on: str) -> list[tuple[int, int, str]]:
        """The processes of a machine: number, parent and command line; without the one that looks."""
        lines = (
            self.node(on).run(["ps", "-ww", "-eo", "pid=,ppid=,stat=,args="], check=True).stdout.splitlines()
        )
        fields = [line.split(None, 3) for line in lines]
        return [
            (int(pid), int(parent), text)
            for pid, parent, stat, text in fields
            if not stat.startswith("Z") and not text.startswith("ps ")
        ]

    def log(self) -> str:
        """What all nodes have logged since the last `begin`."""
        with self.lab.place.log("all").open("rb") as file:
            file.seek(self._log_at)
            return file.read().decode(errors="replace")

    # What one can do

    def begin(self) -> Self:
        """A new situation begins: nothing of before is explained by it."""
        self.is_whole = False
        self._log_at = self.lab.place.log("all").stat().st_size
        return self

    def signal(self, program: str, on: str, name: str) -> None:
        """Send a signal to a program on a node."""
        self.node(on).run(["kill", f"-{name}", str(self.pid_of(program, on))], check=True)

    def shell(self, on: str, *commands: str) -> str:
        """Have a node's shell run commands, all of which must work; return what they print."""
        return self.node(on).run(["sh", "-ec", "\n".join(commands)], check=True, timeout_s=WAIT_S_MAX).stdout

    def drop_input(self, on: str, what: str) -> None:
        """Let a node's kernel lose what comes in, as an expression of nft says."""
        self.shell(
            on,
            "nft add table inet storm",
            "nft 'add chain inet storm loss { type filter hook input priority 0; }'",
            f"nft 'add rule inet storm loss {what} drop'",
        )

    def drop_nothing(self, on: str) -> None:
        """Let everything in again."""
        self.shell(on, "nft 'add table inet storm; delete table inet storm'")

    def fill_disk(self, on: str, folder: str) -> None:
        """Let a node's folder be on a disk without room."""
        self.shell(
            on,
            f"cp -a {folder} /run/kept",
            f"mount -t tmpfs -o size=64k none {folder}",
            f"cp -a /run/kept/. {folder}",
            "rm -r /run/kept",
            f"! dd if=/dev/zero of={folder}/ballast bs=4k 2>/dev/null",
        )

    def make_room(self, on: str, folder: str) -> None:
        """Let there be room again."""
        self.shell(on, f"rm {folder}/ballast")

    def isolate(self, name: str) -> None:
        """Cut a node off from all others; the client still reaches it."""
        for other in self.others(name):
            self.lab.cut(name, other)

    def answers(self, name: str | None = None, *, since_ms: float | None = None) -> float:
        """Wait for an answer of the node, or of any, to a GET sent from now on; return when it was sent, in ms."""
        since_ms = now_ms() if since_ms is None else since_ms
        return self.probing.wait_for_answer(name, since_ms=since_ms, within_s=WAIT_S_MAX).sent_ms

    def logs(self, words: str) -> None:
        """Wait until this is in the log of the situation."""
        eventually(lambda: words in self.log(), what=f'"{words}" in the log')

    def passes(self, length_ms: float) -> None:
        """Let the client ask on for so long."""
        until_ms = now_ms() + length_ms
        eventually(lambda: self.probing.probes(until_ms))

    def web_servers(self, on: str) -> list[int]:
        """The processes of the web server on a node."""
        return [pid for pid, _, text in self.processes(on) if "standfast.lab.machine" in text and pid != 1]

    def web_server(self, on: str) -> int:
        """The process of the web server on a node that has the service."""
        (found,) = self.web_servers(on)
        return found

    def silences(self, since_ms: float) -> tuple[Silence, ...]:
        """The times since then in which the client heard nothing although it asked, as long as nobody misses an answer."""
        return silences(self.probing.probes(since_ms), SILENCE_MS_MAX)

    # The audit

    def audit(
        self,
        *,
        explained: Sequence[str] = (),
        possible: Sequence[str] = (),
        members: Sequence[str] | None = None,
    ) -> str:
        """Judge the cluster after a situation, and return the service's owner.

        Exactly one node has the service, and the client hears that one; the members agree on everything; nothing is left
        over; the address was never on two nodes; and each line of trouble has words of `explained`, all of which are
        there, or of `possible`. `members` None: all nodes are back.
        """
        members = self.names if members is None else tuple(members)
        eventually(partial(self._agree, members), what=f"agreement of {', '.join(members)}")
        owner = self.owner(on=members[0])
        eventually(lambda: self.holders() == (owner,), what=f"the address on {owner} alone")
        for name in members:
            eventually(
                partial(self._is_tidy, name, owner=owner), what=f"a tidy {name}: {self._survey(name)}; it"
            )
        self.check_address()
        self.check_log(explained=explained, possible=possible)
        assert (self.owner(on=members[-1]), self.holders()) == (owner, (owner,))
        self.is_whole = members == self.names
        return owner

    def check_address(self) -> None:
        """Fail where the address was on two nodes at once, ever."""
        judgement = watcher.never_on_two(self.lab.address_events(), self.address)
        assert judgement.verdict is watcher.Verdict.KEPT, judgement.because

    def check_log(self, *, explained: Sequence[str] = (), possible: Sequence[str] = ()) -> None:
        """Fail where a line of trouble is not explained, or an explained one is missing."""
        check_log(self.log(), explained, possible)

    def _agree(self, members: tuple[str, ...]) -> bool:
        views = [view_of(self.status(name)) for name in members]
        seen = views[0]
        return (
            seen is not None
            and views == [seen] * len(members)
            and seen.is_working
            and seen.members == tuple(sorted(members))
            and len(seen.services) == 1
            and seen.services[0][1] == "started"
        )

    def _survey(self, name: str) -> str:
        return f"{self.processes(name)}, {self._files(name)}"

    def _files(self, name: str) -> list[str]:
        return self.shell(name, "find /run/standfast/agents /var/lib/standfast/running -type f").splitlines()

    def _is_tidy(self, name: str, *, owner: str) -> bool:
        """Whether only what must be there is there: machine, corosync, one daemon with its server, the service."""
        has = name == owner
        wanted = ["agents' server", "corosync", "daemon", "machine", *(["web server"] if has else [])]
        files = [f"/var/lib/standfast/running/service%3A{SERVICE}.json"] if has else []
        return kinds_of(self.processes(name)) == wanted and self._files(name) == files


def now_ms() -> float:
    """The monotonic clock, which all machines of a lab share."""
    return time.monotonic() * 1000


def eventually(look: Callable[[], T | None], *, within_s: float = WAIT_S_MAX, what: str = "it") -> T:
    """Return the first true value of `look`; fails when there is none in time."""
    give_up = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < give_up, f"{what} did not happen within {within_s:g} s"
        time.sleep(0.02)
    return found
