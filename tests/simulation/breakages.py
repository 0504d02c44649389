"""The breakages of breakages.toml: copies of the source with a rule broken on purpose, and runs of them."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct, convert, json
from tests.simulation.broken_run import Found, Order

import standfast

HERE = Path(__file__).parent
SOURCE = Path(standfast.__file__).parent


class Edit(Struct, frozen=True):
    """One replacement in a file below src/standfast."""

    file: str
    old: str
    new: str


class Breakage(Struct, frozen=True, kw_only=True):
    """One rule that is broken on purpose."""

    name: str
    edits: tuple[Edit, ...] = ()
    guarded: str = ""  # which other guard holds, where this alone shows nothing
    scenes: tuple[str, ...] = ()  # where to look first
    together: tuple[str, ...] = ()  # the breakages that this one consists of


def breakages() -> tuple[Breakage, ...]:
    """Return all breakages, with the edits of those that consist of others."""
    listed = convert(tomllib.loads((HERE / "breakages.toml").read_text())["breakage"], tuple[Breakage, ...])
    edits = {b.name: b.edits for b in listed}
    return tuple(
        Breakage(
            name=b.name,
            guarded=b.guarded,
            scenes=b.scenes,
            together=b.together,
            edits=(*b.edits, *(edit for name in b.together for edit in edits[name])),
        )
        for b in listed
    )


def without(breakage: Breakage, part: Breakage, parts: Iterable[Breakage]) -> Breakage:
    """Return what is left of a breakage that consists of others, when one of them is not broken."""
    edits = tuple(edit for other in parts if other != part for edit in other.edits)
    return Breakage(name=f"{breakage.name}, without: {part.name}", edits=edits)


@contextmanager
def broken_tree(breakage: Breakage) -> Iterator[Path]:
    """Make a copy of the source with the breakage in it."""
    with TemporaryDirectory(prefix="standfast-broken-") as folder:
        tree = Path(folder)
        shutil.copytree(
            SOURCE, tree / "standfast", ignore=shutil.ignore_patterns("tests", "lab", "node", "cli", "agents")
        )
        for edit in breakage.edits:
            path = tree / "standfast" / edit.file
            text = path.read_text()
            count = text.count(edit.old)
            assert count == 1, (
                f'breakages.toml: "{breakage.name}": the old text is {count} times in {edit.file}; renew it'
            )
            path.write_text(text.replace(edit.old, edit.new))
        yield tree


def run_broken(tree: Path, order: Order) -> Found:
    """Run plans or seeds on a broken tree."""
    done = subprocess.run(
        [sys.executable, "-P", str(HERE / "broken_run.py")],
        input=json.encode(order),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"},
        check=True,
    )
    return json.decode(done.stdout, type=Found)
