"""standfast down: stops this node in order, and leaves nothing behind: services, the daemon, corosync.

Source: spec membership, sections 8, 12 and 16.5.
"""

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from msgspec import Struct

from standfast.errors import EngineError, StandfastError, UnreachableError
from standfast.node.caller import (
    DaemonProcess,
    ask_status,
    converse,
    failure_text,
    find_daemon,
)
from standfast.node.census import kill_services
from standfast.node.corosync_conf import is_ours
from standfast.node.corosync_process import CONF
from standfast.node.files import remove_file
from standfast.node.identity import read_boot_id
from standfast.node.place import Place, place_under
from standfast.node.program import run_steps, take_turn
from standfast.node.running_corosync import RunningCorosync, find_corosync_process
from standfast.node.service_manager import COROSYNC_UNIT, DAEMON_UNIT, DEVICE_UNIT, service_manager
from standfast.node.steps import Step, Steps
from standfast.node.trees import TreeStore
from standfast.terms import BootId
from standfast.wire.control import Acknowledged, Failure, LeaveCluster
from standfast.wire.paths import PREFIX_VARIABLE

PROGRAM = "standfast down"
BOOT_ID_VARIABLE = "STANDFAST_BOOT_ID"
END_S_MAX = 60.0  # longest wait for a daemon that has left
TERM_S_MAX = 10.0  # longest wait for a daemon that is to be given up
INTERRUPTED = "interrupted; a node that has begun to leave goes on: standfast status shows it, standfast down waits again"


class Options(Struct, frozen=True, kw_only=True):
    """The command line."""

    remove: bool = False
    force: bool = False
    after_leave: bool = False
    as_json: bool = False


def main(argv: Sequence[str], environ: Mapping[str, str], out: TextIO, err: TextIO) -> int:
    """Run the command and return its exit status: 0 nothing runs any more, 1 something does, 130 interrupted."""
    options = read_options(argv)
    place = place_under(environ.get(PREFIX_VARIABLE, ""))
    boot_id = BootId(read_boot_id(environ.get(BOOT_ID_VARIABLE, "")))

    def work(steps: Steps) -> str:
        steps.teller.title("Stopping cluster")
        with take_turn(place, PROGRAM):
            return _Stop(options, place, boot_id, steps).run()

    return run_steps(work, INTERRUPTED, as_json=options.as_json, out=out, err=err)


def read_options(argv: Sequence[str]) -> Options:
    """Return the options; ends the program with status 2 where they cannot be read."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Stop this node: its services go elsewhere, it leaves the cluster, and corosync ends.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--remove",
        action="store_true",
        help="leave for good, so that the others expect this node's votes no more",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="end what does not answer; the other nodes will then fence this one",
    )
    parser.add_argument("--after-leave", action="store_true", help=argparse.SUPPRESS)  # for cman_tool leave
    parser.add_argument("--json", action="store_true", help="tell each step as a JSON object, one a line")
    options = parser.parse_args(argv)
    return Options(
        remove=options.remove, force=options.force, after_leave=options.after_leave, as_json=options.json
    )


class _Stop:
    """One stop, step by step."""

    def __init__(self, options: Options, place: Place, boot_id: BootId, steps: Steps) -> None:
        self._options = options
        self._place = place
        self._boot_id = boot_id
        self._steps = steps
        self._manager = service_manager() if not place.prefix else None
        self._did_anything = False

    def run(self) -> str:
        """Do it all, and return the last sentence. Raises StandfastError, OSError."""
        if self._options.after_leave:
            return self._after_leave()
        self._daemon()
        if not self._place.prefix:
            self._corosync()
        self._files()
        return "this node is down" if self._did_anything else "this node was down already"

    def _after_leave(self) -> str:
        """End corosync once the daemon that leaves has ended; with one that stays, or a new one, nothing happens."""
        daemon = find_daemon(self._place.control_socket)
        if daemon is not None:
            with daemon:
                status = ask_status(self._place.control_socket)
                if status is not None and not (status.election is not None and status.election.leaving):
                    return "the daemon stays"
                while not daemon.has_ended(END_S_MAX):
                    pass
        if not self._place.prefix:
            self._corosync()
        return "this node is down"

    def _daemon(self) -> None:
        try:
            daemon = find_daemon(self._place.control_socket)
        except UnreachableError:
            if not self._options.force:
                raise
            daemon = None
        if daemon is None:
            self._no_daemon()
            return
        self._did_anything = True
        with daemon:
            try:
                with self._steps.step("leave", "Stopping services and leaving the cluster") as step:
                    self._leave(daemon, step)
            except UnreachableError:
                if not self._options.force:
                    raise
                with self._steps.step("kill", "Giving up the daemon"):
                    self._give_up(daemon)

    def _leave(self, daemon: DaemonProcess, step: Step) -> None:
        """Ask the daemon to leave, and wait until it has ended. Raises StandfastError."""
        path = self._place.control_socket
        if ask_status(path) is None:
            return  # it is ending already
        try:
            answer = converse(
                path,
                LeaveCluster(remove=self._options.remove),
                progress=step.note,
                meanwhile=lambda: self._tell_services(step),
            )
        except (ConnectionError, FileNotFoundError):
            answer = Acknowledged()  # it ended before it could say so
        if isinstance(answer, Failure) and answer.code == "leaving-already":
            step.note(answer.text)
            while not daemon.has_ended(1.0):
                self._tell_services(step)
        elif not isinstance(answer, Acknowledged):
            raise StandfastError(f"this node may not leave: {failure_text(answer)}", code="not-left")
        if not daemon.has_ended(END_S_MAX):
            raise UnreachableError(
                f"standfastd, process {daemon.pid}, has left and does not end; look at its log, or give it up with: "
                f"standfast down --force",
                code="daemon-stays",
            )

    def _tell_services(self, step: Step) -> None:
        """Say which services are still here."""
        status = ask_status(self._place.control_socket)
        if status is None or status.services is None:
            return
        me = next((node.name for node in status.nodes if node.local), None)
        here = [f"{service.name} ({service.state})" for service in status.services if service.owner == me]
        if here:
            step.note(f"still here: {', '.join(here)}")

    def _give_up(self, daemon: DaemonProcess) -> None:
        daemon.signal(signal.SIGKILL)
        if not daemon.has_ended(TERM_S_MAX):
            raise UnreachableError(
                f"standfastd, process {daemon.pid}, cannot be ended; it hangs in the kernel, restart the machine",
                code="daemon-stays",
            )
        kill_services(self._place.prefix)

    def _no_daemon(self) -> None:
        """The daemon does not run: its services may."""
        left = self._left_services()
        if not left:
            return
        if not self._options.force:
            raise StandfastError(
                f"the daemon has died, and these services may still run here: {', '.join(left)}; let a new one look "
                f"after them (standfast up), then stop it in order, or end all of it with: standfast down --force",
                code="services-left",
            )
        with self._steps.step("kill", "Ending what services left") as step:
            step.result = f"{kill_services(self._place.prefix)} processes"
        self._did_anything = True

    def _left_services(self) -> list[str]:
        if not self._place.running.is_dir():
            return []
        return [str(service) for service, _ in TreeStore(self._place.running, self._boot_id).load()]

    def _corosync(self) -> None:
        running = find_corosync_process()
        if running is None:
            return
        with running, self._steps.step("corosync", "Stopping corosync") as step:
            if not is_ours(CONF):
                step.result = f"it was left alone, since {CONF} is not ours"
                return
            self._did_anything = True
            if self._manager is not None:
                self._manager.stop(DEVICE_UNIT, DAEMON_UNIT, COROSYNC_UNIT)
            self._end(running, step)

    def _end(self, running: RunningCorosync, step: Step) -> None:
        try:
            running.end()
        except EngineError as failure:
            if not self._options.force:
                raise
            step.note(str(failure))
            running.kill()

    def _files(self) -> None:
        """Remove what a daemon keeps for a boot."""
        place = self._place
        for file in (place.lock, place.booted, place.control_socket):
            remove_file(file)
        for folder in (place.agents, place.output):
            shutil.rmtree(folder, ignore_errors=True)


def run() -> None:
    """Run the command as a program."""
    sys.exit(main(sys.argv[1:], os.environ, sys.stdout, sys.stderr))


if __name__ == "__main__":
    run()
