"""Sessions with ccs_tool as text: each *.txt is replayed, and what is printed must be what it says. REWRITE=1 renews them.

A session is lines: `# words`; `% daemon MOOD` (tests of cli: config_daemon.py; it runs the file as it is then);
`% file NAME` with `| line`s below it; `$ command`, then its standard output, its standard error after `! `, its
status after `? `. Commands are ccs_tool, cat and ls.
"""

import io
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standfast.cli.ccs_tool import main
from standfast.cli.tests.config_daemon import ConfigDaemon
from standfast.conf.load import load
from standfast.conf.model import Cluster
from standfast.wire.control import Answer, Call
from standfast.wire.paths import paths_under

HERE = Path(__file__).parent
NOWHERE = ConfigDaemon(Cluster(name="none", config_version=1, nodes=()), "absent")


class Session:
    """One machine with its files and its daemon."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.paths = paths_under(str(prefix))
        self.ask: Callable[[Call], Answer] = NOWHERE
        Path(self.paths.cluster_conf).parent.mkdir(parents=True)

    def replay(self, lines: list[str]) -> Iterator[str]:
        """Yield the session's lines with what is really printed."""
        for number, line in enumerate(lines):
            if line.startswith(("# ", "% ", "| ", "$ ")):
                yield line
            if line.startswith("% daemon "):
                self.start_daemon(line.removeprefix("% daemon "))
            elif line.startswith("% file "):
                below = lines[number + 1 :]
                end = next((at for at, row in enumerate(below) if not row.startswith("| ")), len(below))
                text = "".join(row[2:] + "\n" for row in below[:end])
                (self.prefix / line.removeprefix("% file ").lstrip("/")).write_text(text, encoding="utf-8")
            elif line.startswith("$ "):
                yield from self.command(shlex.split(line[2:]))

    def start_daemon(self, mood: str) -> None:
        loaded = load("cluster.conf", Path(self.paths.cluster_conf).read_bytes())
        assert loaded.cluster, loaded.lines
        self.ask = ConfigDaemon(loaded.cluster, mood)

    def command(self, words: list[str]) -> Iterator[str]:
        out, err = io.StringIO(), io.StringIO()
        status = self.run(words, out, err)
        yield from out.getvalue().splitlines()
        yield from (
            f"! {line}".rstrip() for line in err.getvalue().replace(str(self.prefix), "").splitlines()
        )
        yield f"? {status}"

    def run(self, words: list[str], out: io.StringIO, err: io.StringIO) -> int:
        here = [str(self.prefix) + word if word.startswith("/etc") else word for word in words[1:]]
        match words[0]:
            case "ccs_tool":
                return main(here, self.ask, out, err, self.paths)
            case "cat":
                out.write(Path(here[0]).read_text(encoding="utf-8"))
            case "ls":
                out.writelines(f"{name}\n" for name in sorted(path.name for path in Path(here[0]).iterdir()))
            case _:
                raise AssertionError(f"no such command in a session: {words[0]}")
        return 0


@pytest.mark.parametrize("session", sorted(HERE.glob("*.txt")), ids=lambda path: path.stem)
def test_session_goes_as_written(session: Path, tmp_path: Path) -> None:
    written = session.read_text(encoding="utf-8")
    seen = "".join(f"{line}\n" for line in Session(tmp_path).replay(written.splitlines()))
    if os.environ.get("REWRITE") == "1":
        session.write_text(seen, encoding="utf-8")
    assert seen == session.read_text(encoding="utf-8")


def test_founding_document_ends_with_its_own_file() -> None:
    shown = (
        (HERE / "founding.txt").read_text(encoding="utf-8").partition("$ cat /etc/cluster/cluster.conf\n")[2]
    )
    expected = (HERE.parent / "conf/E2.xml").read_text(encoding="utf-8")
    assert shown.startswith(expected + "? 0\n")
