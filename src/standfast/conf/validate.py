"""All checks of a cluster.conf together: what was found, in the order of the file, and the cluster where nothing forbids it.

Source: spec configuration, section 11.
"""

from collections.abc import Collection, Iterator

from msgspec import Struct

from standfast.conf.build import build_cluster
from standfast.conf.devices import check_fence_daemon, check_fencing
from standfast.conf.document import Document, Element
from standfast.conf.findings import Finding, fatal, refused
from standfast.conf.groups import OWN_AGENTS, check_groups
from standfast.conf.links import check_logging, check_ports, check_shared_names, check_timers, check_transport
from standfast.conf.model import Cluster
from standfast.conf.nodes import check_cluster, check_cman, check_nodes
from standfast.conf.quorumdisk import check_names, check_quorum_disk
from standfast.conf.redact import redact_findings
from standfast.conf.shape import check_shape
from standfast.conf.votequorum import check_quorum_device, check_votequorum

ROOT_NAME = "cluster"
SAID_ONCE = frozenset({"I80", "I91"})  # the same words at another line say nothing new


class Verdict(Struct, frozen=True):
    """What the checks say of a document; `cluster` is None where a finding refuses it."""

    cluster: Cluster | None
    findings: tuple[Finding, ...]


def validate(document: Document, agents: Collection[str] = OWN_AGENTS) -> Verdict:
    """Check a document. `agents` are the resource types, in lower case, for which this node has an agent."""
    root = document.root
    if root.name != ROOT_NAME:
        return Verdict(
            None, (fatal(root.line, "I04", f"root element is <{root.name}>, expected <{ROOT_NAME}>"),)
        )
    findings = redact_findings(_in_order(_check(root, agents)), document)
    return Verdict(None if refused(findings) else build_cluster(root), findings)


def _check(root: Element, agents: Collection[str]) -> Iterator[Finding]:
    yield from check_cluster(root)
    yield from check_shape(root)
    yield from check_nodes(root)
    yield from check_cman(root)
    yield from check_transport(root)
    yield from check_timers(root)
    yield from check_ports(root)
    yield from check_shared_names(root)
    yield from check_logging(root)
    yield from check_votequorum(root)
    yield from check_quorum_device(root)
    yield from check_fencing(root)
    yield from check_fence_daemon(root)
    yield from check_quorum_disk(root)
    yield from check_names(root)
    yield from check_groups(root, agents)


def _in_order(findings: Iterator[Finding]) -> tuple[Finding, ...]:
    """By line; what was said already (such as "not acted upon" at each node) is not said again."""
    said: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        key = finding.code if finding.code in SAID_ONCE else f"{finding.code} {finding.line}"
        said.setdefault((key, finding.text), finding)
    return tuple(sorted(said.values(), key=lambda finding: finding.line))
