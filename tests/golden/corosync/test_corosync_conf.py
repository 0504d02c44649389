"""corosync.conf for every example, byte for byte, and the real corosync reads each of them.

REWRITE=1 renews the files. Source: spec membership, section 16.2.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.golden.transcript import difference

from standfast.conf.corosync import log_files, render_corosync_conf
from standfast.conf.load import load
from standfast.conf.model import Cluster
from standfast.terms import NodeId

HERE = Path(__file__).parent
EXAMPLES = sorted((*HERE.glob("*.xml"), *(HERE.parent / "conf").glob("*.xml")))
KEYFILE = "/etc/cluster/authkey"
KEY_BYTES = 256
RUN_S_MAX = 30  # longest run of one `corosync -t`; it takes 20 ms

READ_BY_COROSYNC = """
set -e
mount -t tmpfs none /var/log
for file in "$@"; do mkdir -p "$(dirname "$file")"; done
hostname "$NODE"
exec corosync -t -c "$CONF"
"""
"""Run in namespaces of its own: corosync wants to be one of the nodes, and to open its log files."""


def cluster_of(example: Path) -> Cluster:
    loaded = load(example.name, example.read_bytes())
    assert loaded.cluster, loaded.lines
    return loaded.cluster


def addresses_of(cluster: Cluster) -> dict[NodeId, tuple[str, ...]]:
    """An address of each node on each link; links 0, 2, 4 ... have IPv4, the others IPv6."""
    return {
        node.nodeid: tuple(
            f"fd00:{link}::{node.nodeid:x}"
            if link % 2
            else f"10.{link}.{node.nodeid >> 8}.{node.nodeid & 255}"
            for link in range(1 + len(node.altnames))
        )
        for node in cluster.nodes
    }


def rendered(example: Path, keyfile: str = KEYFILE) -> str:
    cluster = cluster_of(example)
    return render_corosync_conf(cluster, addresses_of(cluster), keyfile=keyfile)


def forbidden() -> str:
    """Why `corosync -t` cannot be run here, "" where it can."""
    if not shutil.which("corosync", path=PATH):
        return "there is no corosync"
    probe = subprocess.run(
        [*UNSHARE, "mount", "-t", "tmpfs", "none", "/var/log"], capture_output=True, check=False, text=True
    )
    return f"namespaces are forbidden here: {probe.stderr.strip()}" if probe.returncode else ""


PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
UNSHARE = ("unshare", "--user", "--map-root-user", "--uts", "--mount", "--net")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_example_is_rendered_as_before(example: Path) -> None:
    golden = HERE / f"{example.stem}.conf"
    assert difference(golden, rendered(example)) == ""


def test_every_golden_file_has_its_example() -> None:
    assert {path.stem for path in HERE.glob("*.conf")} == {example.stem for example in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_real_corosync_reads_what_is_rendered(example: Path, tmp_path: Path) -> None:
    if reason := forbidden():
        pytest.skip(reason)
    key = tmp_path / "authkey"
    key.write_bytes(bytes(KEY_BYTES))
    cluster = cluster_of(example)
    conf = tmp_path / "corosync.conf"
    conf.write_text(rendered(example, str(key)), encoding="utf-8")
    result = subprocess.run(
        [*UNSHARE, "bash", "-c", READ_BY_COROSYNC, "bash", *log_files(cluster)],
        capture_output=True,
        check=False,
        env={"PATH": PATH, "NODE": cluster.nodes[0].name, "CONF": str(conf)},
        text=True,
        timeout=RUN_S_MAX,
    )
    assert result.returncode == 0, result.stderr


def test_real_corosync_would_refuse_a_fault(tmp_path: Path) -> None:
    if reason := forbidden():
        pytest.skip(reason)
    key = tmp_path / "authkey"
    key.write_bytes(bytes(KEY_BYTES))
    conf = tmp_path / "corosync.conf"
    text = rendered(HERE.parent / "conf/E2.xml", str(key))
    conf.write_text(text.replace("token: 10000", "token: 29"), encoding="utf-8")
    result = subprocess.run(
        [*UNSHARE, "bash", "-c", READ_BY_COROSYNC],
        capture_output=True,
        check=False,
        env={"PATH": PATH, "NODE": "vapp1", "CONF": str(conf)},
        text=True,
        timeout=RUN_S_MAX,
    )
    assert (result.returncode, "token timeout" in result.stderr) == (8, True), result.stderr
