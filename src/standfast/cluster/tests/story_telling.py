"""How the stories of this room tell what a node sends and knows."""

from standfast.cluster import participant as core
from standfast.cluster import session as log
from standfast.cluster.entry import Decision, Entry, Open, Resync, Snapshot
from standfast.cluster.state import MemberStatus
from standfast.cluster.status import status
from standfast.fencing.domain import BeginFencing
from standfast.services.proposal import Answer, Evaluated, Forget, Freeze, Settle, Start, Stop
from standfast.terms import NodeId

_TOLD_BY_NOTES = Start | Stop | Settle | Freeze | Forget | Answer | Evaluated | BeginFencing
_WORDS: dict[MemberStatus, str] = {
    MemberStatus.ONLINE: "online",
    MemberStatus.SYNCED: "synced",
    MemberStatus.AWAY: "away",
}


def sent(entry: Entry) -> list[str]:
    """What is worth to be told of an entry that a node sends."""
    match entry:
        case Decision():
            return [
                f"decides: {_label(p)}, because {p.because}"
                for p in entry.proposals
                if not isinstance(p, _TOLD_BY_NOTES)
            ]
        case Snapshot():
            joiners = " ".join(str(j.nodeid) for j in entry.joiners)
            return [f"hands its state to {joiners}" if entry.synced else f"founds the cluster with {joiners}"]
        case Resync():
            return ["asks to be synced anew"]
        case Open():
            return [f"opens the view with {' '.join(str(n) for n in entry.nodes)}"]
        case _:
            return []


def _label(proposal: object) -> str:
    """A proposal's name and what it is about."""
    about = next(
        (
            f" {value}"
            for name in ("nodeid", "victim", "request", "version")
            if (value := getattr(proposal, name, None)) is not None
        ),
        "",
    )
    return type(proposal).__name__ + about


def knowledge(daemon: core.Participant) -> str:
    """What a node knows, in one or two lines."""
    session, state = daemon.session, daemon.session.state
    view = 0 if session.view is None else session.view.view_id
    flag = {None: "quorum unknown", True: "quorate", False: "no quorum"}[session.quorate]
    if state is None:
        return f"view {view}, {flag}, not synced"
    begun = "" if log.has_begun(session) else ", waiting"
    parts = [f"view {view}, {flag}{begun}, epoch {state.epoch}, version {state.config.config_version}"]
    for status_, word in _WORDS.items():
        found = [str(m.nodeid) for m in state.members if m.status is status_]
        if found:
            parts.append(f"{word} {' '.join(found)}")
    leaving = [str(m.nodeid) for m in state.members if m.leaving]
    if leaving:
        parts.append(f"leaving {' '.join(leaving)}")
    victims = [f"{v.nodeid}{' (evicted)' * v.evicted}" for v in state.fence.victims]
    if victims:
        parts.append(f"victims {' '.join(victims)}")
    services = [_service(r.name, r.state.value, r.owner, r.may_run_on) for r in state.services]
    return ", ".join(parts) + "".join(f"\n{line}" for line in ["; ".join(services)] if services)


def _service(name: str, state: str, owner: NodeId | None, may_run_on: tuple[NodeId, ...]) -> str:
    where = "" if owner is None else f" on {owner}"
    others = " ".join(str(n) for n in may_run_on if n != owner)
    return f"{name} {state}{where}{' (may run on ' * bool(others)}{others}{')' * bool(others)}"


def status_lines(daemon: core.Participant) -> list[str]:
    """What clustat would show of it."""
    answer = status(daemon, 0, addresses={}, clients=0)
    lines = [f"status of node {answer.local}: {answer.unavailable or 'all is well'}"]
    for node in answer.nodes:
        flags = ("online", "local", "estranged", "manager", "victim")
        said = " ".join(flag for flag in flags if getattr(node, flag)) or "offline"
        lines.append(f"  {node.name} {said}{': ' * bool(node.note)}{node.note}")
    lines.extend(
        f"  {s.name} {s.state} {s.owner or s.last_owner}{' frozen' * s.frozen}" for s in answer.services or ()
    )
    return lines
