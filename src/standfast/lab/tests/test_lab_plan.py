"""The plan of a lab: names, addresses, files and the default cluster.conf."""

from pathlib import Path

import pytest

from standfast.conf.parse import parse
from standfast.errors import ConfError, StandfastError
from standfast.lab.cluster import Wanted, plan_lab
from standfast.lab.plan import (
    ISOLATED_NETWORK,
    LOOPBACK_NETWORK,
    Place,
    core_machine,
    default_directory,
    default_names,
    hardware_address,
    hosts_text,
    node_machines,
)

CONF = """<?xml version="1.0"?>
<cluster name="C" config_version="7">
  <clusternodes>
    <clusternode name="left" nodeid="3"/>
    <clusternode name="right" nodeid="9"/>
  </clusternodes>
</cluster>
"""


def wanted(directory: Path, nodes: int | None = None, config: Path | None = None) -> Wanted:
    return Wanted(directory=directory, nodes=nodes, config=config)


def test_nodes_have_the_document_s_addresses_and_core_is_the_build_machine() -> None:
    first, tenth = (node_machines(default_names(16))[index] for index in (0, 9))
    assert (first.name, ISOLATED_NETWORK.address(first)) == ("vapp1", "10.1.4.201")
    assert (tenth.name, ISOLATED_NETWORK.address(tenth)) == ("vapp10", "10.1.4.210")
    assert ISOLATED_NETWORK.address6(tenth) == "fd00:10:1:4::210"
    assert ISOLATED_NETWORK.address(core_machine()) == "10.1.4.1"
    assert LOOPBACK_NETWORK.address(first) == "127.1.4.201"
    assert LOOPBACK_NETWORK.address6(first) is None


def test_hardware_address_spells_the_ipv4_address() -> None:
    assert hardware_address(node_machines(default_names(2))[1]) == "02:00:0a:01:04:ca"


def test_every_machine_is_in_the_hosts_file(tmp_path: Path) -> None:
    text = hosts_text(plan_lab(wanted(tmp_path)))
    assert "10.1.4.202\tvapp2 vapp2.test.example.com\n" in text
    assert "fd00:10:1:4::1\tcore" in text


def test_two_nodes_get_a_two_node_cluster_conf_with_the_lab_s_power_as_fence_device(tmp_path: Path) -> None:
    plan = plan_lab(wanted(tmp_path))
    root = parse("cluster.conf", (plan.cluster_conf or "").encode()).root
    cman, devices, nodes = (root.first(name) for name in ("cman", "fencedevices", "clusternodes"))
    assert cman is not None
    assert devices is not None
    assert nodes is not None
    assert cman.get("two_node") == "1"
    assert devices.elements()[0].get("ipaddr") == str(Place(directory=tmp_path).power)
    assert [node.get("name") for node in nodes.elements()] == ["vapp1", "vapp2"]


def test_three_nodes_get_no_two_node_flag(tmp_path: Path) -> None:
    assert "two_node" not in (plan_lab(wanted(tmp_path, 3)).cluster_conf or "")


def test_a_given_cluster_conf_names_the_nodes_and_is_kept_as_it_is(tmp_path: Path) -> None:
    config = tmp_path / "cluster.conf"
    config.write_text(CONF)
    plan = plan_lab(wanted(tmp_path, config=config))
    assert [(machine.name, machine.nodeid) for machine in plan.machines] == [("left", 3), ("right", 9)]
    assert plan.cluster_conf == CONF


def test_fewer_nodes_than_the_cluster_conf_has_are_its_first_ones(tmp_path: Path) -> None:
    config = tmp_path / "cluster.conf"
    config.write_text(CONF)
    assert [machine.name for machine in plan_lab(wanted(tmp_path, 1, config)).machines] == ["left"]


def test_more_nodes_than_the_cluster_conf_has_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "cluster.conf"
    config.write_text(CONF)
    with pytest.raises(StandfastError, match="only 2 cluster nodes, not 3"):
        plan_lab(wanted(tmp_path, 3, config))


def test_more_cluster_nodes_than_a_lab_has_room_for_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "cluster.conf"
    nodes = "".join(f'<clusternode name="n{number}" nodeid="{number}"/>' for number in range(1, 18))
    config.write_text(f'<cluster name="C" config_version="1"><clusternodes>{nodes}</clusternodes></cluster>')
    with pytest.raises(StandfastError, match="17 cluster nodes; a lab has at most 16"):
        plan_lab(wanted(tmp_path, config=config))


@pytest.mark.parametrize("count", [0, 17, -1])
def test_a_lab_has_one_to_sixteen_nodes(tmp_path: Path, count: int) -> None:
    with pytest.raises(StandfastError, match="a lab has 1 to 16"):
        plan_lab(wanted(tmp_path, count))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ('<clusternode name="a"', r"cluster\.conf:1: error: "),
        ("", "no clusternode"),
        ('<clusternode name="a" nodeid="1"/><clusternode name="b" nodeid="1"/>', r"cluster\.conf:1: error: "),
        ('<clusternode name="../a" nodeid="1"/>', 'cannot be called "../a"'),
        ('<clusternode name="core" nodeid="1"/>', 'cannot be called "core"'),
    ],
)
def test_a_cluster_conf_that_cannot_run_is_refused(tmp_path: Path, nodes: str, message: str) -> None:
    config = tmp_path / "cluster.conf"
    config.write_text(f'<cluster name="C" config_version="1"><clusternodes>{nodes}</clusternodes></cluster>')
    with pytest.raises(ConfError, match=message):
        plan_lab(wanted(tmp_path, config=config))


def test_a_cluster_conf_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfError, match=r"absent\.conf: No such file or directory"):
        plan_lab(wanted(tmp_path, config=tmp_path / "absent.conf"))


def test_the_default_folder_is_root_s_or_the_user_s_own(tmp_path: Path) -> None:
    assert default_directory({}, 0) == Path("/run/standfast-lab")
    assert default_directory({"XDG_RUNTIME_DIR": str(tmp_path)}, 1000) == tmp_path / "standfast-lab"
    assert default_directory({"XDG_RUNTIME_DIR": str(tmp_path / "absent")}, 1000) == Path(
        "/tmp/standfast-lab-1000"
    )
