"""The numbers that cman_tool shows: the cluster's id and the multicast address that cman derives from it."""

import pytest
from msgspec.structs import replace

from standfast.cluster.election import cluster_id, multicast_address
from standfast.conf.model import Cluster


@pytest.mark.parametrize(("configured", "shown"), [(None, 2 * ord("a") + ord("b")), (7, 7), (65_536 + 9, 9)])
def test_cluster_has_the_id_of_the_file_or_the_hash_of_its_name(configured: int | None, shown: int) -> None:
    cluster = replace(Cluster(name="ab", config_version=1, nodes=()), cluster_id=configured)
    assert cluster_id(cluster) == shown


@pytest.mark.parametrize(
    ("number", "address"),
    [(0, "239.192.0.0"), (255, "239.192.0.0"), (256, "239.192.1.1"), (257, "239.192.1.2")],
)
def test_multicast_address_ends_modulo_255(number: int, address: str) -> None:
    assert multicast_address(number) == address
