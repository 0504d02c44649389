"""cluster.conf on this node's disk: whole or not at all, and the file before it is kept."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from standfast.node.config import write_config

NEW = '<?xml version="1.0"?>\n<cluster name="c" config_version="5"/>\n'
OLD = '<?xml version="1.0"?>\n<cluster name="c" config_version="4"/>\n'


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def longest_file(length: int) -> Iterator[None]:
    """Let no file grow beyond this length, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_file_is_replaced_and_the_old_one_kept(tmp_path: Path) -> None:
    path = tmp_path / "cluster.conf"
    path.write_text(OLD)
    assert write_config(path, NEW, 5, "vapp1") == ""
    assert (path.read_text(), (tmp_path / "cluster.conf.old").read_text()) == (NEW, OLD)
    assert names(tmp_path) == ["cluster.conf", "cluster.conf.old"]


def test_first_file_has_a_mode_that_keeps_passwords(tmp_path: Path) -> None:
    path = tmp_path / "cluster.conf"
    assert write_config(path, NEW, 5, "vapp1") == ""
    assert (path.stat().st_mode & 0o777, names(tmp_path)) == (0o640, ["cluster.conf"])


@pytest.mark.parametrize(("before", "after"), [(0o600, 0o600), (0o640, 0o640), (0o666, 0o640)])
def test_mode_is_that_of_the_old_file_and_never_wider_than_0640(
    tmp_path: Path, before: int, after: int
) -> None:
    path = tmp_path / "cluster.conf"
    path.write_text(OLD)
    path.chmod(before)
    assert write_config(path, NEW, 5, "vapp1") == ""
    assert path.stat().st_mode & 0o777 == after


def test_file_that_is_equal_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "cluster.conf"
    path.write_text(NEW)
    inode = path.stat().st_ino
    assert write_config(path, NEW, 5, "vapp1") == ""
    assert (path.stat().st_ino, names(tmp_path)) == (inode, ["cluster.conf"])


def test_file_that_claims_a_higher_version_is_kept_by_that_name(tmp_path: Path) -> None:
    path = tmp_path / "cluster.conf"
    path.write_text(OLD)
    assert write_config(path, NEW.replace("5", "3"), 3, "vapp1") == ""
    assert (tmp_path / "cluster.conf.rejected-4").read_text() == OLD
    assert names(tmp_path) == ["cluster.conf", "cluster.conf.old", "cluster.conf.rejected-4"]


def test_file_that_is_no_cluster_conf_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "cluster.conf"
    path.write_bytes(b"\xff\0rubbish")
    assert write_config(path, NEW, 5, "vapp1") == ""
    assert path.read_text() == NEW


def test_full_disk_is_told_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cluster.conf"
    path.write_text(OLD)
    with longest_file(10):
        text = write_config(path, NEW, 5, "vapp1")
    assert text == f"{path}: cannot be written: File too large; nothing was changed, make room first"
    assert (path.read_text(), names(tmp_path)) == (OLD, ["cluster.conf"])


def test_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "cluster.conf"
    assert write_config(path, NEW, 5, "vapp1") == f"{path}: cannot be written: No such file or directory"


def test_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("a file in the way")
    path = tmp_path / "etc" / "cluster.conf"
    assert write_config(path, NEW, 5, "vapp1") == f"{path}: cannot be written: Not a directory"


def test_nodes_that_share_a_folder_do_not_use_each_others_temporary_files(tmp_path: Path) -> None:
    path = tmp_path / "cluster.conf"
    path.write_text(OLD)
    (tmp_path / f".cluster.conf.new.vapp2.{os.getpid()}").write_text("another node's")
    assert write_config(path, NEW, 5, "vapp1") == ""
    assert (tmp_path / f".cluster.conf.new.vapp2.{os.getpid()}").read_text() == "another node's"
