"""Killing what agents of one node have started, for real: these processes, and no others."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from standfast.node.census import kill_services

MARK = {"OCF_RESKEY_RGMANAGER_meta_refcnt": "0"}  # every resource agent gets it
WAIT_S_MAX = 20.0

Start = Callable[[dict[str, str]], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process with an environment; it is there, with that environment, when this returns."""
    with ExitStack() as stack:

        def begin(environment: dict[str, str]) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-S", "-c", "print(1, flush=True); input()"]
            process = stack.enter_context(
                subprocess.Popen(
                    command,
                    env={"PATH": os.environ["PATH"], **environment},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == b"1\n"
            return process

        yield begin


def test_processes_of_this_node_s_services_are_killed_and_no_others(start: Start, tmp_path: Path) -> None:
    prefix = str(tmp_path)
    mine = [start({**MARK, "STANDFAST_PREFIX": prefix}) for _ in range(2)]
    others = [
        start({**MARK, "STANDFAST_PREFIX": f"{prefix}-other"}),
        start({"STANDFAST_PREFIX": prefix}),
        start(MARK),
    ]
    assert kill_services(prefix) >= len(mine)
    assert [process.wait(WAIT_S_MAX) for process in mine] == [-9, -9]
    assert [process.poll() for process in others] == [None] * len(others)


def test_nothing_is_killed_where_nothing_runs(start: Start, tmp_path: Path) -> None:
    bystander = start({"STANDFAST_PREFIX": str(tmp_path)})
    assert kill_services(str(tmp_path)) == 0
    assert bystander.poll() is None
