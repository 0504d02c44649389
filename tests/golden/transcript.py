"""What a command printed and exited with, as a file beside the tests; REWRITE=1 renews the files."""

import os
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path


def transcript(title: str, command: Sequence[str], *, out: str, err: str, status: int) -> str:
    """Return the text of a golden file: standard output byte for byte, then standard error and the exit status."""
    if out and not out.endswith("\n"):
        out += "\n\\ no newline at the end\n"
    return f"# {title}\n$ {' '.join(command)}\n{out}--- stderr\n{err}--- exit {status}\n"


def title_of(golden: Path) -> str:
    """Return the title in a golden file's first line."""
    return golden.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def difference(golden: Path, seen: str) -> str:
    """Return how `seen` differs from the file, "" where it does not; with REWRITE=1 the file becomes `seen`."""
    if os.environ.get("REWRITE") == "1":
        golden.write_text(seen, encoding="utf-8")
    expected = golden.read_text(encoding="utf-8")
    lines = unified_diff(
        expected.splitlines(keepends=True), seen.splitlines(keepends=True), str(golden), "what was printed"
    )
    return "".join(lines)
