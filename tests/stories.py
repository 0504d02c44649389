"""Stories: what is done and what comes of it, as text files beside a room's tests; REWRITE=1 renews the answers.

A story begins with a comment that says what it shows. Its blocks are separated by empty lines: commands, `----`, answers.
"""

import os
from collections.abc import Callable, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Protocol

RULE = "----"


class Teller(Protocol):
    """What a room's tests bring: the little world in which a story happens."""

    def tell(self, command: str) -> Sequence[str]:
        """Carry out one command and return what comes of it, a line for each thing."""
        ...

    def show(self) -> Sequence[str]:
        """Return what is worth to be seen at the end of a block."""
        ...


def scenarios(tests: str, pattern: str = "*.txt") -> list[Path]:
    """Return the stories beside a test module, which gives its `__file__`."""
    return sorted((Path(tests).parent / "scenarios").glob(pattern))


def difference(path: Path, begin: Callable[[], Teller]) -> str:
    """Return how the story goes otherwise than its file tells, "" where it does not; REWRITE=1 renews the file first."""
    text = path.read_text(encoding="utf-8")
    seen = _retold(text, begin())
    if os.environ.get("REWRITE") == "1":
        path.write_text(seen, encoding="utf-8")
        text = seen
    return "".join(
        unified_diff(
            text.splitlines(keepends=True), seen.splitlines(keepends=True), path.name, "what happened"
        )
    )


def words(command: str) -> tuple[list[str], dict[str, str]]:
    """Return a command's plain words and its KEY=VALUE words; `text=` takes the rest of the line."""
    head, found, text = command.partition(" text=")
    parts = head.split()
    options = dict(part.split("=", 1) for part in parts if "=" in part)
    if found:
        options["text"] = text
    return [part for part in parts if "=" not in part], options


def _retold(text: str, teller: Teller) -> str:
    told = []
    for block in text.strip("\n").split("\n\n"):
        commands = block.partition(f"{RULE}\n")[0].strip("\n").splitlines()
        answers = [
            line
            for command in commands
            if not command.startswith("#") and command != RULE
            for line in teller.tell(command)
        ]
        answers.extend(teller.show())
        told.append("\n".join([*(c for c in commands if c != RULE), *([RULE, *answers] if answers else [])]))
    return "\n\n".join(told) + "\n"
