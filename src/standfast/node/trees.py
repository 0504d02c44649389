"""The resource trees of this node: those of the active configuration, and those that may run here, kept on disk.

A tree is put on disk before the first agent of a start runs, and removed after the service was stopped whole. A new boot
makes it worthless, so it need not survive a loss of power.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

from msgspec import DecodeError, Struct, json

from standfast.conf.model import Cluster
from standfast.node.files import remove_file, replace_file
from standfast.node.place import file_name
from standfast.resources.agent import Agents
from standfast.resources.resource import ResourceNode, Tree
from standfast.resources.tree import build_trees
from standfast.terms import BootId, ServiceName

_SUFFIX = ".json"

logger = logging.getLogger(__name__)


class StoredTree(Struct, frozen=True, kw_only=True):
    """What was started on this machine in boot `boot_id`."""

    boot_id: BootId
    service: ServiceName
    root: ResourceNode


class TreeStore:
    """The folder with the trees of the services that may run here."""

    def __init__(self, folder: Path, boot_id: BootId) -> None:
        self._folder = folder
        self._boot_id = boot_id

    def keep(self, service: ServiceName, root: ResourceNode) -> None:
        """Note that the service may run here from now on, with this tree. Raises OSError."""
        stored = StoredTree(boot_id=self._boot_id, service=service, root=root)
        replace_file(self._path(service), json.encode(stored))

    def forget(self, service: ServiceName) -> None:
        """Note that nothing of the service runs here. Raises OSError."""
        self._path(service).unlink(missing_ok=True)

    def load(self) -> Iterator[tuple[ServiceName, ResourceNode]]:
        """Yield what may run in this boot; what another boot left is removed. Raises OSError."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                stored = json.decode(path.read_bytes(), type=StoredTree)
            except DecodeError as failure:
                # Only a program of another version can have written it; its stop comes from the configuration.
                logger.error("tree.unreadable", extra={"file": str(path), "reason": str(failure)})
                remove_file(path)
                continue
            if stored.boot_id == self._boot_id:
                yield stored.service, stored.root
            else:
                remove_file(path)

    def _path(self, service: ServiceName) -> Path:
        return self._folder / f"{file_name(service)}{_SUFFIX}"


def is_anything_stored(folder: Path, boot_id: BootId) -> bool:
    """Whether an earlier daemon of this boot has left a service that may run. Raises OSError."""
    return any(True for _ in TreeStore(folder, boot_id).load())


class Definitions:
    """The trees of the active configuration."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._trees: dict[ServiceName, Tree] = {}

    @property
    def services(self) -> tuple[ServiceName, ...]:
        """The configured services, in the file's order."""
        return tuple(self._trees)

    def use(self, cluster: Cluster) -> None:
        """Build the trees of this configuration."""
        forest = build_trees(cluster.rm, self._agents)
        self._trees = {tree.service: tree for tree in forest.trees}
        for finding in (*forest.findings, *(finding for tree in forest.trees for finding in tree.findings)):
            logger.warning("config.resource", extra={"line": finding.line, "finding": finding.text})

    def tree(self, service: ServiceName) -> Tree | None:
        """Return the service's tree; None where it is not configured."""
        return self._trees.get(service)
