"""Files that come and go in several folders, heard in the order in which it happened. Source: inotify(7)."""

import ctypes
import os
import struct
from pathlib import Path

from msgspec import Struct

_CREATE = 0x100
_DELETE = 0x200
_MOVED_FROM = 0x40
_MOVED_TO = 0x80
_WATCHED = _CREATE | _DELETE | _MOVED_FROM | _MOVED_TO
_EVENT = struct.Struct("iIII")
_READ_BYTES = 65536


class FileNotice(Struct, frozen=True):
    """A file came to or went from the watched folder."""

    watch: int
    added: bool
    name: str


def open_folder_events() -> int:
    """Return a non-blocking descriptor on which events arrive; raises OSError."""
    return _checked(
        ctypes.CDLL(None, use_errno=True).inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1"
    )


def watch_folder(events: int, folder: Path) -> int:
    """Hear a folder's events from now on; return the number that they carry. Raises OSError."""
    result = ctypes.CDLL(None, use_errno=True).inotify_add_watch(
        ctypes.c_int(events), os.fsencode(folder), ctypes.c_uint32(_WATCHED)
    )
    return _checked(result, str(folder))


def read_folder_events(events: int) -> tuple[FileNotice, ...]:
    """Return what is there to be read, oldest first."""
    found: list[FileNotice] = []
    while True:
        try:
            data = os.read(events, _READ_BYTES)
        except BlockingIOError:
            return tuple(found)
        at = 0
        while at < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, at)
            name = data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
            if mask & _WATCHED and name:
                found.append(FileNotice(watch, bool(mask & (_CREATE | _MOVED_TO)), os.fsdecode(name)))
            at += _EVENT.size + length


def _checked(result: int, subject: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), subject)
    return result
