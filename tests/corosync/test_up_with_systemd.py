"""standfast up and down where corosync was there first: systemd's units, and the example that a package starts.

systemd itself is not run here; a small program in its place starts and stops the same programs, and notes how it is asked.
"""

from collections.abc import Iterator

import pytest
from tests.corosync.machines import DOWN, UP, Machine, machines, short_folder

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

EXAMPLE = """totem {
    version: 2
    cluster_name: debian
    crypto_cipher: none
    crypto_hash: none
}
logging {
    to_stderr: no
    to_syslog: no
}
quorum {
    provider: corosync_votequorum
}
nodelist {
    node {
        name: node1
        nodeid: 1
        ring0_addr: 127.0.0.1
    }
}
system {
    allow_knet_handle_fallback: yes
}
"""

SYSTEMCTL = """#!/bin/sh
echo "$*" >>/run/systemctl.calls
case "$1 $2" in
"cat corosync-qdevice.service") exit 1 ;;
"start corosync.service") corosync || exit 1; until corosync-cmapctl -g totem.cluster_name; do sleep 0.1; done ;;
"start standfastd.service") standfastd --engine corosync 2>/dev/null ;;
"stop "*) kill $(cat /run/corosync.pid); while [ -e /run/corosync.pid ]; do sleep 0.1; done ;;
esac
"""


@pytest.fixture(name="node")
def _node() -> Iterator[Machine]:
    with short_folder() as folder, machines(folder, 2) as (node, _):
        yield node


def test_example_of_the_package_makes_room(node: Machine) -> None:
    node.corosync_conf.write_text(EXAMPLE)
    node.must("corosync")
    said = node.must(*UP)
    assert 'ending the example "debian" of the package, which ran for this machine alone' in said
    assert node.members() == ["vapp1"]
    assert (node.corosync_conf.parent / "corosync.conf.before-standfast").read_text() == EXAMPLE


def test_units_are_started_and_stopped_where_systemd_rules(node: Machine) -> None:
    node.must("mkdir", "-p", "/run/systemd/system")
    node.must("mount", "-t", "tmpfs", "none", "/usr/local/sbin")
    node.must("sh", "-c", f"cat >/usr/local/sbin/systemctl <<'END'\n{SYSTEMCTL}END\n")
    node.must("chmod", "755", "/usr/local/sbin/systemctl")
    node.must(*UP)
    assert node.members() == ["vapp1"]
    node.must(*DOWN)
    assert node.runs() == []
    calls = node.must("cat", "/run/systemctl.calls").splitlines()
    assert [call for call in calls if not call.startswith("cat ")] == [
        "start corosync.service",
        "start standfastd.service",
        "stop standfastd.service corosync.service",
    ]
