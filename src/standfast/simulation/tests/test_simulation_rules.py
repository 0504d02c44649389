"""Each rule is shown a good history, the histories that it is there for, and one that does not tell."""

import pytest

from standfast.simulation.acknowledged import answers_are_true, nothing_acknowledged_is_lost, one_config
from standfast.simulation.chronicle import (
    Acknowledged,
    Activated,
    Answered,
    Asked,
    Became,
    Began,
    Claim,
    Corrupted,
    DaemonDown,
    DaemonUp,
    Ended,
    FenceBegan,
    FenceEnded,
    Folded,
    Froze,
    Heard,
    Left,
    Odd,
    Overridden,
    PowerOff,
    PowerOn,
    Refused,
    Setting,
    Settled,
    Step,
    Stored,
    Thawed,
    Truth,
)
from standfast.simulation.lineage import one_history, one_state, time_never_goes_back
from standfast.simulation.ownership import no_unfenced_recovery, one_owner, who_leaves_has_nothing
from standfast.simulation.quorate import no_quorum_no_services, who_is_given_up_rests
from standfast.simulation.rules import RULES, verdicts
from standfast.simulation.strangers import nothing_odd, only_strangers_are_refused
from standfast.simulation.verdict import Judgement, Verdict, sentence
from standfast.terms import NodeId, ServiceName
from standfast.wire.control import Code

A, B, C = NodeId(1), NodeId(2), NodeId(3)
S = ServiceName("service:s")
THREE = Setting(0, two_node=False, disks=((A, 1), (B, 1), (C, 1)))
REVOTED = Setting(0, two_node=False, disks=THREE.disks, revoted=True)
PAIR = Setting(0, two_node=True, disks=((A, 1), (B, 1)))
LATER = 100_000
ON = (THREE, PowerOn(1, A), PowerOn(1, B), PowerOn(1, C))
UP = (*ON, DaemonUp(2, A), DaemonUp(2, B), DaemonUp(2, C))
A_HAS_IT = Became(10, A, S, Truth.WHOLE)
A_HAS_NOTHING = Became(20, A, S, None)
B_HAS_IT = Became(30, B, S, Truth.PART)
HELD, BROKEN, UNKNOWN = Judgement.HELD, Judgement.BROKEN, Judgement.UNKNOWN

Rows = list[tuple[str, tuple[Step, ...], Judgement]]


def named(rows: Rows) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("history", "judgement"), [row[1:] for row in rows], ids=[row[0] for row in rows]
    )


@named([
    ("nothing odd", UP, HELD),
    ("something odd", (*UP, Odd(5, "two at once")), BROKEN),
])  # fmt: skip
def test_nothing_odd(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert nothing_odd(history).judgement is judgement


@named([
    ("stopped before", (*ON, A_HAS_IT, A_HAS_NOTHING, B_HAS_IT), HELD),
    ("without power before", (*ON, A_HAS_IT, PowerOff(15, A), B_HAS_IT), HELD),
    ("started again on the same machine", (*ON, A_HAS_IT, Became(12, A, S, Truth.DEAD), A_HAS_IT), HELD),
    ("on two machines", (*ON, A_HAS_IT, B_HAS_IT), BROKEN),
    ("dead on the other, and not stopped", (*ON, A_HAS_IT, Became(12, A, S, Truth.DEAD), B_HAS_IT), BROKEN),
    ("on a machine whose power is not known", (THREE, A_HAS_IT), UNKNOWN),
])  # fmt: skip
def test_one_owner(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert one_owner(history).judgement is judgement


@named([
    ("after it stopped everything", (*ON, A_HAS_IT, A_HAS_NOTHING, Left(30, A)), HELD),
    ("with a service", (*ON, A_HAS_IT, Left(30, A)), BROKEN),
    ("after a loss of power", (*ON, A_HAS_IT, PowerOff(20, A), PowerOn(25, A), Left(30, A)), HELD),
])  # fmt: skip
def test_who_leaves_has_nothing(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert who_leaves_has_nothing(history).judgement is judgement


QUORATE = (Heard(3, A, quorate=True), Heard(3, B, quorate=True))
LONELY = Heard(50, A, quorate=False)


@named([
    ("quorate", (*UP, *QUORATE, Began(20, A, S, start=True), A_HAS_IT, Settled(LATER)), HELD),
    ("stops in time", (*UP, *QUORATE, A_HAS_IT, LONELY, Became(9_000, A, S, None), Settled(LATER)), HELD),
    ("does not stop", (*UP, *QUORATE, A_HAS_IT, LONELY, Settled(LATER)), BROKEN),
    ("cannot stop", (*UP, *QUORATE, A_HAS_IT, LONELY, Ended(99, A, S, start=False, ok=False), Settled(LATER)), HELD),
    ("stands still", (*UP, *QUORATE, A_HAS_IT, Froze(40, A), LONELY, Settled(LATER)), HELD),
    ("goes on after standing still", (*UP, A_HAS_IT, Froze(40, A), LONELY, Thawed(60, A), Settled(LATER)), BROKEN),
    ("has no daemon", (*UP, *QUORATE, A_HAS_IT, DaemonDown(40, A), LONELY, Settled(LATER)), HELD),
    ("starts something at first", (*UP, *QUORATE, LONELY, Began(900, A, S, start=True)), HELD),
    ("starts something", (*UP, *QUORATE, LONELY, Began(9_000, A, S, start=True)), BROKEN),
    ("fences", (*UP, *QUORATE, LONELY, FenceBegan(9_000, A, B)), BROKEN),
    ("stops something", (*UP, *QUORATE, LONELY, Began(9_000, A, S, start=False)), HELD),
    ("whom it hears is not known", (*UP, Began(9_000, A, S, start=True)), UNKNOWN),
    ("one half of two", (PAIR, *UP[1:], *QUORATE, A_HAS_IT, LONELY, Settled(LATER)), HELD),
    ("a part that operators vouch for", (REVOTED, *UP[1:], *QUORATE, A_HAS_IT, LONELY, Settled(LATER)), HELD),
])  # fmt: skip
def test_no_quorum_no_services(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert no_quorum_no_services(history).judgement is judgement


TAKES_PART = Folded(5, B, (1, 1, 1), 0)


@named([
    ("is started anew", (*UP, TAKES_PART, FenceBegan(10, A, B), DaemonUp(20, B), Began(9_000, B, S, start=True)), HELD),
    ("acts all the same", (*UP, TAKES_PART, FenceBegan(10, A, B), Began(9_000, B, S, start=True)), BROKEN),
    ("fences in return", (*UP, TAKES_PART, FenceBegan(10, A, B), FenceBegan(9_000, B, A)), BROKEN),
    ("does not know it yet", (*UP, TAKES_PART, FenceBegan(10, A, B), Began(900, B, S, start=True)), HELD),
    ("had not taken part", (*UP, FenceBegan(10, A, B), TAKES_PART, Began(9_000, B, S, start=True)), HELD),
    ("one half of two", (PAIR, *UP[1:], TAKES_PART, FenceBegan(10, A, B), FenceBegan(9_000, B, A)), HELD),
    ("operators change votes", (REVOTED, *UP[1:], TAKES_PART, FenceBegan(10, A, B), FenceBegan(9_000, B, A)), HELD),
])  # fmt: skip
def test_who_is_given_up_rests(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert who_is_given_up_rests(history).judgement is judgement


@named([
    ("equal", (*UP, Folded(5, A, (1, 1, 1), 7), Folded(6, B, (1, 1, 1), 7)), HELD),
    ("at different places", (*UP, Folded(5, A, (1, 1, 1), 7), Folded(6, B, (1, 1, 2), 8)), HELD),
    ("different", (*UP, Folded(5, A, (1, 1, 1), 7), Folded(6, B, (1, 1, 1), 8)), BROKEN),
    ("changed from outside", (*UP, Folded(5, A, (1, 1, 1), 7), Corrupted(5, B), Folded(6, B, (1, 1, 1), 8)), HELD),
])  # fmt: skip
def test_one_state(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert one_state(history).judgement is judgement


def at(nodeid: NodeId, point: tuple[int, int, int], cluster_ms: int = 0) -> Folded:
    return Folded(point[2], nodeid, point, 0, cluster_ms)


@named([
    ("goes on", (*UP, at(A, (1, 1, 1), 5), at(A, (1, 1, 2), 5), at(A, (2, 4, 3), 9)), HELD),
    ("goes back", (*UP, at(A, (1, 1, 1), 5), at(A, (1, 1, 2), 4)), BROKEN),
    ("goes back with the epoch", (*UP, at(A, (1, 1, 1), 5), at(A, (2, 4, 2), 4)), BROKEN),
    ("is that of another state", (*UP, at(A, (1, 1, 1), 5), at(A, (1, 1, 9), 4)), HELD),
    ("is that of a new life", (*UP, at(A, (1, 1, 1), 5), DaemonUp(3, A), at(A, (1, 1, 2), 4)), HELD),
])  # fmt: skip
def test_time_never_goes_back(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert time_never_goes_back(history).judgement is judgement


TOGETHER = (at(A, (1, 1, 1)), at(B, (1, 1, 1)), at(A, (2, 5, 2)))
ONE_HALF = (at(A, (1, 1, 1)), at(B, (1, 1, 1)), at(A, (2, 5, 2)), at(B, (2, 6, 2)))


@named([
    ("goes on", (*UP, *ONE_HALF), HELD),
    ("is synced anew in its own history", (*UP, *TOGETHER, at(B, (2, 5, 7))), HELD),
    ("takes over another history", (*UP, *ONE_HALF, at(B, (2, 5, 9))), BROKEN),
    ("starts anew before", (*UP, *ONE_HALF, DaemonUp(8, B), at(B, (2, 5, 9))), HELD),
])  # fmt: skip
def test_one_history(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert one_history(history).judgement is judgement


def wrote(nodeid: NodeId, version: int, *, by_hand: bool = False) -> Stored:
    return Stored(5, nodeid, version, by_hand)


EVERYWHERE = (wrote(A, 2), wrote(B, 2), wrote(C, 2))
DONE = Acknowledged(9, 2, 77, (A, B, C))


@named([
    ("on every disk", (THREE, *EVERYWHERE, DONE, Activated(10, A, 2, 77), Settled(LATER)), HELD),
    ("not on one", (THREE, wrote(A, 2), wrote(B, 2), DONE), BROKEN),
    ("not on that of one who was not there", (THREE, wrote(A, 2), wrote(B, 2), Acknowledged(9, 2, 77, (A, B))), HELD),
    ("on a disk that is not known", (THREE, *EVERYWHERE, Acknowledged(9, 2, 77, (A, NodeId(9)))), UNKNOWN),
    ("overwritten by an older one", (THREE, *EVERYWHERE, DONE, wrote(B, 1)), BROKEN),
    ("overwritten by hand", (THREE, *EVERYWHERE, DONE, wrote(B, 1, by_hand=True), wrote(C, 1)), HELD),
    ("another of the same number is used", (THREE, *EVERYWHERE, DONE, Activated(10, A, 2, 78)), BROKEN),
    ("two of one number", (THREE, *EVERYWHERE, DONE, Acknowledged(9, 2, 78, (A, B, C))), BROKEN),
    ("one of them by hand", (THREE, wrote(A, 2, by_hand=True), *EVERYWHERE[1:], DONE, Activated(10, A, 2, 78)), HELD),
    ("an older one is used at the end", (THREE, *EVERYWHERE, DONE, Activated(10, A, 1, 5), Settled(LATER)), BROKEN),
    ("lost with one half of two", (PAIR, *EVERYWHERE, DONE, Activated(10, A, 1, 5), Settled(LATER)), HELD),
])  # fmt: skip
def test_one_config(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert one_config(history).judgement is judgement


ASKED = Asked(5, A, "r1", "enable", S)
SUCCESS = Answered(40, A, "r1", Code.SUCCESS, B)


@named([
    ("answered once", (*UP, ASKED, SUCCESS, Settled(LATER)), HELD),
    ("answered twice", (*UP, ASKED, SUCCESS, SUCCESS), BROKEN),
    ("never answered", (*UP, ASKED, Settled(LATER)), BROKEN),
    ("its daemon ended", (*UP, ASKED, DaemonDown(9, A), Settled(LATER)), HELD),
    ("another daemon ended", (*UP, ASKED, DaemonDown(9, B), Settled(LATER)), BROKEN),
    ("broken off", (*UP, ASKED), UNKNOWN),
])  # fmt: skip
def test_nothing_acknowledged_is_lost(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert nothing_acknowledged_is_lost(history).judgement is judgement


@named([
    ("started since", (*UP, ASKED, Ended(30, B, S, start=True, ok=True), SUCCESS), HELD),
    ("started before", (*UP, Ended(3, B, S, start=True, ok=True), ASKED, SUCCESS), BROKEN),
    ("started elsewhere", (*UP, ASKED, Ended(30, C, S, start=True, ok=True), SUCCESS), BROKEN),
    ("the start failed", (*UP, ASKED, Ended(30, B, S, start=True, ok=False), SUCCESS), BROKEN),
    ("a stated failure", (*UP, ASKED, Answered(40, A, "r1", Code.FAIL)), HELD),
    ("it was no start", (*UP, Asked(5, A, "r1", "stop", S), Answered(40, A, "r1", Code.SUCCESS)), HELD),
    ("never asked", (*UP, SUCCESS), UNKNOWN),
])  # fmt: skip
def test_answers_are_true(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert answers_are_true(history).judgement is judgement


LOST = (*UP, A_HAS_IT, PowerOff(20, A))
ELSEWHERE = Began(30, B, S, start=True)


@named([
    ("fenced", (*LOST, FenceBegan(21, B, A), FenceEnded(22, B, A, ok=True), ELSEWHERE), HELD),
    ("an operator saw it", (*LOST, Overridden(22, B, A), ELSEWHERE), HELD),
    ("it is back", (*LOST, PowerOn(21, A), DaemonUp(22, A), ELSEWHERE), HELD),
    ("stopped before", (*UP, A_HAS_IT, A_HAS_NOTHING, PowerOff(21, A), ELSEWHERE), HELD),
    ("on the same machine again", (*LOST, Began(30, A, S, start=True)), HELD),
    ("the fencing failed", (*LOST, FenceEnded(22, B, A, ok=False), ELSEWHERE), BROKEN),
    ("nobody fenced", (*LOST, ELSEWHERE), BROKEN),
])  # fmt: skip
def test_no_unfenced_recovery(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert no_unfenced_recovery(history).judgement is judgement


STRANGER = DaemonUp(3, C, Claim.NOT_LISTED)


@named([
    ("a stranger", (*UP, STRANGER, Refused(5, C, "no")), HELD),
    ("a node of the cluster", (*UP, Refused(5, C, "no")), BROKEN),
    ("a node among strangers", (*UP, Refused(5, C, "no", outnumbered=True)), HELD),
    ("a stranger starts something", (*UP, STRANGER, Began(9, C, S, start=True)), BROKEN),
    ("one that never started", (*ON, Refused(5, C, "no")), UNKNOWN),
])  # fmt: skip
def test_only_strangers_are_refused(history: tuple[Step, ...], judgement: Judgement) -> None:
    assert only_strangers_are_refused(history).judgement is judgement


def test_every_rule_is_asked() -> None:
    assert [v.rule for v in verdicts((THREE, Settled(LATER)))] == [rule((THREE,)).rule for rule in RULES]


def test_unknown_is_told_like_broken() -> None:
    told = sentence(Verdict("S1", Judgement.UNKNOWN, "at 7 ms: nobody knows"))
    assert told == "S1 unknown: at 7 ms: nobody knows"
