"""The warm fork server: many runs, hanging and killed agents, and a daemon that dies."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.agents.fork_server import ForkServer, environment, fork_server
from tests.contract.agents.network import eventually

from standfast.wire.agents import DESCRIPTORS, Exited, Refused, RunAgent, SignalAgent, Started, encode_request


@pytest.fixture(name="server")
def _server() -> Iterator[ForkServer]:
    with fork_server() as started:
        yield started


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run_of(tmp_path: Path, text: str, id_: int = 1, pid_file: str = "") -> RunAgent:
    file = str(script(tmp_path / f"script-{id_}", text))
    return RunAgent(
        id=id_,
        agent="script",
        operation="start",
        environment=environment(tmp_path, name=f"script-{id_}", file=file),
        pid_file=pid_file,
    )


def hanging_run(tmp_path: Path) -> RunAgent:
    os.mkfifo(tmp_path / "gate")
    return run_of(tmp_path, f"read line < {tmp_path}/gate")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_many_runs_one_after_the_other_leave_nothing_behind(server: ForkServer) -> None:
    def descriptors() -> int:
        return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))

    server.run(RunAgent(id=0, agent="service", operation="start"))
    before = descriptors()
    ends = [server.run(RunAgent(id=1, agent="service", operation="start"))[1] for _ in range(200)]
    assert set(ends) == {Exited(id=1, status=0)}
    assert descriptors() == before
    assert Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text() == ""


def test_runs_go_on_side_by_side(server: ForkServer, tmp_path: Path) -> None:
    gates = [tmp_path / "gate-1", tmp_path / "gate-2"]
    for gate in gates:
        os.mkfifo(gate)
    outputs = [server.send(run_of(tmp_path, f"read line < {gates[id_ - 1]}", id_)) for id_ in (1, 2)]
    started = [server.answer(), server.answer()]
    assert [(type(answer), answer.id) for answer in started] == [(Started, 1), (Started, 2)]
    gates[1].write_text("go\n")
    assert server.answer() == Exited(id=2, status=0)
    gates[0].write_text("go\n")
    assert server.answer() == Exited(id=1, status=0)
    for output in outputs:
        os.close(output)


def test_child_has_nothing_of_the_server(server: ForkServer, tmp_path: Path) -> None:
    text = "umask; pwd; env | sort; readlink /proc/$PPID/fd/* /proc/$$/fd/* | grep -E 'socket|anon_inode'; exit 1"
    _started, _exited, output = server.run(run_of(tmp_path, text))
    assert output.splitlines()[:-1] == [
        "0022",
        "/",
        f"OCF_RESKEY_file={tmp_path}/script-1",
        "OCF_RESKEY_name=script-1",
        "PATH=/usr/bin:/bin",
        "PWD=/",
        f"STANDFAST_PREFIX={tmp_path}",
    ]


def test_agent_leads_its_own_session_and_group(server: ForkServer, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    output = server.send(run_of(tmp_path, f"read line < {gate}"))
    started = server.answer()
    assert isinstance(started, Started)
    assert eventually(lambda: os.getsid(started.pid) == os.getpgid(started.pid) == started.pid)
    gate.write_text("go\n")
    assert server.answer() == Exited(id=1, status=0)
    os.close(output)


def test_hanging_agent_ends_with_all_its_processes_when_signalled(server: ForkServer, tmp_path: Path) -> None:
    output = server.send(
        run_of(tmp_path, f"trap '' TERM; echo $$ > {tmp_path}/pid; while :; do read line; done < /dev/zero")
    )
    assert isinstance(server.answer(), Started)
    assert eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
    server.daemon.send(encode_request(SignalAgent(1, signal.SIGKILL)))
    assert server.answer() == Exited(id=1, signal=signal.SIGKILL)
    assert eventually(lambda: not is_alive(int((tmp_path / "pid").read_text())))
    os.close(output)


def test_agent_that_was_killed_from_outside_is_reported(server: ForkServer, tmp_path: Path) -> None:
    output = server.send(hanging_run(tmp_path))
    started = server.answer()
    assert isinstance(started, Started)
    assert eventually(lambda: os.getpgid(started.pid) == started.pid)
    os.killpg(started.pid, signal.SIGKILL)
    assert server.answer() == Exited(id=1, signal=signal.SIGKILL)
    os.close(output)


def test_signal_for_a_run_that_has_ended_changes_nothing(server: ForkServer) -> None:
    server.run(RunAgent(id=1, agent="service", operation="start"))
    server.daemon.send(encode_request(SignalAgent(1, signal.SIGKILL)))
    assert server.run(RunAgent(id=2, agent="service", operation="start"))[1] == Exited(id=2, status=0)


def test_dead_daemon_ends_the_server_but_not_the_agent(tmp_path: Path) -> None:
    gate, pid_file, done = tmp_path / "gate", tmp_path / "run.pid", tmp_path / "done"
    os.mkfifo(gate)
    with fork_server() as server:
        output = server.send(run_of(tmp_path, f"read line < {gate}; touch {done}", pid_file=str(pid_file)))
        started = server.answer()
        assert isinstance(started, Started)
        assert eventually(pid_file.exists)
        server.daemon.close()
        assert server.process.wait(10) == 0
        assert server.process.stderr
        assert server.process.stderr.read() == ""
        os.close(output)
        pid, start = pid_file.read_text().split()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert (int(pid), start) == (started.pid, fields[19])
        gate.write_text("go\n")
        assert eventually(done.exists)
        assert eventually(lambda: not is_alive(started.pid))


def test_pid_file_is_there_exactly_while_the_agent_runs(server: ForkServer, tmp_path: Path) -> None:
    pid_file = tmp_path / "run.pid"
    started, exited, _output = server.run(
        run_of(tmp_path, f"cp {pid_file} {tmp_path}/copy", pid_file=str(pid_file))
    )
    assert exited == Exited(id=1, status=0)
    assert (tmp_path / "copy").read_text().startswith(f"{started.pid} ")
    assert not pid_file.exists()


def test_agent_does_not_begin_where_its_pid_cannot_be_noted(server: ForkServer, tmp_path: Path) -> None:
    pid_file = tmp_path / "missing" / "run.pid"
    _started, exited, output = server.run(run_of(tmp_path, f"touch {tmp_path}/began", pid_file=str(pid_file)))
    assert exited == Exited(id=1, status=1)
    assert output == f"{pid_file}: cannot note the agent's pid: No such file or directory; free space there\n"
    assert not (tmp_path / "began").exists()


def test_script_that_prints_megabytes_is_told_by_its_end(server: ForkServer, tmp_path: Path) -> None:
    text = "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end; exit 3"
    _started, exited, output = server.run(run_of(tmp_path, text))
    assert exited == Exited(id=1, status=1)
    assert output.splitlines()[-2] == "the end"
    assert len(output) < 10_000


def test_agent_ends_although_nobody_reads_its_output(server: ForkServer, tmp_path: Path) -> None:
    os.close(server.send(run_of(tmp_path, "echo something; exit 1")))
    assert isinstance(server.answer(), Started)
    assert server.answer() == Exited(id=1, status=1)


def test_what_a_script_leaves_running_delays_nothing_and_survives(server: ForkServer, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    text = f"(read line < {gate}; echo late words; touch {tmp_path}/done) &"
    _started, exited, output = server.run(run_of(tmp_path, text))  # reads the output to its end
    assert (exited, output) == (Exited(id=1, status=0), "")
    gate.write_text("go\n")
    assert eventually((tmp_path / "done").exists)


def test_daemon_that_reads_late_loses_no_answer(server: ForkServer) -> None:
    for id_ in range(400):
        os.close(server.send(RunAgent(id=id_, agent="service", operation="start")))
    answers = [server.answer() for _ in range(800)]
    assert {answer.id for answer in answers if isinstance(answer, Exited)} == set(range(400))
    assert {answer.id for answer in answers if isinstance(answer, Started)} == set(range(400))


def test_defect_of_an_agent_is_one_line_and_exit_code_1(server: ForkServer) -> None:
    run = RunAgent(id=1, agent="ip", operation="start", environment=(("OCF_RESKEY_address", "\0"),))
    _started, exited, output = server.run(run)
    assert exited == Exited(id=1, status=1)
    assert output == "the agent failed unexpectedly: ValueError: embedded null byte\n"


def test_unknown_agent_is_refused(server: ForkServer) -> None:
    assert server.refusal(RunAgent(id=7, agent="mysql", operation="start")) == (
        '"mysql" is not an agent of this server; run its program instead'
    )


def test_run_whose_id_is_in_use_is_refused(server: ForkServer, tmp_path: Path) -> None:
    output = server.send(hanging_run(tmp_path))
    assert isinstance(server.answer(), Started)
    assert server.refusal(RunAgent(id=1, agent="service", operation="start")) == "run 1 has not ended yet"
    server.daemon.send(encode_request(SignalAgent(1, signal.SIGKILL)))
    assert isinstance(server.answer(), Exited)
    os.close(output)


def test_run_without_its_descriptors_is_refused(server: ForkServer) -> None:
    server.daemon.send(encode_request(RunAgent(id=1, agent="service", operation="start")))
    assert server.answer() == Refused(1, f"the request came with 0 descriptors, not {DESCRIPTORS}")


@pytest.mark.parametrize("packet", [b"{", b"{}", json.dumps({"type": "Dance"}).encode()])
def test_packet_that_is_no_request_ends_the_server_with_a_sentence(server: ForkServer, packet: bytes) -> None:
    server.daemon.send(packet)
    assert server.process.wait(10) == 1
    assert server.process.stderr
    told = server.process.stderr.read()
    assert told.startswith("a request cannot be read: ")
    assert told.endswith("restart standfastd, so that both are of the same version\n")


def test_server_without_a_socket_says_how_it_is_started() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "standfast.agents.server"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (
        2,
        "standard input is no socket; this program is started by standfastd, not by hand\n",
    )


def test_server_waits_without_using_the_processor(server: ForkServer) -> None:
    server.run(RunAgent(id=1, agent="service", operation="start"))

    def cpu_ticks() -> int:
        fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = cpu_ticks()
    assert select.select([server.daemon], [], [], 0.5)[0] == []
    assert cpu_ticks() - before <= 1
