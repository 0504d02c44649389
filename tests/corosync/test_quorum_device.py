"""The real corosync-qdevice with what is rendered: it reaches corosync-qnetd, encrypted, and gets the votes foretold.

Source: spec membership, section 16.8; corosync-qdevice(8), "MODEL NET TLS CONFIGURATION".
"""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.corosync.lone_node import DEVICE, LMS, Facts, cluster, reason_against, rendered, run_machine

from standfast.conf.messaging import Messaging
from standfast.conf.model import Cluster
from standfast.conf.quorum import expected_votes_of, quorum_of

QDEVICE = r"""
mount -t tmpfs none /etc/corosync
mkdir -p /run/corosync-qnetd /run/corosync-qdevice /etc/corosync/qnetd
cd /run
server=/etc/corosync/qnetd/nssdb node=/etc/corosync/qdevice/net/nssdb
{
  corosync-qnetd-certutil -i
  corosync-qdevice-net-certutil -i -c $server/qnetd-cacert.crt
  corosync-qdevice-net-certutil -r -n rendered
  corosync-qnetd-certutil -s -c $node/qdevice-net-node.crq -n rendered
  corosync-qdevice-net-certutil -M -c $server/cluster-rendered.crt
} >&2
corosync-qnetd -s req -c on -f >&2 &
until corosync-qnetd-tool -s >/dev/null 2>&1; do :; done
start_corosync "$1"
corosync-qdevice -f >&2 &
until corosync-qdevice-tool -s 2>/dev/null | grep -q Connected; do :; done
until corosync-quorumtool -s | grep -q "Quorate Qdevice"; do :; done
corosync-quorumtool -s
corosync-qnetd-tool -l -v
"""
"""Makes certificates, starts the server on 10.0.0.9 and the device on the node, and waits for its vote."""


@pytest.mark.parametrize(
    ("nodes", "messaging", "algorithm"),
    [(2, DEVICE, "Fifty-Fifty split"), (3, LMS, "LMS")],
    ids=["ffsplit", "lms"],
)
def test_node_alone_goes_on_with_the_votes_of_the_device(
    tmp_path: Path, nodes: int, messaging: Messaging, algorithm: str
) -> None:
    if reason := reason_against("corosync", "corosync-qdevice", "corosync-qnetd"):
        pytest.skip(reason)
    device = messaging.device
    assert device
    value: Cluster = replace(
        cluster(nodes), messaging=replace(messaging, device=replace(device, host="10.0.0.9"))
    )
    said = run_machine(QDEVICE, rendered(value, tmp_path, "corosync.conf"))
    facts = Facts(said)
    assert facts.word("Flags") == "Quorate Qdevice"
    assert facts.word("Quorum") == str(quorum_of(value))
    assert facts.word("Total votes") == str(1 + expected_votes_of(value) - nodes)
    assert algorithm in said
    assert "Yes (client certificate verified)" in said
