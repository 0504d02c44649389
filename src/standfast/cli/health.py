"""What is wrong with a node, judged from facts about it: one function for each thing that is looked at.

Pure: `standfast.cli.examination` gathers the facts, `standfast.cli.doctor` prints what comes of them.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

from msgspec import Struct

from standfast.conf.load import Loaded
from standfast.conf.model import Cluster
from standfast.conf.own_node import own_node
from standfast.wire.control import DaemonReport, Status

COROSYNC_MAJOR = 3
KEY_BYTES_MIN, KEY_BYTES_MAX = 128, 4096  # corosync.conf(5), keyfile
KEY_MODE = 0o600
GROUP = "standfast"
MANUAL_AGENTS = frozenset({"fence_manual", "fence_ack_manual"})
ENGINE_PROGRAM = "corosync"


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(Struct, frozen=True):
    """One line: what was looked at, what is true, and what to do ("" where nothing is)."""

    grade: Grade
    subject: str
    what: str
    cure: str = ""


class Key(Struct, frozen=True, kw_only=True):
    """corosync's key. `refusal` is the system's reason why it cannot be looked at, "" where it can."""

    path: str
    refusal: str = ""
    mode: int = KEY_MODE
    uid: int = 0
    length: int = 0


class Listener(Struct, frozen=True):
    """Who has a port; `program` is "" where only root could see it."""

    port: int
    protocol: str
    program: str


class Facts(Struct, frozen=True, kw_only=True):
    """Everything that the checks judge. None: it could not be found out."""

    conf_path: str
    conf: Loaded | None
    conf_refusal: str = ""  # why the file cannot be read
    hostname: str
    wanted_name: str = ""  # the name that the operator gave this node
    status: Status | None
    report: DaemonReport | None
    daemon_refusal: str = ""  # why the daemon does not answer
    watchdog_devices: tuple[str, ...] = ()
    listeners: tuple[Listener, ...] = ()
    has_group: bool
    agent_folder: str
    agent_files: int | None  # executable files in it
    fence_agents: tuple[
        tuple[str, str], ...
    ] = ()  # agents named in cluster.conf, and where they are, "" for nowhere
    clock_synced: bool | None
    corosync_version: str | None  # "" where it is not installed
    key: Key | None

    @property
    def cluster(self) -> Cluster | None:
        """The configuration on this node's disk, None where it cannot be used."""
        return None if self.conf is None else self.conf.cluster

    @property
    def needs_corosync(self) -> bool:
        """Whether this node's engine is corosync, as far as one can tell."""
        return self.report is None or self.report.engine == ENGINE_PROGRAM


def examine(facts: Facts) -> tuple[Finding, ...]:
    """Return all findings, in the order in which they are to be read."""
    return tuple(finding for check in CHECKS for finding in check(facts))


def exit_status(findings: Sequence[Finding]) -> int:
    """Return 0 where all is well, 1 for warnings, 2 for errors."""
    grades = {finding.grade for finding in findings}
    return 2 if Grade.ERROR in grades else 1 if Grade.WARNING in grades else 0


def check_conf(facts: Facts) -> Iterator[Finding]:
    """cluster.conf: readable, and valid."""
    if facts.conf is None:
        cure = "write one with: ccs_tool create, or copy it from another node"
        yield Finding(Grade.ERROR, "cluster.conf", f"{facts.conf_path}: {facts.conf_refusal}", cure)
        return
    cluster = facts.conf.cluster
    if cluster is None:
        for line in facts.conf.lines:
            yield Finding(Grade.ERROR, "cluster.conf", line, "mend that line; standfast check shows it again")
        return
    for line in facts.conf.lines:
        yield Finding(Grade.WARNING, "cluster.conf", line, "mend that line, or live with what it says")
    yield Finding(Grade.OK, "cluster.conf", f"version {cluster.config_version} is valid")


def check_membership_in_conf(facts: Facts) -> Iterator[Finding]:
    """This node: it has an entry in the file, and the daemon's file is this one."""
    cluster, status = facts.cluster, facts.status
    if cluster is None:
        return
    if status is not None:
        found = next((node for node in cluster.nodes if node.nodeid == status.local), None)
        name = f"node {status.local}"
    else:
        found = own_node(cluster, facts.wanted_name, facts.hostname)
        name = f'"{facts.wanted_name or facts.hostname}"'
    if found is None:
        listed = ", ".join(node.name for node in cluster.nodes)
        cure = "add it with: ccs_tool addnode, or start the daemon with --name"
        yield Finding(Grade.ERROR, "this node", f"{name} is none of {listed}", cure)
    else:
        yield Finding(Grade.OK, "this node", f"{found.name}, node id {found.nodeid}")
    if status is not None and status.config_version != cluster.config_version:
        what = f"the cluster has version {status.config_version}, the file version {cluster.config_version}"
        yield Finding(Grade.WARNING, "this node", what, "activate the newer one with: ccs_tool update")


def check_daemon(facts: Facts) -> Iterator[Finding]:
    """The daemon: it answers, has a quorum, and is synced."""
    status = facts.status
    if status is None:
        cure = "standfast up"
        yield Finding(Grade.ERROR, "daemon", facts.daemon_refusal, cure)
        return
    standing = "" if facts.report is None else f" ({facts.report.standing})"
    if not status.quorate:
        yield Finding(
            Grade.ERROR, "daemon", f"it has no quorum{standing}", "start more nodes, mend the network"
        )
    elif not status.synced:
        cure = "wait a moment; if it stays, look at the logs of all nodes"
        yield Finding(Grade.WARNING, "daemon", f"it is not synced{standing}", cure)
    else:
        yield Finding(Grade.OK, "daemon", f"it runs and has quorum{standing}")
    for sentence in status.fencing:
        yield Finding(Grade.ERROR, "fencing", sentence, "mend what it says, or see to that node yourself")


def check_watchdog(facts: Facts) -> Iterator[Finding]:
    """The watchdog: there is one, the daemon uses it, and pets it."""
    report = facts.report
    there = ", ".join(facts.watchdog_devices)
    if report is None:
        if not there:
            cure = "load its driver, or softdog: modprobe softdog"
            yield Finding(Grade.WARNING, "watchdog", "this machine has no device", cure)
    elif not report.watchdog:
        what = f"{there} is there and not used" if there else "this machine has no device"
        device = facts.watchdog_devices[0] if there else "/dev/watchdog"
        cure = f"set STANDFAST_WATCHDOG={device} in /etc/default/standfast, and restart the daemon"
        cure = cure if there else f"load its driver, or softdog: modprobe softdog; then {cure}"
        yield Finding(Grade.WARNING, "watchdog", f"{what}; a node that hangs is not reset by itself", cure)
    elif not report.is_petted:
        what = f"{report.watchdog} is not petted any more; this node is about to be reset"
        yield Finding(Grade.ERROR, "watchdog", what, "look at the daemon's log; it says why")
    else:
        what = f"{report.watchdog} resets this node {report.watchdog_ms // 1000} s after it hangs"
        yield Finding(Grade.OK, "watchdog", what)


def check_memory(facts: Facts) -> Iterator[Finding]:
    """The daemon's memory: locked, and spared when memory is short."""
    report = facts.report
    if report is None:
        return
    faults: list[str] = []
    if report.memory_refusal:
        faults.append(f"the daemon's memory is not locked ({report.memory_refusal})")
    if report.oom_score_adj > -1000:
        faults.append(f"its oom_score_adj is {report.oom_score_adj}, not -1000")
    if faults:
        cure = "start it as root, with CAP_IPC_LOCK and CAP_SYS_RESOURCE, as its unit does"
        yield Finding(Grade.WARNING, "memory", "; ".join(faults), cure)
    else:
        yield Finding(
            Grade.OK, "memory", "the daemon's memory is locked, and it is spared when memory is short"
        )


def check_ports(facts: Facts) -> Iterator[Finding]:
    """The ports of the links: free, or corosync's."""
    if not facts.needs_corosync:
        return
    for listener in facts.listeners:
        port = f"{listener.port}/{listener.protocol}"
        if listener.program == ENGINE_PROGRAM:
            yield Finding(Grade.OK, "ports", f"{port} is corosync's")
        elif not listener.program:
            cure = "run this as root"
            yield Finding(Grade.WARNING, "ports", f"{port} is used by a program that only root can see", cure)
        else:
            cure = "stop that program, or choose another port in cluster.conf"
            yield Finding(Grade.ERROR, "ports", f"{port} is used by {listener.program}", cure)


def check_group(facts: Facts) -> Iterator[Finding]:
    """The group of the operators."""
    if facts.has_group:
        yield Finding(Grade.OK, "group", f"{GROUP} is there")
    else:
        what = f"there is no group {GROUP}: only root may operate the cluster"
        yield Finding(Grade.WARNING, "group", what, f"groupadd --system {GROUP}; then restart the daemon")


def check_agents(facts: Facts) -> Iterator[Finding]:
    """The folder of other people's resource agents, and the fence agents that cluster.conf names."""
    if facts.agent_files is None:
        what = f"{facts.agent_folder} is not there; Standfast's own agents are all there is"
        yield Finding(Grade.OK, "resource agents", what)
    else:
        yield Finding(Grade.OK, "resource agents", f"{facts.agent_files} programs in {facts.agent_folder}")
    for agent, path in facts.fence_agents:
        if path:
            yield Finding(Grade.OK, "fence agents", f"{agent} is {path}")
        else:
            cure = f"apt-get install fence-agents, or correct the name {agent} in cluster.conf"
            yield Finding(Grade.ERROR, "fence agents", f"{agent} is not installed", cure)


def check_fencing(facts: Facts) -> Iterator[Finding]:
    """What each node can be fenced by: something, and not only a person."""
    cluster = facts.cluster
    if cluster is None:
        return
    for node in cluster.nodes:
        agents = [{step.agent.rpartition("/")[2] for step in method.steps} for method in node.methods]
        if not any(agents):
            what = f"{node.name} has no fence method; its services wait for ever when it fails"
            cure = "add a device with: ccs_tool addfence, and a method to the node"
            yield Finding(Grade.ERROR, "fencing", what, cure)
        elif all(method & MANUAL_AGENTS for method in agents if method):
            what = f"{node.name} is fenced by hand only; its services wait for a person when it fails"
            yield Finding(Grade.WARNING, "fencing", what, "add a method with a real fence device")


def check_clock(facts: Facts) -> Iterator[Finding]:
    """The clock: kept by something."""
    match facts.clock_synced:
        case True:
            yield Finding(Grade.OK, "clock", "it is kept in time")
        case False:
            what = "nothing keeps it in time; logs of different nodes cannot be compared"
            yield Finding(Grade.WARNING, "clock", what, "apt-get install chrony")
        case None:
            yield Finding(
                Grade.WARNING,
                "clock",
                "the kernel does not say whether it is kept in time",
                "see: timedatectl",
            )


def check_corosync(facts: Facts) -> Iterator[Finding]:
    """corosync: installed, of the right version, and with a key that only root can read."""
    if not facts.needs_corosync:
        return
    version = facts.corosync_version
    if version is None:
        yield Finding(
            Grade.ERROR, "corosync", "it does not say its version", "see what is wrong with: corosync -v"
        )
    elif not version:
        yield Finding(Grade.ERROR, "corosync", "it is not installed", "apt-get install corosync")
    elif version.partition(".")[0] != str(COROSYNC_MAJOR):
        what = f"it is version {version}, and {COROSYNC_MAJOR} is needed"
        yield Finding(Grade.ERROR, "corosync", what, "upgrade the distribution")
    else:
        yield Finding(Grade.OK, "corosync", f"version {version}")
    if facts.key is not None:
        yield _judge_key(facts.key)


def _judge_key(key: Key) -> Finding:
    make = "make one with: standfast keygen, and copy it to all nodes"
    if key.refusal:
        return Finding(Grade.ERROR, "corosync key", f"{key.path}: {key.refusal}", make)
    if not KEY_BYTES_MIN <= key.length <= KEY_BYTES_MAX:
        what = f"{key.path} has {key.length} bytes, not {KEY_BYTES_MIN} to {KEY_BYTES_MAX}"
        return Finding(Grade.ERROR, "corosync key", what, make)
    if key.mode & ~KEY_MODE or key.uid != 0:
        what = (
            f"{key.path} has mode {key.mode:04o} and belongs to user {key.uid}; others could join the cluster"
        )
        cure = f"chown root {key.path}; chmod {KEY_MODE:o} {key.path}"
        return Finding(Grade.ERROR, "corosync key", what, cure)
    return Finding(Grade.OK, "corosync key", f"{key.path} is root's alone")


CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    check_conf,
    check_membership_in_conf,
    check_daemon,
    check_fencing,
    check_agents,
    check_watchdog,
    check_memory,
    check_corosync,
    check_ports,
    check_group,
    check_clock,
)
