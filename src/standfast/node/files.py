"""Files that are replaced as a whole: a reader sees the old one or the new one, whenever the writer dies."""

import os
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put `data` in place of the file, for readers of this boot; a loss of power may undo it. Raises OSError."""
    beside = _beside(path)
    try:
        _write(beside, data, mode)
        beside.replace(path)
    except OSError:
        remove_file(beside)
        raise


def replace_file_durably(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put `data` in place of the file, down to the disk. Waits for the disk. Raises OSError."""
    beside = _beside(path)
    try:
        _write(beside, data, mode, sync=True)
        beside.replace(path)
    except OSError:
        remove_file(beside)
        raise
    sync_folder(path.parent)


def remove_file(path: Path) -> None:
    """Remove the file if it is there and can be removed."""
    with suppress(OSError):
        path.unlink()


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _write(path: Path, data: bytes, mode: int, *, sync: bool = False) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
