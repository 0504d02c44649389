"""standfast ports: which ports the firewalls of a cluster must let through, as a table or as the firewall's own words.

Exit status as of standfast check: 0, 3 for a cluster.conf against the rules, 1 for one that is no XML, 255 for no file.
"""

import os
from collections.abc import Sequence
from typing import TextIO

from msgspec import json

from standfast.cli.check import NO_FILE, USAGE_FAULT, exit_status
from standfast.cli.conf_file import read_file
from standfast.cli.options import OptionError, read_options
from standfast.conf.load import load
from standfast.conf.model import Cluster
from standfast.conf.parse import BYTES_MAX
from standfast.conf.ports import Port, ports_of
from standfast.wire.paths import PREFIX_VARIABLE, paths_under

PROGRAM = "standfast ports"

USAGE = """\
usage: standfast ports [--nftables|--firewalld|--json] [<file>]
    <file>             The cluster.conf; this node's without it
    --nftables         Write rules for nft -f
    --firewalld        Write firewall-cmd commands
    --json             Write the ports as JSON
    -h, --help         Print this text and exit

"""

_FORMS = frozenset({"--nftables", "--firewalld", "--json"})


def main(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run the command and return its exit status."""
    try:
        options, rest = read_options(PROGRAM, argv, "h", ["nftables", "firewalld", "json", "help"])
    except OptionError as error:
        err.write(f"{error}\n{USAGE}")
        return USAGE_FAULT
    names = {name for name, _ in options}
    if names & {"-h", "--help"}:
        out.write(USAGE)
        return 0
    if len(rest) > 1 or len(names & _FORMS) > 1:
        fault = (
            "name one file at a time" if len(rest) > 1 else "choose one of --nftables, --firewalld and --json"
        )
        err.write(f"{PROGRAM}: {fault}\n{USAGE}")
        return USAGE_FAULT
    name = rest[0] if rest else paths_under(os.environ.get(PREFIX_VARIABLE, "")).cluster_conf
    try:
        data = read_file(name, BYTES_MAX)
    except OSError as error:
        err.write(f"{name}: {error.strerror or error}; name a readable file\n")
        return NO_FILE
    loaded = load(name, data)
    if loaded.cluster is None:
        err.write("".join(f"{line}\n" for line in loaded.lines))
        return exit_status(loaded)
    out.write(render_ports(loaded.cluster, next(iter(names), "")))
    return 0


def render_ports(cluster: Cluster, form: str) -> str:
    """Return the ports in the form that the option `form` asks for; "" is the table."""
    ports = ports_of(cluster)
    match form:
        case "--nftables":
            return render_nftables(cluster, ports)
        case "--firewalld":
            return render_firewalld(cluster, ports)
        case "--json":
            return json.encode(ports).decode() + "\n"
        case _:
            return render_table(ports)


def render_table(ports: Sequence[Port]) -> str:
    """Return one line a port: number, who listens, who asks, and what for."""
    rows = [
        ("PORT", "ON", "FROM", "USE"),
        *(
            (
                f"{port.port}/{port.protocol}",
                port.host or "every node",
                "the other nodes" if port.host is None else "every node",
                port.use,
            )
            for port in ports
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join(
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])) + "\n"
        for row in rows
    )


def render_nftables(cluster: Cluster, ports: Sequence[Port]) -> str:
    """Return a file for `nft -f` on every node.

    The rules go to the top of the chain that Debian's /etc/nftables.conf has: an accept in a table of our own would
    not help where that chain drops.
    """
    lines = [
        f"# Ports of cluster {cluster.name}, version {cluster.config_version} of cluster.conf.",
        "# On every node, as root: nft -f FILE; to keep them, name FILE in an include at the end of /etc/nftables.conf.",
        "# They go before all rules of chain input of table inet filter; if yours has another name, change it here.",
        "add table inet filter",
        "add chain inet filter input",
        *(
            f'insert rule inet filter input {port.protocol} dport {port.port} accept comment "{port.use}"'
            for port in ports
            if port.host is None
        ),
        *(
            f"# On {port.host}: {port.protocol} dport {port.port} accept ({port.use})"
            for port in ports
            if port.host
        ),
    ]
    return "".join(f"{line}\n" for line in lines)


def render_firewalld(cluster: Cluster, ports: Sequence[Port]) -> str:
    """Return commands for every node; they are kept over a restart and hold at once."""
    own = [f"--add-port={port.port}/{port.protocol}" for port in ports if port.host is None]
    lines = [
        f"# Ports of cluster {cluster.name}, version {cluster.config_version} of cluster.conf; on every node, as root:",
        *(f"firewall-cmd --permanent {option}" for option in own),
        "firewall-cmd --reload",
        *(
            f"# On {port.host} ({port.use}): firewall-cmd --permanent --add-port={port.port}/{port.protocol}"
            for port in ports
            if port.host
        ),
    ]
    return "".join(f"{line}\n" for line in lines)
