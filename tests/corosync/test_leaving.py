"""Nodes that leave for good take their votes along, on corosync too: who stays goes on, down to the last."""

import pytest
from tests.corosync.corosync_town import corosync_town, eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_cluster_of_three_goes_on_with_two_and_with_one_after_leave_remove() -> None:
    with corosync_town(3) as town:
        one, two, three = town.start(town.conf(3), 3)
        for leaver, left in ((three, 2), (two, 1)):
            leaver.run("cman_tool", "leave", "remove", "-w")
            assert not leaver.runs("corosync")
            one.wait_quorum(left, left // 2 + 1)
            town.wait_members([one, two][:left])
        status = eventually(one.status)
        assert status.quorate
        assert all(line.event != "engine.notice" for line in one.history())
        town.place(town.conf(3), [three])
        three.start()
        one.wait_quorum(3, 2)
        town.wait_members([one, three])
