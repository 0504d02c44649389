"""Replays logs of daemons and prints what each entry led to: `python -m standfast.cluster.tests.replay_log FILE`.

The file holds a list of lives. Each line of the answer is the fingerprint of one step: the state, and the effects in order.
"""

import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from msgspec import json

from standfast.cluster import participant as core
from standfast.cluster.state import digest
from standfast.cluster.tests.story_machine import Life


def replay(life: Life) -> Iterator[str]:
    """Yield the fingerprint after each event that the daemon took in."""
    node = core.create(life.me, life.config, life.document)
    for took in life.took:
        node, effects = core.step(node, took.event, took.local_ms, took.wall_s)
        state = "none" if node.session.state is None else digest(node.session.state)
        done = blake2b(json.encode(effects), digest_size=16).hexdigest()
        yield f"{life.me.incarnation} {state} {done}"


if __name__ == "__main__":
    lives = json.decode(Path(sys.argv[1]).read_bytes(), type=tuple[Life, ...])
    sys.stdout.writelines(f"{line}\n" for life in lives for line in replay(life))
