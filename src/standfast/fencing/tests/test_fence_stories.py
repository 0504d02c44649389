"""The fence domain told as stories: nodes are lost, held, fenced, fail to be fenced, come back.

Commands: `nodes 1 2:pdu1 ...` (node id and devices), `startup present=1,2 [delay=S] [clean_start=1] [skip_undefined=1]`,
`lost N [delay=S|ever]`, `time MS` (what the coordinator's clock says), `entry` (the coordinator says something else),
`decide by=N` (and what it proposes is folded), `begin N/GENERATION/NUMBER by=N` (a proposal made earlier or elsewhere),
`ended N/GENERATION/NUMBER by=N ok|failed [text=...]`, `spare N until=MS
[evicted=1]`, `gone N` (a fencing node is lost), `back N` or `override N` (no victim any more), `wants N [runs=N/G/K,...]`,
`deadline`, `history`.
"""

from pathlib import Path

import pytest
from tests.stories import difference, scenarios, words

from standfast.conf.model import ClusterNode, FenceDaemon, FenceMethod, FenceStep
from standfast.fencing import domain as fencing
from standfast.fencing.domain import AttemptId, BeginFencing, FenceDomain, StartAttempt
from standfast.terms import BootId, Incarnation, NodeId

STORIES = scenarios(__file__)


def _node(text: str) -> ClusterNode:
    nodeid, _, devices = text.partition(":")
    steps = tuple(FenceStep(device=d, agent="fence_pdu", arguments=()) for d in devices.split(",") if d)
    methods = (FenceMethod(name="power", steps=steps),) if steps else ()
    return ClusterNode(name=f"node{nodeid}", nodeid=NodeId(int(nodeid)), methods=methods)


def _attempt_id(text: str) -> AttemptId:
    nodeid, generation, number = (int(part) for part in text.split("/"))
    return NodeId(nodeid), generation, number


class FenceStory:
    """One fence domain, and the cluster time."""

    def __init__(self) -> None:
        self.nodes: tuple[ClusterNode, ...] = ()
        self.domain = FenceDomain()
        self.now_ms = 0
        self.shown: list[str] = []

    def tell(self, command: str) -> list[str]:
        (verb, *rest), options = words(command)
        match verb, rest:
            case "nodes", _:
                self.nodes = tuple(_node(text) for text in rest)
            case "startup", []:
                self._startup(options)
            case "lost", [nodeid]:
                delay = options.get("delay", "0")
                self._lost(NodeId(int(nodeid)), None if delay == "ever" else int(delay))
            case "time", [ms]:
                self.now_ms = int(ms)
            case "entry", []:
                self.domain = fencing.stamp(self.domain, self.now_ms)
            case "decide", []:
                return self._decide(NodeId(int(options["by"])))
            case "begin", [attempt]:
                late = self._late(_attempt_id(attempt), NodeId(int(options["by"])))
                self.domain = fencing.begin_attempt(self.domain, late, self.now_ms)
            case "ended", [attempt, outcome]:
                self.domain = fencing.end_attempt(
                    self.domain,
                    _attempt_id(attempt),
                    by=NodeId(int(options["by"])),
                    fenced=outcome == "ok",
                    text=options.get("text", ""),
                    now_ms=self.now_ms,
                )
            case "spare", [nodeid]:
                self.domain = fencing.spare_victim(
                    self.domain,
                    NodeId(int(nodeid)),
                    until_ms=int(options["until"]),
                    evicted="evicted" in options,
                )
            case "gone", [nodeid]:
                self.domain = fencing.forget_attempts_by(self.domain, NodeId(int(nodeid)))
            case (("back" | "override"), [nodeid]):
                how = {"back": "member"}.get(verb, verb)
                self.domain = fencing.remove_victim(
                    self.domain, NodeId(int(nodeid)), how=how, now_ms=self.now_ms
                )
            case "wants", [nodeid]:
                return self._wants(NodeId(int(nodeid)), options.get("runs", ""))
            case "deadline", []:
                return [f"deadline {fencing.next_deadline_ms(self.domain)}"]
            case "history", []:
                return [
                    f"at {f.at_ms}: node {f.nodeid} by {f.by or 'nobody'}: {f.how} {f.text}".rstrip()
                    for f in self.domain.history
                ]
            case _:
                raise AssertionError(f"no such command: {command}")
        return []

    def show(self) -> list[str]:
        lines = [self._line(victim) for victim in self.domain.victims] or ["no victims"]
        if lines == self.shown or not self.nodes:
            return []
        self.shown = lines
        return lines

    def _line(self, victim: fencing.Victim) -> str:
        hold = "for ever" if victim.hold_until_ms is None else f"until={victim.hold_until_ms}"
        parts = [f"victim {victim.nodeid} generation={victim.generation} since={victim.since_ms} hold {hold}"]
        if victim.pause_ms:
            parts.append(f"pause {victim.pause_ms}")
        if victim.attempt is not None:
            parts.append(f"attempt {victim.attempt.number} by {victim.attempt.by}")
        if victim.last_failure:
            parts.append(f"failed {victim.attempts} times, last: {victim.last_failure}")
        if victim.evicted:
            parts.append("evicted")
        return ", ".join([*parts, victim.reason])

    def _startup(self, options: dict[str, str]) -> None:
        settings = FenceDaemon(
            post_join_delay_s=int(options.get("delay", "6")),
            clean_start="clean_start" in options,
            skip_undefined="skip_undefined" in options,
        )
        present = frozenset(NodeId(int(n)) for n in options["present"].split(","))
        for nodeid in fencing.startup_victims(self.nodes, present, settings):
            self.domain = fencing.add_victim(
                self.domain,
                nodeid,
                reason="was not there at start",
                now_ms=self.now_ms,
                hold_until_ms=fencing.hold_until_ms(settings.post_join_delay_s, self.now_ms),
                incarnation=None,
                boot_id=None,
            )

    def _lost(self, nodeid: NodeId, delay_s: int | None) -> None:
        self.domain = fencing.add_victim(
            self.domain,
            nodeid,
            reason="does not answer",
            now_ms=self.now_ms,
            hold_until_ms=fencing.hold_until_ms(delay_s, self.now_ms),
            incarnation=Incarnation(f"life-{nodeid}"),
            boot_id=BootId(f"boot-{nodeid}"),
        )

    def _decide(self, by: NodeId) -> list[str]:
        proposals = fencing.decide(self.domain, self.nodes, by, self.now_ms)
        if not proposals:
            return ["a tick" if fencing.needs_stamp(self.domain) else "nothing to decide"]
        self.domain = fencing.stamp(self.domain, self.now_ms)
        for proposal in proposals:
            self.domain = fencing.begin_attempt(self.domain, proposal, self.now_ms)
        return [self._proposal(proposal) for proposal in proposals]

    def _late(self, attempt: AttemptId, by: NodeId) -> BeginFencing:
        nodeid, generation, number = attempt
        return BeginFencing(nodeid=nodeid, generation=generation, number=number, by=by, because="")

    def _proposal(self, p: BeginFencing) -> str:
        return f"fence {p.nodeid}/{p.generation}/{p.number} by {p.by}, because it {p.because}"

    def _wants(self, nodeid: NodeId, runs: str) -> list[str]:
        running = frozenset(_attempt_id(text) for text in runs.split(",") if text)
        return [
            f"{'start' if isinstance(t, StartAttempt) else 'cancel'} {t.nodeid}/{t.generation}/{t.number}"
            for t in fencing.reconcile(self.domain, nodeid, running)
        ] or ["nothing to do"]


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_fence_domain_goes_as_the_story_tells(path: Path) -> None:
    assert difference(path, FenceStory) == ""


def test_there_are_fence_stories() -> None:
    assert len(STORIES) >= 8
