"""The judgement over an address: who had it when, and whether two nodes ever had it at once.

Pure. The events come from Lab.address_events, in the order in which the kernel made the changes.
"""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from standfast.lab.calls import AddressChange, AddressEvent


class Verdict(StrEnum):
    """What is known of a promise; only `kept` is good."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class Judgement(Struct, frozen=True):
    """A verdict and, in a sentence, why."""

    verdict: Verdict
    because: str


class Holding(Struct, frozen=True, kw_only=True):
    """One node's time with an address, in milliseconds of the monotonic clock; `until_ms` None: it still has it."""

    node: str
    from_ms: float
    until_ms: float | None


def holdings(events: Sequence[AddressEvent], address: str) -> tuple[Holding, ...]:
    """Return who had the address when, in the order of its coming; a node that dies has it no more."""
    found: list[Holding] = []
    held: dict[str, int] = {}
    for event in events:
        if event.change is AddressChange.ADDED and event.address == address and event.node not in held:
            held[event.node] = len(found)
            found.append(Holding(node=event.node, from_ms=event.at_ms, until_ms=None))
        elif (
            event.change is not AddressChange.ADDED and event.address in (address, "") and event.node in held
        ):
            index = held.pop(event.node)
            found[index] = Holding(node=event.node, from_ms=found[index].from_ms, until_ms=event.at_ms)
    return tuple(found)


def never_on_two(events: Sequence[AddressEvent], address: str) -> Judgement:
    """Judge that no two nodes had the address at once; unknown where events were lost, or nobody ever had it."""
    holder: str | None = None
    ever = False
    for event in events:
        if event.change is AddressChange.LOST_TRACK:
            return Judgement(Verdict.UNKNOWN, f"address events of {event.node} were lost")
        if event.change is AddressChange.ADDED and event.address == address:
            if holder not in (None, event.node):
                return Judgement(Verdict.BROKEN, f"{event.node} got {address} while {holder} had it")
            holder, ever = event.node, True
        elif (
            event.change is not AddressChange.ADDED
            and event.address in (address, "")
            and event.node == holder
        ):
            holder = None
    if not ever:
        return Judgement(Verdict.UNKNOWN, f"no node ever had {address}")
    return Judgement(Verdict.KEPT, f"{address} was never on two nodes at once")
