"""Agents and trees for the tests of this room: the stock types that the spec's examples use, and XML as elements."""

import xml.etree.ElementTree as ET

from standfast.conf.model import ResourceElement, ResourceManager, Service
from standfast.resources.agent import Action, AgentMetadata, Agents, ChildType, Parameter, agents_by_type
from standfast.resources.builtin import IP, SCRIPT, SERVICE
from standfast.resources.resource import Forest, ResourceNode
from standfast.resources.tree import build_trees
from standfast.terms import ServiceName

_NAME = Parameter(name="name", primary=True)
_START_STOP = (Action(name="start"), Action(name="stop"))
_MOUNT = (
    _NAME,
    Parameter(name="mountpoint", unique=True, required=True),
    Parameter(name="device", unique=True, required=True),
    Parameter(name="fsid"),
    Parameter(name="options"),
)
_BELOW_MOUNT = (
    ChildType(type="fs", start=1, stop=3),
    ChildType(type="clusterfs", start=1, stop=3),
    ChildType(type="nfsexport", start=3, stop=1),
)

FS = AgentMetadata(
    type="fs",
    parameters=(*_MOUNT, Parameter(name="nfslock", inherit="nfslock")),
    actions=(
        Action(name="start", timeout_s=900),
        Action(name="stop", timeout_s=30),
        Action(name="status", timeout_s=10, interval_s=60),
        Action(name="monitor", timeout_s=10, interval_s=60),
        Action(name="status", depth=10, timeout_s=30, interval_s=30),
        Action(name="status", depth=20, timeout_s=30, interval_s=60),
    ),
    children=_BELOW_MOUNT,
    maxinstances=1,
)
CLUSTERFS = AgentMetadata(
    type="clusterfs",
    parameters=(*_MOUNT, Parameter(name="nfslock", inherit="service%nfslock")),
    actions=_START_STOP,
    children=_BELOW_MOUNT,
)
NFSEXPORT = AgentMetadata(
    type="nfsexport",
    parameters=(
        _NAME,
        Parameter(name="device", inherit="device"),
        Parameter(name="path", inherit="mountpoint"),
        Parameter(name="fsid", inherit="fsid"),
    ),
    actions=(*_START_STOP, Action(name="recover"), Action(name="status", interval_s=3600)),
    children=(ChildType(type="nfsexport", forbid=True), ChildType(type="nfsclient")),
)
NFSCLIENT = AgentMetadata(
    type="nfsclient",
    parameters=(
        Parameter(name="name", primary=True, unique=True),
        Parameter(name="target", required=True),
        Parameter(name="path", inherit="path"),
        Parameter(name="svcname", inherit="service%name"),
        Parameter(name="fsid", inherit="fsid"),
        Parameter(name="service_name", inherit="service%name"),
        Parameter(name="use_cache", inherit="service%nfs_client_cache"),
    ),
    actions=(*_START_STOP, Action(name="recover"), Action(name="status", interval_s=60)),
)
LVM = AgentMetadata(
    type="lvm",
    parameters=(_NAME, Parameter(name="vg_name", required=True)),
    actions=_START_STOP,
    maxinstances=1,
)
VM = AgentMetadata(
    type="vm",
    parameters=(_NAME, Parameter(name="domain", reconfig=True), Parameter(name="migrate", default="live")),
    actions=(*_START_STOP, Action(name="migrate", timeout_s=600)),
    maxinstances=1,
    init_on_add=False,
    destroy_on_delete=False,
)
APACHE = AgentMetadata(type="apache", parameters=(_NAME,), actions=_START_STOP)
MYSQL = AgentMetadata(type="mysql", parameters=(_NAME,), actions=_START_STOP)
PROBE = AgentMetadata(type="probe", parameters=(_NAME,), actions=(Action(name="status", interval_s=30),))

STOCK: Agents = agents_by_type(
    (SERVICE, IP, SCRIPT, FS, CLUSTERFS, NFSEXPORT, NFSCLIENT, LVM, VM, APACHE, MYSQL, PROBE)
)


def elements(text: str) -> tuple[ResourceElement, ...]:
    """Read resource elements from XML; the nth element of the document is in line n."""
    root = ET.fromstring(f"<rm>{text}</rm>")
    lines = {element: line for line, element in enumerate(root.iter())}
    return tuple(_element(child, lines) for child in root)


def _element(element: ET.Element, lines: dict[ET.Element, int]) -> ResourceElement:
    return ResourceElement(
        type=element.tag,
        attributes=tuple(element.attrib.items()),
        children=tuple(_element(child, lines) for child in element if child.tag != "action"),
        actions=tuple(tuple(action.attrib.items()) for action in element.iterfind("action")),
        line=lines[element],
    )


def manager(services: str, resources: str = "", defaults: str = "") -> ResourceManager:
    """Return an <rm> with the services, shared definitions and resource defaults given as XML."""
    groups = elements(services)
    return ResourceManager(
        resources=elements(resources),
        resource_defaults=elements(defaults),
        services=tuple(
            Service(name=ServiceName(f"{group.type}:{group.get('name')}"), element=group) for group in groups
        ),
    )


def forest(services: str, resources: str = "", defaults: str = "", agents: Agents = STOCK) -> Forest:
    """Return the trees of the services given as XML."""
    return build_trees(manager(services, resources, defaults), agents)


def tree_of(services: str, resources: str = "") -> ResourceNode:
    """Return the root of the first service's tree."""
    root = forest(services, resources).trees[0].root
    assert root is not None
    return root


def texts(found: Forest) -> tuple[str, ...]:
    """Return all findings as `line: text`, those of <resources> first."""
    findings = (*found.findings, *(finding for tree in found.trees for finding in tree.findings))
    return tuple(f"{finding.line}: {finding.text}" for finding in findings)
