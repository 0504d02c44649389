"""This node's corosync.conf: what it depends on is checked, then it is made from cluster.conf and put in its place.

Source: spec membership, sections 12.3, 13 and 16.2; docs/decisions/0010.
"""

import errno
import re
import socket
import subprocess
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from msgspec import Struct

from standfast.conf.corosync import log_files, render_corosync_conf
from standfast.conf.model import Cluster, ClusterNode
from standfast.conf.ports import link_ports
from standfast.errors import ConfError, EngineError
from standfast.node.corosync_process import check_key, check_local, find_corosync, key_file, resolve_addresses
from standfast.node.files import replace_file_durably

OURS = b"# Written by Standfast "  # how a corosync.conf of ours begins
KEPT = "corosync.conf.before-standfast"
KEPT_MAX = 9  # how many different files of others are kept
VERSION_LEAST = (3, 0)
VERSION_S_MAX = 10.0
_BUFFER_BYTES = 8 * 1024 * 1024  # of each socket of knet
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33  # Linux; Python has no names for them


class Placed(Struct, frozen=True):
    """What came of putting a file in its place; `said` is what a person should know."""

    changed: bool
    said: tuple[str, ...] = ()


def check_program() -> str:
    """Return corosync's version. Raises EngineError when it is missing or of another age."""
    program = find_corosync()
    try:
        said = subprocess.run(
            [program, "-v"], capture_output=True, check=False, text=True, timeout=VERSION_S_MAX
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise EngineError(
            f"{program}: cannot be run ({failure}); install corosync 3 anew: apt-get install --reinstall corosync",
            code="corosync-missing",
        ) from failure
    found = re.search(r"version '(\d+)\.(\d+)[^']*'", said)
    if found is None or (int(found[1]), int(found[2])) < VERSION_LEAST:
        version = found[0] if found else f'"{said.strip()[:80]}"'
        raise EngineError(
            f"{program}: this is {version}, and corosync 3 is needed, which encrypts and has several links; install it: "
            f"apt-get install corosync (Debian 11 or newer)",
            code="corosync-version",
        )
    return found[0].removeprefix("version ").strip("'")


def corosync_conf_text(cluster: Cluster, where: str, me: ClusterNode) -> str:
    """Return the text of this node's corosync.conf, with key and addresses checked; `where` names cluster.conf.

    Raises ConfError, EngineError.
    """
    key = key_file(cluster)
    check_key(key)
    addresses = resolve_addresses(cluster, where)
    check_local(addresses[me.nodeid], me.name)
    return render_corosync_conf(
        cluster, addresses, keyfile=str(key), allow_knet_handle_fallback=not _may_raise_buffers()
    )


def check_ports(cluster: Cluster, where: str, me: ClusterNode) -> str:
    """Return the ports of this node's links. Raises ConfError when another program has one."""
    own = resolve_addresses(cluster, where)[me.nodeid]
    ports = link_ports(cluster)
    for address, port in zip(own, ports, strict=False):
        family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, port))
            except OSError as failure:
                if failure.errno != errno.EADDRINUSE:
                    raise
                raise ConfError(
                    f"{me.name}: port {port}/udp of {address} is taken by another program; see which one with: "
                    f"ss -lunp 'sport = :{port}', and end it, or choose another port in {where}: <cman port=...>",
                    code="port-taken",
                ) from failure
    return ", ".join(f"{port}/udp" for port in ports[: len(own)])


def put_in_place(conf: Path, text: str) -> Placed:
    """Write corosync.conf unless it is the same already.

    A file that is not ours is kept beside. Raises EngineError where it cannot be written; then nothing was changed.
    """
    data = text.encode()
    said: list[str] = []
    try:
        before = conf.read_bytes() if conf.exists() else None
        if before == data:
            return Placed(changed=False)
        conf.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if before is not None and not before.startswith(OURS):
            said.append(f"{conf} was not ours; it is kept as {_keep(conf, before)}")
        replace_file_durably(conf, data, mode=0o644)
    except OSError as failure:
        raise EngineError(
            f"{conf}: cannot be written: {failure.strerror or failure}; nothing was changed, make room or mend the "
            f"folder, then try again",
            code="corosync-conf-not-written",
        ) from failure
    return Placed(True, tuple(said))


def make_log_folders(cluster: Cluster) -> None:
    """Make the folders of the files that corosync is told to log to, without which it does not start."""
    for file in log_files(cluster):
        with suppress(OSError):  # corosync says what it cannot open
            Path(file).parent.mkdir(mode=0o755, parents=True, exist_ok=True)


def is_ours(conf: Path) -> bool:
    """Whether there is a corosync.conf, and of ours."""
    try:
        with conf.open("rb") as file:
            return file.read(len(OURS)) == OURS
    except OSError:
        return False


def _keep(conf: Path, data: bytes) -> Path:
    """Keep a file of others, each once."""
    for number in range(1, KEPT_MAX + 1):
        kept = conf.with_name(KEPT if number == 1 else f"{KEPT}.{number}")
        if not kept.exists():
            replace_file_durably(kept, data, mode=0o600)
            return kept
        if kept.read_bytes() == data:
            return kept
    raise OSError(errno.EEXIST, f"{KEPT_MAX} other files are kept already as {KEPT}*; remove some")


def _may_raise_buffers() -> bool:
    """Whether a socket here may have buffers beyond the machine's limit, as knet wants; not so in some containers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            for option in (_SO_RCVBUFFORCE, _SO_SNDBUFFORCE):
                probe.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        except PermissionError:
            return False
    return True
