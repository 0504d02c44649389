"""The script resource with real scripts: those that work, and every kind that does not."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.agents.network import eventually

NO_WRITE_S = 30


def run(tmp_path: Path, operation: str, **parameters: str) -> subprocess.CompletedProcess[str]:
    env = {f"OCF_RESKEY_{key}": value for key, value in parameters.items()}
    return subprocess.run(
        [sys.executable, "-m", "standfast.agents.script", operation],
        env=env | {"OCF_RESOURCE_INSTANCE": "script:http", "STANDFAST_PREFIX": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=NO_WRITE_S,
        check=False,
    )


def script(tmp_path: Path, text: str, mode: int = 0o755) -> str:
    path = tmp_path / "http"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_script_is_run_with_the_operation_and_the_environment(tmp_path: Path) -> None:
    text = f'#!/bin/sh\necho "$1 $OCF_RESKEY_service_name $OCF_RESOURCE_INSTANCE $PATH" >> {tmp_path}/seen\n'
    file = script(tmp_path, text)
    for operation in ("start", "status", "monitor", "stop"):
        ended = run(tmp_path, operation, file=file, service_name="VirtualHTTP")
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / "seen").read_text().splitlines() == [
        f"{operation} VirtualHTTP script:http /sbin:/usr/sbin:/bin:/usr/bin"
        for operation in ("start", "status", "status", "stop")
    ]


@pytest.mark.parametrize("operation", ["start", "stop", "status"])
def test_failing_script_is_told_with_what_it_printed(tmp_path: Path, operation: str) -> None:
    file = script(tmp_path, "#!/bin/sh\necho port 80 is taken\necho by another >&2\nexit 7\n")
    ended = run(tmp_path, operation, file=file)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout == f"port 80 is taken\nby another\nscript:http: {file} {operation} returned 7\n"


def test_report_of_a_failure_leaves_out_what_earlier_operations_printed(tmp_path: Path) -> None:
    file = script(tmp_path, '#!/bin/sh\necho "$1"\n[ "$1" = start ]\n')
    run(tmp_path, "start", file=file)
    assert run(tmp_path, "stop", file=file).stdout == f"stop\nscript:http: {file} stop returned 1\n"


def test_script_that_is_ended_by_a_signal_has_failed(tmp_path: Path) -> None:
    file = script(tmp_path, "#!/bin/sh\nkill -9 $$\n")
    ended = run(tmp_path, "start", file=file)
    assert (ended.returncode, ended.stdout) == (1, f"script:http: {file} start was ended by signal 9\n")


def test_missing_script_is_not_installed(tmp_path: Path) -> None:
    ended = run(tmp_path, "start", file=f"{tmp_path}/http")
    assert (ended.returncode, ended.stdout) == (
        5,
        f"script:http: {tmp_path}/http does not exist on this node; install it there\n",
    )


def test_script_below_a_file_is_not_installed(tmp_path: Path) -> None:
    file = script(tmp_path, "#!/bin/sh\n")
    assert run(tmp_path, "start", file=f"{file}/http").returncode == 5


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("", 'script has no file; give it one, such as file="/etc/init.d/http"'),
        ("init.d/http", 'file "init.d/http" is no absolute path; write it with a leading /'),
        ("/dev/null", "/dev/null is a device, not a script; name the script itself"),
        ("/etc", "/etc is a directory, not a script; name the script itself"),
    ],
)
def test_file_that_cannot_be_a_script_is_an_invalid_argument(
    tmp_path: Path, file: str, sentence: str
) -> None:
    ended = run(tmp_path, "status", file=file)
    assert (ended.returncode, ended.stdout) == (2, f"script:http: {sentence}\n")


def test_pipe_and_socket_are_invalid_arguments(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        codes = [run(tmp_path, "start", file=f"{tmp_path}/{name}").returncode for name in ("pipe", "socket")]
    assert codes == [2, 2]


def test_script_that_is_not_executable_names_the_cure(tmp_path: Path) -> None:
    file = script(tmp_path, "#!/bin/sh\n", mode=0o644)
    ended = run(tmp_path, "start", file=file)
    assert (ended.returncode, ended.stdout) == (
        4,
        f"script:http: {file} is not executable; mend it with: chmod +x {file}\n",
    )


def test_empty_script_fails(tmp_path: Path) -> None:
    file = script(tmp_path, "")
    ended = run(tmp_path, "start", file=file)
    assert (ended.returncode, ended.stdout) == (
        1,
        f"script:http: {file} is empty; a script must do something\n",
    )


def test_script_without_interpreter_line_is_run_by_a_shell(tmp_path: Path) -> None:
    file = script(tmp_path, f"touch {tmp_path}/$1\n")
    assert run(tmp_path, "start", file=file).returncode == 0
    assert (tmp_path / "start").exists()


def test_script_whose_interpreter_is_missing_says_so(tmp_path: Path) -> None:
    ended = run(tmp_path, "start", file=script(tmp_path, "#!/usr/bin/no-such-shell\n"))
    assert ended.returncode == 1
    assert "names an interpreter in its first line that does not exist" in ended.stdout


def test_value_with_shell_characters_is_only_a_value(tmp_path: Path) -> None:
    ended = run(tmp_path, "start", file=f"/bin/true; touch {tmp_path}/harm")
    assert ended.returncode == 5
    assert not (tmp_path / "harm").exists()


def test_validate_all_judges_the_file_and_runs_nothing(tmp_path: Path) -> None:
    file = script(tmp_path, f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    assert run(tmp_path, "validate-all", file=file).returncode == 0
    assert run(tmp_path, "validate-all", file=f"{file}.old").returncode == 5
    assert not (tmp_path / "ran").exists()


def test_output_is_kept_in_a_file_that_does_not_grow_for_ever(tmp_path: Path) -> None:
    file = script(tmp_path, "#!/bin/sh\nhead -c 600000 /dev/zero\n")
    for _ in range(4):
        assert run(tmp_path, "status", file=file, name="a/../b").returncode == 0
    (kept,) = (tmp_path / "run" / "standfast" / "scripts").iterdir()
    assert kept.name == "a%2F..%2Fb.out"
    assert kept.stat().st_size == 1_200_000


def test_script_runs_even_where_its_output_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a folder")
    file = script(tmp_path, f"#!/bin/sh\necho words\ntouch {tmp_path}/ran\nexit 1\n")
    ended = run(tmp_path, "start", file=file)
    assert ended.returncode == 1
    assert "the script's output is lost" in ended.stdout
    assert (tmp_path / "ran").exists()


def test_hanging_script_ends_with_the_agents_process_group(tmp_path: Path) -> None:
    file = script(tmp_path, f"#!/bin/sh\ntrap '' TERM\necho $$ > {tmp_path}/pid\nexec tail -f /dev/null\n")
    env = {"OCF_RESKEY_file": file, "STANDFAST_PREFIX": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-m", "standfast.agents.script", "start"], env=env, start_new_session=True
    ) as agent:
        pid_file = tmp_path / "pid"
        assert eventually(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        assert os.getpgid(int(pid_file.read_text())) == agent.pid
        os.killpg(agent.pid, signal.SIGKILL)
        assert agent.wait(10) == -signal.SIGKILL
