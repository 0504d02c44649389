"""Where each element stands in the text of a cluster.conf, so that lines can be named and edits can be made in place.

Works on text that is known to be well-formed XML without a DTD; then a few patterns find every tag.
"""

import re
from bisect import bisect_right

from msgspec import Struct

from standfast.conf.document import AttributePlace, Place

_ATTRIBUTE = r"""\s+[^\s=<>"']+\s*=\s*(?:"[^"]*"|'[^']*')"""
_TOKEN = re.compile(
    rf"""
      (?P<comment><!--.*?-->)
    | (?P<cdata><!\[CDATA\[.*?\]\]>)
    | (?P<instruction><\?.*?\?>)
    | (?P<closing></[^>]*>)
    | (?P<opening><(?P<name>[^\s/>]+)(?P<attributes>(?:{_ATTRIBUTE})*)\s*(?P<empty>/?)>)
    """,
    re.VERBOSE | re.DOTALL,
)
_PAIR = re.compile(r"""\s+([^\s=<>"']+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_PROLOG = re.compile(r"(?:\s+|<!--.*?-->|<\?.*?\?>)*", re.DOTALL)
_DECLARED = re.compile(r"""<\?xml\s[^>]*?encoding\s*=\s*["']([^"'>]*)["']""")
_DECLARATION = re.compile(r"<\?xml\s")
_LINE_END = re.compile(r"\r\n|\n|\r")


class Places(Struct, frozen=True):
    """The places of all elements, and of all comments and instructions, each list in document order."""

    elements: tuple[Place, ...]
    others: tuple[Place, ...]


class Lines(Struct, frozen=True):
    """The offsets at which the lines of a text begin."""

    starts: tuple[int, ...]

    def at(self, offset: int) -> int:
        """The line number of an offset, from 1."""
        return bisect_right(self.starts, offset)


def lines_of(text: str) -> Lines:
    """Return where the lines of the text begin."""
    return Lines((0, *(match.end() for match in _LINE_END.finditer(text))))


def doctype_offset(text: str) -> int | None:
    """Return where the text begins a <!DOCTYPE, None where it has none."""
    match = _PROLOG.match(text, 1 if text.startswith("\ufeff") else 0)
    assert match  # the pattern matches the empty text
    return match.end() if text.startswith("<!DOCTYPE", match.end()) else None


def declared_encoding(text: str) -> str | None:
    """Return the encoding that the XML declaration names, None where it names none."""
    match = _DECLARED.match(text.removeprefix("\ufeff"))
    return match[1] if match else None


def find_places(text: str) -> Places:
    """Return where every element, comment and instruction of a well-formed text stands."""
    elements: list[Place | None] = []
    others: list[Place] = []
    opened: list[tuple[int, re.Match[str]]] = []  # index in `elements`, start tag
    for token in _TOKEN.finditer(text):
        start, end = token.span()
        if token["opening"] and token["empty"]:
            elements.append(_place(token, tail=end, end=end))
        elif token["opening"]:
            opened.append((len(elements), token))
            elements.append(None)
        elif token["closing"]:
            index, head = opened.pop()
            elements[index] = _place(head, tail=start, end=end)
        elif token["comment"] or (token["instruction"] and not _DECLARATION.match(token[0])):
            others.append(Place(start=start, head_end=end, tail=end, end=end))
    return Places(tuple(place for place in elements if place), tuple(others))


def _place(head: re.Match[str], *, tail: int, end: int) -> Place:
    shift = head.start("attributes")
    pairs = tuple(
        AttributePlace(pair[1], shift + pair.start(1), shift + pair.start(group), shift + pair.end(group))
        for pair in _PAIR.finditer(head["attributes"])
        for group in (2 if pair[2] is not None else 3,)
    )
    return Place(start=head.start(), head_end=head.end(), tail=tail, end=end, attributes=pairs)
