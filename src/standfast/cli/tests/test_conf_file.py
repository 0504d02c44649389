"""Replacing cluster.conf: whole or not at all, no wider open than before, with the version before it kept."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from standfast.cli.conf_file import FileError, Lock, create_file, read_file, replace_file

OLD, NEW = b"<old/>\n" * 1000, b"<new/>\n" * 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cluster.conf").write_bytes(OLD)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_bytes_stand_in_the_file_and_the_old_ones_beside_it(folder: Path) -> None:
    replace_file(str(folder / "cluster.conf"), NEW)
    replace_file(str(folder / "cluster.conf"), b"third")
    assert (folder / "cluster.conf").read_bytes() == b"third"
    assert (folder / "cluster.conf.old").read_bytes() == NEW
    assert names(folder) == ["cluster.conf", "cluster.conf.old"]


def test_file_that_was_not_there_is_made_for_root_and_the_group_only(tmp_path: Path) -> None:
    replace_file(str(tmp_path / "one"), NEW)
    create_file(str(tmp_path / "two"), NEW)
    assert (mode(tmp_path / "one"), mode(tmp_path / "two")) == (0o640, 0o640)
    assert names(tmp_path) == ["one", "two"]


@pytest.mark.parametrize(
    ("before", "after"), [(0o600, 0o600), (0o644, 0o640), (0o777, 0o640), (0o400, 0o400)]
)
def test_file_is_never_opened_wider_than_before(folder: Path, before: int, after: int) -> None:
    (folder / "cluster.conf").chmod(before)
    replace_file(str(folder / "cluster.conf"), NEW)
    assert (mode(folder / "cluster.conf"), mode(folder / "cluster.conf.old")) == (after, before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owner_and_group_stay_as_they_were(folder: Path) -> None:
    os.chown(folder / "cluster.conf", 12345, 23456)
    replace_file(str(folder / "cluster.conf"), NEW)
    assert ((folder / "cluster.conf").stat().st_uid, (folder / "cluster.conf").stat().st_gid) == (
        12345,
        23456,
    )


def test_link_is_followed_and_stays_a_link(folder: Path) -> None:
    (folder / "etc").mkdir()
    link = folder / "etc" / "cluster.conf"
    link.symlink_to("../cluster.conf")
    replace_file(str(link), NEW)
    assert link.is_symlink()
    assert (folder / "cluster.conf").read_bytes() == NEW
    assert names(folder / "etc") == ["cluster.conf"]


def test_left_over_old_names_do_not_disturb(folder: Path) -> None:
    os.link(
        folder / "cluster.conf", folder / "cluster.conf.old"
    )  # killed between keeping the old and the rename
    (folder / f"cluster.conf.tmp.{os.uname().nodename}.{os.getpid()}.0").write_bytes(b"half")
    replace_file(str(folder / "cluster.conf"), NEW)
    assert (folder / "cluster.conf").read_bytes() == NEW
    assert (folder / "cluster.conf.old").read_bytes() == OLD
    assert not (folder / f"cluster.conf.old.{os.getpid()}").exists()


def test_device_or_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.append(pipe.read_bytes()))
    reader.start()
    replace_file(str(pipe), NEW)
    reader.join(timeout=10)
    assert (seen, names(tmp_path)) == ([NEW], ["pipe"])


def test_file_that_exists_is_not_created(folder: Path) -> None:
    with pytest.raises(FileError, match=r"cluster\.conf already exists$"):
        create_file(str(folder / "cluster.conf"), NEW)
    (folder / "dangling").symlink_to("nowhere")
    with pytest.raises(FileError, match=r"dangling already exists$"):
        create_file(str(folder / "dangling"), NEW)
    assert names(folder) == ["cluster.conf", "dangling"]


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("nowhere/cluster.conf", "No such file or directory; make the folder first: mkdir -p "),
        ("cluster.conf/below", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        (".", "Is a directory"),
    ],
)
def test_place_that_cannot_be_written_is_said(folder: Path, where: str, reason: str) -> None:
    (folder / "loop").symlink_to("loop")
    with pytest.raises(FileError, match=f"^Error writing new config file .*: {reason}"):
        replace_file(str(folder / where), NEW)
    assert names(folder) == ["cluster.conf", "loop"]


def test_old_file_that_cannot_be_kept_stops_the_edit(folder: Path) -> None:
    (folder / "cluster.conf.old").mkdir()
    with pytest.raises(
        FileError, match=r"^Can't move old config file out of the way: .*cluster\.conf\.old: Is a dir"
    ):
        replace_file(str(folder / "cluster.conf"), NEW)
    assert (folder / "cluster.conf").read_bytes() == OLD
    assert names(folder) == ["cluster.conf", "cluster.conf.old"]


LIMITED = """
import resource, sys
from standfast.cli.conf_file import FileError, replace_file
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    replace_file(sys.argv[1], b"x" * 7000)
except FileError as error:
    print(error)
"""


def test_full_disk_leaves_the_old_file_and_nothing_else(folder: Path) -> None:
    path = str(folder / "cluster.conf")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == (
        f"Error writing new config file {path}: File too large; nothing was changed, make room first\n"
    )
    assert (folder / "cluster.conf").read_bytes() == OLD
    assert names(folder) == ["cluster.conf"]


WRITER = """
import sys
from standfast.cli.conf_file import replace_file
texts = (b"<old/>\\n" * 1000, b"<new/>\\n" * 1000)
for number in range(100_000):
    replace_file(sys.argv[1], texts[number % 2])
    print(number, flush=True)
"""


@pytest.mark.parametrize("count", [1, 2, 5, 17])
def test_killed_writer_leaves_a_whole_file(folder: Path, count: int) -> None:
    command = [sys.executable, "-c", WRITER, str(folder / "cluster.conf")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        for _ in range(count):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    assert (folder / "cluster.conf").read_bytes() in {OLD, NEW}
    assert (folder / "cluster.conf.old").read_bytes() in {OLD, NEW}


def test_two_commands_at_once_wait_for_each_other(folder: Path) -> None:
    path = str(folder / "cluster.conf")
    order: list[str] = []

    def second() -> None:
        with Lock(path):
            order.append("second")

    other = threading.Thread(target=second)
    with Lock(path):
        other.start()
        order.append("first")
    other.join(timeout=10)
    assert order == ["first", "second"]


def test_command_that_never_ends_is_not_waited_for_without_limit(folder: Path) -> None:
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with (
        pytest.raises(
            FileError, match=r"another command has been editing it for 0\.05 s; wait for it or end it$"
        ),
        Lock(str(folder / "cluster.conf"), wait_s=0.05),
    ):
        pass
    os.close(held)


def test_folder_that_is_not_there_needs_no_lock(tmp_path: Path) -> None:
    with Lock(str(tmp_path / "nowhere" / "cluster.conf")):
        pass


def test_endless_file_is_read_in_bounds() -> None:
    assert len(read_file("/dev/zero", 1000)) == 1001


def test_missing_file_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError) as caught:
        read_file("/nowhere/cluster.conf", 1000)
    assert caught.value.errno == errno.ENOENT
