"""The files of an isolated machine: everything is the host's, but for what makes a cluster node a machine of its own.

Private are /run, /dev/shm, /etc/cluster, /etc/corosync, /etc/init.d, /etc/hosts, /etc/hostname, /var/lib/standfast,
/var/lib/corosync, /var/log/cluster, /proc, /sys and the boot id. The
folders around them are mirrored: a small tmpfs full of links to the host's entries, which stay reachable under /run/host.
"""

import os
import sys
from collections.abc import Collection
from pathlib import Path

from standfast.lab import kernel

HOST = Path("/run/host")  # the host's whole tree, as a machine sees it
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PRIVATE = (
    "etc/cluster",
    "etc/corosync",
    "etc/init.d",
    "var/lib/standfast",
    "var/lib/corosync",
    "var/log/cluster",
    "run/standfast",
)
_SHARED_MEMORY = "mode=1777,size=512m"
_TMPFS = "mode=0755,size=32m"


def build_tree(directory: Path, root: Path, *, hostname: str, hosts: str, boot_id: Path) -> None:
    """Make this mount namespace the machine's; `root` holds its own files, `directory` is the lab's and stays visible.

    Raises OSError.
    """
    kernel.make_mounts_private()
    kept = {
        path: os.open(path, os.O_PATH)
        for path in (directory, Path(sys.prefix))
        if path.is_relative_to("/run")
    }
    kernel.mount("tmpfs", Path("/run"), _TMPFS)
    HOST.mkdir()
    Path("/run/lock").mkdir(mode=0o1777)
    kernel.mount("tmpfs", Path("/dev/shm"), _SHARED_MEMORY)
    kernel.bind(Path("/"), HOST)
    for path, descriptor in kept.items():
        path.mkdir(parents=True, exist_ok=True)
        kernel.bind(Path(f"/proc/self/fd/{descriptor}"), path)
        os.close(descriptor)
    _mirror(Path("/etc"), private={"cluster", "corosync", "init.d", "hosts", "hostname"})
    _mirror(Path("/var/lib"), private={"standfast", "corosync"})
    _mirror(Path("/var/log"), private={"cluster"})
    for name in PRIVATE:
        target = Path("/") / name
        target.mkdir()
        kernel.bind(root / name, target)
    Path("/etc/hosts").write_text(hosts)
    Path("/etc/hostname").write_text(f"{hostname}\n")
    kernel.set_hostname(hostname)
    flags = kernel.MOUNT_NOSUID | kernel.MOUNT_NODEV | kernel.MOUNT_NOEXEC
    kernel.mount("proc", Path("/proc"), flags=flags)
    kernel.bind(boot_id, BOOT_ID)
    try:
        kernel.mount("sysfs", Path("/sys"), flags=flags)
    except PermissionError:
        # A container that hides parts of /sys forbids this; /sys/class/net is then the host's, while ip(8) tells the truth.
        return


def _mirror(folder: Path, private: Collection[str]) -> None:
    """Replace the folder by links to its own entries, but for the private ones."""
    kernel.mount("tmpfs", folder, _TMPFS)
    original = HOST / folder.relative_to("/")
    with os.scandir(original) as entries:
        for entry in entries:
            if entry.name in private:
                continue
            aim = Path(entry.path)
            (folder / entry.name).symlink_to(aim.readlink() if entry.is_symlink() else aim)
