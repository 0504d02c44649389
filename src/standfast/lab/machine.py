"""The first process of a lab's machine: boots it, runs its daemon and commands, and buries the dead.

In its own PID namespace it is process 1; without namespaces it is the ancestor of all that belongs to the machine.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from msgspec import DecodeError, json

from standfast.engine.host import hold_host
from standfast.errors import RefusedError, StandfastError
from standfast.lab import calls, channel, filesystem, kernel, network, orders, processes
from standfast.lab.corosync import Corosync
from standfast.lab.httpd_control import WebServer
from standfast.lab.plan import Place, hosts_text, network_of
from standfast.lab.reaper import Reaper
from standfast.terms import NodeId
from standfast.wire.paths import PREFIX_VARIABLE

PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_ID_VARIABLE = "STANDFAST_BOOT_ID"
NODENAME_VARIABLE = "CMAN_NODENAME"  # as cman_tool join -n
ENGINE_RETRY_S = 0.5  # between two tries after the engine refused this machine
DAEMON_STOP_S_MAX = 30.0  # longest time that a daemon may take to end after SIGTERM


class Machine:
    """One booted machine."""

    def __init__(self, boot: orders.Boot, supervisor: socket.socket, reaper: Reaper) -> None:
        self._boot = boot
        self._place = Place(directory=Path(boot.plan.directory))
        self._supervisor = supervisor
        self._reaper = reaper
        self._daemon_pid: int | None = None
        self._daemon_end: asyncio.Future[int] | None = None
        self._environment = self._base_environment()
        self._corosync = Corosync(boot.machine.name, reaper)

    async def run(self) -> None:
        """Live until the supervisor is gone."""
        async with asyncio.TaskGroup() as tasks:
            if self._boot.machine.nodeid is not None:
                web = WebServer(
                    folder=self._root() / "run/httpd",
                    documents=self._place.root(self._boot.machine.name) / "var/www/html",
                    address="" if self._boot.plan.isolated else network_of(self._boot.plan).service_address,
                    port=network_of(self._boot.plan).web_port,
                    reaper=self._reaper,
                )
                tasks.create_task(web.run())
                if self._boot.plan.sequencer:
                    tasks.create_task(self._hold_engine(self._boot.machine.nodeid))
                if self._boot.plan.start_daemons:
                    await self._start_engine(tasks)
                    self._start_daemon(tasks)
            channel.send(self._supervisor, orders.Booted())
            while True:
                data, descriptors = await channel.receive_soon(self._supervisor)
                if not data:
                    break
                self._obey(orders.decode_order(data), descriptors, tasks)
            if not self._boot.plan.isolated:
                await processes.kill_descendants(os.getpid())
            os._exit(0)

    def _obey(self, order: orders.Order, descriptors: list[int], tasks: asyncio.TaskGroup) -> None:
        match order:
            case calls.Execute():
                self._execute(order, descriptors, tasks)
            case calls.OperateDaemon(action=action):
                tasks.create_task(self._operate_daemon(action, tasks))
            case orders.Boot():
                raise AssertionError("a machine boots once")

    def _root(self) -> Path:
        """The folder below which this machine's own files are."""
        return Path("/") if self._boot.plan.isolated else self._place.root(self._boot.machine.name)

    def _base_environment(self) -> dict[str, str]:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{PROGRAM_PATH}",
            "HOME": os.environ.get("HOME", "/"),
            "USER": os.environ.get("USER", "root"),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            BOOT_ID_VARIABLE: self._boot.boot_id,
        }
        if not self._boot.plan.isolated:
            environment[PREFIX_VARIABLE] = str(self._place.root(self._boot.machine.name))
            environment[NODENAME_VARIABLE] = self._boot.machine.name  # the host has one name for all
        return environment

    async def _hold_engine(self, nodeid: NodeId) -> None:
        """Tell the lab's engine that this machine is there, until the machine dies."""
        while True:
            try:
                await hold_host(str(self._place.sequencer), nodeid)
            except RefusedError as refusal:
                _log(f"the engine does not take this machine yet: {refusal}")
                await asyncio.sleep(ENGINE_RETRY_S)

    async def _start_engine(self, tasks: asyncio.TaskGroup) -> None:
        """Start corosync, where this lab is on it."""
        if self._boot.plan.corosync:
            await self._corosync.start(tasks)

    def _start_daemon(self, tasks: asyncio.TaskGroup) -> str:
        """Start the daemon and return "", or return why not."""
        if not self._boot.plan.daemon:
            return "this lab was started without a daemon"
        if self._daemon_pid is not None:
            return f"the daemon runs already, as process {self._daemon_pid}"
        try:
            daemon = subprocess.Popen(
                self._boot.plan.daemon,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as failure:
            _log(f"the daemon does not start: {failure}")
            return f"{self._boot.plan.daemon[0]}: {failure.strerror}"
        self._daemon_pid = daemon.pid
        self._daemon_end = self._reaper.end_of(daemon.pid)
        channel.send(self._supervisor, orders.DaemonRuns(daemon.pid))
        tasks.create_task(self._bury_daemon(daemon, self._daemon_end))
        return ""

    async def _bury_daemon(self, daemon: subprocess.Popen[bytes], end: asyncio.Future[int]) -> None:
        daemon.returncode = await end
        self._daemon_pid = None
        _log(f"the daemon, process {daemon.pid}, ended {_manner(daemon.returncode)}")
        channel.send(self._supervisor, orders.DaemonRuns(None))

    async def _operate_daemon(self, action: calls.DaemonAction, tasks: asyncio.TaskGroup) -> None:
        channel.send(self._supervisor, orders.DaemonOperated(await self._operated(action, tasks)))

    async def _operated(self, action: calls.DaemonAction, tasks: asyncio.TaskGroup) -> str:
        """Do it and return "", or return why not."""
        if action is calls.DaemonAction.START:
            await self._start_engine(tasks)
            return self._start_daemon(tasks)
        pid, end = self._daemon_pid, self._daemon_end
        if pid is None or end is None:
            return "no daemon runs there"
        processes.signal_one(pid, signal.SIGTERM if action is calls.DaemonAction.STOP else signal.SIGKILL)
        try:
            async with asyncio.timeout(DAEMON_STOP_S_MAX):
                await asyncio.shield(end)
        except TimeoutError:
            return f"the daemon, process {pid}, did not end within {DAEMON_STOP_S_MAX:.0f} s"
        return ""

    def _execute(self, order: calls.Execute, descriptors: list[int], tasks: asyncio.TaskGroup) -> None:
        standard, report = descriptors[:3], socket.socket(fileno=descriptors[3])
        report.setblocking(False)
        environment = {**dict(order.environment), **self._environment}
        directory = order.directory if Path(order.directory).is_dir() else "/"
        try:
            process = self._begin(order, standard, environment, directory)
        except OSError as failure:
            status = 127 if isinstance(failure, FileNotFoundError) else 126
            _tell(report, calls.NotBegun(status, f"{order.arguments[0]}: {failure.strerror}"))
            report.close()
            return
        finally:
            for descriptor in standard:
                os.close(descriptor)
        _tell(report, calls.Began(process.pid))
        tasks.create_task(self._attend(process, self._reaper.end_of(process.pid), report, tasks))

    def _begin(
        self, order: calls.Execute, standard: Sequence[int], environment: dict[str, str], directory: str
    ) -> subprocess.Popen[bytes]:
        program = shutil.which(order.arguments[0], path=environment["PATH"])
        if program is None:
            raise FileNotFoundError(2, "command not found")
        # A session leader without a terminal is given one by setsid(1), which is not a process of its own for long.
        prefix = ("setsid", "--ctty") if order.terminal else ()
        return subprocess.Popen(
            (*prefix, *order.arguments),
            stdin=standard[0],
            stdout=standard[1],
            stderr=standard[2],
            env=environment,
            cwd=directory,
            start_new_session=not order.terminal,
        )

    async def _attend(
        self,
        process: subprocess.Popen[bytes],
        end: asyncio.Future[int],
        report: socket.socket,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Pass the client's signals to the command, and its end to the client."""
        listening = tasks.create_task(_pass_signals(report, process.pid))
        process.returncode = await end
        listening.cancel()
        await asyncio.wait([listening])
        _tell(report, calls.Ended(process.returncode))
        report.close()


async def _pass_signals(report: socket.socket, pid: int) -> None:
    while True:
        data, _ = await channel.receive_soon(report)
        number = json.decode(data, type=calls.Signal).number if data else signal.SIGHUP
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            processes.signal_one(pid, number)
        if not data:
            return


def _tell(report: socket.socket, message: calls.Report) -> None:
    try:
        channel.send(report, message)
    except OSError:
        return  # the client is gone, and nobody else wants to know


def _manner(status: int) -> str:
    return f"with status {status}" if status >= 0 else f"by signal {-status} ({signal.Signals(-status).name})"


def _log(text: str) -> None:
    print(f"lab: {text}", flush=True)


def _make_up(boot: orders.Boot) -> None:
    """Give this process the machine's files and addresses; raises OSError or StandfastError."""
    place = Place(directory=Path(boot.plan.directory))
    name = boot.machine.name
    kernel.set_process_name("init")
    if not boot.plan.isolated:
        kernel.adopt_orphans()
        return
    boot_id = place.root(name) / "boot_id"
    filesystem.build_tree(
        place.directory, place.root(name), hostname=name, hosts=hosts_text(boot.plan), boot_id=boot_id
    )
    network.configure_machine(boot.machine)


async def _live(supervisor: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    reaper = Reaper(loop)
    data, _ = await channel.receive_soon(supervisor)
    if not data:
        return
    boot = json.decode(data, type=orders.Boot)
    try:
        _make_up(boot)
    except (OSError, StandfastError) as failure:
        channel.send(supervisor, orders.BootFailed(str(failure)))
        return
    _log(
        f"{boot.machine.name} boots, boot id {boot.boot_id}, {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"
    )
    await Machine(boot, supervisor, reaper).run()


def main(arguments: Sequence[str]) -> int:
    """Run a machine; the one argument is the descriptor of the connection to the supervisor."""
    supervisor = socket.socket(fileno=int(arguments[0]))
    supervisor.setblocking(False)
    try:
        asyncio.run(_live(supervisor))
    except DecodeError as failure:
        _log(f"not an order: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
