"""The keeper: it looks at the daemon again and again, and pets the watchdog and tells the service manager accordingly."""

import asyncio
import logging
import math
from collections.abc import Callable
from pathlib import Path

from msgspec import DecodeError, Struct, json

from standfast.errors import RefusedError
from standfast.node import vigil as judging
from standfast.node.files import remove_file, replace_file
from standfast.node.guard import clock_ms
from standfast.node.notify import Notices, Notifier
from standfast.node.vigil import LOOKS_A_TIMEOUT, PATIENCE_TIMEOUTS, Seen, Vigil
from standfast.node.watchdog import Watchdog
from standfast.terms import BootId

ENDING_LOOK_MS = 5_000  # how often the service manager is asked for more time
ENDING_LOOKS = 3  # how many of these it is asked for at once

logger = logging.getLogger(__name__)


class Disorder(Struct, frozen=True, kw_only=True):
    """What a daemon leaves for the next one: since when the node is out of order, and until when it may be, in that boot."""

    boot_id: BootId
    since_ms: int
    until_ms: int


class Machine(Struct, frozen=True):
    """The daemon's state machine: `prod` lets it take a step and returns how many it has taken.

    `may_run` is asked with what is true as long as the machine does not know it yet.
    """

    prod: Callable[[], int]
    takes_part: Callable[[], bool]
    may_run: Callable[[bool], bool]


class Keeper:
    """Looks, pets, tells. Does nothing where there is neither a watchdog nor a service manager."""

    def __init__(
        self,
        *,
        watchdog: Watchdog | None,
        notices: Notices,
        note: Path,
        boot_id: BootId,
        may_run: bool,
    ) -> None:
        """`note` is the file for the next daemon. `may_run`: an earlier daemon of this boot has left something that runs."""
        self.notifier = Notifier(notices.address)
        self._watchdog = watchdog
        self._alive_ms = notices.alive_ms
        self._note = note
        self._boot_id = boot_id
        self._may_run = may_run
        self._machine: Machine | None = None
        self._is_leaving = False
        self._is_deserved = True
        self._is_lost = False
        self._timer: asyncio.TimerHandle | None = None
        patience_ms = 0 if watchdog is None else watchdog.timeout_ms * PATIENCE_TIMEOUTS
        left = _read_note(note, boot_id)
        inherited_ms = None if left is None else left.since_ms
        self._vigil = judging.begin(patience_ms, clock_ms(), inherited_ms, may_run=may_run)

    @property
    def watchdog(self) -> Watchdog | None:
        """The device, None where there is none."""
        return self._watchdog

    @property
    def is_petting(self) -> bool:
        """Whether the device was petted at the last look."""
        return self._watchdog is not None and self._is_deserved and not self._is_lost

    def begin(self) -> None:
        """Look from now on."""
        self._look()

    def follow(self, machine: Machine) -> None:
        """The state machine is there, and takes events in."""
        self._machine = machine

    def leaving(self) -> None:
        """The daemon was told to end, and may need its time."""
        self._is_leaving = True
        self._look_again_in(0)

    def staying(self) -> None:
        """It does not end after all."""
        self._is_leaving = False

    def ending(self) -> None:
        """The daemon ends: the state machine takes in nothing any more."""
        self._forget_machine()
        self.leaving()

    def stopped(self, *, everything: bool) -> None:
        """Services were stopped, all of them or not."""
        self._may_run = not everything

    def close(self) -> None:
        """Let the device go: disarmed where nothing of a service may run, counting where something may."""
        if self._timer is not None:
            self._timer.cancel()
        self._forget_machine()
        self.notifier.close()
        if self._watchdog is None:
            return
        if self._may_run:
            fields = {"device": self._watchdog.name, "ms": self._watchdog.timeout_ms}
            logger.warning("watchdog.left-counting", extra=fields)
            self._watchdog.abandon()
        else:
            self._watchdog.disarm()
            remove_file(self._note)

    def _look(self) -> None:
        before = self._vigil
        self._vigil = judging.look(before, self._see())
        if self._watchdog is not None:
            self._remember(before)
            self._pet(self._watchdog)
        if self._vigil.going_on and self._alive_ms is not None:
            self.notifier.alive()
        if self._is_leaving:
            self.notifier.need_longer(ENDING_LOOKS * ENDING_LOOK_MS)
        self._look_again_in(self._pause_ms())

    def _forget_machine(self) -> None:
        if self._machine is not None:
            self._may_run = self._machine.may_run(self._may_run)
            self._machine = None

    def _see(self) -> Seen:
        if self._machine is None:
            return Seen(
                now_ms=clock_ms(),
                steps=self._vigil.steps,
                takes_part=False,
                may_run=self._may_run,
                stepping=False,
            )
        steps = self._machine.prod()
        return Seen(
            now_ms=clock_ms(),
            steps=steps,
            takes_part=self._machine.takes_part(),
            may_run=self._machine.may_run(self._may_run),
        )

    def _pet(self, watchdog: Watchdog) -> None:
        deserved = judging.deserves_petting(self._vigil)
        if deserved is not self._is_deserved:
            self._tell(watchdog, deserved=deserved)
        self._is_deserved = deserved
        if not deserved:
            return
        try:
            watchdog.pet()
        except OSError as failure:
            if not self._is_lost:
                fields = {"device": watchdog.name, "reason": failure.strerror}
                logger.error("watchdog.lost", extra=fields)
            self._is_lost = True
        else:
            self._is_lost = False

    def _tell(self, watchdog: Watchdog, *, deserved: bool) -> None:
        if deserved:
            logger.warning("watchdog.petted-again", extra={"device": watchdog.name})
            return
        why = (
            "its services could not be brought in order in time" if self._vigil.overdue else "it stands still"
        )
        fields = {"device": watchdog.name, "because": why, "resets_in_ms": watchdog.timeout_ms}
        logger.error("watchdog.not-petted", extra=fields)

    def _remember(self, before: Vigil) -> None:
        """Note for the next daemon since when the node is out of order."""
        since_ms = self._vigil.disorder_ms
        if since_ms is None:
            if before.disorder_ms is not None:
                remove_file(self._note)
        elif since_ms != before.disorder_ms or not self._note.exists():
            try:
                until_ms = since_ms + self._vigil.patience_ms
                left = Disorder(boot_id=self._boot_id, since_ms=since_ms, until_ms=until_ms)
                replace_file(self._note, json.encode(left))
            except OSError as failure:
                fields = {"file": str(self._note), "reason": failure.strerror}
                logger.warning("watchdog.not-noted", extra=fields)

    def _look_again_in(self, pause_ms: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if math.isfinite(pause_ms):
            self._timer = asyncio.get_running_loop().call_later(pause_ms / 1000, self._look)

    def _pause_ms(self) -> float:
        limits = [self._alive_ms, None if self._watchdog is None else self._watchdog.timeout_ms]
        pauses = [limit / LOOKS_A_TIMEOUT for limit in limits if limit is not None]
        if self._is_leaving:
            pauses.append(ENDING_LOOK_MS)
        return min(pauses, default=math.inf)


def refuse_overdue(note: Path, boot_id: BootId) -> None:
    """Raise RefusedError where the node is to be reset already: opening the device would put that off."""
    left = _read_note(note, boot_id)
    if left is not None and clock_ms() >= left.until_ms:
        raise RefusedError(
            f"{note}: services that may run here could not be brought in order in time, and the watchdog resets this node; "
            "if it does not, reboot the node",
            code="watchdog-overdue",
        )


def _read_note(path: Path, boot_id: BootId) -> Disorder | None:
    """Return what a daemon of this boot has left, None where the node was in order."""
    try:
        left = json.decode(path.read_bytes(), type=Disorder)
    except (OSError, DecodeError):
        return None
    return left if left.boot_id == boot_id else None
