"""What a new configuration changes in the resources of a running service, so that nothing else is stopped or started.

Pure. Source: spec resources, section 7.
"""

from collections.abc import Collection, Iterator
from enum import StrEnum

from msgspec import Struct

from standfast.resources.operation import AgentOperation
from standfast.resources.order import start_order, stop_order
from standfast.resources.resource import ResourceKey, ResourceNode, resources_below
from standfast.resources.walk import Purpose, Stepped, begin_walk, step_of


class Delta(Struct, frozen=True, kw_only=True):
    """What to do to a running service. Keys in `stop` are of the old tree, those in `start` and `reconfig` of the new one.

    `stop` is in stop order, the others are in start order. All below a resource that is stopped or started are there too.
    """

    stop: tuple[ResourceKey, ...] = ()
    start: tuple[ResourceKey, ...] = ()
    reconfig: tuple[ResourceKey, ...] = ()


class _Need(StrEnum):
    STOP = "stop"
    START = "start"
    RECONFIG = "reconfig"


def compare_trees(old: ResourceNode | None, new: ResourceNode | None) -> Delta:
    """Return what the change from the old tree of a service to the new one needs; None is no tree.

    A moved resource is stopped at its old place and started at the new one. The order of siblings, actions and `__`
    attributes make no difference.
    """
    needs = set(_compare((old,) if old is not None else (), (new,) if new is not None else ()))
    return Delta(
        stop=tuple(n.key for n in stop_order(old) if (_Need.STOP, n.key) in needs) if old is not None else (),
        start=_needing(_Need.START, new, needs),
        reconfig=_needing(_Need.RECONFIG, new, needs),
    )


def definition_changed(old: ResourceNode | None, new: ResourceNode | None) -> bool:
    """Tell whether a running service must be stopped or started in any part; calls of `reconfig` alone are neither."""
    delta = compare_trees(old, new)
    return bool(delta.stop or delta.start)


def down_walk(old: ResourceNode, delta: Delta, started: tuple[ResourceKey, ...]) -> Stepped:
    """Begin to stop what the delta stops. Its failures are told, and the change goes on."""
    stop = frozenset(delta.stop)
    steps = (step_of(node, AgentOperation.STOP) for node in stop_order(old) if node.key in stop)
    return begin_walk(Purpose.STOP, tuple(steps), started)


def up_walk(new: ResourceNode, delta: Delta, started: tuple[ResourceKey, ...]) -> Stepped:
    """Begin to start what the delta starts, and to tell the agents of changed parameters, after the down walk."""
    start, reconfig = frozenset(delta.start), frozenset(delta.reconfig)
    steps = (
        step_of(node, AgentOperation.START if node.key in start else AgentOperation.RECONFIG)
        for node in start_order(new)
        if node.key in start | reconfig
    )
    return begin_walk(Purpose.START, tuple(steps), started)


def _compare(
    old: tuple[ResourceNode, ...], new: tuple[ResourceNode, ...]
) -> Iterator[tuple[_Need, ResourceKey]]:
    """Compare siblings: those with one key are the same resource under the same parent."""
    before, after = {node.key: node for node in old}, {node.key: node for node in new}
    for node in old:
        if node.key not in after or _differs_fully(node, after[node.key]):
            yield from ((_Need.STOP, below.key) for below in resources_below(node))
    for node in new:
        if node.key not in before or _differs_fully(before[node.key], node):
            yield from ((_Need.START, below.key) for below in resources_below(node))
            continue
        if _changed_parameters(before[node.key], node):
            yield _Need.RECONFIG, node.key
        yield from _compare(before[node.key].children, node.children)


def _needing(
    need: _Need, root: ResourceNode | None, needs: Collection[tuple[_Need, ResourceKey]]
) -> tuple[ResourceKey, ...]:
    return () if root is None else tuple(n.key for n in start_order(root) if (need, n.key) in needs)


def _differs_fully(old: ResourceNode, new: ResourceNode) -> bool:
    return not _changed_parameters(old, new) <= set(new.reconfig)


def _changed_parameters(old: ResourceNode, new: ResourceNode) -> set[str]:
    # An inherited value is compared where it is written. Differs from rgmanager: new flags of a parameter are no
    # difference, because an agent's new release would restart every service.
    before, after = _own_parameters(old), _own_parameters(new)
    return {name for name, _ in before ^ after}


def _own_parameters(node: ResourceNode) -> set[tuple[str, str]]:
    return {(name, value) for name, value in node.parameters if name not in node.inherited}
