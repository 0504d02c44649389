import pytest

from standfast.conf.document import Comment, Element, Text
from standfast.conf.findings import Finding, warning
from standfast.conf.parse import parse
from standfast.conf.redact import (
    is_secret,
    redact_arguments,
    redact_document,
    redact_findings,
    redact_text,
    secrets_of,
)
from standfast.conf.write import canonical

SECRET = ["passwd", "password", "snmp_priv_passwd", "community", "key", "secret", "Root_Password"]
PLAIN = ["name", "login", "key_file", "keyfile", "passwd_script", "secretary", "identity_file"]


@pytest.mark.parametrize("name", SECRET)
def test_secret_names_are_known(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", PLAIN)
def test_other_names_are_shown(name: str) -> None:
    assert not is_secret(name)


def test_secrets_among_arguments_are_hidden() -> None:
    assert redact_arguments((("login", "ops"), ("passwd", "x1"))) == (("login", "ops"), ("passwd", "****"))


def test_document_is_shown_without_secrets_even_in_comments() -> None:
    text = (
        '<!-- password=\'b0gus\' --><?old passwd=b0gus?><cluster><!-- <f community="b0gus" login="x"/> -->'
        '<fencedevice name="d" passwd="b0gus"/><event>key = "b0gus"</event></cluster>'
    )
    shown = redact_document(parse("f", text.encode()))
    assert "b0gus" not in canonical(shown)
    assert shown.text == ""
    assert shown.root.children == (
        Comment(' <f community="****" login="x"/> ', 1),
        Element(
            name="fencedevice",
            attributes=(("name", "d"), ("passwd", "****")),
            line=1,
            place=shown.root.elements()[0].place,
        ),
        Element(
            name="event", children=(Text('key = "****"', 1),), line=1, place=shown.root.elements()[1].place
        ),
    )


def test_unfinished_quotes_are_hidden_too() -> None:
    assert redact_text('passwd="b0gus and more') == 'passwd="****"'


def test_secrets_of_a_document_are_collected() -> None:
    assert secrets_of(parse("f", b'<a key="1"><b passwd="2" password=""/></a>')) == {"1", "2"}


def test_findings_do_not_quote_secrets() -> None:
    document = parse("f", b'<a passwd="b0gus"/>')
    assert redact_findings((warning(3, "I52", 'x: unknown value "b0gus" ignored'),), document) == (
        Finding(*("W", 3, "I52", 'x: unknown value "****" ignored')),  # type: ignore[arg-type]
    )
