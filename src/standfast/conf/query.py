"""Asking a cluster.conf for values by path, as `ccs_tool query` and the old libccs do.

Source: spec configuration, section 7.7.
"""

import re
from collections.abc import Iterable, Iterator

from standfast.conf.document import Document, Element, Text
from standfast.errors import ConfError

_STEP = re.compile(
    r"""/(?:(?P<children>child::\*)|(?P<name>[A-Za-z_][\w.-]*)(?:\[(?:(?P<number>[0-9]{1,6})|@(?P<key>[A-Za-z_][\w.-]*)\s*=\s*
    (?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'))\])?|@(?P<attribute>[A-Za-z_][\w.-]*|\*))""",
    re.VERBOSE,
)


def query(document: Document, path: str) -> tuple[str, ...]:
    """Return what the path names, in document order: an attribute's value; `name=value` for `@*` and for elements.

    Raises ConfError where the path cannot be read.
    """
    steps = tuple(_steps(path))
    found: tuple[Element, ...] = (Element(name="", children=(document.root,)),)
    for step in steps:
        if step["attribute"]:
            return tuple(_attributes(found, step["attribute"]))
        found = tuple(child for element in found for child in _children(element, step))
    return tuple(_describe(element) for element in found)


def _steps(path: str) -> Iterator[re.Match[str]]:
    offset = 0
    while offset < len(path) or offset == 0:
        step = _STEP.match(path, offset)
        if step is None or (step["attribute"] and step.end() != len(path)):
            raise ConfError(
                f'"{path}": cannot read the path from "{path[offset:]}"; write it like '
                '/cluster/clusternodes/clusternode[@name="vapp1"]/@nodeid',
                code="query-path",
            )
        yield step
        offset = step.end()


def _children(element: Element, step: re.Match[str]) -> tuple[Element, ...]:
    if step["children"]:
        return element.elements()
    same = element.elements(step["name"])
    if step["number"]:
        number = int(step["number"])
        return same[number - 1 : number] if number else ()
    if step["key"]:
        value = step["double"] if step["double"] is not None else step["single"]
        return tuple(child for child in same if child.get(step["key"]) == value)
    return same


def _attributes(elements: Iterable[Element], wanted: str) -> Iterator[str]:
    for element in elements:
        for name, value in element.attributes:
            if wanted == "*":
                yield f"{name}={value}"
            elif name == wanted:
                yield value


def _describe(element: Element) -> str:
    text = "".join(child.text for child in element.children if isinstance(child, Text))
    return f"{element.name}={text.strip()}"
