from pathlib import Path

import pytest
from hypothesis import given

from standfast.conf.document import Document
from standfast.conf.parse import parse
from standfast.conf.tests.conf_documents import DOCUMENTS, bare_document
from standfast.conf.write import canonical

EXAMPLES = Path(__file__).resolve().parents[4] / "tests/golden/conf"


@pytest.mark.parametrize("example", ["E1", "E2", "E3", "E4", "E5", "E6"])
def test_examples_of_the_specification_are_canonical(example: str) -> None:
    data = (EXAMPLES / f"{example}.xml").read_bytes()
    assert canonical(parse(example, data)).encode() == data


@given(DOCUMENTS)
def test_what_is_written_is_read_again(document: Document) -> None:
    assert bare_document(parse("f", canonical(document).encode())) == bare_document(document)


@given(DOCUMENTS)
def test_writing_is_idempotent(document: Document) -> None:
    text = canonical(document)
    assert canonical(parse("f", text.encode())) == text


def test_layout_of_a_person_becomes_canonical_and_comments_stay() -> None:
    text = (
        "<?xml version='1.0' encoding='utf-8'?><!-- top --><cluster  config_version = '1'\n name='c'>\n\n"
        "<!-- nodes --><clusternodes></clusternodes><fence>\n<method name='m'>\n<device name='d' />\n</method></fence>"
        "<rm><events><event name='e'> if (x < &amp; y) { } </event></events></rm></cluster><?p q?>"
    ).replace("< &", "&lt; &")
    assert canonical(parse("f", text.encode())) == (
        '<?xml version="1.0"?>\n'
        "<!-- top -->\n"
        '<cluster config_version="1" name="c">\n'
        "  <!-- nodes -->\n"
        "  <clusternodes/>\n"
        "  <fence>\n"
        '    <method name="m"><device name="d"/></method>\n'
        "  </fence>\n"
        "  <rm>\n"
        "    <events>\n"
        '      <event name="e"> if (x &lt; &amp; y) { } </event>\n'
        "    </events>\n"
        "  </rm>\n"
        "</cluster>\n"
        "<?p q?>\n"
    )


def test_method_with_two_devices_is_written_in_a_block() -> None:
    text = '<method><device name="a"/><device name="b"/></method>'
    assert canonical(parse("f", text.encode())).splitlines()[1:] == [
        "<method>",
        '  <device name="a"/>',
        '  <device name="b"/>',
        "</method>",
    ]
