"""The little world in which the stories of this room happen: machines, daemons, an ordered log, agents, disks, operators.

Setting up: `nodes 1 2 3 [votes=1,1,1]`, `two_node`, `delays [join=S|ever] [fail=S|ever]`, `service NAME [autostart=0]`,
`file N version=V` (another version on that disk), `begin [1 2 ...]` (switches these machines on, all where none is named).
`quietly` before a command: what comes of it is not told.

What is sent is read at once by everybody, unless `slowly` was said: then `reads N [COUNT]` lets one node read (everything,
without a number), and `settle` lets all read. Agents do what they are asked at once and well, unless `agents by hand` (then
`ended N SERVICE ok|failed`) or `start_fails|stop_fails SERVICE N` (until `works SERVICE`). Fencing takes the victim's power
at once, unless `fencing by hand` (then `fenced N by=M ok|failed`). Disks keep what they are given at once, unless `disk N by
hand` (then `stored N config|epoch ok|failed`).

Machines: `dies N` (its power), `boots N`, `daemon N dies`, `daemon N starts [name=X] [cluster=X] [version=V] [speaks=A-B]`,
`freezes N [unnoticed]`, `thaws N`, `cut 1,2 3`, `heal`. With `lost=M`, `dies` and `cut` lose the last that M sent to those
who have not read it. `N runs SERVICE`, `N loses SERVICE`, `N spoils SERVICE` (a part that cannot be stopped) change what
really runs; `half N SERVICE stuck`: what will be half done there cannot be ended. `corrupt N` spoils the state that it
holds. `time MS` passes; `clock N [jump=MS] [speed=PERCENT]`, `wall N off=S`. `engine N lags`: what it is told of votes
counts there only after `engine N counts`; `engine N repeats` what it says of quorum.

Operators: `ask OPTION SERVICE by=N [on=N]`, `churn SERVICE by=N times=K` (freeze, unfreeze), `check SERVICE failed`,
`leave N [how=remove|unless_busy]`, `override N by=M`, `kill N by=M`, `expected VOTES by=N`, `votes N VOTES by=M`,
`update by=N version=V [add=S] [drop=S] [change=S] [with=N] [without=N] [name=X]`, `halt` with the same options.
Looks: `status N`, `clocks`.
"""

from msgspec.structs import replace
from tests.stories import words

from standfast.cluster import participant as core
from standfast.cluster import session as log
from standfast.cluster.state import (
    ConfigRequest,
    ExpectedRequest,
    HaltRequest,
    KillRequest,
    LeaveRequest,
    OperatorRequest,
    OverrideRequest,
    VotesRequest,
)
from standfast.cluster.tests.story_configs import (
    delays,
    nodeid_of,
    nodeids_of,
    plain_node,
    plain_service,
    updated,
    with_services,
)
from standfast.cluster.tests.story_machine import HALF, RUNNING
from standfast.cluster.tests.story_telling import knowledge, status_lines
from standfast.cluster.tests.story_world import StoryWorld, state_of
from standfast.conf.model import Cluster
from standfast.membership.view import DepartureReason
from standfast.services.proposal import ServiceRequest
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Operation

OPERATIONS = {
    "-e": Operation.ENABLE,
    "-d": Operation.DISABLE,
    "-s": Operation.STOP,
    "-r": Operation.RELOCATE,
    "-R": Operation.RESTART,
    "-Z": Operation.FREEZE,
    "-U": Operation.UNFREEZE,
}


class ClusterStory:
    """A world that is told what happens, and tells what comes of it."""

    def __init__(self) -> None:
        self.world = StoryWorld()
        self.asked = 0
        self.shown: set[str] = set()

    def tell(self, command: str) -> list[str]:
        """Carry out one command, let everything come to rest unless the story goes slowly; return what happened."""
        (verb, *rest), options = words(command.removeprefix("quietly "))
        self.world.lines, self.world.notes = [], {}
        told = self._setting(verb, rest, options) or self._machine(verb, rest, options)
        told = told or self._operator(verb, rest, options) or self._work(verb, rest, options)
        assert told or self._look(verb, rest), f"no such command: {command}"
        self.world.network.form_views()
        if not self.world.slowly:
            self.world.settle()
        return [] if command.startswith("quietly ") else [self._line_of(line) for line in self.world.lines]

    def show(self) -> list[str]:
        """Return what each node knows, and what really runs, where that is news."""
        lines = [*self._known(), *self._really()]
        news = [line for line in lines if line not in self.shown]
        self.shown = set(lines)
        return news

    # Commands

    def _setting(self, verb: str, rest: list[str], options: dict[str, str]) -> bool:
        match verb, rest:
            case "nodes", _:
                votes = [int(v) for v in options.get("votes", "").split(",") if v]
                nodes = tuple(plain_node(nodeid_of(n)) for n in rest)
                if votes:
                    nodes = tuple(replace(n, votes=v) for n, v in zip(nodes, votes, strict=True))
                self.world.cluster = replace(self.world.cluster, nodes=nodes)
            case "two_node", []:
                self.world.cluster = replace(self.world.cluster, two_node=True)
            case "delays", []:
                self.world.cluster = replace(self.world.cluster, fence_daemon=delays(options))
            case "service", [name]:
                service = plain_service(name, autostart=options.get("autostart") != "0")
                self.world.cluster = with_services(
                    self.world.cluster, (*self.world.cluster.rm.services, service)
                )
            case "file", [nodeid]:
                self.world.make_machines()
                disk = replace(self.world.cluster, config_version=int(options["version"]))
                self.world.machines[nodeid_of(nodeid)].disk = disk
            case "begin", _:
                self.world.make_machines()
                for nodeid in rest or [str(n.nodeid) for n in self.world.cluster.nodes]:
                    self.world.boot(self.world.machines[nodeid_of(nodeid)])
            case "slowly", []:
                self.world.slowly = True
            case "settle", []:
                self.world.network.form_views()
                self.world.settle()
            case (("agents" | "fencing"), ["by", "hand"]):
                setattr(self.world, f"{verb}_by_hand", True)
            case "disk", [nodeid, "by", "hand"]:
                self.world.disks_by_hand.add(nodeid_of(nodeid))
            case (("start_fails" | "stop_fails"), [name, nodes]):
                fails = self.world.start_fails if verb == "start_fails" else self.world.stop_fails
                fails[name] = set(nodeids_of(nodes))
            case "works", [name]:
                self.world.start_fails.pop(name, None)
                self.world.stop_fails.pop(name, None)
            case "half", [nodeid, name, "stuck"]:
                self.world.stuck.add((nodeid_of(nodeid), name))
            case _:
                return False
        return True

    def _machine(self, verb: str, rest: list[str], options: dict[str, str]) -> bool:
        match verb, rest:
            case "reads", [nodeid]:
                self.world.read_many(self.world.machines[nodeid_of(nodeid)], None)
            case "reads", [nodeid, count]:
                self.world.read_many(self.world.machines[nodeid_of(nodeid)], int(count))
            case "dies", [nodeid]:
                self.world.take_power(self.world.machines[nodeid_of(nodeid)])
                self.world.lose_unread(options)
            case "boots", [nodeid]:
                self.world.boot(self.world.named(nodeid_of(nodeid), options))
            case "daemon", [nodeid, "dies"]:
                self.world.end_daemon(self.world.machines[nodeid_of(nodeid)], DepartureReason.PROCESS_DOWN)
            case "daemon", [nodeid, "starts"]:
                self.world.start_daemon(self.world.named(nodeid_of(nodeid), options))
            case "freezes", [nodeid, *how]:
                self.world.machines[nodeid_of(nodeid)].frozen_at_ms = self.world.now_ms
                if not how:
                    self.world.network.lose(nodeid_of(nodeid))
            case "thaws", [nodeid]:
                self.world.thaw(self.world.machines[nodeid_of(nodeid)])
            case "cut", sides:
                self.world.network.split([nodeids_of(side) for side in sides])
                self.world.lose_unread(options)
            case "heal", []:
                self.world.network.split(())
            case "time", [ms]:
                self.world.let_pass(int(ms))
            case "clock", [nodeid]:
                percent = int(options["speed"]) if "speed" in options else None
                clock = self.world.machines[nodeid_of(nodeid)].clock
                clock.set(self.world.now_ms, jump_ms=int(options.get("jump", "0")), percent=percent)
            case "engine", [nodeid, "lags"]:
                self.world.machines[nodeid_of(nodeid)].engine_lags = True
            case "engine", [nodeid, "repeats"]:
                self.world.tell_quorum(self.world.machines[nodeid_of(nodeid)])
            case "engine", [nodeid, "counts"]:
                self.world.machines[nodeid_of(nodeid)].engine_lags = False
                self.world.count_votes(self.world.machines[nodeid_of(nodeid)])
                self.world.drain(self.world.machines[nodeid_of(nodeid)])
            case "wall", [nodeid]:
                self.world.machines[nodeid_of(nodeid)].wall_off_s = int(options["off"])
            case "corrupt", [nodeid]:
                self.world.corrupt(self.world.machines[nodeid_of(nodeid)])
            case _:
                return False
        return True

    def _operator(self, verb: str, rest: list[str], options: dict[str, str]) -> bool:
        if verb == "churn":
            for _ in range(int(options["times"])):
                self._request("ask", ["-Z", rest[0]], options)
                self.world.settle()
                self._request("ask", ["-U", rest[0]], options)
                self.world.settle()
            self.world.lines = [x for x in self.world.lines if "frozen" not in x and "SUCCESS" not in x]
            return True
        return self._request(verb, rest, options)

    def _request(self, verb: str, rest: list[str], options: dict[str, str]) -> bool:
        number = f"r{self.asked + 1}"
        request: OperatorRequest
        match verb, rest:
            case "ask", [option, name]:
                request = ServiceRequest(
                    id=number,
                    operation=OPERATIONS[option],
                    service=ServiceName(name),
                    asked_by=nodeid_of(options["by"]),
                    target=nodeid_of(options["on"]) if "on" in options else None,
                )
            case "leave", [nodeid]:
                request = LeaveRequest(
                    id=number,
                    asked_by=nodeid_of(nodeid),
                    remove=options.get("how") == "remove",
                    unless_busy=options.get("how") == "unless_busy",
                )
            case "expected", [votes]:
                request = ExpectedRequest(id=number, asked_by=nodeid_of(options["by"]), votes=int(votes))
            case "votes", [nodeid, votes]:
                request = VotesRequest(
                    id=number, asked_by=nodeid_of(options["by"]), nodeid=nodeid_of(nodeid), votes=int(votes)
                )
            case "kill", [nodeid]:
                request = KillRequest(id=number, asked_by=nodeid_of(options["by"]), nodeid=nodeid_of(nodeid))
            case "override", [nodeid]:
                request = OverrideRequest(
                    id=number, asked_by=nodeid_of(options["by"]), victim=nodeid_of(nodeid)
                )
            case (("update" | "halt"), []):
                cluster = updated(self.newest(), options)
                document = f"version {cluster.config_version}"
                kind = ConfigRequest if verb == "update" else HaltRequest
                request = kind(
                    id=number, asked_by=nodeid_of(options["by"]), document=document, cluster=cluster
                )
            case _:
                return False
        self.asked += 1
        machine = self.world.machines[request.asked_by]
        assert machine.daemon is not None, "nobody is there to be asked"
        self.world.open_requests[number] = machine.nodeid
        self.world.feed(machine, core.Asked(request))
        return True

    def _work(self, verb: str, rest: list[str], options: dict[str, str]) -> bool:
        match verb, rest:
            case "ended", [nodeid, name, how]:
                machine, service = self.world.machines[nodeid_of(nodeid)], ServiceName(name)
                text = options.get("text", "" if how == "ok" else "exit 1")
                self.world.agents_end(machine, service, ok=how == "ok", text=text)
                self.world.drain(machine)
            case "fenced", [nodeid, how]:
                machine = self.world.machines[nodeid_of(options["by"])]
                attempt = next(a for a in machine.attempts if a[0] == int(nodeid))
                self.world.attempt_ends(machine, attempt, fenced=how == "ok")
                self.world.drain(machine)
            case "stored", [nodeid, what, how]:
                machine = self.world.machines[nodeid_of(nodeid)]
                self.world.stored(machine, what, ok=how == "ok", text="" if how == "ok" else "disk full")
                self.world.drain(machine)
            case "check", [name, "failed"]:
                for machine in self.world.machines.values():
                    if machine.daemon is not None and machine.truth.get(ServiceName(name)) == RUNNING:
                        self.world.feed(machine, core.CheckFailed(ServiceName(name), "it does not answer"))
            case nodeid, ["runs", name]:
                self.world.machines[nodeid_of(nodeid)].truth[ServiceName(name)] = RUNNING
            case nodeid, ["spoils", name]:
                self.world.machines[nodeid_of(nodeid)].truth[ServiceName(name)] = HALF
                self.world.stuck.add((nodeid_of(nodeid), name))
            case nodeid, ["loses", name]:
                self.world.machines[nodeid_of(nodeid)].truth.pop(ServiceName(name), None)
            case _:
                return False
        return True

    def _look(self, verb: str, rest: list[str]) -> bool:
        match verb, rest:
            case "clocks", []:
                for _, machine in sorted(self.world.machines.items()):
                    state = state_of(machine)
                    if state is not None and machine.daemon is not None:
                        local_ms = machine.clock.local_ms(self.world.now_ms)
                        shows = log.cluster_now_ms(machine.daemon.session, local_ms)
                        self.world.lines.append(
                            f"node {machine.nodeid}: cluster time {shows}, own clock {local_ms}"
                        )
            case "status", [nodeid]:
                daemon = self.world.machines[nodeid_of(nodeid)].daemon
                assert daemon is not None
                self.world.lines.extend(status_lines(daemon))
            case _:
                return False
        return True

    # What is seen

    def newest(self) -> Cluster:
        """The newest configuration that anybody uses."""
        daemons = [m.daemon for _, m in sorted(self.world.machines.items()) if m.daemon is not None]
        return max((d.session.config for d in daemons), key=lambda c: c.config_version)

    def _known(self) -> list[str]:
        groups: dict[str, list[NodeId]] = {}
        for nodeid, machine in sorted(self.world.machines.items()):
            if machine.daemon is not None:
                groups.setdefault(knowledge(machine.daemon), []).append(nodeid)
        return [
            f"{' '.join(str(n) for n in nodes)}: {line}"
            for text, nodes in groups.items()
            for line in text.split("\n")
        ]

    def _really(self) -> list[str]:
        found = sorted(
            (name, n, how) for n, m in self.world.machines.items() for name, how in m.truth.items()
        )
        parts = [f"{name} {'' if how == RUNNING else how + ' '}on {n}" for name, n, how in found]
        return [f"really: {', '.join(parts) or 'nothing runs'}"]

    def _line_of(self, line: str) -> str:
        """A line as it is shown; a note with those who made it."""
        if not line.startswith("\0"):
            return line
        _, count, text = line.split("\0")
        return f"{text} ({' '.join(str(n) for n in sorted(self.world.notes[text, int(count)]))})"
