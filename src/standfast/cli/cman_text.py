"""The layouts of cman_tool, byte for byte: status, nodes, services. Pure but for the time zone.

Source: spec membership, sections 9.8, 9.10, 9.11 and 14.6. Blanks at the ends of lines belong to them.
"""

from __future__ import annotations

import time

from standfast.cli.clustat_text import printable

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from standfast.cli.cman_snapshot import Cluster, Row

VERSION = "6.2.0"  # of cman's protocol, as scripts expect it
PORT_CMAN = 0
PORT_RGMANAGER = 177
NO_TIME = " " * len("2010-05-25 06:48:31")
FORMAT_WORDS_MAX = 10


def render_status(cluster: Cluster) -> str:
    """Return what cman_tool status prints."""
    flags = {
        "2node": cluster.two_node,
        "Shutdown": cluster.leaving,
        "Dirty": cluster.dirty,
    }
    ports = [PORT_CMAN, PORT_RGMANAGER] if cluster.managing else [PORT_CMAN]
    here = cluster.here
    state = {"joining": "Joining", "leaving": "Leaving", "member": "Cluster-Member"}
    lines = [
        f"Version: {VERSION}",
        f"Config Version: {cluster.config_version}",
        f"Cluster Name: {printable(cluster.name)}",
        f"Cluster Id: {cluster.cluster_id}",
        "Cluster Member: Yes",
        f"Cluster Generation: {cluster.generation}",
        f"Membership state: {state.get(here.state, 'Not-in-Cluster')}",
        f"Nodes: {len(cluster.members)}",
        f"Expected votes: {cluster.expected_votes}",
        f"Total votes: {cluster.total_votes}",
        f"Node votes: {here.votes}",
        f"Quorum: {cluster.quorum} {' ' if cluster.quorate else 'Activity blocked'}",
        f"Active subsystems: {cluster.clients}",
        "Flags:" + "".join(f" {word}" for word, is_set in flags.items() if is_set) + " ",
        "Ports Bound: " + "".join(f"{port} " for port in ports) + " ",
        f"Node name: {printable(here.name)}",
        f"Node ID: {here.nodeid}",
        "Multicast addresses: " + "".join(f"{address} " for address in cluster.multicast),
        "Node addresses: " + "".join(f"{address} " for address in here.addresses),
    ]
    return "".join(f"{line}\n" for line in lines)


def render_nodes(rows: Sequence[Row], *, addresses: bool, fencing: bool) -> str:
    """Return what cman_tool nodes prints, with -a and -f if asked for."""
    lines = ["Node  Sts   Inc   Joined               Name"]
    for row in rows:
        is_member = row.letter == "M"
        joined = _time(row.joined_s) if is_member and row.joined_s else NO_TIME
        incarnation = row.incarnation if is_member else 0
        lines.append(f"{row.nodeid:4d}   {row.letter}  {incarnation:5d}   {joined}  {printable(row.name)}")
        if fencing and row.fenced_s:
            lines.append(f"       Last fenced:   {_time(row.fenced_s):<15} by {printable(row.fenced_by)}")
        if fencing and row.unfenced:
            lines.append("       Node has not been fenced since it went down")
        if addresses and row.addresses:
            lines.append("       Addresses: " + "".join(f"{address} " for address in row.addresses))
    return "".join(f"{line}\n" for line in lines)


def render_formatted(rows: Sequence[Row], words: str) -> str:
    """Return what cman_tool nodes -F prints: the values of these words, a comma between two of them, of each node."""
    known: dict[str, Callable[[Row], object]] = {
        "id": lambda row: row.nodeid,
        "name": lambda row: printable(row.name),
        "type": lambda row: row.letter,
        "addr": lambda row: ",".join(row.addresses),
        "votes": lambda row: row.votes,
        "exp": lambda row: row.expected_votes,
        "state": lambda row: row.state.capitalize(),
    }
    chosen = [known[word] for word in words.split(",")[:FORMAT_WORDS_MAX] if word in known]
    return "".join("".join(f"{value(row)} " for value in chosen) + "\n" for row in rows)


def render_services(cluster: Cluster) -> str:
    """Return what cman_tool services prints: the groups, as group_tool ls lists them.

    The fence domain is a group, and the service manager while it runs. While a victim waits, both do: `FAIL_` and the step.
    """
    waits = any(row.victim for row in cluster.rows)
    creator = min(row.nodeid for row in cluster.rows)
    groups: list[tuple[str, int, str, int, str, Sequence[Row]]] = []
    if cluster.dirty:
        state = "FAIL_START_WAIT" if waits else "none"
        groups.append(("fence", 0, "default", 1 << 16 | creator, state, cluster.members))
    if cluster.managing:
        state = "FAIL_ALL_STOPPED" if waits else "none"
        managers = [row for row in cluster.rows if row.manager]
        groups.append(("dlm", 1, "rgmanager", 2 << 16 | creator, state, managers))
    width = max([5, *(len(name) + 1 for _, _, name, _, _, _ in groups)])
    lines = [f"{'type':<16} {'level':<5} {'name':<{width}} {'id':<8} {'state':<12}"]
    for kind, level, name, number, state, rows in groups:
        lines.append(f"{kind:<16} {level:<5d} {name:<{width}} {number:08x} {state:<12}")
        lines.append(f"[{' '.join(str(row.nodeid) for row in rows)}]")
    return "".join(f"{line}\n" for line in lines)


def _time(at_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_s))
