"""Who this node is: its name in cluster.conf, its boot, and the epoch that its disk remembers.

Source: spec membership, section 2.1.
"""

from pathlib import Path

from standfast.cluster.epoch import Epoch
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


def read_epoch(path: Path) -> Epoch:
    """Return the last epoch that is remembered, number 0 where there is none. Raises ConfError, OSError.

    The file holds its number and the view in which it began; a file of the first form holds the number alone.
    """
    try:
        words = path.read_text(errors="replace").split()
    except FileNotFoundError:
        return Epoch()
    if not (1 <= len(words) <= 2 and all(w.isascii() and w.isdigit() and len(w) < 20 for w in words)):
        raise ConfError(
            f"{path}: this is no epoch, which is its number and the view in which it began; "
            "write what the file of a node that is a member now holds",
            code="epoch-unreadable",
        )
    number, view, *_ = (*(int(word) for word in words), 0)
    return Epoch(number=number, view=view)


def write_epoch(path: Path, epoch: Epoch) -> None:
    """Remember an epoch, whatever happens to the power. Waits for the disk. Raises OSError."""
    replace_file_durably(path, f"{epoch.number} {epoch.view}\n".encode(), mode=0o644)
