"""Links that break, in every way: nothing is ever on two nodes, and when they are whole again all nodes meet."""

import re
from functools import partial

import pytest
from tests.corosync.coro_audit import lost
from tests.corosync.coro_lab import coro_town, need_corosync
from tests.corosync.coro_town import Town, eventually, now_ms

from standfast.lab.calls import DaemonAction

pytestmark = pytest.mark.lab

SAID = "the nodes do not agree who is there"
PONGS = 12
QUICK_PINGS = """<totem token="4000">
<interface linknumber="0" knet_ping_interval="100" knet_ping_timeout="500"/>
<interface linknumber="1" knet_ping_interval="100" knet_ping_timeout="500"/>
</totem>"""
OFF = 'action="off"'  # who is fenced stays off, so that it does not come back into a broken network


@pytest.fixture(autouse=True)
def _needs() -> None:
    need_corosync()


def survivor(town: Town) -> str:
    """Wait until one of two nodes is off, and return the other."""
    eventually(lambda: len(town.powered()) == 1, what="the fencing of one node")
    (name,) = town.powered()
    return name


def test_exactly_one_of_two_nodes_without_a_link_is_fenced() -> None:
    with coro_town(2, fence=OFF) as town:
        town.audit()
        town.begin().lab.cut("vapp1", "vapp2")
        winner = survivor(town)
        (loser,) = town.others(winner)
        town.audit(members=(winner,), explained=lost(loser), possible=lost(winner))
        town.lab.heal()
        town.lab.power_on(loser)
        town.begin().audit()


def test_exactly_one_of_two_nodes_is_fenced_where_one_does_not_hear_the_other() -> None:
    with coro_town(2, fence=OFF) as town:
        town.audit()
        town.begin().drop_input("vapp1", "ip saddr 10.1.4.202")
        winner = survivor(town)
        (loser,) = town.others(winner)
        town.audit(members=(winner,), explained=lost(loser), possible=lost(winner))
        if winner == "vapp1":
            town.drop_nothing("vapp1")
        town.lab.power_on(loser)
        town.begin().audit()


def test_node_without_links_stops_or_is_fenced_and_the_majority_takes_over(trio: Town) -> None:
    owner = trio.owner()
    trio.isolate(owner)
    majority = trio.others(owner)
    trio.audit(members=majority, explained=lost(owner), possible=("lab: the daemon, process",))
    trio.lab.heal()
    assert trio.audit(possible=lost(owner)) in majority


def test_bystander_without_links_does_not_disturb_the_service(trio: Town) -> None:
    owner = trio.owner()
    bystander = trio.others(owner)[0]
    since_ms = now_ms()
    trio.isolate(bystander)
    trio.audit(members=sorted({*trio.names} - {bystander}), explained=lost(bystander))
    trio.lab.heal()
    assert trio.audit(possible=lost(bystander)) == owner
    assert trio.silences(since_ms) == ()


def test_three_nodes_of_which_two_do_not_hear_each_other_say_so_and_meet_again(trio: Town) -> None:
    trio.owner()
    trio.lab.cut("vapp1", "vapp2")
    trio.logs(SAID)
    trio.check_address()
    trio.lab.heal()
    trio.audit(explained=(SAID,), possible=lost(*trio.names))


def test_flapping_link_does_no_harm(pair: Town) -> None:
    pair.owner()
    for _ in range(16):
        pair.lab.cut("vapp1", "vapp2")
        pair.passes(300)
        pair.lab.heal()
        pair.passes(300)
    pair.audit(possible=lost(*pair.names))


def test_links_that_lose_every_fifth_packet_do_no_harm(trio: Town) -> None:
    trio.owner()
    for name in trio.names:
        trio.drop_input(name, "udp dport 5405 numgen random mod 100 < 20")
    trio.passes(10_000)
    trio.check_address()
    eventually(lambda: len(trio.powered()) == 3)
    for name in trio.names:
        trio.drop_nothing(name)
    trio.audit(possible=(*lost(*trio.names), SAID))


def test_links_that_lose_every_hundredth_packet_carry_the_cluster(trio: Town) -> None:
    owner = trio.owner()
    since_ms = now_ms()
    for name in trio.names:
        trio.drop_input(name, "udp dport 5405 numgen random mod 100 < 1")
    trio.passes(4000)
    assert trio.audit() == owner
    assert trio.silences(since_ms) == ()
    trio.lab.kill(owner)
    trio.audit(
        explained=lost(owner), possible=(*lost(*trio.others(owner)), SAID)
    )  # a ring takes longer to form
    for name in trio.names:
        trio.drop_nothing(name)


def test_one_of_two_links_breaks_and_nobody_is_missed() -> None:
    with coro_town(2, altnames=True, start=False, totem=QUICK_PINGS) as town:
        for name, address in (("vapp1", "10.1.5.201"), ("vapp2", "10.1.5.202")):
            town.shell(
                name,
                f"ip address add {address}/24 dev eth0",
                "echo 10.1.5.201 vapp1-b >>/etc/hosts",
                "echo 10.1.5.202 vapp2-b >>/etc/hosts",
            )
        for name in town.names:
            town.lab.operate_daemon(name, DaemonAction.START)
        owner = town.audit()
        for name in town.names:
            eventually(partial(knows_its_links, town, name))
        view = town.begin().view(owner)
        since_ms = now_ms()
        for name in town.names:
            town.drop_input(name, "ip saddr 10.1.4.201-10.1.4.202 udp dport 5405-5410")
        for number in (1, 2):
            town.logs(f"link: host: {number} link: 0 is down")
        assert (town.audit(), town.view(owner)) == (owner, view)
        for name in town.names:
            town.drop_nothing(name)
        town.logs("link: 0 is up")
        assert (town.audit(), town.view(owner)) == (owner, view)
        assert town.silences(since_ms) == ()


def test_cluster_and_service_on_ipv6_alone_survive_a_death() -> None:
    with coro_town(2, address="fd00:10:1:4::150", start=False) as town:
        for name in town.names:
            alone_on_ipv6(town, name)
            town.lab.operate_daemon(name, DaemonAction.START)
        owner = town.audit()
        (other,) = town.others(owner)
        town.begin().lab.kill(owner)
        town.answers(other)
        eventually(lambda: len(town.powered()) == 2)
        alone_on_ipv6(town, owner)
        town.lab.operate_daemon(owner, DaemonAction.START)
        assert town.audit(explained=lost(owner)) == other


def knows_its_links(town: Town, name: str) -> bool:
    """Whether both links have been up for long: knet is patient at first, and less so with each of ten pongs."""
    stats = town.shell(name, "corosync-cmapctl -m stats")
    samples = re.findall(r"stats.knet.node(\d).link\d.latency_samples \(u32\) = (\d+)", stats)
    return min(int(count) for number, count in samples if f"vapp{number}" != name) > PONGS


def alone_on_ipv6(town: Town, name: str) -> None:
    """Take the node's IPv4 addresses, and what stands of them in its hosts file."""
    town.shell(name, "sed -i '/^10\\./d' /etc/hosts", "ip -4 address flush dev eth0")
