"""Failover domains, resources and services in cluster.conf: names, references, and policies.

Source: spec configuration, section 11 (I54 to I59); spec services, sections 1 and 2; spec resources, section 2.
"""

import ipaddress
import re
from collections.abc import Collection, Iterator

from standfast.conf.document import BLANKS, Element
from standfast.conf.findings import Finding, error, warning
from standfast.conf.grammar import FLAG, INTEGER, READ_FLAG, READ_TEXT, Attribute, Kind, Shape
from standfast.conf.shape import check_attributes, not_acted_upon, not_an_integer
from standfast.conf.values import read_integer, read_rank

OWN_AGENTS = frozenset({"ip", "script", "service"})
"""Resource types that Standfast's own agents cover."""

FULL_NAME_MAX = 63  # longest `service:NAME`, in characters
SECTIONS = frozenset({"failoverdomains", "events", "resources", "resource-defaults"})
RECOVERIES = ("restart", "relocate", "disable", "restart-disable")

_PRIMARY = {
    **dict.fromkeys(
        (
            *(
                "apache",
                "ASEHAagent",
                "bind-mount",
                "clusterfs",
                "drbd",
                "fs",
                "lvm",
                "mysql",
                "named",
                "netfs",
            ),
            *(
                "nfsclient",
                "nfsexport",
                "nfsserver",
                "openldap",
                "oracledb",
                "oradg",
                "orainstance",
                "oralistener",
            ),
            *("postgres-8", "samba", "script", "service", "smb", "tomcat-5", "tomcat-6", "vm"),
        ),
        "name",
    ),
    "ip": "address",
    "SAPDatabase": "SID",
    "SAPInstance": "InstanceName",
    "db2": "instance",
}
_REQUIRED = {"script": ("file",)}  # beside the primary one, of the types that our own agents cover
_TIME = re.compile(r"[0-9]{1,9}[smhdwySMHDWY]?")
_OWN = Attribute(Kind.OWN, acted=True)
_SERVICE = Shape(
    {
        "name": READ_TEXT,
        "ref": READ_TEXT,
        "domain": READ_TEXT,
        "autostart": READ_FLAG,
        "exclusive": _OWN,
        "recovery": Attribute(Kind.WORD, RECOVERIES, acted=True),
        "max_restarts": Attribute(Kind.INTEGER, least=0, acted=True),
        "restart_expire_time": _OWN,
        "depend": READ_TEXT,
        "depend_mode": Attribute(Kind.WORD, ("hard", "soft"), acted=True),
        "priority": Attribute(Kind.INTEGER, acted=True),
        "hardrecovery": FLAG,
        "nfslock": FLAG,
        "nfs_client_cache": INTEGER,
    },
    is_open=True,
    acted=True,
)


def check_groups(root: Element, agents: Collection[str]) -> Iterator[Finding]:
    """Yield what is wrong below <rm>. `agents` are the resource types that can be acted upon, in lower case."""
    rm = root.first("rm")
    if rm is None:
        return
    section = root.first("clusternodes")
    nodes = {node.get("name") or "" for node in (section.elements("clusternode") if section else ())}
    domains = tuple(
        domain for listed in rm.elements("failoverdomains") for domain in listed.elements("failoverdomain")
    )
    yield from _check_domains(domains, nodes)
    names = {(domain.get("name") or "").lower() for domain in domains}
    shared = tuple(element for resources in rm.elements("resources") for element in resources.elements())
    groups = tuple(child for child in rm.elements() if child.name not in SECTIONS)
    for element in shared:
        yield from _check_resource(element, "resources", agents)
    services: set[str] = set()
    for group in groups:
        if group.name == "service":
            yield from _check_service(group, services, names, shared, agents)
            services.add(service_name(group))
        else:
            yield from _check_other_group(group, agents)
    yield from _check_twice((*shared, *groups))
    yield from _check_depends(groups)


def service_name(group: Element) -> str:
    """Return the name of a top-level group without its type; "" where it has none."""
    return group.get("name") or group.get("ref") or ""


def read_time_s(text: str) -> int | None:
    """Return the seconds of a time such as "90" or "5m"; None for anything else."""
    word = text.strip(BLANKS)
    if not _TIME.fullmatch(word):
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
    return int(word) if word.isdigit() else int(word[:-1]) * units[word[-1].lower()]


def _check_domains(domains: tuple[Element, ...], nodes: set[str]) -> Iterator[Finding]:
    names: set[str] = set()
    for domain in domains:
        name = domain.get("name") or ""
        if not name:
            yield error(domain.line, "I54", "failoverdomain without name")
        elif name.lower() in names:
            yield error(domain.line, "I54", f"failover domain {name} defined twice")
        names.add(name.lower())
        members: set[str] = set()
        for member in domain.elements("failoverdomainnode"):
            yield from _check_member(domain, member, nodes, members)
            members.add(member.get("name") or "")


def _check_member(domain: Element, member: Element, nodes: set[str], before: set[str]) -> Iterator[Finding]:
    where = f"domain {domain.get('name')}"
    name = member.get("name") or ""
    if not name:
        yield error(member.line, "I54", f"{where}: node without name")
    elif name in before:
        yield error(member.line, "I54", f'{where}: node "{name}" listed twice')
    elif name not in nodes:
        yield warning(member.line, "I54", f'{where}: node "{name}" is not a cluster node')
    text = member.get("priority")
    ordered = (domain.get("ordered") or "0").strip(BLANKS).lower() in {"1", "yes", "on", "true"}
    if text is not None and text.strip(BLANKS):
        priority = read_integer(text)
        if priority is None or not 1 <= priority <= 100:
            yield error(member.line, "I55", f'{where}: priority "{text}" must be 1..100')
    elif ordered:
        yield warning(member.line, "I55", f'{where}: node "{name}" has no priority and comes last')


def _check_service(
    service: Element,
    before: set[str],
    domains: set[str],
    shared: tuple[Element, ...],
    agents: Collection[str],
) -> Iterator[Finding]:
    name = service_name(service)
    if not name:
        yield error(service.line, "I56", "service without name")
    elif name in before:
        yield error(service.line, "I57", f"service {name} defined twice")
    elif len(f"service:{name}") > FULL_NAME_MAX:
        yield error(
            service.line, "I56", f"service {name}: service:NAME is longer than {FULL_NAME_MAX} characters"
        )
    ref = service.get("ref")
    definition = service
    if ref is not None:
        found = _find(service, shared)
        if found is None:
            yield error(service.line, "I59", f'service {name}: no service resource "{ref}"')
        definition = found or service
    yield from _check_policy(definition, name, domains)
    yield from _check_tree(service, name, shared, agents)


def _check_policy(service: Element, name: str, domains: set[str]) -> Iterator[Finding]:
    yield from check_attributes(service, _SERVICE)
    yield from _check_place(service)
    for key, _ in service.attributes:
        if key not in _SERVICE.attributes and not key.startswith("__"):
            yield warning(service.line, "I60", f"unknown attribute {key} ignored")
    domain = service.get("domain") or ""
    if domain and domain.lower() not in domains:
        yield error(service.line, "I58", f'service {name}: domain "{domain}" is not defined')
    exclusive = service.get("exclusive") or "0"
    if read_rank(exclusive) is None:
        yield not_an_integer(service, "exclusive", exclusive)
    expiry = service.get("restart_expire_time") or "0"
    if read_time_s(expiry) is None:
        yield error(
            service.line, "I53", f'service/@restart_expire_time: "{expiry}" is not a number of seconds'
        )


def _check_tree(
    parent: Element, service: str, shared: tuple[Element, ...], agents: Collection[str]
) -> Iterator[Finding]:
    for child in parent.elements():
        if child.name == "action":
            if not child.get("name"):
                yield error(child.line, "I56", f"service {service}: action without name")
            continue
        yield from _check_resource(child, f"service {service}", agents)
        yield from _check_place(child)
        if child.get("ref") is not None and _find(child, shared) is None:
            yield error(
                child.line, "I59", f'service {service}: no {child.name} resource "{child.get("ref")}"'
            )
        yield from _check_tree(child, service, shared, agents)


def _check_resource(element: Element, where: str, agents: Collection[str]) -> Iterator[Finding]:
    if element.name.lower() not in agents:
        yield not_acted_upon(element.line, f"<{element.name}> (there is no agent for it)")
        return
    if element.get("ref") is not None:
        return
    primary = _PRIMARY.get(element.name)
    for name in (primary, *_REQUIRED.get(element.name, ())):
        if name is not None and not (element.get(name) or "").strip(BLANKS):
            yield error(element.line, "I56", f"{where}: {element.name} without {name}")
    address = (element.get("address") or "").strip(BLANKS)
    if element.name == "ip" and address and not _is_address(address):
        yield error(element.line, "I90", f'{where}: ip address "{address}" is not an IP address')


def _check_place(element: Element) -> Iterator[Finding]:
    """What is written on a place in the tree: how its failures are treated."""
    for name, _ in element.attributes:
        if name.startswith("__") and name != "__enforce_timeouts":
            yield not_acted_upon(element.line, f"{element.name}/@{name}")


def _check_other_group(group: Element, agents: Collection[str]) -> Iterator[Finding]:
    if group.name == "vm" and not service_name(group):
        yield error(group.line, "I56", "vm without name")
    elif group.name == "vm" or group.name.lower() in agents:
        yield not_acted_upon(group.line, f"<{group.name}> outside a service")
    else:
        yield not_acted_upon(group.line, f"<{group.name}> (there is no agent for it)")


def _check_twice(tops: tuple[Element, ...]) -> Iterator[Finding]:
    """Two resources of one type with one primary value: the second would silently not be managed."""
    lines: dict[tuple[str, str], int] = {}
    for element in _definitions(tops):
        value = element.get(_PRIMARY.get(element.name, ""))
        if not value or element.get("ref") is not None:
            continue
        key = (element.name, value)
        if key in lines:
            yield error(
                element.line, "I57", f'{element.name} "{value}" defined twice (first at line {lines[key]})'
            )
        lines.setdefault(key, element.line)


def _definitions(elements: tuple[Element, ...]) -> Iterator[Element]:
    for element in elements:
        if element.name not in {"service", "action"}:
            yield element
        yield from _definitions(element.elements())


def _check_depends(groups: tuple[Element, ...]) -> Iterator[Finding]:
    known = {f"{group.name}:{service_name(group)}" for group in groups}
    for group in groups:
        depend = group.get("depend")
        if depend and depend not in known and f"service:{depend}" not in known:
            yield warning(
                group.line,
                "I58",
                f'service {service_name(group)}: depends on "{depend}", which is not defined',
            )


def _find(reference: Element, shared: tuple[Element, ...]) -> Element | None:
    value = reference.get("ref")
    same = tuple(element for element in shared if element.name == reference.name)
    keys = (_PRIMARY.get(reference.name, "name"), *_REQUIRED.get(reference.name, ()))
    return next((element for key in keys for element in same if element.get(key) == value), None)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True
