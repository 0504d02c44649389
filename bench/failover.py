"""How long a takeover takes: the owner is killed again and again in a lab of two nodes, as the client sees it.

On the embedded engine, and, as root where corosync is installed, on corosync. "ours" is the time from the loss of the
member to the first answer, without what the fence agent and the service's own start took.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from standfast.lab.cluster import Lab, Wanted
from standfast.lab.probing import Probing
from standfast.lab.story import Takeover, history_of, takeover

KILLS = 10
SBIN = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
CONFIG = """<?xml version="1.0"?>
<cluster name="VMCluster" config_version="1">
  <clusternodes>
    <clusternode name="vapp1" votes="1" nodeid="1">
      <fence>
        <method name="single"><device name="power" port="vapp1" action="off"/></method>
      </fence>
    </clusternode>
    <clusternode name="vapp2" votes="1" nodeid="2">
      <fence>
        <method name="single"><device name="power" port="vapp2" action="off"/></method>
      </fence>
    </clusternode>
  </clusternodes>
  <cman expected_votes="1" two_node="1"/>
  <totem token="1000"/>
  <fencedevices>
    <fencedevice name="power" agent="fence_lab" ipaddr="{power}"/>
  </fencedevices>
  <rm>
    <service name="VirtualHTTP">
      <ip address="10.1.4.150" monitor_link="1"/>
      <script name="http" file="/etc/init.d/httpd"/>
    </service>
  </rm>
</cluster>
"""


def main() -> int:
    """Print each kill and the medians of its parts, in milliseconds, for each engine."""
    _measure("the embedded engine", corosync=False)
    if os.geteuid() == 0 and shutil.which("corosync", path=SBIN):
        _measure("corosync", corosync=True)
    else:
        print("corosync: not measured, which takes root and the package corosync")
    return 0


def _measure(engine: str, *, corosync: bool) -> None:
    print(f"on {engine}:")
    takeovers: list[Takeover] = []
    with tempfile.TemporaryDirectory(prefix="standfast-bench-") as folder:
        config = Path(folder) / "cluster.conf"
        config.write_text(CONFIG.format(power=Path(folder) / "lab" / "power.sock"))
        wanted = Wanted(directory=Path(folder) / "lab", config=config, corosync=corosync)
        with Lab.up(wanted) as lab, Probing(lab, every_ms=2.0) as probing:
            for _ in range(KILLS):
                takeovers.append(_kill_owner(lab, probing))
                print("  ".join(f"{name} {value:7.1f}" for name, value in _parts(takeovers[-1])), flush=True)
    print("median:")
    for k, (name, _) in enumerate(_parts(takeovers[0])):
        values = sorted(_parts(one)[k][1] for one in takeovers)
        print(f"  {name:24s} {values[len(values) // 2]:7.1f} ms, worst {values[-1]:7.1f} ms")


def _parts(one: Takeover) -> tuple[tuple[str, float], ...]:
    return (
        ("lost to fencing", one.fencing_began_ms - one.lost_ms),
        ("fencing", one.fenced_ms - one.fencing_began_ms),
        ("fenced to start", one.start_began_ms - one.fenced_ms),
        ("fenced to first answer", one.first_answer_ms - one.fenced_ms),
        ("lost to first answer", one.first_answer_ms - one.lost_ms),
        ("ours", one.fencing_began_ms - one.lost_ms + one.start_began_ms - one.fenced_ms),
        ("last to first answer", one.first_answer_ms - one.last_answer_ms),
    )


def _kill_owner(lab: Lab, probing: Probing) -> Takeover:
    victim = probing.wait_for_answer(since_ms=time.monotonic() * 1000, within_s=40).node
    assert victim is not None
    survivor = "vapp2" if victim == "vapp1" else "vapp1"
    _wait_for_member(lab, survivor, victim)
    after_ms, since_ms = time.time() * 1000, time.monotonic() * 1000
    lab.kill(victim)
    probing.wait_for_answer(survivor, since_ms=since_ms, within_s=40)
    history = history_of(lab.node(survivor))
    one = takeover(
        history, probing.probes(since_ms - 1000), victim=victim, survivor=survivor, after_ms=after_ms
    )
    lab.power_on(victim)
    return one


def _wait_for_member(lab: Lab, on: str, name: str) -> None:
    give_up = time.monotonic() + 40
    while time.monotonic() < give_up:
        done = lab.node(on).run(["clustat", "-m", name])
        if done.returncode == 0 and "Online" in done.stdout:
            table = lab.node(on).run(["clustat"]).stdout
            if f" {name} " in table and table.count("rgmanager") == 2:
                return
    raise subprocess.SubprocessError(f"{name} is no member of {on} after 40 s")


if __name__ == "__main__":
    sys.exit(main())
