"""One node of a cluster under the real corosync, in namespaces of its own; the others of its cluster are absent."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from msgspec.structs import replace

from standfast.conf.corosync import render_corosync_conf
from standfast.conf.messaging import Algorithm, Messaging, QuorumDevice
from standfast.conf.model import Altname, Cluster, ClusterNode
from standfast.terms import NodeId

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
UNSHARE = (
    *("unshare", "--user", "--map-root-user", "--uts", "--mount", "--net", "--pid", "--ipc"),
    *("--fork", "--mount-proc", "--kill-child"),
)
RUN_S_MAX = 60  # longest life of one corosync here; it takes 2 s

MACHINE = r"""
set -e
for folder in /dev/shm /run /var/lib/corosync /var/log; do mount -t tmpfs none $folder; done
hostname vapp1
ip link set lo up
ip link add net0 type bridge
for address in 10.0.0.1 10.1.0.1 10.2.0.1 10.0.0.9; do ip address add $address/24 dev net0; done
ip link set net0 up
start_corosync() {
  cp "$1" /run/corosync.conf
  corosync -c /run/corosync.conf
  settle
}
settle() {
  until corosync-cmapctl -g config.reload_in_progress 2>&1 | grep -qE ' = 0$|NOT_EXIST' &&
    corosync-cmapctl -g runtime.members.1.status | grep -q joined; do :; done
}
"""
"""Makes the machine of vapp1, with three networks, and says how corosync is started and waited for there."""


def node(nodeid: int, links: int) -> ClusterNode:
    altnames = tuple(Altname(name=f"vapp{nodeid}-{link}") for link in range(1, links))
    return ClusterNode(name=f"vapp{nodeid}", nodeid=NodeId(nodeid), altnames=altnames)


def cluster(nodes: int, links: int = 2) -> Cluster:
    return Cluster(
        name="rendered",
        config_version=1,
        nodes=tuple(node(nodeid, links) for nodeid in range(1, nodes + 1)),
    )


TWO_NODE = replace(cluster(2), two_node=True, expected_votes=1)
DEVICE = Messaging(device=QuorumDevice(host="qnetd.example.com"))
LMS = Messaging(device=QuorumDevice(host="qnetd.example.com", algorithm=Algorithm.LMS, votes=None))
LAST_MAN = Messaging(wait_for_all=True, last_man_standing=True, auto_tie_breaker=True)


def rendered(value: Cluster, folder: Path, name: str) -> str:
    key = folder / "authkey"
    key.write_bytes(bytes(range(256)))
    addresses = {
        one.nodeid: tuple(f"10.{link}.0.{one.nodeid}" for link in range(1 + len(one.altnames)))
        for one in value.nodes
    }
    conf = folder / name
    conf.write_text(
        render_corosync_conf(value, addresses, keyfile=str(key), allow_knet_handle_fallback=True),
        encoding="utf-8",
    )
    return str(conf)


class Facts:
    """What corosync said at one moment."""

    def __init__(self, text: str) -> None:
        self.text = text

    def value(self, key: str) -> str | None:
        """A cmap value, None where there is none."""
        found = re.search(rf"^{re.escape(key)} \(\w+\) = (.*)$", self.text, re.MULTILINE)
        return found[1] if found else None

    def word(self, name: str) -> str:
        """A line of corosync-quorumtool, such as Quorum or Flags."""
        found = re.search(rf"^{name}:(.*)$", self.text, re.MULTILINE)
        assert found, self.text
        return found[1].strip()

    @property
    def ports(self) -> set[int]:
        """The UDP ports on which corosync listens."""
        return {int(port) for port in re.findall(r"^listens .*?10\.\d\.0\.1:(\d+)", self.text, re.MULTILINE)}


def reason_against(*programs: str) -> str:
    """Why a node cannot be run here, "" where it can."""
    missing = [program for program in programs if not shutil.which(program, path=PATH)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False, text=True)
    return f"namespaces are forbidden here: {probe.stderr.strip()}" if probe.returncode else ""


def run_machine(script: str, *arguments: str) -> str:
    """Run a script on the machine and return what it prints; everything on the machine ends with it."""
    result = subprocess.run(
        [*UNSHARE, "bash", "-c", MACHINE + script, "bash", *arguments],
        capture_output=True,
        check=False,
        env={"PATH": PATH},
        text=True,
        timeout=RUN_S_MAX,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    return result.stdout
