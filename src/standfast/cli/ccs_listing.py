"""What `ccs_tool lsnode` and `lsfence` print of a cluster.conf, valid or not.

Source: spec configuration, section 7.4.
"""

from collections.abc import Iterator

from standfast.conf.document import Element
from standfast.conf.edit import multicast_address
from standfast.conf.model import Arguments
from standfast.conf.redact import redact_element


def render_nodes(root: Element, *, verbose: bool, with_secrets: bool) -> str:
    """Return lsnode's text; `verbose` is its -v."""
    shown = root if with_secrets else redact_element(root)
    return "".join(f"{line}\n" for line in _node_lines(shown, verbose))


def render_fence_devices(root: Element, *, verbose: bool, with_secrets: bool) -> str:
    """Return lsfence's text; `verbose` is its -v."""
    shown = root if with_secrets else redact_element(root)
    return "".join(f"{line}\n" for line in _fence_lines(shown, verbose))


def _node_lines(root: Element, verbose: bool) -> Iterator[str]:
    yield ""
    yield f"Cluster name: {root.get('name') or ''}, config_version: {root.get('config_version') or ''}"
    yield ""
    address = multicast_address(root)
    if address is not None:
        yield f"Multicast address for cluster: {address}"
        yield ""
    yield "Nodename                        Votes Nodeid Fencetype"
    section = root.first("clusternodes")
    for node in section.elements("clusternode") if section else ():
        device = _first_device(node)
        fence = (device.get("name") or "") if device else ""
        votes, nodeid = node.get("votes") or "1", node.get("nodeid") or "0"
        yield f"{node.get('name') or '':<32} {votes:>3}  {nodeid:>3}    {fence}".rstrip()
        if verbose:
            yield from _node_details(node, device)


def _node_details(node: Element, device: Element | None) -> Iterator[str]:
    for altname in node.elements("altname"):
        yield f" altname {_pairs(altname.attributes)}"
    own = _but(node.attributes, "name", "votes", "nodeid")
    if own:
        yield f"  Node properties:  {_pairs(own)}"
    arguments = _but(device.attributes, "name", "agent") if device else ()
    if arguments:
        yield f"  Fence properties:  {_pairs(arguments)}"


def _fence_lines(root: Element, verbose: bool) -> Iterator[str]:
    yield "Name             Agent"
    section = root.first("fencedevices")
    for device in section.elements("fencedevice") if section else ():
        yield f"{device.get('name') or '':<16} {device.get('agent') or ''}".rstrip()
        arguments = _but(device.attributes, "name", "agent")
        if verbose and arguments:
            yield f"  Properties:  {_pairs(arguments)}"


def _first_device(node: Element) -> Element | None:
    fence = node.first("fence")
    method = fence.first("method") if fence else None
    return method.first("device") if method else None


def _but(attributes: Arguments, *names: str) -> Arguments:
    return tuple((name, value) for name, value in attributes if name not in names)


def _pairs(attributes: Arguments) -> str:
    return " ".join(f"{name}={value}" for name, value in attributes)
