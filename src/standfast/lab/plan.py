"""What a lab consists of: its directory, its machines with their addresses, and what runs on them."""

import ipaddress
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from standfast.terms import NodeId

NODES_MAX = 16  # most nodes of one lab
CORE = "core"  # the client's machine, no member of the cluster
CLUSTER_NAME = "VMCluster"
NODE_DAEMON = ("-m", "standfast.node.daemon", "--foreground", "--engine", "local", "--sequencer")
COROSYNC_DAEMON = ("-m", "standfast.node.daemon", "--foreground", "--engine", "corosync")
SEQUENCER = ("-m", "standfast.engine.sequencer")
TOKEN_MS = 1000  # of a lab on corosync


class MachinePlan(Struct, frozen=True, kw_only=True):
    """One machine; `index` is its place on the network, 0 for core, and `nodeid` is None for core."""

    name: str
    index: int
    nodeid: NodeId | None


class LabPlan(Struct, frozen=True, kw_only=True):
    """One lab. Commands are argument lists; an empty one means that this part does not run.

    `isolated` asks for namespaces; the supervisor clears it, and says why in `fallback`, where they are forbidden.
    `daemon` and `sequencer` get the sequencer's socket as their last argument. `corosync`: each node runs its own, with
    the key of the lab, and there is no sequencer.
    """

    directory: str
    machines: tuple[MachinePlan, ...]
    cluster_conf: str | None
    daemon: tuple[str, ...]
    sequencer: tuple[str, ...]
    start_daemons: bool = True
    isolated: bool = True
    fallback: str = ""
    corosync: bool = False


class Place(Struct, frozen=True, kw_only=True):
    """Where a lab's files are, below its directory."""

    directory: Path

    @property
    def lock(self) -> Path:
        """The file that is locked as long as the lab runs."""
        return self.directory / "lock"

    @property
    def plan(self) -> Path:
        """The plan, as JSON."""
        return self.directory / "plan.json"

    @property
    def control(self) -> Path:
        """The supervisor's socket."""
        return self.directory / "lab.sock"

    @property
    def power(self) -> Path:
        """The power controller's socket."""
        return self.directory / "power.sock"

    @property
    def sequencer(self) -> Path:
        """The sequencer's socket."""
        return self.directory / "sequencer.sock"

    @property
    def key(self) -> Path:
        """The key of the nodes' corosync."""
        return self.directory / "authkey"

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self.directory / "logs"

    def log(self, name: str) -> Path:
        """The log of one machine, or of `supervisor`, `sequencer` or `all`."""
        return self.logs / f"{name}.log"

    def root(self, name: str) -> Path:
        """The folder that holds a machine's own files, laid out as below its /."""
        return self.directory / "nodes" / name

    def cluster_conf(self, name: str) -> Path:
        """A node's cluster.conf, as seen from outside."""
        return self.root(name) / "etc/cluster/cluster.conf"

    def control_socket(self, name: str) -> Path:
        """The control socket of a node's daemon, as seen from outside."""
        return self.root(name) / "run/standfast/control.sock"


class Network(Struct, frozen=True, kw_only=True):
    """The addresses of a lab: `prefix_length` None where addresses are not per machine."""

    prefix: str
    prefix_length: int | None
    prefix6: str | None
    service_address: str
    web_port: int

    def address(self, machine: MachinePlan) -> str:
        """The machine's IPv4 address."""
        return f"{self.prefix}.{_host_part(machine.index)}"

    def address6(self, machine: MachinePlan) -> str | None:
        """The machine's IPv6 address, None where it has none."""
        return None if self.prefix6 is None else f"{self.prefix6}::{_host_part(machine.index)}"


ISOLATED_NETWORK = Network(
    prefix="10.1.4", prefix_length=24, prefix6="fd00:10:1:4", service_address="10.1.4.150", web_port=80
)
LOOPBACK_NETWORK = Network(
    prefix="127.1.4", prefix_length=None, prefix6=None, service_address="127.1.4.150", web_port=8080
)


def network_of(plan: LabPlan) -> Network:
    """Return the addresses that the plan's machines use."""
    return ISOLATED_NETWORK if plan.isolated else LOOPBACK_NETWORK


def core_machine() -> MachinePlan:
    """Return the client's machine."""
    return MachinePlan(name=CORE, index=0, nodeid=None)


def node_machines(names: Sequence[tuple[str, NodeId]]) -> tuple[MachinePlan, ...]:
    """Return a machine for each (name, node id), in order; the first gets 10.1.4.201."""
    return tuple(
        MachinePlan(name=name, index=index, nodeid=nodeid)
        for index, (name, nodeid) in enumerate(names, start=1)
    )


def default_names(count: int) -> tuple[tuple[str, NodeId], ...]:
    """Return vapp1, vapp2 and so on with node ids 1, 2 and so on."""
    return tuple((f"vapp{number}", NodeId(number)) for number in range(1, count + 1))


def node_daemon_command(place: Place) -> tuple[str, ...]:
    """Return the command of the node daemon on the lab's engine."""
    return (sys.executable, *NODE_DAEMON, str(place.sequencer))


def corosync_daemon_command() -> tuple[str, ...]:
    """Return the command of the node daemon on corosync."""
    return (sys.executable, *COROSYNC_DAEMON)


def sequencer_command(place: Place) -> tuple[str, ...]:
    """Return the command of the lab's engine."""
    return (sys.executable, *SEQUENCER, str(place.sequencer))


def default_directory(environment: Mapping[str, str], uid: int) -> Path:
    """Return where a lab lives when no --dir is given."""
    if uid == 0:
        return Path("/run/standfast-lab")
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and os.access(runtime, os.W_OK):
        return Path(runtime) / "standfast-lab"
    return Path(f"/tmp/standfast-lab-{uid}")


def hosts_text(plan: LabPlan) -> str:
    """Return the /etc/hosts of every machine."""
    network = network_of(plan)
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost"]
    for machine in (core_machine(), *plan.machines):
        names = f"{machine.name} {machine.name}.test.example.com"
        lines += [
            f"{address}\t{names}"
            for address in (network.address(machine), network.address6(machine))
            if address
        ]
    return "\n".join(lines) + "\n"


def hardware_address(machine: MachinePlan) -> str:
    """Return the machine's Ethernet address, which spells its IPv4 address."""
    octets = ipaddress.IPv4Address(ISOLATED_NETWORK.address(machine)).packed
    return "02:00:" + ":".join(f"{octet:02x}" for octet in octets)


def default_cluster_conf(machines: Sequence[MachinePlan], place: Place, *, corosync: bool = False) -> str:
    """Return a cluster.conf for the machines, each fenced by the lab's power controller."""
    nodes = "".join(
        f"""    <clusternode name="{machine.name}" votes="1" nodeid="{machine.nodeid}">
      <fence>
        <method name="single"><device name="power" port="{machine.name}"/></method>
      </fence>
    </clusternode>
"""
        for machine in machines
    )
    cman = '  <cman expected_votes="1" two_node="1"/>\n' if len(machines) == 2 else "  <cman/>\n"
    totem = f'  <totem token="{TOKEN_MS}"/>\n' if corosync else ""
    return f"""<?xml version="1.0"?>
<cluster name="{CLUSTER_NAME}" config_version="1">
  <clusternodes>
{nodes}  </clusternodes>
{cman}{totem}  <fencedevices>
    <fencedevice name="power" agent="fence_lab" ipaddr="{place.power}"/>
  </fencedevices>
  <rm>
    <failoverdomains/>
    <resources/>
  </rm>
</cluster>
"""


def needs_namespaces(why: str) -> str:
    """Return the sentence with which a lab on corosync is refused."""
    return f"corosync needs a network namespace for each node, and {why}; use the embedded engine: --engine local"


def _host_part(index: int) -> int:
    return 1 if index == 0 else 200 + index
