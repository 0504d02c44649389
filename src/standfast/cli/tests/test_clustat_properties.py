"""What holds for every cluster: columns stay where they are, XML stays well-formed, both readers of the wire agree."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.cli.clustat_text import local_time, render_members, render_services
from standfast.cli.clustat_xml import render_cluster, render_document, render_groups, render_nodes
from standfast.cli.service_state import STATE_NUMBERS
from standfast.cli.snapshot import Snapshot, read_snapshot
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import NodeStatus, ServiceStatus, Status, encode_answer

names = st.text(max_size=100)
widths = st.integers(min_value=0, max_value=400)
nodes = st.builds(
    NodeStatus,
    name=names,
    nodeid=st.builds(NodeId, st.integers(min_value=1, max_value=9999)),
    online=st.booleans(),
    local=st.booleans(),
    estranged=st.booleans(),
    manager=st.booleans(),
    note=names,
)
services = st.builds(
    ServiceStatus,
    name=st.builds(ServiceName, names),
    state=st.sampled_from(sorted(STATE_NUMBERS)) | names,
    owner=st.none() | names,
    last_owner=st.none() | names,
    restarts=st.integers(min_value=0, max_value=2**31),
    transition_s=st.integers(min_value=-(2**62), max_value=2**62),
    frozen=st.booleans(),
    partial=st.booleans(),
    because=names,
)
statuses = st.builds(
    Status,
    cluster=names,
    cluster_id=st.integers(min_value=0, max_value=2**32),
    config_version=st.integers(min_value=0, max_value=2**31),
    view_id=st.integers(min_value=0, max_value=2**62),
    quorate=st.booleans(),
    synced=st.booleans(),
    local=st.builds(NodeId, st.integers(min_value=1, max_value=65535)),
    nodes=st.lists(nodes, max_size=5).map(tuple),
    services=st.none() | st.lists(services, max_size=5).map(tuple),
    unavailable=names,
    fencing=st.lists(names, max_size=3).map(tuple),
)


def snapshot_of(status: Status) -> Snapshot:
    return read_snapshot(encode_answer(status))


@given(statuses)
def test_plain_reader_reads_what_the_wires_reader_reads(status: Status) -> None:
    snapshot = snapshot_of(status)
    for key in ("cluster", "cluster_id", "view_id", "quorate", "local", "unavailable"):
        assert getattr(snapshot, key) == getattr(status, key)
    assert snapshot.fencing == list(status.fencing)
    assert (snapshot.services is None) is (status.services is None)
    member_keys = ("name", "nodeid", "online", "local", "estranged", "manager", "note")
    assert [[getattr(m, key) for key in member_keys] for m in snapshot.members] == [
        [getattr(node, key) for key in member_keys] for node in status.nodes
    ]
    assert [
        [getattr(s, key) for key in ServiceStatus.__struct_fields__] for s in snapshot.services or ()
    ] == [
        [getattr(service, key) for key in ServiceStatus.__struct_fields__]
        for service in status.services or ()
    ]


@given(statuses, widths)
def test_member_columns_stay_where_they_are(status: Status, columns: int) -> None:
    width = max(min(columns // 2, 64), 1)
    lines = render_members(snapshot_of(status).members, columns=columns).split("\n")
    assert len(lines) == len(status.nodes) + 3  # heading, rule, and what follows the last newline
    assert lines[0][width + 1 :] == "ID   Status"
    for line, node in zip(lines[2:], status.nodes, strict=False):
        assert (line[0], line[width + 1]) == (" ", " ")
        assert line[width + 2 : width + 6] == f"{node.nodeid:4d}"
        assert line[width + 6 : width + 9] in {" On", " Of"}


@given(statuses, widths)
def test_service_columns_stay_where_they_are(status: Status, columns: int) -> None:
    width = max(min((columns - 20) // 2, 64), 1)
    lines = render_services(snapshot_of(status).services or [], columns=columns).split("\n")
    assert len(lines) == len(status.services or ()) + 3
    for line in lines[:-1]:
        assert len(line) == 1 + width + 1 + width + 1 + 14
        assert (line[0], line[width + 1], line[2 * width + 2]) == (" ", " ", " ")


@given(statuses)
def test_xml_is_well_formed_and_gives_the_names_back(status: Status) -> None:
    snapshot = snapshot_of(status)
    text = render_document(
        render_cluster(snapshot), render_nodes(snapshot.members), render_groups(snapshot.services or [])
    )
    tree = ElementTree.fromstring(text.encode("utf-8"))
    assert [node.get("name") for node in tree.iter("node")] == [said(node.name) for node in status.nodes]
    assert [group.get("name") for group in tree.iter("group")] == [
        said(s.name) for s in status.services or ()
    ]


def said(name: str) -> str:
    """The name as far as XML 1.0 can say it."""
    return "".join(c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "?" for c in name)


@given(names.filter(str.isprintable))
def test_printable_name_that_fits_is_shown_as_it_is(name: str) -> None:
    node = NodeStatus(name=name, nodeid=NodeId(1), online=True, local=True, estranged=False, manager=True)
    status = Status(
        cluster="c",
        cluster_id=1,
        config_version=1,
        view_id=1,
        quorate=True,
        synced=True,
        local=NodeId(1),
        nodes=(node,),
        services=None,
    )
    assert f" {name[:64]:<64} " in render_members(snapshot_of(status).members, columns=200)


@pytest.mark.parametrize("beyond", [2**80, -(2**80)])
def test_time_beyond_the_calendar_stays_a_number(beyond: int) -> None:
    assert local_time(beyond) == str(beyond)
