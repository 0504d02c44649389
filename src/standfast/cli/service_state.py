"""A service's name, states and flags, as the commands read and write them.

Pure. Source: spec services, sections 3.1 and 3.2; commands-services, 1.1.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from standfast.cli.snapshot import Service

STATE_NUMBERS = {
    "stopped": 110,
    "starting": 111,
    "started": 112,
    "stopping": 113,
    "failed": 114,
    "uninitialized": 115,
    "checking": 116,
    "recoverable": 117,
    "recovering": 118,
    "disabled": 119,
    "migrating": 120,
}
SERVICE_NAME_MAX = 63  # characters, type included
UNKNOWN_STATE = 255  # of a state that only a newer daemon knows
PARENTHESISED_STATES = frozenset(
    {"stopped", "disabled", "recoverable", "failed"}
)  # the owner shown is the last one
RUNNING_STATES = frozenset({"starting", "started", "stopping"})


def full_service_name(name: str) -> str:
    """Return the service's name with its type, which is "service" where none is given."""
    return (name if ":" in name else f"service:{name}")[:SERVICE_NAME_MAX]


def state_number(state: str) -> int:
    """Return the number that scripts know a state by."""
    return STATE_NUMBERS.get(state, UNKNOWN_STATE)


def exit_status(service: Service) -> int:
    """Return what `clustat -s` exits with: 0 while the service has an owner that works on it, else the state's number."""
    return 0 if service.state in RUNNING_STATES else state_number(service.state)


def flags_number(service: Service) -> int:
    """Return the flags as bits: 1 frozen, 2 partial."""
    return int(service.frozen) + 2 * int(service.partial)


def flag_letters(service: Service) -> str:
    """Return Z for frozen, P for partial."""
    return "Z" * service.frozen + "P" * service.partial


def flags_text(service: Service, separator: str) -> str:
    """Return the flags as words, "" for none."""
    return separator.join(["frozen"] * service.frozen + ["partial"] * service.partial)
