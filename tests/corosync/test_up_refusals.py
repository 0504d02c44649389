"""standfast up and keygen on a node that is not as it should be: a sentence that says what to do, and nothing started."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.corosync.machines import DOWN, UP, Machine, eventually, machines, short_folder, start_all

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

OLD = """#!/bin/sh
echo "Corosync Cluster Engine, version '2.4.5'"
"""
TAKER = """
import signal, socket, sys
taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taken.bind((sys.argv[1], 5405))
signal.pause()
"""
WRONG_KEY = bytes(reversed(range(256)))


@pytest.fixture(name="pair", scope="module")
def _pair() -> Iterator[tuple[Machine, ...]]:
    """Two machines for all tests here; each test leaves them as they were, with nothing running."""
    with short_folder() as folder, machines(folder, 2) as pair:
        yield pair


@pytest.fixture(name="node")
def _node(pair: tuple[Machine, ...]) -> Iterator[Machine]:
    """The first machine, with its files as they were afterwards."""
    node = pair[0]
    conf, key, hosts = node.conf.read_text(), node.key.read_bytes(), node.must("cat", "/etc/hosts")
    yield node
    node.must(*DOWN)
    node.conf.write_text(conf)
    node.key.unlink(missing_ok=True)
    node.key.write_bytes(key)
    node.key.chmod(0o400)
    node.must("sh", "-c", f"cat >/etc/hosts <<'END'\n{hosts}END\n")
    node.corosync_conf.unlink(missing_ok=True)


def hide_corosync(node: Machine, instead: str) -> Callable[[], None]:
    """Put another program in corosync's place on this machine alone; returns how to undo that."""
    (node.root / "etc/cluster/fake-corosync").write_text(instead)
    (node.root / "etc/cluster/fake-corosync").chmod(0o755 if instead else 0o644)
    node.must("mount", "--bind", "/etc/cluster/fake-corosync", "/usr/sbin/corosync")
    return lambda: (node.must("umount", "/usr/sbin/corosync"), None)[1]


def move(node: Machine, address: str) -> None:
    """Let the node's name stand for another address there."""
    found = node.must("getent", "ahostsv4", node.name).split()[0]
    hosts = node.must("cat", "/etc/hosts").replace(f"{found}\t", f"{address}\t")
    node.must("sh", "-c", f"cat >/etc/hosts <<'END'\n{hosts}END\n")


def test_corosync_that_is_not_installed(node: Machine) -> None:
    undo = hide_corosync(node, "")
    text = node.refuses(*UP)
    undo()
    assert "corosync is not installed on this node; install it with: apt-get install corosync" in text
    assert not node.corosync_conf.exists()


def test_corosync_of_another_age(node: Machine) -> None:
    undo = hide_corosync(node, OLD)
    text = node.refuses(*UP)
    undo()
    assert "this is version '2.4.5', and corosync 3 is needed" in text


def test_cluster_conf_that_is_missing(node: Machine) -> None:
    node.conf.unlink()
    text = node.refuses(*UP)
    assert text.startswith("/etc/cluster/cluster.conf: cannot read: No such file or directory; copy it from")


def test_cluster_conf_that_is_not_valid(node: Machine) -> None:
    node.edit('nodeid="2"', 'nodeid="1"')
    text = node.refuses(*UP)
    assert text.startswith("/etc/cluster/cluster.conf:")
    assert "nodeid" in text
    assert not node.corosync_conf.exists()


def test_node_without_an_id(node: Machine) -> None:
    node.edit(' nodeid="1"', "")
    assert "ccs_tool addnodeids" in node.refuses(*UP)


def test_machine_that_is_not_in_the_file(node: Machine) -> None:
    node.edit('"vapp1"', '"another"')
    assert 'this machine is "vapp1", the file has another, vapp2' in node.refuses(*UP)


def test_nodes_with_different_numbers_of_links(node: Machine) -> None:
    node.edit(
        '<clusternode name="vapp1" votes="1" nodeid="1">',
        '<clusternode name="vapp1" votes="1" nodeid="1">\n<altname name="vapp1-b"/>',
    )
    text = node.refuses(*UP)
    assert "altname" in text
    assert not node.corosync_conf.exists()


def test_key_that_is_missing(node: Machine) -> None:
    node.key.unlink()
    text = node.refuses(*UP)
    assert "make the cluster's key on one node with: standfast keygen" in text


def test_key_that_is_too_short(node: Machine) -> None:
    node.key.unlink()
    node.key.write_bytes(b"too short")
    node.key.chmod(0o400)
    assert "the key has 9 bytes, and corosync takes 128 to 4096" in node.refuses(*UP)


def test_key_that_others_may_read(node: Machine) -> None:
    node.key.chmod(0o644)
    assert "others may read the cluster's key (mode 0644" in node.refuses(*UP)


def test_name_without_an_address(node: Machine) -> None:
    node.must("sh", "-c", "sed /vapp2/d /etc/hosts >/etc/cluster/hosts; cat /etc/cluster/hosts >/etc/hosts")
    text = node.refuses(*UP)
    assert 'the name "vapp2" of node id 2 has no address' in text
    assert "add it to /etc/hosts on every node" in text


def test_address_that_is_not_on_this_machine(node: Machine) -> None:
    move(node, "10.9.9.9")
    text = node.refuses(*UP)
    assert "vapp1: its address 10.9.9.9 is not on this machine" in text


def test_address_of_the_loopback(node: Machine) -> None:
    move(node, "127.0.1.1")
    text = node.refuses(*UP)
    assert "vapp1: its address 127.0.1.1 is a loopback address, which no other node reaches" in text


def test_port_that_another_program_has(node: Machine) -> None:
    address = node.must("getent", "ahostsv4", "vapp1").split()[0]
    (node.root / "etc/cluster/taker.py").write_text(TAKER)
    with Path("/dev/null").open("rb+") as nothing:
        taker = node.lab.node(node.name).start(
            ("python3", "/etc/cluster/taker.py", address),
            stdin=nothing.fileno(),
            stdout=nothing.fileno(),
            stderr=nothing.fileno(),
        )
        eventually(lambda: ":5405" in node.must("ss", "-lun"), what="the port's taking")
        text = node.refuses(*UP)
        taker.signal(15)
        taker.wait(30.0)
    assert f"port 5405/udp of {address} is taken by another program" in text
    assert not node.corosync_conf.exists()


def test_full_disk(node: Machine) -> None:
    node.must("mount", "-t", "tmpfs", "-o", "size=4k", "none", "/etc/corosync")
    node.run("sh", "-c", "cat /dev/zero >/etc/corosync/filler")
    text = node.refuses(*UP)
    node.must("umount", "/etc/corosync")
    assert (
        "/etc/corosync/corosync.conf: cannot be written: No space left on device; nothing was changed" in text
    )


def test_corosync_that_ends_at_once(node: Machine) -> None:
    said = "#!/bin/sh\n[ \"$1\" = -v ] && echo \"version '3.1.7'\" || { echo 'no such thing' >&2; exit 8; }\n"
    undo = hide_corosync(node, said)
    text = node.refuses(*UP)
    undo()
    assert "corosync ended with status 8 as it started" in text
    assert "no such thing" in text


def test_solo_with_two_nodes(node: Machine) -> None:
    assert "2 nodes cannot each be alone" in node.refuses("standfast", "up", "--engine", "solo")


def test_corosync_of_another_cluster(node: Machine) -> None:
    node.must(*UP)
    node.must("standfast", "leave")
    node.edit('name="VMCluster"', 'name="Other"')
    text = node.refuses(*UP)
    assert (
        'corosync runs here already, for cluster "VMCluster", node id 1, and this is to be "Other", node id 1'
        in text
    )


def test_second_start_at_the_same_time(node: Machine) -> None:
    node.must("mkdir", "-p", "/run/standfast")
    node.must("sh", "-c", "echo 'standfast up, process 7' >/run/standfast/turn.lock")
    script = "exec 9<>/run/standfast/turn.lock; flock 9; standfast up --wait-quorum 30"
    result = node.run("sh", "-c", script)
    assert result.returncode == 1
    assert "this node is being started or stopped already, by standfast up, process 7" in result.stderr


def test_words_that_are_no_options(node: Machine) -> None:
    for arguments in (("up", "--wait-quorum", "soon"), ("up", "now"), ("down", "now"), ("keygen", "a", "b")):
        result = node.run("standfast", *arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert "usage: standfast" in result.stderr


def test_key_is_made_once(node: Machine) -> None:
    node.key.unlink()
    said = node.must("standfast", "keygen")
    assert said.endswith("   scp -p /etc/cluster/authkey root@vapp2:/etc/cluster/authkey\n")
    made = node.key.stat()
    assert (stat.S_IMODE(made.st_mode), made.st_size) == (0o400, 256)
    again = node.run("standfast", "keygen")
    assert (again.returncode, node.key.stat().st_mtime_ns) == (1, made.st_mtime_ns)
    assert "there is a key already" in again.stderr


def test_node_without_the_right_key_cannot_join(pair: tuple[Machine, ...], node: Machine) -> None:
    second = pair[1]
    for machine in pair:
        machine.edit('<cman expected_votes="1" two_node="1"/>', "<cman/>")
    node.key.unlink()
    node.key.write_bytes(WRONG_KEY)
    node.key.chmod(0o400)
    second.must("standfast", "up", "--no-wait")
    text = node.refuses("standfast", "up", "--wait-quorum", "6")
    assert "no quorum within 6 s: votes 1, needed 2; not reached: vapp2" in text
    assert "another key (compare: sha256sum /etc/cluster/authkey)" in text
    assert "standfast ports" in text
    assert (node.corosync_member_count(), second.corosync_member_count()) == (1, 1)
    node.must(*DOWN)
    node.key.unlink()
    node.key.write_bytes(second.key.read_bytes())
    node.key.chmod(0o400)
    start_all(pair)
    assert second.members() == ["vapp1", "vapp2"]
    second.must(*DOWN)
