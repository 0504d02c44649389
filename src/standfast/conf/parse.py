"""Reading the bytes of a cluster.conf into its elements: the only module here that knows lxml.

No DTD, no entities, no network; bounded in size and depth. Source: spec configuration, sections 1 and 11 (I01 to I05).
"""

import re
from collections.abc import Iterator

from lxml import etree

from standfast.conf.document import BLANKS, Comment, Document, Element, Instruction, Node, Text
from standfast.conf.findings import Finding, fatal, render_finding
from standfast.conf.redact import SECRET_NEARBY
from standfast.conf.source import Lines, Places, declared_encoding, doctype_offset, find_places, lines_of
from standfast.errors import ConfError

BYTES_MAX = 4 * 1024 * 1024  # a longer file is refused
DEPTH_MAX = 64  # an element nested deeper is refused

_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_WHERE = re.compile(r", line \d+, column \d+$")


def parse(name: str, data: bytes) -> Document:
    """Return the document; `name` is the file's name for messages.

    Raises ConfError with the text `FILE:LINE: error: ...`.
    """
    document = read(data)
    if isinstance(document, Finding):
        raise ConfError(render_finding(name, document), code="conf-unreadable")
    return document


def read(data: bytes) -> Document | Finding:
    """Return the document, or the one fatal finding that says why there is none."""
    if len(data) > BYTES_MAX:
        return fatal(0, "I83", f"file is longer than {BYTES_MAX} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as bad:
        line = data[: bad.start].count(b"\n") + 1
        return fatal(
            line,
            "I84",
            f"not UTF-8: byte 0x{data[bad.start]:02x} at offset {bad.start}; save the file as UTF-8",
        )
    if not text.removeprefix("\ufeff").strip(BLANKS):
        return fatal(1, "I02", "file is empty")
    lines = lines_of(text)
    doctype = doctype_offset(text)
    if doctype is not None:
        return fatal(lines.at(doctype), "I05", "DTD is not allowed")
    encoding = declared_encoding(text)
    if encoding is not None and encoding.lower() not in _UTF_8:
        return fatal(1, "I84", f'encoding "{encoding}" is not supported; save the file as UTF-8')
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as bad:
        return _syntax_finding(bad, text)
    return _document(root, text, lines)


def _syntax_finding(bad: etree.XMLSyntaxError, text: str) -> Finding:
    line = max(1, bad.lineno or 1)
    said = _WHERE.sub("", str(bad.msg))
    if said.startswith("Excessive depth"):
        return fatal(line, "I86", f"elements are nested deeper than {DEPTH_MAX}")
    rows = re.split(r"\r\n|\n|\r", text)
    if SECRET_NEARBY.search("\n".join(rows[max(0, line - 2) : line])):
        # The parser quotes what it stumbled over, and that may be a piece of a password.
        said = "near a password; look here for a missing quote, or a bare & or <"
    return fatal(line, "I01", f"not well-formed: {' '.join(said.split())}")


def _document(root: etree._Element, text: str, lines: Lines) -> Document | Finding:
    places = find_places(text)
    walk = tuple(root.iter())
    tags = tuple(node for node in walk if _is_element(node))
    depths: dict[etree._Element, int] = {}
    for node, place in zip(tags, places.elements, strict=True):
        parent = node.getparent()
        depths[node] = 1 if parent is None else depths[parent] + 1
        line = lines.at(place.start)
        if depths[node] > DEPTH_MAX:
            return fatal(line, "I86", f"elements are nested deeper than {DEPTH_MAX}")
        if node.nsmap or any(str(key).startswith("{") for key in node.attrib):
            return fatal(line, "I85", f"<{etree.QName(node).localname}>: XML namespaces are not allowed")
    return _Reading(text, lines, places).document(root)


class _Reading:
    """One walk over a parsed tree, in document order, that gives each node its place."""

    def __init__(self, text: str, lines: Lines, places: Places) -> None:
        self.text = text
        self.lines = lines
        self.elements = iter(places.elements)
        self.others = iter(places.others)
        self.offset = 0  # where the last tag, comment or instruction ended

    def document(self, root: etree._Element) -> Document:
        before = tuple(self.other(node) for node in reversed(tuple(root.itersiblings(preceding=True))))
        element = self.element(root)
        after = tuple(self.other(node) for node in root.itersiblings())
        return Document(root=element, before=before, after=after, text=self.text)

    def other(self, node: etree._Element) -> Comment | Instruction:
        place = next(self.others)
        self.offset = place.end
        line = self.lines.at(place.start)
        tag: object = node.tag
        if tag is etree.ProcessingInstruction:
            target, _, text = str(node)[2:-2].partition(" ")
            return Instruction(target, text, line)
        return Comment(node.text or "", line)

    def element(self, node: etree._Element) -> Element:
        place = next(self.elements)
        self.offset = place.head_end
        children = tuple(self.children(node))
        self.offset = place.end
        if all(not isinstance(child, Text) or not child.text.strip(BLANKS) for child in children):
            children = tuple(child for child in children if not isinstance(child, Text))
        return Element(
            name=str(node.tag),
            attributes=tuple((str(key), str(value)) for key, value in node.attrib.items()),
            children=children,
            line=self.lines.at(place.start),
            place=place,
        )

    def children(self, node: etree._Element) -> Iterator[Node]:
        yield from self.words(node.text)
        for child in node:
            yield self.element(child) if _is_element(child) else self.other(child)
            yield from self.words(child.tail)

    def words(self, text: str | None) -> Iterator[Text]:
        if text:
            blank = len(self.text) - len(self.text[self.offset :].lstrip(BLANKS))
            yield Text(text, self.lines.at(blank))


def _is_element(node: etree._Element) -> bool:
    """Whether it is an element: comments and instructions have a function for their tag."""
    tag: object = node.tag
    return isinstance(tag, str)
