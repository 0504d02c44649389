"""What corosync cannot do, or does otherwise than cman: every finding's words and line, and what the file then means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.conf.grammar import TOTEM_SETTINGS
from standfast.conf.load import load
from standfast.conf.messaging import (
    Algorithm,
    LinkMode,
    LinkSettings,
    Log,
    Messaging,
    QuorumDevice,
    Tls,
)
from standfast.conf.ports import link_ports


def node(name: str, nodeid: int, inside: str = "", votes: int = 1) -> str:
    fence = '<fence><method name="m"><device name="d"/></method></fence>'
    return f'<clusternode name="{name}" nodeid="{nodeid}" votes="{votes}">{inside}{fence}</clusternode>'


def cluster(*more: str, nodes: tuple[str, ...] | None = None) -> str:
    """A file whose line 2 is `more[0]`; the nodes follow `more`, one a line, after a line of their own."""
    inside = "\n".join(nodes or (node("a", 1), node("b", 2), node("c", 3)))
    devices = '<fencedevices><fencedevice name="d" agent="fence_lab"/></fencedevices>'
    return "\n".join(
        (
            '<cluster name="c" config_version="1">',
            *more,
            "<clusternodes>",
            inside,
            "</clusternodes>",
            devices,
            "</cluster>",
        )
    )


def lines(text: str) -> list[str]:
    return list(load("f", text.encode()).lines)


def messaging(text: str) -> Messaging:
    loaded = load("f", text.encode())
    assert loaded.cluster, loaded.lines
    return loaded.cluster.messaging


def ports(text: str) -> tuple[int, ...]:
    loaded = load("f", text.encode())
    assert loaded.cluster, loaded.lines
    return link_ports(loaded.cluster)


PAIR = (node("a", 1), node("b", 2))


def linked(first: str, second: str) -> tuple[str, ...]:
    return (node("a", 1, first), node("b", 2, second))


NOT_USED = "over knet each node is sent to by its own address, without multicast; remove it [I91]"
ALWAYS = "is not used: what the nodes say is always encrypted and signed; remove it [I91]"
GENERATED = (
    "is ignored: addresses come from clusternode and altname, ports from cman and altname; remove it [I92]"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            (
                cluster(f'<cman transport="{word}"/>'),
                (
                    f"f:2: warning: cman/@transport {word} is not used: the nodes always talk over knet, encrypted; "
                    "remove it [I91]"
                ),
            )
            for word in ("udp", "udpb", "udpu")
        ),
        (cluster('<cman broadcast="yes"/>'), f"f:2: warning: cman/@broadcast is not used: {NOT_USED}"),
        (
            cluster("<cman>", '<multicast addr="239.0.0.1"/></cman>'),
            f"f:3: warning: <multicast> is not used: {NOT_USED}",
        ),
        (
            cluster("<cman>", '<altmulticast addr="239.0.0.1"/></cman>'),
            f"f:3: warning: <altmulticast> is not used: {NOT_USED}",
        ),
        (
            cluster(nodes=linked('<altname name="a2" mcast="239.0.0.1"/>', '<altname name="b2"/>')),
            f"f:3: warning: altname/@mcast is not used: {NOT_USED}",
        ),
        (cluster('<totem secauth="off"/>'), f'f:2: warning: totem/@secauth "off" {ALWAYS}'),
        (cluster('<totem secauth="0"/>'), f'f:2: warning: totem/@secauth "0" {ALWAYS}'),
        (cluster('<totem crypto_cipher="none"/>'), f'f:2: warning: totem/@crypto_cipher "none" {ALWAYS}'),
        (cluster('<totem crypto_hash="md5"/>'), f'f:2: warning: totem/@crypto_hash "md5" {ALWAYS}'),
        (
            cluster('<totem rrp_problem_count_timeout="1"/>'),
            (
                "f:2: warning: totem/@rrp_problem_count_timeout is ignored: corosync 3 has no such setting, or gets it "
                "from elsewhere; remove it [I92]"
            ),
        ),
        (
            cluster('<totem><interface ringnumber="0" mcastport="5405"/></totem>'),
            f"f:2: warning: interface/@mcastport {GENERATED}",
        ),
        (
            cluster("<totem>", '<interface linknumber="1"/></totem>'),
            "f:3: error: interface: the nodes have links 0 to 0, and this is for none of them; mend linknumber [I92]",
        ),
        (
            cluster("<totem>", '<interface linknumber="x"/></totem>'),
            "f:3: error: interface: the nodes have links 0 to 0, and this is for none of them; mend linknumber [I92]",
        ),
        (
            cluster("<totem><interface/>", '<interface ringnumber="0"/></totem>'),
            "f:3: error: interface: link 0 is there twice; join the two [I92]",
        ),
        (
            cluster("<logging>", '<logging_daemon name="corosync" subsys="CMAN"/></logging>'),
            (
                'f:3: warning: logging_daemon/@subsys: corosync 3 has no part "CMAN"; use one of CFG, CMAP, CPG, KNET, '
                "MAIN, MON, QB, QDEVICE, QUORUM, SERV, SYNC, TOTEM, VOTEQ, WD [I92]"
            ),
        ),
        (
            cluster('<logging><logging_daemon name="fenced"/></logging>'),
            'f:2: warning: logging_daemon "fenced" is kept but not acted upon yet [I80]',
        ),
        (
            cluster('<totem consensus="4800"/>'),
            (
                "f:2: warning: consensus 4800 ms is less than 1.2 x token; 12000 ms is used, remove consensus or raise it "
                "[I93]"
            ),
        ),
        (
            cluster('<totem token="1000" token_coefficient="100" consensus="1319"/>'),
            (
                "f:2: warning: consensus 1319 ms is less than 1.2 x token; 1320 ms is used, remove consensus or raise it "
                "[I93]"
            ),
        ),
        (
            cluster('<totem join="12001"/>'),
            "f:2: error: join 12001 ms is longer than consensus (12000 ms); lower join [I94]",
        ),
        (
            cluster('<totem consensus="20000" join="20001"/>'),
            "f:2: error: join 20001 ms is longer than consensus (20000 ms); lower join [I94]",
        ),
        (
            cluster('<totem token="125"/>'),
            (
                "f:2: error: token 125 ms is too short for 4 retransmits; set token to at least 126, or lower "
                "token_retransmits_before_loss_const [I94]"
            ),
        ),
        (
            cluster('<totem token="605" token_retransmits_before_loss_const="20"/>'),
            (
                "f:2: error: token 605 ms is too short for 20 retransmits; set token to at least 606, or lower "
                "token_retransmits_before_loss_const [I94]"
            ),
        ),
        (
            cluster('<cman last_man_standing="1"/>'),
            'f:2: error: last_man_standing is safe with wait_for_all only; add wait_for_all="1" to cman [I95]',
        ),
        (
            cluster('<cman last_man_standing="1" wait_for_all="1"/>', nodes=(*PAIR, node("c", 3, votes=2))),
            "f:2: error: last_man_standing needs 1 vote per node [I95]",
        ),
        (
            cluster('<cman two_node="1" auto_tie_breaker="1"/>', nodes=PAIR),
            "f:2: error: two_node and auto_tie_breaker exclude each other; remove one of them [I95]",
        ),
        (
            cluster('<cman two_node="1" wait_for_all="1" last_man_standing="1"/>', nodes=PAIR),
            "f:2: error: two_node and last_man_standing exclude each other; remove one of them [I95]",
        ),
        (
            cluster('<cman auto_tie_breaker="1"/><quorumd model="net" host="q"/>', nodes=PAIR),
            "f:2: error: auto_tie_breaker and quorumd exclude each other: corosync would switch the device off [I95]",
        ),
        (
            cluster(
                '<cman wait_for_all="1" last_man_standing="1"/><quorumd model="net" host="q"/>', nodes=PAIR
            ),
            "f:2: error: last_man_standing and quorumd exclude each other: corosync would switch the device off [I95]",
        ),
        (
            cluster('<cman port="65535"/>', nodes=linked('<altname name="a2"/>', '<altname name="b2"/>')),
            "f:4: error: link 1 would use port 65536; lower cman/@port, or give altname a port [I96]",
        ),
        (
            cluster(nodes=linked('<altname name="a2" port="6000"/>', '<altname name="b2" port="6001"/>')),
            (
                "f:4: error: node b: link 1 has port 6001, but 6000 at node a; give a link the same port at every node "
                "[I96]"
            ),
        ),
        (
            cluster('<quorumd model="nett" host="q"/>', nodes=PAIR),
            'f:2: error: quorumd: model "nett" does not exist; use net, or none for a quorum disk [I97]',
        ),
        (
            cluster('<quorumd model="net"/>', nodes=PAIR),
            "f:2: error: quorumd: without host; name the machine on which corosync-qnetd runs [I97]",
        ),
        (
            cluster('<quorumd model="net" host="B"/>', nodes=PAIR),
            "f:2: error: quorumd: host B is a node of this cluster; use another machine [I97]",
        ),
        (
            cluster('<quorumd model="net" host="q" port="65536"/>', nodes=PAIR),
            'f:2: error: quorumd: port "65536" must be 1..65535 [I97]',
        ),
        (
            cluster('<quorumd model="net" host="q" algorithm="2nodelms"/>', nodes=PAIR),
            'f:2: error: quorumd: algorithm "2nodelms" does not exist; use ffsplit or lms [I97]',
        ),
        (
            cluster('<quorumd model="net" host="q" tls="maybe"/>', nodes=PAIR),
            'f:2: error: quorumd: tls "maybe" does not exist; use required or on or off [I97]',
        ),
        (
            cluster('<quorumd model="net" host="q" tls="off"/>', nodes=PAIR),
            'f:2: warning: quorumd/@tls "off" lets anybody on the way answer for the server; write tls="required" [I91]',
        ),
        (
            cluster('<quorumd model="net" host="q" tie_breaker="3"/>', nodes=PAIR),
            'f:2: error: quorumd: tie_breaker "3" is no node id; use one, or lowest or highest [I97]',
        ),
        (
            cluster('<quorumd model="net" host="q" tie_breaker="x"/>', nodes=PAIR),
            'f:2: error: quorumd: tie_breaker "x" is no node id; use one, or lowest or highest [I97]',
        ),
        (
            cluster('<quorumd model="net" host="q"/>', nodes=PAIR[:1]),
            "f:2: error: quorumd: a cluster of one node has no ties to break; remove quorumd [I97]",
        ),
        (
            cluster('<quorumd model="net" host="q"/>', nodes=(PAIR[0], node("b", 2, votes=2))),
            "f:2: error: quorumd: a quorum device needs 1 vote per node [I97]",
        ),
        (
            cluster('<quorumd model="net" host="q" votes="2"/>', nodes=PAIR),
            'f:2: error: quorumd: votes "2" cannot be: ffsplit gives 1; remove votes [I97]',
        ),
        (
            cluster('<quorumd model="net" host="q" algorithm="lms" votes="1"/>'),
            'f:2: error: quorumd: votes "1" cannot be: lms gives 2 with 3 nodes; remove votes [I97]',
        ),
        (
            cluster('<quorumd model="net" host="q"/>'),
            (
                "f:2: warning: quorumd: ffsplit helps an even number of nodes only, and there are 3; remove quorumd, or use "
                "lms [I97]"
            ),
        ),
        (
            cluster('<cman expected_votes="2"/><quorumd model="net" host="q"/>', nodes=PAIR),
            "f:2: warning: expected_votes 2 ignored, 3 used: the nodes' votes and the device's [I97]",
        ),
        (
            cluster('<quorumd model="net" host="q"><heuristic program="true"/></quorumd>', nodes=PAIR),
            "f:2: warning: <heuristic> is kept but not acted upon yet [I80]",
        ),
        (
            cluster(nodes=linked('<altname name="a2"/>', '<altname name="a2"/>')),
            (
                'f:4: error: node b: altname "a2" is a name of node a already; every link of every node needs an address of '
                "its own [I98]"
            ),
        ),
        (
            cluster(nodes=linked('<altname name="a"/>', '<altname name="b2"/>')),
            (
                'f:3: error: node a: altname "a" is a name of node a already; every link of every node needs an address of '
                "its own [I98]"
            ),
        ),
        (
            cluster(nodes=linked('<altname name="b"/>', '<altname name="b2"/>')),
            (
                'f:3: error: node a: altname "b" is a name of node b already; every link of every node needs an address '
                "of its own [I98]"
            ),
        ),
        (
            cluster('<cman keyfile="/k&#10;"/>'),
            "f:2: error: cman/@keyfile has a brace or a control character, which corosync.conf cannot hold [I99]",
        ),
        (
            cluster(nodes=(node("a{", 1), node("b", 2))),
            "f:3: error: clusternode/@name has a brace or a control character, which corosync.conf cannot hold [I99]",
        ),
        (
            cluster('<quorumd model="net" host="q}"/>', nodes=PAIR),
            "f:2: error: quorumd/@host has a brace or a control character, which corosync.conf cannot hold [I99]",
        ),
        (
            cluster('<logging logfile="/a{b"/>'),
            "f:2: error: logging/@logfile has a brace or a control character, which corosync.conf cannot hold [I99]",
        ),
        (
            cluster('<totem keyfile="key"/>'),
            'f:2: error: totem/@keyfile "key" is not a full path; begin it with / [I99]',
        ),
        (
            cluster('<logging><logging_daemon name="corosync" logfile="log"/></logging>'),
            'f:2: error: logging_daemon/@logfile "log" is not a full path; begin it with / [I99]',
        ),
    ],
)
def test_what_corosync_does_not_do_is_told_with_its_line(text: str, expected: str) -> None:
    assert expected in lines(text)
    assert (load("f", text.encode()).cluster is None) == (": error: " in expected)


@pytest.mark.parametrize(
    "text",
    [
        cluster('<cman transport="knet" broadcast="no" two_node="0"/>'),
        cluster('<totem secauth="on" crypto_cipher="AES192" crypto_hash="sha384" rrp_mode="passive"/>'),
        cluster('<totem token="126"/>'),
        cluster('<totem token="100" token_retransmit="40"/>'),
        cluster('<cman two_node="1" wait_for_all="1"/>', nodes=PAIR),
        cluster('<cman wait_for_all="1" last_man_standing="1" auto_tie_breaker="1"/>'),
        cluster('<cman expected_votes="3" quorum_dev_poll="1"/><quorumd model="NET" host="q"/>', nodes=PAIR),
        cluster('<quorumd model="net" host="q" algorithm="lms" votes="2" tie_breaker="3"/>'),
        cluster('<logging><logging_daemon name="corosync" subsys="cpg" logfile="/l"/></logging>'),
        cluster(nodes=linked('<altname name="a2" port="6000"/>', '<altname name="b2"/>')),
    ],
)
def test_what_corosync_does_is_without_findings(text: str) -> None:
    assert lines(text) == []


def test_the_same_thing_is_not_said_of_every_node() -> None:
    text = cluster(nodes=linked('<altname name="a2" mcast="x"/>', '<altname name="b2" mcast="x"/>'))
    assert lines(text) == [f"f:3: warning: altname/@mcast is not used: {NOT_USED}"]


def test_altname_without_a_name_is_not_called_a_shared_name() -> None:
    assert [line[-5:] for line in lines(cluster(nodes=linked("<altname/>", "<altname/>")))] == [
        "[I43]",
        "[I43]",
    ]


def test_file_that_asks_for_nothing_gets_the_defaults() -> None:
    assert messaging(cluster()) == Messaging()


def test_settings_of_the_messaging_layer_are_read() -> None:
    settings = {name: rule.least or 31 for name, rule in TOTEM_SETTINGS.items()} | {"consensus": 20_000}
    attributes = " ".join(f'{name}="{number}"' for name, number in settings.items())
    text = cluster(
        '<cman port="6000" keyfile="/k" wait_for_all="1" auto_tie_breaker="1" last_man_standing="1" shutdown_timeout="8"/>',
        f'<totem keyfile="/other" join="50" fail_recv_const="9" rrp_mode="Active" crypto_cipher="aes192" {attributes}',
        ' crypto_hash="sha384" token_coefficient="5"><interface knet_link_priority="4"/></totem>',
    )
    read = messaging(text)
    assert (read.port, read.keyfile, read.shutdown_timeout_ms) == (6000, "/k", 8)
    assert (read.wait_for_all, read.auto_tie_breaker, read.last_man_standing) == (True, True, True)
    totem = read.totem
    assert (totem.join_ms, totem.fail_recv_const, totem.consensus_ms) == (50, 9, 20_000)
    assert (totem.link_mode, totem.cipher, totem.hash) == (LinkMode.ACTIVE, "aes192", "sha384")
    assert totem.token_coefficient_ms == 5
    assert dict(totem.settings) | {"consensus": 20_000} == settings
    assert totem.links == (LinkSettings(number=0, priority=4),)


def test_key_of_totem_counts_where_cman_names_none() -> None:
    assert messaging(cluster('<cman keyfile=""/>', '<totem keyfile=" /k "/>')).keyfile == "/k"


def test_consensus_that_is_too_short_is_left_to_corosync() -> None:
    assert messaging(cluster('<totem consensus="11999"/>')).totem.consensus_ms is None


def test_device_in_the_network_has_its_defaults() -> None:
    assert messaging(cluster('<quorumd model="net" host=" q "/>', nodes=PAIR)).device == QuorumDevice(
        host="q", port=5403, algorithm=Algorithm.FFSPLIT, votes=1, tls=Tls.REQUIRED, tie_breaker="lowest"
    )


def test_device_in_the_network_is_read() -> None:
    text = cluster(
        '<cman quorum_dev_poll="7000"/>',
        '<quorumd model="net" host="q" port="99" algorithm="LMS" tls="On" tie_breaker="Highest"/>',
    )
    assert messaging(text).device == QuorumDevice(
        host="q",
        port=99,
        algorithm=Algorithm.LMS,
        votes=None,
        tls=Tls.ON,
        tie_breaker="highest",
        timeout_ms=7000,
    )


def test_quorum_disk_is_no_device_in_the_network() -> None:
    text = cluster('<totem token="30000"/><quorumd model="disk" label="q"/>')
    assert messaging(text).device is None


def test_daemon_named_corosync_wins_over_logging_and_unknown_words_are_absent() -> None:
    text = cluster(
        '<logging to_syslog="yes" syslog_priority="error" logfile_priority="loud" debug="on" to_logfile="no">',
        '<logging_daemon name="corosync" to_syslog="no" syslog_facility="LOCAL1"/>',
        '<logging_daemon name="fenced" syslog_facility="local2"/>',
        '<logging_daemon name="COROSYNC" subsys="wd" debug="off"/></logging>',
    )
    read = messaging(text)
    assert read.log == Log(
        to_syslog=False, to_logfile=False, syslog_facility="local1", syslog_priority="err", debug=True
    )
    assert read.log_subsystems == (Log(subsys="WD", debug=False),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (cluster(), (5405,)),
        (
            cluster('<cman port="6809"/>', nodes=linked('<altname name="a2"/>', '<altname name="b2"/>')),
            (6809, 6810),
        ),
        (cluster(nodes=linked('<altname name="a2"/>', '<altname name="b2" port="7000"/>')), (5405, 7000)),
    ],
)
def test_each_link_has_a_port(text: str, expected: tuple[int, ...]) -> None:
    assert ports(text) == expected


@given(st.integers(1, 40), st.integers(30, 2000))
def test_token_is_refused_exactly_where_corosync_would_retransmit_too_often(
    retransmits: int, token_ms: int
) -> None:
    text = cluster(
        f'<totem token="{token_ms}" token_retransmits_before_loss_const="{retransmits}" join="30"/>'
    )
    assert (load("f", text.encode()).cluster is None) == (int(token_ms / (retransmits + 0.2)) < 30)
