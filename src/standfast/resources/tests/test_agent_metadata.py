"""Agents' metadata: what an agent prints becomes a record, and what cannot be used is refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.errors import AgentError
from standfast.resources.agent import (
    Action,
    AgentMetadata,
    ChildType,
    Parameter,
    agents_by_type,
    is_true,
    read_number,
    read_time_s,
    with_resource_defaults,
)
from standfast.resources.metadata import METADATA_BYTES_MAX, parse_metadata
from standfast.resources.tests.sample import elements

DISK = b"""<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1-modified.dtd">
<resource-agent name="disk" version="rgmanager 2.0">
  <version>1.0</version>
  <longdesc lang="en">More than anybody reads.</longdesc>
  <shortdesc lang="en">
    A disk
  </shortdesc>
  <parameters>
    <parameter name="device" unique="1" required="yes"><content type="string"/></parameter>
    <parameter name="name" primary="1"><content type="string"/></parameter>
    <parameter name="lock" inherit="service%nfslock"><content type="boolean"/></parameter>
    <parameter name="options" reconfig="true"><content type="string" default=""/></parameter>
    <parameter name="options"><content type="string" default="twice"/></parameter>
    <parameter name="plain"/>
  </parameters>
  <actions>
    <action name="start" timeout="15m" depth="3"/>
    <action name="status" interval="1h30m" timeout="10"/>
    <action name="status" interval="0" timeout="x" depth="10"/>
    <action name="status" interval="9" timeout="9"/>
    <action name="monitor" depth="-1" interval="5"/>
  </actions>
  <special tag="pacemaker"><child type="nobody"/></special>
  <special tag="rgmanager">
    <attributes maxinstances="2" init_on_add="0" destroy_on_delete="no" root="1"/>
    <child type="fs" start="1" stop="100"/>
    <child type="ip" start="101" stop="x"/>
    <child type="nfsclient" forbid="1"/>
    <child/>
  </special>
</resource-agent>"""


def _agent(inside: str, name: str = "a") -> bytes:
    return f'<resource-agent name="{name}">{inside}</resource-agent>'.encode()


def _refusal(text: bytes) -> str:
    with pytest.raises(AgentError) as caught:
        parse_metadata(text)
    assert caught.value.code == "agent-metadata"
    return str(caught.value)


def test_everything_that_the_daemon_needs_is_read_and_the_primary_parameter_comes_first() -> None:
    assert parse_metadata(DISK) == AgentMetadata(
        type="disk",
        parameters=(
            Parameter(name="name", primary=True),
            Parameter(name="device", unique=True, required=True),
            Parameter(name="lock", inherit="service%nfslock", content="boolean"),
            Parameter(name="options", reconfig=True, default=""),
            Parameter(name="plain"),
        ),
        actions=(
            Action(name="start", timeout_s=900),
            Action(name="status", timeout_s=10, interval_s=5400),
            Action(name="status", depth=10, interval_s=1),
            Action(name="monitor", interval_s=5),
        ),
        children=(
            ChildType(type="fs", start=1, stop=100),
            ChildType(type="ip"),
            ChildType(type="nfsclient", forbid=True),
        ),
        maxinstances=2,
        init_on_add=False,
        destroy_on_delete=False,
        shortdesc="A disk",
    )


def test_agent_without_special_or_flags_has_the_defaults() -> None:
    assert parse_metadata(_agent("")) == AgentMetadata(type="a")
    assert parse_metadata(_agent('<special tag="rgmanager"/>')) == AgentMetadata(type="a")


def test_first_parameter_names_the_resource_where_none_is_primary() -> None:
    agent = parse_metadata(_agent('<parameters><parameter name="b"/><parameter name="a"/></parameters>'))
    assert agent.primary == Parameter(name="b")


def test_agent_without_parameters_names_nothing() -> None:
    assert AgentMetadata(type="a").primary is None


def test_agent_that_declares_only_monitor_is_checked_by_it() -> None:
    agent = parse_metadata(
        _agent('<actions><action name="start"/><action name="monitor" interval="5"/></actions>')
    )
    assert agent.status_word == "monitor"
    assert agent.actions == (Action(name="start"), Action(name="status", interval_s=5))


def test_agent_that_declares_neither_status_nor_monitor_is_not_checked() -> None:
    agent = parse_metadata(_agent('<actions><action name="start"/></actions>'))
    assert (agent.status_word, agent.actions) == ("status", (Action(name="start"),))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "line 1 is not XML"),
        (b"usage: disk {start|stop}", "line 1 is not XML"),
        (b"<resource-agent name='a'>\n<x>", "line 2 is not XML"),
        (b"<agent name='a'/>", "the document is a <agent>"),
        (b"<resource-agent/>", 'print <resource-agent name="TYPE">'),
        (_agent("", name="Action"), 'the type "Action" is reserved'),
        (
            _agent('<parameters><parameter name=""/></parameters>'),
            'parameter "" of "a" cannot be an attribute',
        ),
        (_agent('<parameters><parameter name="a=b"/></parameters>'), "rename it"),
        (
            _agent(
                '<parameters><parameter name="p" primary="1"/><parameter name="q" primary="y"/></parameters>'
            ),
            '"a" has the primary parameters p, q; leave one',
        ),
        (
            _agent('<parameters><parameter name="p" inherit="x" required="1"/></parameters>'),
            'parameter "p" of "a" inherits and is primary, unique or required',
        ),
        (b"<!DOCTYPE a [<!ENTITY e 'x'>]><resource-agent name='a'>&e;</resource-agent>", "declares entities"),
        (b" " * (METADATA_BYTES_MAX + 1), "1048577 bytes is more than any agent needs"),
    ],
)
def test_metadata_that_cannot_be_used_is_refused_with_the_reason(text: bytes, reason: str) -> None:
    assert reason in _refusal(text)


def test_entity_bomb_is_refused_and_not_expanded() -> None:
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "ha">{lines}]><resource-agent name="&e11;"/>'
    assert "not XML" in _refusal(bomb.encode())


def test_external_entity_is_refused_and_not_read() -> None:
    text = b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><resource-agent name="a">&e;</resource-agent>'
    assert "declares entities" in _refusal(text)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_with_a_reason(text: bytes) -> None:
    assert _refusal(text).startswith("meta-data: ")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("30s", 30),
        ("1m", 60),
        ("1H30m", 5400),
        ("2d", 172_800),
        ("1w", 604_800),
        ("1y", 31_536_000),
        (" 5 ", 5),
        ("0", 0),
        ("68y", 68 * 31_536_000),
        ("69y", 0),
        ("9" * 5000, 0),
        ("", None),
        ("5x", None),
        ("m5", None),
        ("-1", None),
        ("1 m", None),
        ("²", None),
    ],
)
def test_times_are_digits_with_units(text: str, seconds: int | None) -> None:
    assert read_time_s(text) == seconds


@given(st.lists(st.tuples(st.integers(0, 6000), st.sampled_from("smhdSMHD")), min_size=1, max_size=4))
def test_parts_of_a_time_add_up(parts: list[tuple[int, str]]) -> None:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert read_time_s(text) == sum(number * units[unit.lower()] for number, unit in parts)


@pytest.mark.parametrize("text", ["1", "2", "-1", "yes", "Y", "true", "TRUE", "on", " on "])
def test_flags_that_are_set(text: str) -> None:
    assert is_true(text)


@pytest.mark.parametrize("text", ["0", "00", "no", "false", "off", "", "maybe", "0 yes"])
def test_flags_that_are_not_set(text: str) -> None:
    assert not is_true(text)


@given(st.integers(-(10**9), 10**9), st.sampled_from(["", " ", "x", ".5", "-"]))
def test_numbers_are_read_from_the_beginning_of_a_text(number: int, rest: str) -> None:
    assert read_number(f" {number}{rest}") == number


@pytest.mark.parametrize("text", ["", "x1", "-", "²", "*"])
def test_text_that_begins_with_no_number_is_none(text: str) -> None:
    assert read_number(text) is None


def test_agents_are_sorted_by_type_and_the_first_of_a_type_stays() -> None:
    first, second = AgentMetadata(type="Ip", maxinstances=1), AgentMetadata(type="ip", maxinstances=2)
    fs = AgentMetadata(type="fs")
    assert list(agents_by_type([first, second, fs]).items()) == [("fs", fs), ("ip", first)]


def test_resource_defaults_replace_defaults_and_inheritance_but_not_of_names() -> None:
    agent = AgentMetadata(
        type="ip",
        parameters=(
            Parameter(name="address", primary=True),
            Parameter(name="mac", unique=True),
            Parameter(name="lock", inherit="service%lock"),
            Parameter(name="link", default="1"),
            Parameter(name="other", default="o"),
        ),
    )
    defaults = elements('<IP address="x" mac="x" lock="0" link="0"/><nobody link="2"/>')
    changed = with_resource_defaults(agents_by_type([agent]), defaults)
    assert [(p.name, p.default, p.inherit) for p in changed["ip"].parameters] == [
        ("address", None, None),
        ("mac", None, None),
        ("lock", "0", None),
        ("link", "0", None),
        ("other", "o", None),
    ]
