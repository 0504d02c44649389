"""Gathering what `standfast doctor` judges: files, the daemon's answers, the kernel's tables, installed programs."""

import ctypes
import grp
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from standfast.cli.client import Ask
from standfast.cli.conf_file import read_file
from standfast.cli.health import ENGINE_PROGRAM, GROUP, Facts, Key, Listener
from standfast.conf.load import Loaded, load
from standfast.conf.model import Cluster
from standfast.conf.parse import BYTES_MAX
from standfast.conf.ports import Port, Protocol, ports_of
from standfast.errors import UnreachableError
from standfast.resources.operation import AGENT_DIRECTORY
from standfast.wire.control import DaemonReport, Failure, GetDaemon, GetStatus, Status
from standfast.wire.paths import PREFIX_VARIABLE, paths_under

NAME_VARIABLE = "CMAN_NODENAME"
KEY_FILE = "/etc/cluster/authkey"
ANSWER_S_MAX = 10.0  # longest wait for the daemon, and for a program that tells its version
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_VERSION = re.compile(r"version '?(\d+(?:\.\d+)*)")
_TIMEX_BYTES = 512  # more than the kernel's struct timex, whose first field, 0, asks for a reading
_STATUS_OFFSET = 5 * ctypes.sizeof(ctypes.c_long)  # behind an int, padded, and four longs
_STA_UNSYNC = 0x0040


def gather(ask: Ask, environ: Mapping[str, str]) -> Facts:
    """Look at this node; nothing is changed."""
    prefix = environ.get(PREFIX_VARIABLE, "")
    path = paths_under(prefix).cluster_conf
    conf, conf_refusal = _load(path)
    status, report, daemon_refusal = _ask_daemon(ask)
    cluster = None if conf is None else conf.cluster
    return Facts(
        conf_path=path,
        conf=conf,
        conf_refusal=conf_refusal,
        hostname=os.uname().nodename,
        wanted_name=environ.get(NAME_VARIABLE, ""),
        status=status,
        report=report,
        daemon_refusal=daemon_refusal,
        watchdog_devices=tuple(sorted(str(device) for device in Path("/dev").glob("watchdog*"))),
        listeners=() if cluster is None else tuple(find_listeners(_links_of(cluster))),
        has_group=_has_group(),
        agent_folder=AGENT_DIRECTORY,
        agent_files=count_programs(Path(AGENT_DIRECTORY)),
        fence_agents=() if cluster is None else tuple(find_agents(cluster, environ.get("PATH", ""))),
        clock_synced=clock_is_synced(),
        corosync_version=corosync_version(environ.get("PATH", "")),
        key=None if prefix else read_key(Path(KEY_FILE)),
    )


def count_programs(folder: Path) -> int | None:
    """Return how many executable files are in the folder; None where it is not there."""
    try:
        return sum(os.access(file, os.X_OK) and file.is_file() for file in folder.iterdir())
    except OSError:
        return None


def find_agents(cluster: Cluster, path: str) -> Iterator[tuple[str, str]]:
    """Yield each fence agent of the configuration once, with its file, "" where there is none."""
    steps = [step for node in cluster.nodes for method in node.methods for step in method.steps]
    folders = os.pathsep.join(part for part in (path, str(Path(sys.executable).parent), _SYSTEM_PATH) if part)
    for agent in sorted({step.agent for step in steps}):
        yield agent, shutil.which(agent, path=folders) or ""


def read_key(path: Path) -> Key:
    """Look at corosync's key, not into it."""
    try:
        found = path.stat()
    except OSError as failure:
        return Key(path=str(path), refusal=failure.strerror or str(failure))
    return Key(path=str(path), mode=stat.S_IMODE(found.st_mode), uid=found.st_uid, length=found.st_size)


def corosync_version(path: str) -> str | None:
    """Return what corosync says of itself, "" where it is not installed, None where it says nothing."""
    program = shutil.which(ENGINE_PROGRAM, path=f"{path}{os.pathsep}{_SYSTEM_PATH}")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            (program, "-v"),
            capture_output=True,
            check=False,
            errors="replace",
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=ANSWER_S_MAX,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(done.stdout)
    return None if found is None else found[1]


def clock_is_synced() -> bool | None:
    """Return whether the kernel's clock is kept by something (adjtimex(2)); None where it does not say."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
        return None
    status = ctypes.c_int.from_buffer(timex, _STATUS_OFFSET).value
    return not status & _STA_UNSYNC


def _links_of(cluster: Cluster) -> Iterator[Port]:
    """The ports that only corosync may have; the others are the daemon's own."""
    return (port for port in ports_of(cluster) if port.protocol is Protocol.UDP)


def find_listeners(ports: Iterable[Port], proc: Path = Path("/proc")) -> Iterator[Listener]:
    """Yield those of a node's own ports that somebody has, with the program."""
    for port in ports:
        if port.host is None:
            inodes = set(_inodes(proc, port.protocol, port.port))
            programs = sorted({_program(proc, inode) for inode in inodes})
            yield from (Listener(port.port, port.protocol, program) for program in programs)


def _inodes(proc: Path, protocol: str, port: int) -> Iterator[str]:
    """Yield the numbers of the sockets that are bound to a port."""
    for table in (f"{protocol}", f"{protocol}6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _program(proc: Path, inode: str) -> str:
    """Return the name of the program that has a socket, "" where that cannot be seen."""
    wanted = f"socket:[{inode}]"
    for descriptor in proc.glob("[0-9]*/fd/*"):
        try:
            if os.readlink(descriptor) == wanted:  # noqa: PTH115 - the target is no path
                return (descriptor.parents[1] / "comm").read_text().strip()
        except OSError:
            continue
    return ""


def _load(path: str) -> tuple[Loaded | None, str]:
    try:
        return load(path, read_file(path, BYTES_MAX)), ""
    except OSError as failure:
        return None, failure.strerror or str(failure)


def _ask_daemon(ask: Ask) -> tuple[Status | None, DaemonReport | None, str]:
    try:
        status = ask(GetStatus(local=True), timeout_s=ANSWER_S_MAX)
        report = ask(GetDaemon(), timeout_s=ANSWER_S_MAX)
    except UnreachableError as failure:
        return None, None, str(failure)
    if not isinstance(status, Status):
        return None, None, status.text if isinstance(status, Failure) else "its answer is none of ours"
    return status, report if isinstance(report, DaemonReport) else None, ""


def _has_group() -> bool:
    try:
        grp.getgrnam(GROUP)
    except KeyError:
        return False
    return True
