"""A lab as a Python object: for the command line, the demonstration and the tests."""

import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct, json

from standfast.errors import StandfastError, UnreachableError
from standfast.lab import calls, channel, session, starting
from standfast.lab.calls import AddressEvent, DaemonAction, LabStatus
from standfast.lab.names import read_cluster_conf
from standfast.lab.plan import (
    CORE,
    NODES_MAX,
    LabPlan,
    Network,
    Place,
    corosync_daemon_command,
    default_cluster_conf,
    default_names,
    needs_namespaces,
    network_of,
    node_daemon_command,
    node_machines,
    sequencer_command,
)
from standfast.node.corosync_process import find_corosync


class Wanted(Struct, frozen=True, kw_only=True):
    """What a lab is to be. `nodes` None: as many as `config` has, or two; `config` None: a plain cluster of the nodes.

    `daemon` and `sequencer` None: Standfast's own; empty: none. `corosync`: on corosync instead of the embedded engine.
    """

    directory: Path
    nodes: int | None = None
    config: Path | None = None
    isolated: bool = True
    daemon: tuple[str, ...] | None = None
    sequencer: tuple[str, ...] | None = None
    start_daemons: bool = True
    corosync: bool = False


def plan_lab(wanted: Wanted) -> LabPlan:
    """Return the plan of the lab; raises StandfastError when it cannot be, ConfError when its config is no good."""
    place = Place(directory=wanted.directory.absolute())
    if wanted.corosync and not wanted.isolated:
        raise StandfastError(needs_namespaces("they were not asked for"), code="lab-corosync")
    if wanted.corosync:
        find_corosync()
    if wanted.nodes is not None and not 1 <= wanted.nodes <= NODES_MAX:
        raise StandfastError(f"{wanted.nodes} nodes: a lab has 1 to {NODES_MAX}", code="lab-too-many")
    if wanted.config is None:
        machines = node_machines(default_names(wanted.nodes or 2))
        text = default_cluster_conf(machines, place, corosync=wanted.corosync)
    else:
        text, names = read_cluster_conf(wanted.config)
        if wanted.nodes is not None and wanted.nodes > len(names):
            raise StandfastError(
                f"{wanted.config}: only {len(names)} cluster nodes, not {wanted.nodes}; add some with:"
                f" ccs_tool addnode -c {wanted.config} ...",
                code="lab-too-many",
            )
        names = names[: wanted.nodes]
        if len(names) > NODES_MAX:
            raise StandfastError(
                f"{wanted.config}: {len(names)} cluster nodes; a lab has at most {NODES_MAX}, choose with --nodes",
                code="lab-too-many",
            )
        machines = node_machines(names)
    return LabPlan(
        directory=str(place.directory),
        machines=machines,
        cluster_conf=text,
        daemon=_daemon_command(wanted, place) if wanted.daemon is None else wanted.daemon,
        sequencer=_sequencer_command(wanted, place) if wanted.sequencer is None else wanted.sequencer,
        start_daemons=wanted.start_daemons,
        isolated=wanted.isolated,
        corosync=wanted.corosync,
    )


def _daemon_command(wanted: Wanted, place: Place) -> tuple[str, ...]:
    return corosync_daemon_command() if wanted.corosync else node_daemon_command(place)


def _sequencer_command(wanted: Wanted, place: Place) -> tuple[str, ...]:
    return () if wanted.corosync else sequencer_command(place)


class Node:
    """One machine of a running lab, `core` too."""

    def __init__(self, lab: "Lab", name: str) -> None:
        self._lab = lab
        self.name = name

    def run(
        self,
        arguments: Sequence[str],
        *,
        text: str | None = None,
        timeout_s: float | None = None,
        environment: Mapping[str, str] | None = None,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there and return its output; raises StandfastError where that is impossible.

        Raises subprocess.TimeoutExpired and, with `check`, subprocess.CalledProcessError, as subprocess.run does.
        """
        return session.run(
            self.start, arguments, text=text, timeout_s=timeout_s, environment=environment, check=check
        )

    def start(
        self,
        arguments: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int,
        environment: Mapping[str, str] | None = None,
        directory: str | None = None,
        terminal: bool = False,
    ) -> session.Remote:
        """Start a command there on the given descriptors, which stay the caller's to close; raises StandfastError."""
        ours, theirs = channel.pair()
        call = calls.Execute(
            machine=self.name,
            arguments=tuple(arguments),
            environment=tuple((environment or {}).items()),
            directory=str(Path.cwd()) if directory is None else directory,
            terminal=terminal,
        )
        try:
            self._lab.call(call, (stdin, stdout, stderr, theirs.fileno()))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return session.Remote(self.name, ours)


class Lab:
    """A running lab. As a context manager it is removed at the end, when this process is killed, too, if it `owns` it."""

    def __init__(self, directory: Path, ownership: starting.Ownership | None = None) -> None:
        self.place = Place(directory=directory.absolute())
        self._ownership = ownership
        self._connection: socket.socket | None = None
        self._calling = threading.Lock()  # an answer belongs to the call before it

    @classmethod
    def up(cls, wanted: Wanted, progress: Callable[[str], None] = lambda _text: None) -> Self:
        """Start a lab that lives as long as this process, or until `down`; raises StandfastError.

        Its nodes are booted when this returns, and their daemons started, which may not have found each other yet.
        """
        plan = plan_lab(wanted)
        return cls(Path(plan.directory), starting.start(plan, progress))

    def release(self) -> None:
        """Let the lab live on after this process."""
        if self._ownership is not None:
            self._ownership.release()
            self._ownership = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def plan(self) -> LabPlan:
        """The plan by which the lab runs; raises StandfastError when there is none."""
        try:
            return json.decode(self.place.plan.read_bytes(), type=LabPlan)
        except OSError as failure:
            raise self.not_running() from failure

    @property
    def network(self) -> Network:
        """The lab's addresses."""
        return network_of(self.plan())

    @property
    def web_script(self) -> str:
        """The path of the web server's init script, the same on every node, for the configuration."""
        if self.plan().isolated:
            return "/etc/init.d/httpd"
        return str(self.place.root(self.plan().machines[0].name) / "etc/init.d/httpd")

    def node(self, name: str) -> Node:
        """A machine by its name."""
        return Node(self, name)

    @property
    def core(self) -> Node:
        """The client's machine."""
        return self.node(CORE)

    def check_machine(self, name: str) -> None:
        """Raise StandfastError when the lab has no machine of this name."""
        names = [CORE, *(machine.name for machine in self.plan().machines)]
        if name not in names:
            raise StandfastError(
                f'there is no machine "{name}" in this lab; there are {", ".join(names)}', code="lab-no-node"
            )

    def status(self) -> LabStatus:
        """The lab as it stands."""
        answer = self.call(calls.GetStatus())
        assert isinstance(answer, LabStatus)
        return answer

    def address_events(self) -> tuple[AddressEvent, ...]:
        """All changes of the nodes' addresses so far."""
        answer = self.call(calls.GetAddresses())
        assert isinstance(answer, calls.Addresses)
        return answer.events

    def kill(self, node: str) -> None:
        """Pull the plug of a node; when this returns, nothing of it runs."""
        self.call(calls.Kill(node))

    def freeze(self, node: str) -> None:
        """Stop all processes of a node where they stand."""
        self.call(calls.Freeze(node))

    def thaw(self, node: str) -> None:
        """Let a frozen node go on."""
        self.call(calls.Thaw(node))

    def power_on(self, node: str) -> None:
        """Switch a node on and wait until it has booted."""
        self.call(calls.PowerOn(node))

    def operate_daemon(self, node: str, action: DaemonAction) -> None:
        """Start, stop or kill a node's daemon alone."""
        self.call(calls.OperateDaemon(node, action))

    def cut(self, one: str, other: str) -> None:
        """Break the link between two machines."""
        self.call(calls.Cut(one, other))

    def heal(self) -> None:
        """Mend all links."""
        self.call(calls.Heal())

    def down(self) -> None:
        """Remove the lab and wait until it is gone; nothing happens if it is gone already."""
        end = starting.End(self.place)
        if self._ownership is not None:
            self._ownership.drop()
            self._ownership = None
        elif starting.is_running(self.place):
            self.call(calls.Down())
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        end.wait()
        starting.remove_leftovers(self.place)

    def call(self, call: calls.Call, descriptors: Sequence[int] = ()) -> calls.Answer:
        """Have the supervisor carry out a call; raises StandfastError with its words when it refuses.

        Threads take turns.
        """
        with self._calling:
            return self._call(call, descriptors)

    def _call(self, call: calls.Call, descriptors: Sequence[int]) -> calls.Answer:
        if self._connection is None:
            if not starting.is_running(self.place):
                raise self.not_running()
            self._connection = channel.connect(self.place.control)
        try:
            channel.send(self._connection, call, descriptors)
            data, _ = channel.receive(self._connection)
        except ConnectionError:
            data = b""
        if not data:
            self._connection.close()
            self._connection = None
            if isinstance(call, calls.Down):
                return calls.Done()
            raise self.not_running()
        answer = calls.decode_answer(data)
        if isinstance(answer, calls.Refused):
            raise StandfastError(answer.text, code=answer.code)
        return answer

    def not_running(self) -> UnreachableError:
        """The error that says that there is no lab."""
        return UnreachableError(
            f"no lab runs in {self.place.directory}; start one with: standfast lab up", code="lab-not-running"
        )
