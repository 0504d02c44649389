"""Keeping passwords out of displays, logs, diffs and answers: what is secret in a cluster.conf, shown as ****.

Source: spec configuration, section 3.6 (secret keys).
"""

import re
from collections.abc import Iterable

from msgspec import structs

from standfast.conf.document import Comment, Document, Element, Instruction, Node, Text, walk
from standfast.conf.findings import Finding
from standfast.conf.model import Arguments

HIDDEN = "****"

_SECRET = frozenset({"community", "key", "secret", "identity_file_contents"})
_SECRET_NAME = r"(?:[\w.-]*(?:passwd|password)|community|key|secret)"
_QUOTED = re.compile(rf"""(?<![\w.-])({_SECRET_NAME}\s*=\s*)("[^"]*"?|'[^']*'?|[^\s"'<>]+)""", re.IGNORECASE)

SECRET_NEARBY = re.compile(rf"(?<![\w.-]){_SECRET_NAME}\s*=", re.IGNORECASE)
"""Found in any text that writes a secret attribute."""


def is_secret(name: str) -> bool:
    """Whether an attribute of this name holds a secret."""
    lowered = name.lower()
    return lowered in _SECRET or lowered.endswith(("passwd", "password"))


def redact_arguments(arguments: Arguments) -> Arguments:
    """Return the attributes with the secret values hidden."""
    return tuple((name, HIDDEN if is_secret(name) else value) for name, value in arguments)


def redact_text(text: str) -> str:
    """Return free text, such as a comment, with what looks like a secret attribute hidden."""
    return _QUOTED.sub(lambda match: f'{match[1]}"{HIDDEN}"', text)


def redact_element(element: Element) -> Element:
    """Return the element and all below it with the secrets hidden, in its comments too."""
    return structs.replace(
        element,
        attributes=redact_arguments(element.attributes),
        children=tuple(_redact_node(child) for child in element.children),
    )


def redact_document(document: Document) -> Document:
    """Return the document with the secrets hidden; it no longer carries the text it was read from."""
    return Document(
        root=redact_element(document.root),
        before=tuple(_redact_aside(node) for node in document.before),
        after=tuple(_redact_aside(node) for node in document.after),
    )


def secrets_of(document: Document) -> frozenset[str]:
    """Return every secret value of the document."""
    return frozenset(
        value
        for element in walk(document.root)
        for name, value in element.attributes
        if is_secret(name) and value
    )


def redact_findings(findings: Iterable[Finding], document: Document) -> tuple[Finding, ...]:
    """Return the findings with every secret of the document hidden where their words quote it."""
    hidden = sorted(secrets_of(document), key=lambda value: (-len(value), value))
    return tuple(structs.replace(finding, text=_hide(finding.text, hidden)) for finding in findings)


def _hide(text: str, hidden: Iterable[str]) -> str:
    for value in hidden:
        text = text.replace(f'"{value}"', f'"{HIDDEN}"').replace(f"'{value}'", f"'{HIDDEN}'")
    return text


def _redact_node(node: Node) -> Node:
    match node:
        case Element():
            return redact_element(node)
        case Text(text, line):
            return Text(redact_text(text), line)
        case Comment() | Instruction():
            return _redact_aside(node)


def _redact_aside(node: Comment | Instruction) -> Comment | Instruction:
    return structs.replace(node, text=redact_text(node.text))
