"""systemd, where it rules this machine: starting and stopping units. Source: systemctl(1), sd_booted(3)."""

import shutil
import subprocess
from pathlib import Path

from standfast.errors import EngineError
from standfast.node.corosync_process import SBIN

BOOTED = Path("/run/systemd/system")  # there where systemd is the machine's first process
START_S_MAX = 180.0  # longest wait for systemctl, which has limits of its own
DAEMON_UNIT = "standfastd.service"
COROSYNC_UNIT = "corosync.service"
DEVICE_UNIT = "corosync-qdevice.service"


class Systemd:
    """Starts and stops units."""

    def __init__(self, program: str) -> None:
        self._program = program

    def knows(self, unit: str) -> bool:
        """Whether the unit is installed."""
        return self._run("cat", unit).returncode == 0

    def start(self, unit: str) -> None:
        """Start the unit and wait until it is ready. Raises EngineError with what systemctl says."""
        self._change("start", unit)

    def stop(self, *units: str) -> None:
        """Stop the units that are installed, and wait until they have ended. Raises EngineError."""
        known = [unit for unit in units if self.knows(unit)]
        if known:
            self._change("stop", *known)

    def _change(self, word: str, *units: str) -> None:
        try:
            result = self._run(word, *units)
        except subprocess.TimeoutExpired as failure:
            raise EngineError(
                f"systemctl {word} {' '.join(units)} did not end within {START_S_MAX:.0f} s; see: "
                f"systemctl list-jobs, journalctl -u {units[0]}",
                code="unit-failed",
            ) from failure
        if result.returncode != 0:
            said = " ".join(result.stderr.split()) or f"it ended with {result.returncode}"
            raise EngineError(
                f"systemctl {word} {' '.join(units)} failed: {said}; see: journalctl -u {units[0]} -n 20",
                code="unit-failed",
            )

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=START_S_MAX,
        )


def service_manager() -> Systemd | None:
    """Return systemd, None on a machine that it does not rule."""
    program = shutil.which("systemctl", path=SBIN)
    return Systemd(program) if program is not None and BOOTED.is_dir() else None
