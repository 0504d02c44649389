"""Fencing in cluster.conf: methods, devices, and the delays of the fence daemon.

Source: spec configuration, section 11 (I36 to I41, I63); spec fencing, section 5 (dual supplies).
"""

from collections.abc import Iterator

from standfast.conf.document import Element
from standfast.conf.findings import Finding, error, warning
from standfast.conf.values import read_integer

_NOT_POWER = frozenset(  # agents that cut a node off without switching it, and those that wait for a person
    {
        *("fence_brocade", "fence_cisco_mds", "fence_ifmib", "fence_manual", "fence_mcdata", "fence_mpath"),
        *("fence_sanbox2", "fence_scsi", "fence_vixel", "fence_ack_manual"),
    }
)
_ACTION_NAMES = ("action", "option", "operation")  # agents take the last one given


def check_fencing(root: Element) -> Iterator[Finding]:
    """Yield what is wrong with fence devices, and with how each node is fenced."""
    section = root.first("fencedevices")
    devices = section.elements("fencedevice") if section else ()
    yield from _check_devices(devices)
    agents = {device.get("name") or "": device for device in reversed(devices)}
    nodes = root.first("clusternodes")
    for node in nodes.elements("clusternode") if nodes else ():
        yield from _check_node(node, agents)


def check_fence_daemon(root: Element) -> Iterator[Finding]:
    """Yield what is wrong with the delays."""
    daemon = root.first("fence_daemon")
    for name in ("post_join_delay", "post_fail_delay") if daemon else ():
        assert daemon
        delay = read_integer(daemon.get(name) or "")
        if delay is not None and delay < -1:
            yield error(daemon.line, "I63", f"fence_daemon/@{name}: {delay} (only -1 or more)")


def _check_devices(devices: tuple[Element, ...]) -> Iterator[Finding]:
    names: set[str] = set()
    for device in devices:
        name = device.get("name") or ""
        if not name:
            yield error(device.line, "I38", "fencedevice without name")
        elif name in names:
            yield error(device.line, "I37", f"fence device {name} defined twice")
        names.add(name)
        if not device.get("agent"):
            yield error(device.line, "I38", f"fence device {name or 'without name'} has no agent")
        yield from _check_line_breaks(device, f"fence device {name}")


def _check_node(node: Element, agents: dict[str, Element]) -> Iterator[Finding]:
    name = node.get("name") or ""
    methods = tuple(method for fence in node.elements("fence") for method in fence.elements("method"))
    if not methods:
        yield warning(node.line, "I41", f"node {name} cannot be fenced: no method")
    labels: set[str] = set()
    for method in methods:
        label = method.get("name") or ""
        if not label:
            yield error(method.line, "I39", f"node {name}: method without name")
        elif label in labels:
            yield warning(method.line, "I40", f'node {name}: method "{label}" twice')
        labels.add(label)
        devices = method.elements("device")
        if not devices:
            yield warning(method.line, "I87", f'node {name}: method "{label}" has no device and always fails')
        yield from _check_references(name, devices, agents)
        yield from _check_supplies(name, label, devices, agents)
    for unfence in node.elements("unfence"):
        yield from _check_references(name, unfence.elements("device"), agents)


def _check_references(
    node: str, devices: tuple[Element, ...], agents: dict[str, Element]
) -> Iterator[Finding]:
    for device in devices:
        name = device.get("name") or ""
        if not name:
            yield error(device.line, "I39", f"node {node}: device without name")
        elif name not in agents:
            yield error(device.line, "I36", f'node {node}: fence device "{name}" is not defined')
        yield from _check_line_breaks(device, f'node {node}: fence device "{name}"')


def _check_line_breaks(device: Element, where: str) -> Iterator[Finding]:
    """An agent reads one key=value a line, so a line break in a value would smuggle in another key."""
    for name, value in device.attributes:
        if "\n" in value or "\r" in value:
            yield error(device.line, "I88", f"{where}: the value of {name} has a line break")


def _check_supplies(
    node: str, method: str, devices: tuple[Element, ...], agents: dict[str, Element]
) -> Iterator[Finding]:
    is_power = {device.get("name"): _agent(device, agents) not in _NOT_POWER for device in devices}
    actions = tuple((device, _action(device, agents)) for device in devices)
    where = f'node {node}: method "{method}"'
    for device, action in actions:
        name = device.get("name")
        if len(devices) > 1 and is_power[name] and action in {"", "reboot", "cycle"}:
            yield warning(
                device.line,
                "I89",
                f'{where}: "{name}" reboots alone, so with two supplies the power never goes away; '
                'give action="off" to each device, then action="on" to each',
            )
        elif action == "on" and not is_power[name]:
            yield warning(
                device.line, "I89", f'{where}: "{name}" is told "on", which gives the node its access back'
            )
    switched = [action for device, action in actions if is_power[device.get("name")]]
    if "on" in switched and "off" in switched[switched.index("on") :]:
        yield warning(devices[0].line, "I89", f'{where}: a device is told "on" before all are told "off"')


def _agent(device: Element, agents: dict[str, Element]) -> str:
    shared = agents.get(device.get("name") or "")
    return ((shared.get("agent") if shared else None) or "").rpartition("/")[2]


def _action(device: Element, agents: dict[str, Element]) -> str:
    shared = agents.get(device.get("name") or "")
    given = (*device.attributes, *(shared.attributes if shared else ()))
    return next((value.strip().lower() for name, value in reversed(given) if name in _ACTION_NAMES), "")
