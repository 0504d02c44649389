"""Run seeds and tell or record what happened, or play a record again: the child process of test_replay.py."""

import sys
from collections.abc import Iterable
from hashlib import blake2b

from msgspec import Struct, json
from msgspec.structs import replace

from standfast.simulation import tape as tapes
from standfast.simulation.chronicle import Acknowledged, Activated, Folded, Step
from standfast.simulation.plan import draw_plan
from standfast.simulation.run import run_world
from standfast.simulation.world import World


class Told(Struct, frozen=True):
    """What happened in the run of a seed: fingerprints of its chronicle, its log and the states that daemons had."""

    seed: int
    steps: int
    chronicle: str
    log: str
    states: str


def main() -> None:
    """Do what the first argument says: tell, record, replay or tamper."""
    match sys.argv[1]:
        case "tell":
            answer = json.encode([told(int(seed)) for seed in sys.argv[2:]])
        case "record":
            answer = tapes.encode(tuple(reel for seed in sys.argv[2:] for reel in played(int(seed))[1]))
        case "replay":
            answer = json.encode(tapes.differences(tapes.decode(sys.stdin.buffer.read())))
        case _:
            answer = json.encode(tapes.differences(tampered(tapes.decode(sys.stdin.buffer.read()))))
    sys.stdout.buffer.write(answer)


def played(seed: int) -> tuple[World, tuple[tapes.Reel, ...]]:
    """Run a seed while a tape runs along."""
    tape = tapes.Tape()
    world = World(draw_plan(seed), keep_log=True, tape=tape)
    run_world(world)
    return world, tape.reels()


def told(seed: int) -> Told:
    """Run a seed and take its fingerprints."""
    world, reels = played(seed)
    steps = [json.encode([type(step).__name__, _bare(step)]) for step in world.chronicle]
    states = [frame.state.encode() for reel in reels for frame in reel.frames]
    return Told(
        seed=seed,
        steps=len(steps),
        chronicle=_digest(steps),
        log=_digest(line.encode() for line in world.time.log),
        states=_digest(states),
    )


def tampered(reels: tuple[tapes.Reel, ...]) -> tuple[tapes.Reel, ...]:
    """Leave an event out that changed the state."""
    reel = max(reels, key=lambda r: len(r.frames))
    changing = (n for n in range(1, len(reel.frames)) if reel.frames[n].state != reel.frames[n - 1].state)
    at = list(changing)[-2]
    return (tapes.Reel(reel.me, reel.config, reel.document, reel.frames[:at] + reel.frames[at + 1 :]),)


def _bare(step: Step) -> Step:
    """The step without what Python's hash() made: that is meant for one process."""
    return replace(step, content=0) if isinstance(step, Folded | Activated | Acknowledged) else step


def _digest(parts: Iterable[bytes]) -> str:
    hashed = blake2b(digest_size=16)
    for part in parts:
        hashed.update(part)
        hashed.update(b"\n")
    return hashed.hexdigest()


if __name__ == "__main__":
    main()
