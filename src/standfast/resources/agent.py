"""What an agent says about itself: its parameters, its actions, and which children it takes in which order.

Pure. Source: spec resources, section 1.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, structs

from standfast.conf.model import ResourceElement

TIME_S_MAX = 2**31 - 1  # longest time of an agent or an attribute; a longer one reads as 0
LEVEL_MAX = 100  # highest start or stop level of a child type
RESERVED_TYPE = "action"  # <action> inside a resource overrides an action of its agent

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_TIME = re.compile(r"(?:[0-9]+[smhdwy]?)+", re.IGNORECASE)
_TIME_PART = re.compile(r"([0-9]+)([smhdwy]?)", re.IGNORECASE)
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,18})")


class Parameter(Struct, frozen=True, kw_only=True):
    """One <parameter>: an attribute that the resource may have in cluster.conf.

    `inherit` is `attribute` (of the parent) or `type%attribute` (of the nearest ancestor of that type). A `default`
    of "" is a value, None is none. `content` is for people and editors only.
    """

    name: str
    unique: bool = False
    primary: bool = False
    required: bool = False
    inherit: str | None = None
    reconfig: bool = False
    default: str | None = None
    content: str = "string"


class Action(Struct, frozen=True, kw_only=True):
    """One <action>. A timeout of 0 is unlimited, an interval of 0 is never."""

    name: str
    depth: int = 0
    timeout_s: int = 0
    interval_s: int = 0


class ChildType(Struct, frozen=True, kw_only=True):
    """One <child>: a type with a place in the start and stop order, 1..100; 0 is the default level."""

    type: str
    start: int = 0
    stop: int = 0
    forbid: bool = False


class AgentMetadata(Struct, frozen=True, kw_only=True):
    """What `AGENT meta-data` says. The first of `parameters` names the resource.

    `status_word` is "monitor" for an agent that declares only that; its monitor actions are then in `actions` as
    "status".
    """

    type: str
    parameters: tuple[Parameter, ...] = ()
    actions: tuple[Action, ...] = ()
    children: tuple[ChildType, ...] = ()
    maxinstances: int = 0  # 0: unlimited
    init_on_add: bool = True
    destroy_on_delete: bool = True
    status_word: str = "status"
    shortdesc: str = ""

    @property
    def primary(self) -> Parameter | None:
        """The parameter whose value names the resource; None where the agent has no parameter at all."""
        return self.parameters[0] if self.parameters else None


Agents = Mapping[str, AgentMetadata]
"""Agents by type in lower case, as `agents_by_type` makes it."""


def agents_by_type(agents: Iterable[AgentMetadata]) -> dict[str, AgentMetadata]:
    """Return the agents by type in lower case, in alphabetical order; the first of a type stays."""
    found: dict[str, AgentMetadata] = {}
    for agent in agents:
        found.setdefault(agent.type.lower(), agent)
    return dict(sorted(found.items()))


def with_resource_defaults(agents: Agents, defaults: Sequence[ResourceElement]) -> dict[str, AgentMetadata]:
    """Return the agents with the defaults of <resource-defaults> in place of their own.

    Such a default also ends the parameter's inheritance; primary and unique parameters keep theirs.

    Source: spec resources, section 2.2.
    """
    changed = dict(agents)
    for element in defaults:
        agent = changed.get(element.type.lower())
        if agent is not None:
            parameters = tuple(_with_default(parameter, element) for parameter in agent.parameters)
            changed[element.type.lower()] = structs.replace(agent, parameters=parameters)
    return changed


def read_time_s(text: str) -> int | None:
    """Return the seconds of a time such as "90", "30s" or "1h30m"; None where it cannot be read.

    Units are s m h d w y in either case. A time that no 32-bit number holds is 0.

    Source: spec resources, section 1.4.
    """
    if not _TIME.fullmatch(text.strip()):
        return None
    total = sum(_read_digits(digits) * _UNITS_S[unit.lower()] for digits, unit in _TIME_PART.findall(text))
    return total if total <= TIME_S_MAX else 0


def read_number(text: str) -> int | None:
    """Return the decimal number that the text begins with, None where it begins with none."""
    match = _NUMBER.match(text)
    return int(match[1]) if match else None


def is_true(text: str) -> bool:
    """Tell whether a flag is set: a number other than 0, or "yes", "true" or "on" in either case.

    Source: spec resources, section 0.
    """
    number = read_number(text)
    if number is not None:
        return number != 0
    word = text.strip().lower()
    return word.startswith("y") or word in ("true", "on")


def _read_digits(digits: str) -> int:
    return int(digits) if len(digits) < 18 else TIME_S_MAX + 1


def _with_default(parameter: Parameter, element: ResourceElement) -> Parameter:
    value = element.get(parameter.name)
    if value is None or parameter.primary or parameter.unique:
        return parameter
    return structs.replace(parameter, default=value, inherit=None)
