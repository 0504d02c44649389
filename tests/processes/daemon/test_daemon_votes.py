"""Votes on real daemons: expected votes, votes of a node, leaving for good, and killing, with the numbers of the spec."""

from collections.abc import Sequence

import pytest
from tests.processes.daemon.town import Node, Town, eventually, is_alive, town

from standfast.node.exits import ExitStatus
from standfast.wire.control import (
    Acknowledged,
    Answer,
    Election,
    Failure,
    KillNode,
    LeaveCluster,
    NodeState,
    SetExpectedVotes,
    SetNodeVotes,
    UpdateConfig,
    Updated,
)

pytestmark = pytest.mark.lab

THREE = ("vapp1", "vapp2", "vapp3")
FIVE = (*THREE, "vapp4", "vapp5")


def election(node: Node) -> Election | None:
    """What the node says of the votes, None while it does not answer."""
    status = node.status()
    return None if status is None else status.election


def count(node: Node) -> str:
    """Expected votes, total votes and quorum as the tables of the spec write them."""
    status = node.status()
    if status is None or status.election is None:
        return ""
    votes = status.election
    blocked = "" if status.quorate else " blocked"
    return f"{votes.expected_votes}/{votes.total_votes}/{votes.quorum}{blocked}"


def counts(nodes: Sequence[Node], wanted: str) -> None:
    """Wait until each of the nodes counts so."""
    for node in nodes:
        eventually(lambda node=node: count(node) == wanted, what=f"{wanted} on {node.name}")  # type: ignore[misc]


def away(cluster: Town, *nodes: Node) -> None:
    """Power these nodes off, with a power switch that refuses to say so."""
    cluster.power.answer = lambda _action, _name: "error no power here"
    for node in nodes:
        node.power_off()


def refusal(answer: Answer) -> str:
    """The code with which a call was refused."""
    return answer.code if isinstance(answer, Failure) else repr(answer)


def state_of(node: Node, name: str) -> NodeState | None:
    """In which of cman's states a node sees another."""
    seen = node.sees(name)
    return None if seen is None else seen.membership.state


def test_expected_votes_rise_block_and_fall_also_without_quorum() -> None:
    with town(*THREE) as cluster:
        cluster.start(cluster.conf())
        first, second, third = cluster.nodes
        counts(cluster.nodes, "3/3/2")
        assert refusal(first.ask(SetExpectedVotes(7))) == "value-refused"
        assert refusal(first.ask(SetExpectedVotes(0))) == "value-refused"
        counts(cluster.nodes, "3/3/2")
        assert isinstance(second.ask(SetExpectedVotes(5)), Acknowledged)
        counts(cluster.nodes, "5/3/3")
        away(cluster, third)
        counts((first, second), "5/2/3 blocked")
        assert refusal(second.ask(SetExpectedVotes(4))) == "value-refused"
        assert isinstance(second.ask(SetExpectedVotes(2)), Acknowledged)
        counts((first, second), "2/2/2")


def test_operator_vouches_for_absent_nodes_and_the_service_starts_after_fencing() -> None:
    with town(*THREE) as cluster:
        first = cluster.nodes[0]
        first.conf.write_text(cluster.conf(cluster.service("web")))
        first.power_on()
        first.start()
        counts((first,), "3/1/2 blocked")
        assert refusal(first.ask(SetNodeVotes(votes=3))) == "not-quorate"
        assert refusal(first.ask(SetExpectedVotes(2))) == "value-refused"
        assert isinstance(first.ask(SetExpectedVotes(1)), Acknowledged)
        counts((first,), "1/1/1")
        assert cluster.owner("web") is first
        fenced = [line.subject for line in first.history() if line.event == "fence.done"]
        assert fenced == ["vapp2", "vapp3"]


def test_joiner_learns_what_operators_changed_and_brings_its_own_expected_votes() -> None:
    with town(*THREE) as cluster:
        cluster.start(cluster.conf())
        first, second, third = cluster.nodes
        assert isinstance(first.ask(SetNodeVotes(votes=3)), Acknowledged)
        counts(cluster.nodes, "3/5/3")
        assert third.end() == 0
        counts((first, second), "3/4/3")
        assert isinstance(first.ask(SetExpectedVotes(2)), Acknowledged)
        counts((first, second), "2/4/3")
        third.start()
        cluster.wait_online(third)
        counts(cluster.nodes, "3/5/3")
        seen = third.sees("vapp1")
        assert seen is not None
        assert seen.membership.votes == 3


def test_votes_that_would_cost_the_quorum_are_refused_and_change_nothing() -> None:
    with town(*THREE) as cluster:
        cluster.start(cluster.conf())
        first, second, third = cluster.nodes
        away(cluster, third)
        counts((first, second), "3/2/2")
        assert refusal(first.ask(SetNodeVotes(votes=0, nodename="vapp2"))) == "value-refused"
        assert refusal(first.ask(SetNodeVotes(votes=256))) == "value-refused"
        assert refusal(first.ask(SetNodeVotes(votes=1, nodename="nosuch"))) == "node-unknown"
        counts((first, second), "3/2/2")


def test_next_configuration_takes_the_place_of_what_operators_changed() -> None:
    with town(*THREE) as cluster:
        cluster.start(cluster.conf())
        first = cluster.nodes[0]
        assert isinstance(first.ask(SetNodeVotes(votes=3)), Acknowledged)
        assert isinstance(first.ask(SetExpectedVotes(5)), Acknowledged)
        counts(cluster.nodes, "5/5/3")
        assert isinstance(first.ask(UpdateConfig(cluster.conf(version=2))), Updated)
        counts(cluster.nodes, "3/3/2")


def test_nodes_that_leave_for_good_take_their_votes_along_and_quorum_is_never_lost() -> None:
    with town(*FIVE) as cluster:
        cluster.start(cluster.conf())
        first, second, third, fourth, fifth = cluster.nodes
        counts(cluster.nodes, "5/5/3")
        for node, left, wanted in (
            (fifth, 4, "4/4/3"),
            (fourth, 3, "3/3/2"),
            (third, 2, "2/2/2"),
            (second, 1, "1/1/1"),
        ):
            assert isinstance(node.ask(LeaveCluster(remove=True)), Acknowledged)
            assert node.daemon is not None
            assert node.daemon.wait(30) == 0
            counts(cluster.nodes[:left], wanted)
        assert "services.emergency-stop" not in first.log
        assert "fence.began" not in [line.event for line in first.history()]
        second.start()
        counts((first, second), "5/2/3 blocked")
        third.start()
        counts((first, second, third), "5/3/3")


def test_crash_after_a_removal_blocks_the_one_that_is_left() -> None:
    with town(*THREE) as cluster:
        cluster.start(cluster.conf())
        first, second, third = cluster.nodes
        assert isinstance(third.ask(LeaveCluster(remove=True)), Acknowledged)
        counts((first, second), "2/2/2")
        away(cluster, second)
        counts((first,), "2/1/2 blocked")


def test_leave_with_a_service_on_the_node_is_vetoed_and_names_who_objects() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        answer = owner.ask(LeaveCluster(unless_busy=True))
        assert answer == Failure(code="node-busy", text="rgmanager: 1 service")
        assert owner.runs("web")
        assert owner.calls("web").count("stop") == 1  # the one at the boot


def test_killed_node_ends_with_its_services_and_is_fenced() -> None:
    with town(*THREE) as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        asker = cluster.other(owner)
        assert refusal(asker.ask(KillNode("nosuch"))) == "node-unknown"
        pid = owner.pid_of("web")
        assert isinstance(asker.ask(KillNode(owner.name)), Acknowledged)
        daemon = owner.daemon
        assert daemon is not None
        daemon.wait(30)
        assert f"an operator killed it from {asker.name}" in owner.log
        eventually(lambda: any(line.event == "fence.done" for line in asker.history()))
        others = [node for node in cluster.nodes if node is not owner]
        eventually(lambda: any(node.runs("web") for node in others))
        assert not is_alive(pid)
        assert state_of(asker, owner.name) is NodeState.DEAD
        assert refusal(asker.ask(KillNode(owner.name))) == "node-not-member"


def test_node_kills_itself_with_every_process_of_its_services_and_is_not_to_be_started_again() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        cluster.power.answer = lambda _action, _name: "error no power here"
        assert isinstance(owner.ask(KillNode(owner.name)), Acknowledged)
        assert owner.daemon is not None
        assert owner.daemon.wait(30) == ExitStatus.AT_ONCE
        assert not owner.runs("web")
        assert owner.calls("web").count("stop") == 1  # the one at the boot


def test_node_without_quorum_leaves_alone() -> None:
    with town(*THREE) as cluster:
        first = cluster.nodes[0]
        first.conf.write_text(cluster.conf())
        first.power_on()
        first.start()
        counts((first,), "3/1/2 blocked")
        assert isinstance(first.ask(LeaveCluster(unless_busy=True)), Acknowledged)
        assert first.daemon is not None
        assert first.daemon.wait(30) == 0
