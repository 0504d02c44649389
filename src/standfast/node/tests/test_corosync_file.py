"""A corosync.conf that cannot be made is refused with a sentence, and the one that is there stays."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from standfast.conf.messaging import Messaging
from standfast.conf.model import Cluster, ClusterNode
from standfast.errors import StandfastError
from standfast.node.corosync_file import CorosyncFile
from standfast.terms import NodeId

ONE = NodeId(1)
OLD = "# the one before\n"


@pytest.fixture(name="cluster")
def _cluster(tmp_path: Path) -> Cluster:
    key = tmp_path / "key"
    key.write_bytes(bytes(256))
    key.chmod(0o600)
    (tmp_path / "corosync.conf").write_text(OLD)
    nodes = (ClusterNode(name="localhost", nodeid=ONE, votes=1),)
    return Cluster(name="c", config_version=2, nodes=nodes, messaging=Messaging(keyfile=str(key)))


def refusal(cluster: Cluster, folder: Path) -> StandfastError:
    file = CorosyncFile(folder / "corosync.conf", Path("/etc/cluster/cluster.conf"), ONE)
    with pytest.raises(StandfastError) as raised:
        file.put(cluster)
    with pytest.raises(StandfastError) as checked:
        file.check(cluster)
    assert str(checked.value) == str(raised.value)
    assert (folder / "corosync.conf").read_text() == OLD
    assert not file.is_unread
    return raised.value


def test_name_that_nobody_can_look_up_is_named(cluster: Cluster, tmp_path: Path) -> None:
    long = replace(cluster, nodes=(replace(cluster.nodes[0], name="a" * 70),))
    assert refusal(long, tmp_path).code == "name-unresolved"
    assert "of at most 63 letters between dots" in str(refusal(long, tmp_path))


def test_loopback_address_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    assert refusal(cluster, tmp_path).code == "address-loopback"


def test_missing_key_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "key").unlink()
    assert refusal(cluster, tmp_path).code == "key-missing"
