"""clustat -x: the same facts as XML for scripts.

Pure. Source: spec commands-services, section 1.8.
"""

from __future__ import annotations

from standfast.cli.clustat_text import local_time
from standfast.cli.service_state import flags_number, flags_text, state_number

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Iterable

    from standfast.cli.snapshot import Member, Service, Snapshot

FORMAT_VERSION = "4.1.1"  # of the format, not of the program
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_BLANK_MIN = 0x20  # below it, XML 1.0 knows tab, newline and return only


def render_document(*sections: str) -> str:
    """Return the whole document around its sections."""
    body = "".join(sections)
    return f'<?xml version="1.0"?>\n<clustat version="{FORMAT_VERSION}">\n{body}</clustat>\n'


def render_cluster(snapshot: Snapshot) -> str:
    """Return the elements for the cluster and its quorum; `groupmember` is whether this node's manager takes part."""
    groupmember = any(member.local and member.manager for member in snapshot.members)
    return (
        f'  <cluster name="{_escaped(snapshot.cluster)}" id="{snapshot.cluster_id}" generation="{snapshot.view_id}"/>\n'
        f'  <quorum quorate="{snapshot.quorate:d}" groupmember="{groupmember:d}"/>\n'
    )


def render_nodes(members: Iterable[Member]) -> str:
    """Return the element for the nodes."""
    nodes = "".join(
        f'    <node name="{_escaped(m.name)}" state="{m.online:d}" local="{m.local:d}" '
        f'estranged="{m.estranged:d}" rgmanager="{m.manager:d}" '
        f'rgmanager_master="0" qdisk="{m.quorum_disk:d}" nodeid="0x{m.nodeid:08x}"/>\n'
        for m in members
    )
    return f"  <nodes>\n{nodes}  </nodes>\n"


def render_groups(services: Iterable[Service]) -> str:
    """Return the element for the services; times are Unix time, and local time as text."""
    groups = "".join(
        f'    <group name="{_escaped(s.name)}" state="{state_number(s.state)}" state_str="{_escaped(s.state)}" '
        f'flags="{flags_number(s)}" flags_str="{flags_text(s, " ")}" '
        f'owner="{_escaped(s.owner or "none")}" last_owner="{_escaped(s.last_owner or "none")}" '
        f'restarts="{s.restarts}" last_transition="{s.transition_s}" '
        f'last_transition_str="{local_time(s.transition_s)}"/>\n'
        for s in services
    )
    return f"  <groups>\n{groups}  </groups>\n"


def _escaped(text: str) -> str:
    """Return `text` for use between double quotes; what XML cannot say becomes "?"."""
    return "".join(_ESCAPES.get(c) or (c if _sayable(c) else "?") for c in text)


def _sayable(character: str) -> bool:
    code = ord(character)
    return _BLANK_MIN <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF  # XML 1.0, Char
