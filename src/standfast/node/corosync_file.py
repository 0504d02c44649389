"""This node's corosync.conf while corosync runs: made from a cluster.conf, compared, and replaced as a whole.

Source: spec membership, sections 16.2 and 16.7.
"""

import re
import threading
from collections.abc import Mapping
from pathlib import Path

from standfast.conf.corosync import render_corosync_conf
from standfast.conf.corosync_map import Value, wanted_map
from standfast.conf.model import Cluster
from standfast.errors import ConfError, EngineError
from standfast.node.corosync_process import check_key, check_local, key_file, resolve_addresses
from standfast.node.files import replace_file_durably
from standfast.terms import NodeId

_FALLBACK = re.compile(r"^\s*allow_knet_handle_fallback:\s*yes\s*$", re.MULTILINE)


class CorosyncFile:
    """The file at `conf`; everything here may wait long for the resolver or the disk."""

    def __init__(self, conf: Path, cluster_conf: Path, nodeid: NodeId) -> None:
        """`cluster_conf` is named in messages."""
        self._conf = conf
        self._where = str(cluster_conf)
        self._nodeid = nodeid
        self._turn = threading.Lock()  # of those who write
        self.is_unread = False  # replaced, and not known to be read by corosync

    def check(self, cluster: Cluster) -> None:
        """Raise StandfastError where no corosync.conf can be made from this cluster.conf here."""
        self._render(cluster)

    def put(self, cluster: Cluster) -> Mapping[str, Value]:
        """Write the file, unless it is there as it should be, and return what corosync's map holds once it is read.

        Raises StandfastError; then the file is as it was.
        """
        text, wanted = self._render(cluster)
        with self._turn:
            self._replace(text)
        return wanted

    def _replace(self, text: str) -> None:
        if self._read() != text:
            try:
                replace_file_durably(self._conf, text.encode(), mode=0o644)
                self.is_unread = True
            except OSError as failure:
                raise EngineError(
                    f"{self._conf}: cannot be written: {failure.strerror or failure}; make room, or mend its folder",
                    code="corosync-conf-not-written",
                ) from failure

    def _render(self, cluster: Cluster) -> tuple[str, Mapping[str, Value]]:
        key = key_file(cluster)
        check_key(key)
        try:
            addresses = resolve_addresses(cluster, self._where)
        except UnicodeError as failure:
            raise ConfError(
                f"{self._where}: the name of a node cannot be looked up ({failure}); use plain host names, of at most 63 "
                f"letters between dots",
                code="name-unresolved",
            ) from failure
        (me,) = [node for node in cluster.nodes if node.nodeid == self._nodeid]
        check_local(addresses[me.nodeid], me.name)
        # What this machine needed when corosync was started, it still needs.
        fallback = _FALLBACK.search(self._read()) is not None
        text = render_corosync_conf(cluster, addresses, keyfile=str(key), allow_knet_handle_fallback=fallback)
        return text, wanted_map(cluster, addresses)

    def _read(self) -> str:
        try:
            return self._conf.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
