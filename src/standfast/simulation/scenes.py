"""Scenes: short schedules around one dangerous moment each, where faults drawn at random come together too seldom.

Pure but for the chance that is given to it. All times are drawn; a scene only says what happens in which order.
"""

from collections.abc import Callable
from random import Random

from msgspec import Struct

from standfast.simulation import fault as faults
from standfast.simulation.fault import Blow, Fault, Moment, Whom
from standfast.terms import NodeId
from standfast.wire.control import Operation


class Stage(Struct, frozen=True):
    """What a scene is drawn for: nodes and services that there are, and the chance."""

    rng: Random
    ids: list[NodeId]
    services: int


Timed = list[tuple[int, Fault]]
"""What happens, with the time since the last thing, in milliseconds."""

FOR_EVER_MS = 3_000_000  # longer than any run: nobody switches it on again
LONG_MS = 60_000


def calm_restart(on: Stage) -> Timed:
    """Nothing happens but that a daemon is started again at once."""
    return [
        (
            on.rng.randint(25_000, 40_000),
            faults.KillDaemon(on.rng.choice(on.ids), on.rng.choice((50, 500, 2_500))),
        )
    ]


def lost_daemon(on: Stage) -> Timed:
    """A daemon ends and nobody starts it again."""
    return [(on.rng.randint(0, 9_000), faults.KillDaemon(on.rng.choice(on.ids), 0))]


def fencing_in_vain(on: Stage) -> Timed:
    """The first attempts to fence a machine fail, or who makes one is lost, too."""
    victim, other = on.rng.sample(on.ids, 2)
    blow = faults.Aimed(Moment.START_ATTEMPT, 0, Whom.ACTOR, on.rng.choice((1, 100)), Blow.CRASH, FOR_EVER_MS)
    hindrance: Fault = faults.FencingFails(on.rng.choice((5_000, 20_000)), 100, 0)
    if len(on.ids) > 3 and on.rng.random() < 0.6:
        return [
            (0, faults.FencingFails(LONG_MS, 0, 100)),
            (10, blow),
            (10, faults.Crash(victim, FOR_EVER_MS)),
        ]
    return [(0, hindrance), (10, faults.Crash(on.rng.choice((victim, other)), FOR_EVER_MS))]


def two_histories(on: Stage) -> Timed:
    """Two sides go on without each other, operators ask on one of them, and they meet again."""
    side = tuple(sorted(on.rng.sample(on.ids, on.rng.randint(1, max(1, (len(on.ids) - 1) // 2)))))
    others = [n for n in on.ids if n not in side]
    ms = on.rng.choice((4_000, 8_000))
    asked = [
        (on.rng.randint(100, 1_500), faults.UpdateFile(on.rng.choice(others), 0, "touch")) for _ in range(2)
    ]
    return [
        (0, faults.FencingFails(LONG_MS, 100, 0)),
        (10, faults.Cut(side, ms)),
        (1_500, asked[0][1]),
        *asked,
    ]


def old_state(on: Stage) -> Timed:
    """A node that was cut off meets only one that knows nothing; who knows better is cut off itself."""
    a, b, c = on.rng.sample(on.ids, 3)
    rest = tuple(sorted(n for n in on.ids if n not in (a, b)))
    move = faults.Ask(b, Operation.RELOCATE, on.rng.randrange(on.services), on.rng.choice((c, None)))
    return [
        (0, faults.FencingFails(LONG_MS, 100, 0)),
        (100, faults.Cut((a,), 9_000)),
        (on.rng.randint(3_000, 5_000), move),
        (on.rng.randint(1_500, 2_500), faults.Cut(rest, 20_000)),
        (on.rng.randint(0, 900), faults.KillDaemon(b, on.rng.choice((50, 1_000)))),
    ]


def few_have_it(on: Stage) -> Timed:
    """An update is asked for where one node takes part and another, that restarts, makes it quorate."""
    a, b, c = on.rng.sample(on.ids, 3)
    return [
        (0, faults.FencingFails(LONG_MS, 100, 0)),
        (10, faults.AgentsFail(b, 30_000, 0, 0, 100, 0)),
        (100, faults.Cut((b,), 3_000)),
        (on.rng.randint(3_000, 3_300), faults.Crash(c, 6_000)),
        (on.rng.randint(1_100, 1_600), faults.UpdateFile(a, 0, "touch")),
        (on.rng.randint(200, 1_500), faults.Crash(a, 40_000)),
    ]


def broken_resource(on: Stage) -> Timed:
    """A service ends by itself and can be started nowhere for a while."""
    service = on.rng.randrange(on.services)
    return [
        (0, faults.ResourceBroken(service, on.rng.choice((9_000, 20_000)))),
        (50, faults.ServiceDies(service)),
    ]


def corrupt_state(on: Stage) -> Timed:
    """A state is changed, found to differ, and perhaps changed once more."""
    node = on.rng.choice(on.ids[1:])
    asks = [
        (on.rng.randint(100, 400), faults.Ask(on.rng.choice(on.ids), Operation.UNFREEZE, 0, None))
        for _ in range(40)
    ]
    return [(0, faults.Corrupt(node)), *asks, (500, faults.Corrupt(node)), *asks[:10]]


def orderly_leave(on: Stage) -> Timed:
    """A node leaves in order, and perhaps something happens to it meanwhile."""
    node = on.rng.choice(on.ids)
    leave = faults.LeaveOrderly(node, on.rng.choice((4_000, 10_000)))
    moment = on.rng.choice((Moment.BEGIN_LEAVE, Moment.STOP_SERVICE, Moment.VACANT, Moment.SERVICE_STOPPED))
    blow = faults.Aimed(
        moment,
        0,
        on.rng.choice((Whom.ACTOR, Whom.SUBJECT)),
        on.rng.choice((0, 10, 60)),
        _any_blow(on.rng),
        4_000,
    )
    slow = faults.AgentsFail(node, 9_000, 0, on.rng.choice((0, 0, 100)), 0, 100)
    return [(0, slow), (10, blow if on.rng.random() < 0.6 else slow), (10, leave)]


def frozen_start(on: Stage) -> Timed:
    """A node stands still when it is to start something or to fence somebody, and goes on when the others gave it up."""
    moment = on.rng.choice((Moment.START, Moment.START, Moment.BEGIN_FENCING, Moment.STOP))
    blow = faults.Aimed(
        moment,
        on.rng.choice((0, 1)),
        Whom.SUBJECT,
        on.rng.choice((0, 3, 10, 25)),
        Blow.FREEZE,
        on.rng.choice((1_500, 4_000, 9_000)),
    )
    asks = [
        (
            on.rng.randint(50, 800),
            faults.Ask(on.rng.choice(on.ids), Operation.RELOCATE, on.rng.randrange(on.services), None),
        )
        for _ in range(4)
    ]
    crash = (on.rng.randint(0, 2_000), faults.Crash(on.rng.choice(on.ids), 6_000))
    return [(0, faults.FencingFails(12_000, on.rng.choice((0, 100)), 50)), (10, blow), *asks, crash]


def cut_off_start(on: Stage) -> Timed:
    """The coordinator is cut off when it decides a start on its own machine, which nobody else may have read."""
    first, service = on.ids[0], on.rng.randrange(on.services)
    wait_ms = on.rng.choice((0, 1, 3, 5, 10, 15, 20, 25))
    blow = faults.Aimed(Moment.START, 0, Whom.ACTOR, wait_ms, Blow.CUT_OFF, 9_000)
    ask = faults.Ask(first, Operation.RELOCATE, service, first)
    return [
        (0, faults.FencingFails(20_000, 100, 0)),
        (0, faults.AgentsFail(first, 20_000, 0, 0, 0, on.rng.choice((0, 100)))),
        (10, blow),
        (10, ask),
    ]


def nobody_quorate(on: Stage) -> Timed:
    """No part has quorum for a while; when they meet again, views change while they tell what they stopped."""
    a, b, c = on.rng.sample(on.ids, 3)
    tells = faults.Aimed(Moment.GONE, 0, Whom.OTHER, on.rng.choice((0, 5, 20, 60)), Blow.KILL, 50)
    again = faults.Aimed(Moment.GONE, 0, Whom.ACTOR, on.rng.choice((0, 5, 20, 60)), Blow.CUT_OFF, 1_500)
    rest = [n for n in on.ids if n not in (a, b)]
    return [
        (0, faults.FencingFails(30_000, 100, 0)),
        *[(0, faults.Crash(n, 9_000 if n == c else 30_000)) for n in rest],
        (10, faults.Cut((a,), on.rng.randint(5_000, 9_000))),
        (4_000, on.rng.choice((tells, again, tells))),
    ]


def mistaken_override(on: Stage) -> Timed:
    """An operator says of a node that is well that it is without power."""
    node, other = on.rng.sample(on.ids, 2)
    return [(on.rng.randint(5_000, 15_000), faults.AskOverride(other, mistaken=node))]


def stuck_stop(on: Stage) -> Timed:
    """A service is to move, and its stop fails."""
    stuck = [(0, faults.AgentsFail(n, 9_000, 0, 100, 0, 0)) for n in on.ids]
    service = on.rng.randrange(on.services)
    return [
        *stuck,
        (10, faults.Ask(on.rng.choice(on.ids), Operation.RELOCATE, service, None)),
        (900, faults.ServiceDies(service)),
    ]


def request_under_way(on: Stage) -> Timed:
    """Who is to decide a request is lost while it is on its way, or while it is carried out."""
    steps: Timed = []
    for _ in range(3):
        moment = on.rng.choice((Moment.REQUEST, Moment.REQUEST, Moment.STOP_SERVICE, Moment.START_SERVICE))
        blow = faults.Aimed(
            moment,
            0,
            on.rng.choice((Whom.OTHER, Whom.ACTOR)),
            on.rng.choice((0, 3, 10, 25, 60)),
            _any_blow(on.rng),
            2_500,
        )
        operation = on.rng.choice((Operation.RELOCATE, Operation.RESTART, Operation.FREEZE))
        ask = faults.Ask(on.rng.choice(on.ids), operation, on.rng.randrange(on.services), None)
        steps += [(on.rng.randint(0, 6_000), blow), (10, ask)]
    return steps


def all_daemons_anew(on: Stage) -> Timed:
    """All daemons end at once while everything runs on, and come back at different times."""
    return [
        (0, faults.KillDaemon(n, on.rng.choice((50, 60, 100, 300, 1_500))))
        for n in on.rng.sample(on.ids, len(on.ids))
    ]


def override_in_time(on: Stage) -> Timed:
    """An operator answers for a machine that is off, at about the time at which it comes back."""
    victim, other = on.rng.sample(on.ids, 2)
    return [
        (0, faults.FencingFails(30_000, 100, 0)),
        (10, faults.Crash(victim, on.rng.choice((2_000, 4_000)))),
        *[(on.rng.randint(300, 900), faults.AskOverride(other)) for _ in range(7)],
        (0, faults.KillDaemon(on.rng.choice(on.ids), 100)),
    ]


def restarts_at_once(on: Stage) -> Timed:
    """Links heal and daemons come and go in one instant, so that one view overtakes the other."""
    steps: Timed = []
    for _ in range(4):
        node, other = on.rng.sample(on.ids, 2)
        ms = on.rng.choice((900, 1_500))
        steps += [
            (on.rng.randint(500, 3_000), faults.Cut((node,), ms)),
            (0, faults.KillDaemon(other, ms)),
            (ms - on.rng.randint(0, 20), faults.KillDaemon(other, 100)),
        ]
    return steps


def overtaken_hello(on: Stage) -> Timed:
    """A daemon ends, for good, just when all greet a new one."""
    wait_ms = on.rng.choice((0, 0, 1, 3))
    blow = faults.Aimed(Moment.HELLO, 0, Whom.OTHER, wait_ms, Blow.KILL, FOR_EVER_MS)
    return [(0, faults.KillDaemon(on.rng.choice(on.ids), 900)), (100, blow)]


Scene = Callable[[Stage], Timed]

SCENES: tuple[Scene, ...] = (
    calm_restart,
    lost_daemon,
    fencing_in_vain,
    two_histories,
    broken_resource,
    corrupt_state,
    orderly_leave,
    frozen_start,
    cut_off_start,
    stuck_stop,
    request_under_way,
    all_daemons_anew,
    override_in_time,
    mistaken_override,
    restarts_at_once,
    old_state,
    few_have_it,
    nobody_quorate,
    overtaken_hello,
)
OF_THREE = (
    old_state,
    few_have_it,
    frozen_start,
    cut_off_start,
    nobody_quorate,
    overtaken_hello,
)  # they need three nodes


def _any_blow(rng: Random) -> Blow:
    return rng.choice((Blow.CRASH, Blow.KILL, Blow.FREEZE, Blow.CUT_OFF))
