"""Changing the text of a cluster.conf in place, so that a person's layout and comments stay as they are.

A document remembers where each element stands in the text it was read from (conf/source.py). An edit becomes a few
splices of that text: whatever lies outside them is kept, character by character. Only a new element is laid out by us, in
canonical style but with the indentation and the line ends that the file uses; so a canonical file stays canonical.
"""

import re
from collections.abc import Iterable

from msgspec import Struct

from standfast.conf.document import BLANKS, Document, Element, Place
from standfast.conf.write import UNIT, escape_value, write_node

_LINE_BREAK = re.compile(r"\r\n|\n|\r")


class Splice(Struct, frozen=True):
    """Put `text` in place of the characters from `start` to `end`, exclusive."""

    start: int
    end: int
    text: str


def apply_splices(text: str, splices: Iterable[Splice]) -> str:
    """Return the text after all splices, which do not overlap and all count in the old text."""
    for splice in sorted(splices, key=lambda splice: splice.start, reverse=True):
        text = text[: splice.start] + splice.text + text[splice.end :]
    return text


def set_attribute(document: Document, element: Element, name: str, value: str) -> Splice:
    """Give an attribute a value: where it stands, or after the last attribute."""
    place = _place(element)
    for attribute in place.attributes:
        if attribute.name == name:
            quote = document.text[attribute.value_start - 1]
            return Splice(attribute.value_start, attribute.value_end, escape_value(value, quote))
    after = place.attributes[-1].value_end + 1 if place.attributes else place.start + 1 + len(element.name)
    return Splice(after, after, f' {name}="{escape_value(value)}"')


def append_child(document: Document, parent: Element, child: Element) -> Splice:
    """Add an element as the last child of `parent`, on lines of its own."""
    text, place = document.text, _place(parent)
    end = _line_end(text)
    outer = _indent(text, place.start)
    unit = _unit(document)
    block = write_node(child, _child_indent(text, parent, outer + unit), unit, end)
    if place.head_end == place.end:
        slash = len(text[: place.end - 2].rstrip(BLANKS))
        return Splice(slash, place.end, f">{end}{block}{end}{outer}</{parent.name}>")
    last = place.head_end + len(text[place.head_end : place.tail].rstrip(BLANKS))
    if last > place.head_end and _LINE_BREAK.search(text, last, place.tail):
        return Splice(last, last, f"{end}{block}")
    return Splice(last, place.tail, f"{end}{block}{end}{outer}")


def remove_child(document: Document, parent: Element, child: Element) -> Splice:
    """Remove an element with the lines that hold nothing else; a parent that is left empty becomes <parent/>."""
    text, outer, place = document.text, _place(parent), _place(child)
    around = text[outer.head_end : place.start] + text[place.end : outer.tail]
    if not around.strip(BLANKS):
        return Splice(len(text[: outer.head_end - 1].rstrip(BLANKS)), outer.end, "/>")
    line_start = _line_start(text, place.start)
    line_break = _LINE_BREAK.search(text, place.end)
    line_stop = line_break.start() if line_break else len(text)
    before, after = text[line_start : place.start], text[place.end : line_stop]
    if before.strip(BLANKS):
        return Splice(place.start - (len(before) - len(before.rstrip(BLANKS))), place.end, "")
    if after.strip(BLANKS):
        return Splice(place.start, place.end + (len(after) - len(after.lstrip(BLANKS))), "")
    return Splice(line_start, line_break.end() if line_break else line_stop, "")


def _place(element: Element) -> Place:
    assert element.place, "only what was read from a text can be changed in it"
    return element.place


def _line_end(text: str) -> str:
    match = _LINE_BREAK.search(text)
    return match[0] if match else "\n"


def _line_start(text: str, offset: int) -> int:
    return max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1


def _indent(text: str, offset: int) -> str:
    """The blanks at the beginning of the offset's line."""
    line = text[_line_start(text, offset) : offset]
    return line[: len(line) - len(line.lstrip(BLANKS))]


def _begins_line(text: str, element: Element) -> bool:
    start = _place(element).start
    return not text[_line_start(text, start) : start].strip(BLANKS)


def _child_indent(text: str, parent: Element, default: str) -> str:
    own_lines = [child for child in parent.elements() if _begins_line(text, child)]
    return _indent(text, _place(own_lines[-1]).start) if own_lines else default


def _unit(document: Document) -> str:
    """What this file adds for each depth, as its first indented element shows."""
    text, root = document.text, document.root
    outer = _indent(text, _place(root).start)
    for child in root.elements():
        inner = _indent(text, _place(child).start)
        if _begins_line(text, child) and inner.startswith(outer) and inner != outer:
            return inner[len(outer) :]
    return UNIT
