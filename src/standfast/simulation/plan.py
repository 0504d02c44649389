"""The plan of a run: the cluster, and the schedule of what happens to it. A seed draws one; a test may write one."""

from random import Random

from msgspec import Struct

from standfast.simulation import fault as faults
from standfast.simulation.fault import Fault
from standfast.simulation.scenes import OF_THREE, SCENES, Stage
from standfast.terms import NodeId
from standfast.wire.control import Operation

SETTLED_MS = 8_000  # before this nothing goes wrong but the start itself
SCENES_SHARE = 0.4  # how many of the plans are a scene
QUIET_MS = 10_000  # after the last fault was to strike


class Scheduled(Struct, frozen=True):
    """A fault and the virtual time of it, in milliseconds."""

    at_ms: int
    fault: Fault


class Plan(Struct, frozen=True, kw_only=True):
    """One whole run. `seed` draws what the schedule leaves open: how long agents and messages take."""

    seed: int
    nodes: int
    services: int = 1
    two_node: bool = False
    post_join_delay_s: int = 3
    post_fail_delay_s: int = 0
    votes: tuple[int, ...] = ()  # of each node; empty: one each
    late_starts_ms: tuple[int, ...] = ()  # when each machine is first switched on; empty: at once
    first_versions: tuple[int, ...] = ()  # config_version on each machine's disk at first; empty: 1
    delivery_ms: tuple[int, int] = (
        1,
        20,
    )  # how long a message takes to its place in the order, and from there
    scene: str = ""  # which scene the schedule is; empty: faults at random
    schedule: tuple[Scheduled, ...] = ()
    faults_end_ms: int = 60_000


def draw_plan(seed: int) -> Plan:
    """Return the run that a seed stands for."""
    rng = Random(seed)
    nodes = rng.choice((2, 2, 3, 3, 4, 5))
    ids = [NodeId(n) for n in range(1, nodes + 1)]
    services = rng.randint(1, 3)
    two_node = nodes == 2 and rng.random() < 0.9
    late = tuple(rng.choice((0, 0, 0, rng.randint(0, 3_000), rng.randint(0, 15_000))) for _ in ids)
    if rng.random() < 0.05:
        late = (*late[1:], 45_000)
    end_ms = rng.choice((40_000, 40_000, 80_000, 150_000))
    scene = ""
    if rng.random() < SCENES_SHARE:
        scene, schedule = _draw_scene(rng, ids, services)
        late = tuple(0 for _ in ids)
        end_ms = 0
    else:
        schedule = _draw_schedule(rng, ids, services, end_ms)
    return Plan(
        seed=seed,
        nodes=nodes,
        services=services,
        two_node=two_node,
        post_join_delay_s=rng.choice((0, 3, 6)),
        post_fail_delay_s=rng.choice((0, 0, 0, 2)),
        votes=(2, *(1 for _ in ids[1:])) if not two_node and rng.random() < 0.1 else (),
        late_starts_ms=late,
        first_versions=tuple(rng.choice((1, 1, 1, 2, 3)) for _ in ids),
        delivery_ms=rng.choice(((1, 20), (1, 20), (1, 20), (1, 120))),
        scene=scene,
        schedule=schedule,
        faults_end_ms=max((end_ms, *(s.at_ms for s in schedule))) + QUIET_MS,
    )


def _draw_scene(rng: Random, ids: list[NodeId], services: int) -> tuple[str, tuple[Scheduled, ...]]:
    scene = rng.choice([s for s in SCENES if len(ids) > 2 or s not in OF_THREE])
    at_ms = rng.randint(SETTLED_MS, 2 * SETTLED_MS)
    schedule: list[Scheduled] = []
    for ms, fault in scene(Stage(rng, ids, services)):
        at_ms += ms
        schedule.append(Scheduled(at_ms, fault))
    return scene.__name__.replace("_", " "), tuple(schedule)


def _draw_schedule(rng: Random, ids: list[NodeId], services: int, end_ms: int) -> tuple[Scheduled, ...]:
    count = rng.choice((2, 4, 8, 18, 40, 70))
    start_ms = rng.choice((SETTLED_MS, SETTLED_MS, 0))
    times = sorted(rng.randint(start_ms, end_ms) for _ in range(count))
    if rng.random() < 0.4:
        times = _clustered(rng, times)
    kinds = list(_WEIGHTS)
    # Each run has moods: with some kinds missing and others frequent, more is found than with all of them always.
    weights = [_WEIGHTS[kind] * rng.choice((0, 0.3, 1, 1, 3)) for kind in kinds]
    if not any(weights):
        weights = [float(_WEIGHTS[kind]) for kind in kinds]
    schedule: list[Scheduled] = []
    for at_ms in times:
        kind = rng.choices(kinds, weights)[0]
        schedule.append(Scheduled(at_ms, _draw(rng, kind, ids, services)))
        if kind in (faults.Ask, faults.UpdateFile, faults.KillDaemon) and rng.random() < 0.2:
            schedule.append(Scheduled(at_ms, _draw(rng, kind, ids, services)))  # two at once
    return tuple(schedule)


def _clustered(rng: Random, times: list[int]) -> list[int]:
    """Faults that hit while the last one is being handled find more than faults far apart."""
    clustered = []
    last = times[0]
    for _ in times:
        last += rng.choice((1, 5, 20, 50, 200, 800, 1_100, 1_500, 3_000, 9_000))
        clustered.append(last)
    return clustered


_WEIGHTS: dict[type[Fault], int] = {
    faults.Crash: 10,
    faults.PowerCut: 2,
    faults.KillDaemon: 10,
    faults.Freeze: 10,
    faults.Cut: 12,
    faults.CutLink: 6,
    faults.ServiceDies: 6,
    faults.ResourceBroken: 3,
    faults.AgentsFail: 5,
    faults.FencingFails: 6,
    faults.Ask: 14,
    faults.AskOverride: 3,
    faults.AskVotes: 3,
    faults.UpdateFile: 6,
    faults.SwapFile: 1,
    faults.LeaveOrderly: 3,
    faults.ClockJumps: 3,
    faults.DiskFull: 2,
    faults.Stranger: 1,
    faults.WrongName: 1,
    faults.SecondDaemon: 1,
    faults.Corrupt: 1,
    faults.Aimed: 30,
}


_BLOWS = {
    faults.Blow.CRASH: 3,
    faults.Blow.KILL: 3,
    faults.Blow.FREEZE: 3,
    faults.Blow.CUT_OFF: 4,
    faults.Blow.SERVICES_DIE: 1,
    faults.Blow.UPDATE: 2,
    faults.Blow.RELOCATE: 1,
}


def _draw(rng: Random, kind: type[Fault], ids: list[NodeId], services: int) -> Fault:
    node = rng.choice(ids)
    ms = rng.choice((200, 900, 1_500, 4_000, 12_000, 30_000))
    service = rng.randrange(services)
    drawn: dict[type[Fault], Fault] = {
        faults.Crash: faults.Crash(node, rng.choice((50, 2_000, 15_000, 60_000))),
        faults.PowerCut: faults.PowerCut(tuple(rng.choice((50, 50, 2_000, 15_000, 40_000)) for _ in ids)),
        faults.KillDaemon: faults.KillDaemon(node, rng.choice((0, 100, 2_000, 9_000, 14_000))),
        faults.Freeze: faults.Freeze(node, ms),
        faults.Cut: faults.Cut(tuple(sorted(rng.sample(ids, rng.randint(1, max(1, len(ids) - 1))))), ms),
        faults.CutLink: faults.CutLink(*_pair(rng, ids), ms),
        faults.ServiceDies: faults.ServiceDies(service),
        faults.ResourceBroken: faults.ResourceBroken(service, ms),
        faults.AgentsFail: faults.AgentsFail(
            node, ms, rng.choice((0, 50, 100)), rng.choice((0, 0, 20, 100)), rng.choice((0, 30)), 50
        ),
        faults.FencingFails: faults.FencingFails(
            ms, rng.choice((0, 50, 100)), rng.choice((0, 50)), rng.choice((0, 0, 50))
        ),
        faults.Ask: faults.Ask(node, rng.choice(list(Operation)), service, rng.choice([None, *ids])),
        faults.AskOverride: faults.AskOverride(node),
        faults.AskVotes: faults.AskVotes(
            node, rng.choice(("expected", "votes", "remove", "kill")), rng.randint(0, 4), rng.choice(ids), ms
        ),
        faults.UpdateFile: faults.UpdateFile(node, service, rng.choice(("change", "add", "remove", "touch"))),
        faults.SwapFile: faults.SwapFile(node, rng.choice((50, 5_000)), rng.choice((-1, 1))),
        faults.LeaveOrderly: faults.LeaveOrderly(node, rng.choice((2_000, 10_000))),
        faults.ClockJumps: faults.ClockJumps(
            node, rng.choice((-50_000, 0, 3_000_000)), rng.choice((500, 900, 1_000, 1_100, 3_000))
        ),
        faults.DiskFull: faults.DiskFull(node, ms),
        faults.Stranger: faults.Stranger(ms),
        faults.WrongName: faults.WrongName(node, ms, rng.random() < 0.5),
        faults.SecondDaemon: faults.SecondDaemon(node),
        faults.Corrupt: faults.Corrupt(node),
        faults.Aimed: faults.Aimed(
            rng.choice(list(faults.Moment)),
            rng.choice((0, 0, 0, 1, 3)),
            rng.choice((faults.Whom.ACTOR, faults.Whom.ACTOR, faults.Whom.SUBJECT, faults.Whom.OTHER)),
            rng.choice((0, 1, 3, 10, 25, 60, 300)),
            rng.choices(list(_BLOWS), list(_BLOWS.values()))[0],
            rng.choice((200, 900, 1_500, 4_000, 12_000)),
        ),
    }
    return drawn[kind]


def _pair(rng: Random, ids: list[NodeId]) -> tuple[NodeId, NodeId]:
    a, b = rng.sample(ids, 2)
    return min(a, b), max(a, b)
