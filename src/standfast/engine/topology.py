"""Who hears whom: machines, daemons and cut links go in, views come out.

Pure, shared by the local and the simulated engine. Source: design section 5; engine/contract.py.
"""

from collections.abc import Collection, Iterable

from standfast.errors import RefusedError
from standfast.membership.view import Departure, DepartureReason, View
from standfast.terms import NodeId

Pair = tuple[NodeId, NodeId]


def pair_of(a: NodeId, b: NodeId) -> Pair:
    """Return the link between two nodes, whichever is named first."""
    return (a, b) if a <= b else (b, a)


def components(nodes: Iterable[NodeId], cuts: Collection[Pair]) -> tuple[tuple[NodeId, ...], ...]:
    """Divide the nodes into sets in which everyone reaches everyone.

    The lowest node that is left takes, in order of node id, each node that it and all it has taken so far reach.
    """
    left = sorted(set(nodes))
    found: list[tuple[NodeId, ...]] = []
    while left:
        taken: list[NodeId] = []
        for node in left:
            if all(pair_of(node, other) not in cuts for other in taken):
                taken.append(node)
        found.append(tuple(taken))
        left = [node for node in left if node not in taken]
    return tuple(found)


def in_use(name: str, nodeid: NodeId, owner: str) -> str:
    """Return the sentence with which a second daemon of one node id is turned away."""
    return (
        f"{name}: node id {nodeid} is in use by {owner}; "
        f"give each clusternode its own nodeid, and start one daemon on each node"
    )


class _Node:
    """What is known of one node: its machine, its daemon, and the view its daemon was given last."""

    def __init__(self) -> None:
        self.name = ""
        self.up = True  # the machine is alive
        self.reached = True  # it answers
        self.attached = False  # its daemon is there
        self.apart = False  # it was out of reach since its last view
        self.view: View | None = None
        self.ended = DepartureReason.PROCESS_DOWN  # how its last daemon ended


class Topology:
    """Facts about nodes and links; `form_views` says what each daemon has to be told after they changed."""

    def __init__(self, *, last_view_id: int = 0) -> None:
        """`last_view_id`: every view gets a greater number."""
        self._last_view_id = last_view_id
        self._nodes: dict[NodeId, _Node] = {}
        self._cuts: set[Pair] = set()

    def attach(self, nodeid: NodeId, name: str) -> None:
        """A daemon is there; its machine is alive. Raises RefusedError when the node has a daemon already."""
        node = self._nodes.setdefault(nodeid, _Node())
        if node.attached:
            raise RefusedError(in_use(name, nodeid, node.name), code="nodeid-in-use")
        node.name, node.attached, node.up, node.reached = name, True, True, True
        node.view, node.apart = None, False

    def detach(self, nodeid: NodeId, reason: DepartureReason) -> None:
        """The daemon is gone: LEAVE when it said goodbye, PROCESS_DOWN when it did not. The machine stays."""
        node = self._nodes[nodeid]
        node.attached, node.ended, node.view = False, reason, None

    def host_up(self, nodeid: NodeId) -> None:
        """The machine is alive, whether or not it has a daemon."""
        node = self._nodes.setdefault(nodeid, _Node())
        node.up = True

    def host_down(self, nodeid: NodeId) -> None:
        """The machine is gone; a daemon that is still attached is out of reach until the machine is back."""
        node = self._nodes.setdefault(nodeid, _Node())
        node.up, node.apart = False, True

    def lose(self, nodeid: NodeId) -> None:
        """The node does not answer any more."""
        node = self._nodes.setdefault(nodeid, _Node())
        node.reached, node.apart = False, True

    def reach(self, nodeid: NodeId) -> None:
        """The node answers again."""
        self._nodes.setdefault(nodeid, _Node()).reached = True

    def is_attached(self, nodeid: NodeId) -> bool:
        """Whether the node has a daemon."""
        return nodeid in self._nodes and self._nodes[nodeid].attached

    def is_reached(self, nodeid: NodeId) -> bool:
        """Whether the node's machine is alive and the node answers."""
        return nodeid in self._nodes and self._nodes[nodeid].up and self._nodes[nodeid].reached

    def cut(self, a: NodeId, b: NodeId) -> None:
        """Break the link between two nodes."""
        if a != b:
            self._cuts.add(pair_of(a, b))

    def heal(self, a: NodeId, b: NodeId) -> None:
        """Mend the link between two nodes."""
        self._cuts.discard(pair_of(a, b))

    def heal_all(self) -> None:
        """Mend every link."""
        self._cuts.clear()

    @property
    def cuts(self) -> tuple[Pair, ...]:
        """The broken links, sorted."""
        return tuple(sorted(self._cuts))

    def parts(self) -> tuple[tuple[NodeId, ...], ...]:
        """The machines that are reached, divided into those that reach each other."""
        return components((n for n, node in self._nodes.items() if node.up and node.reached), self._cuts)

    def attached(self) -> tuple[NodeId, ...]:
        """The nodes that have a daemon, sorted."""
        return tuple(sorted(n for n, node in self._nodes.items() if node.attached))

    def name_of(self, nodeid: NodeId) -> str:
        """The name that the node's last daemon gave; "" when it never had one."""
        return self._nodes[nodeid].name if nodeid in self._nodes else ""

    def receivers(self, sender: NodeId) -> tuple[NodeId, ...]:
        """The members of the sender's view, who all get its message; none while the sender is out of reach."""
        node = self._nodes[sender]
        return node.view.members if node.view is not None and not node.apart else ()

    def form_views(self) -> dict[NodeId, View]:
        """Return the new view of each daemon whose company changed since it was last asked; often none."""
        formed: dict[NodeId, View] = {}
        for part in self.parts():
            members = tuple(n for n in part if self._nodes[n].attached)
            if members and not self._is_known(members, part):
                self._last_view_id += 1
                formed.update({n: self._view_of(n, members, part) for n in members})
        for nodeid, view in formed.items():
            self._nodes[nodeid].view = view
            self._nodes[nodeid].apart = False
        return formed

    def _is_known(self, members: tuple[NodeId, ...], hosts: tuple[NodeId, ...]) -> bool:
        views = [self._nodes[n].view for n in members if not self._nodes[n].apart]
        first = views[0] if views else None
        return (
            first is not None
            and len(views) == len(members)
            and (first.members, first.hosts) == (members, hosts)
            and all(view is not None and view.view_id == first.view_id for view in views)
        )

    def _view_of(self, nodeid: NodeId, members: tuple[NodeId, ...], hosts: tuple[NodeId, ...]) -> View:
        node = self._nodes[nodeid]
        before = node.view.members if node.view is not None else ()
        known = (nodeid,) if node.apart and node.view is not None else before
        return View(
            view_id=self._last_view_id,
            members=members,
            joined=tuple(n for n in members if n not in known),
            left=tuple(Departure(n, self._reason(n, hosts)) for n in before if n not in members),
            hosts=hosts,
        )

    def _reason(self, nodeid: NodeId, hosts: tuple[NodeId, ...]) -> DepartureReason:
        node = self._nodes[nodeid]
        if node.attached:
            return DepartureReason.NODE_DOWN
        if node.ended is DepartureReason.LEAVE or nodeid in hosts:
            return node.ended
        return DepartureReason.NODE_DOWN
