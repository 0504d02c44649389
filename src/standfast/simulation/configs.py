"""The cluster.conf of a simulated cluster, as values."""

from random import Random

from msgspec.structs import replace

from standfast.conf.model import (
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
from standfast.membership.votes import VoteTable
from standfast.simulation.fault import UpdateFile
from standfast.simulation.plan import Plan
from standfast.terms import NodeId, ServiceName


def first_cluster(plan: Plan, version: int) -> Cluster:
    """Return the configuration that a run begins with; `version` is its config_version."""
    rng = Random(plan.seed)
    nodes = tuple(
        ClusterNode(
            name=f"node{n}",
            nodeid=NodeId(n),
            votes=plan.votes[n - 1] if plan.votes else 1,
            methods=(
                FenceMethod(
                    name="power", steps=(FenceStep(device=f"pdu{n}", agent="fence_sim", arguments=()),)
                ),
            ),
        )
        for n in range(1, plan.nodes + 1)
    )
    domain = FailoverDomain(
        name="some",
        ordered=rng.random() < 0.5,
        restricted=rng.random() < 0.4,
        nofailback=rng.random() < 0.4,
        members=tuple(
            DomainMember(name=n.name, priority=rng.randint(1, 3))
            for n in rng.sample(nodes, max(1, plan.nodes - 1))
        ),
    )
    services = tuple(_service(rng, plan, k) for k in range(plan.services))
    return Cluster(
        name="simulated",
        config_version=version,
        nodes=nodes,
        two_node=plan.two_node,
        fence_daemon=FenceDaemon(
            post_join_delay_s=plan.post_join_delay_s, post_fail_delay_s=plan.post_fail_delay_s
        ),
        rm=ResourceManager(domains=(domain,), services=services),
    )


def with_stranger(cluster: Cluster, name: str, nodeid: NodeId) -> Cluster:
    """Return the file of a machine that believes itself to be a node of the cluster."""
    stranger = ClusterNode(name=name, nodeid=nodeid)
    return replace(cluster, nodes=(*cluster.nodes, stranger), two_node=False)


def service_name(k: int) -> ServiceName:
    """Return the name of the k-th simulated service."""
    return ServiceName(f"service:s{k}")


def updated(cluster: Cluster, update: UpdateFile) -> Cluster:
    """Return the next version of the configuration, changed as the operator wants it."""
    version = cluster.config_version + 1
    services = cluster.rm.services
    name = service_name(update.service)
    if update.kind == "remove" and len(services) > 1:
        services = tuple(s for s in services if s.name != name)
    elif update.kind == "add" and len(services) < 6:
        extra = ServiceName(f"service:x{version}")
        services = (*services, Service(name=extra, element=_element(extra, 0)))
    elif update.kind == "change":
        services = tuple(
            replace(s, element=_element(s.name, version)) if s.name == name else s for s in services
        )
    return replace(cluster, config_version=version, rm=replace(cluster.rm, services=services))


def votes_of(cluster: Cluster) -> VoteTable:
    """Return the votes that the simulated engine judges quorum by."""
    votes = tuple((node.nodeid, node.votes) for node in cluster.nodes)
    expected = 1 if cluster.two_node else sum(vote for _, vote in votes)
    return VoteTable(
        votes=votes, expected_votes=expected, two_node=cluster.two_node, arbiter=cluster.two_node
    )


def _service(rng: Random, plan: Plan, k: int) -> Service:
    name = service_name(k)
    depends = k > 0 and rng.random() < 0.15
    return Service(
        name=name,
        element=_element(name, 0),
        domain=rng.choice((None, None, "some")),
        autostart=rng.random() < 0.9,
        exclusive=plan.services < plan.nodes and rng.random() < 0.1,
        recovery=rng.choice((Recovery.RESTART, Recovery.RESTART, Recovery.RELOCATE)),
        max_restarts=rng.choice((0, 0, 2)),
        restart_expire_time_s=rng.choice((0, 30)),
        depend=service_name(0) if depends else None,
    )


def _element(name: str, edition: int) -> ResourceElement:
    script = ResourceElement(type="script", attributes=(("name", name), ("file", f"/etc/init.d/{edition}")))
    return ResourceElement(type="service", attributes=(("name", name),), children=(script,))
