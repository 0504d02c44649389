"""What can go wrong in a simulated cluster, and the schedule of it that a seed draws.

A schedule is data: it can be printed, shortened and run again.
"""

from random import Random

from msgspec import Struct

from standfast.terms import NodeId
from standfast.wire.control import Operation


class Crash(Struct, frozen=True, tag=True):
    """A machine loses its power; it is switched on again `off_ms` later."""

    nodeid: NodeId
    off_ms: int


class KillDaemon(Struct, frozen=True, tag=True):
    """A daemon is killed; it is started again `away_ms` later (0: never by itself)."""

    nodeid: NodeId
    away_ms: int


class Freeze(Struct, frozen=True, tag=True):
    """Everything on a machine stands still for `ms`."""

    nodeid: NodeId
    ms: int


class Cut(Struct, frozen=True, tag=True):
    """The nodes of `side` and the others do not hear each other for `ms`."""

    side: tuple[NodeId, ...]
    ms: int


class CutLink(Struct, frozen=True, tag=True):
    """Two nodes do not hear each other for `ms`."""

    a: NodeId
    b: NodeId
    ms: int


class ServiceDies(Struct, frozen=True, tag=True):
    """What a service runs ends by itself, wherever it runs (`service` counts from 0)."""

    service: int


class AgentsFail(Struct, frozen=True, tag=True):
    """For `ms`, agents on a node fail, hang or are slow. Percentages."""

    nodeid: NodeId
    ms: int
    start_fails: int
    stop_fails: int
    hangs: int
    slow: int


class FencingFails(Struct, frozen=True, tag=True):
    """For `ms`, fence agents fail (`fails` per cent) or take long."""

    ms: int
    fails: int
    slow: int


class Ask(Struct, frozen=True, tag=True):
    """An operator asks something of a service on some node."""

    nodeid: NodeId
    operation: Operation
    service: int
    target: NodeId | None


class UpdateFile(Struct, frozen=True, tag=True):
    """An operator proposes a new configuration in which `service` is changed (or added, or removed)."""

    nodeid: NodeId
    service: int
    kind: str  # change, add, remove, touch


class LeaveOrderly(Struct, frozen=True, tag=True):
    """A node leaves in order and is started again `away_ms` later."""

    nodeid: NodeId
    away_ms: int


class ClockJumps(Struct, frozen=True, tag=True):
    """A machine's steady clock goes on at another speed (per mille) from another offset."""

    nodeid: NodeId
    offset_ms: int
    per_mille: int


class DiskFull(Struct, frozen=True, tag=True):
    """For `ms`, nothing can be written on a machine."""

    nodeid: NodeId
    ms: int


Fault = (
    Crash
    | KillDaemon
    | Freeze
    | Cut
    | CutLink
    | ServiceDies
    | AgentsFail
    | FencingFails
    | Ask
    | UpdateFile
    | LeaveOrderly
    | ClockJumps
    | DiskFull
)


class Scheduled(Struct, frozen=True):
    """A fault and the virtual time of it, in milliseconds."""

    at_ms: int
    fault: Fault


class Plan(Struct, frozen=True, kw_only=True):
    """One whole run: the cluster, and what happens to it."""

    seed: int
    nodes: int
    services: int
    two_node: bool
    post_join_delay_s: int
    post_fail_delay_s: int
    late_starts_ms: tuple[int, ...]  # when each machine is first switched on
    first_versions: tuple[int, ...]  # config_version on each machine's disk at first
    schedule: tuple[Scheduled, ...]
    faults_end_ms: int


def draw_plan(seed: int) -> Plan:
    """Return the run that a seed stands for."""
    rng = Random(seed)
    nodes = rng.choice((2, 2, 3, 3, 4, 5))
    ids = [NodeId(n) for n in range(1, nodes + 1)]
    end_ms = rng.choice((40_000, 80_000, 150_000))
    count = rng.choice((3, 8, 18, 40, 80))
    times = sorted(rng.randint(8_000, end_ms) for _ in range(count))
    if rng.random() < 0.4:
        times = _clustered(rng, times)
    services = rng.randint(1, 3)
    late = tuple(rng.choice((0, 0, 0, rng.randint(0, 3_000), rng.randint(0, 15_000))) for _ in ids)
    return Plan(
        seed=seed,
        nodes=nodes,
        services=services,
        two_node=nodes == 2 and rng.random() < 0.9,
        post_join_delay_s=rng.choice((0, 3, 6)),
        post_fail_delay_s=rng.choice((0, 0, 0, 2)),
        late_starts_ms=late,
        first_versions=tuple(rng.choice((1, 1, 1, 2, 3)) for _ in ids),
        schedule=tuple(Scheduled(at_ms, _draw(rng, ids, services)) for at_ms in times),
        faults_end_ms=end_ms + 10_000,
    )


def _clustered(rng: Random, times: list[int]) -> list[int]:
    """Faults that hit while the last one is being handled find more than faults far apart."""
    clustered = []
    last = times[0]
    for _ in times:
        last += rng.choice((1, 5, 20, 50, 200, 800, 1_100, 1_500, 3_000, 9_000))
        clustered.append(last)
    return clustered


def _draw(rng: Random, ids: list[NodeId], services: int) -> Fault:
    node = rng.choice(ids)
    ms = rng.choice((200, 900, 1_500, 4_000, 12_000, 30_000))
    service = rng.randrange(services)
    kinds: list[tuple[int, Fault]] = [
        (10, Crash(node, rng.choice((50, 2_000, 15_000, 60_000)))),
        (10, KillDaemon(node, rng.choice((0, 100, 2_000, 9_000, 14_000)))),
        (10, Freeze(node, ms)),
        (12, Cut(tuple(sorted(rng.sample(ids, rng.randint(1, max(1, len(ids) - 1))))), ms)),
        (6, CutLink(*_pair(rng, ids), ms)),
        (6, ServiceDies(service)),
        (5, AgentsFail(node, ms, rng.choice((0, 50, 100)), rng.choice((0, 0, 20)), rng.choice((0, 30)), 50)),
        (6, FencingFails(ms, rng.choice((50, 100)), rng.choice((0, 50)))),
        (14, Ask(node, rng.choice(list(Operation)), service, rng.choice([None, *ids]))),
        (5, UpdateFile(node, service, rng.choice(("change", "add", "remove", "touch")))),
        (3, LeaveOrderly(node, rng.choice((2_000, 10_000)))),
        (
            3,
            ClockJumps(
                node, rng.choice((-50_000, 0, 3_000_000)), rng.choice((500, 900, 1_000, 1_100, 3_000))
            ),
        ),
        (2, DiskFull(node, ms)),
    ]
    return rng.choices([fault for _, fault in kinds], [weight for weight, _ in kinds])[0]


def _pair(rng: Random, ids: list[NodeId]) -> tuple[NodeId, NodeId]:
    a, b = rng.sample(ids, 2)
    return min(a, b), max(a, b)
