"""corosync on this node: its configuration and its key, and starting it.

Source: spec membership, section 16; corosync(8), corosync.conf(5).
"""

import ipaddress
import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from standfast.conf.corosync import render_corosync_conf
from standfast.conf.load import load
from standfast.conf.messaging import KEYFILE_DEFAULT
from standfast.conf.model import Cluster
from standfast.errors import ConfError, EngineError
from standfast.node.files import replace_file, replace_file_durably
from standfast.terms import NodeId

CONF = Path("/etc/corosync/corosync.conf")
KEY_BYTES = 256
KEY_BYTES_LEAST, KEY_BYTES_MOST = 128, 4096  # what corosync takes
SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
READY = b"READY=1"


def read_cluster(path: Path) -> Cluster:
    """Return the checked cluster.conf; raises ConfError with all that is wrong with it."""
    try:
        data = path.read_bytes()
    except OSError as failure:
        raise ConfError(f"{path}: cannot read: {failure.strerror}", code="conf-unreadable") from failure
    loaded = load(str(path), data)
    if loaded.cluster is None:
        raise ConfError("\n".join(loaded.lines), code="conf-invalid")
    return loaded.cluster


def key_file(cluster: Cluster) -> Path:
    """Return the file of the cluster's key: the one that cluster.conf names, or the usual one."""
    return Path(cluster.messaging.keyfile or KEYFILE_DEFAULT)


def make_key(path: Path) -> None:
    """Make a new random key, mode 0400. Raises EngineError when there is one already, OSError."""
    if path.exists():
        raise EngineError(
            f"{path}: there is a key already, and nodes with different keys do not find each other; "
            f"remove it first if it is to be replaced on all nodes",
            code="key-exists",
        )
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    replace_file_durably(path, os.urandom(KEY_BYTES), mode=0o400)


def check_key(path: Path) -> None:
    """Raise EngineError when corosync, or a careful person, would not take the key."""
    try:
        status = path.stat()
    except OSError as failure:
        raise EngineError(
            f"{path}: {failure.strerror}; make the cluster's key on one node with: standfast keygen, "
            f"and copy it to the same place on all others",
            code="key-missing",
        ) from failure
    if not KEY_BYTES_LEAST <= status.st_size <= KEY_BYTES_MOST:
        raise EngineError(
            f"{path}: the key has {status.st_size} bytes, and corosync takes {KEY_BYTES_LEAST} to {KEY_BYTES_MOST}; "
            f"copy it anew from another node, or make a new one for all with: standfast keygen",
            code="key-unusable",
        )
    if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid():
        raise EngineError(
            f"{path}: others may read the cluster's key (mode {stat.S_IMODE(status.st_mode):04o}, owner "
            f"{status.st_uid}); mend it with: chmod 400 {path}; chown root {path}",
            code="key-unusable",
        )


def resolve_addresses(cluster: Cluster, where: str) -> Mapping[NodeId, tuple[str, ...]]:
    """Return the addresses of each node, one for each link. Raises ConfError with all names that have none."""
    found: dict[NodeId, tuple[str, ...]] = {}
    problems: list[str] = []
    for node in cluster.nodes:
        addresses = []
        for name in (node.name, *(altname.name for altname in node.altnames)):
            try:
                addresses.append(_address_of(name))
            except OSError as failure:
                problems.append(
                    f'{where}: the name "{name}" of node id {node.nodeid} has no address '
                    f"({failure.strerror}); add it to /etc/hosts on every node"
                )
        found[node.nodeid] = tuple(addresses)
    if problems:
        raise ConfError("\n".join(problems), code="name-unresolved")
    return found


def check_local(addresses: tuple[str, ...], name: str) -> None:
    """Raise ConfError when an address of this node is not on any of its interfaces, or is a loopback address."""
    for address in addresses:
        parsed = ipaddress.ip_address(address)
        if parsed.is_loopback:
            raise ConfError(
                f"{name}: its address {address} is a loopback address, which no other node reaches; "
                f"give the name its real address in /etc/hosts",
                code="address-loopback",
            )
        family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, 0))
            except OSError as failure:
                raise ConfError(
                    f"{name}: its address {address} is not on this machine ({failure.strerror}); bring the interface "
                    f"up, or mend /etc/hosts",
                    code="address-not-here",
                ) from failure


def write_conf(cluster: Cluster, where: str, name: str, *, conf: Path = CONF, fallback: bool = False) -> None:
    """Check this node's key and addresses and write its corosync.conf; `where` names cluster.conf in messages.

    `fallback`: let corosync run where its sockets' buffers cannot be as large as it wants, as in a namespace.
    Raises StandfastError, OSError.
    """
    key = key_file(cluster)
    check_key(key)
    addresses = resolve_addresses(cluster, where)
    (me,) = [node for node in cluster.nodes if node.name == name]
    check_local(addresses[me.nodeid], name)
    text = render_corosync_conf(cluster, addresses, keyfile=str(key), allow_knet_handle_fallback=fallback)
    conf.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    replace_file(conf, text.encode(), mode=0o644)


def find_corosync() -> str:
    """Return the path of corosync(8). Raises EngineError."""
    path = shutil.which("corosync", path=SBIN)
    if path is None:
        raise EngineError(
            "corosync is not installed on this node; install it with: apt-get install corosync",
            code="corosync-missing",
        )
    return path


class Starting:
    """A corosync that was started and is not ready yet; `notified` becomes readable when it says so."""

    def __init__(self, process: subprocess.Popen[bytes], notified: socket.socket, folder: str) -> None:
        self.process = process
        self.notified = notified
        self._folder = folder

    def is_ready(self) -> bool:
        """Read what it has said, without waiting."""
        try:
            return any(line == READY for line in self.notified.recv(4096).splitlines())
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Listen no more; the process is left alone."""
        self.notified.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def start_corosync(*, output: int | None, conf: Path = CONF) -> Starting:
    """Start corosync in the foreground, in a session of its own. Raises EngineError, OSError."""
    program = find_corosync()
    folder = tempfile.mkdtemp(prefix="standfast-")
    path = f"{folder}/notify"
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        notified.bind(path)
        process = subprocess.Popen(
            [program, "-f", "-c", str(conf)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={"PATH": SBIN, "LANG": "C.UTF-8", "NOTIFY_SOCKET": path},
            start_new_session=True,
        )
    except BaseException:
        notified.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Starting(process, notified, folder)


def _address_of(name: str) -> str:
    """Return the first IPv4 address of a name, its first IPv6 address where it has no other. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0]).partition("%")[0]
