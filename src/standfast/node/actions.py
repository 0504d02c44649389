"""From what the core wants done to what is done: the one place of the daemon that acts on effects."""

import asyncio
from collections.abc import Callable
from typing import assert_never

from msgspec import Struct

from standfast.cluster.effect import (
    AnswerRequest,
    Die,
    Effect,
    KeepEpoch,
    Leave,
    Note,
    Quit,
    Restart,
    Send,
    TakeInventory,
    UseConfig,
    UseVotes,
    WriteConfig,
)
from standfast.cluster.entry import encode
from standfast.cluster.epoch import Epoch
from standfast.cluster.participant import ConfigStored, EpochStored, Event
from standfast.engine.contract import Engine
from standfast.fencing.domain import CancelAttempt, StartAttempt
from standfast.node.addressbook import AddressBook
from standfast.node.attempts import Attempts
from standfast.node.config import write_config
from standfast.node.desk import Desk
from standfast.node.follower import Follower
from standfast.node.identity import write_epoch
from standfast.node.journal import Journal
from standfast.node.place import Place
from standfast.node.sender import Sender
from standfast.node.workshop import Workshop
from standfast.services.work import GiveUpWork, StartService, StopService
from standfast.terms import BootId


class Left(Struct, frozen=True, tag=True):
    """The daemon ends because the node leaves the cluster in order."""


class Refused(Struct, frozen=True, tag=True):
    """The daemon ends because the cluster does not want it."""

    text: str


class Restarting(Struct, frozen=True, tag=True):
    """The daemon begins anew."""

    because: str


class EngineLost(Struct, frozen=True, tag=True):
    """The daemon ends because its engine is gone."""

    text: str


class Killed(Struct, frozen=True, tag=True):
    """The daemon ends, with everything that runs here, because an operator killed this node."""

    because: str


class Told(Struct, frozen=True, tag=True, kw_only=True):
    """The daemon ends because a signal told it to; `at_once`: whatever runs here stays."""

    at_once: bool


Ending = Left | Refused | Restarting | EngineLost | Killed | Told


class Actions:
    """Begins what effects ask for; what takes time comes back as an event."""

    def __init__(
        self,
        *,
        place: Place,
        boot_id: BootId,
        nodename: str,
        engine: Engine,
        sender: Sender,
        workshop: Workshop,
        addresses: AddressBook,
        follower: Follower | None,
        attempts: Attempts,
        desk: Desk,
        journal: Journal,
        tasks: asyncio.TaskGroup,
        tell: Callable[[Event], None],
        end: Callable[[Ending], None],
    ) -> None:
        self._place = place
        self._boot_id = boot_id
        self._nodename = nodename
        self._engine = engine
        self._sender = sender
        self._workshop = workshop
        self._addresses = addresses
        self._follower = follower
        self._attempts = attempts
        self._desk = desk
        self._journal = journal
        self._tasks = tasks
        self._tell = tell
        self._end = end

    def perform(self, effect: Effect) -> None:
        """Begin one thing."""
        match effect:
            case Send(entry=entry):
                self._sender.put(encode(entry))
            case StartService(service=service):
                self._workshop.runner(service).start()
            case StopService(service=service):
                self._workshop.runner(service).stop()
            case GiveUpWork(service=service):
                self._workshop.runner(service).give_up()
            case StartAttempt(nodeid=nodeid, generation=generation, number=number):
                self._attempts.begin((nodeid, generation, number))
            case CancelAttempt(nodeid=nodeid, generation=generation, number=number):
                self._attempts.cancel((nodeid, generation, number))
            case TakeInventory():
                self._workshop.take_stock(self._place.booted, self._boot_id)
            case WriteConfig(version=version, document=document):
                self._tasks.create_task(self._write_config(version, document))
            case KeepEpoch(epoch=epoch):
                self._tasks.create_task(self._keep_epoch(epoch))
            case UseConfig(cluster=cluster):
                self._workshop.use(cluster)
                self._addresses.use(cluster)
            case UseVotes(table=table):
                self._engine.configure(table)
            case AnswerRequest(outcome=outcome):
                self._desk.settle(outcome)
            case Note(event=event, subject=subject, text=text):
                self._journal.add(event, subject, text)
            case Quit(text=text):
                self._end(Refused(text))
            case Restart(because=because):
                self._end(Restarting(because))
            case Die(because=because):
                self._end(Killed(because))
            case Leave():
                self._end(Left())
            case _:
                assert_never(effect)

    async def _write_config(self, version: int, document: str) -> None:
        text = "" if self._follower is None else await self._follower.store(document)
        if not text:
            path = self._place.cluster_conf
            text = await asyncio.to_thread(write_config, path, document, version, self._nodename)
        event, said = ("config.not-written", text) if text else ("config.written", f"version {version}")
        self._journal.add(event, self._nodename, said)
        self._tell(ConfigStored(version=version, ok=not text, text=text))

    async def _keep_epoch(self, epoch: Epoch) -> None:
        text = ""
        try:
            await asyncio.to_thread(write_epoch, self._place.epoch, epoch)
        except OSError as failure:
            text = f"{self._place.epoch}: {failure.strerror or failure}"
        self._tell(EpochStored(epoch=epoch, ok=not text, text=text))
