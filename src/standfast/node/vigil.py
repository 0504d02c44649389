"""Whether a node deserves to live: what the watchdog device and the service manager are told, and what they are not.

A node is in order while it takes part in a quorate cluster, or while nothing of any service runs on it. Whatever else it
does (it lost its quorum and stops its services, it was evicted, its daemon has just come back) must be over within the
patience. The daemon must be going on in every case.

Pure. Source: design section 3, S2.
"""

from msgspec import Struct
from msgspec.structs import replace

PATIENCE_TIMEOUTS = 4
"""A node may be out of order for this many of the device's timeouts; then nobody pets, and it is reset one timeout later."""

LOOKS_A_TIMEOUT = 4  # how many times within the device's timeout it is petted


class Seen(Struct, frozen=True, kw_only=True):
    """What is true at one look. Times are of one clock of this boot, in milliseconds.

    `steps` counts what the state machine has taken in; `stepping`: it is there, and the count must grow. It is not while the
    daemon finds its engine, nor while it ends.
    """

    now_ms: int
    steps: int
    takes_part: bool
    may_run: bool
    stepping: bool = True


class Vigil(Struct, frozen=True, kw_only=True):
    """What is remembered from look to look. `disorder_ms` is since when the node is out of order, None: it is in order."""

    patience_ms: int
    disorder_ms: int | None
    steps: int = 0
    going_on: bool = True
    overdue: bool = False


def begin(patience_ms: int, now_ms: int, inherited_ms: int | None, *, may_run: bool) -> Vigil:
    """Return the vigil of a daemon that begins; `inherited_ms` is since when its predecessor left the node out of order.

    A new daemon on a node where something runs begins out of order: a daemon that dies again and again gets no more time
    than one that lives.
    """
    since_ms = (now_ms if inherited_ms is None else min(inherited_ms, now_ms)) if may_run else None
    return Vigil(patience_ms=patience_ms, disorder_ms=since_ms)


def look(vigil: Vigil, seen: Seen) -> Vigil:
    """Take one look in."""
    going_on = not seen.stepping or seen.steps > vigil.steps
    if seen.takes_part or not seen.may_run:
        return replace(vigil, disorder_ms=None, steps=seen.steps, going_on=going_on, overdue=False)
    since_ms = seen.now_ms if vigil.disorder_ms is None else vigil.disorder_ms
    overdue = seen.now_ms - since_ms >= vigil.patience_ms
    return replace(vigil, disorder_ms=since_ms, steps=seen.steps, going_on=going_on, overdue=overdue)


def deserves_petting(vigil: Vigil) -> bool:
    """Whether the watchdog device may be petted; where not, the machine is reset."""
    return vigil.going_on and not vigil.overdue
