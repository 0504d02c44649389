"""How fence agents read what they are asked, and describe themselves."""

from io import StringIO
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.agents.fence_api import FenceAgent, FenceError, read_options, render_fence_metadata, seconds
from standfast.agents.fence_lab import AGENT
from standfast.agents.fence_manual import AGENT as MANUAL

DEFAULTS = {"action": "reboot", "delay": "0", "power_timeout": "20"}


def read(text: str) -> tuple[dict[str, str], str]:
    told = StringIO()
    options = read_options(AGENT, text, told)
    return {key: value for key, value in options.items() if DEFAULTS.get(key) != value}, told.getvalue()


def test_last_line_with_a_key_wins_under_whichever_name() -> None:
    assert read("port=vapp1\nplug=vapp2\nport=vapp3\n") == ({"plug": "vapp3"}, "")


@pytest.mark.parametrize(
    "line",
    ["  power_timeout=5  ", "power-timeout=5", 'power_timeout="5"', "Power_Timeout = 5", "power_timeout=5\r"],
)
def test_line_is_read_however_it_is_dressed(line: str) -> None:
    assert read(line) == ({"power_timeout": "5"}, "")


def test_empty_lines_comments_and_keys_of_the_daemon_are_passed_over() -> None:
    assert read("\n  \n# port=vapp1\nagent=fence_lab\nnodename=vapp2\n") == ({}, "")


def test_value_may_hold_further_equal_signs_and_one_quote() -> None:
    assert read('ipaddr=/run/a=b\nport="') == ({"ip": "/run/a=b", "plug": '"'}, "")


def test_empty_value_is_no_value() -> None:
    assert read_options(AGENT, "delay=\nport=\n", StringIO()) == {"action": "reboot", "power_timeout": "20"}


def test_unknown_keys_are_named_without_their_values() -> None:
    options, told = read("passwd=geheim\ngeheim\n")
    assert options == {}
    assert told.splitlines() == [
        "Parse error: Ignoring unknown option 'passwd'",
        "Parse error: Ignoring line 2 of the input, which has no =",
    ]


@pytest.mark.parametrize("key", ["operation", "act", "command"])
def test_key_that_looks_like_the_action_is_no_reboot(key: str) -> None:
    with pytest.raises(FenceError, match=f"'{key}' is not a key of fence_lab"):
        read(f"{key}=status\n")


@given(st.lists(st.tuples(st.sampled_from(["port", "plug", "passwd", "delay", "#"]), st.text(max_size=20))))
def test_what_is_read_is_keys_of_the_agent_alone(lines: list[tuple[str, str]]) -> None:
    options = read_options(AGENT, "\n".join(f"{key}={value}" for key, value in lines), StringIO())
    assert set(options) <= {option.name for option in AGENT.options}
    assert "" not in options.values()


@pytest.mark.parametrize("text", ["-1", "1.5", "5s", "", "1234567", "٣"])
def test_time_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(FenceError, match=r"^delay '.*' is no number of seconds$"):
        seconds({"delay": text}, AGENT.options[3])


def test_time_without_a_value_is_its_default() -> None:
    assert seconds({}, AGENT.options[4]) == 20


@pytest.mark.parametrize("agent", [AGENT, MANUAL])
def test_metadata_names_every_key_and_action(agent: FenceAgent) -> None:
    root = ET.fromstring(render_fence_metadata(agent))
    parameters = {each.get("name"): each for each in root.iterfind("parameters/parameter")}
    assert set(parameters) == {key for option in agent.options for key in (option.name, *option.old)}
    assert {each.get("name") for each in root.iterfind("actions/action")} == {
        each.name for each in agent.actions
    }
    assert all(parameters[old].get("deprecated") == "1" for option in agent.options for old in option.old)
    assert root.get("name") == agent.name
