"""From the XML that `AGENT meta-data` prints to a record. The only module of the room that knows lxml.

Pure. Source: spec resources, sections 1.1 to 1.5.
"""

import re
from collections.abc import Iterable

from lxml import etree

from standfast.errors import AgentError
from standfast.resources.agent import (
    LEVEL_MAX,
    RESERVED_TYPE,
    Action,
    AgentMetadata,
    ChildType,
    Parameter,
    is_true,
    read_number,
    read_time_s,
)

METADATA_BYTES_MAX = 1024 * 1024  # longest answer to meta-data; stock agents print less than 20 KiB

_PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def parse_metadata(text: bytes) -> AgentMetadata:
    """Return what the agent says about itself; AgentError says what an author must mend.

    The DTD that a document names is not read, and a document that declares entities is refused.
    """
    root = _parse_xml(text)
    kind = root.get("name", "").strip()
    if root.tag != "resource-agent" or not kind:
        raise _refuse(
            f'the document is a <{root.tag}>; print <resource-agent name="TYPE"> with the type\'s name'
        )
    if kind.lower() == RESERVED_TYPE:
        raise _refuse(f'the type "{kind}" is reserved; choose another name')
    actions = _first_of_each(map(_read_action, root.iterfind("actions/action")))
    monitor_only = bool(actions) and all(action.name != "status" for action in actions)
    special = root.find("special[@tag='rgmanager']")
    attributes = None if special is None else special.find("attributes")
    children = (
        () if special is None else tuple(_read_child(child) for child in special.iterfind("child[@type]"))
    )
    return AgentMetadata(
        type=kind,
        parameters=_read_parameters(root, kind),
        actions=tuple(_as_status(action) for action in actions) if monitor_only else actions,
        children=children,
        maxinstances=max(0, _read_count(attributes, "maxinstances")),
        init_on_add=_read_flag(attributes, "init_on_add", absent=True),
        destroy_on_delete=_read_flag(attributes, "destroy_on_delete", absent=True),
        status_word="monitor" if monitor_only and any(a.name == "monitor" for a in actions) else "status",
        shortdesc=" ".join((root.findtext("shortdesc") or "").split()),
    )


def _parse_xml(text: bytes) -> etree._Element:
    if len(text) > METADATA_BYTES_MAX:
        raise _refuse(f"{len(text)} bytes is more than any agent needs; print at most {METADATA_BYTES_MAX}")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(text, parser)
    except etree.XMLSyntaxError as error:
        raise _refuse(
            f"line {error.lineno or 1} is not XML ({error.msg}); print well-formed XML only"
        ) from error
    subset = root.getroottree().docinfo.internalDTD
    if subset is not None and any(subset.iterentities()):  # type: ignore[union-attr]  # the stubs lack it
        raise _refuse("the document declares entities; write their text out")
    return root


def _read_parameters(root: etree._Element, kind: str) -> tuple[Parameter, ...]:
    found: dict[str, Parameter] = {}
    for element in root.iterfind("parameters/parameter"):
        parameter = _read_parameter(element)
        if not _PARAMETER_NAME.fullmatch(parameter.name):
            raise _refuse(f'parameter "{parameter.name}" of "{kind}" cannot be an attribute; rename it')
        if parameter.inherit is not None and (parameter.primary or parameter.unique or parameter.required):
            flags = "primary, unique or required"
            raise _refuse(f'parameter "{parameter.name}" of "{kind}" inherits and is {flags}; choose one')
        found.setdefault(parameter.name, parameter)
    primaries = [parameter.name for parameter in found.values() if parameter.primary]
    if len(primaries) > 1:
        raise _refuse(f'"{kind}" has the primary parameters {", ".join(primaries)}; leave one')
    return tuple(sorted(found.values(), key=lambda parameter: not parameter.primary))


def _read_parameter(element: etree._Element) -> Parameter:
    content = element.find("content")
    return Parameter(
        name=element.get("name", ""),
        unique=is_true(element.get("unique", "")),
        primary=is_true(element.get("primary", "")),
        required=is_true(element.get("required", "")),
        inherit=element.get("inherit") or None,
        reconfig=is_true(element.get("reconfig", "")),
        default=None if content is None else content.get("default"),
        content="string" if content is None else content.get("type", "string"),
    )


def _read_action(element: etree._Element) -> Action:
    name = element.get("name", "")
    interval = element.get("interval")
    return Action(
        name=name,
        depth=max(0, _read_count(element, "depth")) if name in ("status", "monitor") else 0,
        timeout_s=read_time_s(element.get("timeout", "")) or 0,
        interval_s=0 if interval is None else max(1, read_time_s(interval) or 0),
    )


def _first_of_each(actions: Iterable[Action]) -> tuple[Action, ...]:
    found: dict[tuple[str, int], Action] = {}
    for action in actions:
        found.setdefault((action.name, action.depth), action)
    return tuple(found.values())


def _as_status(action: Action) -> Action:
    # Differs from rgmanager: an agent that declares only monitor is checked by it, because else nothing checks it.
    if action.name != "monitor":
        return action
    return Action(name="status", depth=action.depth, timeout_s=action.timeout_s, interval_s=action.interval_s)


def _read_child(element: etree._Element) -> ChildType:
    return ChildType(
        type=element.get("type", ""),
        start=_read_level(element, "start"),
        stop=_read_level(element, "stop"),
        forbid=is_true(element.get("forbid", "")),
    )


def _read_level(element: etree._Element, name: str) -> int:
    level = _read_count(element, name)
    return level if 1 <= level <= LEVEL_MAX else 0


def _read_count(element: etree._Element | None, name: str) -> int:
    return 0 if element is None else read_number(element.get(name, "")) or 0


def _read_flag(element: etree._Element | None, name: str, *, absent: bool) -> bool:
    text = None if element is None else element.get(name)
    return absent if text is None else is_true(text)


def _refuse(text: str) -> AgentError:
    return AgentError(f"meta-data: {text}", code="agent-metadata")
