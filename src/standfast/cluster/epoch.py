"""The name of an epoch, as the state, the disks and the Hellos of the nodes have it.

Pure. Source: docs/decisions/0017-an-epoch-is-known-by-its-view.md.
"""

from msgspec import Struct


class Epoch(Struct, frozen=True, order=True, kw_only=True):
    """An epoch: the view in which it began, and its number, which grows by one with each begin after another.

    The view comes first when two are compared. Sides that part count on for themselves, so the lower number may be the later
    epoch. But a node takes part in one view after the other, and their ids grow. Number 0 is none at all; view 0 stands
    for one that was written before views were.
    """

    view: int = 0
    number: int = 0


def remembers_nothing_later(remembered: Epoch, than: Epoch) -> bool:
    """Whether a node that remembers an epoch can say that it never took part in a later one than `than`.

    Number and view both have to say so. Where a node remembers no view, or all engines began anew with lower ids, the number
    still tells. A node that remembers no epoch can say nothing.
    """
    return 0 < remembered.number <= than.number and remembered.view <= than.view
