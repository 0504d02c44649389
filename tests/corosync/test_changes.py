"""Changes of cluster.conf while the cluster runs on corosync: taken by every corosync, or stored nowhere."""

import pytest
from tests.corosync.corosync_town import TOKEN_MS, corosync_town

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

TOKEN = "runtime.config.totem.token"


def test_change_that_corosync_cannot_take_is_refused_with_the_procedure_and_nothing_is_stored() -> None:
    with corosync_town(3) as town:
        one, two = town.start(town.conf(2), 2)
        before = [(m.conf.read_bytes(), m.corosync_conf.read_bytes()) for m in (one, two)]
        done = town.update(one, town.conf(3, version=2), check=False)
        assert done.returncode != 0
        assert (
            "two_node is removed, vapp3 is added (quorum 1 becomes 2): stop the cluster on every node"
            in done.stderr
        )
        assert [(m.conf.read_bytes(), m.corosync_conf.read_bytes()) for m in (one, two)] == before
        assert one.quorum() == (2, 1)


def test_node_token_and_votes_are_taken_live_and_a_node_is_removed_again() -> None:
    with corosync_town(4) as town:
        trio = town.start(town.conf(3), 3)
        fourth = town.machines[3]
        added = town.conf(4, version=2)
        done = town.update(trio[0], added)
        assert (
            "node vapp4 is added: taken while the cluster runs, quorum 2 of 3 becomes 3 of 4 at once"
            in done.stdout
        )
        for machine in trio:
            machine.wait_value("nodelist.node.3.name", "vapp4")
            machine.wait_quorum(4, 3)
        town.place(added, [fourth])
        fourth.start()
        town.wait_members(town.machines)

        town.update(trio[1], town.conf(4, version=3, token_ms=2 * TOKEN_MS))
        for machine in town.machines:
            machine.wait_value(TOKEN, str(2 * TOKEN_MS))

        assert "corosync.not-reloaded" not in "".join(machine.log for machine in town.machines)

        town.update(trio[1], town.conf(4, version=4, token_ms=2 * TOKEN_MS, votes=3))
        for machine in town.machines:
            machine.wait_quorum(6, 4)

        refused = town.update(trio[0], town.conf(3, version=5), check=False)
        assert "node vapp4 is a member; stop it first" in refused.stderr
        fourth.run("standfast", "leave")
        fourth.stop_corosync()
        town.wait_members(trio)
        town.update(trio[0], town.conf(3, version=6))
        for machine in trio:
            machine.wait_value("nodelist.node.3.name", "")
            machine.wait_quorum(3, 2)
            assert machine.note() == ""
        assert "vapp4" in trio[0].run("clustat").stdout
        assert "Estranged" in trio[0].run("clustat").stdout


def test_second_link_is_added_live() -> None:
    with corosync_town(3) as town:
        trio = town.start(town.conf(3), 3)
        names = "".join(f"10.77.0.{n} {machine.name}-1\\n" for n, machine in enumerate(trio, 1))
        for number, machine in enumerate(trio, 1):
            machine.run("sh", "-c", f"ip address add 10.77.0.{number}/24 dev eth0")
            machine.run("sh", "-c", f"printf '{names}' >>/etc/hosts")
        done = town.update(trio[2], town.conf(3, version=2, links=2))
        assert "link 1 is added (port 5406): taken while the cluster runs; open the port first" in done.stdout
        for machine in trio:
            machine.wait_value("nodelist.node.2.ring1_addr", "10.77.0.3")
        town.wait_members(trio)
        other = town.conf(3, version=3, links=2).replace("vapp3-1", "vapp3-9")
        assert (
            "remove the altnames of link 1 from every node" in town.update(trio[0], other, check=False).stderr
        )


def test_name_without_an_address_is_refused_and_named() -> None:
    with corosync_town(3) as town:
        trio = town.start(town.conf(3), 3)
        done = town.update(trio[0], town.conf(3, version=2, links=2), check=False)
        assert done.returncode != 0
        assert 'the name "vapp1-1" of node id 1 has no address' in done.stderr
        assert ["vapp1-1" in machine.conf.read_text() for machine in trio] == [False] * 3


def test_node_that_cannot_write_its_file_is_named_and_corosync_waits_for_it() -> None:
    with corosync_town(3) as town:
        trio = town.start(town.conf(3), 3)
        trio[1].run("mount", "--bind", "-o", "ro", "/etc/corosync", "/etc/corosync")
        done = town.update(trio[0], town.conf(3, version=2, token_ms=2 * TOKEN_MS), check=False)
        assert done.returncode != 0
        assert "vapp2: /etc/corosync/corosync.conf: cannot be written: Read-only file system" in done.stderr
        assert [machine.value(TOKEN) for machine in trio] == [str(TOKEN_MS)] * 3
        assert "vapp2 could not write its corosync.conf yet" in trio[0].wait_note()
        trio[1].run("umount", "/etc/corosync")
        for machine in trio:
            machine.wait_value(TOKEN, str(2 * TOKEN_MS))
            machine.wait_no_note()


def test_node_that_was_away_follows_when_it_is_back() -> None:
    with corosync_town(3) as town:
        trio = town.start(town.conf(3), 3)
        away = trio[2]
        away.run("standfast", "leave")
        town.wait_members(trio[:2])
        town.update(trio[0], town.conf(3, version=2, token_ms=2 * TOKEN_MS))
        for machine in trio[:2]:
            machine.wait_value(TOKEN, str(2 * TOKEN_MS))
        away.start_daemon()
        town.wait_members(trio)
        away.wait_value(TOKEN, str(2 * TOKEN_MS))
        away.wait_event("corosync.reloaded", "version 2")
        away.wait_no_note()
        assert away.corosync_conf.read_text() == trio[0].corosync_conf.read_text()


def test_two_nodes_become_three_and_two_again_by_one_command() -> None:
    with corosync_town(3) as town:
        pair = town.start(town.conf(2), 2)
        trio = town.conf(3, version=2)
        done = town.reconfigure(pair[0], trio)
        assert "two_node is removed, vapp3 is added (quorum 1 becomes 2)" in done.stdout
        assert "Interrupted until the nodes are started again: service:web on vapp" in done.stdout
        assert "Copy the new file and the cluster's key to vapp3 before you start there." in done.stdout
        assert (
            "All nodes have left. Start each of them, with: standfast up, on vapp1, vapp2, vapp3"
            in done.stdout
        )
        for machine in pair:
            machine.wait_off()
            assert machine.conf.read_text() == trio
        town.start(trio, 3)
        assert [machine.quorum() for machine in town.machines] == [(3, 2)] * 3

        back = town.conf(2, version=3)
        town.reconfigure(town.machines[2], back)
        for machine in town.machines:
            machine.wait_off()
            assert machine.conf.read_text() == back
        assert town.start(back, 2)[0].quorum() == (2, 1)


def test_nothing_stops_where_one_node_cannot_write_the_file() -> None:
    with corosync_town(3) as town:
        pair = town.start(town.conf(2), 2)
        pair[1].run("mount", "--bind", "-o", "ro", "/etc/cluster", "/etc/cluster")
        done = town.reconfigure(pair[0], town.conf(3, version=2), check=False)
        assert done.returncode == 1
        assert "vapp2: /etc/cluster/cluster.conf: cannot be written: Read-only file system" in done.stderr
        town.wait_members(pair)
        pair[0].wait_conf(town.conf(2))
        assert pair[0].quorum() == (2, 1)


def test_daemon_that_dies_while_an_update_is_stored_does_not_stop_it_from_being_taken() -> None:
    with corosync_town(3) as town:
        trio = town.start(town.conf(3), 3)
        new = town.conf(3, version=2, token_ms=2 * TOKEN_MS)
        trio[0].kill_daemon()
        town.begin_update(trio[1], new)
        trio[0].start_daemon()
        for machine in trio:
            machine.wait_value(TOKEN, str(2 * TOKEN_MS))
            machine.wait_conf(new)
        town.wait_members(trio)
        assert len({machine.corosync_conf.read_text() for machine in trio}) == 1
