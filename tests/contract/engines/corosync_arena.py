"""corosync as an arena: a lab whose machines run a real corosync each, and a process on them for each daemon."""

import json
import os
import signal
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

from msgspec import json as records
from tests.contract.engines.arena import equal_votes
from tests.contract.engines.promises import Witness

from standfast.engine.contract import EngineEvent, Message, Notice, Quorum
from standfast.errors import EngineError, RefusedError
from standfast.lab.calls import PowerState
from standfast.lab.cluster import Lab, Wanted
from standfast.lab.plan import CLUSTER_NAME
from standfast.lab.session import Remote
from standfast.membership.view import View
from standfast.membership.votes import VoteTable
from standfast.terms import NodeId

WAIT_S_MAX = 30.0  # longest time that a condition may take
ATTACH_S_MAX = 30.0
NODES = 5
SEAT = Path(__file__).with_name("corosync_seat.py")
EVENTS: dict[str, type[View | Quorum | Notice]] = {"View": View, "Quorum": Quorum, "Notice": Notice}


class CorosyncLab:
    """The machines, all off between two tests."""

    def __init__(self, folder: Path) -> None:
        wanted = Wanted(directory=folder, nodes=NODES, daemon=(), corosync=True)
        self.lab = Lab.up(wanted)
        self.switch_all_off()

    def switch_all_off(self) -> None:
        """Pull every plug, and mend every link."""
        for machine in self.lab.plan().machines:
            self.lab.kill(machine.name)
        self.lab.heal()

    def close(self) -> None:
        """Remove the lab."""
        self.lab.down()


class Daemon:
    """A daemon's process, and what it tells."""

    def __init__(
        self, remote: Remote, orders: IO[bytes], news: IO[bytes], witness: Witness, arena: "CorosyncArena"
    ) -> None:
        self.witness = witness
        self.end: str | None = None
        self.end_code = ""
        self.answers: list[dict[str, Any]] = []
        self.pid = 0
        self.remote = remote
        self._orders = orders
        self._news = news
        self._arena = arena
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def order(self, **what: object) -> None:
        """Tell it to do something."""
        self._orders.write(json.dumps(what).encode() + b"\n")
        self._orders.flush()

    def ask(self, **what: object) -> dict[str, Any]:
        """Tell it to do something, and return what came of it."""
        known = len(self.answers)
        self.order(**what)
        self._arena.wait(lambda: len(self.answers) > known)
        return self.answers[-1]

    def _listen(self) -> None:
        for line in self._news:
            said = json.loads(line)
            with self._arena.happened:
                self._take(said)
                self._arena.happened.notify_all()
        with self._arena.happened:
            self.end = self.end or "its process ended"
            self._arena.happened.notify_all()

    def _take(self, said: dict[str, Any]) -> None:
        if "payload" in said:
            self.witness.events.append(Message(NodeId(said["sender"]), b64decode(said["payload"])))
        elif "kind" in said:
            event: EngineEvent = records.decode(said["event"], type=EVENTS[said["kind"]])
            self.witness.events.append(event)
        elif "sending" in said:
            self.witness.sent.append(b64decode(said["sending"]))
        elif "ended" in said:
            self.end, self.end_code = said["ended"], said.get("code", "")
        else:
            self.answers.append(said)


class CorosyncArena:
    """Machines with corosync, switched on as they are needed."""

    takes_single_cuts = False

    def __init__(self, machines: CorosyncLab, *, token_ms: int) -> None:
        self.witnesses: list[Witness] = []
        self.token_ms = token_ms
        self.happened = threading.Condition()
        self.daemons: dict[int, Daemon] = {}
        self._lab = machines.lab
        self._machines = machines
        self._votes: VoteTable | None = None

    def close(self) -> None:
        """End everything."""
        self._machines.switch_all_off()
        for daemon in self.daemons.values():
            daemon.thread.join(WAIT_S_MAX)
            daemon.remote.close()

    def attach(
        self,
        nodeid: int,
        votes: VoteTable,
        *,
        name: str = "",
        cluster: str = CLUSTER_NAME,
        nodeid_told: int | None = None,
    ) -> Witness:
        """As in the contract; `nodeid_told` and `cluster` are what the daemon believes, where that is not so."""
        self._votes = self._votes or votes
        self.host_up(nodeid)
        witness = Witness(NodeId(nodeid), name or f"vapp{nodeid}")
        daemon = self._start(
            nodeid, (nodeid if nodeid_told is None else nodeid_told, votes, cluster), witness
        )
        self.wait(lambda: bool(daemon.answers) or daemon.end is not None)
        assert daemon.answers, f"{witness.name}: {daemon.end}"
        answer = daemon.answers.pop(0)
        if "failed" in answer:
            raise RefusedError(answer["failed"], code=answer["code"])
        self.daemons[nodeid] = daemon
        self.witnesses.append(witness)
        return witness

    def send(self, nodeid: int, payloads: Iterable[bytes]) -> None:
        self.daemons[nodeid].order(send=[b64encode(p).decode() for p in payloads])

    def send_one(self, nodeid: int, payload: bytes) -> None:
        daemon = self.daemons[nodeid]
        answer = daemon.ask(one=b64encode(payload).decode())
        if "failed" in answer:
            raise EngineError(answer["failed"], code=answer["code"])
        daemon.witness.sent.append(payload)

    def configure(self, nodeid: int, votes: VoteTable) -> None:
        self.daemons[nodeid].order(votes=records.encode(votes).decode())

    def leave(self, nodeid: int) -> None:
        self.daemons[nodeid].order(leave=True)

    def process_down(self, nodeid: int) -> None:
        self.daemons.pop(nodeid).remote.signal(signal.SIGKILL)

    def host_up(self, nodeid: int) -> None:
        name = f"vapp{nodeid}"
        if self._power(name) is PowerState.OFF:
            self._lab.place.cluster_conf(name).write_text(self._cluster_conf())
            self._lab.power_on(name)
            self._lab.node(name).run(["/bin/true"], check=True)

    def host_down(self, nodeid: int) -> None:
        self._lab.kill(f"vapp{nodeid}")
        self.daemons.pop(nodeid, None)

    def freeze(self, nodeid: int) -> None:
        self.daemons[nodeid].remote.signal(signal.SIGSTOP)

    def thaw(self, nodeid: int) -> None:
        self.daemons[nodeid].remote.signal(signal.SIGCONT)

    def cut(self, a: int, b: int) -> None:
        if a != b:
            self._lab.cut(f"vapp{a}", f"vapp{b}")

    def heal(self) -> None:
        self._lab.heal()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.happened:
            assert self.happened.wait_for(condition, WAIT_S_MAX), "the condition does not come true"

    def run(self, nodeid: int, *words: str) -> str:
        """Run a command on a machine and return what it prints."""
        return self._lab.node(f"vapp{nodeid}").run(words, check=True, timeout_s=WAIT_S_MAX).stdout

    def signal_corosync(self, nodeid: int, name: str) -> None:
        """Send a signal to a machine's corosync."""
        self.run(nodeid, "sh", "-c", f'kill -{name} "$(cat /run/corosync.pid)"')

    def _start(self, nodeid: int, belief: tuple[int, VoteTable, str], witness: Witness) -> Daemon:
        told, votes, cluster = belief
        orders_in, orders_out = os.pipe()
        news_in, news_out = os.pipe()
        try:
            remote = self._lab.node(f"vapp{nodeid}").start(
                [
                    "env",
                    f"PYTHONPATH={os.pathsep.join(str(p) for p in _import_path())}",
                    "python",
                    str(SEAT),
                    str(told),
                    witness.name,
                    cluster,
                    records.encode(votes).decode(),
                ],
                stdin=orders_in,
                stdout=news_out,
                stderr=2,
            )
        finally:
            os.close(orders_in)
            os.close(news_out)
        return Daemon(remote, os.fdopen(orders_out, "wb"), os.fdopen(news_in, "rb"), witness, self)

    def _power(self, name: str) -> PowerState:
        return next(m.power for m in self._lab.status().machines if m.name == name)

    def _cluster_conf(self) -> str:
        votes = self._votes or equal_votes(1, 2)
        nodes = "".join(
            f'    <clusternode name="vapp{n}" nodeid="{n}" votes="{v}"/>\n' for n, v in votes.votes
        )
        two = ' two_node="1" expected_votes="1"' if votes.two_node else ""
        return (
            f'<cluster name="{CLUSTER_NAME}" config_version="1">\n  <clusternodes>\n{nodes}  </clusternodes>\n'
            f'  <cman{two}/>\n  <totem token="{self.token_ms}"/>\n</cluster>\n'
        )


def _import_path() -> tuple[Path, ...]:
    import standfast

    return (Path(str(standfast.__file__)).parents[1],)
