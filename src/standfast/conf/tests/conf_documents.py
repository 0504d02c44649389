"""Random documents for the tests of the conf room, and what two documents must have in common to say the same."""

from hypothesis import strategies as st

from standfast.conf.document import Comment, Document, Element, Instruction, Text

Bare = tuple[object, ...]

NAMES = st.sampled_from(["cman", "rm", "method", "device", "clusternodes", "event", "a-b", "_x.1", "é"])
VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\t\n\r"), max_size=8
).filter(lambda text: "\ufffe" not in text and "\uffff" not in text)
ATTRIBUTES = st.dictionaries(st.sampled_from(["name", "key", "x", "a.b"]), VALUES, max_size=3).map(
    lambda pairs: tuple(pairs.items())
)
COMMENTS = st.text(st.sampled_from("ab <&\">\n'"), max_size=8).map(Comment)
INSTRUCTIONS = st.sampled_from([Instruction("p", ""), Instruction("p", "q r")])
TEXTS = st.text(st.sampled_from("ab <&>\n\r]"), min_size=1, max_size=6).map(Text)


def _mixed(
    children: list[Element | Comment | Instruction | Text],
) -> tuple[Element | Comment | Instruction | Text, ...]:
    """As a parser gives them: neighbouring texts are one, and blank ones are kept only beside one that is not."""
    merged: list[Element | Comment | Instruction | Text] = []
    for child in children:
        last = merged[-1] if merged else None
        if isinstance(child, Text) and isinstance(last, Text):
            merged[-1] = Text(last.text + child.text)
        else:
            merged.append(child)
    if any(isinstance(child, Text) and child.text.strip(" \t\r\n") for child in merged):
        return tuple(merged)
    return tuple(child for child in merged if not isinstance(child, Text))


ELEMENTS: st.SearchStrategy[Element] = st.recursive(
    st.builds(Element, name=NAMES, attributes=ATTRIBUTES),
    lambda below: st.builds(
        Element,
        name=NAMES,
        attributes=ATTRIBUTES,
        children=st.lists(below | COMMENTS | INSTRUCTIONS | TEXTS, max_size=4).map(_mixed),
    ),
    max_leaves=12,
)
DOCUMENTS = st.builds(
    Document,
    root=ELEMENTS,
    before=st.lists(COMMENTS | INSTRUCTIONS, max_size=2).map(tuple),
    after=st.lists(COMMENTS | INSTRUCTIONS, max_size=2).map(tuple),
)


def bare(node: Element | Comment | Instruction | Text) -> Bare:
    """What a node says, without lines and places."""
    match node:
        case Element():
            return ("element", node.name, node.attributes, tuple(bare(child) for child in node.children))
        case Comment():
            return ("comment", node.text)
        case Instruction():
            return ("instruction", node.target, node.text)
        case Text():
            return ("text", node.text)


def bare_document(document: Document) -> Bare:
    """What a document says, without lines and places."""
    return (*map(bare, document.before), bare(document.root), *map(bare, document.after))
