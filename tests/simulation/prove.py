"""Look for the seed with which the simulator finds each breakage; see docs/simulation.md.

    .venv/bin/python -m tests.simulation.prove [--seeds N] [--keep] [NAME...]

Without a name all breakages are tried. --keep stores the shortest schedule for the tests.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace
from tests.simulation.breakages import Breakage, breakages, broken_tree, run_broken, without
from tests.simulation.broken_run import Found, Order
from tests.simulation.schedules import keep

from standfast.simulation.plan import Plan, Scheduled
from standfast.simulation.shortening import shortest


def main(argv: Sequence[str]) -> int:
    """Try the breakages; the exit status is that of success when all that can be found are found."""
    parser = argparse.ArgumentParser(prog="tests.simulation.prove", allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=3_000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--shorten", type=float, default=0, metavar="S")
    parser.add_argument("--random", action="store_true", help="also try the seeds that draw no scene")
    parser.add_argument(
        "--keep", action="store_true", help="store the schedules that are found for the tests"
    )
    options = parser.parse_args(argv)
    known = {b.name: b for b in breakages()}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f'breakages.toml has no breakage "{unknown[0]}"')
    chosen = [known[name] for name in options.names] or list(known.values())
    missed = 0
    with ThreadPoolExecutor(options.jobs) as executor:
        tries = {
            executor.submit(
                _try,
                b,
                [known[n] for n in b.together],
                range(options.first, options.first + options.seeds),
                options.shorten,
                at_random=options.random,
            ): b
            for b in chosen
        }
        for future in as_completed(tries):
            breakage, found = tries[future], future.result()
            missed += found.plan is None and not breakage.guarded
            _tell(breakage, found, options.seeds)
            if options.keep and found.plan is not None:
                keep(breakage, found)
    return int(bool(missed))


def _try(
    breakage: Breakage, parts: list[Breakage], seeds: range, shorten_s: float, *, at_random: bool
) -> Found:
    """Look for a plan that the breakage breaks and the core passes; if it has parts, one that needs all of them."""
    with ExitStack() as stack:
        tree = stack.enter_context(broken_tree(breakage))
        others = [stack.enter_context(broken_tree(without(breakage, part, parts))) for part in parts]
        others.append(stack.enter_context(broken_tree(Breakage(name="the core as it is"))))
        while seeds:
            order = Order(
                tree=str(tree),
                first=seeds.start,
                count=len(seeds),
                scenes=breakage.scenes,
                at_random=at_random,
                shorten_s=0 if parts else shorten_s,
            )
            found = run_broken(tree, order)
            if found.plan is None:
                return found
            if not any(_run(other, found.plan).violations for other in others):
                return _shortened(found.plan, tree, others, shorten_s) if parts else found
            seeds = seeds[found.plan.seed - seeds.start + 1 :]
    return Found()


def _run(tree: Path, plan: Plan) -> Found:
    return run_broken(tree, Order(tree=str(tree), plans=(plan,)))


def _shortened(plan: Plan, tree: Path, others: list[Path], seconds: float) -> Found:
    until = time.monotonic() + seconds

    def shows(schedule: tuple[Scheduled, ...]) -> bool:
        candidate = replace(plan, schedule=schedule)
        if not _run(tree, candidate).violations:
            return False
        return not any(_run(other, candidate).violations for other in others)

    schedule = shortest(plan.schedule, shows, lambda: time.monotonic() > until)
    return _run(tree, replace(plan, schedule=schedule))


def _tell(breakage: Breakage, found: Found, seeds: int) -> None:
    if found.plan is None:
        print(f"{breakage.name:60} NOT FOUND in {seeds}", flush=True)
    else:
        print(
            f"{breakage.name:60} {found.plan.seed:6d} ({len(found.plan.schedule)}) {found.violations[0]}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
