"""What cman_tool prints, byte for byte: one file a situation. Source: spec membership, sections 9.8 to 9.11 and 14.6."""

import io
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.golden.transcript import difference, title_of, transcript

from standfast.cli.cman_daemon import Daemon
from standfast.cli.cman_tool import main
from standfast.terms import NodeId
from standfast.wire.control import Election, Membership, NodeState, NodeStatus, Status, encode_answer

HERE = Path(__file__).parent
JOINED_S = 1274770111  # Tue May 25 06:48:31 2010

DEAD = Membership(state=NodeState.DEAD, votes=1, expected_votes=3)


def member(incarnation: int, joined_s: int, *addresses: str) -> Membership:
    return Membership(
        state=NodeState.MEMBER,
        incarnation=incarnation,
        joined_s=joined_s,
        votes=1,
        expected_votes=1,
        addresses=addresses,
    )


def node(name: str, nodeid: int, membership: Membership, *, local: bool = False) -> NodeStatus:
    there = membership.state is NodeState.MEMBER
    return NodeStatus(
        name=name,
        nodeid=NodeId(nodeid),
        online=there,
        local=local,
        estranged=False,
        manager=there,
        membership=membership,
    )


ELECTION = Election(
    generation=8,
    joining=False,
    leaving=False,
    expected_votes=1,
    total_votes=2,
    quorum=1,
    two_node=True,
    dirty=True,
    managing=False,
    clients=8,
    multicast=("239.192.168.93",),
)
VAPP1 = node("vapp1", 1, member(4, JOINED_S, "10.1.4.201"), local=True)
VAPP2 = node("vapp2", 2, member(8, JOINED_S + 8, "10.1.4.202"))
VAPP3 = node("vapp3", 3, DEAD)
FOUNDING = Status(
    cluster="VMCluster",
    cluster_id=43188,
    config_version=4,
    view_id=8,
    quorate=True,
    synced=True,
    local=NodeId(1),
    nodes=(VAPP1, VAPP2),
    services=(),
    election=ELECTION,
)
MANAGING = replace(FOUNDING, election=replace(ELECTION, managing=True, leaving=True))
ALONE = replace(
    FOUNDING,
    quorate=False,
    nodes=(VAPP1, node("vapp2", 2, DEAD), VAPP3),
    election=replace(ELECTION, expected_votes=3, total_votes=1, quorum=2, two_node=False, dirty=False),
)
THREE = replace(FOUNDING, nodes=(VAPP3, VAPP2, VAPP1))
TWO_LINKS = replace(
    FOUNDING,
    nodes=(node("vapp1", 1, member(4, JOINED_S, "10.1.4.201", "10.78.0.1"), local=True), VAPP2, VAPP3),
)
FENCED = replace(
    FOUNDING,
    nodes=(
        VAPP1,
        node("vapp2", 2, replace(VAPP2.membership, fenced_s=JOINED_S - 60, fenced_by="fence_ipmilan")),
        node("vapp3", 3, replace(DEAD, unfenced=True)),
    ),
)
VICTIM = replace(MANAGING, nodes=(VAPP1, replace(node("vapp2", 2, DEAD), victim=True)))
STARTING = replace(
    ALONE,
    nodes=(node("vapp1", 1, DEAD, local=True), VAPP3),
    election=replace(ELECTION, joining=True),
)

SITUATIONS = {
    "status-founding": FOUNDING,
    "status-managing-and-leaving": MANAGING,
    "status-blocked": ALONE,
    "status-two-links": TWO_LINKS,
    "status-not-yet-a-member": STARTING,
    "nodes": THREE,
    "nodes-addresses": TWO_LINKS,
    "nodes-fencing": FENCED,
    "nodes-named": THREE,
    "nodes-unknown-name": THREE,
    "nodes-formatted": FOUNDING,
    "nodes-formatted-with-unknown-words": THREE,
    "nodes-formatted-with-nothing-known": FOUNDING,
    "nodes-formatted-with-everything": TWO_LINKS,
    "services": MANAGING,
    "services-while-a-victim-waits": VICTIM,
    "services-none": ALONE,
    "version": FOUNDING,
}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("sample", sorted(SITUATIONS))
def test_cman_tool_prints_the_sample(sample: str) -> None:
    golden = HERE / f"{sample}.txt"
    command = shlex.split(golden.read_text(encoding="utf-8").splitlines()[1].removeprefix("$ "))
    out, err = io.StringIO(), io.StringIO()
    line = encode_answer(SITUATIONS[sample]).rstrip(b"\n")

    status = main(command[1:], Daemon(lambda _call, _timeout_s: iter([line])), out, err, conf="/nowhere")

    seen = transcript(title_of(golden), command, out=out.getvalue(), err=err.getvalue(), status=status)
    assert not difference(golden, seen)


def test_every_sample_has_its_situation() -> None:
    assert {golden.stem for golden in HERE.glob("*.txt")} == set(SITUATIONS)
