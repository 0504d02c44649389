"""Random lives of a few services, and what must hold at every moment: one owner, no unfenced start, every answer once.

The world is that of the stories. Nodes die and are fenced, daemons go away, agents fail, operators ask at any time.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from standfast.services import policy
from standfast.services.proposal import Start
from standfast.services.record import RUNNING_STATES, ServiceState
from standfast.services.tests.service_story import OPERATIONS, ServiceStory
from standfast.services.work import Phase
from standfast.terms import NodeId, ServiceName

SETTING = """
nodes 1 2 3
domain far ordered=1 1:1 2:2
domain near restricted=1 nofailback=1 2 3
domain solo restricted=1 3
service alone exclusive=1 domain=solo
service base domain=far recovery=relocate
service late depend=base depend_mode=soft
service next depend=base domain=near max_restarts=1
by hand
begin
"""
SERVICES = ("alone", "base", "late", "next")

names = st.sampled_from(SERVICES)
nodes = st.integers(1, 3)
moves = st.one_of(
    st.tuples(
        st.just("ask"),
        st.sampled_from(sorted(OPERATIONS)),
        names,
        nodes,
        st.sampled_from(("", " on=1", " on=3")),
    ).map(lambda t: f"ask {t[1]} {t[2]} by={t[3]}{t[4]}"),
    st.tuples(nodes, names, st.sampled_from(("ok", "ok", "failed"))).map(
        lambda t: f"ended {t[0]} {t[1]} {t[2]}"
    ),
    names.map(lambda name: f"check {name} failed"),
    st.tuples(
        st.sampled_from(("dies", "fenced", "joins", "away", "returns", "ends all", "ends all")), nodes
    ).map(lambda t: f"{t[0]} {t[1]}"),
    st.tuples(nodes, st.sampled_from(("lost", "back"))).map(lambda t: f"quorum {t[0]} {t[1]}"),
    st.sampled_from(("time 30000", "time 200000", "redefine base")),
)


class Life(ServiceStory):
    """A story in which impossible commands do nothing, and each start is watched."""

    def __init__(self) -> None:
        super().__init__()
        for command in SETTING.split("\n"):
            if command:
                self.tell(command)

    def attempt(self, command: str) -> None:
        """Carry out a command where it makes sense."""
        before = {key: w.phase for key, w in self.works.items()}
        if command.startswith("ends all"):
            self._end_all(NodeId(int(command.split()[2])))
        elif self._makes_sense(command):
            self.tell(command)
        self._watch(before)

    def _end_all(self, nodeid: NodeId) -> None:
        at_work = [key for key, w in self.works.items() if key[0] == nodeid and w.phase in _AT_WORK]
        for _, name in at_work:
            self.tell(f"ended {nodeid} {name} ok")

    def _makes_sense(self, command: str) -> bool:
        verb, *rest = command.split()
        match verb:
            case "ended":
                work = next((w for k, w in self.works.items() if k == (int(rest[0]), rest[1])), None)
                return work is not None and work.phase in _AT_WORK
            case "check":
                return any(k[1] == rest[0] and w.phase is Phase.RUNNING for k, w in self.works.items())
            case "dies" | "away":
                return int(rest[0]) in self.online
            case "fenced":
                return int(rest[0]) in self.victims
            case "joins":
                nodeid = int(rest[0])
                alive = any(n == nodeid for n, _ in self.works)
                return nodeid not in self.online and nodeid not in self.victims and not alive
            case "returns":
                nodeid = int(rest[0])
                busy = any(k[0] == nodeid and w.phase in _AT_WORK for k, w in self.works.items())
                return nodeid in self.dead and nodeid not in self.victims and not busy
            case _:
                return True

    def _watch(self, before: dict[tuple[NodeId, ServiceName], Phase]) -> None:
        for (nodeid, name), work in self.works.items():
            if work.phase is Phase.STARTING and before.get((nodeid, name)) is not Phase.STARTING:
                others = [
                    n
                    for (n, other), w in self.works.items()
                    if other == name and n != nodeid and w.phase is not Phase.STOPPED
                ]
                assert not others, f"{name} starts on {nodeid} while {others} may have it"
                record = next(r for r in self.records if r.name == name)
                assert not self.victims & set(record.may_run_on), f"{name} starts before it is fenced"


_AT_WORK = (Phase.STARTING, Phase.STOPPING)


def lived(commands: list[str]) -> Life:
    life = Life()
    for command in commands:
        life.attempt(command)
    return life


def ended_well(life: Life) -> Life:
    """All faults are over: everybody comes back, all agents succeed, time passes."""
    for nodeid in (1, 2, 3):
        for command in (f"fenced {nodeid}", f"quorum {nodeid} back"):
            life.attempt(command)
    for k in range(12):
        life.attempt(f"time {10**6 * k}")
        for nodeid in (1, 2, 3):
            life.attempt(f"ends all {nodeid}")
            life.attempt(f"returns {nodeid}")
            life.attempt(f"joins {nodeid}")
    return life


lives = st.lists(moves, max_size=25)


@settings(max_examples=150)
@given(lives)
def test_no_life_breaks_a_rule_and_every_request_is_answered_in_the_end(commands: list[str]) -> None:
    life = ended_well(lived(commands))
    assert life.requests == ()
    assert life.online == {1, 2, 3}


@settings(max_examples=60)
@given(lives)
def test_what_is_to_run_runs_in_the_end_or_an_operator_stopped_it(commands: list[str]) -> None:
    life = ended_well(lived(commands))
    resting = {ServiceState.STARTED, ServiceState.DISABLED, ServiceState.FAILED}
    waiting = [r for r in life.records if r.state not in resting and not r.frozen and not r.parked]
    excused = {"alone"}  # it waits for an empty node
    base = next(r for r in life.records if r.name == "base")
    if base.state is not ServiceState.STARTED:
        excused |= {"late", "next"}  # they wait for an operator to let base run
    assert [r.name for r in waiting if r.name not in excused] == []


@settings(max_examples=60)
@given(lives)
def test_decisions_start_only_what_may_start_where_it_may(commands: list[str]) -> None:
    life = lived(commands)
    situation = life._situation()
    records = {r.name: r for r in life.records}
    starts = [p for p in policy.decide(situation) if isinstance(p, Start)]
    assert all(p.owner in situation.around.online and not records[p.service].may_run_on for p in starts)
    assert all(records[p.service].state not in RUNNING_STATES for p in starts)


def test_there_is_a_life_without_trouble() -> None:
    life = ended_well(lived([]))
    assert {r.name: r.owner for r in life.records} == {"alone": 3, "base": 1, "late": 2, "next": 2}


@pytest.mark.parametrize("command", ["ask -x base by=1", "jump"])
def test_story_with_a_command_that_does_not_exist_fails(command: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        Life().tell(command)
