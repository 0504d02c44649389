"""cman_tool against a daemon that answers as the test says: what it asks, what it prints, and its exit status."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from standfast.cli.cman_daemon import Daemon
from standfast.cli.cman_options import OPERATIONS
from standfast.cli.cman_tool import main
from standfast.cli.tests.daemon_double import STATUS
from standfast.errors import UnreachableError
from standfast.wire.control import (
    Acknowledged,
    Answer,
    Call,
    Failure,
    GetStatus,
    KillNode,
    LeaveCluster,
    Progress,
    SetDebug,
    SetExpectedVotes,
    SetNodeVotes,
    Status,
    UpdateConfig,
    Updated,
    UpdateRejected,
    decode_call,
    encode_answer,
)

GONE = UnreachableError("/run/standfast/control.sock: no daemon answers here", code="daemon-down")
DIED = UnreachableError("/run/standfast/control.sock: the daemon went away", code="daemon-died")
LATE = UnreachableError("/run/standfast/control.sock: the daemon did not answer", code="daemon-timeout")
FORBIDDEN = UnreachableError("/run/standfast/control.sock: Permission denied", code="daemon-denied")
DENIED = Failure(code="permission-denied", text="only root may do this")
BUSY = Failure(code="node-busy", text="rgmanager: 2 services")
BLOCKED = replace(STATUS, quorate=False)

CONF = """<cluster name="VMCluster" config_version="%s"><clusternodes>
<clusternode name="vapp1" nodeid="1"><fence><method name="m"><device name="d"/></method></fence></clusternode>
<clusternode name="vapp2" nodeid="2"><fence><method name="m"><device name="d"/></method></fence></clusternode>
</clusternodes><fencedevices><fencedevice name="d" agent="fence_lab"/></fencedevices><cman/></cluster>
"""

Script = Callable[[Call], list[Answer | UnreachableError]]


class World:
    """One run of cman_tool: the calls it made, what it printed, and a clock that its pauses move."""

    def __init__(self, script: Script, conf: str = "/nowhere/cluster.conf") -> None:
        self.calls: list[Call] = []
        self.now_s = 100.0
        self.programs: list[tuple[str, ...]] = []
        self.failure = ""  # of a start or a stop
        self.out, self.err = io.StringIO(), io.StringIO()
        self._script = script
        self._conf = conf

    def run(self, *argv: str) -> int:
        daemon = Daemon(
            self._send, clock=lambda: self.now_s, pause=self._pause, run=self._run, begin=self._begin
        )
        return main(argv, daemon, self.out, self.err, conf=self._conf)

    @property
    def said(self) -> tuple[str, str]:
        """What was printed on standard output and standard error."""
        return self.out.getvalue(), self.err.getvalue()

    def _send(self, line: bytes, _timeout_s: float | None) -> Iterator[bytes]:
        call = decode_call(line)
        self.calls.append(call)
        for answer in self._script(call):
            if isinstance(answer, UnreachableError):
                raise answer
            yield encode_answer(answer).rstrip(b"\n")

    def _pause(self, length_s: float) -> None:
        self.now_s += length_s

    def _run(self, word: str, arguments: Sequence[str]) -> str:
        self.programs.append((word, *arguments))
        return self.failure

    def _begin(self, word: str, arguments: Sequence[str]) -> None:
        self.programs.append(("begin", word, *arguments))


def always(*answers: Answer | UnreachableError) -> Script:
    """Whatever is asked, these answers."""
    return lambda _call: list(answers)


def in_turn(*rounds: Answer | UnreachableError) -> Script:
    """One answer for each call; the last one again and again."""
    left = list(rounds)
    return lambda _call: [left.pop(0) if len(left) > 1 else left[0]]


@pytest.mark.parametrize(
    ("argv", "call"),
    [
        (("expected", "-e", "5"), SetExpectedVotes(5)),
        (("votes", "-v", "3"), SetNodeVotes(votes=3)),
        (("-n", "vapp2", "votes", "-v0"), SetNodeVotes(votes=0, nodename="vapp2")),
        (("kill", "-n", "vapp2"), KillNode("vapp2")),
        (("debug",), SetDebug(0)),
        (("debug", "-d"), SetDebug(255)),
        (("leave",), LeaveCluster(unless_busy=True)),
        (("leave", "remove"), LeaveCluster(unless_busy=True, remove=True)),
        (("leave", "force"), LeaveCluster()),
    ],
)
def test_change_is_asked_for_and_success_is_silent(argv: tuple[str, ...], call: Call) -> None:
    world = World(always(Acknowledged()))
    assert world.run(*argv) == 0
    assert (world.calls, world.said) == ([call], ("", ""))


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("expected",), "cman_tool: expected votes not given (-e)\n"),
        (("expected", "-e", "0"), "cman_tool: expected votes must be at least 1\n"),
        (("votes",), "cman_tool: votes not given (-v)\n"),
        (("votes", "-n", "vapp2"), "cman_tool: votes not given (-v)\n"),
        (("kill",), "cman_tool: No node name specified\n"),
    ],
)
def test_change_without_its_argument_asks_nothing(argv: tuple[str, ...], complaint: str) -> None:
    world = World(always(Acknowledged()))
    assert world.run(*argv) == 1
    assert (world.calls, world.said) == ([], ("", complaint))


@pytest.mark.parametrize(
    ("argv", "failure", "complaint"),
    [
        (
            ("expected", "-e", "7"),
            Failure(code="value-refused", text="the quorum would be 4 votes, and the members have 3"),
            (
                "cman_tool: can't set expected votes: Invalid argument "
                "(the quorum would be 4 votes, and the members have 3)\n"
            ),
        ),
        (
            ("votes", "-v", "0"),
            Failure(code="value-refused", text="why"),
            "cman_tool: can't set votes: Invalid argument (why)\n",
        ),
        (
            ("votes", "-v", "2", "-n", "nosuch"),
            Failure(code="node-unknown", text="there is no such node"),
            "cman_tool: Can't set votes for node nosuch : No such file or directory\n",
        ),
        (
            ("leave",),
            BUSY,
            "cman_tool: Error leaving cluster: Device or resource busy (rgmanager: 2 services)\n",
        ),
        (
            ("leave",),
            Failure(code="leaving-already", text="wait for it"),
            "cman_tool: Error leaving cluster: Operation already in progress (wait for it)\n",
        ),
        (
            ("expected", "-e", "2"),
            Failure(code="not-synced", text="not yet"),
            "cman_tool: can't set expected votes: Node is not yet a cluster member (not yet)\n",
        ),
        (
            ("votes", "-v", "2"),
            Failure(code="not-quorate", text="quorum was lost; start more nodes"),
            "cman_tool: can't set votes: quorum was lost; start more nodes\n",
        ),
    ],
)
def test_refusal_is_said_in_the_words_of_cman(
    argv: tuple[str, ...], failure: Failure, complaint: str
) -> None:
    world = World(always(failure))
    assert world.run(*argv) == 1
    assert world.said == ("", complaint)


def test_kill_goes_on_after_a_name_that_nobody_has() -> None:
    unknown = Failure(code="node-unknown", text="there is no such node")
    down = Failure(code="node-not-member", text="vapp3 is not a member")
    world = World(in_turn(unknown, Acknowledged(), down))
    assert world.run("kill", "-n", "nosuch", "-n", "vapp2", "-n", "vapp3") == 1
    assert world.calls == [KillNode("nosuch"), KillNode("vapp2"), KillNode("vapp3")]
    assert world.said == (
        "",
        (
            "Can't kill node nosuch : No such file or directory\n"
            "kill node failed: Invalid argument (vapp3 is not a member)\n"
        ),
    )


@pytest.mark.parametrize("operation", sorted({*OPERATIONS} - {"join"}))
def test_every_operation_says_that_the_daemon_is_not_there(operation: str) -> None:
    world = World(always(GONE))
    assert world.run(operation, "-n", "vapp1", "-e", "1", "-v", "1") == 1
    assert world.said == ("", "cman_tool: Cannot open connection to cman, is it running ?\n")


@pytest.mark.parametrize("operation", ["leave", "kill", "expected", "votes", "debug"])
@pytest.mark.parametrize("answer", [FORBIDDEN, DENIED])
def test_every_change_says_that_it_is_not_permitted(
    operation: str, answer: Answer | UnreachableError
) -> None:
    world = World(always(answer))
    assert world.run(operation, "-n", "vapp1", "-e", "1", "-v", "1") == 1
    assert world.said == ("", "cman_tool: Cannot open connection to cman, permission denied.\n")


def test_leave_that_waits_returns_when_the_daemon_has_ended() -> None:
    def script(call: Call) -> list[Answer | UnreachableError]:
        if isinstance(call, GetStatus):
            return [DIED] if len(world.calls) > 2 else [STATUS]
        return [Progress("going"), Acknowledged("left the cluster")]

    world = World(script)
    assert world.run("-w", "leave") == 0
    assert world.calls == [LeaveCluster(unless_busy=True), GetStatus(), GetStatus()]
    assert world.said == ("", "")


def test_leave_that_does_not_wait_returns_when_the_cluster_consents() -> None:
    world = World(always(Progress("going"), DIED))
    assert world.run("leave") == 0
    assert world.said == ("", "")


def test_leave_for_good_says_what_quorum_the_others_will_need() -> None:
    world = World(always(Progress("the others will need 2 votes for quorum, and have 2"), Acknowledged()))
    assert world.run("leave", "remove") == 0
    assert world.said == ("the others will need 2 votes for quorum, and have 2\n", "")


def test_leave_that_is_vetoed_ends_at_once_although_it_waits() -> None:
    world = World(always(BUSY))
    assert world.run("leave", "-w") == 1
    assert world.now_s == 100.0


@pytest.mark.parametrize("answers", [[LATE], [Progress("going"), LATE]])
def test_leave_that_takes_too_long_exits_2(answers: list[Answer | UnreachableError]) -> None:
    world = World(always(*answers))
    assert world.run("leave", "-w", "-t", "3") == 2
    assert world.said == ("", "Timed-out waiting for cluster\n")


def test_daemon_that_does_not_end_in_time_exits_2() -> None:
    world = World(lambda call: [STATUS] if isinstance(call, GetStatus) else [Acknowledged()])
    assert world.run("leave", "-w", "-t", "3") == 2
    assert world.said == ("", "Timed-out waiting for cluster\n")
    assert world.now_s == pytest.approx(103.0, abs=0.2)


def test_wait_returns_when_the_daemon_answers() -> None:
    world = World(always(BLOCKED))
    assert world.run("wait") == 0
    assert world.calls == [GetStatus()]


def test_wait_for_quorum_looks_every_second() -> None:
    world = World(in_turn(BLOCKED, BLOCKED, STATUS))
    assert world.run("wait", "-q") == 0
    assert (world.now_s, len(world.calls)) == (102.0, 3)


def test_wait_for_quorum_exits_2_when_the_time_is_over() -> None:
    world = World(always(BLOCKED))
    assert world.run("wait", "-q", "-t", "2") == 2
    assert (world.now_s, world.said) == (102.0, ("", "Timed-out waiting for cluster\n"))


def test_wait_ends_when_the_daemon_goes_away() -> None:
    world = World(in_turn(BLOCKED, DIED))
    assert world.run("wait", "-q") == 1
    assert world.said == ("", "cman_tool: Cannot open connection to cman, is it running ?\n")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A cluster.conf of version 6; version 5 is the running one."""
    path = tmp_path / "cluster.conf"
    path.write_text(CONF % 6)
    return path


@pytest.mark.parametrize("wanted", ["0", "6"])
def test_version_proposes_the_file_and_is_silent(conf: Path, wanted: str) -> None:
    world = World(in_turn(STATUS, Updated(old=5, new=6)), str(conf))
    assert world.run("version", "-r", wanted) == 0
    assert world.calls == [GetStatus(), UpdateConfig(CONF % 6)]
    assert world.said == ("", "")


def test_version_passes_on_what_is_said_beforehand(conf: Path) -> None:
    said = Progress("node vapp4 is added: taken while the cluster runs, quorum 2 of 3 becomes 3 of 4 at once")
    rounds: list[list[Answer | UnreachableError]] = [[STATUS], [said, Updated(old=5, new=6)]]
    world = World(lambda _call: rounds.pop(0), str(conf))
    assert world.run("version", "-r0") == 0
    assert world.said == (f"{said.text}\n", "")


def test_version_that_is_not_the_file_s_is_refused(conf: Path) -> None:
    world = World(always(STATUS), str(conf))
    assert world.run("version", "-r", "7") == 1
    assert world.said == ("", "cman_tool: configuration file has version 6, not 7\n")


def test_version_that_runs_already_is_not_proposed(conf: Path) -> None:
    world = World(always(replace(STATUS, config_version=6)), str(conf))
    assert world.run("version", "-r", "6") == 0
    assert world.calls == [GetStatus()]


def test_version_says_why_the_cluster_did_not_take_it(conf: Path) -> None:
    rejected = UpdateRejected(reason="invalid", findings=("cluster.conf: it removes a member [I67]",))
    world = World(in_turn(STATUS, rejected), str(conf))
    assert world.run("version", "-r0") == 1
    assert world.said == (
        "",
        "cluster.conf: it removes a member [I67]\ncman_tool: can't set version: Invalid argument (invalid)\n",
    )


@pytest.mark.parametrize(
    ("failure", "status", "complaint"),
    [
        (LATE, 2, "Timed-out waiting for cluster\n"),
        (DENIED, 1, "cman_tool: Cannot open connection to cman, permission denied.\n"),
        (
            Failure(code="not-quorate", text="no quorum; start more nodes"),
            1,
            "cman_tool: can't set version: no quorum; start more nodes\n",
        ),
    ],
)
def test_version_says_why_the_daemon_did_not_take_it(
    conf: Path, failure: Answer | UnreachableError, status: int, complaint: str
) -> None:
    world = World(in_turn(STATUS, failure), str(conf))
    assert world.run("version", "-r0", "-t", "9") == status
    assert world.said == ("", complaint)


@pytest.mark.parametrize("check", [[], ["-Dwarn"], ["-Dnone"]])
def test_version_does_not_propose_a_file_that_is_not_valid(conf: Path, check: list[str]) -> None:
    conf.write_text((CONF % 6).replace('nodeid="2"', 'nodeid="1"'))
    world = World(always(STATUS), str(conf))
    assert world.run("version", "-r0", *check) == 1
    assert world.calls == [GetStatus()]
    assert "nodeid" in world.said[1]
    assert world.said[1].endswith("cman_tool: Not reloading, configuration is not valid\n")


def test_version_without_a_file_says_so(tmp_path: Path) -> None:
    world = World(always(STATUS), str(tmp_path / "cluster.conf"))
    assert world.run("version", "-r0") == 1
    assert world.said[1].startswith(f"{tmp_path}/cluster.conf: No such file or directory\n")


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("-v", "2"), "cannot join: votes come from cluster.conf; use 'cman_tool votes'"),
        (("-2", "-e", "3"), "expected_votes value (3) invalid in two node mode"),
        (("-c", "Other"), "cannot join: Cluster name in CCS does not match that passed to cman_tool"),
        (("-n", "vapp9"), "cannot join: Overridden node name is not in CCS"),
    ],
)
def test_join_refuses_what_the_file_does_not_say(conf: Path, argv: tuple[str, ...], complaint: str) -> None:
    world = World(always(GONE), str(conf))
    assert world.run("join", *argv) == 1
    assert world.said == ("", f"cman_tool: {complaint}\n")


def test_join_of_a_node_that_is_active_is_refused(conf: Path) -> None:
    world = World(always(STATUS), str(conf))
    assert world.run("join") == 1
    assert world.said == ("", "cman_tool: Node is already active\n")


def test_join_with_a_file_that_is_not_valid_is_refused(conf: Path) -> None:
    conf.write_text("<cluster")
    world = World(always(GONE), str(conf))
    assert world.run("join", "-w") == 1
    assert world.said[1].endswith("cman_tool: Not joining, configuration is not valid\n")


def test_join_starts_the_node(conf: Path) -> None:
    world = World(always(GONE), str(conf))
    assert world.run("join", "-n", "vapp1", "-c", "VMCluster") == 0
    assert (world.programs, world.said) == ([("up", "--no-wait", "--name", "vapp1")], ("", ""))


def test_join_says_why_the_node_does_not_start(conf: Path) -> None:
    world = World(always(GONE), str(conf))
    world.failure = "/etc/cluster/authkey: No such file or directory"
    assert world.run("join", "-w") == 1
    assert world.programs == [("up", "--no-wait")]
    assert world.said == ("", "cman_tool: cannot join: /etc/cluster/authkey: No such file or directory\n")


def test_join_waits_for_quorum_where_it_is_told_to(conf: Path) -> None:
    world = World(in_turn(GONE, BLOCKED, BLOCKED, STATUS), str(conf))
    assert world.run("-q", "join") == 0
    assert world.now_s == 102.0
    world = World(in_turn(GONE, BLOCKED), str(conf))
    assert world.run("-q", "-t", "5", "join") == 2
    assert world.said[1] == "Timed-out waiting for cluster\n"


def test_leave_ends_corosync_as_well() -> None:
    world = World(always(Progress("it leaves"), Acknowledged()))
    assert world.run("leave") == 0
    assert world.programs == [("begin", "down", "--after-leave")]
    world = World(in_turn(Acknowledged(), GONE))
    assert world.run("-w", "leave") == 0
    assert world.programs == [("down", "--after-leave")]
    world = World(in_turn(Acknowledged(), GONE))
    world.failure = "corosync, process 7, did not end within 60 s"
    assert world.run("-w", "leave") == 1
    assert "left the cluster, but: corosync, process 7, did not end" in world.said[1]


def test_refused_leave_ends_nothing() -> None:
    world = World(always(BUSY))
    assert world.run("leave") == 1
    assert world.programs == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_help_of_an_operation_is_about_it_alone(operation: str) -> None:
    world = World(always(GONE))
    assert world.run("-h", operation) == 0
    assert world.said[0].startswith(operation)
    assert world.calls == []


def test_help_is_about_all_operations() -> None:
    world = World(always(GONE))
    assert world.run("-h") == 0
    assert [name for name in OPERATIONS if f"\n{name} " not in world.said[0]] == []


def test_version_of_the_program_is_printed() -> None:
    world = World(always(GONE))
    assert world.run("-V") == 0
    assert world.said[0].startswith("cman_tool ")
    assert world.calls == []


def test_answer_of_another_release_is_a_sentence() -> None:
    world = World(always(Acknowledged()))
    assert world.run("status") == 1
    assert "the daemon is of another release" in world.said[1]


def test_status_of_the_wire_has_every_field_that_is_read() -> None:
    assert isinstance(STATUS, Status)
    world = World(always(STATUS))
    assert world.run("nodes", "-a", "-f") == 0
