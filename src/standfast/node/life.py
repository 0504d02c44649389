"""The life of one daemon: everything is put together, runs until something ends it, and is taken apart in order."""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import assert_never

from msgspec import DecodeError, Struct

from standfast.cluster import participant as core
from standfast.cluster.election import Addresses
from standfast.cluster.entry import decode
from standfast.cluster.participant import Delivered, QuorumSeen, TimePassed, Viewed, Woke
from standfast.cluster.session import Identity
from standfast.cluster.state import ClusterState, Outcome
from standfast.conf.model import Cluster
from standfast.engine.contract import Engine, EngineEvent, Message, Notice, Quorum
from standfast.engine.corosync import CorosyncEngine
from standfast.errors import StandfastError
from standfast.membership.view import View
from standfast.node.actions import Actions, Ending, EngineLost, Killed, Left, Refused, Restarting, Told
from standfast.node.addressbook import AddressBook
from standfast.node.agency import Agency
from standfast.node.attempts import Attempts, agent_path
from standfast.node.bulletin import tell_nodes
from standfast.node.census import kill_services
from standfast.node.control import ControlServer, listen
from standfast.node.corosync_file import CorosyncFile
from standfast.node.corosync_process import CONF
from standfast.node.desk import Desk, may_leave_in_order
from standfast.node.discovery import Agents
from standfast.node.follower import Follower
from standfast.node.forkserver import ForkServer
from standfast.node.gate import Gate
from standfast.node.guard import Guard, longest_silence_ms
from standfast.node.journal import Journal
from standfast.node.keeper import Keeper, Machine
from standfast.node.linkwatch import LinkWatch
from standfast.node.log import log_everything
from standfast.node.notify import Notices
from standfast.node.owner import Owner
from standfast.node.place import Place
from standfast.node.privilege import Privileges
from standfast.node.report import report
from standfast.node.sender import Sender
from standfast.node.standing import may_run, standing, takes_part
from standfast.node.trees import Definitions, TreeStore
from standfast.node.walker import Walker
from standfast.node.workshop import Workshop
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Code, DaemonReport
from standfast.wire.paths import PREFIX_VARIABLE

FLUSH_S_MAX = 5.0  # longest wait for the engine to take what this node still has to say
LEAVE_S_MAX = 10.0  # longest wait for the engine's goodbye
ANSWERS_S_MAX = 1.0  # longest wait for the operators to take their answers

logger = logging.getLogger(__name__)


class Setup(Struct, frozen=True, kw_only=True):
    """What a daemon begins with."""

    place: Place
    me: Identity
    config: Cluster
    document: str
    agents: Agents
    path: str  # where programs are looked for
    engine: str
    notices: Notices
    privileges: Privileges
    found_running: bool  # an earlier daemon of this boot has left services that may run


async def live(
    setup: Setup,
    engine: Engine,
    guard: Guard,
    *,
    longest_silence_ms: int | None,
    ready: Callable[[], None],
    keeper: Keeper,
    corosync: CorosyncEngine | None = None,
) -> Ending:
    """Run the daemon until it ends, and return why; `ready` is called when it listens. `corosync`: it is the engine.

    `longest_silence_ms` is for the guard; None: nobody takes over from this node. Raises RefusedError where the control
    socket cannot be made, and whatever a defect raises: then services are left as they are.
    """
    listener = listen(setup.place.control_socket)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Ending] = loop.create_future()
    loop.set_exception_handler(lambda _, context: _unhandled(context, ended))
    endings: list[Ending] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            daemon = Daemon(
                setup, engine, guard, keeper, corosync, listener=listener, tasks=tasks, ended=ended
            )
            await daemon.begin(longest_silence_ms)
            ready()
            keeper.notifier.ready()
            ending = await ended
            logger.info("daemon.ending", extra={"because": type(ending).__name__})
            await daemon.finish(ending)
            endings.append(ending)
            raise _DoneError
    except* _DoneError:
        pass
    return endings[0]


class _DoneError(Exception):
    """Ends the tasks of a daemon that has nothing left to do."""


class Daemon:
    """The parts of one daemon, and who hears of what."""

    def __init__(
        self,
        setup: Setup,
        engine: Engine,
        guard: Guard,
        keeper: Keeper,
        corosync: CorosyncEngine | None,
        *,
        listener: socket.socket,
        tasks: asyncio.TaskGroup,
        ended: asyncio.Future[Ending],
    ) -> None:
        place, me = setup.place, setup.me
        self._setup = setup
        self._engine = engine
        self._guard = guard
        self._keeper = keeper
        self._tasks = tasks
        self._ended = ended
        self._is_told = False
        self._gate = Gate(guard.look)
        self._owner = Owner(
            core.create(me, setup.config, setup.document), self._gate, guard.look, self._moved
        )
        self._journal = Journal(place.history)
        self._corosync = corosync
        self._follower: Follower | None = None
        if corosync is not None:
            self._follower = Follower(
                CorosyncFile(CONF, place.cluster_conf, me.nodeid),
                nodeid=me.nodeid,
                participant=lambda: self._owner.participant,
                refresh=self._refresh,
                note=lambda event, text: self._journal.add(event, me.name, text),
            )
        self._sender = Sender(engine)
        self._server = ForkServer(_server_environment(setup), tasks)
        agency = Agency(place.agents, self._server)
        self._workshop = Workshop(
            tasks=tasks,
            walker=Walker(
                agency, self._gate, setup.agents.programs, output_folder=place.output, prefix=place.prefix
            ),
            store=TreeStore(place.running, me.boot_id),
            definitions=Definitions(setup.agents.metadata),
            agents=place.agents,
            tell=self._owner.take,
            is_frozen=self._is_frozen,
        )
        self._attempts = Attempts(
            me=me.nodeid,
            agency=agency,
            gate=self._gate,
            path=agent_path(setup.path),
            prefix=place.prefix,
            tasks=tasks,
            tell=self._owner.take,
            synced=self._synced,
        )
        self._desk = Desk(
            nodeid=me.nodeid,
            incarnation=me.incarnation,
            types=tuple(setup.agents.metadata),
            journal=self._journal,
            participant=lambda: self._owner.participant,
            tell=self._owner.take,
            tasks=tasks,
            around=self,
            follower=self._follower,
        )
        self._addresses = AddressBook()
        self._control = ControlServer(place.control_socket, listener, self._desk.take_call)
        self._links = LinkWatch(lambda: self._workshop.check_now(frozenset({"ip"})))

    async def begin(self, longest_silence_ms: int | None) -> None:
        """Listen to operators, the engine, the kernel and signals."""
        setup = self._setup
        self._server.start()
        self._workshop.use(setup.config)
        self._addresses.use(setup.config)
        self._owner.begin(
            Actions(
                place=setup.place,
                boot_id=setup.me.boot_id,
                nodename=setup.me.name,
                engine=self._engine,
                sender=self._sender,
                workshop=self._workshop,
                addresses=self._addresses,
                follower=self._follower,
                attempts=self._attempts,
                desk=self._desk,
                journal=self._journal,
                tasks=self._tasks,
                tell=self._owner.take,
                end=self._end,
            ).perform
        )
        await self._control.start()
        self._links.start()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        self._journal.add("daemon.started", setup.me.name, f"incarnation {setup.me.incarnation}")
        if longest_silence_ms is not None:
            self._guard.watch(longest_silence_ms, lambda ms: self._owner.take(Woke(ms)))
        self._keeper.follow(
            Machine(
                self._prod,
                lambda: takes_part(self._owner.participant),
                lambda found_at_start: may_run(self._owner.participant, found_at_start),
            )
        )
        self._tell_standing()
        self._tasks.create_task(self._listen())
        self._tasks.create_task(self._send())
        if self._follower is not None:
            self._tasks.create_task(self._follower.run())
            self._tasks.create_task(
                tell_nodes(CONF, setup.place.cluster_conf, setup.config, setup.me.nodeid, self._journal)
            )

    def addresses(self) -> Addresses:
        """The addresses of the nodes, as far as they are known."""
        return self._addresses.known

    def clients(self) -> int:
        """How many connections to the control socket are open."""
        return self._control.clients

    def report(self) -> DaemonReport:
        """How the daemon is."""
        return report(self._setup.engine, self._setup.privileges, self._keeper, self._owner.participant)

    def debug(self, mask: int) -> None:
        """Log more, or with 0 as usual."""
        log_everything(mask)

    def end_alone(self) -> None:
        """Stop everything here and end, without the cluster's consent."""
        self._end(Told(at_once=False))

    async def finish(self, ending: Ending) -> None:
        """Do what the end asks for, and let everything go."""
        self._keeper.ending()
        if not isinstance(ending, Restarting):
            self._keeper.notifier.stopping()
        match ending:
            case Left():
                await _within(FLUSH_S_MAX, self._sender.flushed())
                await _within(LEAVE_S_MAX, self._engine.leave())
                await self._end_corosync()
                self._desk.left()
            case Refused() | EngineLost():
                await self._stop_everything()
                await self._engine.close()
            case Told(at_once=False):
                await self._stop_everything()
                await _within(LEAVE_S_MAX, self._engine.leave())
                self._desk.left()
            case Killed(because=because):
                self._owner.close()
                self._journal.add("daemon.killed", self._setup.me.name, because)
                killed = await asyncio.to_thread(kill_services, self._setup.place.prefix)
                self._journal.add("services.killed", self._setup.me.name, f"{killed} processes")
                await self._engine.close()
            case Restarting() | Told():
                await self._engine.close()
            case _:
                assert_never(ending)
        self._owner.close()
        self._attempts.cancel_all()
        self._links.close()
        await self._control.close(ANSWERS_S_MAX)
        await self._server.close()
        self._journal.add("daemon.ended", self._setup.me.name, _because(ending))

    async def _end_corosync(self) -> None:
        """Where the whole cluster stops for another configuration, corosync has to read it at its start."""
        state = self._owner.participant.session.state
        if self._follower is None or state is None or state.halt is None:
            return
        text = await self._follower.end()
        event = "corosync.not-ended" if text else "corosync.ended"
        self._journal.add(event, self._setup.me.name, text or f"for version {state.halt.version}")

    async def _stop_everything(self) -> None:
        """Stop what runs here without asking the cluster, which cannot be asked any more; a signal breaks it off."""
        self._owner.close()
        self._attempts.cancel_all()
        self._journal.add("services.emergency-stop", self._setup.me.name, "")
        self._ended = asyncio.get_running_loop().create_future()
        stopping = self._tasks.create_task(self._workshop.stop_all())
        self._keeper.notifier.status("stopping all services")
        await asyncio.wait((stopping, self._ended), return_when=asyncio.FIRST_COMPLETED)
        self._keeper.stopped(everything=stopping.done() and stopping.result())

    async def _listen(self) -> None:
        """Take what the engine delivers."""
        try:
            async for event in self._engine.events():
                self._take(event)
        except StandfastError as failure:
            self._end(EngineLost(str(failure)))

    async def _send(self) -> None:
        try:
            await self._sender.run()
        except StandfastError as failure:
            self._end(EngineLost(str(failure)))

    def _take(self, event: EngineEvent) -> None:
        match event:
            case View():
                self._owner.take(Viewed(event))
            case Quorum(view_id=view_id, quorate=quorate):
                self._owner.take(QuorumSeen(view_id, quorate))
            case Message(sender=sender, payload=payload):
                try:
                    entry = decode(payload)
                except DecodeError as failure:
                    # Nobody can read it, or those who can differ from us in what comes of it, and that will be noticed.
                    fields = {"sender": sender, "reason": str(failure)}
                    logger.error("log.unreadable", extra=fields)
                    return
                self._owner.take(Delivered(sender, entry))
            case Notice(text=text):
                self._journal.add("engine.notice", self._setup.me.name, text)
            case _:
                assert_never(event)

    def _told(self, name: str) -> None:
        """A signal: the first one asks to leave in order, the second one ends the daemon as it is."""
        self._journal.add("daemon.signalled", self._setup.me.name, name)
        self._keeper.leaving()
        if self._is_told:
            self._end(Told(at_once=True))
        elif may_leave_in_order(self._owner.participant):
            self._desk.leave(self._may_leave)
        else:
            self._end(Told(at_once=False))
        self._is_told = True

    def _may_leave(self, outcome: Outcome) -> None:
        """The cluster has answered; where it consents, it says so once more when everything is done."""
        if outcome.code in (Code.NO_QUORUM, Code.AGAIN):
            self._end(Told(at_once=False))
        elif outcome.code is not Code.SUCCESS:
            text = f"{outcome.text}; a second signal ends the daemon and leaves its services as they are"
            self._journal.add("daemon.stays", self._setup.me.name, text)
            self._keeper.staying()

    def _hung_up(self) -> None:
        text = "SIGHUP changes nothing; a new cluster.conf is activated with: ccs_tool update"
        self._journal.add("daemon.signalled", self._setup.me.name, text)

    def _end(self, ending: Ending) -> None:
        if not self._ended.done():
            self._ended.set_result(ending)

    def _is_frozen(self, service: ServiceName) -> bool:
        state = self._owner.participant.session.state
        record = None if state is None else state.service(service)
        return record is not None and record.frozen

    def _moved(self) -> None:
        """The participant may be another than before."""
        self._tell_standing()
        if self._follower is not None:
            self._follower.look()

    async def _refresh(self) -> None:
        """corosync has read its file anew: what the daemon took from it is read again."""
        assert self._corosync is not None
        await self._corosync.refresh()
        self._guard.allow(longest_silence_ms(self._corosync.token_ms))

    def _tell_standing(self) -> None:
        if self._keeper.notifier.is_heard:
            self._keeper.notifier.status(standing(self._owner.participant))

    def _prod(self) -> int:
        """Let the state machine take a step, and return how many it has taken."""
        self._owner.take(TimePassed())
        return self._owner.steps

    def _synced(self) -> tuple[ClusterState | None, tuple[NodeId, ...]]:
        session = self._owner.participant.session
        return session.state, session.synced


def _server_environment(setup: Setup) -> tuple[tuple[str, str], ...]:
    """Return what the agents' server gets: enough to start Python, and nothing of the operator's."""
    prefix = setup.place.prefix
    return (("PATH", setup.path), ("LANG", "C.UTF-8"), *(((PREFIX_VARIABLE, prefix),) if prefix else ()))


def _because(ending: Ending) -> str:
    match ending:
        case Left():
            return "it left the cluster"
        case Refused(text=text) | EngineLost(text=text) | Killed(because=text):
            return text
        case Restarting(because=because):
            return f"it begins anew: {because}"
        case Told(at_once=at_once):
            return "a signal told it to, at once" if at_once else "a signal told it to"


async def _within(limit_s: float, work: Awaitable[None]) -> None:
    """Wait for something that the end of the daemon does not depend on."""
    with suppress(TimeoutError, StandfastError):
        async with asyncio.timeout(limit_s):
            await work


def _unhandled(context: dict[str, object], ended: asyncio.Future[Ending]) -> None:
    """An exception in a callback of the event loop is a defect, unless the system is short of something."""
    failure = context.get("exception")
    if not isinstance(failure, BaseException) or isinstance(failure, OSError):
        logger.warning("loop.trouble", extra={"trouble": str(context.get("message")), "reason": str(failure)})
    elif not ended.done():
        ended.set_exception(failure)
