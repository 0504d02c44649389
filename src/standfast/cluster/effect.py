"""What a participant wants done: the shell's work list.

Pure. One function of the shell turns each of these into an action.
"""

from msgspec import Struct

from standfast.cluster.entry import Entry
from standfast.cluster.epoch import Epoch
from standfast.cluster.state import Outcome
from standfast.conf.model import Cluster
from standfast.fencing.domain import CancelAttempt, StartAttempt
from standfast.membership.votes import VoteTable
from standfast.services.work import GiveUpWork, StartService, StopService


class Send(Struct, frozen=True, tag=True, kw_only=True):
    """Put an entry into the log."""

    entry: Entry


class TakeInventory(Struct, frozen=True, tag=True):
    """Look what runs on this machine, and bring what is neither running nor stopped to a known end."""


class WriteConfig(Struct, frozen=True, tag=True, kw_only=True):
    """Write the active configuration to this node's disk."""

    version: int
    document: str


class KeepEpoch(Struct, frozen=True, tag=True, kw_only=True):
    """Write the epoch to this node's disk so that it survives a loss of power."""

    epoch: Epoch


class UseConfig(Struct, frozen=True, tag=True, kw_only=True):
    """The active configuration is this one from now on: trees, fence methods."""

    cluster: Cluster
    document: str


class UseVotes(Struct, frozen=True, tag=True, kw_only=True):
    """Quorum is judged by these votes from now on."""

    table: VoteTable


class AnswerRequest(Struct, frozen=True, tag=True, kw_only=True):
    """Tell the operator who asked here how the request ended."""

    outcome: Outcome


class Note(Struct, frozen=True, tag=True, kw_only=True):
    """One line of history: an event name, what it is about, and a sentence."""

    event: str
    subject: str
    text: str = ""


class Quit(Struct, frozen=True, tag=True, kw_only=True):
    """The cluster refuses this node: end with this sentence."""

    text: str


class Restart(Struct, frozen=True, tag=True, kw_only=True):
    """Everything is stopped: start again as a new incarnation."""

    because: str


class Die(Struct, frozen=True, tag=True, kw_only=True):
    """An operator killed this node: end everything that runs here by force, then end, and do not start again."""

    because: str


class Leave(Struct, frozen=True, tag=True):
    """Say goodbye to the engine and end."""


Task = (
    StartService
    | StopService
    | GiveUpWork
    | StartAttempt
    | CancelAttempt
    | TakeInventory
    | WriteConfig
    | KeepEpoch
)
Effect = Task | Send | UseConfig | UseVotes | AnswerRequest | Note | Quit | Restart | Die | Leave
