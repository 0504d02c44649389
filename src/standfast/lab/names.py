"""The cluster nodes that a cluster.conf names, for a lab that is to run it."""

from pathlib import Path

from standfast.conf.parse import parse
from standfast.errors import ConfError
from standfast.terms import NodeId


def read_cluster_conf(path: Path) -> tuple[str, tuple[tuple[str, NodeId], ...]]:
    """Return the file's text and its nodes as (name, node id) in order; raises ConfError."""
    try:
        data = path.read_bytes()
    except OSError as failure:
        raise ConfError(f"{path}: {failure.strerror}", code="conf-unreadable") from failure
    root = parse(str(path), data).root
    names = []
    for element in root.elements("clusternodes"):
        for node in element.elements("clusternode"):
            name, nodeid = node.get("name"), node.get("nodeid")
            if not name or "/" in name or not (nodeid or "").isdecimal():
                raise ConfError(
                    f'{path}:{node.line}: clusternode "{name or ""}" needs a name and a nodeid to run in a lab',
                    code="conf-invalid",
                )
            names.append((name, NodeId(int(nodeid or 0))))
    if not names:
        raise ConfError(f"{path}: no clusternode, so there is nothing to start", code="conf-invalid")
    return data.decode(), tuple(names)
