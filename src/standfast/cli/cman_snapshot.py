"""The membership as cman_tool shows it, read from the daemon's status line with the standard library alone.

These are the fields of `wire.control.Status` that cman_tool prints, and a test holds the two equal. See snapshot.py.
"""

from __future__ import annotations

from standfast.cli.fields import Json, flag_of, foreign, list_of, number_of, object_of, text_of

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Sequence

STATES = {"member": "M", "joining": "X", "leaving": "X", "dead": "X"}
"""The letter of each state (wire.control.NodeState); another one is shown as a question mark."""


class Row:
    """One node: see wire.control.NodeStatus and Membership."""

    __slots__ = (
        "addresses",
        "expected_votes",
        "fenced_by",
        "fenced_s",
        "incarnation",
        "joined_s",
        "local",
        "manager",
        "name",
        "nodeid",
        "state",
        "unfenced",
        "victim",
        "votes",
    )

    def __init__(self, raw: object) -> None:
        fields = object_of(raw)
        membership = object_of(fields.get("membership"))
        self.name = text_of(fields, "name")
        self.nodeid = number_of(fields, "nodeid")
        self.local = flag_of(fields, "local")
        self.manager = flag_of(fields, "manager")
        self.victim = flag_of(fields, "victim", default=False)
        self.state = text_of(membership, "state")
        self.incarnation = number_of(membership, "incarnation")
        self.joined_s = number_of(membership, "joined_s")
        self.votes = number_of(membership, "votes")
        self.expected_votes = number_of(membership, "expected_votes")
        self.addresses = _texts(membership, "addresses")
        self.fenced_s = number_of(membership, "fenced_s")
        self.fenced_by = text_of(membership, "fenced_by")
        self.unfenced = flag_of(membership, "unfenced")

    @property
    def letter(self) -> str:
        """The state, as the column Sts has it."""
        return STATES.get(self.state, "?")


class Cluster:
    """The whole answer: see wire.control.Status and Election."""

    __slots__ = (
        "clients",
        "cluster_id",
        "config_version",
        "dirty",
        "expected_votes",
        "generation",
        "joining",
        "leaving",
        "local",
        "managing",
        "multicast",
        "name",
        "quorate",
        "quorum",
        "rows",
        "total_votes",
        "two_node",
    )

    def __init__(self, fields: Json) -> None:
        election = object_of(fields.get("election"))
        self.name = text_of(fields, "cluster")
        self.cluster_id = number_of(fields, "cluster_id")
        self.config_version = number_of(fields, "config_version")
        self.quorate = flag_of(fields, "quorate")
        self.local = number_of(fields, "local")
        self.rows = sorted((Row(node) for node in list_of(fields, "nodes")), key=lambda row: row.nodeid)
        self.generation = number_of(election, "generation")
        self.joining = flag_of(election, "joining")
        self.leaving = flag_of(election, "leaving")
        self.expected_votes = number_of(election, "expected_votes")
        self.total_votes = number_of(election, "total_votes")
        self.quorum = number_of(election, "quorum")
        self.two_node = flag_of(election, "two_node")
        self.dirty = flag_of(election, "dirty")
        self.managing = flag_of(election, "managing")
        self.clients = number_of(election, "clients")
        self.multicast = _texts(election, "multicast")

    @property
    def here(self) -> Row:
        """This node's row."""
        for row in self.rows:
            if row.local:
                return row
        raise foreign("no node is the local one")

    @property
    def members(self) -> Sequence[Row]:
        """The rows of the members."""
        return [row for row in self.rows if row.letter == "M"]


def _texts(fields: Json, key: str) -> tuple[str, ...]:
    return tuple(str(text) for text in list_of(fields, key))
