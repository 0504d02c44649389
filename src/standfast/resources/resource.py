"""A service's resources as the daemon runs them: one tree of resolved resources, and what was left out of it.

Pure. Made by resources/tree.py, and kept on disk as JSON while the service runs. Source: spec resources, section 2.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NewType

from msgspec import Struct

from standfast.resources.agent import Action
from standfast.terms import ServiceName

ResourceKey = NewType("ResourceKey", str)
"""A resource's place in its service's tree, such as `service:web/fs:data/ip:10.1.4.150`; unique in the tree."""


class Finding(Struct, frozen=True, order=True):
    """Something in cluster.conf that is left out or ignored. `text` says what, and what to do; lines count from 1."""

    line: int
    text: str


class Independence(StrEnum):
    """How far a failure of a resource and of those below it reaches (spec resources, section 6)."""

    NONE = "none"  # the whole service has failed
    INDEPENDENT = "independent"  # this subtree is restarted in place
    NON_CRITICAL = "non-critical"  # this subtree is stopped, the service goes on


class Place(Struct, frozen=True, kw_only=True):
    """The `__` attributes: what cluster.conf says of this place in the tree, not of the resource.

    The counts and times of a pair are both positive, or both 0, which is: not set. Source: spec resources, section 2.7.
    """

    independence: Independence = Independence.NONE
    enforce_timeouts: bool = False
    max_failures: int = 0
    failure_expire_s: int = 0
    max_restarts: int = 0
    restart_expire_s: int = 0


class ResourceNode(Struct, frozen=True, kw_only=True):
    """One resource at its place in the tree. `children` are in tree order (spec resources, section 2.6).

    `parameters` are all that have a value, in the agent's order. `inherited` names those that are not the resource's own,
    `reconfig` those that may change while it runs. `actions` are only those that the daemon runs.
    `start_level` and `stop_level` are 1..100 as the parent's agent declares them, 0 is its default level.
    """

    key: ResourceKey
    type: str
    name: str
    parameters: tuple[tuple[str, str], ...] = ()
    inherited: tuple[str, ...] = ()
    reconfig: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    children: tuple["ResourceNode", ...] = ()
    start_level: int = 0
    stop_level: int = 0
    status_word: str = "status"
    shared: bool = False  # a definition of <resources>, that other places may use too
    place: Place = Place()
    line: int = 0

    def get(self, parameter: str) -> str | None:
        """The parameter's value, None where it has none."""
        return next((value for name, value in self.parameters if name == parameter), None)


class Tree(Struct, frozen=True, kw_only=True):
    """The resources of one service. `root` is None where the service itself cannot be loaded; `findings` say why."""

    service: ServiceName
    root: ResourceNode | None
    findings: tuple[Finding, ...] = ()
    init_on_add: bool = True  # stopped everywhere once when it is new
    destroy_on_delete: bool = True  # stopped when it is removed


class Forest(Struct, frozen=True, kw_only=True):
    """The trees of all services, in the file's order. `findings` are those of <resources> alone."""

    trees: tuple[Tree, ...]
    findings: tuple[Finding, ...] = ()


def resources_below(node: ResourceNode) -> Iterator[ResourceNode]:
    """Yield the resource and all below it, parents first, in tree order."""
    yield node
    for child in node.children:
        yield from resources_below(child)


def find_resource(root: ResourceNode, key: ResourceKey) -> ResourceNode | None:
    """Return the resource at that place, None where the tree has none there."""
    return next((node for node in resources_below(root) if node.key == key), None)
