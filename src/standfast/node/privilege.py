"""What the daemon has and its agents must not: memory that stays in memory, and a place last in line when that is short.

Real-time scheduling is not among it: the engine that must answer in time has it itself, and a fault of ours must not take
a processor from everything else (docs/running.md). Source: mlockall(2), proc_pid_oom_score_adj(5), sched_setscheduler(2).
"""

import ctypes
import logging
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

OOM_SCORE_FILE = Path("/proc/self/oom_score_adj")
OOM_SCORE_MIN = -1000  # never killed for want of memory
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_MCL_SHIFT = 13  # on the machines whose kernel numbers these flags otherwise
_SHIFTED_MACHINES = ("alpha", "ppc", "sparc")
_KEPT_SIGNALS = {
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGPIPE,
    signal.SIGXFSZ,
}  # Python ignores the last two

logger = logging.getLogger(__name__)


class Privileges(Struct, frozen=True, kw_only=True):
    """What was allowed. `memory_refusal` is the system's reason for not locking memory, "" where it is locked."""

    memory_refusal: str
    oom_score_adj: int


def begin_ordinary() -> None:
    """Undo what this process inherited and would pass on: ignored and blocked signals, a priority above the ordinary.

    A raised priority or real-time class, where somebody gave us one, stays ours: the kernel takes it from each child.
    """
    for number in signal.valid_signals() - _KEPT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    policy = os.sched_getscheduler(0) | os.SCHED_RESET_ON_FORK
    os.sched_setscheduler(0, policy, os.sched_getparam(0))
    if _oom_score() < 0:
        _write_oom_score(0)


def take_privileges() -> Privileges:
    """Lock the memory and go to the end of the line; what is not allowed is said once in the log, and is not needed."""
    refusal = _lock_memory()
    if refusal:
        logger.warning("memory.not-locked", extra={"reason": refusal})
    try:
        _write_oom_score(OOM_SCORE_MIN)
    except OSError as failure:
        fields = {"reason": failure.strerror, "oom_score_adj": _oom_score()}
        logger.warning("memory.not-spared", extra=fields)
    return Privileges(memory_refusal=refusal, oom_score_adj=_oom_score())


@contextmanager
def ordinary_children() -> Iterator[None]:
    """What is started inside is killed for want of memory as any process; this one is so, too, for that moment.

    Locked memory need not be undone: the kernel does not pass it on, to a copy of this process or to another program.
    """
    score = _oom_score()
    if score >= 0:
        yield
        return
    _write_oom_score(0)
    try:
        yield
    finally:
        _write_oom_score(score)


def _lock_memory() -> str:
    """Lock what is in memory and what will be, page by page as it is used; returns the reason where that is refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft == resource.RLIM_INFINITY:
        return _mlockall()
    # Under a limit that is reached later, an allocation of ours would fail. With a limit of 0 the kernel allows it only
    # to those whom no limit holds.
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, hard))
    try:
        return _mlockall()
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))


def _mlockall() -> str:
    flags = _MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT
    if os.uname().machine.startswith(_SHIFTED_MACHINES):
        flags <<= _MCL_SHIFT
    if ctypes.CDLL(None, use_errno=True).mlockall(flags) == 0:
        return ""
    return os.strerror(ctypes.get_errno())


def _oom_score() -> int:
    return int(OOM_SCORE_FILE.read_text())


def _write_oom_score(score: int) -> None:
    OOM_SCORE_FILE.write_text(f"{score}\n")
