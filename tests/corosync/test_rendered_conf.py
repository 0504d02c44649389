"""The real corosync with what is rendered: it starts, counts votes as foretold, and takes exactly what a reload may change.

Source: spec membership, sections 16.2, 16.4 and 16.7.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.corosync.lone_node import (
    DEVICE,
    LAST_MAN,
    LMS,
    TWO_NODE,
    Facts,
    cluster,
    reason_against,
    rendered,
    run_machine,
)

from standfast.conf.messaging import LinkSettings, Log, Messaging, Totem
from standfast.conf.model import Cluster
from standfast.conf.quorum import expected_votes_of, quorum_of
from standfast.conf.reload import Effect, corosync_changes

RunNode = Callable[..., list[Facts]]

RELOADS = r"""
facts() {
  echo "=== $1"
  corosync-quorumtool -s || true
  corosync-cmapctl
  ss -Huln | sed 's/^/listens /'
}
start_corosync "$1"
facts started
shift
for next; do
  cp "$next" /run/corosync.conf
  corosync-cfgtool -R || true
  settle
  facts reloaded
done
"""
"""Starts corosync with the first file, reloads the others one by one, and says each time what is in force."""


@pytest.fixture(name="run_node")
def _run_node(tmp_path: Path) -> RunNode:
    """Run a node with each of these clusters in turn; skips the test where that cannot be done."""
    if reason := reason_against("corosync"):
        pytest.skip(reason)

    def run(*values: Cluster) -> list[Facts]:
        files = [rendered(value, tmp_path, f"{number}.conf") for number, value in enumerate(values)]
        said = run_machine(RELOADS, *files)
        return [Facts(text) for text in re.split(r"^=== \w+\n", said, flags=re.MULTILINE)[1:]]

    return run


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (TWO_NODE, "2Node Quorate"),
        (replace(TWO_NODE, messaging=Messaging(wait_for_all=True)), "2Node WaitForAll"),
        (cluster(1), "Quorate"),
        (cluster(3), ""),
        (replace(cluster(3), expected_votes=6), ""),
        (replace(cluster(2), messaging=DEVICE), ""),
        (replace(cluster(3), messaging=DEVICE), ""),
        (replace(cluster(3), messaging=LMS), ""),
        (replace(cluster(4), messaging=LAST_MAN), "WaitForAll LastManStanding AutoTieBreaker"),
    ],
    ids=[
        "two_node",
        "two_node-wait_for_all",
        "one",
        "three",
        "expected_votes",
        "ffsplit",
        "ffsplit-odd",
        "lms",
        "last_man",
    ],
)
def test_node_that_starts_alone_has_the_quorum_that_was_foretold(
    run_node: RunNode, value: Cluster, flags: str
) -> None:
    (started,) = run_node(value)
    assert started.word("Quorum").split()[0] == str(quorum_of(value))
    assert int(started.word("Expected votes")) == expected_votes_of(value)
    assert started.word("Flags") == flags
    assert started.value("totem.transport") == "knet"
    assert started.value("totem.crypto_cipher") == "aes256"


@pytest.mark.parametrize(
    ("old", "new", "key", "values"),
    [
        (
            TWO_NODE,
            replace(TWO_NODE, token_ms=8000),
            "runtime.config.totem.token",
            ("10000", "8000"),
        ),
        (
            cluster(3),
            replace(cluster(3), messaging=Messaging(totem=Totem(settings=(("merge", 300),)))),
            "runtime.config.totem.merge",
            ("200", "300"),
        ),
        (cluster(3), cluster(4), "nodelist.node.3.name", (None, "vapp4")),
        (cluster(4), cluster(3), "nodelist.node.3.name", ("vapp4", None)),
        (cluster(3), replace(cluster(3), expected_votes=5), "runtime.votequorum.ev_barrier", ("3", "5")),
        (
            cluster(3),
            replace(cluster(3), messaging=Messaging(log=Log(debug=True))),
            "logging.debug",
            (None, "on"),
        ),
        (
            cluster(3),
            replace(
                cluster(3),
                messaging=Messaging(
                    totem=Totem(links=(LinkSettings(number=1, ping_interval_ms=300, ping_timeout_ms=900),))
                ),
            ),
            "runtime.config.totem.interface.1.knet_ping_interval",
            ("2500", "300"),
        ),
    ],
    ids=["token", "merge", "node-added", "node-removed", "expected_votes", "log", "link-settings"],
)
def test_change_that_is_called_live_is_taken_by_a_reload(
    run_node: RunNode, old: Cluster, new: Cluster, key: str, values: tuple[str | None, str | None]
) -> None:
    assert {change.effect for change in corosync_changes(old, new)} == {Effect.LIVE}
    started, reloaded = run_node(old, new)
    assert (started.value(key), reloaded.value(key)) == values


@pytest.mark.parametrize(
    ("links", "ports"), [((2, 3), ({5405, 5406}, {5405, 5406, 5407})), ((2, 1), ({5405, 5406}, {5405}))]
)
def test_link_is_added_and_removed_by_a_reload(
    run_node: RunNode, links: tuple[int, int], ports: tuple[set[int], set[int]]
) -> None:
    old, new = cluster(3, links[0]), cluster(3, links[1])
    assert {change.effect for change in corosync_changes(old, new)} == {Effect.LIVE}
    started, reloaded = run_node(old, new)
    assert (started.ports, reloaded.ports) == ports


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (cluster(3), replace(cluster(3), messaging=Messaging(port=6000)), lambda facts: facts.ports),
        (cluster(3), replace(cluster(3), name="other"), lambda facts: facts.value("totem.cluster_name")),
        (
            cluster(3),
            replace(cluster(3), messaging=Messaging(totem=Totem(settings=(("netmtu", 1500),)))),
            lambda facts: facts.value("totem.netmtu"),
        ),
        (
            cluster(4),
            replace(cluster(4), messaging=LAST_MAN),
            lambda facts: facts.word("Flags"),
        ),
        (
            TWO_NODE,
            replace(TWO_NODE, messaging=Messaging(wait_for_all=True)),
            lambda facts: facts.word("Flags"),
        ),
    ],
    ids=["ports", "name", "netmtu", "last_man", "wait_for_all"],
)
def test_change_that_needs_a_stop_is_not_taken_by_a_reload(
    run_node: RunNode, old: Cluster, new: Cluster, told: Callable[[Facts], object]
) -> None:
    assert {change.effect for change in corosync_changes(old, new)} == {Effect.STOP}
    started, reloaded = run_node(old, new)
    (fresh,) = run_node(new)
    assert told(started) == told(reloaded) != told(fresh)
