"""Quorum on corosync: as votequorum counts it, without the votes of machines whose daemon is missing."""

import pytest

from standfast.engine.corosync_library import VoteCount
from standfast.engine.quorum_watch import Counted


def counted(
    *, total: int, quorum: int, quorate: bool = True, device: int = 0, needed: int = 0, nodes: int = 3
) -> Counted:
    count = VoteCount(
        quorate=quorate,
        quorum=quorum,
        total_votes=total,
        expected_votes=nodes + device,
        device_votes=device,
        flags=0,
    )
    return Counted(ring=4, count=count, votes=tuple((n, 1) for n in range(1, nodes + 1)), needed=needed)


@pytest.mark.parametrize(
    ("said", "members", "quorate"),
    [
        (counted(total=3, quorum=2), (1, 2, 3), True),
        (counted(total=3, quorum=2), (1, 2), True),  # the third machine is there, its daemon is not
        (counted(total=3, quorum=2), (1,), False),  # two daemons are missing, and what they know
        (counted(total=1, quorum=2, quorate=False), (1,), False),
        (counted(total=2, quorum=1, nodes=2), (1,), True),  # two_node
        (counted(total=2, quorum=2, device=1, nodes=2), (1,), True),  # the device's vote
        (
            counted(total=2, quorum=3, nodes=4),
            (1, 2),
            True,
        ),  # the tie-breaker: less than the quorum, and quorate
        (counted(total=2, quorum=3, nodes=4), (1,), False),
        (counted(total=2, quorum=2, needed=3), (1, 2), False),  # corosync does not take five expected votes
        (counted(total=2, quorum=2), (1, 2, 9), True),  # a stranger adds nothing
        (counted(total=3, quorum=2), (1, 9), False),
    ],
)
def test_members_are_quorate(said: Counted, members: tuple[int, ...], quorate: bool) -> None:
    assert said.quorate_with(members) is quorate
