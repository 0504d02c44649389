"""Addresses inside 127.0.0.0/8, where a node's claim is a file because the kernel answers for all of them anyway.

A cluster that runs on one machine without network namespaces has such addresses. Nothing can be added or removed,
and no privilege is needed: every program of every node can use every address of 127.0.0.0/8. What remains to be known
is which node has the service's address, and that is the file RUN_DIR/addresses/ADDRESS: start makes it, stop removes
it, status looks for it. It lies in the run directory, which a machine loses with its power.

Nobody can be asked whether the address is taken, since all nodes are the same machine. If two nodes served it at
once, the kernel would refuse the second program that listens on the same port.
"""

import socket
from ipaddress import IPv4Address
from pathlib import Path

from standfast.agents.addresses import Address
from standfast.agents.contract import Exit, OperationError


def is_loopback(address: Address) -> bool:
    """Tell whether the address is inside 127.0.0.0/8."""
    return isinstance(address, IPv4Address) and address.is_loopback


def claim(run_dir: Path, address: Address) -> None:
    """Note that this node has the address now; again changes nothing."""
    if not is_usable(address):
        raise OperationError(
            Exit.GENERIC,
            f"the kernel does not answer for {address}; switch loopback on with: ip link set lo up",
        )
    path = _claim_path(run_dir, address)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise OperationError(Exit.GENERIC, f"{path}: cannot note the address: {error.strerror}") from None


def release(run_dir: Path, address: Address) -> None:
    """Note that this node does not have the address any more; again changes nothing."""
    path = _claim_path(run_dir, address)
    try:
        path.unlink(missing_ok=True)
    except NotADirectoryError:
        return
    except OSError as error:
        raise OperationError(Exit.GENERIC, f"{path}: cannot give up the address: {error.strerror}") from None


def is_claimed(run_dir: Path, address: Address) -> bool:
    """Tell whether this node has the address."""
    return _claim_path(run_dir, address).is_file()


def is_usable(address: Address) -> bool:
    """Tell whether the kernel lets a program listen on the address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _claim_path(run_dir: Path, address: Address) -> Path:
    return run_dir / "addresses" / str(address)
