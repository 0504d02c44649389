"""The help texts of cman_tool: all of it, or the part of one operation."""

GENERAL = """\
Usage:

cman_tool <join|leave|kill|expected|votes|version|wait|status|nodes|services|debug> [options]

Options and the operation may stand in any order.

  -h               Print this text, or with an operation the part about it
  -V               Print the version of the program

Operations:

"""

PARTS = {
    "join": """\
join               Start this node's daemon, so that it joins the cluster
  -c <name>        Join only if the cluster has this name
  -n <name>        Be this node of cluster.conf
  -D[fail|warn|none]  What to do if cluster.conf is not valid (without -D: fail)
  -w               Wait until the daemon answers
  -q               Wait until the cluster is quorate
  -t <seconds>     Longest wait; needs -w or -q
""",
    "leave": """\
leave [remove] [force]  Let this node leave, unless services run on it
  remove           For good: the others expect its votes no more
  force            Stop the services in order first
  -w               Wait until the daemon has ended
  -t <seconds>     Longest wait; needs -w
""",
    "kill": """\
kill               Let nodes die at once, with their services; they are fenced
  -n <name>        The node; up to 10 times
""",
    "expected": """\
expected           Change the votes that the cluster expects, also without quorum
  -e <votes>       The new number
""",
    "votes": """\
votes              Change the votes of a node until the next configuration
  -v <votes>       The new number
  -n <name>        The node; without it, this one
""",
    "wait": """\
wait               Wait until the daemon answers
  -q               Wait until the cluster is quorate
  -t <seconds>     Longest wait; then the exit status is 2
""",
    "status": """\
status             Show the cluster, its votes and its quorum
""",
    "nodes": """\
nodes              Show the nodes
  -a               Show their addresses
  -f               Show when they were fenced last
  -n <name>        Show this node only; may be repeated
  -F <list>        Show only these, with commas between: id,name,type,addr,votes,exp,state
""",
    "services": """\
services           Show the fence domain and the other groups
""",
    "version": """\
version            Show the versions of the protocol and of the configuration
  -r <version>     Make the file of this node the cluster's; 0: whatever version it has
  -D[fail|warn|none]  What to do if the file is not valid (without -D: fail)
  -S               Accepted; the daemons distribute the file themselves
  -t <seconds>     Longest wait for the other nodes
""",
    "debug": """\
debug              Let this node's daemon log more
  -d[<mask>]       Any number but 0: more; without -d: as usual
""",
}


def usage(operation: str | None) -> str:
    """Return the help text of an operation, or of all where there is none."""
    return GENERAL + "\n".join(PARTS.values()) if operation is None else PARTS[operation]
