"""A prober on the lab's client machine, and what it has seen so far."""

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from standfast.errors import StandfastError
from standfast.lab.cluster import Lab
from standfast.lab.probes import Probe, decode_probe

PROBES_MAX = 1_000_000  # the oldest are forgotten first
_END_S_MAX = 10.0


class Probing:
    """GETs from `core` to the service's address, every few milliseconds, while the context lasts."""

    def __init__(
        self, lab: Lab, address: str | None = None, port: int | None = None, *, every_ms: float = 5.0
    ) -> None:
        """`address` and `port` None: the service address and the web port of the lab."""
        network = lab.network
        self._news = threading.Condition()
        self._probes: list[Probe] = []
        stop_in, self._stop = os.pipe()
        told, tell = os.pipe()
        command = (
            sys.executable,
            "-m",
            "standfast.lab.prober",
            address or network.service_address,
            str(port or network.web_port),
            f"--every-ms={every_ms}",
        )
        try:
            self._remote = lab.core.start(command, stdin=stop_in, stdout=tell, stderr=2)
        except BaseException:
            os.close(self._stop)
            os.close(told)
            raise
        finally:
            os.close(stop_in)
            os.close(tell)
        self._thread = threading.Thread(target=self._read, args=(told,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the prober; what it saw can still be asked for."""
        if self._stop >= 0:
            os.close(self._stop)
            self._stop = -1
            self._thread.join(_END_S_MAX)
            self._remote.close()

    def probes(self, since_ms: float = 0.0) -> tuple[Probe, ...]:
        """What was seen of the GETs sent at or after this moment of the monotonic clock, in the order of their ends."""
        with self._news:
            return tuple(probe for probe in self._probes if probe.sent_ms >= since_ms)

    def wait_for_answer(self, node: str | None = None, *, since_ms: float = 0.0, within_s: float) -> Probe:
        """Return the first answer, of this node if one is named, to a GET sent at or after `since_ms`.

        Raises StandfastError when there is none in time.
        """

        def first() -> Probe | None:
            return next(
                (
                    probe
                    for probe in self._probes
                    if probe.sent_ms >= since_ms and probe.node is not None and node in (None, probe.node)
                ),
                None,
            )

        return self._wait(first, within_s, f"no answer{f' of {node}' if node else ''}")

    def wait_for_failure(self, *, since_ms: float = 0.0, within_s: float) -> Probe:
        """Return the first GET without an answer that was sent at or after `since_ms`.

        Raises StandfastError when there is none in time.
        """

        def first() -> Probe | None:
            return next(
                (probe for probe in self._probes if probe.sent_ms >= since_ms and probe.answer is None), None
            )

        return self._wait(first, within_s, "every GET was answered")

    def _wait(self, first: Callable[[], Probe | None], within_s: float, failure: str) -> Probe:
        give_up = time.monotonic() + within_s
        with self._news:
            while (found := first()) is None:
                left = give_up - time.monotonic()
                if left <= 0 or not self._thread.is_alive():
                    raise StandfastError(f"{failure} within {within_s:g} s", code="lab-no-answer")
                self._news.wait(min(left, 1.0))
        return found

    def _read(self, told: int) -> None:
        with os.fdopen(told, "rb") as lines:
            for line in lines:
                with self._news:
                    self._probes.append(decode_probe(line))
                    del self._probes[:-PROBES_MAX]
                    self._news.notify_all()
