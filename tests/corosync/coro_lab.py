"""Making clusters on corosync for situation tests: their cluster.conf, their lab, and keeping one for several tests."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.contract.agents.power_socket import power_socket
from tests.corosync.coro_town import SERVICE, WAIT_S_MAX, Town

from standfast.lab.cluster import Lab, Wanted
from standfast.lab.plan import corosync_daemon_command

TOTEM = '<totem token="1500"/>'
ADDRESS = "10.1.4.150"
SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"

Switch = Callable[[str, str, Callable[[str, str], str]], str]
"""Answers an action on a node, given the lab's own power switch."""


def need_corosync() -> None:
    """Skip the test where it cannot run."""
    if os.geteuid() != 0:
        pytest.skip("corosync in a lab takes root")
    if shutil.which("corosync", path=SBIN) is None:
        pytest.skip("corosync is not installed")


def configuration(
    names: Sequence[str],
    power: str,
    *,
    fence: str = "",
    service: str | None = None,
    address: str = ADDRESS,
    altnames: bool = False,
    totem: str = TOTEM,
) -> str:
    """A cluster.conf. `fence`: attributes of each node's device; `service`: its children."""
    nodes = "".join(
        f'<clusternode name="{name}" votes="1" nodeid="{number}">\n'
        + (f'<altname name="{name}-b"/>\n' if altnames else "")
        + f'<fence><method name="power"><device name="power" port="{name}" {fence}/></method></fence></clusternode>\n'
        for number, name in enumerate(names, 1)
    )
    cman = '<cman two_node="1" expected_votes="1"/>' if len(names) == 2 else "<cman/>"
    children = (
        f'<ip address="{address}" monitor_link="1"/><script name="http" file="/etc/init.d/httpd"/>'
        if service is None
        else service
    )
    return f"""<?xml version="1.0"?>
<cluster name="storms" config_version="1">
<clusternodes>
{nodes}</clusternodes>
{cman}
{totem}
<fence_daemon post_join_delay="3"/>
<fencedevices><fencedevice name="power" agent="fence_lab" ipaddr="{power}"/></fencedevices>
<rm><service name="{SERVICE}">{children}</service></rm>
</cluster>
"""


@contextmanager
def coro_town(
    nodes: int = 2,
    *,
    fence: str = "",
    switch: Switch | None = None,
    service: str | None = None,
    address: str = ADDRESS,
    altnames: bool = False,
    totem: str = TOTEM,
    start: bool = True,
    agent: str = "",
) -> Iterator[Town]:
    """Make a cluster on corosync whose service runs; everything goes away with the block.

    `switch`: decides, given the lab's own, how each request to the power switch is answered. `start`: with daemons.
    `agent`: the text of one more resource agent, the program `stubborn`.
    """
    folder = Path(tempfile.mkdtemp(prefix="sf-storm-", dir="/tmp"))
    folder.chmod(0o755)
    names = [f"vapp{number}" for number in range(1, nodes + 1)]
    try:
        config = folder / "cluster.conf"
        config.write_text(
            configuration(
                names,
                str(folder / ("switch.sock" if switch is not None else "lab/power.sock")),
                fence=fence,
                service=service,
                address=address,
                altnames=altnames,
                totem=totem,
            )
        )
        daemon = (*corosync_daemon_command(), *(("--agents", str(folder / "agents")) if agent else ()))
        if agent:
            _install(folder / "agents/stubborn", agent)
        wanted = Wanted(
            directory=folder / "lab", config=config, corosync=True, start_daemons=start, daemon=daemon
        )
        with Lab.up(wanted) as lab, _switched(folder / "switch.sock", lab, switch):
            town = Town(lab, names, address)
            try:
                if start:
                    town.owner()
                yield town
            except BaseException:
                print(f"--- all of the lab's log\n{lab.place.log('all').read_text()}")
                raise
            finally:
                town.probing.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _install(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(0o755)


@contextmanager
def _switched(path: Path, lab: Lab, switch: Switch | None) -> Iterator[None]:
    """Let a power switch of the test's own stand before the lab's, for the length of the block."""
    if switch is None:
        yield
        return
    with power_socket(path) as controller:
        controller.answer = lambda action, name: switch(action, name, partial(_ask_lab, lab.place.power))
        yield


def _ask_lab(path: Path, action: str, name: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rw") as lines:
        connection.settimeout(WAIT_S_MAX)
        connection.connect(str(path))
        lines.write(f"{action} {name}\n")
        lines.flush()
        return lines.readline().rstrip("\n")


class TownKeeper:
    """Keeps one cluster for several tests, and makes a new one where a test has not left it whole."""

    def __init__(self, nodes: int, fence: str = "") -> None:
        self._make = partial(coro_town, nodes, fence=fence)
        self._open: AbstractContextManager[Town] | None = None
        self._town: Town | None = None

    def town(self) -> Town:
        """A whole cluster, in which a new situation begins."""
        if self._town is None or not self._town.is_whole:
            self.close()
            self._open = self._make()
            self._town = self._open.__enter__()
            self._town.audit()
        return self._town.begin()

    def close(self) -> None:
        """Remove the cluster."""
        opened, self._open, self._town = self._open, None, None
        if opened is not None:
            opened.__exit__(None, None, None)
