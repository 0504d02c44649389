"""Fencing one victim from this node: methods in order, all devices of a method, and the second look before anything."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from standfast.cluster.membership import form
from standfast.cluster.participant import AttemptEnded, Event
from standfast.cluster.state import ClusterState
from standfast.conf.load import load
from standfast.fencing.domain import AttemptId, BeginFencing, add_victim, begin_attempt
from standfast.membership.quorum import Ballot
from standfast.membership.votes import vote_table
from standfast.node.agency import Agency
from standfast.node.attempts import Attempts, agent_path
from standfast.node.forkserver import ForkServer
from standfast.node.gate import Gate
from standfast.terms import NodeId

ME, VICTIM = NodeId(1), NodeId(2)
ATTEMPT: AttemptId = (VICTIM, 1, 1)
WAIT_S_MAX = 20.0

AGENT = """#!/bin/sh
# Notes its input; fails, with that input, where it is told to.
input=$(cat)
{ echo "begin $*"; echo "$input"; env | grep -c .; } >>%(folder)s/asked
case "$input" in *fail=yes*) echo "$input" | grep passwd; echo "cannot, for $input" | grep cannot; exit 1 ;; esac
"""


def state_with(methods: str, *, by: NodeId = ME) -> ClusterState:
    """Return a state in which the victim has these methods and an attempt on it is under way."""
    text = f"""<cluster name="c" config_version="1"><clusternodes>
<clusternode name="vapp1" nodeid="1"/>
<clusternode name="vapp2" nodeid="2"><fence>{methods}</fence></clusternode></clusternodes><cman/>
<fencedevices><fencedevice name="good" agent="fence_note" passwd="hush-7"/>
<fencedevice name="bad" agent="fence_note" passwd="hush-7" fail="yes"/>
<fencedevice name="gone" agent="fence_that_is_not_there"/></fencedevices></cluster>"""
    loaded = load("cluster.conf", text.encode())
    assert loaded.cluster is not None, loaded.lines
    present = frozenset((ME,))
    ballot = Ballot(table=vote_table(loaded.cluster))
    state = form(loaded.cluster, text, epoch=1, by=ME, view_id=1, present=present, ballot=ballot, wall_s=0)
    domain = replace(state.fence, victims=(), generations=0)
    domain = add_victim(
        domain, VICTIM, reason="lost", now_ms=0, hold_until_ms=0, incarnation=None, boot_id=None
    )
    begin = BeginFencing(nodeid=VICTIM, generation=1, number=1, by=by, because="lost")
    return replace(state, fence=begin_attempt(domain, begin, 0))


def method(name: str, *devices: str) -> str:
    rows = "".join(f'<device name="{device}" port="{number}"/>' for number, device in enumerate(devices, 1))
    return f'<method name="{name}">{rows}</method>'


class Bench:
    """A folder with a fence agent, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "agents").mkdir()
        agent = folder / "fence_note"
        agent.write_text(AGENT % {"folder": folder})
        agent.chmod(0o755)

    @property
    def asked(self) -> str:
        """All input that the agent has got."""
        path = self.folder / "asked"
        return path.read_text() if path.exists() else ""

    def fence(
        self,
        state: ClusterState | None,
        attempt: AttemptId = ATTEMPT,
        *,
        synced: tuple[NodeId, ...] = (ME,),
        meanwhile: Callable[[Attempts], None] | None = None,
    ) -> list[Event]:
        """Make one attempt, and return what was told."""

        async def run() -> list[Event]:
            told: list[Event] = []
            async with asyncio.timeout(WAIT_S_MAX), asyncio.TaskGroup() as tasks:
                server = ForkServer(tuple(os.environ.items()), tasks)
                try:
                    async with asyncio.TaskGroup() as work:
                        attempts = Attempts(
                            me=ME,
                            agency=Agency(self.folder / "agents", server),
                            gate=Gate(lambda: None),
                            path=agent_path(str(self.folder)),
                            prefix="",
                            tasks=work,
                            tell=told.append,
                            synced=lambda: (state, synced),
                        )
                        attempts.begin(attempt)
                        if meanwhile is not None:
                            meanwhile(attempts)
                finally:
                    await server.close()
            return told

        return asyncio.run(run())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def ended(told: list[Event]) -> AttemptEnded:
    (event,) = told
    assert isinstance(event, AttemptEnded)
    return event


def test_first_method_that_succeeds_whole_ends_the_attempt(bench: Bench) -> None:
    told = bench.fence(state_with(method("power", "good", "good") + method("fabric", "good")))
    assert told == [AttemptEnded(ATTEMPT, True, "method power, agent fence_note")]
    assert [line for line in bench.asked.splitlines() if line.startswith("port=")] == ["port=1", "port=2"]


def test_agent_gets_its_lines_in_order_and_no_argument(bench: Bench) -> None:
    bench.fence(state_with(method("power", "good")))
    lines = bench.asked.splitlines()
    assert lines[:5] == ["begin ", "port=1", "nodename=vapp2", "agent=fence_note", "passwd=hush-7"]


def test_device_that_fails_ends_its_method_and_the_next_one_is_tried(bench: Bench) -> None:
    told = bench.fence(state_with(method("power", "good", "bad", "good") + method("fabric", "good")))
    assert ended(told) == AttemptEnded(ATTEMPT, True, "method fabric, agent fence_note")
    assert [line for line in bench.asked.splitlines() if line.startswith("port=")] == [
        "port=1",
        "port=2",
        "port=1",
    ]


def test_attempt_fails_with_every_methods_reason_and_no_password(bench: Bench) -> None:
    told = ended(bench.fence(state_with(method("power", "bad") + method("fabric", "gone"))))
    assert not told.fenced
    assert 'method "power": fence_note for device "bad" returned 1: cannot' in told.text
    assert 'method "fabric": agent "fence_that_is_not_there" is not installed' in told.text
    assert "hush-7" not in told.text


def test_victim_without_a_method_is_for_a_person(bench: Bench) -> None:
    told = ended(bench.fence(state_with("")))
    assert told.text == "no fence method is configured; power it off by hand, then run fence_ack_manual vapp2"


@pytest.mark.parametrize(
    ("attempt", "synced", "words"),
    [
        ((ME, 1, 1), (ME,), "asked to fence itself"),
        ((VICTIM, 2, 1), (ME,), "is not the victim"),
        ((VICTIM, 1, 2), (ME,), "is not this node's"),
        ((NodeId(3), 1, 1), (ME,), "is not the victim"),
        ((VICTIM, 1, 1), (ME, VICTIM), "takes part in the cluster"),
    ],
    ids=["itself", "old generation", "other attempt", "nobody", "member"],
)
def test_attempt_that_the_state_does_not_confirm_is_refused(
    bench: Bench, attempt: AttemptId, synced: tuple[NodeId, ...], words: str
) -> None:
    told = ended(bench.fence(state_with(method("power", "good")), attempt, synced=synced))
    assert (told.fenced, words in told.text, bench.asked) == (False, True, "")


def test_attempt_of_another_node_is_refused(bench: Bench) -> None:
    told = ended(bench.fence(state_with(method("power", "good"), by=NodeId(3))))
    assert (told.fenced, bench.asked) == (False, "")


def test_node_without_a_state_fences_nobody(bench: Bench) -> None:
    assert not ended(bench.fence(None)).fenced


def test_cancelled_attempt_tells_nothing(bench: Bench) -> None:
    told = bench.fence(
        state_with(method("power", "good")), meanwhile=lambda attempts: attempts.cancel(ATTEMPT)
    )
    assert told == []
