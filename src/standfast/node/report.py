"""How the daemon is, for `standfast doctor`."""

import os

from standfast.cluster.participant import Participant
from standfast.node.keeper import Keeper
from standfast.node.privilege import Privileges
from standfast.node.standing import standing
from standfast.wire.control import DaemonReport


def report(engine: str, privileges: Privileges, keeper: Keeper, participant: Participant) -> DaemonReport:
    """Return the answer to GetDaemon."""
    watchdog = keeper.watchdog
    return DaemonReport(
        pid=os.getpid(),
        engine=engine,
        standing=standing(participant),
        memory_refusal=privileges.memory_refusal,
        oom_score_adj=privileges.oom_score_adj,
        watchdog="" if watchdog is None else watchdog.name,
        watchdog_ms=0 if watchdog is None else watchdog.timeout_ms,
        is_petted=keeper.is_petting,
    )
