"""Labs for tests: short-lived, in folders of their own, gone afterwards whatever happens."""

import os
import shutil
import signal
import socket
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standfast.lab import channel, isolation
from standfast.lab.cluster import Lab, Wanted

MARKER = 10_000_000 + os.getpid()  # the daemons of these labs are sleeps of a length that nobody else uses


def eventually(check: Callable[[], bool], within_s: float = 10) -> None:
    """Poll until the check holds."""
    give_up = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < give_up, f"not so within {within_s} s"
        time.sleep(0.01)


def processes_with(text: str) -> list[int]:
    """All processes of this machine that live and have the text in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def inner_supervisor(lab: Lab) -> int:
    """The process that listens on the lab's socket."""
    with channel.connect(lab.place.control) as connection:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[0]  # type: ignore[no-any-return]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets; a lab that is left in it is ended."""
    path = Path(tempfile.mkdtemp(prefix="sflab"))
    yield path / "lab"
    for pid in processes_with(f"standfast.lab.supervisor {path}".replace(" ", "\0")):
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not processes_with(str(path)))
    shutil.rmtree(path)


@pytest.fixture(params=["namespaces", "loopback"])
def isolated(request: pytest.FixtureRequest) -> bool:
    """Both kinds of lab, the first where it is allowed."""
    if request.param == "loopback":
        return False
    return request.getfixturevalue("namespaces_allowed")  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def namespaces_allowed() -> bool:
    """True, or a skipped test where namespaces are forbidden."""
    reason = isolation.reason_against()
    if reason:
        pytest.skip(f"namespaces are forbidden here: {reason}")
    return True


def wanted(folder: Path, *, isolated: bool, nodes: int = 2) -> Wanted:
    """A lab whose daemons only sleep."""
    return Wanted(directory=folder, nodes=nodes, isolated=isolated, daemon=("sleep", str(MARKER)))


@pytest.fixture
def lab(folder: Path, isolated: bool) -> Iterator[Lab]:
    """A lab of two nodes, of each kind."""
    with Lab.up(wanted(folder, isolated=isolated)) as lab:
        assert lab.plan().isolated == isolated
        yield lab


@pytest.fixture
def network_lab(folder: Path, namespaces_allowed: bool) -> Iterator[Lab]:
    """A lab of three nodes in namespaces."""
    with Lab.up(wanted(folder, isolated=namespaces_allowed, nodes=3)) as lab:
        yield lab


@pytest.fixture
def loopback_lab(folder: Path) -> Iterator[Lab]:
    """A lab of two nodes without namespaces."""
    with Lab.up(wanted(folder, isolated=False)) as lab:
        yield lab
