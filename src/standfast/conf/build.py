"""From the elements of a cluster.conf without errors to the records of conf/model.py, with every default filled in.

Source: spec configuration, sections 3 and 4; spec fencing, section 5 (the agent's arguments).
"""

from standfast.conf.document import BLANKS, Element
from standfast.conf.groups import read_time_s, service_name
from standfast.conf.model import (
    Altname,
    Arguments,
    Cluster,
    ClusterNode,
    DomainMember,
    FailoverDomain,
    FenceDaemon,
    FenceMethod,
    FenceStep,
    Recovery,
    ResourceElement,
    ResourceManager,
    Service,
)
from standfast.conf.nodes import read_config_version
from standfast.conf.values import read_flag, read_integer, read_rank
from standfast.conf.wiring import read_messaging
from standfast.terms import NodeId, ServiceName


def build_cluster(root: Element) -> Cluster:
    """Return the cluster of a root element in which the checks found no error."""
    cman = root.first("cman") or Element(name="cman")
    totem = root.first("totem") or Element(name="totem")
    two_node = _flag(cman, "two_node", False)
    expected = _number(cman, "expected_votes", 0)
    cluster_id = _number(cman, "cluster_id", 0)
    return Cluster(
        name=root.get("name") or "",
        config_version=read_config_version(root.get("config_version") or "") or 0,
        nodes=_nodes(root),
        two_node=two_node,
        expected_votes=1 if two_node else expected or None,
        fence_daemon=_fence_daemon(root.first("fence_daemon") or Element(name="fence_daemon")),
        token_ms=_number(totem, "token", 10_000),
        cluster_id=cluster_id or None,
        messaging=read_messaging(root),
        rm=_rm(root.first("rm") or Element(name="rm")),
    )


def _number(element: Element, name: str, default: int) -> int:
    number = read_integer(element.get(name) or "")
    return default if number is None else number


def _flag(element: Element, name: str, default: bool) -> bool:
    flag = read_flag(element.get(name) or "")
    return default if flag is None else flag


def _text(element: Element, name: str, default: str) -> str:
    text = element.get(name) or ""
    return text if text.strip(BLANKS) else default


def _nodes(root: Element) -> tuple[ClusterNode, ...]:
    section = root.first("clusternodes")
    devices = root.first("fencedevices")
    agents = {
        device.get("name") or "": device for device in (devices.elements("fencedevice") if devices else ())
    }
    return tuple(_node(node, agents) for node in (section.elements("clusternode") if section else ()))


def _node(node: Element, agents: dict[str, Element]) -> ClusterNode:
    name = node.get("name") or ""
    fence = node.first("fence")
    unfence = node.first("unfence")
    return ClusterNode(
        name=name,
        nodeid=NodeId(_number(node, "nodeid", 0)),
        votes=_number(node, "votes", 1),
        altnames=tuple(
            Altname(name=altname.get("name") or "", port=_number(altname, "port", 0) or None)
            for altname in node.elements("altname")
        ),
        methods=tuple(
            FenceMethod(name=method.get("name") or "", steps=_steps(name, method, agents))
            for method in (fence.elements("method") if fence else ())
        ),
        unfence=_steps(name, unfence, agents) if unfence else (),
    )


def _steps(node: str, parent: Element, agents: dict[str, Element]) -> tuple[FenceStep, ...]:
    return tuple(
        _step(node, device, agents[device.get("name") or ""]) for device in parent.elements("device")
    )


def _step(node: str, device: Element, shared: Element) -> FenceStep:
    own = _but_name(device.attributes)
    named: Arguments = () if device.get("nodename") is not None else (("nodename", node),)
    return FenceStep(
        device=device.get("name") or "",
        agent=shared.get("agent") or "",
        arguments=own + named + _but_name(shared.attributes),
    )


def _but_name(attributes: Arguments) -> Arguments:
    return tuple((name, value) for name, value in attributes if name != "name")


def _fence_daemon(daemon: Element) -> FenceDaemon:
    default = FenceDaemon()
    join_s = _number(daemon, "post_join_delay", default.post_join_delay_s or 0)
    fail_s = _number(daemon, "post_fail_delay", default.post_fail_delay_s or 0)
    return FenceDaemon(
        post_join_delay_s=None if join_s < 0 else join_s,
        post_fail_delay_s=None if fail_s < 0 else fail_s,
        clean_start=_flag(daemon, "clean_start", default.clean_start),
        skip_undefined=_flag(daemon, "skip_undefined", default.skip_undefined),
        override_path=_text(daemon, "override_path", default.override_path),
        override_time_s=_number(daemon, "override_time", default.override_time_s),
    )


def _rm(rm: Element) -> ResourceManager:
    default = ResourceManager()
    child_max = _number(rm, "status_child_max", 0)
    poll_s = _number(rm, "status_poll_interval", default.status_poll_interval_s)
    domains = tuple(
        _domain(domain)
        for section in rm.elements("failoverdomains")
        for domain in section.elements("failoverdomain")
    )
    shared = tuple(element for section in rm.elements("resources") for element in section.elements())
    return ResourceManager(
        domains=domains,
        resources=tuple(_resource(element) for element in shared),
        resource_defaults=tuple(
            _resource(element)
            for section in rm.elements("resource-defaults")
            for element in section.elements()
        ),
        services=tuple(
            _service(group, shared, domains) for group in rm.elements() if group.name == "service"
        ),
        status_poll_interval_s=poll_s if poll_s >= 1 else default.status_poll_interval_s,
        status_child_max=child_max if child_max >= 1 else None,
        log_level=_number(rm, "log_level", default.log_level),
    )


def _domain(domain: Element) -> FailoverDomain:
    return FailoverDomain(
        name=domain.get("name") or "",
        ordered=_flag(domain, "ordered", False),
        restricted=_flag(domain, "restricted", False),
        nofailback=_flag(domain, "nofailback", False),
        members=tuple(
            DomainMember(name=member.get("name") or "", priority=read_integer(member.get("priority") or ""))
            for member in domain.elements("failoverdomainnode")
        ),
    )


def _resource(element: Element) -> ResourceElement:
    return ResourceElement(
        type=element.name,
        attributes=element.attributes,
        children=tuple(_resource(child) for child in element.elements() if child.name != "action"),
        actions=tuple(action.attributes for action in element.elements("action")),
        line=element.line,
    )


def _service(group: Element, shared: tuple[Element, ...], domains: tuple[FailoverDomain, ...]) -> Service:
    name = service_name(group)
    policy = group
    if group.get("ref") is not None:
        policy = next(
            element for element in shared if element.name == "service" and element.get("name") == name
        )
    domain = (policy.get("domain") or "").lower()
    recovery = (policy.get("recovery") or "").strip(BLANKS).lower()
    return Service(
        name=ServiceName(f"service:{name}"),
        element=_resource(group),
        domain=next((known.name for known in domains if domain and known.name.lower() == domain), None),
        autostart=_flag(policy, "autostart", True),
        exclusive=(read_rank(policy.get("exclusive") or "") or 0) > 0,
        recovery=Recovery(recovery) if recovery in set(Recovery) else Recovery.RESTART,
        max_restarts=_number(policy, "max_restarts", 0),
        restart_expire_time_s=read_time_s(policy.get("restart_expire_time") or "") or 0,
        depend=_depend(policy.get("depend") or ""),
        depend_hard=(policy.get("depend_mode") or "").strip(BLANKS).lower() != "soft",
        priority=_number(policy, "priority", 0),
    )


def _depend(text: str) -> ServiceName | None:
    name = text.strip(BLANKS)
    if not name:
        return None
    return ServiceName(name if ":" in name else f"service:{name}")
