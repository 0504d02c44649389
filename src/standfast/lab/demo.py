"""The demonstration: the founding document's two-node cluster on this machine, from nothing, surviving.

`./run demo`. Every command is really run and its output is what it really printed.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from standfast.errors import StandfastError
from standfast.lab import watcher
from standfast.lab.calls import DaemonAction
from standfast.lab.cluster import Lab, Wanted
from standfast.lab.plan import TOKEN_MS
from standfast.lab.probing import Probing
from standfast.lab.story import Narrator, history_of, takeover

SERVICE = "VirtualHTTP"
WAIT_S = 20.0  # for anything that should take a moment
_POLL_S = 0.02


def main(argv: Sequence[str]) -> int:
    """Tell the whole story; returns 0 when all went as it must."""
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--no-namespaces", action="store_true", help="use loopback addresses only")
    parser.add_argument(
        "--engine",
        choices=("local", "corosync"),
        default="local",
        help="the embedded engine, or corosync 3 as root",
    )
    options = parser.parse_args(argv)
    narrator = Narrator()
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="standfast-demo-") as folder:
            wanted = Wanted(
                directory=Path(folder) / "lab",
                nodes=2,
                isolated=not options.no_namespaces,
                start_daemons=False,
                corosync=options.engine == "corosync",
            )
            with Lab.up(wanted, narrator.progress) as lab:
                Story(narrator, lab).tell()
            narrator.heading("Everything is removed again")
            narrator.say("processes, namespaces and files are gone")
    except KeyboardInterrupt:
        print("\ndemo: interrupted; everything is removed again", file=sys.stderr)
        return 130
    except StandfastError as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1
    narrator.say(f"the whole story took {time.monotonic() - began:.1f} s")
    return 0


class Story:
    """The steps, on a lab of two booted nodes whose daemons are not started yet."""

    def __init__(self, narrator: Narrator, lab: Lab) -> None:
        self._tell = narrator
        self._lab = lab
        self._nodes = {"vapp1": lab.node("vapp1"), "vapp2": lab.node("vapp2")}
        self._address = lab.network.service_address
        self._port = lab.network.web_port
        self._isolated = lab.plan().isolated
        self._corosync = lab.plan().corosync

    def tell(self) -> None:
        """All steps in their order."""
        self._configure()
        self._start()
        self._add_service()
        with Probing(self._lab) as probing:
            self._operate(probing)
            self._kill_owner(probing)
            self._power_on()
            self._cut(probing)

    def _configure(self) -> None:
        self._tell.heading("The configuration, by the founding document's four commands")
        vapp1, vapp2 = self._nodes["vapp1"], self._nodes["vapp2"]
        path = str(self._lab.place.cluster_conf("vapp1"))
        for name in self._nodes:
            self._lab.place.cluster_conf(name).unlink()
        self._tell.run(vapp1, "ccs_tool", "create", "-2", "VMCluster")
        self._tell.run(vapp1, "ccs_tool", "addfence", "-C", "manual", "fence_manual")
        self._tell.run(vapp1, "ccs_tool", "addnode", "-C", "vapp1", "-n", "1", "-f", "manual")
        self._tell.run(vapp1, "ccs_tool", "addnode", "-C", "vapp2", "-n", "2", "-f", "manual")
        shown = "/etc/cluster/cluster.conf" if self._isolated else path
        self._tell.run(vapp1, "cat", shown)
        self._tell.say("the file is copied to vapp2 by hand, as the document says")
        text = Path(path).read_text()
        if self._corosync:
            text = text.replace("</cluster>", f'  <totem token="{TOKEN_MS}"/>\n</cluster>')
            Path(path).write_text(text)
            self._tell.say(
                f'so that a dead node is noticed after 2 s, and not after 22: <totem token="{TOKEN_MS}"/>'
            )
        target = self._lab.place.cluster_conf(vapp2.name)
        target.write_text(text)
        target.chmod(0o640)

    def _start(self) -> None:
        engine = "corosync 3" if self._corosync else "the embedded engine"
        self._tell.heading(f"Two nodes start, on {engine}")
        for name in self._nodes:
            self._lab.operate_daemon(name, DaemonAction.START)
        self._wait("both nodes are members", lambda: self._online() == {"vapp1", "vapp2"})
        self._tell.run(self._nodes["vapp1"], "clustat")

    def _add_service(self) -> None:
        self._tell.heading(f"The service {SERVICE}, and fencing that needs no person, go into the file")
        path = self._lab.place.cluster_conf("vapp1")
        text = path.read_text()
        for old, new in (
            ('config_version="4"', 'config_version="5"'),
            ('agent="fence_manual"', f'agent="fence_lab" ipaddr="{self._lab.place.power}"'),
            ('name="manual"', 'name="power"'),
            ("    <resources/>\n", f"    <resources/>\n{self._service()}"),
        ):
            text = text.replace(old, new)
        for name in self._nodes:
            text = text.replace(
                '<device name="power"/>', f'<device name="power" port="{name}" action="off"/>', 1
            )
        new_path = path.with_name("cluster.conf.new")
        new_path.write_text(text)
        vapp1 = self._nodes["vapp1"]
        shown = "/etc/cluster/cluster.conf.new" if self._isolated else str(new_path)
        self._tell.run(vapp1, "cat", shown)
        self._tell.run(vapp1, "ccs_tool", "update", shown)
        new_path.unlink()
        self._wait("the service is started", lambda: self._owner() is not None)
        self._tell.run(vapp1, "clustat")
        owner = self._owner()
        assert owner is not None
        self._get()
        if self._isolated:
            self._tell.run(self._nodes[owner], "ip", "addr", "list")
        else:
            self._tell.say("on loopback addresses there is no address of its own to show with ip addr list")

    def _service(self) -> str:
        return (
            f'    <service autostart="1" name="{SERVICE}">\n'
            f'      <ip address="{self._address}" monitor_link="1"/>\n'
            f'      <script name="http" file="{self._lab.web_script}"/>\n'
            "    </service>\n"
        )

    def _operate(self, probing: Probing) -> None:
        self._tell.heading("An operator moves, disables, enables, stops and restarts it")
        vapp1 = self._nodes["vapp1"]
        for words, answers in (
            (("-r", SERVICE, "-m", "vapp2"), True),
            (("-d", SERVICE), False),
            (("-e", SERVICE), True),
            (("-s", SERVICE), False),
            (("-R", SERVICE), True),
        ):
            self._tell.run(vapp1, "clusvcadm", *words)
            since_ms = time.monotonic() * 1000
            if answers:
                probe = probing.wait_for_answer(since_ms=since_ms, within_s=WAIT_S)
                self._tell.say(f"a GET from {self._lab.core.name} is answered: {probe.answer}")
            else:
                probe = probing.wait_for_failure(since_ms=since_ms, within_s=WAIT_S)
                self._tell.say(f"a GET from {self._lab.core.name} is answered by nobody: {probe.failure}")

    def _kill_owner(self, probing: Probing) -> None:
        victim = self._owner()
        assert victim is not None
        survivor = self._other(victim)
        self._tell.heading(f"{victim}, which runs the service, dies: every process of it is killed at once")
        probing.wait_for_answer(victim, since_ms=time.monotonic() * 1000, within_s=WAIT_S)
        after_ms, since_ms = time.time() * 1000, time.monotonic() * 1000
        self._lab.kill(victim)
        answer = probing.wait_for_answer(survivor, since_ms=since_ms, within_s=WAIT_S)
        self._tell.say(
            f"{survivor} has fenced {victim} through the power switch and answers: {answer.answer}"
        )
        moments = takeover(
            history_of(self._nodes[survivor]),
            probing.probes(since_ms - 1000),
            victim=victim,
            survivor=survivor,
            after_ms=after_ms,
        )
        self._tell.table(moments.rows(victim, survivor))
        gap_ms = moments.first_answer_ms - moments.fenced_ms
        self._tell.say(f"from fenced to the first answer: {gap_ms:.0f} ms")
        self._tell.run(self._nodes[survivor], "clustat")
        self._dead = victim

    def _power_on(self) -> None:
        self._tell.heading(f"{self._dead} is switched on again and joins")
        self._lab.power_on(self._dead)
        self._lab.operate_daemon(self._dead, DaemonAction.START)
        self._wait("both nodes take part", lambda: self._online("manager") == {"vapp1", "vapp2"})
        self._tell.run(self._nodes[self._other(self._dead)], "clustat")

    def _cut(self, probing: Probing) -> None:
        self._tell.heading("The link between the two nodes is cut: each is quorate, fencing decides")
        self._lab.cut("vapp1", "vapp2")
        self._wait("one node is fenced", lambda: len(self._powered()) < 2)
        survivor = next(iter(self._powered()), None)
        if survivor is None:
            raise StandfastError("both nodes were fenced; exactly one must be", code="demo-failed")
        loser = self._other(survivor)
        since_ms = time.monotonic() * 1000
        answer = probing.wait_for_answer(survivor, since_ms=since_ms, within_s=WAIT_S)
        self._tell.say(f"exactly one was fenced: {loser}; {survivor} serves: {answer.answer}")
        judgement = watcher.never_on_two(self._lab.address_events(), self._address)
        if judgement.verdict is not watcher.Verdict.KEPT:
            raise StandfastError(f"{self._address}: {judgement.because}", code="demo-failed")
        self._tell.say(f"at no moment of this story did both nodes hold {self._address}: {judgement.because}")
        self._wait("the service is started", lambda: self._owner(survivor) == survivor)
        self._tell.run(self._nodes[survivor], "clustat")

    def _get(self) -> None:
        port = "" if self._port == 80 else f":{self._port}"
        url = f"http://{self._address}{port}/"
        program = f'import urllib.request as r; print(r.urlopen("{url}", timeout=5).read().decode().strip())'
        self._tell.run(self._lab.core, "python3", "-c", program)

    def _other(self, name: str) -> str:
        return "vapp2" if name == "vapp1" else "vapp1"

    def _powered(self) -> set[str]:
        return {
            m.name for m in self._lab.status().machines if m.name in self._nodes and m.power.value != "off"
        }

    def _status(self, on: str) -> dict[str, object]:
        done = self._nodes[on].run(["clustat", "--json"], timeout_s=10)
        if done.returncode not in (0, 255) or not done.stdout.startswith("{"):
            return {}
        status = json.loads(done.stdout)
        return status if isinstance(status, dict) else {}

    def _online(self, flag: str = "online") -> set[str]:
        status = self._status(next(iter(sorted(self._powered()))))
        nodes = status.get("nodes")
        takes_part = (
            [n for n in nodes if n.get(flag) and not n.get("victim")] if isinstance(nodes, list) else []
        )
        return {str(n["name"]) for n in takes_part} if status.get("synced") else set()

    def _owner(self, on: str | None = None) -> str | None:
        services = self._status(on or next(iter(sorted(self._powered())))).get("services")
        for service in services if isinstance(services, list) else []:
            if service.get("name") == f"service:{SERVICE}" and service.get("state") == "started":
                return str(service["owner"])
        return None

    def _wait(self, what: str, true: Callable[[], bool]) -> None:
        give_up = time.monotonic() + WAIT_S
        while not true():
            if time.monotonic() > give_up:
                raise StandfastError(f"waited {WAIT_S:.0f} s in vain until {what}", code="demo-failed")
            time.sleep(_POLL_S)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main(sys.argv[1:]))
