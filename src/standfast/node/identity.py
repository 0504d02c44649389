"""Who this node is: its name in cluster.conf, its boot, and the epoch that its disk remembers.

Source: spec membership, section 2.1.
"""

from pathlib import Path

from standfast.conf.model import Cluster, ClusterNode
from standfast.conf.own_node import own_node
from standfast.errors import ConfError
from standfast.node.files import replace_file_durably

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


def find_node(cluster: Cluster, wanted: str, hostname: str, conf_file: Path) -> ClusterNode:
    """Return this node's entry. `wanted` is a name that the operator gave, "" for none. Raises ConfError."""
    found = own_node(cluster, wanted, hostname)
    if found is not None:
        return found
    listed = ", ".join(node.name for node in cluster.nodes)
    if wanted:
        raise ConfError(
            f'{conf_file}: Overridden node name is not in CCS: "{wanted}" is none of {listed}; '
            "give the name as the file has it",
            code="node-unknown",
        )
    raise ConfError(
        f'{conf_file}: Cannot find node name in cluster.conf: this machine is "{hostname}", the file has {listed}; '
        "add this machine, or name the node with --name",
        code="node-unknown",
    )


def read_boot_id(override: str) -> str:
    """Return the id of this boot: `override` where it is not empty, else the kernel's. Raises OSError."""
    return override or BOOT_ID_FILE.read_text().strip()


def read_epoch(path: Path) -> int:
    """Return the highest epoch that is remembered, 0 where there is none. Raises ConfError, OSError."""
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise ConfError(
            f"{path}: this is no epoch number; write the highest number that another node has in its file",
            code="epoch-unreadable",
        )
    return int(text)


def write_epoch(path: Path, epoch: int) -> None:
    """Remember an epoch, whatever happens to the power. Waits for the disk. Raises OSError."""
    replace_file_durably(path, f"{epoch}\n".encode(), mode=0o644)
