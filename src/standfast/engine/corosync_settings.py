"""corosync's settings, read and changed while it runs: the map (cmap) and its configuration service (cfg).

Every call here can block while corosync hangs. Source: cmap_overview(3), corosync-cfgtool(8).
"""

import ctypes
from collections.abc import Callable, Iterable
from ctypes import byref, c_int, c_size_t, c_uint, c_uint64
from typing import Any

from standfast.engine.corosync_library import ERR_NOT_EXIST, check, load_library

_STRING_MAX = 4096  # longest value of the map that is read


def read_map(*keys: str) -> dict[str, str | int]:
    """Return the values of these keys of corosync's map, without those that it lacks. Can block; raises CorosyncError."""
    library = load_library("libcmap.so.4")
    handle = c_uint64()
    check("cmap_initialize", library.cmap_initialize(byref(handle)))
    try:
        found: dict[str, str | int] = {}
        for key in keys:
            value = _read_key(library, handle, key)
            if value is not None:
                found[key] = value
        return found
    finally:
        library.cmap_finalize(handle)


def reaches_any(nodeids: Iterable[int]) -> bool:
    """Whether corosync has one of these nodes in its ring now. Can block; raises CorosyncError."""
    return "joined" in read_map(*(f"runtime.members.{nodeid}.status" for nodeid in nodeids)).values()


_INTEGERS: dict[int, Any] = {
    1: ctypes.c_int8,
    2: ctypes.c_uint8,
    3: ctypes.c_int16,
    4: ctypes.c_uint16,
    5: ctypes.c_int32,
    6: ctypes.c_uint32,
    7: ctypes.c_int64,
    8: ctypes.c_uint64,
}
_STRING = 11
_REGARDLESS = 1  # corosync_cfg_shutdown_flags_t: no program can object


def _read_key(library: ctypes.CDLL, handle: c_uint64, key: str) -> str | int | None:
    buffer, size, kind = ctypes.create_string_buffer(_STRING_MAX), c_size_t(_STRING_MAX), c_int()
    number = library.cmap_get(handle, key.encode(), buffer, byref(size), byref(kind))
    if number == ERR_NOT_EXIST:
        return None
    check("cmap_get", number)
    if kind.value == _STRING:
        return buffer.value.decode(errors="replace")
    integer = _INTEGERS.get(kind.value)
    return None if integer is None else int(integer.from_buffer(buffer).value)


def reload_configuration() -> None:
    """Let every node's corosync read its own corosync.conf again. Can block; raises CorosyncError."""
    _with_cfg(
        lambda library, handle: check(
            "corosync_cfg_reload_config", library.corosync_cfg_reload_config(handle)
        )
    )


def shut_down() -> None:
    """End corosync on this node, in order. Can block; raises CorosyncError."""
    _with_cfg(
        lambda library, handle: check(
            "corosync_cfg_try_shutdown", library.corosync_cfg_try_shutdown(handle, c_int(_REGARDLESS))
        )
    )


def kill_node(nodeid: int, reason: str) -> None:
    """End corosync on another node. Can block; raises CorosyncError."""
    _with_cfg(
        lambda library, handle: check(
            "corosync_cfg_kill_node", library.corosync_cfg_kill_node(handle, c_uint(nodeid), reason.encode())
        )
    )


def _with_cfg(act: Callable[[ctypes.CDLL, c_uint64], None]) -> None:
    library = load_library("libcfg.so.7")
    handle = c_uint64()
    check("corosync_cfg_initialize", library.corosync_cfg_initialize(byref(handle), None))
    try:
        act(library, handle)
    finally:
        library.corosync_cfg_finalize(handle)
