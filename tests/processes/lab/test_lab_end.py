"""A lab's beginning and end: whatever ends it, nothing of it is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs
from tests.processes.lab.conftest import (
    MARKER,
    eventually,
    inner_supervisor,
    parent_of,
    processes_with,
    wanted,
)

from standfast.errors import StandfastError, UnreachableError
from standfast.lab import starting
from standfast.lab.cluster import Lab
from standfast.lab.plan import Place

pytestmark = pytest.mark.lab

LAB = (sys.executable, "-m", "standfast.lab")


def run_lab(folder: Path, *arguments: str, **more: int) -> subprocess.CompletedProcess[str]:
    command = (*LAB, "--dir", str(folder), *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)  # type: ignore[call-overload, no-any-return]


def nothing_is_left(folder: Path) -> bool:
    return not processes_with(str(MARKER)) and not processes_with(str(folder)) and not folder.exists()


def test_down_leaves_nothing(lab: Lab, folder: Path) -> None:
    lab.down()
    assert nothing_is_left(folder)
    with pytest.raises(UnreachableError, match=f"no lab runs in {folder}; start one with: standfast lab up"):
        lab.status()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("outer", [True, False], ids=["outer", "inner"])
def test_a_supervisor_that_gets_a_signal_takes_everything_with_it(
    lab: Lab, folder: Path, number: signal.Signals, outer: bool
) -> None:
    inner = inner_supervisor(lab)
    os.kill(parent_of(inner) if outer else inner, number)
    eventually(lambda: nothing_is_left(folder))


def test_a_lab_dies_with_the_program_that_owns_it(folder: Path, isolated: bool) -> None:
    program = (
        "import sys, time; from pathlib import Path; from standfast.lab.cluster import Lab, Wanted\n"
        f"lab = Lab.up(Wanted(directory=Path({str(folder)!r}), isolated={isolated}, daemon=('sleep', '{MARKER}')))\n"
        "print('up', flush=True); time.sleep(1000)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        assert starting.is_running(Place(directory=folder))
        owner.kill()
    eventually(lambda: nothing_is_left(folder))


def test_ctrl_c_while_a_lab_starts_removes_it(folder: Path) -> None:
    starter = subprocess.Popen(
        (*LAB, "up", "--dir", str(folder), "--nodes", "16"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "the engine's sequencer runs\n"
        starter.send_signal(signal.SIGINT)
        _, err = starter.communicate(timeout=30)
    assert (starter.returncode, err) == (130, "standfast lab: interrupted\n")
    assert nothing_is_left(folder)


def test_sixteen_nodes_come_up(folder: Path, isolated: bool) -> None:
    with Lab.up(wanted(folder, isolated=isolated, nodes=16)) as lab:
        assert lab.node("vapp16").run(["true"]).returncode == 0
        assert len(processes_with(str(MARKER))) == 16
    assert nothing_is_left(folder)


def test_a_second_lab_in_the_same_folder_is_refused(lab: Lab, folder: Path) -> None:
    with pytest.raises(StandfastError, match=f"a lab is running already in {folder}"):
        Lab.up(wanted(folder, isolated=False))
    assert lab.status().machines[0].name == "core"


def test_what_a_dead_lab_left_is_cleared_away_by_the_next(folder: Path) -> None:
    place = Place(directory=folder)
    place.logs.mkdir(parents=True)
    place.lock.touch()
    place.log("vapp1").write_text("old\n")
    place.control.touch()
    with Lab.up(wanted(folder, isolated=False)) as lab:
        assert "old" not in lab.place.log("vapp1").read_text()


def test_a_folder_with_other_things_in_it_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.tex").touch()
    with pytest.raises(StandfastError, match="not empty, and not a lab's folder"):
        Lab.up(wanted(folder, isolated=False))
    assert (folder / "thesis.tex").exists()


def test_a_folder_whose_path_is_too_long_for_sockets_is_a_sentence(folder: Path) -> None:
    with pytest.raises(StandfastError, match="choose a shorter folder with --dir"):
        Lab.up(wanted(folder / ("x" * 100), isolated=False))


def test_a_sequencer_that_does_not_start_is_a_sentence(folder: Path) -> None:
    plan = structs.replace(wanted(folder, isolated=False), sequencer=("false",))
    with pytest.raises(StandfastError, match="the sequencer does not take connections"):
        Lab.up(plan)
    assert nothing_is_left(folder)


def test_the_command_line_says_what_is_wrong_in_one_sentence(folder: Path) -> None:
    nothing = f"standfast lab: no lab runs in {folder}; start one with: standfast lab up\n"
    assert (run_lab(folder, "status").returncode, run_lab(folder, "status").stderr) == (1, nothing)
    for arguments in (("down",), ("exec", "vapp1", "true"), ("logs",), ("kill", "vapp1"), ("shell", "vapp1")):
        assert run_lab(folder, *arguments).stderr == nothing
    assert run_lab(folder, "up", "--nodes", "17").stderr == "standfast lab: 17 nodes: a lab has 1 to 16\n"
    absent = run_lab(folder, "up", "--config", "/absent.conf")
    assert (absent.returncode, absent.stderr) == (
        1,
        "standfast lab: /absent.conf: No such file or directory\n",
    )


def test_the_command_line_runs_a_lab(folder: Path) -> None:
    up = run_lab(folder, "up", "--no-daemons", "--no-namespaces")
    assert (up.returncode, up.stdout.splitlines()[-1]) == (
        0,
        f"the lab is up in {folder}; try: standfast lab exec vapp1 clustat",
    )
    assert run_lab(folder, "exec", "vapp1", "sh", "-c", "exit 3").returncode == 3
    assert run_lab(folder, "exec", "vapp1", "--", "sh", "-c", "kill -9 $$").returncode == 137
    assert run_lab(folder, "exec", "vapp1", "nonesuch").returncode == 127
    assert run_lab(folder, "cut", "vapp1", "vapp2").returncode == 0
    assert run_lab(folder, "kill", "vapp2").returncode == 0
    shown = run_lab(folder, "status").stdout
    assert "vapp2    2   off" in shown
    assert "The link between vapp1 and vapp2 is cut." in shown
    assert "vapp2 is killed by hand" in run_lab(folder, "logs", "vapp2").stdout
    assert run_lab(folder, "down").returncode == 0
    assert nothing_is_left(folder)


FORBID = 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin --inh-caps=-all "$@"'


def test_where_namespaces_are_forbidden_the_lab_says_so_and_uses_the_loopback(
    folder: Path, namespaces_allowed: bool
) -> None:
    command = ("unshare", "-Ur", "sh", "-c", FORBID, "sh", *LAB, "--dir", str(folder), "up", "--no-daemons")
    up = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert up.returncode == 0, up.stderr
    assert up.stdout.startswith("namespaces are forbidden here (unshare: ")
    shown = run_lab(folder, "status").stdout
    assert "vapp1    1   on     -       127.1.4.201" in shown
    assert "Without namespaces (unshare: " in shown
    assert run_lab(folder, "down").returncode == 0
    assert nothing_is_left(folder)


def can_run(command: Sequence[str], *, user: int, group: int) -> bool:
    """Whether another user can run a program of this checkout."""
    try:
        done = subprocess.run([*command, "--help"], check=False, capture_output=True, user=user, group=group)
    except PermissionError:
        return False
    return done.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_has_a_lab_of_its_own(folder: Path, namespaces_allowed: bool) -> None:
    nobody = {"user": 65534, "group": 65534}
    if not can_run(LAB, **nobody):
        return  # a checkout that other users cannot enter: there it holds that they have no lab
    folder.parent.chmod(0o777)
    up = run_lab(folder, "up", "--no-daemons", **nobody)
    assert up.returncode == 0, up.stderr
    if "namespaces are forbidden" not in up.stdout:
        assert run_lab(folder, "exec", "vapp1", "id", "-u", **nobody).stdout == "0\n"
        assert "10.1.4.201/24" in run_lab(folder, "exec", "vapp1", "ip", "addr", **nobody).stdout
    assert run_lab(folder, "down", **nobody).returncode == 0
    assert nothing_is_left(folder)
