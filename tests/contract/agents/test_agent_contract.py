"""What every one of our agents keeps to, whatever it does."""

import subprocess
import sys

import pytest
from tests.contract.agents.fork_server import fork_server

from standfast.resources.builtin import BUILTIN_AGENTS
from standfast.resources.metadata import parse_metadata
from standfast.wire.agents import SERVED_AGENTS, RunAgent

RESOURCE_AGENTS = tuple(name for name in SERVED_AGENTS if not name.startswith("fence_"))
FENCE_AGENTS = tuple(name for name in SERVED_AGENTS if name.startswith("fence_"))


def program(
    name: str, *words: str, env: dict[str, str] | None = None, given: str = ""
) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-m", f"standfast.agents.{name}", *words],
        env=env or {},
        input=given,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("name", RESOURCE_AGENTS)
def test_metadata_is_that_of_the_resources_room(name: str) -> None:
    status, out, err = program(name, "meta-data")
    assert (status, err) == (0, "")
    assert parse_metadata(out.encode()) == BUILTIN_AGENTS[name]


@pytest.mark.parametrize("name", RESOURCE_AGENTS)
def test_every_declared_action_is_implemented(name: str) -> None:
    codes = {
        action.name: program(name, action.name, env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"})[0]
        for action in BUILTIN_AGENTS[name].actions
    }
    assert 3 not in codes.values()


@pytest.mark.parametrize("name", RESOURCE_AGENTS)
def test_unknown_operation_is_not_implemented(name: str) -> None:
    status, out, err = program(name, "promote")
    assert (status, err) == (3, "")
    assert out.startswith('operation "promote" is not one of: start stop status monitor ')


@pytest.mark.parametrize("name", RESOURCE_AGENTS)
def test_missing_operation_shows_the_usage(name: str) -> None:
    status, out, err = program(name)
    assert (status, err) == (2, "")
    assert out.startswith("usage: ")


@pytest.mark.parametrize("name", ["ip", "script"])
def test_missing_parameters_are_invalid_arguments(name: str) -> None:
    status, out, err = program(name, "start")
    assert (status, err, out.count("\n")) == (2, "", 1)


def test_service_without_a_name_is_not_valid() -> None:
    assert program("service", "validate-all")[0] == 2
    assert program("service", "validate-all", env={"OCF_RESKEY_name": "web"})[0] == 0


@pytest.mark.parametrize("name", FENCE_AGENTS)
def test_fence_agent_prints_the_same_metadata_in_every_way_it_can_be_asked(name: str) -> None:
    from_input = program(name, given="action=metadata\n")
    assert from_input[0] == 0
    assert from_input[1].startswith('<?xml version="1.0" ?>\n<resource-agent name="' + name)
    assert program(name, "-o", "metadata") == from_input
    assert program(name, "--action=meta-data") == from_input


def test_server_runs_exactly_the_agents_that_the_wire_names() -> None:
    with fork_server() as server:
        ends = [
            server.run(
                RunAgent(id=1, agent=name, operation="metadata" if name in FENCE_AGENTS else "meta-data")
            )
            for name in SERVED_AGENTS
        ]
    assert [(exited.status, output[:6]) for _, exited, output in ends] == [(0, "<?xml ")] * len(SERVED_AGENTS)
