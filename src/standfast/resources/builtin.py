"""What our own agents say about themselves, known without running or parsing anything.

Pure. Source: spec resources, sections 4.2 and 9.1 to 9.3.
"""

from standfast.resources.agent import (
    Action,
    AgentMetadata,
    ChildType,
    Parameter,
    agents_by_type,
)

SERVICE = AgentMetadata(
    type="service",
    shortdesc="A service: a group of resources that run on one node together",
    parameters=(
        Parameter(name="name", primary=True, unique=True, required=True),
        Parameter(name="domain", reconfig=True),
        Parameter(name="autostart", reconfig=True, default="1", content="boolean"),
        Parameter(name="exclusive", reconfig=True, default="0", content="boolean"),
        Parameter(name="nfslock", default="0", content="boolean"),
        Parameter(name="nfs_client_cache", default="0", content="integer"),
        Parameter(name="recovery", reconfig=True, default="restart"),
        Parameter(name="depend"),
        Parameter(name="depend_mode", default="hard"),
        Parameter(name="max_restarts", default="0"),
        Parameter(name="restart_expire_time", default="0"),
        Parameter(name="priority", default="0", content="integer"),
    ),
    actions=(
        Action(name="start", timeout_s=5),
        Action(name="stop", timeout_s=5),
        Action(name="reconfig", timeout_s=5),
        Action(name="recover", timeout_s=5),
        Action(name="reload", timeout_s=5),
        Action(name="meta-data", timeout_s=5),
        Action(name="validate-all", timeout_s=5),
    ),
    children=(
        ChildType(type="lvm", start=1, stop=9),
        ChildType(type="fs", start=2, stop=8),
        ChildType(type="clusterfs", start=3, stop=7),
        ChildType(type="netfs", start=4, stop=6),
        ChildType(type="nfsexport", start=5, stop=5),
        ChildType(type="nfsclient", start=6, stop=4),
        ChildType(type="ip", start=7, stop=2),
        ChildType(type="smb", start=8, stop=3),
        ChildType(type="script", start=9, stop=1),
    ),
    maxinstances=1,
)

IP = AgentMetadata(
    type="ip",
    shortdesc="An IPv4 or IPv6 address that clients reach the service at",
    parameters=(
        Parameter(name="address", primary=True, unique=True),
        Parameter(name="family"),
        Parameter(name="monitor_link", default="1", content="boolean"),
        Parameter(name="nfslock", inherit="service%nfslock", content="boolean"),
        Parameter(name="sleeptime"),
        Parameter(name="disable_rdisc", content="boolean"),
        Parameter(name="prefer_interface"),
    ),
    actions=(
        Action(name="start", timeout_s=20),
        Action(name="stop", timeout_s=20),
        Action(name="status", timeout_s=10, interval_s=20),
        Action(name="monitor", timeout_s=10, interval_s=20),
        Action(name="status", depth=10, timeout_s=20, interval_s=60),
        Action(name="monitor", depth=10, timeout_s=20, interval_s=60),
        Action(name="meta-data", timeout_s=20),
        Action(name="validate-all", timeout_s=20),
    ),
    children=(ChildType(type="nfsclient", forbid=True), ChildType(type="nfsexport", forbid=True)),
    maxinstances=1,
)

SCRIPT = AgentMetadata(
    type="script",
    shortdesc="A program that a script of the LSB kind starts, stops and checks",
    parameters=(
        Parameter(name="name", primary=True, unique=True),
        Parameter(name="file", unique=True, required=True),
        Parameter(name="service_name", inherit="service%name"),
    ),
    actions=(
        Action(name="start"),
        Action(name="stop"),
        Action(name="status", interval_s=30),
        Action(name="monitor", interval_s=30),
        Action(name="meta-data"),
        Action(name="validate-all"),
    ),
)

BUILTIN_AGENTS = agents_by_type((SERVICE, IP, SCRIPT))
"""Our own agents, by type."""


def render_metadata(agent: AgentMetadata) -> str:
    """Return the XML that `AGENT meta-data` prints; `parse_metadata` reads it back as the same record."""
    lines = [
        '<?xml version="1.0"?>',
        f"<resource-agent{_attributes(name=agent.type, version='1.0')}>",
        "  <version>1.0</version>",
        f'  <shortdesc lang="en">{_escape(agent.shortdesc)}</shortdesc>',
        "  <parameters>",
        *(line for parameter in agent.parameters for line in _render_parameter(parameter)),
        "  </parameters>",
        "  <actions>",
        *(_render_action(action, agent.status_word) for action in agent.actions),
        "  </actions>",
        *_render_special(agent),
        "</resource-agent>",
    ]
    return "\n".join(lines) + "\n"


def _render_parameter(parameter: Parameter) -> tuple[str, ...]:
    flags = _attributes(
        name=parameter.name,
        unique=_flag(parameter.unique),
        primary=_flag(parameter.primary),
        required=_flag(parameter.required),
        inherit=parameter.inherit,
        reconfig=_flag(parameter.reconfig),
    )
    content = _attributes(type=parameter.content, default=parameter.default)
    return (f"    <parameter{flags}>", f"      <content{content}/>", "    </parameter>")


def _render_action(action: Action, status_word: str) -> str:
    name = status_word if action.name == "status" else action.name
    depth = str(action.depth) if action.depth else None
    interval = str(action.interval_s) if action.interval_s else None
    attributes = _attributes(name=name, depth=depth, timeout=str(action.timeout_s), interval=interval)
    return f"    <action{attributes}/>"


def _render_special(agent: AgentMetadata) -> tuple[str, ...]:
    attributes = _attributes(
        maxinstances=str(agent.maxinstances) if agent.maxinstances else None,
        init_on_add=None if agent.init_on_add else "0",
        destroy_on_delete=None if agent.destroy_on_delete else "0",
    )
    children = tuple(f"    <child{_child_attributes(child)}/>" for child in agent.children)
    return ('  <special tag="rgmanager">', f"    <attributes{attributes}/>", *children, "  </special>")


def _child_attributes(child: ChildType) -> str:
    start = str(child.start) if child.start else None
    stop = str(child.stop) if child.stop else None
    return _attributes(type=child.type, start=start, stop=stop, forbid=_flag(child.forbid))


def _flag(value: bool) -> str | None:
    return "1" if value else None


def _attributes(**values: str | None) -> str:
    return "".join(f' {name}="{_escape(value)}"' for name, value in values.items() if value is not None)


def _escape(text: str) -> str:
    for character in '&<>"\t\n\r':
        text = text.replace(character, f"&#{ord(character)};")
    return text
