"""In which order the resources of a service are started, stopped and checked.

Pure. Source: spec resources, section 4.1.
"""

from collections.abc import Callable, Iterator
from itertools import groupby

from standfast.resources.resource import ResourceNode


def start_order(root: ResourceNode) -> tuple[ResourceNode, ...]:
    """Return all resources, each before those below it: levels 1 to 100, then the default level in tree order."""
    return tuple(_descend(root))


def status_order(root: ResourceNode) -> tuple[ResourceNode, ...]:
    """Return all resources in the order of their checks, which is the order of their start."""
    return start_order(root)


def stop_order(root: ResourceNode) -> tuple[ResourceNode, ...]:
    """Return all resources, each after those below it: the default level in reverse tree order, then levels 1 to 100.

    Types that share a level come in the same order as on start; only within a type the order is reversed.
    """
    return tuple(_ascend(root))


def _descend(node: ResourceNode) -> Iterator[ResourceNode]:
    yield node
    for child in (*_by_level(node, _start_level), *_at_default(node, _start_level)):
        yield from _descend(child)


def _ascend(node: ResourceNode) -> Iterator[ResourceNode]:
    for child in reversed(_at_default(node, _stop_level)):
        yield from _ascend(child)
    # Tree order has declared types one after the other, so the types of a level are runs of equal type.
    for _, run in groupby(_by_level(node, _stop_level), key=lambda child: (child.stop_level, child.type)):
        for child in reversed(tuple(run)):
            yield from _ascend(child)
    yield node


def _by_level(node: ResourceNode, level: Callable[[ResourceNode], int]) -> tuple[ResourceNode, ...]:
    return tuple(sorted((child for child in node.children if level(child)), key=level))


def _at_default(node: ResourceNode, level: Callable[[ResourceNode], int]) -> tuple[ResourceNode, ...]:
    return tuple(child for child in node.children if not level(child))


def _start_level(node: ResourceNode) -> int:
    return node.start_level


def _stop_level(node: ResourceNode) -> int:
    return node.stop_level
