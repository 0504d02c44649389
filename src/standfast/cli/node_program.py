"""standfast up and down, run by another command: they belong to the daemon's room, which the commands do not import."""

from __future__ import annotations

import json
import subprocess
import sys

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Sequence


def run_node_program(word: str, arguments: Sequence[str]) -> str:
    """Run it to its end and return "", or why it failed."""
    result = subprocess.run(
        [*_command(word), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    if result.returncode == 0:
        return ""
    return _last_words(result.stdout) or result.stderr.strip() or f"it ended with {result.returncode}"


def begin_node_program(word: str, arguments: Sequence[str]) -> None:
    """Start it in the background, in a session of its own."""
    subprocess.Popen(
        [*_command(word), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def _command(word: str) -> list[str]:
    return [sys.executable, "-m", f"standfast.node.{word}", "--json"]


def _last_words(output: str) -> str:
    """Return the sentence with which it gave up, "" where there is none."""
    lines = output.splitlines()
    try:
        last = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return ""
    return str(last.get("text", "")) if last.get("event") == "gave-up" else ""
