"""cluster.conf as values: what the file says, checked and with its defaults filled in.

Made by conf/parse.py and conf/validate.py; everything above reads only this. Source: spec configuration, sections 2 and 3.
"""

from enum import StrEnum

from msgspec import Struct

from standfast.conf.messaging import Messaging
from standfast.terms import NodeId, ServiceName

Arguments = tuple[tuple[str, str], ...]
"""Attributes in document order, as (name, value)."""


class FenceStep(Struct, frozen=True, kw_only=True):
    """One <device> of a method, joined with the <fencedevice> it names.

    `arguments` are the lines for the agent's standard input, in order: the device's own attributes, nodename, then the
    fencedevice's (spec fencing, section 5), each but `name`.
    """

    device: str
    agent: str
    arguments: Arguments


class FenceMethod(Struct, frozen=True, kw_only=True):
    """One way to fence a node: all steps, in order, must succeed."""

    name: str
    steps: tuple[FenceStep, ...]


class Altname(Struct, frozen=True, kw_only=True):
    """One <altname>: the node's name on a further network; `port` is None where the file gives none."""

    name: str
    port: int | None = None


class ClusterNode(Struct, frozen=True, kw_only=True):
    """One <clusternode>."""

    name: str
    nodeid: NodeId
    votes: int = 1
    altnames: tuple[Altname, ...] = ()  # links 1, 2, ...
    methods: tuple[FenceMethod, ...] = ()
    unfence: tuple[FenceStep, ...] = ()


class FenceDaemon(Struct, frozen=True, kw_only=True):
    """<fence_daemon>: delays in seconds; None is the file's -1, for ever."""

    post_join_delay_s: int | None = 6
    post_fail_delay_s: int | None = 0
    clean_start: bool = False
    skip_undefined: bool = False
    override_path: str = "/var/run/cluster/fenced_override"
    override_time_s: int = 3


class DomainMember(Struct, frozen=True, kw_only=True):
    """One <failoverdomainnode>; priority 1..100, lower is preferred, None where the file gives none."""

    name: str
    priority: int | None = None


class FailoverDomain(Struct, frozen=True, kw_only=True):
    """One <failoverdomain>."""

    name: str
    ordered: bool = False
    restricted: bool = False
    nofailback: bool = False
    members: tuple[DomainMember, ...] = ()


class ResourceElement(Struct, frozen=True, kw_only=True):
    """One resource element as written: under <resources>, or in a service's tree (inline, or by `ref`)."""

    type: str
    attributes: Arguments = ()
    children: tuple["ResourceElement", ...] = ()
    actions: tuple[Arguments, ...] = ()  # its <action> children
    line: int = 0

    def get(self, name: str) -> str | None:
        """The attribute's value, None where it is not written."""
        return next((value for key, value in self.attributes if key == name), None)


class Recovery(StrEnum):
    """What happens to a service whose status check failed."""

    RESTART = "restart"
    RELOCATE = "relocate"
    DISABLE = "disable"
    RESTART_DISABLE = "restart-disable"


class Service(Struct, frozen=True, kw_only=True):
    """One top-level group of <rm> with its policy; `element` is the tree as written, with `ref`s still unresolved."""

    name: ServiceName
    element: ResourceElement
    domain: str | None = None
    autostart: bool = True
    exclusive: bool = False
    recovery: Recovery = Recovery.RESTART
    max_restarts: int = 0  # 0: unlimited
    restart_expire_time_s: int = 0  # 0: never forgotten
    depend: ServiceName | None = None
    depend_hard: bool = True
    priority: int = 0


class ResourceManager(Struct, frozen=True, kw_only=True):
    """<rm>."""

    domains: tuple[FailoverDomain, ...] = ()
    resources: tuple[ResourceElement, ...] = ()
    resource_defaults: tuple[ResourceElement, ...] = ()
    services: tuple[Service, ...] = ()
    status_poll_interval_s: int = 10
    status_child_max: int | None = None
    log_level: int = 6


class Cluster(Struct, frozen=True, kw_only=True):
    """A whole, valid cluster.conf."""

    name: str
    config_version: int
    nodes: tuple[ClusterNode, ...]
    two_node: bool = False
    expected_votes: int | None = None  # None: the sum of all votes
    fence_daemon: FenceDaemon = FenceDaemon()
    token_ms: int = 10_000
    cluster_id: int | None = None  # None: derived from the name
    messaging: Messaging = Messaging()
    rm: ResourceManager = ResourceManager()
