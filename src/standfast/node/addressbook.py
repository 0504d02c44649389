"""The addresses of the nodes, as this machine's resolver knows their names; for people only, nothing depends on them."""

import asyncio
import socket
import threading

from standfast.conf.model import Cluster, ClusterNode
from standfast.terms import NodeId


class AddressBook:
    """Looks names up beside the event loop, since a resolver may block for long; what is not known yet has no address."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._nodes: tuple[ClusterNode, ...] = ()
        self._known: dict[NodeId, tuple[str, ...]] = {}

    @property
    def known(self) -> dict[NodeId, tuple[str, ...]]:
        """The addresses of each node, one for each of its names that has one."""
        return self._known

    def use(self, cluster: Cluster) -> None:
        """Look up the names of this configuration, if it has others than the last."""
        if [_names(node) for node in cluster.nodes] == [_names(node) for node in self._nodes]:
            return
        self._nodes = cluster.nodes
        # A daemon thread: the end of the process does not wait for a resolver.
        threading.Thread(target=self._look_up, args=(cluster.nodes,), daemon=True).start()

    def _look_up(self, nodes: tuple[ClusterNode, ...]) -> None:
        found = {node.nodeid: tuple(a for a in map(_address, _names(node)) if a) for node in nodes}
        try:
            self._loop.call_soon_threadsafe(self._take, nodes, found)
        except RuntimeError:
            return  # the daemon has ended meanwhile

    def _take(self, nodes: tuple[ClusterNode, ...], found: dict[NodeId, tuple[str, ...]]) -> None:
        if nodes is self._nodes:
            self._known = found


def _names(node: ClusterNode) -> tuple[str, ...]:
    return (node.name, *(altname.name for altname in node.altnames))


def _address(name: str) -> str:
    """Return an address of a name, of IPv4 where it has one (cman's family unless told otherwise), "" where it has none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ""
    best = min(found, key=lambda info: info[0] != socket.AF_INET)
    return str(best[4][0])
