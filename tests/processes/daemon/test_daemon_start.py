"""Starting a real daemon: what it needs, and the sentence that it ends with where something is missing."""

import subprocess
from pathlib import Path

import pytest
from tests.processes.daemon.town import Node, Town, eventually, town

from standfast.node.exits import ExitStatus

pytestmark = pytest.mark.lab


def start_and_fail(node: Node, *options: str, status: int = ExitStatus.REFUSED) -> str:
    """Start a daemon that must end by itself with this status and no traceback; returns what it said."""
    daemon = node.start(*options, log="failed.log")
    assert daemon.wait(30) == status
    said = (node.root.parent / "failed.log").read_text()
    assert "Traceback" not in said
    return said


def one_node(cluster: Town) -> Node:
    """Return the first node, with its file in place."""
    node = cluster.nodes[0]
    node.conf.write_text(cluster.conf())
    return node


def test_missing_cluster_conf_is_named() -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        said = start_and_fail(node)
        assert f"{node.conf}: error: cannot read: No such file or directory [I03]" in said


def test_all_findings_of_a_bad_cluster_conf_are_printed() -> None:
    with town("vapp1", "vapp2") as cluster:
        node = one_node(cluster)
        node.conf.write_text(
            cluster.conf().replace('nodeid="2"', 'nodeid="1"').replace('votes="1"', 'votes="x"')
        )
        said = start_and_fail(node)
        assert said.count(": error: ") >= 2


@pytest.mark.parametrize(
    "text",
    ["", "<cluster", '<!DOCTYPE x [<!ENTITY a "b">]><cluster/>', "\0\1"],
    ids=["empty", "torn", "bomb", "bytes"],
)
def test_file_that_is_no_cluster_conf_is_refused(text: str) -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        node.conf.write_text(text)
        assert f"{node.conf}:1: error: " in start_and_fail(node)


def test_name_that_the_file_does_not_have_is_refused_with_those_that_it_has() -> None:
    with town("vapp1", "vapp2") as cluster:
        node = one_node(cluster)
        said = start_and_fail(node, "--name", "vapp9")
        assert 'Overridden node name is not in CCS: "vapp9" is none of vapp1, vapp2' in said


def test_second_daemon_on_a_node_is_refused_and_the_first_goes_on() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf())
        node = cluster.nodes[0]
        first = node.daemon
        assert first is not None
        said = start_and_fail(node)
        assert f"another daemon runs on this node already, as process {first.pid}" in said
        assert first.poll() is None
        assert node.status() is not None
        node.daemon = first


def test_missing_sequencer_is_said_with_the_command_that_starts_it() -> None:
    with town("vapp1") as cluster:
        node = one_node(cluster)
        said = start_and_fail(node, "--sequencer", "/nonexistent/seq.sock", status=ExitStatus.LOST)
        assert "python3 -m standfast.engine.sequencer /nonexistent/seq.sock" in said


def test_node_id_that_another_daemon_uses_is_refused() -> None:
    with town("vapp1", "vapp2") as cluster:
        cluster.start(cluster.conf())
        second = cluster.nodes[1]
        imposter = Node(cluster, "imposter", 1)
        imposter.conf.write_text(cluster.conf())
        said = start_and_fail(imposter, "--name", "vapp1")
        assert "node id 1" in said
        assert second.status() is not None


def test_epoch_file_with_something_else_in_it_is_named() -> None:
    with town("vapp1") as cluster:
        node = one_node(cluster)
        node.state_dir.mkdir(parents=True)
        (node.state_dir / "epoch").write_text("many\n")
        assert f"{node.state_dir}/epoch: this is no epoch" in start_and_fail(node)


def test_folder_that_cannot_be_made_is_named() -> None:
    with town("vapp1") as cluster:
        node = one_node(cluster)
        Path(node.root, "run").write_text("a file in the way")
        said = start_and_fail(node, status=ExitStatus.LOST)
        assert f"standfastd: {node.run_dir}" in said


def test_socket_path_that_is_too_long_for_the_kernel_is_named() -> None:
    with town("vapp1") as cluster:
        deep = Node(cluster, "d" * 120, 1)
        deep.conf.write_text(cluster.conf())
        said = start_and_fail(deep, "--name", "vapp1")
        assert "control.sock" in said


def test_options_that_do_not_belong_together_are_refused() -> None:
    with town("vapp1") as cluster:
        node = one_node(cluster)
        command = [*cluster.command("vapp1")[:6], "--engine", "local"]
        done = subprocess.run(command, env=node.environment, capture_output=True, check=False, text=True)
        assert (done.returncode, "--engine local needs --sequencer SOCKET" in done.stderr) == (2, True)


def test_daemon_of_a_cluster_of_one_needs_no_sequencer() -> None:
    with town("vapp1") as cluster:
        node = one_node(cluster)
        node.conf.write_text(cluster.conf(cluster.service("web")))
        command = [*cluster.command("vapp1")[:6], "--engine", "solo"]
        with (cluster.folder / "solo.log").open("wb") as log:
            node.daemon = subprocess.Popen(command, env=node.environment, stderr=log)
        assert cluster.owner("web") is node
        assert node.end() == 0
        assert not node.runs("web")


def test_daemon_goes_to_the_background_when_it_is_ready() -> None:
    with town("vapp1") as cluster:
        node = one_node(cluster)
        command = [part for part in cluster.command("vapp1") if part != "--foreground"]
        with (cluster.folder / "background.log").open("wb") as log:
            done = subprocess.run(command, env=node.environment, stderr=log, check=False, timeout=30)
        assert done.returncode == 0
        assert node.status() is not None
        pid = int((node.run_dir / "daemon.lock").read_text())
        assert Path(f"/proc/{pid}/stat").read_text().split()[5] == str(pid)


def test_daemon_that_cannot_start_in_the_background_says_so_in_the_foreground() -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        command = [part for part in cluster.command("vapp1") if part != "--foreground"]
        done = subprocess.run(
            command, env=node.environment, capture_output=True, check=False, timeout=30, text=True
        )
        assert (done.returncode, "cannot read" in done.stderr) == (1, True)


def test_other_peoples_agents_are_found_in_the_folders_that_are_named() -> None:
    with town("vapp1") as cluster:
        node = one_node(cluster)
        folder = cluster.folder / "agents"
        folder.mkdir()
        agent = folder / "lamp.sh"
        agent.write_text(LAMP)
        agent.chmod(0o755)
        (folder / "notes.txt").write_text("no agent")
        (folder / "talker").write_text("#!/bin/sh\nyes\n")
        (folder / "talker").chmod(0o755)
        lamp = '<service name="light"><lamp name="hall" power="60"/></service>'
        node.conf.write_text(cluster.conf(lamp))
        node.power_on()
        node.start("--agents", str(folder))
        assert cluster.owner("light") is node
        assert (node.root / "lamp-hall").read_text() == "start 60 lamp:hall\n"
        assert "the lamp says hello" in "".join(p.read_text() for p in (node.run_dir / "output").iterdir())
        assert node.end() == 0
        eventually(lambda: not (node.root / "lamp-hall").exists())


LAMP = """#!/bin/sh
place="$STANDFAST_PREFIX/lamp-$OCF_RESKEY_name"
case "$1" in
meta-data) cat <<'XML'
<?xml version="1.0"?>
<resource-agent name="lamp" version="1.0">
<parameters>
<parameter name="name" primary="1" unique="1" required="1"><content type="string"/></parameter>
<parameter name="power"><content type="string"/></parameter>
</parameters>
<actions>
<action name="start" timeout="5"/><action name="stop" timeout="5"/><action name="status" timeout="5" interval="10"/>
</actions>
</resource-agent>
XML
;;
start) echo "the lamp says hello"; echo "start $OCF_RESKEY_power $OCF_RESOURCE_INSTANCE" >"$place" ;;
stop) rm -f "$place" ;;
status) [ -f "$place" ] ;;
esac
"""
