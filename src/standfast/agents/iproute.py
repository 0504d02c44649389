"""Read and change this node's addresses with iproute2's `ip` program.

Source: ip-address(8).
"""

import subprocess

from standfast.agents.addresses import Address, Interface, parse_interfaces
from standfast.agents.contract import PROGRAM_PATH, Exit, OperationError

IP_RUN_S_MAX = 10  # longest run of `ip`; it answers in milliseconds unless the kernel is stuck


def interfaces() -> tuple[Interface, ...]:
    """Return this node's interfaces with their addresses, in the order of `ip address`."""
    return parse_interfaces(_ip("-json", "address", "show"))


def add_address(interface: Interface, address: Address, prefix: int) -> None:
    """Put the address on the interface."""
    # The neighbours were asked before. With the kernel's own detection, no program could use an IPv6 address for
    # a second or two.
    unasked = ("nodad",) if address.version == 6 else ()
    _ip("address", "add", f"{address}/{prefix}", "dev", interface.name, *unasked)


def remove_address(interface: Interface, address: Address, prefix: int) -> None:
    """Take the address off the interface."""
    _ip("address", "del", f"{address}/{prefix}", "dev", interface.name)


def _ip(*arguments: str) -> bytes:
    """Run `ip` and return what it printed."""
    shown = " ".join(("ip", *arguments))
    try:
        ended = subprocess.run(
            ("ip", *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=IP_RUN_S_MAX,
            env={"PATH": PROGRAM_PATH, "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError:
        raise OperationError(
            Exit.NOT_INSTALLED, 'the program "ip" is not installed; install it with: apt-get install iproute2'
        ) from None
    except subprocess.TimeoutExpired:
        raise OperationError(
            Exit.GENERIC, f'"{shown}" did not end within {IP_RUN_S_MAX} s; see the kernel log: dmesg'
        ) from None
    except OSError as error:
        raise OperationError(Exit.GENERIC, f'cannot run "{shown}": {error.strerror}') from None
    if ended.returncode == 0:
        return ended.stdout
    text = " ".join(ended.stderr.decode(errors="replace").split()) or f"exit {ended.returncode}"
    if "Operation not permitted" in text:
        raise OperationError(
            Exit.PRIVILEGE, f'"{shown}" was not permitted; run as root or with CAP_NET_ADMIN'
        )
    raise OperationError(Exit.GENERIC, f'"{shown}" failed: {text}')
