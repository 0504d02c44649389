"""The steps of a start or a stop, each told as it happens: as lines for a person, or as JSON for a program.

The layout is that of the suite's start scripts. Source: spec membership, section 12.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from msgspec import json

LONG_S = 2.0  # a step that took longer says how long


class Teller(Protocol):
    """How steps are told; the calls come in order, and a step ends before the next one begins."""

    def title(self, text: str) -> None:
        """What is done as a whole."""
        ...

    def begin(self, step: str, text: str) -> None:
        """A step begins; `step` is its short name."""
        ...

    def note(self, text: str) -> None:
        """Something that a person wants to know while the step goes on."""
        ...

    def done(self, text: str, seconds: float) -> None:
        """The step is done; `text` is what came of it, "" for nothing more."""
        ...

    def failed(self, seconds: float) -> None:
        """The step failed."""
        ...

    def succeeded(self, text: str) -> None:
        """All is done."""
        ...

    def gave_up(self, code: str, text: str) -> None:
        """It ends here; `text` says why and what to do."""
        ...


class Step:
    """One step that goes on."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._last = ""
        self.result = ""

    def note(self, text: str) -> None:
        """Say something, unless it was said last."""
        if text and text != self._last:
            self._last = text
            self._teller.note(text)


class Steps:
    """Runs steps one after the other. `clock` gives seconds that never go back."""

    def __init__(self, teller: Teller, clock: Callable[[], float]) -> None:
        self.teller = teller
        self._clock = clock

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[Step]:
        """Tell a step's begin and end; whatever is raised within goes on after it was told."""
        began = self._clock()
        self.teller.begin(name, text)
        step = Step(self.teller)
        try:
            yield step
        except BaseException:
            self.teller.failed(self._clock() - began)
            raise
        self.teller.done(step.result, self._clock() - began)


class Lines:
    """For a person, as the suite's scripts printed it."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._is_open = False  # the cursor stands behind a step's text

    def title(self, text: str) -> None:
        """Print it."""
        self._write(f"{text}: \n")

    def begin(self, step: str, text: str) -> None:  # noqa: ARG002 - a person reads the text
        """Print it and stay on the line."""
        self._is_open = True
        self._write(f"   {text}... ")

    def note(self, text: str) -> None:
        """Print it below the step."""
        start = "\n" if self._is_open else ""
        self._is_open = False
        self._write(start + "".join(f"      {line}\n" for line in text.splitlines()))

    def done(self, text: str, seconds: float) -> None:
        """End the step's line."""
        self._end("done", seconds, f": {text}" if text else "")

    def failed(self, seconds: float) -> None:
        """End the step's line."""
        self._end("failed", seconds, "")

    def succeeded(self, text: str) -> None:
        """Print the scripts' last line."""
        self._write(f"{text}\n[  OK  ]\n")

    def gave_up(self, code: str, text: str) -> None:  # noqa: ARG002 - a person reads the text
        """Print why, and the scripts' last line."""
        self._err.write(f"{text}\n")
        self._err.flush()
        self._write("[FAILED]\n")

    def _end(self, word: str, seconds: float, rest: str) -> None:
        start = "" if self._is_open else "   ... "
        self._is_open = False
        took = f" ({seconds:.1f} s)" if seconds >= LONG_S else ""
        self._write(f"{start}{word}{took}{rest}\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class JsonLines:
    """For a program: one JSON object a line, with `event` one of the teller's words."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._step = ""

    def title(self, text: str) -> None:
        """Write it."""
        self._write(event="title", text=text)

    def begin(self, step: str, text: str) -> None:
        """Write it."""
        self._step = step
        self._write(event="begin", step=step, text=text)

    def note(self, text: str) -> None:
        """Write it."""
        self._write(event="note", step=self._step, text=text)

    def done(self, text: str, seconds: float) -> None:
        """Write it."""
        self._write(event="done", step=self._step, text=text, seconds=round(seconds, 3))

    def failed(self, seconds: float) -> None:
        """Write it."""
        self._write(event="failed", step=self._step, seconds=round(seconds, 3))

    def succeeded(self, text: str) -> None:
        """Write it."""
        self._write(event="succeeded", text=text)

    def gave_up(self, code: str, text: str) -> None:
        """Write it."""
        self._write(event="gave-up", code=code, text=text)

    def _write(self, **fields: str | float) -> None:
        self._out.write(json.encode(fields).decode() + "\n")
        self._out.flush()
