"""standfast keygen: makes the cluster's key, once; it is the same on all nodes, and whoever has it can join.

Source: spec membership, section 16.3; corosync-keygen(8).
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from standfast.conf.messaging import KEYFILE_DEFAULT
from standfast.conf.model import Cluster
from standfast.errors import StandfastError
from standfast.node.corosync_process import key_file, make_key, read_cluster
from standfast.wire.paths import PREFIX_VARIABLE, paths_under

PROGRAM = "standfast keygen"


def main(argv: Sequence[str], environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Run the command and return its exit status: 0 there is a new key, 1 there is none."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Make the cluster's key.", allow_abbrev=False)
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        type=Path,
        help=f"the key's file (default: what this node's cluster.conf names, else {KEYFILE_DEFAULT})",
    )
    given: Path | None = parser.parse_args(argv).file
    prefix = environ.get(PREFIX_VARIABLE, "")
    cluster = _cluster(Path(paths_under(prefix).cluster_conf))
    path = given or (Path(prefix + KEYFILE_DEFAULT) if cluster is None else key_file(cluster))
    try:
        make_key(path)
    except StandfastError as failure:
        err.write(f"{PROGRAM}: {failure}\n")
        return 1
    except OSError as failure:
        err.write(f"{PROGRAM}: {path}: {failure.strerror or failure}; make room, or become root\n")
        return 1
    out.write(render_made(path.absolute(), cluster, os.uname().nodename))
    return 0


def render_made(path: Path, cluster: Cluster | None, hostname: str) -> str:
    """Return what is said of a new key: it has to go to every other node."""
    short = hostname.partition(".")[0]
    names = [] if cluster is None else [node.name for node in cluster.nodes]
    others = [name for name in names if name != hostname and name.partition(".")[0] != short]
    lines = [f"scp -p {path} root@{name}:{path}" for name in others or ["NODE"]]
    return (
        f"{path}: a new key, for root alone. Whoever has it can join the cluster and read what its nodes say.\n"
        "It must be the same on every node. Copy it:\n" + "".join(f"   {line}\n" for line in lines)
    )


def _cluster(path: Path) -> Cluster | None:
    """Return what this node's cluster.conf says; None where there is none yet, or none that can be used."""
    try:
        return read_cluster(path)
    except StandfastError:
        return None


def run() -> None:
    """Run the command as a program."""
    sys.exit(main(sys.argv[1:], os.environ, sys.stdout, sys.stderr))


if __name__ == "__main__":
    run()
