"""Whether and how this process may make namespaces of its own, as root or as an ordinary user."""

import os
from pathlib import Path
from typing import NoReturn

from standfast.errors import StandfastError
from standfast.lab import kernel, netlink, network
from standfast.lab.plan import core_machine

_LAB = kernel.NEW_MOUNTS | kernel.NEW_NETWORK | kernel.NEW_IPC | kernel.NEW_PIDS
MACHINE = _LAB | kernel.NEW_HOSTNAME
"""The namespaces that each machine has for itself."""

_CAP_SYS_ADMIN = 21


def reason_against() -> str:
    """Try everything that a lab needs, in a process of its own; return why it cannot be, "" where it can."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        _attempt(writable)
    os.close(writable)
    with os.fdopen(readable, "rb") as answer:
        text = answer.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return text or ("" if status == 0 else f"the attempt ended with wait status {status}")


def enter() -> None:
    """Give this process the lab's namespaces; its next child is the first process of the new PID namespace.

    Raises OSError.
    """
    if not _may_administer():
        uid, gid = os.geteuid(), os.getegid()
        kernel.unshare(kernel.NEW_USERS)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    kernel.unshare(_LAB)
    kernel.make_mounts_private()


def mount_proc() -> None:
    """Show this PID namespace's processes in /proc; raises OSError."""
    flags = kernel.MOUNT_NOSUID | kernel.MOUNT_NODEV | kernel.MOUNT_NOEXEC
    kernel.mount("proc", Path("/proc"), flags=flags)


def _attempt(report: int) -> NoReturn:
    """Write to `report` what fails first, nothing if nothing does, and end this process."""
    try:
        enter()
        child = os.fork()
        if child == 0:
            mount_proc()
            kernel.mount("tmpfs", Path("/tmp"))
            network.build([core_machine()])
            network.run_ip([f"link add probe0 type veth peer name {network.INTERFACE}"])
            netlink.open_address_events().close()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    except OSError as failure:
        os.write(report, (failure.strerror or str(failure)).encode())
    except StandfastError as failure:
        os.write(report, str(failure).encode())
    finally:
        os._exit(1)


def _may_administer() -> bool:
    """Whether this process has CAP_SYS_ADMIN."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False
