"""The canonical text of a cluster.conf: the same elements always give the same bytes, comments included.

Source: spec configuration, section 1.1.
"""

from standfast.conf.document import Comment, Document, Element, Instruction, Text

DECLARATION = '<?xml version="1.0"?>'
UNIT = "  "

_ESCAPES = {"&": "&amp;", "<": "&lt;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_IN_VALUE = {'"': str.maketrans({**_ESCAPES, '"': "&quot;"}), "'": str.maketrans({**_ESCAPES, "'": "&apos;"})}
_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


def canonical(document: Document) -> str:
    """Return the text of a document; the text of what that text says is the same again."""
    rows = (*document.before, document.root, *document.after)
    return "\n".join((DECLARATION, *(write_node(row) for row in rows), ""))


def write_node(
    node: Element | Comment | Instruction | Text, indent: str = "", unit: str = UNIT, end: str = "\n"
) -> str:
    """Return the text of one node and all below it, beginning with `indent`, without a line end after it.

    `unit` is added for each depth, `end` ends the lines.
    """
    if not isinstance(node, Element) or not node.children or _is_one_line(node):
        return indent + _inline(node)
    rows = (write_node(child, indent + unit, unit, end) for child in node.children)
    return end.join((f"{indent}<{_head(node)}>", *rows, f"{indent}</{node.name}>"))


def escape_value(value: str, quote: str = '"') -> str:
    """Return an attribute's value as it stands between quotes."""
    return value.translate(_IN_VALUE[quote])


def _is_one_line(element: Element) -> bool:
    """A method with one plain device; and an element with text, where every blank may mean something."""
    if any(isinstance(child, Text) for child in element.children):
        return True
    only = element.children[0]
    return (
        element.name == "method"
        and len(element.children) == 1
        and isinstance(only, Element)
        and only.name == "device"
        and not only.children
    )


def _head(element: Element) -> str:
    return " ".join(
        (element.name, *(f'{name}="{escape_value(value)}"' for name, value in element.attributes))
    )


def _inline(node: Element | Comment | Instruction | Text) -> str:
    match node:
        case Element():
            if not node.children:
                return f"<{_head(node)}/>"
            return f"<{_head(node)}>{''.join(map(_inline, node.children))}</{node.name}>"
        case Comment():
            return f"<!--{node.text}-->"
        case Instruction():
            return f"<?{node.target} {node.text}?>" if node.text else f"<?{node.target}?>"
        case Text():
            return node.text.translate(_IN_TEXT)
