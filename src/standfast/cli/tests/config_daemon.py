"""A daemon that only knows the configuration: it answers GetStatus and UpdateConfig by the real rules, in one process.

`mood` is how it is at the moment; see MOODS.
"""

from standfast.conf.load import load
from standfast.conf.model import Cluster
from standfast.conf.update import check_update
from standfast.errors import UnreachableError
from standfast.wire.control import (
    Acknowledged,
    Answer,
    Call,
    Failure,
    GetStatus,
    NodeStatus,
    Status,
    UpdateConfig,
    Updated,
    UpdateRejected,
)

MOODS = {
    "absent": "nobody listens",
    "quorate": "all is well",
    "inquorate": "the cluster has no quorum",
    "joining": "this node is not synced",
    "starting": "it cannot say its status yet",
    "racing": "another update wins each time",
    "halting": "one member does not write the file",
    "dying": "it dies right after an update became active, and comes back",
    "dead": "it dies when an update is proposed",
    "confused": "it answers something else",
    "confused-by-updates": "it answers updates with something else",
    "failing": "it fails to carry out updates",
    "late-inquorate": "quorum is lost just before the update",
    "late-joining": "the node falls out of sync just before the update",
    "late-newer": "another update comes just before this one",
}


class ConfigDaemon:
    """A small working daemon: `running` is the active configuration."""

    def __init__(self, running: Cluster, mood: str = "quorate") -> None:
        assert mood in MOODS
        self.running = running
        self.mood = mood

    def __call__(self, call: Call) -> Answer:
        if self.mood == "absent":
            raise unreachable(FileNotFoundError(2, "No such file or directory"))
        match call:
            case GetStatus():
                return self.status()
            case UpdateConfig(document=document):
                return self.update(document)
            case _:
                return Failure(code="not-known", text="this daemon knows only the configuration")

    def status(self) -> Answer:
        match self.mood:
            case "starting":
                return Failure(code="starting", text="the engine is not connected yet")
            case "confused":
                return Acknowledged("yes")
            case _:
                return Status(
                    cluster=self.running.name,
                    cluster_id=43188,
                    config_version=self.running.config_version,
                    view_id=7,
                    quorate=self.mood != "inquorate",
                    synced=self.mood not in {"inquorate", "joining"},
                    local=self.running.nodes[0].nodeid,
                    nodes=tuple(
                        NodeStatus(
                            name=node.name,
                            nodeid=node.nodeid,
                            online=True,
                            local=node is self.running.nodes[0],
                            estranged=False,
                            manager=True,
                        )
                        for node in self.running.nodes
                    ),
                    services=(),
                )

    def update(self, document: str) -> Answer:
        loaded = load("cluster.conf", document.encode())
        if loaded.cluster is None:
            return UpdateRejected(reason="invalid", findings=loaded.lines)
        old, new = self.running.config_version, loaded.cluster.config_version
        findings = check_update(self.running, loaded.cluster, {node.nodeid for node in self.running.nodes})
        if findings:
            return UpdateRejected(
                reason="invalid", current=old, proposed=new, findings=tuple(found.text for found in findings)
            )
        match self.mood:
            case "racing":
                return UpdateRejected(reason="lost-race", current=old, proposed=new, winning=new + 1)
            case "halting":
                text = "Unable to open connection to vapp2: No space left on device"
                return UpdateRejected(reason="not-written", current=old, proposed=new, findings=(text,))
            case "dead":
                raise unreachable(ConnectionResetError(104, "Connection reset by peer"))
            case "confused-by-updates":
                return Acknowledged("yes")
            case "failing":
                return Failure(
                    code="message-too-long", text="a message holds at most 1 MiB; shorten cluster.conf"
                )
            case "late-inquorate":
                return UpdateRejected(reason="not-quorate")
            case "late-joining":
                return UpdateRejected(reason="not-synced")
            case "late-newer":
                return UpdateRejected(reason="not-newer", current=new, proposed=new)
            case _:
                self.running = loaded.cluster
        if self.mood == "dying":
            self.mood = "quorate"
            raise unreachable(ConnectionResetError(104, "Connection reset by peer"))
        return Updated(old=old, new=new)


def unreachable(reason: OSError) -> UnreachableError:
    """What the client raises where a daemon does not answer, with the system's reason as its cause."""
    error = UnreachableError(
        f"/run/control.sock: {reason.strerror}: no daemon answers here", code="daemon-down"
    )
    error.__cause__ = reason
    return error
