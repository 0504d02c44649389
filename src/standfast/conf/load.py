"""From the bytes of a cluster.conf to a checked cluster, in one call; for the daemon and for `ccs_tool update`."""

from collections.abc import Collection

from msgspec import Struct

from standfast.conf.document import Document
from standfast.conf.findings import Finding, render_finding
from standfast.conf.groups import OWN_AGENTS
from standfast.conf.model import Cluster
from standfast.conf.parse import read
from standfast.conf.validate import validate


class Loaded(Struct, frozen=True):
    """A file that was read. `cluster` is None where a finding refuses the file, `document` where it is no XML.

    `lines` are the findings as sentences for a person, `FILE:LINE: error|warning: TEXT [CODE]`.
    """

    cluster: Cluster | None
    findings: tuple[Finding, ...]
    document: Document | None
    lines: tuple[str, ...]


def load(name: str, data: bytes, agents: Collection[str] = OWN_AGENTS) -> Loaded:
    """Read and check a file; never raises. `name` is the file's name for the sentences.

    `agents` are the resource types, in lower case, for which this node has an agent.
    """
    document = read(data)
    if isinstance(document, Finding):
        return Loaded(None, (document,), None, (render_finding(name, document),))
    verdict = validate(document, agents)
    lines = tuple(render_finding(name, finding) for finding in verdict.findings)
    return Loaded(verdict.cluster, verdict.findings, document, lines)
