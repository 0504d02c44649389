"""Looking up the names of nodes beside the event loop."""

import asyncio

from standfast.conf.model import Altname, Cluster, ClusterNode
from standfast.node.addressbook import AddressBook
from standfast.terms import NodeId

WAIT_S_MAX = 60.0
ONE, TWO = NodeId(1), NodeId(2)


def cluster(*nodes: ClusterNode) -> Cluster:
    return Cluster(name="c", config_version=1, nodes=nodes)


def known(*configurations: Cluster) -> dict[NodeId, tuple[str, ...]]:
    """What is known some time after the book was given these configurations, one after the other."""

    async def look() -> dict[NodeId, tuple[str, ...]]:
        book = AddressBook()
        assert book.known == {}
        for configuration in configurations:
            book.use(configuration)
        wanted = {node.nodeid for node in configurations[-1].nodes}
        async with asyncio.timeout(WAIT_S_MAX):
            while set(book.known) != wanted:
                await asyncio.sleep(0.01)
        return book.known

    return asyncio.run(look())


def test_every_name_of_a_node_has_an_address() -> None:
    node = ClusterNode(name="127.0.0.9", nodeid=ONE, altnames=(Altname(name="::1", port=None),))
    assert known(cluster(node)) == {ONE: ("127.0.0.9", "::1")}


def test_name_that_nobody_knows_has_none() -> None:
    too_long_for_a_name = "x" * 70
    assert known(cluster(ClusterNode(name=too_long_for_a_name, nodeid=ONE))) == {ONE: ()}


def test_last_configuration_counts() -> None:
    first = cluster(ClusterNode(name="127.0.0.1", nodeid=ONE))
    second = cluster(ClusterNode(name="127.0.0.2", nodeid=TWO))
    assert known(first, first, second) == {TWO: ("127.0.0.2",)}
