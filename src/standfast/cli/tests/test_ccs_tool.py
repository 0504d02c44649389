"""What the sessions of tests/golden/ccs_tool do not show: root's secrets, real files, and what is loaded when."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.cli.ccs_tool import COMMANDS, main
from standfast.cli.ccs_usage import USAGE, usage_of
from standfast.cli.tests.config_daemon import MOODS, ConfigDaemon
from standfast.conf.load import load
from standfast.conf.model import Cluster
from standfast.wire.control import Acknowledged, Answer, Call, GetHistory
from standfast.wire.paths import paths_under

TEXT = (
    '<cluster name="c" config_version="1"><clusternodes><clusternode name="a" nodeid="1"/></clusternodes>'
    '<fencedevices><fencedevice name="d" agent="f" passwd="b0gus"/></fencedevices></cluster>\n'
)


def silent(call: Call) -> Answer:
    return Acknowledged(str(call))


def ccs_tool(prefix: Path, *argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main(argv, silent, out, err, paths_under(str(prefix)))
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    (tmp_path / "etc/cluster").mkdir(parents=True)
    (tmp_path / "etc/cluster/cluster.conf").write_text(TEXT, encoding="utf-8")
    return tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="for root only")
def test_root_may_see_the_secrets(prefix: Path) -> None:
    assert "passwd=b0gus" in ccs_tool(prefix, "lsfence", "-v", "--show-secrets")[1]
    assert (
        ccs_tool(prefix, "query", "--show-secrets", "/cluster/fencedevices/fencedevice/@passwd")[1]
        == "b0gus\n"
    )


def test_every_command_is_in_the_usage_and_has_its_own() -> None:
    assert [name for name in COMMANDS if f"    {name} " not in USAGE] == []
    assert [name for name in COMMANDS if not usage_of(name).startswith(f"usage: ccs_tool {name} ")] == []


def test_version_is_printed() -> None:
    status, out, err = ccs_tool(Path("/nowhere"), "-V")
    assert (status, out.startswith("ccs_tool "), err) == (0, True, "")


def test_unreadable_characters_are_refused_and_nothing_is_written(prefix: Path) -> None:
    status, _, err = ccs_tool(prefix, "addnode", "-C", "-n", "2", "b\udcff")
    assert (status, err) == (1, "ccs_tool: node name has a character that no cluster.conf can hold\n")
    assert (prefix / "etc/cluster/cluster.conf").read_text(encoding="utf-8") == TEXT


@given(
    st.lists(
        st.sampled_from(sorted(COMMANDS)) | st.sampled_from(["-n", "-1", "x=y", "-c", "-o", "-", "é", ""]),
        max_size=6,
    )
)
def test_any_command_line_ends_with_a_status(argv: list[str]) -> None:
    assert ccs_tool(Path("/nowhere"), *argv)[0] in {0, 1}


PROGRAM = "import sys; from standfast.cli.ccs_tool import run; status = run(); {after}; sys.exit(status)"


def run_program(prefix: Path, *argv: str, after: str = "pass") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(after=after), *argv],
        env={**os.environ, "STANDFAST_PREFIX": str(prefix)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_program_edits_the_file_below_the_prefix_of_its_environment(prefix: Path) -> None:
    assert run_program(prefix, "addnode", "-C", "b", "-n", "2").returncode == 0
    assert 'name="b"' in (prefix / "etc/cluster/cluster.conf").read_text(encoding="utf-8")


def test_program_says_that_no_daemon_answers(prefix: Path) -> None:
    done = run_program(prefix, "update", str(prefix / "etc/cluster/cluster.conf"))
    assert done.returncode == 1
    assert done.stderr.startswith(
        "Unable to connect to the CCS daemon: No such file or directory\nccs_tool: "
    )
    assert done.stderr.endswith("\n\nFailed to update config file.\n")


def test_help_loads_no_xml_parser(prefix: Path) -> None:
    done = run_program(
        prefix, "help", after="print(sorted({'lxml', 'asyncio', 'argparse'} & set(sys.modules)))"
    )
    assert done.stdout.endswith("\n[]\n")


def test_every_mood_of_the_tests_daemon_is_one_that_a_session_shows() -> None:
    sessions = "".join(
        path.read_text(encoding="utf-8")
        for path in (Path(__file__).resolve().parents[4] / "tests/golden/ccs_tool").glob("*.txt")
    )
    assert [mood for mood in MOODS if f"% daemon {mood}\n" not in sessions] == []


def test_tests_daemon_knows_only_the_configuration() -> None:
    cluster = load("f", TEXT.encode()).cluster
    assert isinstance(cluster, Cluster)
    assert getattr(ConfigDaemon(cluster)(GetHistory()), "code", "") == "not-known"
