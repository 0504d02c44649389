"""A daemon's restart in an otherwise calm world: its node is not fenced, and its services stay as they are.

Pure. Source: design section 2, "Daemon restart is not node failure".
"""

from collections.abc import Sequence

from standfast.simulation.chronicle import (
    Asked,
    Became,
    Began,
    Claim,
    ClockChanged,
    Corrupted,
    DaemonDown,
    DaemonUp,
    Ended,
    FenceBegan,
    FenceEnded,
    Froze,
    Left,
    LinksChanged,
    Overridden,
    PowerOff,
    PowerOn,
    Refused,
    Setting,
    Step,
    Stored,
    Thawed,
    Truth,
)
from standfast.simulation.verdict import Verdict, broken, held
from standfast.terms import NodeId, ServiceName

CALM_MS = 20_000  # nothing happened for so long: whatever went before is over
AWAY_MS = 3_000  # a daemon that is back after so long was within its grace, however fast the coordinator's clock runs
AFTER_MS = 30_000  # for so long after the restart is looked whether anything follows from it


def a_daemons_restart_is_no_failure(history: Sequence[Step]) -> Verdict:
    """D1: when nothing happens but that a daemon restarts, nobody is fenced and no service that runs there is stopped."""
    calm = _Calm()
    for step in history:
        text = calm.objection(step)
        if text is not None:
            return broken("D1", step.at_ms, text)
        calm.see(step)
    return held("D1")


class _Calm:
    """Since when nothing happens, and which daemon's restart is the only exception."""

    def __init__(self) -> None:
        self._since_ms = 0
        self._up: set[NodeId] = set()
        self._machines: set[NodeId] = set()
        self._failed_stop = False
        self._whole: dict[NodeId, set[ServiceName]] = {}
        self._restarting: NodeId | None = None
        self._ran: set[ServiceName] = set()  # what ran whole there when its daemon ended
        self._down_ms = 0
        self._back_ms: int | None = None

    def objection(self, step: Step) -> str | None:
        if self._restarting is None or not self._is_watched(step.at_ms):
            return None
        match step:
            case FenceBegan() if step.victim == self._restarting:
                return f"node {step.victim} is to be fenced, although only its daemon was restarted"
            case Began(start=False) if step.nodeid == self._restarting and step.service in self._ran:
                return (
                    f"{step.service} is stopped on node {step.nodeid}, although only its daemon was restarted"
                )
            case _:
                return None

    def _is_watched(self, at_ms: int) -> bool:
        if self._back_ms is None:
            return at_ms - self._down_ms <= AWAY_MS
        return at_ms - self._back_ms <= AFTER_MS

    def see(self, step: Step) -> None:
        match step:
            case Setting():
                self._machines = {nodeid for nodeid, _ in step.disks}
            case Became():
                whole = self._whole.setdefault(step.nodeid, set())
                whole.add(step.service) if step.truth is Truth.WHOLE else whole.discard(step.service)
                if step.truth is not Truth.WHOLE:
                    self._disturb(step.at_ms)
            case DaemonDown():
                self._daemon_down(step)
            case DaemonUp():
                self._daemon_up(step)
            case Ended(start=False, ok=False):
                self._failed_stop = True
            case (
                Asked() | Began() | ClockChanged() | Corrupted() | Ended() | FenceBegan() | FenceEnded() | Froze()
                | Left() | LinksChanged() | Overridden() | PowerOff() | PowerOn() | Refused() | Stored()
                | Thawed()
            ):  # fmt: skip
                self._disturb(step.at_ms)
            case _:
                pass

    def _disturb(self, at_ms: int) -> None:
        self._since_ms = at_ms
        self._restarting = None

    def _daemon_down(self, step: DaemonDown) -> None:
        is_calm = (
            step.at_ms - self._since_ms >= CALM_MS and self._up == self._machines and not self._failed_stop
        )
        self._up.discard(step.nodeid)
        self._disturb(step.at_ms)
        if is_calm:
            self._restarting = step.nodeid
            self._ran = set(self._whole.get(step.nodeid, set()))
            self._down_ms = step.at_ms
            self._back_ms = None

    def _daemon_up(self, step: DaemonUp) -> None:
        mine = step.nodeid == self._restarting and step.at_ms - self._down_ms <= AWAY_MS
        if step.claim is Claim.TRUE:
            self._up.add(step.nodeid)
        if mine and step.claim is Claim.TRUE and self._back_ms is None:
            self._back_ms = self._since_ms = step.at_ms
        else:
            self._disturb(step.at_ms)
