"""Every rule of validation: the words, the line and the level of its finding."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.conf.load import Loaded, load
from standfast.conf.model import (
    DomainMember,
    FenceDaemon,
    FenceMethod,
    FenceStep,
    Recovery,
    ResourceElement,
)
from standfast.conf.values import read_flag, read_integer, read_rank
from standfast.terms import NodeId

EXAMPLES = Path(__file__).resolve().parents[4] / "tests/golden/conf"

NODES = """<clusternodes>
<clusternode name="a" nodeid="1"><fence><method name="m"><device name="d"/></method></fence></clusternode>
<clusternode name="b" nodeid="2"><fence><method name="m"><device name="d"/></method></fence></clusternode>
<clusternode name="c" nodeid="3"><fence><method name="m"><device name="d"/></method></fence></clusternode>
</clusternodes>
<fencedevices><fencedevice name="d" agent="fence_lab"/></fencedevices>"""
"""Lines 2 to 7 of a file made by `cluster`."""


def cluster(more: str = "", *, nodes: str = NODES, head: str = 'name="c" config_version="1"') -> str:
    return f"<cluster {head}>\n{nodes}\n{more}\n</cluster>\n"


def node(attributes: str, inside: str = "") -> str:
    return NODES.replace('name="b" nodeid="2">', f"{attributes}>{inside}")


def lines(text: str) -> list[str]:
    return list(load("f", text.encode()).lines)


def loaded(text: str) -> Loaded:
    result = load("f", text.encode())
    assert result.cluster is not None, result.lines
    return result


def rm(inside: str) -> str:
    return cluster(f"<rm>\n{inside}\n</rm>")


def service(inside: str, attributes: str = 'name="s"') -> str:
    return rm(f"<service {attributes}>\n{inside}\n</service>")


def test_file_without_faults_has_no_findings() -> None:
    assert lines(cluster()) == []


@pytest.mark.parametrize("example", ["E1", "E2", "E3", "E4", "E5", "E6"])
def test_examples_of_the_specification_are_accepted(example: str) -> None:
    data = (EXAMPLES / f"{example}.xml").read_bytes()
    assert load(example, data).cluster is not None


def test_file_of_the_founding_document_is_without_findings() -> None:
    assert load("E2", (EXAMPLES / "E2.xml").read_bytes()).lines == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<clutter/>", "f:1: error: root element is <clutter>, expected <cluster> [I04]"),
        (cluster(head='config_version="1"'), "f:1: error: cluster has no name [I06]"),
        (cluster(head='name="" config_version="1"'), "f:1: error: cluster name is empty [I07]"),
        (
            cluster(head='name="sixteen-bytes-ab" config_version="1"'),
            'f:1: error: cluster name "sixteen-bytes-ab" is longer than 15 bytes [I08]',
        ),
        (
            cluster(head='name="fifteen-bytes-é" config_version="1"'),
            'f:1: error: cluster name "fifteen-bytes-é" is longer than 15 bytes [I08]',
        ),
        (
            cluster(head='name="a/b" config_version="1"'),
            'f:1: error: cluster name "a/b" contains a blank or "/" [I08]',
        ),
        (cluster(head='name="c"'), "f:1: error: cluster has no config_version [I09]"),
        (cluster(head='name="c" config_version=" "'), "f:1: error: cluster has no config_version [I09]"),
        (
            cluster(head='name="c" config_version="4a"'),
            'f:1: error: config_version "4a" is not a positive integer [I10]',
        ),
        (
            cluster(head='name="c" config_version="-1"'),
            'f:1: error: config_version "-1" is not a positive integer [I10]',
        ),
        (
            cluster(head='name="c" config_version="2147483648"'),
            'f:1: error: config_version "2147483648" is not a positive integer [I10]',
        ),
        (
            cluster(head='name="c" config_version="0"'),
            'f:1: error: config_version "0" is not a positive integer [I11]',
        ),
        (rm("<cluster/>"), "f:9: error: cluster inside <rm> [I12]"),
        (cluster(nodes=""), "f:1: error: no clusternodes [I13]"),
        (cluster(nodes="<clusternodes/>"), "f:2: error: no clusternode defined [I14]"),
        (cluster(nodes=node('nodeid="2"')), "f:4: error: clusternode without name [I16]"),
        (
            cluster(nodes=node(f'name="{"n" * 256}" nodeid="2"')),
            f'f:4: error: clusternode name "{"n" * 20}..." is longer than 255 bytes [I16]',
        ),
        (cluster(nodes=node('name="b"')), "f:4: error: no node id for b; run 'ccs_tool addnodeids' [I17]"),
        (
            cluster(nodes=node('name="b" nodeid="x"')),
            'f:4: error: node b: nodeid "x" is not a positive integer [I18]',
        ),
        (
            cluster(nodes=node('name="b" nodeid="0"')),
            'f:4: error: node b: nodeid "0" is not a positive integer [I18]',
        ),
        (
            cluster(nodes=node('name="b" nodeid="65536"')),
            "f:4: error: node b: nodeid 65536 is out of range [I19]",
        ),
        (
            cluster(nodes=node('name="b" nodeid="4097"')),
            "f:4: warning: node b: nodeid 4097 is out of range (1..4096) for cman [I19]",
        ),
        (cluster(nodes=node('name="b" nodeid="1"')), "f:4: error: nodeid 1 used by a and b [I20]"),
        (cluster(nodes=node('name="a" nodeid="2"')), "f:4: error: node a defined twice [I21]"),
        (
            cluster(nodes=node('name="b" nodeid="2" votes="-1"')),
            'f:4: error: node b: votes "-1" must be 0..255 [I22]',
        ),
        (
            cluster(nodes=node('name="b" nodeid="2" votes="many"')),
            'f:4: error: node b: votes "many" must be 0..255 [I22]',
        ),
        (
            cluster(nodes=node('name="b" nodeid="2" votes="256"')),
            'f:4: error: node b: votes "256" must be 0..255 [I22]',
        ),
        (
            cluster(nodes=node('name="b" nodeid="2" votes=""')),
            "f:4: warning: clusternode/@votes is empty; treated as absent [I82]",
        ),
        (
            cluster('<cman two_node="1"/>'),
            "f:8: error: two_node needs exactly 2 nodes, found 3; stop the cluster and remove two_node [I23]",
        ),
        (
            cluster('<cman expected_votes="x"/>'),
            'f:8: error: expected_votes "x" is not a positive integer [I27]',
        ),
        (
            cluster('<cman expected_votes="-1"/>'),
            'f:8: error: expected_votes "-1" is not a positive integer [I27]',
        ),
        (
            cluster('<cman expected_votes=""/>'),
            "f:8: warning: cman/@expected_votes is empty; treated as absent [I82]",
        ),
        (
            cluster('<cman expected_votes="1"/>'),
            "f:8: warning: expected_votes 1 allows two quorate halves (3 votes configured) [I28]",
        ),
        (cluster('<cman cluster_id="0"/>'), "f:8: error: cluster_id 0 out of range [I29]"),
        (cluster('<cman cluster_id="65536"/>'), "f:8: error: cluster_id 65536 out of range [I29]"),
        (cluster('<cman cluster_id="x"/>'), 'f:8: error: cman/@cluster_id: "x" is not an integer [I53]'),
        (
            cluster('<cman cluster_id=""/>'),
            "f:8: warning: cman/@cluster_id is empty; treated as absent [I82]",
        ),
        (cluster("<cman>\n<multicast/></cman>"), "f:9: error: multicast without addr [I30]"),
        (
            cluster('<cman>\n<multicast addr="10.1.4.1"/></cman>'),
            "f:9: error: 10.1.4.1 is not a multicast address [I31]",
        ),
        (
            cluster('<cman>\n<multicast addr="everyone"/></cman>'),
            "f:9: error: everyone is not a multicast address [I31]",
        ),
        (cluster('<cman port="1"/>'), "f:8: error: port 1 out of range [I34]"),
        (
            cluster('<cman>\n<altmulticast addr="ff15::1" port="70000"/></cman>'),
            "f:9: error: altmulticast port 70000 out of range [I34]",
        ),
        (
            cluster(nodes=NODES.replace('device name="d"', 'device name="e"', 1)),
            'f:3: error: node a: fence device "e" is not defined [I36]',
        ),
        (
            cluster(
                nodes=NODES.replace("</fencedevices>", '\n<fencedevice name="d" agent="x"/></fencedevices>')
            ),
            "f:8: error: fence device d defined twice [I37]",
        ),
        (
            cluster(nodes=NODES.replace(' agent="fence_lab"', "")),
            "f:7: error: fence device d has no agent [I38]",
        ),
        (
            cluster(nodes=NODES.replace("</fencedevices>", '\n<fencedevice agent="x"/></fencedevices>')),
            "f:8: error: fencedevice without name [I38]",
        ),
        (
            cluster(nodes=NODES.replace('method name="m"', "method", 1)),
            "f:3: error: node a: method without name [I39]",
        ),
        (
            cluster(nodes=NODES.replace('device name="d"', "device", 1)),
            "f:3: error: node a: device without name [I39]",
        ),
        (
            cluster(
                nodes=NODES.replace("</method>", '</method>\n<method name="m"><device name="d"/></method>', 1)
            ),
            'f:4: warning: node a: method "m" twice [I40]',
        ),
        (
            cluster(
                nodes=NODES.replace('<fence><method name="m"><device name="d"/></method></fence>', "", 1)
            ),
            "f:3: warning: node a cannot be fenced: no method [I41]",
        ),
        (
            cluster("<fence_daemon/>\n<fence_daemon/>"),
            "f:9: error: second fence_daemon element (first at line 8) [I42]",
        ),
        (cluster("<rm/><rm/>"), "f:8: error: second rm element (first at line 8) [I42]"),
        (
            cluster(nodes=NODES + "<clusternodes/>"),
            "f:7: error: second clusternodes element (first at line 2) [I42]",
        ),
        (
            cluster(nodes=node('name="b" nodeid="2"', "\n<altname/>")),
            "f:5: error: node b: altname without name [I43]",
        ),
        (
            cluster(nodes=node('name="b" nodeid="2"', '<altname name="b2"/>')),
            "f:2: error: every node needs the same number of altnames (0..7) [I44]",
        ),
        (cluster('<quorumd votes="1"/>'), "f:8: error: quorumd needs device or label [I45]"),
        (
            cluster('<quorumd label="q">\n<heuristic/></quorumd>'),
            "f:9: error: heuristic without program [I46]",
        ),
        (
            cluster('<quorumd label="q">' + '\n<heuristic program="true"/>' * 11 + "</quorumd>"),
            "f:19: warning: only the first 10 heuristics are used [I46]",
        ),
        (
            cluster('<quorumd label="q" min_score="4"><heuristic program="true" score="3"/></quorumd>'),
            "f:8: error: min_score 4 can never be reached (sum of scores 3) [I47]",
        ),
        (
            cluster('<quorumd label="q" tko="10"/>'),
            "f:8: error: quorum disk needs 17000 ms to fail over, token is 10000 ms; set token to at least 18000 [I48]",
        ),
        (
            cluster('<totem token="5000"/>\n<quorumd label="q"/>'),
            "f:9: error: token 5000 ms is too short for a quorum disk (10000) [I49]",
        ),
        (
            cluster('<quorumd label="q"/>', nodes=node('name="b" nodeid="17"')),
            "f:8: error: quorum disk supports node ids 1..16 [I50]",
        ),
        (
            cluster('<quorumd label="q"/>', nodes=node('name="b" nodeid="2" votes="2"')),
            "f:8: error: give quorumd votes: node b has 2 votes [I50]",
        ),
        (
            cluster("<logging>\n<logging_daemon/></logging>"),
            "f:9: warning: logging_daemon without name ignored [I51]",
        ),
        (
            cluster('<logging to_syslog="maybe"/>'),
            'f:8: warning: logging/@to_syslog: unknown value "maybe" ignored [I52]',
        ),
        (cluster('<dlm protocol="udp"/>'), 'f:8: warning: dlm/@protocol: unknown value "udp" ignored [I52]'),
        (
            service("", 'name="s" recovery="pray"'),
            'f:9: warning: service/@recovery: unknown value "pray" ignored [I52]',
        ),
        (cluster('<totem token="abc"/>'), 'f:8: error: totem/@token: "abc" is not an integer [I53]'),
        (cluster('<totem token="12x"/>'), 'f:8: error: totem/@token: "12x" is not an integer [I53]'),
        (cluster('<totem token="0"/>'), 'f:8: error: totem/@token: "0" must be 1..3600000 [I53]'),
        (
            cluster(f'<totem token="{"9" * 19}"/>'),
            f'f:8: error: totem/@token: "{"9" * 19}" is not an integer [I53]',
        ),
        (cluster('<rm log_level="9"/>'), 'f:8: error: rm/@log_level: "9" must be 0..7 [I53]'),
        (cluster('<cman two_node="2"/>'), 'f:8: error: cman/@two_node: "2" is not 0 or 1 [I53]'),
        (
            cluster('<fence_daemon clean_start="yes"/>'),
            'f:8: warning: fence_daemon/@clean_start: "yes" is read as 1; write 1 [I81]',
        ),
        (
            service("", 'name="s" autostart="no"'),
            'f:9: warning: service/@autostart: "no" is read as 0; write 0 [I81]',
        ),
        (
            service("", 'name="s" exclusive="x"'),
            'f:9: error: service/@exclusive: "x" is not an integer [I53]',
        ),
        (
            service("", 'name="s" max_restarts="-1"'),
            'f:9: error: service/@max_restarts: "-1" must be 0 or more [I53]',
        ),
        (
            service("", 'name="s" restart_expire_time="soon"'),
            'f:9: error: service/@restart_expire_time: "soon" is not a number of seconds [I53]',
        ),
        (
            cluster('<fence_daemon post_join_delay=""/>'),
            "f:8: warning: fence_daemon/@post_join_delay is empty; treated as absent [I82]",
        ),
        (
            rm(
                '<failoverdomains>\n<failoverdomain name="d"><failoverdomainnode name="z"/>'
                "</failoverdomain></failoverdomains>"
            ),
            'f:10: warning: domain d: node "z" is not a cluster node [I54]',
        ),
        (
            rm(
                '<failoverdomains>\n<failoverdomain name="d">\n<failoverdomainnode/></failoverdomain></failoverdomains>'
            ),
            "f:11: error: domain d: node without name [I54]",
        ),
        (
            rm(
                '<failoverdomains><failoverdomain name="d"><failoverdomainnode name="a"/>\n'
                '<failoverdomainnode name="a"/></failoverdomain></failoverdomains>'
            ),
            'f:10: error: domain d: node "a" listed twice [I54]',
        ),
        (
            rm("<failoverdomains>\n<failoverdomain/></failoverdomains>"),
            "f:10: error: failoverdomain without name [I54]",
        ),
        (
            rm('<failoverdomains><failoverdomain name="d"/>\n<failoverdomain name="D"/></failoverdomains>'),
            "f:10: error: failover domain D defined twice [I54]",
        ),
        (
            rm(
                '<failoverdomains>\n<failoverdomain name="d" ordered="1">'
                '<failoverdomainnode name="a" priority="101"/></failoverdomain></failoverdomains>'
            ),
            'f:10: error: domain d: priority "101" must be 1..100 [I55]',
        ),
        (
            rm(
                '<failoverdomains>\n<failoverdomain name="d" ordered="1">'
                '<failoverdomainnode name="a"/></failoverdomain></failoverdomains>'
            ),
            'f:10: warning: domain d: node "a" has no priority and comes last [I55]',
        ),
        (service("", ""), "f:9: error: service without name [I56]"),
        (rm("<vm/>"), "f:9: error: vm without name [I56]"),
        (
            service("", f'name="{"s" * 56}"'),
            f"f:9: error: service {'s' * 56}: service:NAME is longer than 63 characters [I56]",
        ),
        (service('<script file="/x"/>'), "f:10: error: service s: script without name [I56]"),
        (service('<script name="x"/>'), "f:10: error: service s: script without file [I56]"),
        (service("<ip/>"), "f:10: error: service s: ip without address [I56]"),
        (service("<action/>"), "f:10: error: service s: action without name [I56]"),
        (rm('<service name="s"/>\n<service name="s"/>'), "f:10: error: service s defined twice [I57]"),
        (
            rm(
                '<resources><ip address="10.0.0.1"/></resources>\n<service name="s"><ip address="10.0.0.1"/></service>'
            ),
            'f:10: error: ip "10.0.0.1" defined twice (first at line 9) [I57]',
        ),
        (service("", 'name="s" domain="d"'), 'f:9: error: service s: domain "d" is not defined [I58]'),
        (
            service("", 'name="s" depend="service:t"'),
            'f:9: warning: service s: depends on "service:t", which is not defined [I58]',
        ),
        (service('<ip ref="10.0.0.1"/>'), 'f:10: error: service s: no ip resource "10.0.0.1" [I59]'),
        (
            service('<ip address="10.0.0.1">\n<script ref="x"/></ip>'),
            'f:11: error: service s: no script resource "x" [I59]',
        ),
        (rm('<service ref="x"/>'), 'f:9: error: service x: no service resource "x" [I59]'),
        (cluster("<colour/>"), "f:8: warning: unknown element <colour> ignored [I60]"),
        (cluster('<cman colour="red"/>'), "f:8: warning: unknown attribute colour ignored [I60]"),
        (
            cluster(nodes=node('name="b" nodeid="2"', '\n<multicast addr="239.0.0.1" interface="eth0"/>')),
            "f:5: warning: unknown element <multicast> ignored [I60]",
        ),
        (service("", 'name="s" colour="red"'), "f:9: warning: unknown attribute colour ignored [I60]"),
        (cluster("hello"), "f:8: warning: text ignored [I61]"),
        (cluster("<dlm>\n<lockspace/></dlm>"), "f:9: error: lockspace without name [I62]"),
        (
            cluster('<dlm><lockspace name="x">\n<master/></lockspace></dlm>'),
            "f:9: error: master without name [I62]",
        ),
        (
            cluster('<fence_daemon post_fail_delay="-2"/>'),
            "f:8: error: fence_daemon/@post_fail_delay: -2 (only -1 or more) [I63]",
        ),
        (
            cluster(nodes=NODES.replace('<device name="d"/>', "", 1)),
            'f:3: warning: node a: method "m" has no device and always fails [I87]',
        ),
        (
            cluster(nodes=NODES.replace('device name="d"', 'device name="d" port="1&#10;action=on"', 1)),
            'f:3: error: node a: fence device "d": the value of port has a line break [I88]',
        ),
        (
            cluster(
                nodes=NODES.replace(
                    '<device name="d"/>', '<device name="d" port="1"/>\n<device name="d" action="off"/>', 1
                )
            ),
            (
                'f:3: warning: node a: method "m": "d" reboots alone, so with two supplies the power never goes away; '
                'give action="off" to each device, then action="on" to each [I89]'
            ),
        ),
        (
            cluster(
                nodes=NODES.replace(
                    '<device name="d"/>', '<device name="d" action="on"/><device name="d" action="off"/>', 1
                )
            ),
            'f:3: warning: node a: method "m": a device is told "on" before all are told "off" [I89]',
        ),
        (
            cluster(
                nodes=NODES.replace("fence_lab", "fence_scsi").replace(
                    'device name="d"', 'device name="d" action="on"', 1
                )
            ),
            'f:3: warning: node a: method "m": "d" is told "on", which gives the node its access back [I89]',
        ),
        (
            service('<ip address="10.0.0.300"/>'),
            'f:10: error: service s: ip address "10.0.0.300" is not an IP address [I90]',
        ),
    ],
)
def test_fault_is_told_with_its_line(text: str, expected: str) -> None:
    assert expected in lines(text)
    assert (load("f", text.encode()).cluster is None) == (": error: " in expected)


TWO = NODES.replace(
    '<clusternode name="c" nodeid="3"><fence><method name="m"><device name="d"/></method></fence></clusternode>\n',
    "",
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            cluster('<cman two_node="1"/>', nodes=TWO.replace('nodeid="2"', 'nodeid="2" votes="2"')),
            "f:7: error: two_node needs 1 vote per node [I24]",
        ),
        (
            cluster('<cman two_node="1" expected_votes="2"/>', nodes=TWO),
            "f:7: warning: two_node: expected_votes 2 ignored, 1 used [I25]",
        ),
        (
            cluster('<cman two_node="1"/><quorumd label="q"/>', nodes=TWO),
            "f:7: error: two_node and quorumd exclude each other [I26]",
        ),
    ],
)
def test_fault_of_a_two_node_cluster_is_told(text: str, expected: str) -> None:
    assert expected in lines(text)


def test_time_limits_of_agents_are_acted_upon_and_so_not_warned_of() -> None:
    assert lines(service('<ip address="10.0.0.1" __enforce_timeouts="1"/>')) == lines(
        service('<ip address="10.0.0.1"/>')
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (cluster('<quorumd label="q"/>'), "f:8: warning: <quorumd> is kept but not acted upon yet [I80]"),
        (cluster("<dlm/>"), "f:8: warning: <dlm> is kept but not acted upon yet [I80]"),
        (
            cluster('<cman quorum_dev_poll="1"/>'),
            "f:8: warning: cman/@quorum_dev_poll is kept but not acted upon yet [I80]",
        ),
        (rm('<vm name="v"/>'), "f:9: warning: <vm> outside a service is kept but not acted upon yet [I80]"),
        (
            service('<ip address="10.0.0.1" __independent_subtree="1"/>'),
            "f:10: warning: ip/@__independent_subtree is kept but not acted upon yet [I80]",
        ),
        (
            service("", 'name="s" __max_failures="1"'),
            "f:9: warning: service/@__max_failures is kept but not acted upon yet [I80]",
        ),
        (rm("<events/>"), "f:9: warning: <events> is kept but not acted upon yet [I80]"),
        (
            rm('<oracle name="o"/>'),
            "f:9: warning: <oracle> (there is no agent for it) is kept but not acted upon yet [I80]",
        ),
        (
            service('<fs name="x" mountpoint="/x" device="/d"/>'),
            "f:10: warning: <fs> (there is no agent for it) is kept but not acted upon yet [I80]",
        ),
        (
            service("", 'name="s" hardrecovery="1"'),
            "f:9: warning: service/@hardrecovery is kept but not acted upon yet [I80]",
        ),
    ],
)
def test_valid_part_that_nothing_acts_upon_is_said_and_accepted(text: str, expected: str) -> None:
    assert lines(text) == [expected]


def test_part_that_nothing_acts_upon_is_said_once() -> None:
    text = cluster(nodes=NODES.replace('votes="1"', "").replace('nodeid="', 'weight="1" nodeid="'))
    assert lines(text) == ["f:3: warning: clusternode/@weight is kept but not acted upon yet [I80]"]


def test_resource_with_an_agent_on_the_node_is_acted_upon() -> None:
    text = service('<fs name="x" mountpoint="/x" device="/d"/>')
    assert load("f", text.encode(), agents={"fs", "service"}).findings == ()


def test_script_of_an_event_is_not_stray_text() -> None:
    assert lines(rm('<events><event name="e">notice("x");</event></events>')) == [
        "f:9: warning: <events> is kept but not acted upon yet [I80]"
    ]


def test_findings_come_in_the_order_of_the_file() -> None:
    found = load("f", cluster('<cman colour="x"/><rm><vm/></rm>', nodes="<clusternodes/>").encode()).findings
    assert [finding.line for finding in found] == sorted(finding.line for finding in found)


def test_findings_never_quote_a_password() -> None:
    text = service("", 'name="s" recovery="b0gus"') + ""
    text = text.replace('agent="fence_lab"', 'agent="fence_lab" passwd="b0gus"')
    assert lines(text) == ['f:9: warning: service/@recovery: unknown value "****" ignored [I52]']


def test_words_of_an_agent_come_in_the_order_of_the_fencing_rules() -> None:
    text = cluster(
        nodes=NODES.replace('device name="d"', 'device operation="off" name="d" vmname="a"', 1)
        .replace('name="d" agent="fence_esxi"', "")
        .replace('agent="fence_lab"', 'agent="fence_esxi" server="10.1.4.20" password="b0gus"')
    )
    first = loaded(text).cluster
    assert first
    assert first.nodes[0].methods == (
        FenceMethod(
            name="m",
            steps=(
                FenceStep(
                    device="d",
                    agent="fence_esxi",
                    arguments=(
                        ("operation", "off"),
                        ("vmname", "a"),
                        ("nodename", "a"),
                        ("agent", "fence_esxi"),
                        ("server", "10.1.4.20"),
                        ("password", "b0gus"),
                    ),
                ),
            ),
        ),
    )


def test_device_that_names_the_node_itself_is_not_given_a_second_name() -> None:
    text = cluster(nodes=NODES.replace('device name="d"', 'device name="d" nodename="a-mgmt"', 1))
    result = loaded(text).cluster
    assert result
    assert result.nodes[0].methods[0].steps[0].arguments == (("nodename", "a-mgmt"), ("agent", "fence_lab"))


def test_delay_of_minus_one_is_for_ever_and_absent_ones_have_their_defaults() -> None:
    result = loaded(cluster('<fence_daemon post_join_delay="-1" override_time=" 5 "/>')).cluster
    assert result
    assert result.fence_daemon == FenceDaemon(post_join_delay_s=None, post_fail_delay_s=0, override_time_s=5)


def test_expected_votes_are_none_where_the_file_leaves_them_to_the_sum() -> None:
    assert [
        result.expected_votes
        for text in (cluster(), cluster('<cman expected_votes="0"/>'), cluster('<cman expected_votes="2"/>'))
        if (result := loaded(text).cluster)
    ] == [None, None, 2]


def test_two_node_cluster_expects_one_vote() -> None:
    result = loaded(cluster('<cman two_node="1"/>', nodes=TWO)).cluster
    assert result
    assert (result.two_node, result.expected_votes) == (True, 1)


def test_service_has_its_policy_and_its_tree_as_written() -> None:
    text = rm(
        '<failoverdomains><failoverdomain name="Web" ordered="yes" restricted="1" nofailback="on">'
        '<failoverdomainnode name="a" priority="2"/><failoverdomainnode name="b" priority="1"/>'
        "</failoverdomain></failoverdomains>\n"
        '<resources><script name="h" file="/h"/></resources>\n'
        '<service name="s" domain="web" autostart="0" exclusive="2" recovery="Restart-Disable" max_restarts="3"\n'
        ' restart_expire_time="10m" depend="t" depend_mode="soft" priority="7">\n'
        '<ip address="10.0.0.1"><action name="status" interval="5"/><script ref="h"/></ip></service><service name="t"/>'
    )
    result = loaded(text).cluster
    assert result
    domain = result.rm.domains[0]
    assert (domain.ordered, domain.restricted, domain.nofailback) == (True, True, True)
    assert domain.members == (DomainMember(name="a", priority=2), DomainMember(name="b", priority=1))
    one = result.rm.services[0]
    assert (one.name, one.domain, one.autostart, one.exclusive, one.recovery) == (
        "service:s",
        "Web",
        False,
        True,
        Recovery.RESTART_DISABLE,
    )
    assert (one.max_restarts, one.restart_expire_time_s, one.depend, one.depend_hard, one.priority) == (
        3,
        600,
        "service:t",
        False,
        7,
    )
    assert one.element.children == (
        ResourceElement(
            type="ip",
            attributes=(("address", "10.0.0.1"),),
            children=(ResourceElement(type="script", attributes=(("ref", "h"),), line=13),),
            actions=((("name", "status"), ("interval", "5")),),
            line=13,
        ),
    )


def test_service_defined_among_the_resources_has_the_policy_written_there() -> None:
    text = rm(
        '<resources><service name="s" recovery="relocate"/></resources>\n<service ref="s"><ip address="10.0.0.1"/></service>'
    )
    result = loaded(text).cluster
    assert result
    assert [(one.name, one.recovery) for one in result.rm.services] == [("service:s", Recovery.RELOCATE)]


def test_script_may_be_referred_to_by_its_file() -> None:
    assert (
        lines(
            rm(
                '<resources><script name="h" file="/h"/></resources><service name="s"><script ref="/h"/></service>'
            )
        )
        == []
    )


def test_unusable_status_settings_fall_back_to_the_defaults() -> None:
    result = loaded(cluster('<rm status_poll_interval="0" status_child_max="0"/>')).cluster
    assert result
    assert (result.rm.status_poll_interval_s, result.rm.status_child_max) == (10, None)


def test_node_ids_are_read_with_a_sign_and_blanks() -> None:
    result = loaded(cluster(nodes=node('name="b" nodeid=" +2 "'))).cluster
    assert result
    assert result.nodes[1].nodeid == NodeId(2)


@given(st.integers(-(10**17), 10**17), st.sampled_from(["", " ", "\t"]))
def test_every_whole_number_is_read(number: int, blank: str) -> None:
    assert read_integer(f"{blank}{number}{blank}") == number


@given(st.text())
def test_what_is_not_a_whole_number_is_never_guessed(text: str) -> None:
    number = read_integer(text)
    assert number is None or int(text) == number


@pytest.mark.parametrize(
    ("text", "flag", "rank"),
    [("1", True, 1), ("0", False, 0), ("Yes", True, 1), ("off", False, 0), ("2", None, 2), ("y", None, None)],
)
def test_flags_and_ranks_are_read(text: str, flag: bool | None, rank: int | None) -> None:
    assert (read_flag(text), read_rank(text)) == (flag, rank)
