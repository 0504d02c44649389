"""fence_manual never succeeds by itself, and says what a person has to do."""

import subprocess
import sys

import pytest


def fence(text: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "standfast.agents.fence_manual"],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("key", ["nodename", "ipaddr", "port", "plug"])
@pytest.mark.parametrize("action", ["action=off\n", "action=reboot\n", ""])
def test_fencing_fails_at_once_and_names_the_acknowledgement(key: str, action: str) -> None:
    assert fence(f"agent=fence_manual\n{key}=vapp2\n{action}") == (
        1,
        "",
        "vapp2 must be switched off by a person; then acknowledge it with: fence_ack_manual vapp2\n",
    )


def test_node_name_is_needed() -> None:
    assert fence("action=off\n") == (
        1,
        "",
        "Failed: fence_manual no node name; add nodename to the device of the node\n",
    )


def test_status_is_not_known() -> None:
    assert fence("action=status\nnodename=vapp2\n") == (
        1,
        "",
        "Failed: nobody but a person can tell whether vapp2 is on\n",
    )


def test_monitor_and_validate_all_have_nothing_to_reach() -> None:
    assert fence("action=monitor\n") == fence("action=validate-all\n") == (0, "", "")
