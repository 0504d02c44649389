"""Random lives of small clusters, and what must hold at every moment and in the end.

The world is that of the stories, which itself asserts one owner, one state at one place of the log, and a time that never
goes back. Here nodes read at any pace while machines, daemons, links and clocks fail and operators ask.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from standfast.cluster.session import has_begun
from standfast.cluster.state import MemberStatus, digest
from standfast.cluster.tests.cluster_story import ClusterStory
from standfast.cluster.tests.story_machine import Machine
from standfast.services.record import ServiceState
from standfast.terms import NodeId

THREE = """
nodes 1 2 3
delays join=4 fail=2
service mail autostart=0
service web
agents by hand
fencing by hand
begin
slowly
"""
TWO = THREE.replace("nodes 1 2 3", "nodes 1 2\ntwo_node")

nodes = st.integers(1, 3)
names = st.sampled_from(("mail", "web"))
reads = st.tuples(nodes, st.integers(1, 6)).map(lambda t: f"reads {t[0]} {t[1]}")
moves = st.one_of(
    reads,
    reads,
    st.just("settle"),
    st.tuples(
        st.sampled_from(
            (
                "dies N",
                "dies N lost=N",
                "boots N",
                "daemon N dies",
                "daemon N starts",
                "freezes N",
                "freezes N unnoticed",
                "thaws N",
                "leave N",
                "clock N jump=-50000",
                "clock N speed=50",
                "clock N speed=300",
                "ask -e mail by=N",
                "ask -d web by=N",
                "ask -e web by=N",
                "ask -r web by=N",
                "works N",
                "fails N",
                "override N",
                "update N",
            )
        ),
        nodes,
    ).map(lambda t: t[0].replace("N", str(t[1]))),
    names.map(lambda name: f"check {name} failed"),
    st.sampled_from(("cut 1 2,3", "cut 1,2 3", "cut 1 2", "cut 1 2 lost=1", "heal", "heal", "settle")),
    st.sampled_from((100, 2_000, 11_000)).map(lambda ms: f"time {ms}"),
)


class Life(ClusterStory):
    """A story in which impossible commands do nothing."""

    def __init__(self, setting: str) -> None:
        super().__init__()
        self.version = 1
        for command in setting.strip().split("\n"):
            self.tell(command)

    def attempt(self, command: str) -> None:
        """Carry out a command where it makes sense."""
        machine = self._named_in(command)
        if machine is None or self._makes_sense(command, machine):
            self._carry_out(command, machine)

    def end_all_work(self, machine: Machine, *, ok: bool) -> None:
        """Let everything that is at work on a machine end."""
        if machine.frozen_at_ms is not None or machine.daemon is None:
            return
        how = "ok" if ok else "failed"
        for name in sorted(machine.at_work):
            self.tell(f"ended {machine.nodeid} {name} {how}")
        for victim, _, _ in list(machine.attempts):
            if any(a[0] == victim for a in machine.attempts):
                self.tell(f"fenced {victim} by={machine.nodeid} {how}")

    def _named_in(self, command: str) -> Machine | None:
        first = command.partition(" lost")[0].partition("jump")[0].partition("speed")[0]
        if command.startswith(("cut", "heal", "settle", "time", "check", "reads")):
            return None
        found = [n for n in first.replace("=", " ").split() if n.isdigit()]
        return self.world.machines.get(NodeId(int(found[0]))) if found else None

    def _makes_sense(self, command: str, machine: Machine) -> bool:
        verb = command.split(maxsplit=1)[0]
        up = machine.daemon is not None
        frozen = machine.frozen_at_ms is not None
        on = machine.nodeid in self.world.network.hosts
        match verb:
            case "dies":
                return on
            case "boots":
                return not on
            case "daemon":
                starts = command.endswith("starts")
                return on and not frozen and (not up if starts else up)
            case "freezes":
                return on and up and not frozen
            case "thaws":
                return frozen
            case "override":
                return not on
            case "clock":
                return True
            case _:
                return up and not frozen

    def _carry_out(self, command: str, machine: Machine | None) -> None:
        verb = command.split(maxsplit=1)[0]
        if verb == "reads" and NodeId(int(command.split()[1])) not in self.world.network.lines:
            return
        if machine is not None and verb in {"works", "fails"}:
            self.end_all_work(machine, ok=verb == "works")
        elif machine is not None and verb == "override":
            by = next((m for m in self.world.machines.values() if self._makes_sense("ask", m)), None)
            if by is not None:
                self.tell(f"override {machine.nodeid} by={by.nodeid}")
        elif machine is not None and verb == "update":
            self.version += 1
            changed = "add=ftp" if self.version % 2 else "change=web"
            self.tell(f"update by={machine.nodeid} version={self.version} {changed}")
        else:
            self.tell(command)


def lived(commands: list[str], setting: str = THREE) -> Life:
    life = Life(setting)
    for command in commands:
        life.attempt(command)
    return life


def ended_well(life: Life) -> Life:
    """All faults are over: everything comes back, all agents succeed, time passes."""
    life.tell("heal")
    for machine in life.world.machines.values():
        machine.clock.set(life.world.now_ms, percent=100)
        life.attempt(f"thaws {machine.nodeid}")
    for _ in range(30):
        for machine in list(life.world.machines.values()):
            life.attempt(f"boots {machine.nodeid}")
            life.attempt(f"daemon {machine.nodeid} starts")
        life.tell("settle")
        for machine in list(life.world.machines.values()):
            life.end_all_work(machine, ok=True)
        life.tell("settle")
        life.tell("time 7000")
        life.tell("settle")
    return life


def states_of(life: Life) -> set[str]:
    """The different states of all nodes in the end."""
    daemons = [m.daemon for m in life.world.machines.values()]
    return {
        digest(d.session.state) if d is not None and d.session.state is not None else "none" for d in daemons
    }


lives = st.lists(moves, max_size=40)
quickly = settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])


@quickly
@given(lives)
def test_in_the_end_all_nodes_take_part_and_know_the_same(commands: list[str]) -> None:
    life = ended_well(lived(commands))
    assert len(states_of(life)) == 1
    daemons = [m.daemon for m in life.world.machines.values()]
    assert all(d is not None and has_begun(d.session) for d in daemons)
    state = daemons[0].session.state if daemons[0] is not None else None
    assert state is not None
    assert [(m.nodeid, m.status) for m in state.members] == [(n, MemberStatus.ONLINE) for n in (1, 2, 3)]


@quickly
@given(lives)
def test_every_request_is_answered_once_unless_its_daemon_ended(commands: list[str]) -> None:
    assert ended_well(lived(commands)).world.open_requests == {}


@quickly
@given(lives)
def test_in_the_end_what_is_to_run_runs_unless_an_operator_or_a_failed_stop_keeps_it(
    commands: list[str],
) -> None:
    life = ended_well(lived(commands))
    daemon = life.world.machines[NodeId(1)].daemon
    assert daemon is not None
    assert daemon.session.state is not None
    resting = {ServiceState.STARTED, ServiceState.DISABLED, ServiceState.FAILED}
    assert [r.name for r in daemon.session.state.services if r.state not in resting and not r.parked] == []


@quickly
@given(lives)
def test_two_nodes_never_serve_both_and_find_together_again(commands: list[str]) -> None:
    life = ended_well(lived([c for c in commands if "3" not in c], TWO))
    assert len(states_of(life)) == 1
    assert life.world.open_requests == {}


def test_there_is_a_life_without_trouble() -> None:
    life = ended_well(lived([]))
    assert len(states_of(life)) == 1


@pytest.mark.parametrize("command", ["jump", "ask -x web by=1"])
def test_story_with_a_command_that_does_not_exist_fails(command: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        ClusterStory().tell(command)
