"""fence_lab against a power controller on a real socket: what it reports must be what happened."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from tests.contract.agents.fork_server import fork_server
from tests.contract.agents.power_socket import PowerSocket, power_socket

from standfast.wire.agents import Exited, RunAgent

Ended = tuple[int, str, str]


@pytest.fixture(name="controller")
def _controller(tmp_path: Path) -> Iterator[PowerSocket]:
    with power_socket(tmp_path / "power.sock") as started:
        yield started


def fence(controller: PowerSocket, *lines: str) -> Ended:
    return fence_at(controller.path, *lines)


def fence_at(path: Path, *lines: str) -> Ended:
    text = "\n".join(("# from the daemon", "agent=fence_lab", "nodename=vapp2", f"ipaddr={path}", *lines))
    return run([], text)


def run(words: list[str], text: str = "") -> Ended:
    ended = subprocess.run(
        [sys.executable, "-m", "standfast.agents.fence_lab", *words],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_node_is_powered_off_and_that_is_verified(controller: PowerSocket) -> None:
    assert fence(controller, "port=vapp2", "action=off") == (0, "Success: Powered OFF\n", "")
    assert controller.power == {"vapp1": "on", "vapp2": "off"}
    assert controller.asked == ["status vapp2", "off vapp2", "status vapp2"]


def test_node_that_is_off_already_is_left_alone(controller: PowerSocket) -> None:
    controller.power["vapp2"] = "off"
    assert fence(controller, "plug=vapp2", "action=off") == (0, "Success: Already OFF\n", "")
    assert controller.asked == ["status vapp2"]


def test_node_is_powered_on(controller: PowerSocket) -> None:
    controller.power["vapp2"] = "off"
    assert fence(controller, "plug=vapp2", "action=on") == (0, "Success: Powered ON\n", "")
    assert controller.power["vapp2"] == "on"


def test_action_that_is_missing_is_a_reboot(controller: PowerSocket) -> None:
    assert fence(controller, "port=vapp2") == (0, "Success: Rebooted\n", "")
    assert [request for request in controller.asked if "status" not in request] == ["off vapp2", "on vapp2"]


def test_reboot_succeeds_once_the_node_was_off_even_if_it_does_not_come_on(controller: PowerSocket) -> None:
    def refuses_on(action: str, node: str) -> str | None:
        return "error no more memory" if action == "on" else controller.obey(action, node)

    controller.answer = refuses_on
    status, out, err = fence(controller, "port=vapp2", "action=reboot")
    assert (status, out) == (0, "Success: Rebooted\n")
    assert err == "Timed out waiting to power ON: the power controller: no more memory\n"
    assert controller.power["vapp2"] == "off"


def test_status_tells_on_and_off_by_its_exit_code(controller: PowerSocket) -> None:
    assert fence(controller, "port=vapp2", "action=status") == (0, "Status: ON\n", "")
    controller.power["vapp2"] = "off"
    assert fence(controller, "port=vapp2", "option=status") == (2, "Status: OFF\n", "")


def test_list_monitor_and_validate_all(controller: PowerSocket) -> None:
    controller.power["vapp2"] = "off"
    assert fence(controller, "action=list") == (0, "vapp1,\nvapp2,\n", "")
    assert fence(controller, "action=list-status") == (0, "vapp1,,ON\nvapp2,,OFF\n", "")
    assert fence(controller, "action=monitor") == (0, "", "")
    controller.asked.clear()
    assert fence(controller, "action=validate-all", "port=vapp2") == (0, "", "")
    assert controller.asked == []


def test_controller_that_only_claims_to_switch_off_is_a_failure(controller: PowerSocket) -> None:
    controller.answer = lambda action, node: "ok off" if action == "off" else "ok on"
    assert fence(controller, "port=vapp2", "action=off", "power_timeout=0") == (
        1,
        "",
        "Failed: plug 'vapp2' is not OFF after 0 s\n",
    )


def test_slow_power_off_is_waited_for(controller: PowerSocket) -> None:
    def takes_a_while(action: str, node: str) -> str | None:
        if controller.asked.count("status vapp2") == 4:
            controller.power["vapp2"] = "off"
        return f"ok {controller.power[node]}"

    controller.answer = takes_a_while
    assert fence(controller, "port=vapp2", "action=off") == (0, "Success: Powered OFF\n", "")


def test_controller_without_an_answer_is_a_failure_within_the_time(controller: PowerSocket) -> None:
    goes_on = Event()

    def silent(_action: str, _node: str) -> str | None:
        goes_on.wait(20)
        return None

    controller.answer = silent
    status, _out, err = fence(controller, "port=vapp2", "action=off", "power_timeout=1")
    goes_on.set()
    assert status == 1
    assert err == f"Failed: {controller.path}: the power controller did not answer 'status' within 1 s\n"


@pytest.mark.parametrize("answer", [None, "ok", "ok perhaps", "error", "what?", ""])
def test_answer_that_says_nothing_is_a_failure(controller: PowerSocket, answer: str | None) -> None:
    controller.answer = lambda _action, _node: answer
    status, out, err = fence(controller, "port=vapp2", "action=off")
    assert (status, out) == (1, "")
    assert err.startswith("Failed: ")
    assert "off vapp2" not in controller.asked


def test_unknown_node_is_a_failure(controller: PowerSocket) -> None:
    assert fence(controller, "port=vapp9", "action=off") == (
        1,
        "",
        'Failed: the power controller: there is no node "vapp9" in this lab\n',
    )


def test_missing_socket_is_a_failure_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "none.sock"
    assert fence_at(path, "port=vapp2", "action=off") == (
        1,
        "",
        f"Failed: {path}: No such file or directory; is the lab up? see: standfast lab status\n",
    )


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (("action=off",), "You have to set plug"),
        (("action=kill", "port=vapp2"), "Unrecognised action 'kill'"),
        (("action=", "port=vapp2"), "Unrecognised action ''"),
        (
            ("operation=status", "port=vapp2"),
            "'operation' is not a key of fence_lab; write the action as action=",
        ),
        (("action=off", "port=vapp2", "delay=soon"), "delay 'soon' is no number of seconds"),
        (("action=off", "port=vapp1 vapp2"), "plug 'vapp1 vapp2' is no node name"),
    ],
)
def test_bad_input_switches_nothing(controller: PowerSocket, lines: tuple[str, ...], sentence: str) -> None:
    status, out, err = fence(controller, *lines)
    assert (status, out) == (1, "")
    assert err.startswith(f"Failed: {sentence}")
    assert controller.asked == []


def test_delay_comes_before_off_but_not_before_status(controller: PowerSocket) -> None:
    began_s = time.monotonic()
    assert fence(controller, "port=vapp2", "action=status", "delay=9")[0] == 0
    assert time.monotonic() - began_s < 9
    began_s = time.monotonic()
    assert fence(controller, "port=vapp2", "action=off", "delay=1")[0] == 0
    assert time.monotonic() - began_s >= 1


def test_unknown_keys_are_named_without_their_values(controller: PowerSocket) -> None:
    status, out, err = fence(controller, "port=vapp2", "action=status", "passwd=secret", "secret words")
    assert (status, out) == (0, "Status: ON\n")
    assert err == (
        "Parse error: Ignoring unknown option 'passwd'\nParse error: Ignoring line 8 of the input, which has no =\n"
    )


def test_command_line_is_the_other_way_to_ask(controller: PowerSocket) -> None:
    path = str(controller.path)
    assert run(["-a", path, "-n", "vapp2", "-o", "off"]) == (0, "Success: Powered OFF\n", "")
    assert run([f"--ip={path}", "--plug=vapp2", "--action=status", "more"]) == (
        2,
        "Status: OFF\n",
        "Unused arguments on command line\n",
    )
    status, out, err = run(["--colour"])
    assert (status, out, err) == (1, "", "Failed: option --colour not recognized; see fence_lab --help\n")


def test_fork_server_runs_it_from_standard_input(controller: PowerSocket) -> None:
    text = f"action=off\nport=vapp2\nipaddr={controller.path}\n".encode()
    with fork_server() as server:
        _started, exited, output = server.run(RunAgent(id=1, agent="fence_lab", operation=""), given=text)
    assert (exited, output) == (Exited(id=1, status=0), "Success: Powered OFF\n")
    assert controller.power["vapp2"] == "off"
