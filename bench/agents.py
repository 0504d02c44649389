"""How long one run of our own agents takes: through the warm fork server, and started as a program."""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from standfast.wire.agents import PACKET_BYTES_MAX, Exited, RunAgent, decode_answer, encode_request

RUNS = 50
# An address that no machine has: status reads the interfaces and answers 7.
CASES = (("service", "status", ()), ("ip", "status", (("OCF_RESKEY_address", "192.0.2.1"),)))

Environment = tuple[tuple[str, str], ...]


def median_ms(run: Callable[[], None]) -> float:
    """Return the median time of RUNS runs, in milliseconds."""
    times = []
    for _ in range(RUNS):
        began_s = time.perf_counter()
        run()
        times.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(times)


def run_program(agent: str, operation: str, environment: Environment) -> None:
    """Start an agent as a program and wait for its end."""
    subprocess.run(
        [sys.executable, "-m", f"standfast.agents.{agent}", operation],
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        check=False,
    )


def run_warm(server: socket.socket, null: int, agent: str, operation: str, environment: Environment) -> None:
    """Run an agent through the server and wait for its end."""
    run = RunAgent(id=1, agent=agent, operation=operation, environment=environment)
    socket.send_fds(server, [encode_request(run)], [null, null, null])
    while not isinstance(decode_answer(server.recv(PACKET_BYTES_MAX)), Exited):
        pass


def main() -> None:
    """Measure and print one line for each case."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    null = os.open(os.devnull, os.O_RDWR)
    with subprocess.Popen([sys.executable, "-m", "standfast.agents.server"], stdin=theirs.fileno()):
        theirs.close()
        run_warm(ours, null, *CASES[0])  # returns when the server is up
        print(f"{'median of ' + str(RUNS):20}{'warm server':>14}{'program':>12}")
        for case in CASES:
            warm = median_ms(partial(run_warm, ours, null, *case))
            program = median_ms(partial(run_program, *case))
            print(f"{case[0] + ' ' + case[1]:20}{warm:>11.1f} ms{program:>9.1f} ms")
        ours.close()
    os.close(null)


if __name__ == "__main__":
    main()
