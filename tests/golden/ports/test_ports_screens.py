"""standfast ports: its table and its rules, byte for byte, and the real nft takes them. REWRITE=1 renews the files."""

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.golden.transcript import difference, transcript

from standfast.cli.ports import main

HERE = Path(__file__).parent
EXAMPLES = {
    "three-nodes-two-networks": HERE.parent / "conf/E3.xml",
    "quorum-device": HERE.parent / "corosync/net-ffsplit.xml",
    "one-port-for-two-links": HERE.parent / "corosync/old-habits.xml",
}
FORMS = ("table", "nftables", "firewalld", "json")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
UNSHARE = ("unshare", "--user", "--map-root-user", "--net")
RUN_S_MAX = 30  # longest run of nft

DEBIAN_RULES = """\
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        counter drop
    }
}
"""
"""A firewall that lets nothing in, of the form that Debian's /etc/nftables.conf has."""


def ports(example: Path, form: str) -> tuple[int, str, str]:
    """Run the command; return its exit status and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    option = [] if form == "table" else [f"--{form}"]
    return main([*option, str(example)], out, err), out.getvalue(), err.getvalue()


def run_nft(rules: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Load the rules in a network namespace of our own, check `more` there, and print what is then in force."""
    command = 'nft -f "$1" && shift && for file; do nft -c -f "$file" && nft -f "$file" || exit; done && nft list ruleset'
    return subprocess.run(
        [*UNSHARE, "sh", "-c", command, "sh", str(rules), *more],
        capture_output=True,
        check=False,
        env={"PATH": PATH},
        text=True,
        timeout=RUN_S_MAX,
    )


@pytest.fixture(name="empty")
def _empty(tmp_path: Path) -> Path:
    """A file without rules; skips the test where nft is not there or may not work."""
    if not shutil.which("nft", path=PATH):
        pytest.skip("there is no nft")
    rules = tmp_path / "empty.nft"
    rules.write_text("", encoding="utf-8")
    probe = run_nft(rules)
    if probe.returncode:
        pytest.skip(f"network namespaces are forbidden here: {probe.stderr.strip()}")
    return rules


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("form", FORMS)
def test_screen_is_as_before(name: str, form: str) -> None:
    status, out, err = ports(EXAMPLES[name], form)
    option = [] if form == "table" else [f"--{form}"]
    seen = transcript(
        name.replace("-", " "), ["standfast", "ports", *option, "FILE"], out=out, err=err, status=status
    )
    assert difference(HERE / f"{name}-{form}.txt", seen) == ""


def test_every_golden_file_is_used() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == {
        f"{name}-{form}" for name in EXAMPLES for form in FORMS
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_real_nft_takes_the_rules_on_a_machine_without_a_firewall(
    name: str, empty: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "ports.nft"
    rules.write_text(ports(EXAMPLES[name], "nftables")[1], encoding="utf-8")
    loaded = run_nft(empty, str(rules))
    assert (loaded.returncode, loaded.stdout.count(" accept comment ")) == (
        0,
        rules.read_text(encoding="utf-8").count("insert rule"),
    ), loaded.stderr


def test_rules_come_before_those_that_drop(empty: Path, tmp_path: Path) -> None:
    firewall, rules = tmp_path / "firewall.nft", tmp_path / "ports.nft"
    firewall.write_text(DEBIAN_RULES, encoding="utf-8")
    rules.write_text(ports(EXAMPLES["three-nodes-two-networks"], "nftables")[1], encoding="utf-8")
    loaded = run_nft(firewall, str(rules))
    assert loaded.returncode == 0, loaded.stderr
    words = [line.strip() for line in loaded.stdout.splitlines()]
    assert "type filter hook input priority filter; policy drop;" in words
    drop = next(number for number, line in enumerate(words) if line.endswith(" drop"))
    accepted = {line for line in words[:drop] if " accept " in line}
    assert accepted == {
        'udp dport 6809 accept comment "corosync, link 0"',
        'udp dport 6815 accept comment "corosync, link 1"',
        'tcp dport 6809 accept comment "standfastd, asked by a node that was away"',
    }
