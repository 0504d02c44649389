"""cluster.conf as written: elements, comments and stray text, each with its line, before anything is judged.

Made by conf/parse.py. conf/validate.py reads it, conf/write.py prints it, conf/edit.py changes the text it came from.
"""

from collections.abc import Iterator

from msgspec import Struct

from standfast.conf.model import Arguments

BLANKS = " \t\r\n"  # what XML calls white space


class AttributePlace(Struct, frozen=True):
    """Where an attribute stands in the text, in characters: its name, and its value between the quotes."""

    name: str
    start: int
    value_start: int
    value_end: int


class Place(Struct, frozen=True, kw_only=True):
    """Where an element stands in the text, in characters, ends exclusive.

    `start`..`head_end` is its start tag and `tail`..`end` its end tag; an empty-element tag has all three ends equal.
    """

    start: int
    head_end: int
    tail: int
    end: int
    attributes: tuple[AttributePlace, ...] = ()


class Comment(Struct, frozen=True, tag=True):
    """<!--text-->, the text exactly as written."""

    text: str
    line: int = 0


class Instruction(Struct, frozen=True, tag=True):
    """A processing instruction, <?target text?>; never obeyed."""

    target: str
    text: str
    line: int = 0


class Text(Struct, frozen=True, tag=True):
    """Text between tags. Blanks are kept only beside text that is not blank."""

    text: str
    line: int = 0


class Element(Struct, frozen=True, tag=True, kw_only=True):
    """One element with its attributes in document order; `place` is None where it comes from no text."""

    name: str
    attributes: Arguments = ()
    children: tuple["Element | Comment | Instruction | Text", ...] = ()
    line: int = 0
    place: Place | None = None

    def get(self, name: str) -> str | None:
        """The attribute's value exactly as written, None where it is not written."""
        return next((value for key, value in self.attributes if key == name), None)

    def elements(self, *names: str) -> tuple["Element", ...]:
        """The child elements of these names, or all of them, in document order."""
        return tuple(
            child
            for child in self.children
            if isinstance(child, Element) and (not names or child.name in names)
        )

    def first(self, name: str) -> "Element | None":
        """The first child element of this name."""
        return next(iter(self.elements(name)), None)


Node = Element | Comment | Instruction | Text
"""What can stand inside an element."""


class Document(Struct, frozen=True, kw_only=True):
    """A whole file: its root, and the comments and instructions around the root. `text` is what it was read from."""

    root: Element
    before: tuple[Comment | Instruction, ...] = ()
    after: tuple[Comment | Instruction, ...] = ()
    text: str = ""


def walk(element: Element) -> Iterator[Element]:
    """The element and every element below it, in document order."""
    yield element
    for child in element.elements():
        yield from walk(child)
