"""Elements and attributes against the grammar: unknown ones, second ones, and values of the wrong type.

Source: spec configuration, sections 3 and 4, and 11 (I12, I42, I52, I53, I60, I61).
"""

from collections.abc import Iterator

from standfast.conf.document import BLANKS, Element, Text, walk
from standfast.conf.findings import Finding, error, fatal, warning
from standfast.conf.grammar import Attribute, Kind, Shape, shape_of
from standfast.conf.values import is_word_flag, read_flag, read_integer

SEEN_BY_GROUPS = (
    "rm"  # children that the grammar does not list are top-level groups, judged in conf/groups.py
)


def check_shape(root: Element) -> Iterator[Finding]:
    """Yield what is wrong with elements and attributes as such, whatever they mean together."""
    for element in walk(root):
        for child in element.elements("cluster"):
            yield fatal(child.line, "I12", f"cluster inside <{element.name}>")
    shape = shape_of("")
    assert shape
    yield from check_attributes(root, shape)
    yield from _check_children(root, "", shape)
    yield from _check_text(root)


def check_attributes(element: Element, shape: Shape) -> Iterator[Finding]:
    """Yield what is wrong with the attributes of one element."""
    for name, value in element.attributes:
        rule = shape.attributes.get(name)
        if rule is not None:
            if not rule.acted and shape.acted:
                yield not_acted_upon(element.line, f"{element.name}/@{name}")
            yield from _check_value(element, name, value, rule)
        elif not shape.is_open:
            yield warning(element.line, "I60", f"unknown attribute {name} ignored")


def not_acted_upon(line: int, what: str) -> Finding:
    """Return the finding for something valid that stays in the file and changes nothing."""
    return warning(line, "I80", f"{what} is kept but not acted upon yet")


def empty_attribute(element: Element, name: str) -> Finding:
    """Return the finding for an attribute with nothing in it."""
    return warning(element.line, "I82", f"{element.name}/@{name} is empty; treated as absent")


def not_an_integer(element: Element, name: str, value: str) -> Finding:
    """Return the finding for a number that is none."""
    return error(element.line, "I53", f'{element.name}/@{name}: "{value}" is not an integer')


def _check_children(element: Element, path: str, shape: Shape) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for child in element.elements():
        child_path = child.name if path == "" else f"{element.name}/{child.name}"
        below = shape_of(child_path, child.get("model"))
        if below is None:
            if path != SEEN_BY_GROUPS and not shape.is_open and child.name != "cluster":
                yield warning(child.line, "I60", f"unknown element <{child.name}> ignored")
            continue
        if below.once and child.name in first:
            yield error(child.line, "I42", f"second {child.name} element (first at line {first[child.name]})")
        first.setdefault(child.name, child.line)
        if not below.acted and shape.acted:
            yield not_acted_upon(child.line, f"<{child.name}>")
        yield from check_attributes(child, below)
        if child_path != "rm/resources":
            yield from _check_children(child, child_path, below)


def _check_value(element: Element, name: str, value: str, rule: Attribute) -> Iterator[Finding]:
    if rule.kind is Kind.OWN:
        return
    if not value.strip(BLANKS):
        yield empty_attribute(element, name)
        return
    match rule.kind:
        case Kind.INTEGER:
            yield from _check_integer(element, name, value, rule)
        case Kind.FLAG:
            yield from check_flag(element, name, value)
        case Kind.WORD:
            yield from check_word(element, name, value, rule.words)
        case Kind.TEXT:
            pass


def check_flag(element: Element, name: str, value: str) -> Iterator[Finding]:
    """Yield what is wrong with a 0/1 flag."""
    flag = read_flag(value)
    if flag is None:
        yield error(element.line, "I53", f'{element.name}/@{name}: "{value}" is not 0 or 1')
    elif is_word_flag(value):
        yield warning(
            element.line,
            "I81",
            f'{element.name}/@{name}: "{value}" is read as {int(flag)}; write {int(flag)}',
        )


def check_word(element: Element, name: str, value: str, words: tuple[str, ...]) -> Iterator[Finding]:
    """Yield what is wrong with a word of a closed list."""
    if value.strip(BLANKS).lower() not in words:
        yield warning(element.line, "I52", f'{element.name}/@{name}: unknown value "{value}" ignored')


def _check_integer(element: Element, name: str, value: str, rule: Attribute) -> Iterator[Finding]:
    number = read_integer(value)
    if number is None:
        yield not_an_integer(element, name, value)
    elif (rule.least is not None and number < rule.least) or (rule.most is not None and number > rule.most):
        bounds = f"{rule.least} or more" if rule.most is None else f"{rule.least}..{rule.most}"
        yield error(element.line, "I53", f'{element.name}/@{name}: "{value}" must be {bounds}')


def _check_text(root: Element) -> Iterator[Finding]:
    scripts = {
        id(event)
        for rm in root.elements("rm")
        for events in rm.elements("events")
        for event in events.elements()
    }
    for element in walk(root):
        words = (child for child in element.children if isinstance(child, Text) and child.text.strip(BLANKS))
        for text in words:
            if id(element) not in scripts:
                yield warning(text.line, "I61", "text ignored")
