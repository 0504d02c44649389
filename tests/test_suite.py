"""The test suite's own promises: the tests that start daemons run one after the other, and no gap goes unseen."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN_S_MAX = 60  # longest run of the few tests below


def run_pytest(
    folder: Path, source: str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `source` as the only test module, under this checkout's conftest.py and settings."""
    folder.joinpath("test_of_the_suite.py").write_text(source, encoding="utf-8")
    folder.joinpath("conftest.py").write_text(
        (ROOT / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            f"--rootdir={folder}",
            "-c",
            ROOT / "pyproject.toml",
            *arguments,
            folder,
        ],
        capture_output=True,
        check=False,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        text=True,
        timeout=RUN_S_MAX,
    )


LAB_TESTS = """
import pytest

@pytest.mark.lab
@pytest.mark.parametrize("n", range(8))
def test_lab(n):
    pass
"""

SKIPPED = """
import pytest

def test_that_runs():
    pass

def test_that_is_skipped():
    pytest.skip("for want of a program")
"""


def test_lab_tests_run_in_one_process(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, LAB_TESTS, "-n", "2", "--dist", "loadgroup")
    assert len(re.findall(r"PASSED", run.stdout)) == 8, run.stdout
    assert len(set(re.findall(r"\[(gw\d)\]", run.stdout))) == 1, run.stdout


def test_skipped_test_fails_the_run_where_all_must_run(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SKIPPED, STANDFAST_REQUIRE_ALL="1")
    assert (run.returncode, "1 skipped, and none may be" in run.stdout) == (1, True), run.stdout


def test_skipped_test_does_not_fail_an_ordinary_run(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, SKIPPED).returncode == 0
