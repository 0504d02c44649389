"""standfast ports: how it is called, and what it says of a file that it cannot use."""

import io
from pathlib import Path

import pytest

from standfast.cli import ports, standfast

VALID = '<cluster name="c" config_version="1"><clusternodes><clusternode name="a" nodeid="1"/></clusternodes></cluster>\n'


def run_ports(*argv: str) -> tuple[int, str, str]:
    """Run `standfast ports` and return its exit status and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    return standfast.main(["ports", *argv], out, err), out.getvalue(), err.getvalue()


@pytest.fixture(name="valid")
def _valid(tmp_path: Path) -> str:
    file = tmp_path / "cluster.conf"
    file.write_text(VALID, encoding="utf-8")
    return str(file)


def test_ports_are_shown(valid: str) -> None:
    status, out, err = run_ports(valid)
    assert (status, err) == (0, "")
    assert out.splitlines()[1] == "5405/udp  every node  the other nodes  corosync, link 0"


def test_file_against_the_rules_is_told_with_its_line_and_exits_3(tmp_path: Path) -> None:
    file = tmp_path / "cluster.conf"
    file.write_text('<cluster name="c" config_version="1"/>\n', encoding="utf-8")
    assert run_ports(str(file)) == (3, "", f"{file}:1: error: no clusternodes [I13]\n")


def test_file_that_is_no_xml_exits_1(tmp_path: Path) -> None:
    file = tmp_path / "cluster.conf"
    file.write_text("<cluster", encoding="utf-8")
    assert run_ports(str(file))[:2] == (1, "")


def test_file_that_is_not_there_exits_255(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert run_ports(str(missing)) == (
        255,
        "",
        f"{missing}: No such file or directory; name a readable file\n",
    )


def test_without_a_name_this_nodes_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDFAST_PREFIX", str(tmp_path))
    assert f"{tmp_path}/etc/cluster/cluster.conf: No such file" in run_ports()[2]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("a", "b"), "standfast ports: name one file at a time"),
        (("--json", "--nftables"), "standfast ports: choose one of --nftables, --firewalld and --json"),
        (("--xml",), "standfast ports: option --xml not recognized"),
    ],
)
def test_wrong_usage_is_told_and_exits_255(argv: tuple[str, ...], words: str) -> None:
    assert run_ports(*argv) == (255, "", f"{words}\n{ports.USAGE}")


def test_help_is_printed() -> None:
    assert run_ports("--help") == (0, ports.USAGE, "")
