"""standfastd: the daemon of one node. It reads its configuration, takes its place in the cluster, and does its part.

standfastd [--foreground] --engine corosync | --engine local --sequencer SOCKET | --engine solo
           [--name NODENAME] [--agents FOLDER] [--watchdog DEVICE | none | auto]
"""

import argparse
import asyncio
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, assert_never

from msgspec import Struct

from standfast.cluster.session import Identity
from standfast.cluster.state import ConfigRequest
from standfast.conf.findings import fatal, render_finding
from standfast.conf.load import load
from standfast.conf.parse import BYTES_MAX
from standfast.engine import corosync as corosync_engine
from standfast.engine.local import attach
from standfast.engine.solo import SoloEngine
from standfast.errors import ConfError, RefusedError, StandfastError
from standfast.membership.votes import vote_table
from standfast.node.actions import Ending, EngineLost, Killed, Left, Refused, Restarting, Told
from standfast.node.background import detach, stay
from standfast.node.desk import too_long
from standfast.node.discovery import find_agents
from standfast.node.exits import ExitStatus
from standfast.node.guard import Guard, WatchfulSelector, longest_silence_ms
from standfast.node.identity import find_node, read_boot_id, read_epoch
from standfast.node.keeper import Keeper, refuse_overdue
from standfast.node.life import Setup, live
from standfast.node.lock import take_lock
from standfast.node.log import log_to, say
from standfast.node.notify import wanted_notices
from standfast.node.place import Place, make_folders, place_under
from standfast.node.privilege import begin_ordinary, take_privileges
from standfast.node.trees import is_anything_stored
from standfast.node.watchdog import (
    AUTO,
    DEFAULT_DEVICE,
    WATCHDOG_VARIABLE,
    DeviceWatchdog,
    Watchdog,
    chosen_device,
)
from standfast.resources.operation import AGENT_DIRECTORY
from standfast.terms import BootId, Incarnation
from standfast.wire.paths import PREFIX_VARIABLE

NAME_VARIABLE = "CMAN_NODENAME"
BOOT_ID_VARIABLE = "STANDFAST_BOOT_ID"
PATH_DEFAULT = "/usr/sbin:/usr/bin:/sbin:/bin"

logger = logging.getLogger(__name__)


class Options(Struct, frozen=True, kw_only=True):
    """The command line."""

    foreground: bool
    engine: str  # corosync, local or solo
    sequencer: str | None
    name: str
    agents: tuple[Path, ...]
    watchdog: str


def read_options(argv: Sequence[str]) -> Options:
    """Return the options; ends the program with status 2 where they cannot be read."""
    parser = argparse.ArgumentParser(
        prog="standfastd", description="The daemon of one cluster node.", allow_abbrev=False
    )
    parser.add_argument("--foreground", action="store_true", help="do not go to the background")
    parser.add_argument(
        "--engine",
        choices=("corosync", "local", "solo"),
        required=True,
        help="several machines, several nodes on this machine, or one alone",
    )
    parser.add_argument("--sequencer", metavar="SOCKET", help="where the local engine's sequencer listens")
    parser.add_argument("--name", default="", metavar="NODENAME", help="which node of cluster.conf this is")
    parser.add_argument(
        "--agents",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help=f"a folder of resource agents to look into before {AGENT_DIRECTORY}; may be repeated",
    )
    parser.add_argument(
        "--watchdog",
        default=AUTO,
        metavar="DEVICE",
        help=f'the device that resets a hung node, such as {DEFAULT_DEVICE}; "none"; or "auto" (the default): '
        f"what {WATCHDOG_VARIABLE} names, and none where that is not set",
    )
    options = parser.parse_args(argv)
    if (options.engine == "local") is not (options.sequencer is not None):
        parser.error("--engine local needs --sequencer SOCKET, and the others have none")
    return Options(
        foreground=options.foreground,
        engine=options.engine,
        sequencer=options.sequencer,
        name=options.name,
        agents=(*options.agents, Path(AGENT_DIRECTORY)),
        watchdog=options.watchdog,
    )


def main(
    argv: Sequence[str],
    environ: Mapping[str, str],
    open_watchdog: Callable[[Path], Watchdog] = DeviceWatchdog,
) -> int:
    """Run the daemon and return the exit status (ExitStatus); a daemon that begins anew does not return."""
    options = read_options(argv)
    try:
        ready = stay() if options.foreground else detach()
        log_to(sys.stderr)
        begin_ordinary()
        setup = prepare(options, environ)
        watchdog = _watchdog(setup, options, environ, open_watchdog)
        with asyncio.Runner(loop_factory=(watched := _Watched()).make_loop) as runner:
            ending = runner.run(_live(setup, options, watched.guard, ready, watchdog))
    except ConfError as failure:
        for line in str(failure).splitlines():
            sys.stderr.write(f"{line}\n")
        return ExitStatus.REFUSED
    except StandfastError as failure:
        say(str(failure))
        return ExitStatus.REFUSED if isinstance(failure, RefusedError) else ExitStatus.LOST
    except OSError as failure:
        where = f"{failure.filename}: " if failure.filename else ""
        say(f"{where}{failure.strerror or failure}; the daemon cannot run without it")
        return ExitStatus.LOST
    except Exception:  # noqa: BLE001 - the daemon ends here; services are left as they are, for the next one
        _report_defect(place_under(environ.get(PREFIX_VARIABLE, "")), traceback.format_exc())
        return ExitStatus.LOST
    return _end(ending)


def prepare(options: Options, environ: Mapping[str, str]) -> Setup:
    """Take the node's lock and read what stands on its disk. Raises StandfastError, OSError."""
    place = place_under(environ.get(PREFIX_VARIABLE, ""))
    make_folders(place)
    take_lock(place.lock)
    agents = find_agents(options.agents)
    data = _read_conf(place.cluster_conf)
    loaded = load(str(place.cluster_conf), data, tuple(agents.metadata))
    if loaded.cluster is None:
        raise ConfError("\n".join(loaded.lines), code="conf-invalid")
    for line in loaded.lines:
        logger.warning("config.finding", extra={"finding": line})
    config, document = loaded.cluster, data.decode()
    node = find_node(
        config, options.name or environ.get(NAME_VARIABLE, ""), os.uname().nodename, place.cluster_conf
    )
    text = too_long(ConfigRequest(id="", asked_by=node.nodeid, document=document, cluster=config))
    if text is not None:
        raise ConfError(f"{place.cluster_conf}: {text}", code="conf-too-long")
    me = Identity(
        cluster=config.name,
        nodeid=node.nodeid,
        name=node.name,
        incarnation=Incarnation(os.urandom(8).hex()),
        boot_id=BootId(read_boot_id(environ.get(BOOT_ID_VARIABLE, ""))),
        epoch_seen=read_epoch(place.epoch),
    )
    path = environ.get("PATH") or PATH_DEFAULT
    return Setup(
        place=place,
        me=me,
        config=config,
        document=document,
        agents=agents,
        path=path,
        engine=options.engine,
        notices=wanted_notices(environ, os.getpid()),
        privileges=take_privileges(),
        found_running=is_anything_stored(place.running, me.boot_id),
    )


class _Watched:
    """An event loop that notices when it stood still."""

    def __init__(self) -> None:
        self.guard = Guard()

    def make_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(WatchfulSelector(self.guard))


async def _live(
    setup: Setup, options: Options, guard: Guard, ready: Callable[[], None], watchdog: Watchdog | None
) -> Ending:
    me, votes = setup.me, vote_table(setup.config)
    keeper = Keeper(
        watchdog=watchdog,
        notices=setup.notices,
        note=setup.place.disorder,
        boot_id=me.boot_id,
        may_run=setup.found_running,
    )
    try:
        keeper.begin()
        if options.engine == "corosync":
            corosync = await corosync_engine.attach(me.nodeid, me.name, me.cluster, votes)
            silence_ms = longest_silence_ms(corosync.token_ms)
            return await live(
                setup,
                corosync,
                guard,
                longest_silence_ms=silence_ms,
                ready=ready,
                keeper=keeper,
                corosync=corosync,
            )
        if options.sequencer is None:
            solo = SoloEngine(me.nodeid, me.name, votes, view_id=time.time_ns() // 1_000_000)
            return await live(setup, solo, guard, longest_silence_ms=None, ready=ready, keeper=keeper)
        local = await attach(options.sequencer, me.nodeid, me.name, votes)
        silence_ms = longest_silence_ms(local.token_ms)
        return await live(setup, local, guard, longest_silence_ms=silence_ms, ready=ready, keeper=keeper)
    finally:
        keeper.close()


def _watchdog(
    setup: Setup, options: Options, environ: Mapping[str, str], open_watchdog: Callable[[Path], Watchdog]
) -> Watchdog | None:
    """Open the device that is configured; where there is none, say so. Raises RefusedError."""
    device = chosen_device(options.watchdog, environ.get(WATCHDOG_VARIABLE, ""))
    if device is not None:
        if setup.found_running:
            refuse_overdue(setup.place.disorder, setup.me.boot_id)
        return open_watchdog(device)
    text = f"{DEFAULT_DEVICE} is there, and not used" if DEFAULT_DEVICE.exists() else "this machine has none"
    logger.info("watchdog.none", extra={"text": f"{text}; a node that hangs is not reset by itself"})
    return None


def _read_conf(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(BYTES_MAX + 1)
    except OSError as failure:
        finding = fatal(0, "I03", f"cannot read: {failure.strerror}")
        raise ConfError(render_finding(str(path), finding), code="conf-unreadable") from failure


def _end(ending: Ending) -> int:
    match ending:
        case Left() | Told(at_once=False):
            return ExitStatus.IN_ORDER
        case Refused(text=text):
            say(text)
            return ExitStatus.REFUSED
        case EngineLost(text=text):
            say(text)
            return ExitStatus.LOST
        case Killed(because=text):
            say(text)
            return ExitStatus.AT_ONCE
        case Told():
            return ExitStatus.AT_ONCE
        case Restarting():
            return _begin_anew()
        case _:
            assert_never(ending)


def _begin_anew() -> NoReturn:
    """Run this program again in this process, as a new incarnation."""
    arguments = list(sys.orig_argv)
    if "--foreground" not in arguments:
        arguments.append("--foreground")  # it is in the background already
    sys.stderr.flush()
    os.execv(sys.executable, arguments)


def _report_defect(place: Place, trace: str) -> None:
    """Keep the traceback where a developer finds it, and say one sentence to whoever started the daemon."""
    file = place.state_dir / "defect.log"
    try:
        file.write_text(trace)
    except OSError:
        sys.stderr.write(trace)
    if not sys.stderr.isatty():
        sys.stderr.write(trace)
    say(f"it ended by a defect of its own, which {file} describes; its services are left as they are")


def run() -> NoReturn:
    """Run the daemon as a program."""
    sys.exit(main(sys.argv[1:], os.environ))


if __name__ == "__main__":
    run()
