"""What the doctor finds, for each thing that it looks at, and how it says so."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from standfast.cli import doctor, standfast
from standfast.cli.examination import (
    clock_is_synced,
    corosync_version,
    count_programs,
    find_agents,
    find_listeners,
    read_key,
)
from standfast.cli.health import (
    CHECKS,
    Facts,
    Finding,
    Grade,
    Key,
    Listener,
    check_agents,
    check_clock,
    check_conf,
    check_corosync,
    check_daemon,
    check_fencing,
    check_group,
    check_membership_in_conf,
    check_memory,
    check_ports,
    check_watchdog,
)
from standfast.cli.tests.daemon_double import STATUS, Reply, serving
from standfast.conf.load import load
from standfast.conf.ports import Port, Protocol
from standfast.wire.control import Call, DaemonReport, GetDaemon, GetStatus

CONF = """<?xml version="1.0"?>
<cluster name="VMCluster" config_version="5"><clusternodes>
<clusternode name="vapp2" nodeid="1"><fence><method name="1"><device name="d" port="a"/></method></fence></clusternode>
<clusternode name="vapp1" nodeid="2"><fence><method name="1"><device name="d" port="b"/></method></fence></clusternode>
</clusternodes><cman two_node="1" expected_votes="1"/>
<fencedevices><fencedevice name="d" agent="fence_vmware" ipaddr="10.1.4.1" login="l" passwd="p"/></fencedevices></cluster>
"""
MANUAL = CONF.replace("fence_vmware", "fence_manual")
UNFENCED = CONF.replace('<fence><method name="1"><device name="d" port="b"/></method></fence>', "")
REPORT = DaemonReport(
    pid=7,
    engine="corosync",
    standing="synced, 1 service here",
    memory_refusal="",
    oom_score_adj=-1000,
    watchdog="/dev/watchdog",
    watchdog_ms=30_000,
    is_petted=True,
)
WELL = Facts(
    conf_path="/etc/cluster/cluster.conf",
    conf=load("cluster.conf", CONF.encode()),
    hostname="vapp1.example.com",
    status=STATUS,
    report=REPORT,
    watchdog_devices=("/dev/watchdog",),
    listeners=(Listener(5405, "udp", "corosync"),),
    has_group=True,
    agent_folder="/usr/share/cluster",
    agent_files=3,
    fence_agents=(("fence_vmware", "/usr/sbin/fence_vmware"),),
    clock_synced=True,
    corosync_version="3.1.7",
    key=Key(path="/etc/cluster/authkey", length=256),
)
AWAY = replace(WELL, status=None, report=None, daemon_refusal="no daemon answers here")

Check = Callable[[Facts], Iterator[Finding]]


def test_node_that_is_well_has_nothing_but_good_findings() -> None:
    findings = [finding for check in CHECKS for finding in check(WELL)]
    assert {finding.grade for finding in findings} == {Grade.OK}
    assert {finding.subject for finding in findings} == {
        "cluster.conf",
        "this node",
        "daemon",
        "resource agents",
        "fence agents",
        "watchdog",
        "memory",
        "corosync",
        "corosync key",
        "ports",
        "group",
        "clock",
    }


@pytest.mark.parametrize(
    ("check", "facts", "grade", "what", "cure"),
    [
        (
            check_conf,
            replace(WELL, conf=None, conf_refusal="Not here"),
            "error",
            "cluster.conf: Not here",
            "ccs_tool create",
        ),
        (check_conf, replace(WELL, conf=load("c", b"<x/>")), "error", "c:1: error", "mend that line"),
        (
            check_membership_in_conf,
            replace(AWAY, hostname="other"),
            "error",
            '"other" is none of vapp2, vapp1',
            "ccs_tool addnode",
        ),
        (check_membership_in_conf, replace(AWAY, wanted_name="x"), "error", '"x" is none of', "--name"),
        (check_membership_in_conf, replace(AWAY, hostname="vapp2"), "ok", "vapp2, node id 1", ""),
        (
            check_membership_in_conf,
            replace(WELL, status=replace(STATUS, config_version=4)),
            "warning",
            "the cluster has version 4, the file version 5",
            "ccs_tool update",
        ),
        (check_daemon, AWAY, "error", "no daemon answers here", "standfast up"),
        (
            check_daemon,
            replace(WELL, status=replace(STATUS, quorate=False)),
            "error",
            "no quorum (synced,",
            "start more nodes",
        ),
        (
            check_daemon,
            replace(WELL, status=replace(STATUS, synced=False)),
            "warning",
            "not synced",
            "logs of all nodes",
        ),
        (
            check_daemon,
            replace(WELL, status=replace(STATUS, fencing=("vapp2 waits",))),
            "error",
            "vapp2 waits",
            "see to",
        ),
        (check_watchdog, replace(AWAY, watchdog_devices=()), "warning", "has no device", "modprobe softdog"),
        (
            check_watchdog,
            replace(WELL, report=replace(REPORT, watchdog="")),
            "warning",
            "/dev/watchdog is there and not used",
            "STANDFAST_WATCHDOG=/dev/watchdog",
        ),
        (
            check_watchdog,
            replace(WELL, watchdog_devices=(), report=replace(REPORT, watchdog="")),
            "warning",
            "this machine has no device",
            "modprobe softdog; then set STANDFAST_WATCHDOG=/dev/watchdog",
        ),
        (
            check_watchdog,
            replace(WELL, report=replace(REPORT, is_petted=False)),
            "error",
            "about to be reset",
            "daemon's log",
        ),
        (
            check_memory,
            replace(WELL, report=replace(REPORT, memory_refusal="Operation not permitted", oom_score_adj=0)),
            "warning",
            "not locked (Operation not permitted); its oom_score_adj is 0",
            "as root",
        ),
        (
            check_ports,
            replace(WELL, listeners=(Listener(5405, "udp", "named"),)),
            "error",
            "5405/udp is used by named",
            "stop",
        ),
        (
            check_ports,
            replace(WELL, listeners=(Listener(5405, "udp", ""),)),
            "warning",
            "only root can see",
            "as root",
        ),
        (check_group, replace(WELL, has_group=False), "warning", "no group standfast", "groupadd"),
        (check_agents, replace(WELL, agent_files=None), "ok", "Standfast's own agents", ""),
        (
            check_agents,
            replace(WELL, fence_agents=(("fence_x", ""),)),
            "error",
            "fence_x is not installed",
            "apt-get install",
        ),
        (
            check_fencing,
            replace(WELL, conf=load("c", UNFENCED.encode())),
            "error",
            "vapp1 has no fence method",
            "ccs_tool addfence",
        ),
        (
            check_fencing,
            replace(WELL, conf=load("c", MANUAL.encode())),
            "warning",
            "vapp1 is fenced by hand only",
            "real",
        ),
        (check_clock, replace(WELL, clock_synced=False), "warning", "nothing keeps it in time", "chrony"),
        (check_clock, replace(WELL, clock_synced=None), "warning", "does not say", "timedatectl"),
        (
            check_corosync,
            replace(WELL, corosync_version=""),
            "error",
            "not installed",
            "apt-get install corosync",
        ),
        (check_corosync, replace(WELL, corosync_version=None), "error", "does not say", "corosync -v"),
        (
            check_corosync,
            replace(WELL, corosync_version="2.4.5"),
            "error",
            "version 2.4.5, and 3 is needed",
            "upgrade",
        ),
        (
            check_corosync,
            replace(WELL, key=Key(path="/k", refusal="Not here")),
            "error",
            "/k: Not here",
            "standfast keygen",
        ),
        (
            check_corosync,
            replace(WELL, key=Key(path="/k", length=127)),
            "error",
            "127 bytes",
            "standfast keygen",
        ),
        (
            check_corosync,
            replace(WELL, key=Key(path="/k", length=4097)),
            "error",
            "4097 bytes",
            "standfast keygen",
        ),
        (
            check_corosync,
            replace(WELL, key=Key(path="/k", mode=0o640, length=128)),
            "error",
            "mode 0640",
            "chmod 600 /k",
        ),
        (
            check_corosync,
            replace(WELL, key=Key(path="/k", uid=5, length=4096)),
            "error",
            "user 5",
            "chown root /k",
        ),
    ],
)
def test_fault_is_found_with_its_cure(check: Check, facts: Facts, grade: str, what: str, cure: str) -> None:
    found = [f for f in check(facts) if f.grade == grade and what in f.what and cure in f.cure]
    assert found, list(check(facts))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
def test_every_fault_comes_with_something_to_do(check: Check) -> None:
    nothing = replace(
        AWAY,
        conf=None,
        conf_refusal="gone",
        watchdog_devices=(),
        has_group=False,
        clock_synced=None,
        corosync_version="",
        key=Key(path="/k", refusal="gone"),
    )
    assert all(finding.cure for finding in check(nothing) if finding.grade is not Grade.OK)


def test_node_whose_engine_is_another_needs_no_corosync() -> None:
    facts = replace(WELL, report=replace(REPORT, engine="local"), corosync_version="", key=None)
    assert [*check_corosync(facts), *check_ports(facts)] == []


def run(facts: Facts, *argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return doctor.main(argv, lambda: facts, out, err), out.getvalue(), err.getvalue()


def test_each_finding_has_a_line_and_the_worst_one_gives_the_exit_status() -> None:
    assert run(WELL)[0] == 0
    status, said, _ = run(replace(WELL, has_group=False))
    assert status == 1
    assert len(said.splitlines()) == len(run(WELL)[1].splitlines())
    line = "warning  group            there is no group standfast: only root may operate the cluster; groupadd --system"
    assert line in said
    assert run(AWAY)[0] == 2


def test_findings_can_be_read_by_a_program() -> None:
    status, said, _ = run(AWAY, "--json")
    findings = json.loads(said)
    assert status == 2
    assert {"grade": "error", "subject": "daemon", "what": "no daemon answers here",
            "cure": "standfast up"} in findings  # fmt: skip


def test_doctor_that_is_called_wrongly_looks_at_nothing() -> None:
    for argv in (["vapp1"], ["--fix"]):
        status, said, complaint = run(WELL, *argv)
        assert (status, said, "usage: standfast doctor" in complaint) == (3, "", True)
    assert run(WELL, "--help")[1].startswith("usage: standfast doctor")


def test_doctor_asks_the_daemon_of_this_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(call: Call) -> Reply:
        return [STATUS] if isinstance(call, GetStatus) else [REPORT] if isinstance(call, GetDaemon) else []

    conf = tmp_path / "etc/cluster/cluster.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(CONF)
    monkeypatch.setenv("STANDFAST_PREFIX", str(tmp_path))
    out, err = io.StringIO(), io.StringIO()
    with serving(tmp_path / "run/standfast/control.sock", reply):
        standfast.main(["doctor"], out, err)
    said = out.getvalue()
    assert "it runs and has quorum (synced, 1 service here)" in said
    assert "vapp1, node id 2" in said
    assert "fence_vmware is not installed" in said


def test_doctor_of_an_empty_machine_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDFAST_PREFIX", str(tmp_path))
    out, err = io.StringIO(), io.StringIO()
    assert standfast.main(["doctor"], out, err) == 2
    assert f"{tmp_path}/etc/cluster/cluster.conf: No such file or directory" in out.getvalue()
    assert "no daemon answers here" in out.getvalue()


def test_key_is_looked_at_and_not_into(tmp_path: Path) -> None:
    key = tmp_path / "authkey"
    key.write_bytes(b"k" * 128)
    key.chmod(0o640)
    assert read_key(key) == Key(path=str(key), mode=0o640, uid=os.getuid(), length=128)
    assert read_key(tmp_path / "none").refusal == "No such file or directory"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("echo \"Corosync Cluster Engine, version '3.1.7'\"", "3.1.7"),
        ("echo \"Corosync Cluster Engine, version '2.4.5'; exit 1\"", "2.4.5"),
        ("echo nothing of the kind", None),
    ],
)
def test_version_is_what_corosync_says(tmp_path: Path, text: str, version: str | None) -> None:
    program = tmp_path / "corosync"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    assert corosync_version(str(tmp_path)) == version


def test_fence_agents_are_looked_for_where_the_daemon_does(tmp_path: Path) -> None:
    agent = tmp_path / "fence_vmware"
    agent.write_text("#!/bin/sh\n")
    agent.chmod(0o755)
    cluster = WELL.cluster
    assert cluster is not None
    assert list(find_agents(cluster, str(tmp_path))) == [("fence_vmware", str(agent))]
    assert list(find_agents(cluster, "/nonexistent")) == [("fence_vmware", "")]


def test_programs_in_the_agents_folder_are_counted(tmp_path: Path) -> None:
    (tmp_path / "agent.sh").write_text("#!/bin/sh\n")
    (tmp_path / "agent.sh").chmod(0o755)
    (tmp_path / "notes").touch()
    assert (count_programs(tmp_path), count_programs(tmp_path / "none")) == (1, None)


def test_port_that_a_program_has_is_found_with_its_name() -> None:
    program = "import socket, sys; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(('::1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"  # noqa: E501
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        number = int(child.stdout.readline())
        ports = [
            Port(port=number, protocol=Protocol.UDP, use="link 0"),
            Port(port=number, protocol=Protocol.UDP, host="elsewhere", use="not ours"),
        ]
        found = list(find_listeners(ports))
        child.communicate()
    assert found == [Listener(number, "udp", Path(sys.executable).name[:15])]


def test_kernel_says_whether_the_clock_is_kept() -> None:
    program = "import ctypes; b = ctypes.create_string_buffer(512); print(ctypes.CDLL(None).adjtimex(b) != 5)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert str(clock_is_synced()) == done.stdout.strip()
