"""Our own agents' metadata: known without parsing, and printed so that it reads back the same."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.resources.agent import LEVEL_MAX, Action, AgentMetadata, ChildType, Parameter
from standfast.resources.builtin import BUILTIN_AGENTS, IP, SCRIPT, SERVICE, render_metadata
from standfast.resources.metadata import parse_metadata

_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
)
_NAMES = st.from_regex(r"[a-z_][a-z0-9_.-]{0,6}", fullmatch=True)
_ATTRIBUTE = st.text(st.sampled_from("a<>&\"' \t\n"), max_size=5) | _TEXT


@st.composite
def _parameters(draw: st.DrawFn, name: str) -> Parameter:
    inherit = draw(st.none() | _NAMES)
    free = inherit is None
    return Parameter(
        name=name,
        unique=free and draw(st.booleans()),
        required=free and draw(st.booleans()),
        inherit=inherit,
        reconfig=draw(st.booleans()),
        default=draw(st.none() | _ATTRIBUTE),
        content=draw(st.sampled_from(["string", "boolean", "integer"])),
    )


@st.composite
def _agents(draw: st.DrawFn) -> AgentMetadata:
    names = draw(st.lists(_NAMES, unique=True, max_size=4))
    word = draw(st.sampled_from(["status", "monitor"]))
    checks = draw(st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=3))
    seconds = st.integers(0, 99_999)
    levels = st.integers(0, LEVEL_MAX)
    return AgentMetadata(
        type=draw(_NAMES.filter(lambda name: name != "action")),
        parameters=tuple(draw(_parameters(name)) for name in names),
        actions=(
            Action(name="start", timeout_s=draw(seconds)),
            *(
                Action(name="status", depth=d, timeout_s=draw(seconds), interval_s=draw(seconds))
                for d in checks
            ),
        ),
        children=tuple(
            ChildType(type=draw(_NAMES), start=draw(levels), stop=draw(levels), forbid=draw(st.booleans()))
            for _ in range(draw(st.integers(0, 3)))
        ),
        maxinstances=draw(st.integers(0, 9)),
        init_on_add=draw(st.booleans()),
        destroy_on_delete=draw(st.booleans()),
        status_word=word,
        shortdesc=" ".join(draw(_TEXT).split()),
    )


@pytest.mark.parametrize("agent", BUILTIN_AGENTS.values(), ids=BUILTIN_AGENTS)
def test_own_metadata_reads_back_as_the_same_record(agent: AgentMetadata) -> None:
    assert parse_metadata(render_metadata(agent).encode()) == agent


@given(_agents())
def test_any_metadata_reads_back_as_the_same_record(agent: AgentMetadata) -> None:
    assert parse_metadata(render_metadata(agent).encode()) == agent


def test_own_agents_are_service_ip_and_script() -> None:
    assert BUILTIN_AGENTS == {"ip": IP, "script": SCRIPT, "service": SERVICE}


def test_service_has_the_levels_of_the_original() -> None:
    levels = " ".join(f"{child.type} {child.start}/{child.stop}" for child in SERVICE.children)
    assert levels == (
        "lvm 1/9 fs 2/8 clusterfs 3/7 netfs 4/6 nfsexport 5/5 nfsclient 6/4 ip 7/2 smb 8/3 script 9/1"
    )


def test_policy_attributes_of_a_service_may_change_while_it_runs() -> None:
    changeable = [parameter.name for parameter in SERVICE.parameters if parameter.reconfig]
    assert changeable == ["domain", "autostart", "exclusive", "recovery"]


def test_metadata_of_script_is_printed_as_the_agent_api_wants_it() -> None:
    assert (
        render_metadata(SCRIPT)
        == """<?xml version="1.0"?>
<resource-agent name="script" version="1.0">
  <version>1.0</version>
  <shortdesc lang="en">A program that a script of the LSB kind starts, stops and checks</shortdesc>
  <parameters>
    <parameter name="name" unique="1" primary="1">
      <content type="string"/>
    </parameter>
    <parameter name="file" unique="1" required="1">
      <content type="string"/>
    </parameter>
    <parameter name="service_name" inherit="service%name">
      <content type="string"/>
    </parameter>
  </parameters>
  <actions>
    <action name="start" timeout="0"/>
    <action name="stop" timeout="0"/>
    <action name="status" timeout="0" interval="30"/>
    <action name="monitor" timeout="0" interval="30"/>
    <action name="meta-data" timeout="0"/>
    <action name="validate-all" timeout="0"/>
  </actions>
  <special tag="rgmanager">
    <attributes/>
  </special>
</resource-agent>
"""
    )


def test_primary_parameter_is_printed_as_such() -> None:
    assert '<parameter name="address" unique="1" primary="1">' in render_metadata(IP)


def test_own_metadata_is_known_without_loading_lxml() -> None:
    program = "import sys, standfast.resources.builtin; sys.exit('lxml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
