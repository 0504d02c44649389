"""The configurations of this room's stories, made of the few words that a story says."""

from collections.abc import Iterable

from msgspec.structs import replace

from standfast.conf.model import (
    Cluster,
    ClusterNode,
    FenceDaemon,
    FenceMethod,
    FenceStep,
    ResourceElement,
    ResourceManager,
    Service,
)
from standfast.terms import NodeId, ServiceName


def nodeid_of(text: str) -> NodeId:
    """Read a node id."""
    return NodeId(int(text))


def nodeids_of(text: str) -> tuple[NodeId, ...]:
    """Read node ids between commas."""
    return tuple(nodeid_of(n) for n in text.split(",") if n)


def plain_node(nodeid: NodeId, votes: int = 1) -> ClusterNode:
    """A node with a power switch of its own."""
    step = FenceStep(device=f"pdu{nodeid}", agent="fence_story", arguments=())
    methods = (FenceMethod(name="power", steps=(step,)),)
    return ClusterNode(name=f"node{nodeid}", nodeid=nodeid, votes=votes, methods=methods)


def plain_service(name: str, edition: int = 0, *, autostart: bool = True) -> Service:
    """A service; another edition is another definition."""
    attributes = (("name", name), ("edition", str(edition)))
    element = ResourceElement(type="service", attributes=attributes)
    return Service(name=ServiceName(name), element=element, autostart=autostart)


def delays(options: dict[str, str]) -> FenceDaemon:
    def seconds(name: str, default: int) -> int | None:
        text = options.get(name, str(default))
        return None if text == "ever" else int(text)

    return FenceDaemon(post_join_delay_s=seconds("join", 6), post_fail_delay_s=seconds("fail", 0))


def with_services(cluster: Cluster, services: Iterable[Service]) -> Cluster:
    return replace(cluster, rm=ResourceManager(services=tuple(services)))


def updated(cluster: Cluster, options: dict[str, str]) -> Cluster:
    """The next configuration, as an operator's options want it."""
    version = int(options["version"])
    services = [s for s in cluster.rm.services if s.name != options.get("drop")]
    services = [plain_service(s.name, version) if s.name == options.get("change") else s for s in services]
    if "add" in options:
        services.append(plain_service(options["add"]))
    gone = nodeids_of(options.get("without", ""))
    more = tuple(plain_node(n) for n in nodeids_of(options.get("with", "")))
    return replace(
        with_services(cluster, services),
        name=options.get("name", cluster.name),
        config_version=version,
        nodes=(*(n for n in cluster.nodes if n.nodeid not in gone), *more),
    )
