"""Two machines on one cable, as network namespaces that vanish with the test, whichever way it ends.

Each namespace is held open by a `cat` that ends when this process closes its pipe or dies; nothing has a name that could
be left behind. Needs root, or user namespaces.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

CAPTURE = Path(__file__).with_name("capture.py")
RUN_S_MAX = 30


def eventually(check: Callable[[], bool], within_s: float = 10) -> bool:
    """Tell whether `check` becomes true in time."""
    deadline_s = time.monotonic() + within_s
    while not (found := check()) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return found


class Namespace:
    """One network namespace."""

    def __init__(self, enter: Sequence[str], make: Sequence[str]) -> None:
        self._holder = subprocess.Popen(
            [*enter, *make, "sh", "-c", "echo held; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout
        assert self._holder.stderr
        if self._holder.stdout.readline() != "held\n":
            reason = self._holder.stderr.read().strip()
            self.close()
            raise OSError(reason)
        as_user = ["-U", "--preserve-credentials"] if "-U" in (*enter, *make) else []
        self.pid = self._holder.pid
        self.enter = ("nsenter", "-t", str(self.pid), "-n", *as_user)

    def close(self) -> None:
        """Give the namespace up; the kernel removes it with its last process."""
        with self._holder:
            assert self._holder.stdin
            self._holder.stdin.close()

    def run(self, *command: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        return subprocess.run(
            [*self.enter, *command], env=env, capture_output=True, text=True, timeout=RUN_S_MAX, check=False
        )

    def ip(self, *arguments: str) -> str:
        """Run iproute2 inside; it must succeed."""
        ended = self.run("ip", *arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def agent(self, name: str, operation: str, **parameters: str) -> subprocess.CompletedProcess[str]:
        """Run one of our resource agents inside, as a program."""
        env = {f"OCF_RESKEY_{key}": value for key, value in parameters.items() if key.islower()}
        env |= {key: value for key, value in parameters.items() if not key.islower()}
        return self.run(sys.executable, "-m", f"standfast.agents.{name}", operation, env=env)

    @contextmanager
    def hearing(self, device: str, ethertype: int) -> Iterator[Iterator[bytes]]:
        """Yield the frames that arrive on a device, from now on; reading waits for the next."""
        with subprocess.Popen(
            [*self.enter, sys.executable, str(CAPTURE), device, str(ethertype)],
            stdout=subprocess.PIPE,
            text=True,
        ) as capture:
            assert capture.stdout
            assert capture.stdout.readline() == "listening\n"
            try:
                yield (bytes.fromhex(line) for line in capture.stdout)
            finally:
                capture.kill()


class Cable:
    """`node` has eth0 with 10.1.4.201/24 and fd00:4::201/64, `peer` eth0 with .202; they are on one cable."""

    def __init__(self, node: Namespace, peer: Namespace) -> None:
        self.node = node
        self.peer = peer


@contextmanager
def cable() -> Iterator[Cable]:
    """Make the two machines; skips the test where the kernel does not let us."""
    with ExitStack() as stack:
        node = _first_namespace()
        stack.callback(node.close)
        peer = Namespace(node.enter, ["unshare", "-n"])
        stack.callback(peer.close)
        node.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(peer.pid))
        for number, end in ((201, node), (202, peer)):
            end.ip("link", "set", "lo", "up")
            end.ip("address", "add", f"10.1.4.{number}/24", "brd", "+", "dev", "eth0")
            end.ip("-6", "address", "add", f"fd00:4::{number}/64", "dev", "eth0", "nodad")
            end.ip("link", "set", "eth0", "up")
        # The kernel takes up to a second to notice that a link is ready for IPv6.
        assert eventually(lambda: _hears_multicast(node) and _hears_multicast(peer))
        yield Cable(node, peer)


def _hears_multicast(end: Namespace) -> bool:
    return "multicast ff00::/8 dev eth0" in end.ip("-6", "route", "show", "table", "local")


def _first_namespace() -> Namespace:
    ways = [["unshare", "-n"], ["unshare", "-U", "-r", "-n"]]
    reasons = []
    for way in ways if os.geteuid() == 0 else ways[1:]:
        try:
            return Namespace([], way)
        except OSError as error:
            reasons.append(str(error))
    pytest.skip(f"network namespaces are not permitted here: {'; '.join(reasons)}")
