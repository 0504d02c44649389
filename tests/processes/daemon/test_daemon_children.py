"""What agents get from their daemon: nothing that it has for itself, and nothing that its own start left with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.processes.daemon.town import Node, Town, eventually, town

pytestmark = pytest.mark.lab

# Notes what it runs under, as the first thing that it does. Its file is named in its own text.
PROBE = """#!%(python)s -IS
import json, os, signal, sys
fields = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
said = {
    "VmLck": int(fields["VmLck"].split()[0]),
    "oom_score_adj": int(open("/proc/self/oom_score_adj").read()),
    "blocked": int(fields["SigBlk"], 16),
    "ignored": sorted(n for n in range(1, 32) if int(fields["SigIgn"], 16) >> (n - 1) & 1),
    "policy": os.sched_getscheduler(0),
    "nice": os.nice(0),
    "umask": os.umask(0o22),
    "cwd": os.getcwd(),
    "environ": dict(os.environ),
    "descriptors": sorted(int(n) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)),
    "own session": os.getpgid(0) == os.getsid(0),
}
%(also)s
with open("%(file)s", "a") as file:
    file.write(json.dumps(said) + "\\n")
"""

METADATA = """
if sys.argv[1:] == ["meta-data"]:
    print('''<?xml version="1.0"?><resource-agent name="probe" version="1.0"><parameters>
<parameter name="name" primary="1" unique="1" required="1"><content type="string"/></parameter></parameters>
<actions><action name="start" timeout="5"/><action name="stop" timeout="5"/></actions></resource-agent>''')
"""

# A start as careless as can be, as far as this user may: then the daemon.
SPOILT = """
import os, signal, sys
from contextlib import suppress
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD))
os.umask(0o077)
os.chdir("/tmp")
os.dup2(os.open("/dev/null", os.O_RDONLY), 9, inheritable=True)
with suppress(PermissionError), open("/proc/self/oom_score_adj", "w") as file:
    file.write("-500")
with suppress(PermissionError):
    os.nice(-5)
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(3))
os.execve(sys.argv[1], sys.argv[1:], {**os.environ, "SECRET": "x", "NOTIFY_SOCKET": "/nonexistent", "WATCHDOG_USEC": "9"})
"""


def make_probe(cluster: Town, name: str, also: str = "") -> Path:
    """Make a program that notes what it runs under in a file beside it."""
    path = cluster.folder / name
    path.write_text(PROBE % {"python": sys.executable, "file": f"{path}.said", "also": also})
    path.chmod(0o755)
    return path


def said(probe: Path) -> dict[str, object]:
    """Wait until a probe has run, and return what its last run has noted."""

    def look() -> list[str]:
        file = Path(f"{probe}.said")
        return file.read_text().splitlines() if file.exists() else []

    found: dict[str, object] = json.loads(eventually(look, what=f"a run of {probe.name}")[-1])
    return found


def start_spoilt(cluster: Town, node: Node, *options: str) -> int:
    """Start a node's daemon carelessly and return its number."""
    node.power_on()
    with (cluster.folder / f"{node.name}.log").open("ab") as log:
        node.daemon = subprocess.Popen(
            [sys.executable, "-c", SPOILT, *cluster.command(node.name, *options)],
            env=node.environment,
            stderr=log,
        )
    return node.daemon.pid


def judge(found: dict[str, object]) -> None:
    """Check that what an agent runs under is ordinary."""
    environment = found.pop("environ")
    assert isinstance(environment, dict)
    assert not {"SECRET", "NOTIFY_SOCKET", "WATCHDOG_USEC", "STANDFAST_BOOT_ID"} & set(environment)
    ignored = found.pop("ignored")
    assert isinstance(ignored, list)
    assert set(ignored) <= {13, 25}  # what every Python ignores, the probe itself being one
    assert found == {
        "VmLck": 0,
        "oom_score_adj": max(0, oom_score(os.getpid())),
        "blocked": 0,
        "policy": os.SCHED_OTHER,
        "nice": 0,
        "umask": 0o022,
        "cwd": "/",
        "descriptors": [0, 1, 2],
        "own session": True,
    }


def test_agents_inherit_nothing_of_a_daemon_that_was_started_carelessly() -> None:
    with town() as cluster:
        node = cluster.nodes[0]
        script = make_probe(cluster, "script")
        folder = cluster.folder / "agents"
        folder.mkdir()
        foreign = make_probe(cluster, "agents/foreign", METADATA)
        fence = make_probe(cluster, "fence")
        services = (
            f'<service name="a"><script name="s" file="{script}"/></service>'
            '<service name="b"><probe name="p"/></service>'
        )
        conf = cluster.conf(services).replace("fence_lab", str(fence))
        node.conf.write_text(conf.replace('post_join_delay="3"', 'post_join_delay="0"'))
        start_spoilt(cluster, node, "--agents", str(folder))
        cluster.owner("a")
        cluster.owner("b")
        for probe in (script, foreign, fence):
            judge(said(probe))


def test_what_an_agent_says_about_itself_is_asked_of_an_ordinary_process() -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        folder = cluster.folder / "agents"
        folder.mkdir()
        foreign = make_probe(cluster, "agents/foreign", METADATA)
        node.conf.write_text(cluster.conf())
        start_spoilt(cluster, node, "--agents", str(folder))
        judge(said(foreign))


@pytest.mark.skipif(os.getuid() != 0, reason="only root may lock its memory")
def test_memory_of_the_daemon_is_locked_and_it_is_spared_when_memory_is_short() -> None:
    with town("vapp1") as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        node = cluster.nodes[0]
        owner = cluster.owner("web")
        assert node.daemon is not None
        daemon, service = node.daemon.pid, owner.pid_of("web")
        (server,) = children_of(daemon)
        assert [locked_kb(pid) > 0 for pid in (daemon, server, service)] == [True, False, False]
        assert [oom_score(pid) for pid in (daemon, server, service)] == [lowest_oom_score(), 0, 0]


def test_daemon_without_privileges_says_once_that_it_goes_on_without() -> None:
    with town("vapp1") as cluster:
        node = cluster.nodes[0]
        node.conf.write_text(cluster.conf(cluster.service("web")))
        node.power_on()
        unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
        with (cluster.folder / f"{node.name}.log").open("ab") as log:
            node.daemon = subprocess.Popen(
                [*unprivileged, "sh", "-c", 'ulimit -l 64; exec "$@"', "sh", *cluster.command(node.name)],
                env=node.environment,
                stderr=log,
            )
        assert cluster.owner("web") is node
        assert node.log.count("memory.not-locked") == 1
        assert node.log.count("memory.not-spared") == 1
        assert locked_kb(node.daemon.pid) == 0


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def locked_kb(pid: int) -> int:
    """Return how much memory of a process is locked."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmLck:"))


def lowest_oom_score() -> int:
    """Return the lowest oom_score_adj that a child of this process may give itself: -1000 with CAP_SYS_RESOURCE."""
    lower = "echo -1000 2>/dev/null >/proc/$$/oom_score_adj; cat /proc/$$/oom_score_adj"
    return int(subprocess.run(["sh", "-c", lower], capture_output=True, check=True).stdout)


def oom_score(pid: int) -> int:
    """Return a process's oom_score_adj."""
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())
