"""The cluster nodes that a cluster.conf names, for a lab that is to run it."""

import re
from pathlib import Path

from standfast.conf.load import load
from standfast.errors import ConfError
from standfast.lab.plan import CORE
from standfast.terms import NodeId

_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read_cluster_conf(path: Path) -> tuple[str, tuple[tuple[str, NodeId], ...]]:
    """Return the file's text and its nodes as (name, node id) in order; raises ConfError with all that is wrong."""
    try:
        data = path.read_bytes()
    except OSError as failure:
        raise ConfError(f"{path}: {failure.strerror}", code="lab-config") from failure
    loaded = load(str(path), data)
    if loaded.cluster is None:
        raise ConfError("\n".join(loaded.lines), code="lab-config")
    for node in loaded.cluster.nodes:
        if not _HOST_NAME.fullmatch(node.name) or node.name == CORE:
            raise ConfError(
                f'{path}: a machine of a lab cannot be called "{node.name}"; choose a plain host name',
                code="lab-config",
            )
    if not loaded.cluster.nodes:
        raise ConfError(f"{path}: no clusternode, so there is nothing to start", code="lab-config")
    return data.decode(), tuple((node.name, node.nodeid) for node in loaded.cluster.nodes)
