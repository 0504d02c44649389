"""Which entry of cluster.conf a machine takes for its own."""

import pytest

from standfast.conf.load import load
from standfast.conf.own_node import own_node

CONF = """<cluster name="c" config_version="1"><clusternodes>
<clusternode name="vapp1" nodeid="1"/><clusternode name="vapp2.example.com" nodeid="2"/>
<clusternode name="core" nodeid="3"/></clusternodes></cluster>"""


@pytest.mark.parametrize(
    ("wanted", "hostname", "found"),
    [
        ("", "vapp1", "vapp1"),
        ("", "vapp1.example.com", "vapp1"),
        ("", "vapp2.example.com", "vapp2.example.com"),
        ("", "vapp2", "vapp2.example.com"),
        ("", "vapp2.elsewhere", "vapp2.example.com"),
        ("", "vapp3", None),
        ("core", "vapp1", "core"),
        ("vapp2", "vapp1", None),
    ],
)
def test_name_given_by_the_operator_counts_alone_then_the_host_s_own_whole_or_short(
    wanted: str, hostname: str, found: str | None
) -> None:
    cluster = load("cluster.conf", CONF.encode()).cluster
    assert cluster is not None
    node = own_node(cluster, wanted, hostname)
    assert (None if node is None else node.name) == found
