"""The unit file: systemd understands it, it knows the daemon's exit statuses, and it is installed where systemd looks."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from standfast.node.exits import ExitStatus

ROOT = Path(__file__).resolve().parents[1]
UNIT = ROOT / "systemd/standfastd.service"
DROP_IN = ROOT / "systemd/corosync.service.d/standfast.conf"
ENGINE_UNIT = "[Service]\nExecStart=/bin/true\n"  # stands for corosync's, which need not be installed here


def settings(section: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT.read_text())
    return parser[section]


def verify(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Let systemd judge a unit; the program's own folder stands for those where systemd looks for programs."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there (package systemd)")
    program = Path(sys.executable).parent / "standfastd"
    unit = folder / UNIT.name
    unit.write_text(text.replace("ExecStart=standfastd", f"ExecStart={program}"))
    (folder / "corosync.service").write_text(ENGINE_UNIT)
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{folder}:"},
        text=True,
        timeout=60,
    )


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    done = verify(tmp_path, UNIT.read_text())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_would_have_found_a_misspelt_setting(tmp_path: Path) -> None:
    done = verify(tmp_path, UNIT.read_text().replace("KillMode=", "KilMode="))
    assert "'KilMode'" in done.stderr


def test_systemd_finds_nothing_wrong_with_what_corosync_does_first(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not there (package systemd)")
    unit = tmp_path / "corosync.service"
    unit.write_text(ENGINE_UNIT)
    (tmp_path / "corosync.service.d").mkdir()
    shutil.copy2(DROP_IN, tmp_path / "corosync.service.d")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_daemon_comes_back_after_a_crash_and_not_where_somebody_must_look_first() -> None:
    service = settings("Service")
    prevented = {int(status) for status in service["RestartPreventExitStatus"].split()}
    assert service["Restart"] == "on-failure"
    assert prevented == set(ExitStatus) - {ExitStatus.IN_ORDER, ExitStatus.LOST}


def test_agents_and_services_are_left_alone_when_the_daemon_ends() -> None:
    service = settings("Service")
    assert [service[name] for name in ("KillMode", "OOMPolicy", "SendSIGKILL")] == [
        "process",
        "continue",
        "no",
    ]


def test_death_of_corosync_is_handled_by_the_daemon_alone() -> None:
    unit = settings("Unit")
    assert "corosync.service" in unit["After"].split()
    assert unit["Requires"] == "corosync.service"
    assert "BindsTo" not in unit


def test_unit_is_installed_where_systemd_looks(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        capture_output=True,
        check=True,
        cwd=ROOT,
        timeout=60,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".service")]
        assert name.partition("/")[2] == "data/lib/systemd/system/standfastd.service"
        assert archive.read(name) == UNIT.read_bytes()
        (name,) = [name for name in archive.namelist() if name.endswith("/standfast.conf")]
        assert name.partition("/")[2] == "data/lib/systemd/system/corosync.service.d/standfast.conf"
        assert archive.read(name) == DROP_IN.read_bytes()
