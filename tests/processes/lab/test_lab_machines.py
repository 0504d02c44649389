"""A lab's machines: commands, power, freezing, daemons; the same in namespaces and on the loopback."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from tests.processes.lab.conftest import MARKER, eventually, inner_supervisor, parent_of, processes_with

from standfast.errors import StandfastError
from standfast.lab.calls import DaemonAction, MachineStatus, PowerState
from standfast.lab.cluster import Lab, Wanted
from standfast.lab.session import MachineLostError, NotBegunError

pytestmark = pytest.mark.lab


def machine(lab: Lab, name: str) -> MachineStatus:
    return next(machine for machine in lab.status().machines if machine.name == name)


def boot_id(lab: Lab, name: str) -> str:
    return lab.node(name).run(["sh", "-c", "echo $STANDFAST_BOOT_ID"]).stdout.strip()


def test_a_command_has_its_input_output_and_exit_code(lab: Lab) -> None:
    done = lab.node("vapp1").run(["sh", "-c", "cat; echo sorry >&2; exit 7"], text="a\nb\n")
    assert (done.stdout, done.stderr, done.returncode) == ("a\nb\n", "sorry\n", 7)


def test_much_output_arrives_whole(lab: Lab) -> None:
    done = lab.node("vapp2").run(["head", "-c", "3000000", "/dev/zero"])
    assert len(done.stdout) == 3_000_000


def test_a_command_s_death_by_signal_is_a_negative_status(lab: Lab) -> None:
    assert lab.node("vapp1").run(["sh", "-c", "kill -TERM $$"]).returncode == -signal.SIGTERM


def test_commands_of_the_suite_are_in_the_path(lab: Lab) -> None:
    assert lab.node("vapp1").run(["fence_lab", "-o", "metadata"]).returncode == 0


def test_a_command_that_does_not_exist_is_a_sentence(lab: Lab) -> None:
    with pytest.raises(NotBegunError, match="vapp1: nonesuch: command not found") as failure:
        lab.node("vapp1").run(["nonesuch"])
    assert failure.value.status == 127


def test_a_machine_that_does_not_exist_is_a_sentence(lab: Lab) -> None:
    with pytest.raises(StandfastError, match='no machine "vapp9" in this lab; there are core, vapp1, vapp2'):
        lab.node("vapp9").run(["true"])
    with pytest.raises(StandfastError, match='"core" is the client\'s machine and no node'):
        lab.kill("core")


def test_a_command_line_without_end_is_refused(lab: Lab) -> None:
    with pytest.raises(StandfastError, match="put it into a script"):
        lab.node("vapp1").run(["true", "x" * 300_000])


def test_a_command_that_takes_too_long_is_ended(lab: Lab) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        lab.node("vapp1").run(["sleep", f"{MARKER}1"], timeout_s=0.2)
    eventually(lambda: not processes_with(f"{MARKER}1"))


def test_two_labs_live_side_by_side(lab: Lab, folder: Path) -> None:
    second = folder.parent / "second"
    with Lab.up(Wanted(directory=second, nodes=1, isolated=lab.plan().isolated, daemon=())) as other:
        assert other.node("vapp1").run(["cat", str(other.place.plan)]).returncode == 0
    assert lab.node("vapp1").run(["true"]).returncode == 0
    assert not second.exists()


def test_a_killed_node_leaves_no_process_behind(lab: Lab) -> None:
    node = lab.node("vapp1")
    node.run(
        [
            "sh",
            "-c",
            f"setsid setsid sleep {MARKER}2 >/dev/null 2>&1 & nohup sleep {MARKER}2 >/dev/null 2>&1 &",
        ]
    )
    eventually(lambda: len(processes_with(f"{MARKER}2")) == 2)
    lab.kill("vapp1")
    assert processes_with(f"{MARKER}2") == []
    assert len(processes_with(str(MARKER))) == 1, "vapp2's daemon lives on"
    assert machine(lab, "vapp1").power is PowerState.OFF
    with pytest.raises(StandfastError, match="vapp1 is off; switch it on with: standfast lab power-on vapp1"):
        node.run(["true"])


def test_killing_a_dead_node_changes_nothing(lab: Lab) -> None:
    lab.kill("vapp1")
    lab.kill("vapp1")
    assert machine(lab, "vapp1").power is PowerState.OFF


def test_a_command_whose_machine_dies_says_so(lab: Lab) -> None:
    ended: list[BaseException] = []

    def run() -> None:
        try:
            lab_of_the_thread.node("vapp1").run(["sleep", f"{MARKER}3"])
        except MachineLostError as lost:
            ended.append(lost)

    lab_of_the_thread = Lab(lab.place.directory)
    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: bool(processes_with(f"{MARKER}3")))
    lab.kill("vapp1")
    thread.join(10)
    assert [str(lost) for lost in ended] == ["vapp1 died while the command ran"]


def test_a_node_that_is_switched_on_is_a_new_boot_with_its_old_disk(lab: Lab) -> None:
    prefix = "$STANDFAST_PREFIX"
    before = boot_id(lab, "vapp1")
    lab.node("vapp1").run(
        ["sh", "-c", f"echo kept >{prefix}/var/lib/standfast/file; echo lost >{prefix}/run/standfast/file"],
        check=True,
    )
    lab.kill("vapp1")
    lab.power_on("vapp1")
    assert boot_id(lab, "vapp1") not in ("", before)
    found = lab.node("vapp1").run(
        ["sh", "-c", f"cat {prefix}/var/lib/standfast/file; ls {prefix}/run/standfast/file"]
    )
    assert found.stdout == "kept\n"
    assert machine(lab, "vapp1").daemon_pid is not None


def test_machines_whose_first_processes_die_are_off_and_leave_nothing(lab: Lab) -> None:
    supervisor = inner_supervisor(lab)
    for pid in processes_with("standfast.lab.machine"):
        if parent_of(pid) == supervisor:
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: {machine.power for machine in lab.status().machines} == {PowerState.OFF})
    eventually(lambda: not processes_with(str(MARKER)))
    lab.power_on("vapp1")
    assert lab.node("vapp1").run(["true"]).returncode == 0


def test_a_frozen_node_stands_still_and_goes_on_where_it_stood(lab: Lab, tmp_path: Path) -> None:
    ticks = tmp_path / "ticks"
    tmp_path.chmod(0o777)
    loop = f"while :; do echo x >>{ticks}; sleep 0.01; done"
    lab.node("vapp1").run(["sh", "-c", f"({loop}) >/dev/null 2>&1 &"], check=True)
    eventually(ticks.exists)
    lab.freeze("vapp1")
    assert machine(lab, "vapp1").power is PowerState.FROZEN
    frozen_at = ticks.stat().st_size
    with pytest.raises(StandfastError, match="vapp1 is frozen; thaw it with: standfast lab thaw vapp1"):
        lab.node("vapp1").run(["true"])
    assert lab.node("vapp2").run(["sleep", "0.2"]).returncode == 0
    assert ticks.stat().st_size == frozen_at
    lab.thaw("vapp1")
    eventually(lambda: ticks.stat().st_size > frozen_at)
    assert lab.node("vapp1").run(["true"]).returncode == 0


def test_a_frozen_node_can_be_killed(lab: Lab) -> None:
    lab.freeze("vapp1")
    lab.kill("vapp1")
    lab.power_on("vapp1")
    assert lab.node("vapp1").run(["true"]).returncode == 0


def test_a_daemon_can_die_and_be_started_alone(lab: Lab) -> None:
    before = boot_id(lab, "vapp1")
    for action in (DaemonAction.KILL, DaemonAction.STOP):
        lab.operate_daemon("vapp1", action)
        assert machine(lab, "vapp1").daemon_pid is None
        with pytest.raises(StandfastError, match="no daemon runs there"):
            lab.operate_daemon("vapp1", action)
        lab.operate_daemon("vapp1", DaemonAction.START)
        assert machine(lab, "vapp1").daemon_pid is not None
    with pytest.raises(StandfastError, match="the daemon runs already, as process"):
        lab.operate_daemon("vapp1", DaemonAction.START)
    assert boot_id(lab, "vapp1") == before


def test_what_daemons_say_is_in_the_logs_with_the_node_s_name(folder: Path, isolated: bool) -> None:
    daemon = ("sh", "-c", "echo begun; printf unfinished >&2")
    with Lab.up(Wanted(directory=folder, isolated=isolated, daemon=daemon)) as lab:
        log = lab.place.log("vapp2")
        eventually(lambda: "ended with status 0" in log.read_text())
        assert "vapp2  begun\n" in log.read_text()
        eventually(lambda: "vapp1  begun\n" in lab.place.log("all").read_text())


def test_the_web_server_follows_the_rules_of_init_scripts(lab: Lab) -> None:
    node, script = lab.node("vapp1"), lab.web_script

    def status_of(operation: str) -> int:
        return node.run([script, operation]).returncode

    observed = [
        (operation, status_of(operation))
        for operation in ("status", "start", "start", "status", "restart", "stop", "stop", "status", "dance")
    ]
    assert observed == [
        ("status", 3),
        ("start", 0),
        ("start", 0),
        ("status", 0),
        ("restart", 0),
        ("stop", 0),
        ("stop", 0),
        ("status", 3),
        ("dance", 2),
    ]


def test_the_web_server_answers_with_the_node_s_name_as_soon_as_it_is_started(lab: Lab) -> None:
    lab.node("vapp1").run([lab.web_script, "start"], check=True)
    address = "10.1.4.201" if lab.plan().isolated else lab.network.service_address
    assert fetch(lab, f"http://{address}:{lab.network.web_port}/") == "Hello from vapp1\n"


def test_the_web_server_that_was_killed_is_dead_to_its_script(lab: Lab) -> None:
    node = lab.node("vapp1")
    node.run([lab.web_script, "start"], check=True)
    node.run(["sh", "-c", "kill -KILL $(cat $STANDFAST_PREFIX/run/httpd/httpd.pid)"], check=True)
    eventually(lambda: node.run([lab.web_script, "status"]).returncode == 1)
    assert node.run([lab.web_script, "start"]).returncode == 0


def test_the_web_server_serves_its_folder_and_nothing_else(lab: Lab) -> None:
    lab.node("vapp1").run([lab.web_script, "start"], check=True)
    (lab.place.root("vapp1") / "var/www/html/page.txt").write_text("a page\n")
    address = "10.1.4.201" if lab.plan().isolated else lab.network.service_address
    base = f"http://{address}:{lab.network.web_port}"
    assert fetch(lab, f"{base}/page.txt") == "a page\n"
    assert fetch(lab, f"{base}/absent") == "404"
    assert fetch(lab, f"{base}/../../../etc/hosts") == "404"
    assert fetch(lab, f"{base}/%2e%2e/%2e%2e/%2e%2e/boot_id") == "404"


def fetch(lab: Lab, url: str) -> str:
    """GET from core; the page, or the status where it is not 200."""
    program = (
        "import sys, urllib.request, urllib.error\n"
        "try: print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode(), end='')\n"
        "except urllib.error.HTTPError as e: print(e.code, end='')\n"
    )
    done = lab.core.run(["python3", "-c", program, url], timeout_s=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_terminal_is_the_command_s_controlling_terminal(lab: Lab) -> None:
    near, far = os.openpty()
    try:
        remote = lab.node("vapp1").start(
            ["sh", "-c", "tty >/dev/tty; exec sleep 100"], stdin=far, stdout=far, stderr=far, terminal=True
        )
        assert os.read(near, 1000).startswith(b"/dev/pts/")
        os.write(near, b"\x03")
        assert remote.wait(10) == -signal.SIGINT
    finally:
        os.close(near)
        os.close(far)
