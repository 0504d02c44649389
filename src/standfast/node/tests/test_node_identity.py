"""Which node this is, and what its disk remembers."""

from pathlib import Path

import pytest

from standfast.cluster.epoch import Epoch
from standfast.conf.load import load
from standfast.conf.model import Cluster
from standfast.errors import ConfError
from standfast.node.identity import find_node, read_boot_id, read_epoch, write_epoch

CONF = Path("/etc/cluster/cluster.conf")


def cluster(*names: str) -> Cluster:
    nodes = "".join(f'<clusternode name="{name}" nodeid="{i}"/>' for i, name in enumerate(names, 1))
    text = f'<cluster name="c" config_version="1"><clusternodes>{nodes}</clusternodes></cluster>'
    loaded = load("cluster.conf", text.encode())
    assert loaded.cluster is not None, loaded.lines
    return loaded.cluster


@pytest.mark.parametrize(
    ("hostname", "names", "found"),
    [
        ("vapp1", ("vapp1", "vapp2"), "vapp1"),
        ("vapp2.example.com", ("vapp2", "vapp2.example.com"), "vapp2.example.com"),
        ("vapp2.example.com", ("vapp1", "vapp2"), "vapp2"),
        ("vapp2.example.com", ("vapp1", "vapp2.other.net"), "vapp2.other.net"),
        ("vapp2", ("vapp1.other.net", "vapp2.other.net"), "vapp2.other.net"),
    ],
    ids=["exact", "exact before short", "short", "both cut", "the file's cut"],
)
def test_node_is_found_by_the_machines_name(hostname: str, names: tuple[str, ...], found: str) -> None:
    assert find_node(cluster(*names), "", hostname, CONF).name == found


def test_name_that_the_operator_gives_is_taken_as_it_is() -> None:
    assert find_node(cluster("vapp1", "vapp2"), "vapp2", "vapp1", CONF).name == "vapp2"


def test_name_given_by_the_operator_is_not_cut() -> None:
    with pytest.raises(ConfError, match="is none of vapp1, vapp2; give the name"):
        find_node(cluster("vapp1", "vapp2"), "vapp2.example.com", "vapp1", CONF)


def test_machine_that_is_not_in_the_file_is_told_which_names_are() -> None:
    with pytest.raises(ConfError, match='this machine is "db7", the file has vapp1, vapp2; add this machine'):
        find_node(cluster("vapp1", "vapp2"), "", "db7", CONF)


def test_epoch_that_was_written_is_read_again(tmp_path: Path) -> None:
    write_epoch(tmp_path / "epoch", Epoch(number=41, view=9))
    write_epoch(tmp_path / "epoch", Epoch(number=42, view=2**63))
    remembered = read_epoch(tmp_path / "epoch")
    assert (remembered, [p.name for p in tmp_path.iterdir()]) == (Epoch(number=42, view=2**63), ["epoch"])


def test_epoch_that_was_written_without_its_view_is_read(tmp_path: Path) -> None:
    (tmp_path / "epoch").write_text("41\n")
    assert read_epoch(tmp_path / "epoch") == Epoch(number=41, view=0)


def test_node_without_a_file_remembers_no_epoch(tmp_path: Path) -> None:
    assert read_epoch(tmp_path / "epoch") == Epoch()


@pytest.mark.parametrize("text", ["", "many", "-1", "9" * 30, "\0", "4 many", "4 -1", "4 5 6"])
def test_file_that_holds_no_epoch_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "epoch").write_text(text)
    with pytest.raises(ConfError, match="this is no epoch, which is its number and the view"):
        read_epoch(tmp_path / "epoch")


def test_boot_id_is_the_kernels_unless_another_is_given() -> None:
    assert (read_boot_id("boot-7"), len(read_boot_id(""))) == ("boot-7", 36)
