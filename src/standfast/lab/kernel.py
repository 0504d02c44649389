"""The few system calls that the lab needs and that Python 3.11 does not offer: namespaces, mounts, process control."""

import ctypes
import os
from pathlib import Path

NEW_MOUNTS = 0x0002_0000  # CLONE_NEWNS
NEW_HOSTNAME = 0x0400_0000  # CLONE_NEWUTS
NEW_IPC = 0x0800_0000  # CLONE_NEWIPC
NEW_USERS = 0x1000_0000  # CLONE_NEWUSER
NEW_PIDS = 0x2000_0000  # CLONE_NEWPID
NEW_NETWORK = 0x4000_0000  # CLONE_NEWNET

MOUNT_NOSUID = 0x2
MOUNT_NODEV = 0x4
MOUNT_NOEXEC = 0x8
_MOUNT_BIND = 0x1000
_MOUNT_RECURSIVE = 0x4000
_MOUNT_PRIVATE = 0x4_0000
_UNMOUNT_DETACH = 0x2

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36


def unshare(namespaces: int) -> None:
    """Leave the shared namespaces named by the NEW_ flags; raises OSError where that is forbidden."""
    _checked("unshare", _libc().unshare(ctypes.c_int(namespaces)), "unshare")


def enter_namespace(descriptor: int) -> None:
    """Join the namespace that the descriptor stands for, this thread only."""
    _checked("setns", _libc().setns(ctypes.c_int(descriptor), ctypes.c_int(0)), "setns")


def make_mounts_private() -> None:
    """Keep every later mount of this mount namespace from appearing in any other."""
    _mount("none", "/", None, _MOUNT_RECURSIVE | _MOUNT_PRIVATE, None)


def mount(kind: str, target: Path, options: str | None = None, flags: int = 0) -> None:
    """Mount a file system of the given kind (tmpfs, proc, sysfs)."""
    _mount(kind, str(target), kind, flags, options)


def bind(source: Path, target: Path) -> None:
    """Let `target` show `source`, with all that is mounted below it."""
    _mount(str(source), str(target), None, _MOUNT_BIND | _MOUNT_RECURSIVE, None)


def detach_mount(target: Path) -> None:
    """Take away what is mounted on `target`, even while it is in use."""
    result = _libc().umount2(os.fsencode(target), ctypes.c_int(_UNMOUNT_DETACH))
    _checked("umount2", result, str(target))


def set_hostname(name: str) -> None:
    """Set the host name of this UTS namespace."""
    text = name.encode()
    _checked("sethostname", _libc().sethostname(text, ctypes.c_size_t(len(text))), name)


def signal_on_parent_death(number: int) -> None:
    """Have the kernel send this process a signal when its parent dies."""
    _prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_process_name(name: str) -> None:
    """Set the name that ps shows for this process; the kernel keeps 15 bytes."""
    text = ctypes.create_string_buffer(name.encode()[:15])
    result = _libc().prctl(
        ctypes.c_int(_PR_SET_NAME),
        text,
        ctypes.c_ulong(0),
        ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    )
    _checked("prctl", result, name)


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    result = _libc().prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero)
    _checked("prctl", result, str(option))


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None) -> None:
    result = _libc().mount(
        os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        None if options is None else options.encode(),
    )
    _checked("mount", result, target)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(call: str, result: int, subject: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}", subject)
