"""`./run sim`: run whole clusters in virtual time, one for each seed, and report what happened and what went wrong."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from typing import TextIO

from msgspec import json
from msgspec.structs import replace

from standfast.simulation.campaign import run_seeds
from standfast.simulation.plan import draw_plan
from standfast.simulation.report import Breach, Summary, as_json, progress, render
from standfast.simulation.run import Result, run_seed, shorten

SEEDS = 1_000
SHORTEN_S = 30  # how long a shorter schedule is looked for, for each seed
SHORTEN_MAX = 3  # seeds for which that is done
LINE_S = 0.2  # how often the line on a terminal is renewed
QUIET_LINE_S = 30  # how often a line is printed where there is no terminal


class Tally:
    """What was run so far."""

    def __init__(self) -> None:
        self.run = 0
        self.virtual_ms = 0
        self.counts: Counter[str] = Counter()
        self.failed: list[Result] = []

    def add(self, result: Result) -> None:
        """Count one seed in."""
        self.run += 1
        self.virtual_ms += result.virtual_ms
        self.counts.update(result.counts)
        if result.violations:
            self.failed.append(result)


def main(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Carry out the command; returns the exit status: 0 no violation, 1 some, 130 broken off."""
    parser = _parser()
    options = parser.parse_args(argv)
    seeds = options.seeds if options.seeds is not None else 1 if options.seed is not None else SEEDS
    first = options.seed if options.seed is not None else 1
    if options.log:
        if seeds != 1:
            parser.error("--log prints one run; give it with --seed S alone")
        return _print_log(first, out)
    jobs = min(options.jobs or os.cpu_count() or 1, seeds)
    tally = Tally()
    status = 0
    began = time.monotonic()
    try:
        _run(first, seeds, jobs, tally, err)
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
        print("broken off; this is what was run so far", file=err)
    except BrokenProcessPool:
        print(
            "standfast.simulation: a process was killed from outside; run it again with fewer --jobs",
            file=err,
        )
        return 1
    summary = Summary(
        first=first,
        asked=seeds,
        run=tally.run,
        virtual_ms=tally.virtual_ms,
        real_s=time.monotonic() - began,
        jobs=jobs,
        commit=_commit(),
        counts=dict(tally.counts),
    )
    breaches = tuple(_breaches(tally.failed, err, look_for_shorter=not status))
    summary = replace(summary, breaches=breaches)
    print(json.encode(as_json(summary)).decode() if options.json else render(summary), file=out)
    return status or int(bool(breaches))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="standfast.simulation",
        description="Run whole clusters in virtual time, one for each seed, and judge them by the design's rules.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--seeds", type=_positive, metavar="N", help=f"how many seeds (default {SEEDS}, with --seed 1)"
    )
    parser.add_argument("--seed", type=_seed, metavar="S", help="the first seed (default 1)")
    parser.add_argument("--jobs", type=_positive, metavar="J", help="processes (default: one for each CPU)")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print the report as JSON")
    shape.add_argument("--log", action="store_true", help="with one seed: print everything that happens")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from 1 on')
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'"{text}" is not a seed; seeds are whole numbers from 0 on')
    return int(text)


def _print_log(seed: int, out: TextIO) -> int:
    result = run_seed(seed, keep_log=True)
    for line in result.log:
        print(line, file=out)
    print(f"{len(result.violations)} violations" if result.violations else "no violation", file=out)
    for violation in result.violations:
        print(violation, file=out)
    return int(bool(result.violations))


def _run(first: int, seeds: int, jobs: int, tally: Tally, err: TextIO) -> None:
    began = told = time.monotonic()
    live = err.isatty()
    try:
        with closing(run_seeds(first, seeds, jobs)) as results:
            for result in results:
                tally.add(result)
                now = time.monotonic()
                if now - told >= (LINE_S if live else QUIET_LINE_S):
                    told = now
                    line = progress(tally.run, seeds, tally.failed, tally.virtual_ms, now - began)
                    print(f"\r\033[K{line}" if live else line, end="" if live else "\n", file=err, flush=True)
    finally:
        if live:
            print("\r\033[K", end="", file=err, flush=True)


def _breaches(failed: list[Result], err: TextIO, *, look_for_shorter: bool) -> list[Breach]:
    breaches: list[Breach] = []
    for number, result in enumerate(sorted(failed, key=lambda r: r.seed)):
        plan = draw_plan(result.seed)
        breach = Breach(seed=result.seed, sentences=result.violations, length=len(plan.schedule))
        if look_for_shorter and number < SHORTEN_MAX:
            print(f"looking for a shorter schedule of seed {result.seed}", file=err)
            try:
                breach = replace(breach, shortest=shorten(plan, _after(SHORTEN_S)))
            except KeyboardInterrupt:
                look_for_shorter = False
        breaches.append(breach)
    return breaches


def _after(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def _commit() -> str:
    """Return the commit of the checkout that this runs from, empty where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
