"""What every engine promises, as a judgement of what the daemons were told. Source: standfast/engine/contract.py."""

from collections.abc import Iterable
from itertools import combinations, pairwise

from standfast.engine.contract import EngineEvent, Message
from standfast.membership.view import View
from standfast.terms import NodeId


class Witness:
    """One run of one daemon: what it sent and what it was told, in order."""

    def __init__(self, nodeid: NodeId, name: str) -> None:
        self.nodeid = nodeid
        self.name = name
        self.numbered = 0  # how many payloads were made for it to send
        self.sent: list[bytes] = []
        self.events: list[EngineEvent] = []

    def views(self) -> list[View]:
        """The views it was given."""
        return [event for event in self.events if isinstance(event, View)]

    def messages(self) -> list[Message]:
        """The messages it was given, whatever the view."""
        return [event for event in self.events if isinstance(event, Message)]

    def chapters(self) -> list[tuple[View, list[Message]]]:
        """Each view with the messages that came in it."""
        found: list[tuple[View, list[Message]]] = []
        for event in self.events:
            if isinstance(event, View):
                found.append((event, []))
            elif isinstance(event, Message):
                found[-1][1].append(event)
        return found


def broken_promises(witnesses: Iterable[Witness]) -> list[str]:
    """Everything that the witnesses were told and should not have been; payloads must be unique."""
    everyone = list(witnesses)
    findings = [finding for witness in everyone for finding in _alone(witness)]
    for one, other in combinations(everyone, 2):
        findings += _together(one, other)
    return findings


def _alone(witness: Witness) -> list[str]:
    who = witness.name
    findings: list[str] = []
    before: View | None = None
    for view, messages in witness.chapters():
        findings += [f"{who}: {problem}" for problem in _view_problems(witness.nodeid, before, view)]
        strangers = {message.sender for message in messages} - set(view.members)
        if strangers:
            findings.append(f"{who}: messages of {sorted(strangers)}, who are not in view {view.view_id}")
        before = view
    payloads = [message.payload for message in witness.messages()]
    if len(payloads) != len(set(payloads)):
        findings.append(f"{who}: a message came twice")
    own = [message.payload for message in witness.messages() if message.sender == witness.nodeid]
    own = [payload for payload in own if payload in set(witness.sent)]
    if own != witness.sent[: len(own)]:
        findings.append(f"{who}: own messages are out of order or have a hole: {own} of {witness.sent}")
    return findings


def _view_problems(nodeid: NodeId, before: View | None, view: View) -> list[str]:
    was = set(before.members) if before is not None else set()
    now = set(view.members)
    joined, left = set(view.joined), {departure.nodeid for departure in view.left}
    others = now - {nodeid}
    problems = []
    if before is not None and view.view_id <= before.view_id:
        problems.append(f"view {view.view_id} after view {before.view_id}")
    if nodeid not in now or not now <= set(view.hosts):
        problems.append(f"not all of {view.members} are hosts, or this node is not a member")
    if list(view.members) != sorted(now) or list(view.hosts) != sorted(set(view.hosts)):
        problems.append(f"view {view.view_id} is not sorted")
    if joined not in (now - was, others):
        problems.append(f"joined {view.joined} in view {view.view_id}; before: {sorted(was)}")
    if left != was - now:
        problems.append(f"left {view.left} in view {view.view_id}; before: {sorted(was)}")
    return problems


def _together(one: Witness, other: Witness) -> list[str]:
    """Two daemons in the same view hear the same; if both go on to the same next view, exactly the same.

    Those who part may each end the view with what only its own side has heard of itself.
    """
    findings: list[str] = []
    theirs = {view.view_id: (view, messages) for view, messages in other.chapters()}
    following = _following(other)
    for view, messages in one.chapters():
        if view.view_id not in theirs:
            continue
        view_there, messages_there = theirs[view.view_id]
        who = f"{one.name} and {other.name} in view {view.view_id}"
        if (view.members, view.hosts) != (view_there.members, view_there.hosts):
            findings.append(f"{who}: different members or hosts")
        after, after_there = _following(one).get(view.view_id), following.get(view.view_id)
        if not _part_well(messages, after, messages_there, after_there):
            findings.append(f"{who}: different order")
        went_together = after is not None and after_there is not None and after.view_id == after_there.view_id
        kept_company = (
            went_together and other.nodeid not in after.joined and one.nodeid not in after_there.joined  # type: ignore[union-attr]
        )
        if kept_company and messages != messages_there:
            findings.append(
                f"{who}: went on together with {len(messages)} and {len(messages_there)} messages"
            )
    return findings


def _part_well(
    messages: list[Message], after: View | None, messages_there: list[Message], after_there: View | None
) -> bool:
    """Whether both heard the same, as far as they must: one the beginning of the other, or the two parted.

    At the end of a view that is cut, each side may lack what was said by those who do not go with it, in the middle too.
    """
    common = 0
    while common < min(len(messages), len(messages_there)) and messages[common] == messages_there[common]:
        common += 1
    for view in (after, after_there):
        mine, theirs = (
            [m for m in each[common:] if view is None or m.sender in set(view.members) - set(view.joined)]
            for each in (messages, messages_there)
        )
        shorter = min(len(mine), len(theirs))
        if mine[:shorter] != theirs[:shorter] and None not in (after, after_there):
            return False
    return True


def _following(witness: Witness) -> dict[int, View]:
    return {before.view_id: after for before, after in pairwise(witness.views())}
