"""Starting and finding a lab: its directory is locked as long as it runs, and left to nobody when it does not."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import json

from standfast.errors import StandfastError
from standfast.lab import channel
from standfast.lab.plan import LabPlan, Place
from standfast.lab.supervisor import FAILED, PROGRESS, READY, RELEASE

REMOVE_S_MAX = 30.0  # longest time until a lab that was told to end is gone
_POLL_S = 0.005
_LOG_LINES_SHOWN = 5


class Ownership:
    """The hold of its starter on a lab: when the starter ends in any way without `release`, the lab is removed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Leave the lab running after this process."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._descriptor, RELEASE)
        os.close(self._descriptor)

    def drop(self) -> None:
        """Have the lab removed."""
        os.close(self._descriptor)


def start(plan: LabPlan, progress: Callable[[str], None]) -> Ownership:
    """Start the lab, tell `progress` how it goes, and return when it is up; raises StandfastError.

    If anything interrupts this, Ctrl-C too, the lab is removed.
    """
    directory = Path(plan.directory)
    place = Place(directory=directory)
    for path in (place.control, place.power, place.sequencer):
        channel.check_path(path)
    lock = _take_directory(place)
    end = End(place)
    try:
        try:
            place.plan.write_bytes(json.encode(plan))
            place.logs.mkdir()
            ownership = _launch(place, lock, progress)
        finally:
            os.close(lock)  # the supervisor keeps it, if it runs
    except BaseException as failure:
        end.wait()
        remove_leftovers(place)
        if isinstance(failure, OSError):
            raise StandfastError(
                f"{failure.filename or directory}: {failure.strerror}", code="lab-files"
            ) from failure
        raise
    end.close()
    return ownership


def is_running(place: Place) -> bool:
    """Whether a lab runs in this directory."""
    try:
        lock = os.open(place.lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _locked_by_us(lock)
    finally:
        os.close(lock)


def remove_leftovers(place: Place) -> bool:
    """Remove the directory of a lab that died; returns whether there was one. Raises StandfastError."""
    if not place.lock.exists():
        return False
    os.close(_take_directory(place))
    shutil.rmtree(place.directory)
    return True


class End:
    """The end of a lab that runs in a directory now, if one does; to be made before the lab is told to end."""

    def __init__(self, place: Place) -> None:
        self._place = place
        try:
            self._lock: int | None = os.open(place.lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            self._lock = None

    def close(self) -> None:
        """Wait no more."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def wait(self) -> None:
        """Wait until nothing of the lab is left; raises StandfastError when it does not end."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        give_up = time.monotonic() + REMOVE_S_MAX
        try:
            while not _locked_by_us(lock):
                if time.monotonic() > give_up:
                    raise StandfastError(
                        f"{self._place.directory}: the lab is not gone after {REMOVE_S_MAX:.0f} s; see"
                        f" {self._place.log('supervisor')}",
                        code="lab-not-gone",
                    )
                time.sleep(_POLL_S)
        finally:
            os.close(lock)


def _launch(place: Place, lock: int, progress: Callable[[str], None]) -> Ownership:
    progress_in, progress_out = os.pipe()
    owner_in, owner_out = os.pipe()
    ownership = Ownership(owner_out)
    command = (sys.executable, "-m", "standfast.lab.supervisor", str(place.directory))
    try:
        with (
            os.fdopen(progress_in, "r", errors="replace") as told,
            place.log("supervisor").open("a+b") as log,
        ):
            try:
                subprocess.run(
                    (*command, str(progress_out), str(owner_in), str(lock)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(progress_out, owner_in, lock),
                    cwd="/",
                    check=False,
                )
            finally:
                os.close(progress_out)
                os.close(owner_in)
            if not _follow(told, progress):
                raise StandfastError(
                    f"the supervisor ended while it started: {_tail(log.fileno())}", code="lab-not-started"
                )
    except BaseException:
        ownership.drop()
        raise
    return ownership


def _follow(told: Iterable[str], progress: Callable[[str], None]) -> bool:
    """Pass the supervisor's progress on; returns whether the lab is up. Raises StandfastError when it says why not."""
    for line in told:
        word, _, text = line.strip().partition(" ")
        if word == PROGRESS:
            progress(text)
        elif word == FAILED:
            raise StandfastError(text, code="lab-not-started")
        elif word == READY:
            return True
    return False


def _tail(log: int) -> str:
    lines = os.pread(log, 65536, 0).decode(errors="replace").strip().splitlines()
    return " / ".join(lines[-_LOG_LINES_SHOWN:]) or "it said nothing"


def _take_directory(place: Place) -> int:
    """Make the lab's directory and lock it; what a dead lab left in it is removed. Returns the lock's descriptor."""
    directory = place.directory
    while True:
        try:
            directory.mkdir(mode=0o700, parents=False, exist_ok=True)
            if not place.lock.exists() and any(directory.iterdir()):
                raise StandfastError(
                    f"{directory}: not empty, and not a lab's folder; choose another with --dir",
                    code="lab-files",
                )
            lock = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as failure:
            raise StandfastError(
                f"{directory}: {failure.strerror}; choose another folder with --dir", code="lab-files"
            ) from failure
        if not _locked_by_us(lock):
            os.close(lock)
            raise StandfastError(
                f"a lab is running already in {directory}; end it with: standfast lab down, or choose"
                " another folder with --dir",
                code="lab-running",
            )
        if _is_current(lock, place.lock):
            break
        os.close(lock)  # a lab that just ended took the file away
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry != place.lock:
            entry.unlink()
    return lock


def _locked_by_us(lock: int) -> bool:
    """Lock the file, unless a running lab has it locked."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_current(lock: int, path: Path) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(lock)
    return (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino)
