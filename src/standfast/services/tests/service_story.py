"""The little world in which the stories of this room happen: nodes, services, agents, and one coordinator.

Setting up: `nodes 1 2 3`, `domain NAME [ordered=1] [restricted=1] [nofailback=1] 1:PRIORITY 2 ...`, `service NAME
[KEY=VALUE ...]` (or a changed one, later). `begin` makes the records (`begin anywhere`: nobody knows where they run);
nothing happens before. `deadline` tells when to look again.

Agents: they do what they are asked at once, unless `start_fails|stop_fails SERVICE 1,2` (until `works SERVICE`); after
`by hand` each run ends with `ended N SERVICE ok|failed [text=...]`.

Events: `ask OPTION SERVICE by=N [on=N]` (as clusvcadm; `-eF` is -e -F), `check SERVICE failed [text=...]`, `stops N SERVICE`
and `found N SERVICE` (it runs no more, or runs, though nobody asked for it), `dies N`, `fenced N`, `joins N`, `leaves N`,
`away N`, `returns N`, `quorum N lost|back`, `time MS`, `redefine SERVICE`, `remove SERVICE`.
"""

from collections.abc import Callable, Iterable
from typing import assert_never

from msgspec.structs import replace
from tests.stories import words

from standfast.conf.model import DomainMember, FailoverDomain, Recovery, ResourceElement, Service
from standfast.services import course, policy
from standfast.services.placement import Neighbourhood
from standfast.services.proposal import (
    Answer,
    Cleared,
    Evaluated,
    Failed,
    Forget,
    Freeze,
    Gone,
    Ran,
    ServiceFact,
    ServiceProposal,
    ServiceRequest,
    Settle,
    Start,
    Stop,
    Stuck,
)
from standfast.services.record import Flag, ServiceRecord, ServiceState, held
from standfast.services.work import (
    GiveUpWork,
    Phase,
    ServiceTask,
    ServiceWork,
    StartService,
    StopService,
    reconcile_service,
)
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Code, Operation

OPERATIONS = {
    "-e": Operation.ENABLE,
    "-eF": Operation.ENABLE,
    "-d": Operation.DISABLE,
    "-s": Operation.STOP,
    "-r": Operation.RELOCATE,
    "-R": Operation.RESTART,
    "-Z": Operation.FREEZE,
    "-U": Operation.UNFREEZE,
}
STEPS_MAX = 200  # a story that needs more never comes to rest


def nodeid_of(text: str) -> NodeId:
    """Read a node id."""
    return NodeId(int(text))


def failover_domain(name: str, members: Iterable[str], **flags: bool) -> FailoverDomain:
    """Make a failover domain of words such as `1:5` (node1 with priority 5) or `1`."""
    pairs = [text.partition(":") for text in members]
    return FailoverDomain(
        name=name,
        members=tuple(
            DomainMember(name=f"node{n}", priority=int(priority) if priority else None)
            for n, _, priority in pairs
        ),
        **flags,
    )


def plain_service(name: str, options: dict[str, str]) -> Service:
    """Make a service of options spelled as in cluster.conf."""
    return Service(
        name=ServiceName(name),
        element=ResourceElement(type="service", attributes=(("name", name),)),
        domain=options.get("domain"),
        autostart=options.get("autostart") != "0",
        exclusive="exclusive" in options,
        recovery=Recovery(options.get("recovery", "restart")),
        max_restarts=int(options.get("max_restarts", "0")),
        restart_expire_time_s=int(options.get("restart_expire_time", "0")),
        depend=ServiceName(options["depend"]) if "depend" in options else None,
        depend_hard=options.get("depend_mode") != "soft",
    )


class ServiceStory:
    """Nodes with agents, the services' records, and the policy that looks at them."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.nodes: tuple[NodeId, ...] = ()
        self.online: set[NodeId] = set()
        self.dead: set[NodeId] = set()
        self.victims: set[NodeId] = set()
        self.leaving: set[NodeId] = set()
        self.inquorate: set[NodeId] = set()
        self.domains: dict[str, FailoverDomain] = {}
        self.services: dict[ServiceName, Service] = {}
        self.records: tuple[ServiceRecord, ...] = ()
        self.requests: tuple[ServiceRequest, ...] = ()
        self.works: dict[tuple[NodeId, ServiceName], ServiceWork] = {}
        self.reported: set[tuple[NodeId, ServiceFact]] = set()
        self.start_fails: dict[str, set[NodeId]] = {}
        self.stop_fails: dict[str, set[NodeId]] = {}
        self.by_hand = False
        self.begun = False
        self.asked = 0
        self.shown: list[str] = []

    def tell(self, command: str) -> list[str]:
        """Carry out one command, let everything come to rest, and return what happened meanwhile."""
        (verb, *rest), options = words(command)
        if verb == "deadline":
            return [f"deadline {policy.next_deadline_ms(self.records)}"]
        told = self._setting(verb, rest, options) or self._event(verb, rest, options)
        assert told, f"no such command: {command}"
        return self._settle() if self.begun else []

    def show(self) -> list[str]:
        """Return a line for each service, where that is news."""
        lines = [_line(record) for record in self.records]
        if lines == self.shown:
            return []
        self.shown = lines
        return lines or ["no services"]

    # Commands

    def _setting(self, verb: str, rest: list[str], options: dict[str, str]) -> bool:
        match verb, rest:
            case "nodes", _:
                self.nodes = tuple(nodeid_of(n) for n in rest)
                self.online = set(self.nodes)
            case "domain", [name, *members]:
                flags = dict.fromkeys(options, True)
                self.domains[name] = failover_domain(name, members, **flags)
            case "service", [name]:
                self.services[ServiceName(name)] = plain_service(name, options)
            case "begin", _:
                self.begun = True
                self.records = tuple(
                    ServiceRecord(
                        name=s.name,
                        state=ServiceState.STOPPED if s.autostart else ServiceState.DISABLED,
                        may_run_on=self.nodes if "anywhere" in rest else (),
                    )
                    for s in sorted(self.services.values(), key=lambda s: s.name)
                )
            case "by", ["hand"]:
                self.by_hand = True
            case "start_fails", [name, nodes]:
                self.start_fails[name] = {nodeid_of(n) for n in nodes.split(",")}
            case "stop_fails", [name, nodes]:
                self.stop_fails[name] = {nodeid_of(n) for n in nodes.split(",")}
            case "works", [name]:
                self.start_fails.pop(name, None)
                self.stop_fails.pop(name, None)
            case _:
                return False
        return True

    def _event(self, verb: str, rest: list[str], options: dict[str, str]) -> bool:
        match verb, rest:
            case "ask", [option, name]:
                self._ask(option, ServiceName(name), options)
            case "ended", [nodeid, name, outcome]:
                self._ended(nodeid_of(nodeid), ServiceName(name), outcome == "ok", options.get("text", ""))
            case "check", [name, "failed"]:
                self._check_fails(ServiceName(name), options.get("text", "it does not answer"))
            case "stops", [nodeid, name]:
                self.works.pop((nodeid_of(nodeid), ServiceName(name)), None)
            case "found", [nodeid, name]:
                found = ServiceWork(name=ServiceName(name), phase=Phase.RUNNING)
                self.works[nodeid_of(nodeid), found.name] = found
            case "time", [ms]:
                self.now_ms = max(self.now_ms, int(ms))
            case "quorum", [nodeid, "lost"]:
                self.inquorate.add(nodeid_of(nodeid))
            case "quorum", [nodeid, "back"]:
                self.inquorate.discard(nodeid_of(nodeid))
            case "redefine", [name]:
                self._change(name, lambda r: replace(r, definition=r.definition + 1, parked=False))
            case "remove", [name]:
                del self.services[ServiceName(name)]
                self._change(name, lambda r: replace(r, removed=True))
            case _, [nodeid]:
                return self._comes_or_goes(verb, nodeid_of(nodeid))
            case _:
                return False
        return True

    def _comes_or_goes(self, verb: str, nodeid: NodeId) -> bool:
        match verb:
            case "dies":
                self.online.discard(nodeid)
                self.dead.add(nodeid)
                self.victims.add(nodeid)
                self._forget_work(nodeid)
            case "fenced":
                self.victims.discard(nodeid)
                self.records = tuple(
                    course.owner_gone(r, nodeid, "its node was fenced", self._wall_s) for r in self.records
                )
                self._reconsider()
            case "joins":
                self.dead.discard(nodeid)
                self.nodes = tuple(sorted({*self.nodes, nodeid}))
                self.online.add(nodeid)
                self._reconsider()
            case "leaves":
                self.leaving.add(nodeid)
            case "away":
                self.online.discard(nodeid)
                self.dead.add(nodeid)
            case "returns":
                self.dead.discard(nodeid)
                self.online.add(nodeid)
                self._inventory(nodeid)
                self._reconsider()
            case _:
                return False
        return True

    @property
    def _wall_s(self) -> int:
        return 1_000_000 + self.now_ms // 1000

    def _ask(self, option: str, name: ServiceName, options: dict[str, str]) -> None:
        self.asked += 1
        request = ServiceRequest(
            id=f"r{self.asked}",
            operation=OPERATIONS[option],
            service=name,
            asked_by=nodeid_of(options["by"]),
            target=nodeid_of(options["on"]) if "on" in options else None,
            by_domain=option == "-eF",
        )
        self.requests = (*self.requests, request)

    def _work(self, nodeid: NodeId, name: ServiceName) -> ServiceWork:
        return self.works.get((nodeid, name), ServiceWork(name=name))

    def _ended(self, nodeid: NodeId, name: ServiceName, ok: bool, text: str) -> None:
        work = self._work(nodeid, name)
        phases = {
            (Phase.STARTING, True): Phase.RUNNING,
            (Phase.STARTING, False): Phase.UNCLEAN,
            (Phase.STOPPING, True): Phase.STOPPED,
            (Phase.STOPPING, False): Phase.BROKEN,
        }
        assert (work.phase, ok) in phases, f"node {nodeid} is not at work on {name}"
        phase = phases[work.phase, ok]
        self.works[nodeid, name] = replace(work, phase=phase, text=text, failure=None, given_up=False)

    def _check_fails(self, name: ServiceName, text: str) -> None:
        running = {key: w for key, w in self.works.items() if key[1] == name and w.phase is Phase.RUNNING}
        assert running, f"{name} runs nowhere"
        self.works.update({key: replace(work, failure=text) for key, work in running.items()})

    def _change(self, name: str, change: Callable[[ServiceRecord], ServiceRecord]) -> None:
        self.records = tuple(change(r) if r.name == name else r for r in self.records)

    def _reconsider(self) -> None:
        self.records = tuple(replace(r, parked=False, retry_at_ms=None, evaluate=True) for r in self.records)

    def _forget_work(self, nodeid: NodeId) -> None:
        self.works = {key: work for key, work in self.works.items() if key[0] != nodeid}
        self.reported = {(n, fact) for n, fact in self.reported if n != nodeid}

    def _inventory(self, nodeid: NodeId) -> None:
        gone = "it did not run when the daemon joined"
        changes: dict[Phase, Callable[[ServiceRecord], ServiceRecord]] = {
            Phase.RUNNING: lambda r: course.adopted(r, nodeid),
            Phase.UNCLEAN: lambda r: course.adopted(r, nodeid),
            Phase.BROKEN: lambda r: held(r, nodeid),
            Phase.STOPPED: lambda r: course.owner_gone(r, nodeid, gone, self._wall_s),
        }
        self.records = tuple(changes[self._work(nodeid, r.name).phase](r) for r in self.records)

    # What happens by itself

    def _settle(self) -> list[str]:
        lines: list[str] = []
        for _ in range(STEPS_MAX):
            news = self._nodes_act()
            if news is None:
                news = self._coordinator_acts()
            if news is None:
                return lines
            lines.extend(news)
        raise AssertionError("it never comes to rest: " + "; ".join(lines[-10:]))

    def _nodes_act(self) -> list[str] | None:
        moved = False
        lines: list[str] = []
        for nodeid in sorted(set(self.nodes) - self.dead):
            names = {r.name for r in self.records} | {name for n, name in self.works if n == nodeid}
            wanted = {name: self._wanted(nodeid, name) for name in sorted(names)}
            facts = {fact for fact in wanted.values() if isinstance(fact, _FACTS)}
            self.reported = {(n, f) for n, f in self.reported if n != nodeid or f in facts}
            for task in wanted.values():
                if isinstance(task, _TASKS):
                    moved = True
                    lines.extend(self._begin(nodeid, task))
                elif task is not None and nodeid in self.online and (nodeid, task) not in self.reported:
                    moved = True
                    self.reported.add((nodeid, task))
                    lines.extend(self._report(nodeid, task))
        return lines if moved else None

    def _wanted(self, nodeid: NodeId, name: ServiceName) -> ServiceTask | ServiceFact | None:
        record = next((r for r in self.records if r.name == name), None)
        quorate = nodeid not in self.inquorate
        return reconcile_service(
            record,
            self._work(nodeid, name),
            nodeid,
            may_start=quorate and nodeid not in self.leaving,
            must_stop="" if quorate else "no quorum",
        )

    def _begin(self, nodeid: NodeId, task: ServiceTask) -> list[str]:
        work = self._work(nodeid, task.service)
        name = task.service
        match task:
            case StartService():
                changed = replace(work, phase=Phase.STARTING, generation=task.generation, failure=None)
                line = f"node {nodeid} starts {name}"
                fails = self.start_fails
            case StopService():
                changed = replace(work, phase=Phase.STOPPING, generation=task.generation, failure=None)
                line = f"node {nodeid} stops {name}"
                fails = self.stop_fails
            case GiveUpWork():
                self.works[nodeid, name] = replace(work, given_up=True)
                return [f"node {nodeid} ends the agents of {name}"]
            case _:
                assert_never(task)
        self.works[nodeid, name] = changed
        if self.by_hand:
            return [line]
        ok = nodeid not in fails.get(name, set())
        self._ended(nodeid, name, ok, "" if ok else "exit 1")
        return [line if ok else f"{line}: it fails"]

    def _report(self, nodeid: NodeId, fact: ServiceFact) -> list[str]:
        self._change(fact.service, lambda r: course.report(r, fact, nodeid, self._wall_s))
        if not self.by_hand:
            return []
        match fact:
            case Ran():
                what = f"{'start' if fact.start else 'stop'} {'ok' if fact.ok else 'failed'}"
            case Failed():
                what = "check failed"
            case Gone():
                what = "gone"
            case Cleared():
                what = "cleared"
            case Stuck():
                what = "stuck"
            case _:
                assert_never(fact)
        text = "" if isinstance(fact, Cleared) else fact.text
        return [f"node {nodeid} reports {fact.service} {what} {text}".rstrip()]

    def _coordinator_acts(self) -> list[str] | None:
        proposals = policy.decide(self._situation())
        return [line for p in proposals for line in self._fold(p)] if proposals else None

    def _situation(self) -> policy.Situation:
        taking_part = tuple(n for n in sorted(self.online - self.victims) if n not in self.inquorate)
        return policy.Situation(
            around=Neighbourhood(
                online=taking_part,
                names={n: f"node{n}" for n in self.nodes},
                domains=self.domains,
                services=self.services,
                records=self.records,
            ),
            requests=self.requests,
            victims=frozenset(self.victims),
            leaving=frozenset(self.leaving),
            now_ms=self.now_ms,
        )

    def _fold(self, proposal: ServiceProposal) -> list[str]:
        if isinstance(proposal, Answer):
            return self._finish(proposal.request, proposal.code, proposal.owner, proposal.text)
        before = next(r for r in self.records if r.name == proposal.service)
        after = course.accept(before, proposal, self._wall_s)
        changed = () if after is None else (after,)
        self.records = tuple(s for r in self.records for s in (changed if r is before else (r,)))
        lines = self._decided(proposal)
        if isinstance(proposal, Stop | Settle) and proposal.superseded is not None:
            lines.extend(self._finish(proposal.superseded, Code.FAIL, None, "a later request took its place"))
        if isinstance(proposal, Settle) and proposal.request is not None:
            owner = None if after is None else after.owner
            lines.extend(self._finish(proposal.request, proposal.code, owner, proposal.text))
        if isinstance(proposal, Freeze):
            lines.extend(self._finish(proposal.request, Code.SUCCESS, None, ""))
        return lines

    def _decided(self, proposal: ServiceProposal) -> list[str]:
        match proposal:
            case Start():
                return [f"start {proposal.service} on {proposal.owner}, because {proposal.because}"]
            case Stop():
                return [f"stop {proposal.service}, because {proposal.because}"]
            case Settle(state=ServiceState()):
                return [f"{proposal.service} rests, because {proposal.because}"]
            case Freeze():
                return [f"{'freeze' if proposal.frozen else 'unfreeze'} {proposal.service}"]
            case Forget():
                return [f"forget {proposal.service}"]
            case Evaluated() | Settle() | Answer():
                return []

    def _finish(self, request_id: str, code: Code, owner: NodeId | None, text: str) -> list[str]:
        assert any(r.id == request_id for r in self.requests), f"{request_id} is answered twice"
        self.requests = tuple(r for r in self.requests if r.id != request_id)
        where = "" if owner is None else f" on {owner}"
        return [f"answer to {request_id}: {code.value} {code.name}{where}{': ' * bool(text)}{text}"]


_TASKS = StartService | StopService | GiveUpWork
_FACTS = Ran | Failed | Gone | Cleared | Stuck


def _line(record: ServiceRecord) -> str:
    parts = [f"{record.name} {record.state.value}"]
    if record.owner is not None:
        parts.append(f"on {record.owner}")
    if record.last_owner is not None:
        parts.append(f"last={record.last_owner}")
    if record.restarts:
        parts.append(f"restarts={record.restarts}")
    if record.flags & Flag.FROZEN:
        parts.append("frozen")
    if record.parked:
        parts.append("parked")
    if record.retry_at_ms is not None:
        parts.append(f"retry={record.retry_at_ms}")
    others = [str(n) for n in record.may_run_on if n != record.owner]
    if others:
        parts.append(f"may run on {','.join(others)}")
    return " ".join(parts)
