"""The cluster as clustat shows it, read from the daemon's status line with the standard library alone.

These are the fields of `wire.control.Status` that clustat prints, and a test holds the two equal. They are plain classes and
not the wire's records, because loading msgspec costs more than twice what the whole of clustat may take.
"""

from __future__ import annotations

from standfast.cli.fields import (
    Json,
    flag_of,
    foreign,
    list_of,
    name_of,
    number_of,
    object_of,
    read_answer,
    text_of,
)

QUORUM_DISK_ID = 0  # the quorum disk's pseudo-member


class Member:
    """One node: see wire.control.NodeStatus."""

    __slots__ = ("estranged", "local", "manager", "name", "nodeid", "note", "online", "quorum_disk")

    def __init__(self, raw: object) -> None:
        fields = object_of(raw)
        self.name = text_of(fields, "name")
        self.nodeid = number_of(fields, "nodeid")
        self.online = flag_of(fields, "online")
        self.local = flag_of(fields, "local")
        self.quorum_disk = self.nodeid == QUORUM_DISK_ID
        self.estranged = flag_of(fields, "estranged") and not self.quorum_disk
        self.manager = flag_of(fields, "manager")
        self.note = text_of(fields, "note", "")


class Service:
    """One service: see wire.control.ServiceStatus."""

    __slots__ = (
        "because",
        "frozen",
        "last_owner",
        "name",
        "owner",
        "partial",
        "restarts",
        "state",
        "transition_s",
    )

    def __init__(self, raw: object) -> None:
        fields = object_of(raw)
        self.name = text_of(fields, "name")
        self.state = text_of(fields, "state")
        self.owner = name_of(fields, "owner")
        self.last_owner = name_of(fields, "last_owner")
        self.restarts = number_of(fields, "restarts")
        self.transition_s = number_of(fields, "transition_s")
        self.frozen = flag_of(fields, "frozen", default=False)
        self.partial = flag_of(fields, "partial", default=False)
        self.because = text_of(fields, "because", "")


class Snapshot:
    """The whole answer: see wire.control.Status. `services` is None where `unavailable` says why."""

    __slots__ = (
        "cluster",
        "cluster_id",
        "fencing",
        "local",
        "members",
        "quorate",
        "services",
        "unavailable",
        "view_id",
    )

    def __init__(self, raw: object) -> None:
        fields = object_of(raw)
        self.cluster = text_of(fields, "cluster")
        self.cluster_id = number_of(fields, "cluster_id")
        self.view_id = number_of(fields, "view_id")
        self.quorate = flag_of(fields, "quorate")
        self.local = number_of(fields, "local")
        self.members = [Member(node) for node in list_of(fields, "nodes")]
        self.services: list[Service] | None = None
        if fields.get("services") is not None:
            self.services = [Service(service) for service in list_of(fields, "services")]
        self.unavailable = text_of(fields, "unavailable", "")
        self.fencing = (
            [str(sentence) for sentence in list_of(fields, "fencing")] if "fencing" in fields else []
        )


def read_snapshot(line: bytes) -> Snapshot:
    """Read the daemon's answer to GetStatus.

    Raises StandfastError with the daemon's own text where it refuses, UnreachableError where this is no status.
    """
    return Snapshot(read_status(line))


def read_status(line: bytes) -> Json:
    """Return the answer's JSON object as it came; raises as read_snapshot."""
    answer = read_answer(line)
    if answer.get("type") != "status":
        raise foreign(f"type {answer.get('type')!r}")
    return answer
