"""clustat's screens, byte for byte: one file a situation. Source: spec commands-services, section 1.10."""

import io
import shlex
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.golden.transcript import difference, title_of, transcript

from standfast.cli.clustat import Screen, main
from standfast.cli.line import STATUS_LINE, answer_lines
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import NodeStatus, ServiceStatus, Status, encode_answer

HERE = Path(__file__).parent
NOW_S = 1274770240  # Tue May 25 06:50:40 2010
STARTED_S = 1274771640  # Tue May 25 07:14:00 2010


def node(name: str, nodeid: int, flags: str) -> NodeStatus:
    """A member with flags: + online, L local, E estranged, M manager."""
    return NodeStatus(
        name=name,
        nodeid=NodeId(nodeid),
        online="+" in flags,
        local="L" in flags,
        estranged="E" in flags,
        manager="M" in flags,
    )


def service(
    name: str, state: str, owner: str | None, last_owner: str | None = None, flags: str = ""
) -> ServiceStatus:
    """A service with flags: Z frozen, P partial."""
    return ServiceStatus(
        name=ServiceName(name),
        state=state,
        owner=owner,
        last_owner=last_owner,
        restarts=0,
        transition_s=STARTED_S,
        frozen="Z" in flags,
        partial="P" in flags,
    )


def cluster(
    nodes: list[NodeStatus],
    services: list[ServiceStatus] | None,
    *,
    quorate: bool = True,
    unavailable: str = "",
) -> Status:
    return Status(
        cluster="VMCluster",
        cluster_id=25917,
        config_version=5,
        view_id=8,
        quorate=quorate,
        synced=True,
        local=next(n.nodeid for n in nodes if n.local),
        nodes=tuple(nodes),
        services=None if services is None else tuple(services),
        unavailable=unavailable,
    )


SEED = [node("vapp2", 1, "+M"), node("vapp1", 2, "+LM")]
TWO = [node("vapp1", 1, "+LM"), node("vapp2", 2, "+M")]
HTTP = service("service:VirtualHTTP", "started", "vapp1")
DISABLED = service("service:VirtualHTTP", "disabled", None, "vapp1")
LONG_NAME = "very-long-node-name-in-rack-17.cluster.test.example.com"
LONG = cluster(
    [node("vapp2", 2, "+LM"), node(LONG_NAME, 1, "+M")],
    [
        service("service:another-long-service-name-for-test", "stopped", None, LONG_NAME),
        service("service:a-service-with-a-very-long-name-indeed-0123", "started", LONG_NAME),
    ],
)
EVERY_STATE = [
    service("vm:guest1", "started", "vapp2", flags="Z"),
    service("service:y", "stopping", "vapp2"),
    service("service:x", "starting", "vapp1", flags="ZP"),
    service("service:web3", "uninitialized", None),
    service("service:web2", "stopped", None),
    service("service:mail", "recovering", None, "vapp2"),
    service("service:e", "recoverable", "vapp2", "vapp1"),
    service("service:db", "started", "vapp1", flags="P"),
    DISABLED,
]
QUORUM_LOST = cluster(
    [node("vapp1", 1, "+LM"), node("vapp2", 2, ""), node("vapp3", 3, "")],
    None,
    quorate=False,
    unavailable="Operation requires quorum",
)
ESTRANGED = [*TWO, node("vapp3", 3, "+EM")]

SITUATIONS = {
    "S01": cluster(SEED, None),
    "S02": cluster(SEED, [HTTP]),
    "S03": cluster(
        [node("vapp2", 1, "+LM"), node("vapp1", 2, "")],
        [service("service:VirtualHTTP", "started", "vapp2", "vapp1")],
    ),
    "S04": cluster(SEED, [DISABLED]),
    "S05": cluster(SEED, [service("service:VirtualHTTP", "stopped", None, "vapp1")]),
    "S06": cluster(SEED, [service("service:VirtualHTTP", "disabled", None)]),
    "S07": cluster(TWO, [service("service:VirtualHTTP", "failed", None, "vapp1")]),
    "S08": cluster(SEED, [service("service:VirtualHTTP", "started", "vapp1", flags="Z")]),
    "S09": cluster(TWO, EVERY_STATE),
    "S10": QUORUM_LOST,
    "S11": cluster(SEED, None, unavailable="Temporary failure; try again"),
    "S12": cluster(ESTRANGED, [HTTP]),
    "S13": cluster([node("/dev/sdb1", 0, "+E"), *TWO], [HTTP]),
    "S14": LONG,
    "S16": cluster(SEED, [service("vm:guest1", "migrating", "vapp2", "vapp1")]),
    "S17": cluster(SEED, [DISABLED]),
    "S18": cluster([node("vapp2", 1, "+LM"), node("vapp1", 2, "")], [HTTP]),
    "S19": cluster(SEED, [service("service:VirtualHTTP", "started", "vapp1", flags="Z")]),
    "S20": cluster(SEED, [HTTP]),
    "S21": cluster(SEED, None),
    "S22": QUORUM_LOST,
    "S23": cluster(SEED, [DISABLED]),
    "S24": cluster(ESTRANGED, [HTTP]),
    "S25": cluster(SEED, [HTTP]),
    "S27": LONG,
    "S28": cluster(SEED, [HTTP]),
    "S29": cluster([node("vapp3", 3, "E"), *SEED], []),
}
COLUMNS = {"S27": 140, "S28": 40}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def screen(columns: int) -> Screen:
    return Screen(now_s=lambda: NOW_S, columns=lambda: columns)


@pytest.mark.parametrize("sample", sorted(SITUATIONS))
def test_clustat_prints_the_sample(sample: str) -> None:
    golden = HERE / f"{sample}.txt"
    command = shlex.split(golden.read_text(encoding="utf-8").splitlines()[1].removeprefix("$ "))
    out, err = io.StringIO(), io.StringIO()
    line = encode_answer(SITUATIONS[sample]).rstrip(b"\n")

    status = main(command[1:], lambda _local: line, out, err, screen(COLUMNS.get(sample, 80)))

    seen = transcript(title_of(golden), command, out=out.getvalue(), err=err.getvalue(), status=status)
    assert not difference(golden, seen)


def test_clustat_without_a_daemon_prints_the_sample() -> None:
    golden = HERE / "S26.txt"
    out, err = io.StringIO(), io.StringIO()
    connect = partial(answer_lines, STATUS_LINE, socket_path="/nowhere/run/standfast/control.sock")

    status = main([], lambda _local: next(connect()), out, err, screen(80))

    seen = transcript(title_of(golden), ["clustat"], out=out.getvalue(), err=err.getvalue(), status=status)
    assert not difference(golden, seen)


def test_every_sample_has_its_situation() -> None:
    assert {golden.stem for golden in HERE.glob("*.txt")} == {*SITUATIONS, "S26"}
