"""Many seeds, in several processes: the results come as they are ready."""

import signal
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from standfast.simulation.run import Result, run_seed

CHUNK = 10  # seeds that a process is given at a time: what ^C has to wait for


def run_seeds(first: int, count: int, jobs: int) -> Generator[Result, None, None]:
    """Run `count` seeds from `first` on in `jobs` processes; the order of the results is that of their ends.

    Raises BrokenProcessPool when a process was killed from outside.
    """
    if jobs == 1:
        yield from (run_seed(seed) for seed in range(first, first + count))
        return
    chunks = iter(
        range(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK)
    )
    with ProcessPoolExecutor(jobs, initializer=_ignore_interrupts) as executor:
        waiting: set[Future[list[Result]]] = set()
        try:
            for chunk in chunks:
                waiting.add(executor.submit(_run_chunk, chunk))
                if len(waiting) >= 2 * jobs:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield from future.result()
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from future.result()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _run_chunk(seeds: range) -> list[Result]:
    return [run_seed(seed) for seed in seeds]


def _ignore_interrupts() -> None:
    """^C is the first process's business; the others end when they are told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
