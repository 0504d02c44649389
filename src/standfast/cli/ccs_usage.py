"""What ccs_tool says of itself and of each of its commands."""

USAGE = """\
usage: ccs_tool [-h|-V|-verbose] <command> [options] [arguments]

    help        Print this text
    create      Write a new cluster.conf
    addnode     Add a node
    delnode     Remove a node
    addfence    Add a fence device
    delfence    Remove a fence device
    addnodeids  Give an id to every node that has none
    lsnode      List the nodes
    lsfence     List the fence devices
    update      Make a file the active configuration on every member
    query       Print values of the file
    upgrade     Not supported

'ccs_tool <command> -h' prints the options of a command.
"""

_HELP = "    -h, --help             Print this text\n"
_FILES = """\
    -c, --configfile FILE  Edit this file instead of /etc/cluster/cluster.conf
    -o, --outputfile FILE  Write the result to this file; - is standard output
"""
_ACTIVATION = """\
    -C, --no_ccs           Only edit the file; do not make it active
    -F, --force_ccs        Make it active even when it is another file (-o)
"""
_LISTING = """\
    -c, --configfile FILE  Read this file instead of /etc/cluster/cluster.conf
    -v, --verbose          Print all attributes
    --show-secrets         Print passwords too (root only)
"""

_COMMANDS = {
    "create": (
        "[-2] [-n N [-f AGENT]] [-c FILE] NAME",
        """\
    -2                     For two nodes, each quorate alone
    -n N                   With N nodes whose names are to be filled in
    -f AGENT               With a fence device of this agent, to be filled in
    -c, --configfile FILE  Write this file instead of /etc/cluster/cluster.conf
""",
    ),
    "addnode": (
        "-n ID [-v VOTES] [-a ALTNAME] [-f DEVICE [KEY=VALUE]...] [-c FILE] [-o FILE] [-C|-F] NODE",
        """\
    -n, --nodeid ID        The node's id, which no other node may have
    -v, --votes VOTES      Its votes; 1 if not given
    -a, --altname ALTNAME  Its name on a second network
    -f, --fence_type DEV   The fence device that fences it; KEY=VALUE are its arguments
"""
        + _FILES
        + _ACTIVATION,
    ),
    "delnode": ("[-c FILE] [-o FILE] [-C|-F] NODE", _FILES + _ACTIVATION),
    "addfence": ("[-c FILE] [-o FILE] [-C|-F] NAME AGENT [KEY=VALUE]...", _FILES + _ACTIVATION),
    "delfence": ("[-c FILE] [-o FILE] [-C|-F] NAME", _FILES + _ACTIVATION),
    "addnodeids": (
        "[-n START] [-m ADDRESS] [-v] [-c FILE] [-o FILE]",
        """\
    -n, --nodeid START     The first id to use; 1 if not given
    -m, --multicast ADDR   Set the cluster's multicast address too
    -v, --verbose          Say which node has which id now
"""
        + _FILES,
    ),
    "lsnode": ("[-v] [-c FILE]", _LISTING),
    "lsfence": ("[-v] [-c FILE]", _LISTING),
    "update": ("FILE", ""),
    "query": (
        "[-n] [-c FILE] PATH",
        """\
    -n                     Accepted and ignored
    -c, --configfile FILE  Read this file instead of /etc/cluster/cluster.conf
    --show-secrets         Print passwords too (root only)
    PATH is like /cluster/clusternodes/clusternode[@name="vapp1"]/@nodeid
""",
    ),
    "upgrade": ("LOCATION", ""),
}


def usage_of(command: str) -> str:
    """Return the usage of one command."""
    line, options = _COMMANDS[command]
    return f"usage: ccs_tool {command} {line}\n{options}{_HELP}"
