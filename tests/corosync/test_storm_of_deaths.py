"""Nodes that die or freeze: each is fenced once, and then its service runs elsewhere."""

from functools import partial

import pytest
from tests.corosync.coro_audit import lost
from tests.corosync.coro_town import Town, eventually, now_ms

pytestmark = pytest.mark.lab


def test_service_of_a_dead_node_moves_to_the_other_of_two(pair: Town) -> None:
    owner = pair.owner()
    (other,) = pair.others(owner)
    pair.lab.kill(owner)
    pair.answers(other)
    assert pair.audit(explained=lost(owner)) == other


def test_service_of_a_dead_node_moves_to_another_of_three_and_it_is_fenced_once(trio: Town) -> None:
    owner = trio.owner()
    other = trio.others(owner)[0]
    before = trio.events(other)
    trio.lab.kill(owner)
    eventually(lambda: trio.events(other)[len(before) :].count(("fence.done", owner)))
    assert trio.audit(explained=lost(owner)) != owner
    assert trio.events(other)[len(before) :].count(("fence.began", owner)) == 1


def test_frozen_node_is_fenced_and_comes_back_without_the_service(trio: Town) -> None:
    owner = trio.owner()
    trio.lab.freeze(owner)
    trio.logs(f"fence.done subject={owner}")
    assert trio.audit(explained=lost(owner)) != owner


def test_node_that_freezes_for_less_than_the_token_keeps_the_service(pair: Town) -> None:
    owner = pair.owner()
    server, view = pair.web_server(owner), pair.view(owner)
    since_ms = now_ms()
    pair.lab.freeze(owner)
    pair.probing.wait_for_failure(since_ms=since_ms, within_s=10)
    pair.lab.thaw(owner)
    pair.answers(owner)
    assert pair.audit() == owner
    assert (pair.web_server(owner), pair.view(owner)) == (server, view)


def test_node_that_thaws_before_it_could_be_fenced_stops_its_service_and_begins_anew(pair: Town) -> None:
    owner = pair.owner()
    (other,) = pair.others(owner)
    power = pair.lab.place.power
    unplugged = power.rename(power.with_name("unplugged.sock"))
    pair.lab.freeze(owner)
    pair.logs(f"fence.failed subject={owner}")
    assert pair.holders() == (owner,)
    pair.lab.thaw(owner)
    eventually(partial(pair.takes_part, owner))
    unplugged.rename(power)
    pair.audit(
        explained=(*lost(owner), "fence.agent-failed", f"fence.failed subject={owner}", "daemon.woke"),
        possible=(f"member.lost subject={other}", f"fence.victim subject={other}"),
    )


def test_all_nodes_that_die_at_once_and_are_switched_on_serve_again(trio: Town) -> None:
    for name in trio.names:
        trio.lab.kill(name)
    for name in trio.names:
        trio.lab.power_on(name)
    trio.audit(possible=lost(*trio.names))
