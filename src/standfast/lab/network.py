"""The lab's cables: one switch for each machine, and one link between each two switches, so that any two can be parted.

A switch passes what arrives over such a link to its own machine only ("isolated" ports), so there are no loops, and all
machines still see one Ethernet. Cutting two machines apart is switching the one link between their switches off.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

from standfast.errors import StandfastError
from standfast.lab import netlink
from standfast.lab.plan import ISOLATED_NETWORK, MachinePlan, hardware_address

INTERFACE = "eth0"  # a machine's interface
IP_RUN_S_MAX = 20  # longest run of ip(8)
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def find_ip() -> str:
    """Return the path of ip(8), which is looked for in the sbin folders too."""
    path = shutil.which("ip", path=f"{os.defpath}:{_SBIN}")
    if path is None:
        raise StandfastError(
            'the program "ip" is missing; install it with: apt-get install iproute2', code="lab-no-ip"
        )
    return path


def run_ip(lines: Iterable[str]) -> None:
    """Carry out ip(8) commands in this network namespace, all in one run; raises StandfastError with ip's words."""
    text = "".join(f"{line}\n" for line in lines)
    try:
        ended = subprocess.run(
            [find_ip(), "-batch", "-"],
            input=text,
            capture_output=True,
            text=True,
            timeout=IP_RUN_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StandfastError(f"ip: no end within {IP_RUN_S_MAX} s", code="lab-network") from None
    if ended.returncode != 0:
        raise StandfastError(f"ip: {' '.join(ended.stderr.split())}", code="lab-network")


def build(machines: Sequence[MachinePlan]) -> None:
    """Make the switches and the links between them, in this network namespace."""
    silence_ipv6 = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    if silence_ipv6.exists():
        silence_ipv6.write_text("1")  # the switches need no addresses of their own
    lines = ["link set lo up"]
    for machine in machines:
        lines += [
            f"link add {_switch(machine)} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            f"link set {_switch(machine)} up",
        ]
    for one, other in combinations(machines, 2):
        lines.append(f"link add {_link(one, other)} type veth peer name {_link(other, one)}")
        for this, that in ((one, other), (other, one)):
            lines += [
                f"link set {_link(this, that)} up master {_switch(this)}",
                f"link set {_link(this, that)} type bridge_slave isolated on",
            ]
    run_ip(lines)


def plug_in(machine: MachinePlan, pid: int, number: int) -> None:
    """Connect the network namespace of a process to the machine's switch; its addresses are then heard as `number`."""
    netlink.number_namespace(pid, number)
    run_ip(
        [
            f"link add {_port(machine)} type veth peer name {INTERFACE} netns {pid} address {hardware_address(machine)}",
            f"link set {_port(machine)} up master {_switch(machine)}",
        ]
    )


def silence(machine: MachinePlan) -> None:
    """Let not one more frame of the machine through, at once."""
    netlink.set_link(_port(machine), up=False)


def unplug(machine: MachinePlan) -> None:
    """Remove the machine's interface and its switch's port; slower than `silence`."""
    netlink.delete_link(_port(machine))


def cut(one: MachinePlan, other: MachinePlan) -> None:
    """Break the link between two machines; all others are reached as before."""
    netlink.set_link(_end_of_link(one, other), up=False)


def mend(one: MachinePlan, other: MachinePlan) -> None:
    """Mend the link between two machines."""
    netlink.set_link(_end_of_link(one, other), up=True)


def configure_machine(machine: MachinePlan) -> None:
    """Bring this network namespace's interfaces up with the machine's addresses."""
    network = ISOLATED_NETWORK
    run_ip(
        [
            "link set lo up",
            f"addr add {network.address(machine)}/{network.prefix_length} brd + dev {INTERFACE}",
            f"link set {INTERFACE} up",
        ]
    )
    if Path("/proc/sys/net/ipv6").exists():
        run_ip([f"addr add {network.address6(machine)}/64 dev {INTERFACE} nodad"])


def _switch(machine: MachinePlan) -> str:
    return f"switch{machine.index}"


def _port(machine: MachinePlan) -> str:
    return f"port{machine.index}"


def _end_of_link(one: MachinePlan, other: MachinePlan) -> str:
    """The end that is switched off and on, whichever machine is named first."""
    near, far = sorted((one, other), key=lambda machine: machine.index)
    return _link(near, far)


def _link(near: MachinePlan, far: MachinePlan) -> str:
    return f"link{near.index}-{far.index}"
