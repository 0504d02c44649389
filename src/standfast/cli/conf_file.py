"""The file cluster.conf: read in bounds, replaced as a whole, with the version before it kept as FILE.old.

A reader sees the old file or the new one and never a part of either, whenever the writer is killed: the new one is written
beside it, brought to the disk, and then renamed over it. Source: spec configuration, sections 1, 6.5 and 7.3.
"""

import errno
import fcntl
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from standfast.errors import StandfastError

MODE = 0o640  # widest mode of a file that we write
LOCK_WAIT_S = 10.0  # longest wait for another command that edits a file of the same folder

_LOCK_PAUSE_S = 0.02
_NAMES_MAX = 100  # tries to find a free name for the temporary file
_NO_LOCKS = frozenset({errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_LINKS = frozenset({errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV})


class FileError(StandfastError):
    """A file that could not be read or replaced; nothing of it was changed."""


def read_file(path: str, bytes_max: int) -> bytes:
    """Return the file's bytes, at most `bytes_max` + 1 of them, so that a longer file can be told. Raises OSError."""
    with Path(path).open("rb") as stream:
        return stream.read(bytes_max + 1)


def replace_file(path: str, data: bytes) -> None:
    """Put `data` in place of the file, whose bytes until now go to FILE.old. Links are followed. Raises FileError.

    The new file is no wider open than the old one. A device or pipe is written into.
    """
    target = Path(os.path.realpath(path))  # Path.resolve raises something else than OSError at a loop
    try:
        before = target.stat() if os.path.lexists(target) else None
        if before and not stat.S_ISREG(before.st_mode):
            _write_into(target, data)
            return
        temporary = _write_beside(target, data, before)
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        if before:
            _keep_old(path, target)
        temporary.rename(target)
        _sync_folder(target)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        _remove(temporary)


def create_file(path: str, data: bytes) -> None:
    """Write a file that must not exist yet. Raises FileError."""
    if os.path.lexists(path):
        raise _exists(path)
    try:
        temporary = _write_beside(Path(path), data, None)
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        os.link(temporary, path)  # unlike a rename, this never replaces a file that came in between
        _sync_folder(Path(path))
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise _not_written(path, error) from error
        _rename_without_links(temporary, path)
    finally:
        _remove(temporary)


class Lock:
    """Held while a file is read, edited and replaced, so that two commands at once do not lose an edit.

    It locks the file's folder, leaves nothing behind and goes away with the process. Where the file system has no locks
    the work goes on without.
    """

    def __init__(self, path: str, *, wait_s: float = LOCK_WAIT_S) -> None:
        self.path = path
        self.wait_s = wait_s
        self.folder = -1

    def __enter__(self) -> None:
        """Wait for the lock; FileError after `wait_s`."""
        try:
            self.folder = _open_folder(Path(os.path.realpath(self.path)))
        except OSError:
            return  # what cannot be opened cannot be edited either, and that is told with better words
        deadline = time.monotonic() + self.wait_s
        while not self._try():
            if time.monotonic() > deadline:
                self._close()
                raise FileError(
                    f"{self.path}: another command has been editing it for {self.wait_s:g} s; wait for it or end it",
                    code="file-busy",
                )
            time.sleep(_LOCK_PAUSE_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it go."""
        self._close()

    def _try(self) -> bool:
        try:
            fcntl.flock(self.folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise FileError(
                    f"{self.path}: cannot be locked: {error.strerror}", code="file-busy"
                ) from error
        return True

    def _close(self) -> None:
        if self.folder >= 0:
            os.close(self.folder)
        self.folder = -1


def _write_beside(target: Path, data: bytes, before: os.stat_result | None) -> Path:
    """Write the data to a new file in the target's folder, down to the disk, and return its name."""
    descriptor, temporary = _open_beside(target)
    try:
        try:
            mode = _own_like(descriptor, before)
            os.fchmod(descriptor, mode)
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        _remove(temporary)
        raise
    return temporary


def _open_beside(target: Path) -> tuple[int, Path]:
    """A name that no other node and no other process uses, since the folder may be shared by the nodes."""
    host = os.uname().nodename.replace("/", "_")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for number in range(_NAMES_MAX):
        temporary = target.with_name(f"{target.name}.tmp.{host}.{os.getpid()}.{number}")
        try:
            return os.open(temporary, flags, 0o600), temporary
        except FileExistsError:
            continue
    raise FileExistsError(errno.EEXIST, f"remove the old {target}.tmp.* files first")


def _own_like(descriptor: int, before: os.stat_result | None) -> int:
    """Give the file the owner and group of the one before it, if we may, and return the mode it may have."""
    if before is None:
        return MODE
    mode = MODE & stat.S_IMODE(before.st_mode)
    mine = os.fstat(descriptor)
    if mine.st_gid != before.st_gid:
        try:
            os.fchown(descriptor, -1, before.st_gid)
        except PermissionError:
            mode &= ~0o070  # another group than before may not read it
    if mine.st_uid != before.st_uid:
        with suppress(PermissionError):  # it is ours then, and its owner reads it through the group at best
            os.fchown(descriptor, before.st_uid, -1)
    return mode


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _write_into(target: Path, data: bytes) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
    try:
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def _keep_old(path: str, target: Path) -> None:
    """Make FILE.old another name of the file that is about to be replaced, or a copy where links do not exist."""
    old = target.with_name(f"{target.name}.old")
    link = target.with_name(f"{old.name}.{os.getpid()}")
    try:
        _remove(link)
        try:
            os.link(target, link)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _copy(target, link)
        link.rename(old)
        _remove(link)  # a rename to another name of the same file does nothing and leaves it
    except OSError as error:
        _remove(link)
        raise FileError(
            f"Can't move old config file out of the way: {path}.old: {error.strerror}",
            code="file-not-written",
        ) from error


def _copy(source: Path, copy: Path) -> None:
    _write_beside(copy, source.read_bytes(), source.stat()).rename(copy)


def _rename_without_links(temporary: Path, path: str) -> None:
    if os.path.lexists(path):
        raise _exists(path)
    try:
        temporary.rename(path)
        _sync_folder(Path(path))
    except OSError as error:
        raise _not_written(path, error) from error


def _open_folder(target: Path) -> int:
    return os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _sync_folder(target: Path) -> None:
    folder = _open_folder(target)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:  # file systems that cannot sync a folder
            raise
    finally:
        os.close(folder)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _exists(path: str) -> FileError:
    return FileError(f"{path} already exists", code="file-exists")


def _not_written(path: str, error: OSError) -> FileError:
    reason = error.strerror or str(error)
    cure = ""
    if error.errno == errno.ENOENT:
        cure = f"; make the folder first: mkdir -p {Path(path).absolute().parent}"
    elif error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        cure = "; nothing was changed, make room first"
    return FileError(f"Error writing new config file {path}: {reason}{cure}", code="file-not-written")
