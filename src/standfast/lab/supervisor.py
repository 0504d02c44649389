"""The process that owns a lab: whatever ends it, the lab's processes, namespaces and files go with it.

It is two processes. The outer one enters the lab's namespaces (as an ordinary user through a user namespace), waits for
the inner one, and clears up after it. The inner one is process 1 of the lab's PID namespace: when it dies, by whatever
signal, the kernel ends everything inside. It ends by itself when the outer one dies.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from msgspec import json, structs

from standfast.errors import StandfastError
from standfast.lab import isolation, kernel, processes
from standfast.lab.laboratory import Laboratory
from standfast.lab.plan import LabPlan, Place, needs_namespaces

READY = "ready"
PROGRESS = "progress"
FAILED = "failed"
RELEASE = b"r"  # what a starter writes that goes away and leaves the lab running


def main(arguments: Sequence[str]) -> int:
    """Run a lab in the background: DIRECTORY and the descriptors PROGRESS, OWNER and LOCK.

    To the first descriptor go lines `progress TEXT`, then `ready` or `failed TEXT`. The second is a pipe of the starter:
    when it is closed before RELEASE was written, the lab is removed. The third is a locked file, unlocked when all is over.
    """
    if os.fork() != 0:
        os._exit(0)
    os.setsid()
    place = Place(directory=Path(arguments[0]))
    progress, owner, lock = (int(argument) for argument in arguments[1:4])
    for descriptor in (progress, owner, lock):
        os.set_inheritable(descriptor, False)
    plan = json.decode(place.plan.read_bytes(), type=LabPlan)
    if plan.isolated:
        refusal = isolation.reason_against()
        if refusal:
            if plan.corosync:
                _tell(progress, FAILED, needs_namespaces(f"they are forbidden here ({refusal})"))
                shutil.rmtree(place.directory, ignore_errors=True)
                return 1
            plan = structs.replace(plan, isolated=False, fallback=refusal)
            _tell(
                progress,
                PROGRESS,
                f"namespaces are forbidden here ({refusal}): the nodes use loopback addresses",
            )
    place.plan.write_bytes(json.encode(plan))
    try:
        if plan.isolated:
            isolation.enter()
        else:
            kernel.adopt_orphans()
        return _watch_over(plan, progress, owner)
    except OSError as failure:
        _tell(progress, FAILED, str(failure))
        return 1
    finally:
        shutil.rmtree(place.directory, ignore_errors=True)


def _watch_over(plan: LabPlan, progress: int, owner: int) -> int:
    """Start the inner process, wait for its end, and end what it left."""
    life, our_life = os.pipe()
    inner = os.fork()
    if inner == 0:
        status = 1
        try:
            os.close(our_life)
            status = _run_inner(plan, progress, owner, life)
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    os.close(life)
    os.close(progress)
    os.close(owner)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: processes.signal_one(inner, number))
    _, status = os.waitpid(inner, 0)
    if not plan.isolated:
        asyncio.run(processes.kill_descendants(os.getpid()))
    return os.waitstatus_to_exitcode(status)


def _run_inner(plan: LabPlan, progress: int, owner: int, life: int) -> int:
    try:
        if plan.isolated:
            isolation.mount_proc()
        else:
            kernel.adopt_orphans()
        asyncio.run(_run_lab(plan, progress, owner, life))
    except (OSError, StandfastError) as failure:
        _tell(progress, FAILED, str(failure))
        return 1
    return 0


async def _run_lab(plan: LabPlan, progress: int, owner: int, life: int) -> None:
    loop = asyncio.get_running_loop()
    lab = Laboratory(plan, lambda text: _tell(progress, PROGRESS, text))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, lab.stop)

    def hear_owner() -> None:
        loop.remove_reader(owner)
        if os.read(owner, 1) != RELEASE:
            lab.stop()

    loop.add_reader(owner, hear_owner)
    loop.add_reader(life, lab.stop)

    def ready() -> None:
        _tell(progress, READY, "")
        os.close(progress)

    await lab.run(ready)


def _tell(progress: int, word: str, text: str) -> None:
    with contextlib.suppress(OSError):  # whoever started the lab may be gone
        os.write(progress, f"{word} {' '.join(text.split())}".rstrip().encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
