"""What the supervisor and a machine's first process say to each other, beside Execute and OperateDaemon of `calls`."""

from msgspec import Struct, json

from standfast.lab.calls import Execute, OperateDaemon
from standfast.lab.plan import LabPlan, MachinePlan


class Boot(Struct, frozen=True, tag="boot", kw_only=True):
    """Become this machine of this lab."""

    plan: LabPlan
    machine: MachinePlan
    boot_id: str


Order = Boot | Execute | OperateDaemon


class Booted(Struct, frozen=True, tag="booted"):
    """The machine is up; its daemon, where it is to have one, is started."""


class BootFailed(Struct, frozen=True, tag="boot-failed"):
    """The machine cannot come up, and ends."""

    text: str


class DaemonOperated(Struct, frozen=True, tag="daemon-operated"):
    """The answer to OperateDaemon; `refusal` says why nothing was done, "" if it was."""

    refusal: str


class DaemonRuns(Struct, frozen=True, tag="daemon-runs"):
    """The daemon has started or ended; `pid` is None when none runs."""

    pid: int | None


News = Booted | BootFailed | DaemonOperated | DaemonRuns


def decode_order(data: bytes) -> Order:
    """Read the supervisor's message; raises msgspec.DecodeError, also when it is something else."""
    order: Order = json.decode(data, type=Order)
    return order


def decode_news(data: bytes) -> News:
    """Read a machine's message; raises msgspec.DecodeError, also when it is something else."""
    news: News = json.decode(data, type=News)
    return news
