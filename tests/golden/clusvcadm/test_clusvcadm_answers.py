"""clusvcadm's progress and results, byte for byte: one file a situation. Source: spec commands-services, section 2.4."""

import io
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.golden.transcript import difference, title_of, transcript

from standfast.cli.client import ask as ask_daemon
from standfast.cli.clusvcadm import main
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import (
    Answer,
    Call,
    Code,
    GetStatus,
    NodeStatus,
    Operated,
    OperateService,
    Operation,
    Status,
)

HERE = Path(__file__).parent
HTTP = ServiceName("service:VirtualHTTP")
NOWHERE = "/nowhere/control.sock"

STATUS = Status(
    cluster="VMCluster",
    cluster_id=25917,
    config_version=5,
    view_id=8,
    quorate=True,
    synced=True,
    local=NodeId(1),
    nodes=(
        NodeStatus(name="vapp1", nodeid=NodeId(1), online=True, local=True, estranged=False, manager=True),
        NodeStatus(name="vapp2", nodeid=NodeId(2), online=True, local=False, estranged=False, manager=True),
    ),
    services=(),
)


def order(operation: Operation, service: ServiceName = HTTP, target: str | None = None) -> OperateService:
    return OperateService(operation=operation, service=service, target=target)


ENABLE = order(Operation.ENABLE)

SITUATIONS: dict[str, tuple[OperateService | None, Operated | None]] = {
    "C01": (ENABLE, Operated(code=Code.SUCCESS, owner="vapp1")),
    "C02": (order(Operation.RELOCATE, target="vapp2"), Operated(code=Code.SUCCESS, owner="vapp2")),
    "C03": (order(Operation.DISABLE), Operated(code=Code.SUCCESS)),
    "C04": (ENABLE, Operated(code=Code.RUNNING, owner="vapp1")),
    "C05": (ENABLE, Operated(code=Code.ABORT)),
    "C06": (order(Operation.RELOCATE), Operated(code=Code.INVALID)),
    "C07": (order(Operation.RELOCATE), Operated(code=Code.RELOCATE_FAILED, owner="vapp1")),
    "C08": (order(Operation.ENABLE, ServiceName("service:nosuch")), Operated(code=Code.NO_SERVICE)),
    "C09a": (order(Operation.FREEZE), Operated(code=Code.SUCCESS, owner="vapp1")),
    "C09b": (order(Operation.STOP), Operated(code=Code.FROZEN, owner="vapp1")),
    "C10": (ENABLE, Operated(code=Code.NO_QUORUM)),
    "C11": (order(Operation.ENABLE, target="vapp2"), Operated(code=Code.SUCCESS, owner="vapp1")),
    "C13": (ENABLE, Operated(code=Code.AGAIN)),
    "C14": (ENABLE, None),
    "C15": (None, None),
    "C17": (order(Operation.DISABLE), Operated(code=Code.WARNING)),
}


class Daemon:
    """A daemon that knows the two members and one outcome; without an outcome it is gone when asked for it."""

    def __init__(self, outcome: Operated | None) -> None:
        self.outcome = outcome
        self.ordered: OperateService | None = None

    def __call__(
        self, call: Call, *, timeout_s: float | None = None, progress: Callable[[str], None] | None = None
    ) -> Answer:
        if isinstance(call, GetStatus):
            return STATUS
        assert isinstance(call, OperateService)
        self.ordered = call
        if self.outcome is None:
            return ask_daemon(call, socket_path=NOWHERE)
        return self.outcome


@pytest.mark.parametrize("sample", sorted(SITUATIONS))
def test_clusvcadm_prints_the_sample_and_asks_for_the_operation(sample: str) -> None:
    golden = HERE / f"{sample}.txt"
    command = shlex.split(golden.read_text(encoding="utf-8").splitlines()[1].removeprefix("$ "))
    expected, outcome = SITUATIONS[sample]
    daemon = Daemon(outcome)
    out, err = io.StringIO(), io.StringIO()

    status = main(command[1:], daemon, out, err)

    seen = transcript(title_of(golden), command, out=out.getvalue(), err=err.getvalue(), status=status)
    assert daemon.ordered == expected
    assert not difference(golden, seen)


def test_every_answer_has_its_situation() -> None:
    assert {golden.stem for golden in HERE.glob("*.txt")} == set(SITUATIONS)
