"""standfast reconfigure: what it shows, what it asks, and what it says of each end."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from standfast.cli import reconfigure
from standfast.cli.tests.daemon_double import STATUS
from standfast.errors import UnreachableError
from standfast.terms import NodeId
from standfast.wire.control import (
    Acknowledged,
    Answer,
    Call,
    Changes,
    Failure,
    GetChanges,
    GetStatus,
    Membership,
    NodeState,
    Reconfigure,
    UpdateRejected,
)

TRIO = """<?xml version="1.0"?>
<cluster name="VMCluster" config_version="6">
<clusternodes>
<clusternode name="vapp1" nodeid="2"><fence><method name="m"><device name="p"/></method></fence></clusternode>
<clusternode name="vapp2" nodeid="1"><fence><method name="m"><device name="p"/></method></fence></clusternode>
<clusternode name="vapp3" nodeid="3"><fence><method name="m"><device name="p"/></method></fence></clusternode>
</clusternodes>
<fencedevices><fencedevice name="p" agent="fence_manual"/></fencedevices>
</cluster>
"""
CHANGES = Changes(
    old=5,
    new=6,
    stop=("two_node is removed, vapp3 is added (quorum 1 becomes 2): stop all",),
    live=("token 10000 becomes 8000: at once",),
)
LEFT = Acknowledged("left the cluster")
MEMBERS = replace(
    STATUS,
    nodes=tuple(replace(n, membership=Membership(state=NodeState.MEMBER)) for n in STATUS.nodes),
)
PLAN = """\
{file}: version 5 of cluster VMCluster becomes version 6

Needs a full stop:
  two_node is removed, vapp3 is added (quorum 1 becomes 2)
With it:
  token 10000 becomes 8000
Interrupted until the nodes are started again: service:VirtualHTTP on vapp1

Steps:
  1. every member writes the new file, or nothing is done: vapp2, vapp1
  2. all services stop, and all nodes leave, corosync with them: vapp2, vapp1
  3. on every node, by you: standfast up
Copy the new file and the cluster's key to vapp3 before you start there.
"""


class Daemon:
    """Answers each kind of call with what it was given."""

    def __init__(
        self,
        *,
        status: Answer = MEMBERS,
        changes: Answer | BaseException = CHANGES,
        end: Answer | BaseException = LEFT,
    ) -> None:
        self.answers: dict[type, Answer | BaseException] = {
            GetStatus: status,
            GetChanges: changes,
            Reconfigure: end,
        }
        self.calls: list[Call] = []

    def __call__(
        self, call: Call, *, timeout_s: float | None = None, progress: Callable[[str], None] | None = None
    ) -> Answer:
        self.calls.append(call)
        answer = self.answers[type(call)]
        if isinstance(answer, BaseException):
            raise answer
        if progress is not None:
            progress("version 6 is on the disk of every member; all services stop, all nodes leave")
        return answer


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> str:
    path = tmp_path / "new.conf"
    path.write_text(TRIO)
    return str(path)


def ran(daemon: Daemon, *argv: str, says: bool = False) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = reconfigure.main(argv, daemon, lambda: says, out, err)
    return status, out.getvalue(), err.getvalue()


def test_plan_is_shown_and_nothing_is_done_without_a_yes(file: str) -> None:
    daemon = Daemon()
    status, out, err = ran(daemon, file)
    assert (status, out, err) == (1, PLAN.format(file=file), "standfast reconfigure: nothing was done\n")
    assert [type(call) for call in daemon.calls] == [GetStatus, GetChanges]


@pytest.mark.parametrize(("options", "says"), [(["--yes"], False), ([], True)])
def test_yes_stops_the_cluster_and_says_what_is_left_to_do(file: str, options: list[str], says: bool) -> None:
    daemon = Daemon()
    status, out, err = ran(daemon, *options, file, says=says)
    assert (status, err) == (0, "")
    assert out == PLAN.format(file=file) + (
        "version 6 is on the disk of every member; all services stop, all nodes leave\n"
        "All nodes have left. Start each of them, with: standfast up, on vapp1, vapp2, vapp3\n"
    )
    assert daemon.calls[-1] == Reconfigure(TRIO)


def test_change_that_needs_no_stop_is_left_to_ccs_tool(file: str) -> None:
    status, out, err = ran(Daemon(changes=replace(CHANGES, stop=())), "--yes", file)
    assert (status, out) == (1, "")
    assert err.endswith(
        f"nothing of this needs a stop; activate it while the cluster runs with: ccs_tool update {file}\n"
    )


@pytest.mark.parametrize(
    ("daemon", "text"),
    [
        (Daemon(status=Failure(code="x", text="not now")), "standfast reconfigure: not now\n"),
        (Daemon(status=Acknowledged()), "the daemon gave an answer to another question; restart it\n"),
        (Daemon(status=replace(MEMBERS, quorate=False)), "this node has no quorum or is still joining"),
        (
            Daemon(changes=UpdateRejected(reason="not-newer", findings=("version 5 is too old",))),
            "version 5 is too old\nstandfast reconfigure: refused (not-newer); nothing was stopped\n",
        ),
        (
            Daemon(changes=UnreachableError("/x: nobody", code="daemon-down")),
            "/x: nobody; where no node runs, put the file onto every node and start them\n",
        ),
        (
            Daemon(end=UpdateRejected(reason="not-written", findings=("vapp2: disk full",))),
            "vapp2: disk full\nstandfast reconfigure: refused (not-written); nothing was stopped\n",
        ),
        (
            Daemon(end=UnreachableError("/x: it went away", code="daemon-died")),
            "/x: it went away; see with: standfast status, on every node\n",
        ),
        (Daemon(end=KeyboardInterrupt()), "if it had begun it goes on, watch it with: standfast status\n"),
    ],
)
def test_end_without_success_is_told(file: str, daemon: Daemon, text: str) -> None:
    status, _, err = ran(daemon, "--yes", file)
    assert status != 0
    assert text in err


def test_file_with_an_error_is_not_even_shown_to_the_daemon(tmp_path: Path) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text(TRIO.replace('nodeid="3"', 'nodeid="1"'))
    daemon = Daemon()
    status, out, err = ran(daemon, "--yes", str(broken))
    assert (status, out, daemon.calls) == (1, "", [])
    assert err.endswith("standfast reconfigure: broken.conf has errors; nothing was done\n")
    assert ran(daemon, str(tmp_path / "none"))[2].endswith("cannot read: No such file or directory\n")


def test_wrong_words_are_told_with_the_usage() -> None:
    assert ran(Daemon(), "--help") == (0, reconfigure.USAGE, "")
    assert ran(Daemon())[0] == 1
    assert "name one file" in ran(Daemon(), "a", "b")[2]
    assert ran(Daemon(), "--force", "a")[0] == 1


def test_only_the_word_yes_is_one() -> None:
    said = [
        reconfigure.confirm_on(io.StringIO(f"{word}\n"), io.StringIO()) for word in ("yes", "YES ", "y", "")
    ]
    assert said == [True, True, False, False]


def test_nodes_that_do_not_run_are_named_to_be_copied_to(file: str) -> None:
    nodes = (MEMBERS.nodes[0], replace(MEMBERS.nodes[1], nodeid=NodeId(2)))
    away = replace(nodes[0], membership=Membership(state=NodeState.DEAD))
    _, out, _ = ran(Daemon(status=replace(MEMBERS, nodes=(away, nodes[1]), services=())), file)
    assert "Copy the new file and the cluster's key to vapp2, vapp3 before" in out
    assert "Interrupted until the nodes are started again: no service\n" in out
