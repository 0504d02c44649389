"""Writing cluster.conf to this node's disk, whole or not at all, with the file before it kept as cluster.conf.old.

Source: spec configuration, sections 5.2, 6.4 and 6.5.
"""

import errno
import os
import stat
from pathlib import Path

from standfast.conf.load import load
from standfast.node.files import remove_file, sync_folder

MODE_MAX = 0o640  # widest mode of a cluster.conf that we write
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_config(path: Path, document: str, version: int, nodename: str) -> str:
    """Put the document in place of the file, and return "" or why that was not possible. Waits for the disk.

    A file with the same bytes is left alone, since nodes may share it. One that claims a higher version is kept as
    cluster.conf.rejected-VERSION. `nodename` makes the temporary names differ between nodes.
    """
    data = document.encode()
    try:
        before = _read(path)
        if before == data:
            return ""
        _replace(path, data, before, version, nodename)
    except OSError as failure:
        cure = "; nothing was changed, make room first" if failure.errno in _FULL else ""
        return f"{path}: cannot be written: {failure.strerror or failure}{cure}"
    return ""


def _replace(path: Path, data: bytes, before: bytes | None, version: int, nodename: str) -> None:
    unique = f"{nodename}.{os.getpid()}"
    fresh = path.with_name(f".{path.name}.new.{unique}")
    kept = path.with_name(f".{path.name}.kept.{unique}")
    try:
        _write(fresh, data, None if before is None else path.stat())
        if before is not None:
            claimed = _version_of(before)
            if claimed is not None and claimed > version:
                _link(path, kept, path.with_name(f"{path.name}.rejected-{claimed}"))
            _link(path, kept, path.with_name(f"{path.name}.old"))
        fresh.rename(path)
    except OSError:
        remove_file(fresh)
        remove_file(kept)
        raise
    sync_folder(path.parent)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, data: bytes, like: os.stat_result | None) -> None:
    remove_file(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        mode = MODE_MAX
        if like is not None:
            mode &= stat.S_IMODE(like.st_mode)
            try:
                os.fchown(descriptor, like.st_uid, like.st_gid)
            except PermissionError:
                mode &= ~0o070  # another group than before may not read it
        os.fchmod(descriptor, mode)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(path: Path, beside: Path, name: Path) -> None:
    """Make `name` another name of the file, in place of what had it."""
    remove_file(beside)
    try:
        os.link(path, beside)
    except OSError as failure:
        if failure.errno in _FULL or failure.errno == errno.EROFS:
            raise
        _write(beside, path.read_bytes(), path.stat())  # a file system without links
    beside.rename(name)
    remove_file(beside)  # a rename to another name of the same file leaves it


def _version_of(data: bytes) -> int | None:
    """Return the version that a file claims, None where it is no cluster.conf."""
    document = load("cluster.conf", data).document
    text = None if document is None else document.root.get("config_version")
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 12 else None
