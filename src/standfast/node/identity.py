"""Who this node is: its name in cluster.conf, its boot, and the epoch that its disk remembers.

Source: spec membership, section 2.1.
"""

from collections.abc import Sequence
from pathlib import Path

from standfast.conf.model import Cluster, ClusterNode
from standfast.errors import ConfError
from standfast.node.files import replace_file_durably

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


def find_node(cluster: Cluster, wanted: str, hostname: str, conf_file: Path) -> ClusterNode:
    """Return this node's entry. `wanted` is a name that the operator gave, "" for none. Raises ConfError.

    Differs from cman: addresses are not looked up backwards, because a name server must not delay a start.
    """
    names = [node.name for node in cluster.nodes]
    listed = ", ".join(names)
    if wanted:
        found = next((node for node in cluster.nodes if node.name == wanted), None)
        if found is None:
            raise ConfError(
                f'{conf_file}: Overridden node name is not in CCS: "{wanted}" is none of {listed}; '
                "give the name as the file has it",
                code="node-unknown",
            )
        return found
    for name in _candidates(hostname, names):
        return next(node for node in cluster.nodes if node.name == name)
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


def _candidates(hostname: str, names: Sequence[str]) -> list[str]:
    short = hostname.partition(".")[0]
    exact = [name for name in (hostname, short) if name in names]
    return exact or [name for name in names if name.partition(".")[0] == short]
