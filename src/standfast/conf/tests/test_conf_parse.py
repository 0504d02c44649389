import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.conf.document import Comment, Element, Instruction, Text, walk
from standfast.conf.findings import Finding
from standfast.conf.load import load
from standfast.conf.parse import BYTES_MAX, DEPTH_MAX, parse, read
from standfast.errors import ConfError

FRAGMENTS = st.sampled_from(
    [
        *(
            "<cluster",
            "<cluster>",
            "</cluster>",
            ' name="a"',
            ' config_version="1"',
            "<clusternodes>",
            "/>",
            ">",
            "<",
        ),
        *(
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "<?x y?>",
            "&amp;",
            "&#10;",
            "&bad;",
            "<!DOCTYPE a>",
            '<?xml version="1.0"?>',
        ),
        *("\n", "\r\n", " ", "é", "text", "'", '"', "=", "\x00", "\ufeff"),
    ]
)


def test_document_keeps_elements_comments_instructions_and_text_with_their_lines() -> None:
    document = parse(
        "f",
        b'<?xml version="1.0"?>\n<!-- top -->\n<a>\n <!-- in -->\n <?p q?>\n'
        b' <b\n  c="1"\n  d="2"/>\n  word\n</a>\n<!-- end -->\n',
    )
    assert document.before == (Comment(" top ", 2),)
    assert document.after == (Comment(" end ", 11),)
    assert document.root.line == 3
    b = document.root.elements()[0]
    assert (b.line, b.attributes) == (6, (("c", "1"), ("d", "2")))
    assert [type(child) for child in document.root.children] == [
        Text,
        Comment,
        Text,
        Instruction,
        Text,
        Element,
        Text,
    ]
    assert document.root.children[-1] == Text("\n  word\n", 9)


def test_blanks_between_elements_are_not_kept() -> None:
    assert [type(child) for child in parse("f", b"<a>\n <b/>\n <c/> </a>").root.children] == [
        Element,
        Element,
    ]


def test_places_of_attributes_are_those_of_their_values_in_the_text() -> None:
    text = "<a><!-- <b/> --><b  x = 'it>' y=\"2\" ></b></a>"
    document = parse("f", text.encode())
    b = document.root.elements()[0]
    assert b.place
    assert [text[a.value_start : a.value_end] for a in b.place.attributes] == ["it>", "2"]
    assert text[b.place.start : b.place.head_end] == "<b  x = 'it>' y=\"2\" >"
    assert text[b.place.tail : b.place.end] == "</b>"


def test_byte_order_mark_and_crlf_are_understood() -> None:
    assert parse("f", b"\xef\xbb\xbf<?xml version='1.0'?>\r\n<a>\r\n<b/></a>").root.elements()[0].line == 3


def test_references_to_characters_are_resolved_and_cdata_is_text() -> None:
    root = parse("f", b'<a x="1&#10;2&lt;"><![CDATA[<b/>]]></a>').root
    assert (root.get("x"), root.children) == ("1\n2<", (Text("<b/>", 1),))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "f:1: error: file is empty [I02]"),
        (b"\xef\xbb\xbf \n", "f:1: error: file is empty [I02]"),
        (
            b"<cluster>\n<clusternodes>\n</cluster>\n",
            "f:3: error: not well-formed: Opening and ending tag mismatch: clusternodes line 2 and cluster [I01]",
        ),
        (b"<a/>\n<b/>", "f:2: error: not well-formed: Extra content at the end of the document [I01]"),
        (b"plain", "f:1: error: not well-formed: Start tag expected, '<' not found [I01]"),
        (b"<a>\x01</a>", "f:1: error: not well-formed: PCDATA invalid Char value 1 [I01]"),
        (b"<a x='&boom;'/>", "f:1: error: not well-formed: Entity 'boom' not defined [I01]"),
        (b"<!-- c -->\n<!DOCTYPE a>\n<a/>", "f:2: error: DTD is not allowed [I05]"),
        (
            b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><l>&b;</l>',
            "f:1: error: DTD is not allowed [I05]",
        ),
        (b'<!DOCTYPE a SYSTEM "file:///etc/shadow"><a/>', "f:1: error: DTD is not allowed [I05]"),
        (b"x" * (BYTES_MAX + 1), f"f: error: file is longer than {BYTES_MAX} bytes [I83]"),
        (b"<a>\n\xff</a>", "f:2: error: not UTF-8: byte 0xff at offset 4; save the file as UTF-8 [I84]"),
        (
            b'<?xml version="1.0" encoding="latin1"?><a/>',
            'f:1: error: encoding "latin1" is not supported; save the file as UTF-8 [I84]',
        ),
        (
            "<a/>".encode("utf-16"),
            "f:1: error: not UTF-8: byte 0xff at offset 0; save the file as UTF-8 [I84]",
        ),
        (b'<a>\n<b xmlns="u"/></a>', "f:2: error: <b>: XML namespaces are not allowed [I85]"),
        (b'<a xml:lang="en"/>', "f:1: error: <a>: XML namespaces are not allowed [I85]"),
        (
            b"<a>\n" * (DEPTH_MAX + 1) + b"</a>" * (DEPTH_MAX + 1),
            f"f:{DEPTH_MAX + 1}: error: elements are nested deeper than {DEPTH_MAX} [I86]",
        ),
        (b"<a>" * 400 + b"</a>" * 400, f"f:1: error: elements are nested deeper than {DEPTH_MAX} [I86]"),
        (
            b'<fencedevice\n passwd="a&b0gus;"/>',
            "f:2: error: not well-formed: near a password; look here for a missing quote, or a bare & or < [I01]",
        ),
    ],
)
def test_unreadable_file_is_refused_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(ConfError) as caught:
        parse("f", data)
    assert str(caught.value) == message


def test_deepest_nesting_allowed_is_read() -> None:
    assert len(list(walk(parse("f", b"<a>" * DEPTH_MAX + b"</a>" * DEPTH_MAX).root))) == DEPTH_MAX


@given(st.binary(max_size=300))
def test_any_bytes_are_either_read_or_refused(data: bytes) -> None:
    load("f", data)


@given(st.lists(FRAGMENTS, max_size=25).map("".join))
def test_any_text_is_either_read_or_refused(text: str) -> None:
    result = read(text.encode())
    assert isinstance(result, Finding) or result.text == text


@given(st.lists(FRAGMENTS, max_size=12).map("".join), st.integers(0, 400))
def test_a_damaged_file_is_either_read_or_refused(damage: str, at: int) -> None:
    text = '<?xml version="1.0"?>\n<cluster name="c">\n<rm><ip address="10.0.0.1"/></rm>\n</cluster>\n'
    load("f", (text[:at] + damage + text[at:]).encode())
