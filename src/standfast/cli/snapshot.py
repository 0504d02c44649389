"""The cluster as clustat shows it, read from the daemon's status line with the standard library alone.

These are the fields of `wire.control.Status` that clustat prints, and a test holds the two equal. They are plain classes and
not the wire's records, because loading msgspec costs more than twice what the whole of clustat may take.
"""

from __future__ import annotations

import json

from standfast.cli.line import PROTOCOL_VERSION
from standfast.errors import StandfastError, UnreachableError

QUORUM_DISK_ID = 0  # the quorum disk's pseudo-member

_Json = dict[str, object]


class Member:
    """One node: see wire.control.NodeStatus."""

    __slots__ = ("estranged", "local", "manager", "name", "nodeid", "note", "online", "quorum_disk")

    def __init__(self, raw: object) -> None:
        fields = _object(raw)
        self.name = _text(fields, "name")
        self.nodeid = _number(fields, "nodeid")
        self.online = _flag(fields, "online")
        self.local = _flag(fields, "local")
        self.quorum_disk = self.nodeid == QUORUM_DISK_ID
        self.estranged = _flag(fields, "estranged") and not self.quorum_disk
        self.manager = _flag(fields, "manager")
        self.note = _text(fields, "note", "")


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
        fields = _object(raw)
        self.name = _text(fields, "name")
        self.state = _text(fields, "state")
        self.owner = _name(fields, "owner")
        self.last_owner = _name(fields, "last_owner")
        self.restarts = _number(fields, "restarts")
        self.transition_s = _number(fields, "transition_s")
        self.frozen = _flag(fields, "frozen", default=False)
        self.partial = _flag(fields, "partial", default=False)
        self.because = _text(fields, "because", "")


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
        fields = _object(raw)
        self.cluster = _text(fields, "cluster")
        self.cluster_id = _number(fields, "cluster_id")
        self.view_id = _number(fields, "view_id")
        self.quorate = _flag(fields, "quorate")
        self.local = _number(fields, "local")
        self.members = [Member(node) for node in _list(fields, "nodes")]
        self.services: list[Service] | None = None
        if fields.get("services") is not None:
            self.services = [Service(service) for service in _list(fields, "services")]
        self.unavailable = _text(fields, "unavailable", "")
        self.fencing = [str(sentence) for sentence in _list(fields, "fencing")] if "fencing" in fields else []


def read_snapshot(line: bytes) -> Snapshot:
    """Read the daemon's answer to GetStatus.

    Raises StandfastError with the daemon's own text where it refuses, UnreachableError where this is no status.
    """
    return Snapshot(read_status(line))


def read_status(line: bytes) -> _Json:
    """Return the answer's JSON object as it came; raises as read_snapshot."""
    try:
        fields = _object(json.loads(line))
        if fields.get("v") != PROTOCOL_VERSION:
            raise _foreign(f"version {fields.get('v')} instead of {PROTOCOL_VERSION}")
        answer = _object(fields.get("answer"))
    except (ValueError, RecursionError) as error:
        raise _foreign(str(error)) from error
    if answer.get("type") == "failure":
        daemon_code = _text(answer, "code")
        raise StandfastError(_text(answer, "text"), code=daemon_code)
    if answer.get("type") != "status":
        raise _foreign(f"type {answer.get('type')!r}")
    return answer


def _foreign(what: str) -> UnreachableError:
    return UnreachableError(
        f"the answer is not of our protocol ({what}); the daemon is of another release: restart it",
        code="not-our-protocol",
    )


def _object(raw: object) -> _Json:
    if isinstance(raw, dict):
        return raw
    raise _foreign(f"{raw!r:.40} is no object")


def _list(fields: _Json, key: str) -> list[object]:
    value = fields.get(key)
    if isinstance(value, list):
        return value
    raise _foreign(f'"{key}" is {value!r:.40}')


def _text(fields: _Json, key: str, default: str | None = None) -> str:
    value = fields.get(key, default)
    if isinstance(value, str):
        return value
    raise _foreign(f'"{key}" is {value!r:.40}')


def _name(fields: _Json, key: str) -> str | None:
    return None if fields.get(key) is None else _text(fields, key)


def _number(fields: _Json, key: str) -> int:
    value = fields.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _foreign(f'"{key}" is {value!r:.40}')


def _flag(fields: _Json, key: str, *, default: bool | None = None) -> bool:
    value = fields.get(key, default)
    if isinstance(value, bool):
        return value
    raise _foreign(f'"{key}" is {value!r:.40}')
