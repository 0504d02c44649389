"""Which changes of cluster.conf a running corosync takes, and what has to be done for the others."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from standfast.conf.messaging import Algorithm, LinkMode, LinkSettings, Log, Messaging, QuorumDevice, Totem
from standfast.conf.model import Altname, Cluster, ClusterNode
from standfast.conf.quorum import quorum_of
from standfast.conf.reload import (
    LIVE,
    RESTART,
    RESTART_DEVICE,
    STOP,
    Change,
    Effect,
    announcements,
    corosync_changes,
    refusals,
)
from standfast.terms import NodeId


def node(nodeid: int, votes: int = 1, *altnames: Altname) -> ClusterNode:
    return ClusterNode(name=f"vapp{nodeid}", nodeid=NodeId(nodeid), votes=votes, altnames=altnames)


def alt(name: str, port: int | None = None) -> Altname:
    return Altname(name=name, port=port)


TRIO = Cluster(name="c", config_version=1, nodes=(node(1), node(2), node(3)))
PAIR = Cluster(name="c", config_version=1, nodes=(node(1), node(2)), two_node=True, expected_votes=1)
LINKED = Cluster(
    name="c",
    config_version=1,
    nodes=(node(1, 1, alt("v1-b")), node(2, 1, alt("v2-b")), node(3, 1, alt("v3-b"))),
)


def totem(**values: object) -> Cluster:
    return replace(TRIO, messaging=Messaging(totem=replace(Totem(), **values)))


def with_messaging(**values: object) -> Cluster:
    return replace(TRIO, messaging=replace(Messaging(), **values))


DEVICE = QuorumDevice(host="q")


@pytest.mark.parametrize(
    ("old", "new", "effect", "text"),
    [
        (TRIO, replace(TRIO, name="d"), Effect.STOP, f"the cluster's name c becomes d: {STOP}"),
        (TRIO, with_messaging(keyfile="/k"), Effect.STOP, f"the key is another file: {STOP}"),
        (
            TRIO,
            totem(cipher="aes128"),
            Effect.STOP,
            f"encryption aes256 with sha256 becomes aes128 with sha256: {STOP}",
        ),
        (
            PAIR,
            TRIO,
            Effect.STOP,
            f"two_node is removed, vapp3 is added (quorum 1 becomes 2): {STOP}",
        ),
        (
            TRIO,
            PAIR,
            Effect.STOP,
            f"two_node is set, vapp3 is removed (quorum 2 becomes 1): {STOP}",
        ),
        (
            replace(TRIO, nodes=TRIO.nodes[:2]),
            TRIO,
            Effect.LIVE,
            f"node vapp3 is added: {LIVE}, quorum 2 of 2 becomes 2 of 3 at once; then start vapp3",
        ),
        (
            replace(TRIO, nodes=(*TRIO.nodes, node(4))),
            TRIO,
            Effect.LIVE,
            (
                "node vapp4 is removed: stop vapp4 (standfast down) before the update; the "
                f"rest is {LIVE}, quorum 3 of 4 becomes 2 of 3 at once"
            ),
        ),
        (
            TRIO,
            replace(TRIO, nodes=(node(1, 3), *TRIO.nodes[1:])),
            Effect.LIVE,
            f"node vapp1: votes 1 become 3: {LIVE}, quorum 2 of 3 becomes 3 of 5 at once",
        ),
        (
            TRIO,
            replace(TRIO, nodes=(replace(node(1), name="other"), *TRIO.nodes[1:])),
            Effect.STOP,
            f"node vapp1 with nodeid 1 becomes other: {STOP}",
        ),
        (
            TRIO,
            replace(TRIO, expected_votes=5),
            Effect.LIVE,
            f"expected_votes (the sum of all votes) becomes 5: {LIVE}, quorum 2 of 3 becomes 3 of 5 at once",
        ),
        (TRIO, with_messaging(port=6000), Effect.STOP, f"port 5405 of link 0 becomes 6000: {STOP}"),
        (TRIO, LINKED, Effect.LIVE, f"link 1 is added (port 5406): {LIVE}; open the port first"),
        (LINKED, TRIO, Effect.LIVE, f"link 1 is removed: {LIVE}"),
        (
            LINKED,
            replace(LINKED, nodes=(node(1, 1, alt("new")), *LINKED.nodes[1:])),
            Effect.TWICE,
            (
                "node vapp1: link 1 has the name new instead of v1-b: remove the altnames of link 1 from every node with "
                "one update, and add them with the next"
            ),
        ),
        (
            LINKED,
            replace(LINKED, nodes=(node(1, 1, alt("v1-b", 7000)), *LINKED.nodes[1:])),
            Effect.STOP,
            f"port 5406 of link 1 becomes 7000: {STOP}",
        ),
        (
            TRIO,
            totem(link_mode=LinkMode.ACTIVE),
            Effect.RESTART,
            f"the use of links passive becomes active: {RESTART}",
        ),
        (
            TRIO,
            totem(links=(LinkSettings(number=0, priority=1),)),
            Effect.LIVE,
            f"settings of links change: {LIVE}",
        ),
        (TRIO, replace(TRIO, token_ms=8000), Effect.LIVE, f"token 10000 becomes 8000: {LIVE}"),
        (
            TRIO,
            totem(consensus_ms=20_000),
            Effect.LIVE,
            f"consensus (corosync's own) becomes 20000: {LIVE}",
        ),
        (totem(settings=(("merge", 99),)), TRIO, Effect.LIVE, f"merge 99 becomes (corosync's own): {LIVE}"),
        (
            TRIO,
            totem(settings=(("netmtu", 1500),)),
            Effect.STOP,
            f"netmtu (corosync's own) becomes 1500: {STOP}",
        ),
        (TRIO, with_messaging(wait_for_all=True), Effect.STOP, f"wait_for_all is set: {STOP}"),
        (with_messaging(auto_tie_breaker=True), TRIO, Effect.STOP, f"auto_tie_breaker is removed: {STOP}"),
        (TRIO, with_messaging(last_man_standing=True), Effect.STOP, f"last_man_standing is set: {STOP}"),
        (TRIO, with_messaging(device=DEVICE), Effect.STOP, f"the quorum device q is added: {STOP}"),
        (with_messaging(device=DEVICE), TRIO, Effect.STOP, f"the quorum device q is removed: {STOP}"),
        (
            with_messaging(device=DEVICE),
            with_messaging(device=replace(DEVICE, algorithm=Algorithm.LMS, votes=None)),
            Effect.STOP,
            f"the quorum device's algorithm ffsplit becomes lms: {STOP}",
        ),
        (
            with_messaging(device=DEVICE),
            with_messaging(device=replace(DEVICE, host="r", port=1)),
            Effect.RESTART,
            f"the quorum device's host, port changes: {RESTART_DEVICE}",
        ),
        (TRIO, with_messaging(log=Log(debug=True)), Effect.LIVE, f"the log of corosync changes: {LIVE}"),
        (
            TRIO,
            with_messaging(log_subsystems=(Log(subsys="CPG", debug=True),)),
            Effect.LIVE,
            f"the log of corosync changes: {LIVE}",
        ),
    ],
)
def test_change_is_told_with_what_it_takes(old: Cluster, new: Cluster, effect: Effect, text: str) -> None:
    assert corosync_changes(old, new) == (Change(effect, text),)


def test_hardest_change_comes_first() -> None:
    new = replace(totem(link_mode=LinkMode.ACTIVE, cipher="aes128"), token_ms=1)
    assert [change.effect for change in corosync_changes(TRIO, new)] == [
        Effect.STOP,
        Effect.RESTART,
        Effect.LIVE,
    ]


def test_what_cannot_be_taken_while_corosync_runs_is_refused_and_the_rest_is_announced() -> None:
    new = replace(totem(link_mode=LinkMode.ACTIVE, cipher="aes128"), token_ms=8000)
    assert refusals(TRIO, new) == (
        f"encryption aes256 with sha256 becomes aes128 with sha256: {STOP}",
        f"the use of links passive becomes active: {RESTART}",
    )
    assert announcements(TRIO, new) == (f"token 10000 becomes 8000: {LIVE}",)
    renamed = replace(LINKED, nodes=(node(1, 1, alt("new")), *LINKED.nodes[1:]))
    assert len(refusals(LINKED, renamed)) == 1
    assert refusals(TRIO, replace(TRIO, token_ms=8000)) == ()


@pytest.mark.parametrize(
    ("cluster", "quorum"),
    [
        (TRIO, 2),
        (PAIR, 1),
        (replace(TRIO, expected_votes=9), 5),
        (replace(PAIR, two_node=False, expected_votes=None, messaging=Messaging(device=DEVICE)), 2),
        (with_messaging(device=replace(DEVICE, votes=None)), 3),
    ],
)
def test_quorum_is_counted_as_votequorum_counts(cluster: Cluster, quorum: int) -> None:
    assert quorum_of(cluster) == quorum


STEPS: tuple[Callable[[Cluster], Cluster], ...] = (
    lambda cluster: replace(cluster, token_ms=cluster.token_ms + 1),
    lambda cluster: replace(cluster, messaging=replace(cluster.messaging, port=cluster.messaging.port + 1)),
    lambda cluster: replace(cluster, nodes=(*cluster.nodes, node(len(cluster.nodes) + 1))),
    lambda cluster: replace(cluster, messaging=replace(cluster.messaging, wait_for_all=True)),
    lambda cluster: replace(cluster, messaging=replace(cluster.messaging, device=DEVICE)),
)


@given(st.sets(st.integers(0, len(STEPS) - 1)))
def test_every_change_has_a_sentence_of_its_own_and_no_change_has_none(steps: set[int]) -> None:
    new = TRIO
    for step in sorted(steps):
        new = STEPS[step](new)
    changes = corosync_changes(TRIO, new)
    assert len({change.text for change in changes}) == len(changes) == len(steps)
