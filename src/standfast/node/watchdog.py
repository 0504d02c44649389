"""The watchdog device: it resets the machine when nobody has petted it for its timeout.

Source: the kernel's Documentation/watchdog/watchdog-api.rst and linux/watchdog.h.
"""

import errno
import fcntl
import logging
import os
import struct
import time
from pathlib import Path
from typing import Protocol

from standfast.errors import RefusedError

DEFAULT_DEVICE = Path("/dev/watchdog")
WATCHDOG_VARIABLE = "STANDFAST_WATCHDOG"
AUTO, NONE = "auto", "none"
TIMEOUT_S = 30  # what the device is asked for; it may know only others
HANDOVER_S_MAX = 1.0  # longest wait for a daemon that was killed a moment ago to let go of the device
HANDOVER_LOOK_S = 0.01
TIMEOUT_S_MIN = 5  # with less, a busy machine would be reset for nothing

OPTION_MAGIC_CLOSE = 0x0100
OPTION_ALARM_ONLY = 0x0400
_INFO = struct.Struct("=II32s")  # struct watchdog_info: options, firmware version, identity
_INT = struct.Struct("=i")
_MAGIC = b"V"
_PET = b"\0"
_MISC_DEVICE = (10, 130)  # /dev/watchdog, which is another name of /dev/watchdog0

logger = logging.getLogger(__name__)


class Watchdog(Protocol):
    """A device that is armed. `timeout_ms` is how long after the last petting it resets the machine."""

    name: str
    timeout_ms: int

    def pet(self) -> None:
        """Put the reset off. Raises OSError."""
        ...

    def disarm(self) -> None:
        """Let the device go; it will not reset the machine."""
        ...

    def abandon(self) -> None:
        """Let the device go while it counts; it resets the machine unless somebody pets it in time."""
        ...


class DeviceWatchdog:
    """A character device of the kernel. It counts from when it is opened, for a handed-over one from anew."""

    def __init__(self, path: Path) -> None:
        """Open and arm the device. Raises RefusedError where that is impossible, or its timeout too short."""
        self.name = str(path)
        try:
            self._descriptor = _open(path)
        except OSError as failure:
            raise _unusable(path, failure.strerror or str(failure), _cure(failure)) from failure
        try:
            self.timeout_ms = self._set_timeout_s(TIMEOUT_S) * 1000
            if self.timeout_ms < TIMEOUT_S_MIN * 1000:
                text = f"its timeout is {self.timeout_ms // 1000} s and cannot be made longer"
                raise _unusable(path, text, f"at least {TIMEOUT_S_MIN} s are needed; use another device")
            self._tell_weakness(path)
        except OSError as failure:
            self.disarm()
            reason = failure.strerror or str(failure)
            raise _unusable(path, f"it is no watchdog: {reason}", "name one, or none") from failure
        except RefusedError:
            self.disarm()
            raise

    def pet(self) -> None:
        """Put the reset off. Raises OSError."""
        os.write(self._descriptor, _PET)

    def disarm(self) -> None:
        """Close the device so that it stops counting, where the kernel was not built or told to forbid that."""
        try:
            os.write(self._descriptor, _MAGIC)
        except OSError as failure:
            logger.warning("watchdog.not-disarmed", extra={"device": self.name, "reason": failure.strerror})
        os.close(self._descriptor)

    def abandon(self) -> None:
        """Close the device; it goes on counting."""
        os.close(self._descriptor)

    def _set_timeout_s(self, wanted_s: int) -> int:
        """Ask for a timeout and return the one that holds; the device may round it, or have only one."""
        try:
            fcntl.ioctl(self._descriptor, set_timeout_number(), _INT.pack(wanted_s))
        except OSError as failure:
            fields = {"device": self.name, "reason": failure.strerror}
            logger.info("watchdog.fixed-timeout", extra=fields)
        (timeout_s,) = _INT.unpack(fcntl.ioctl(self._descriptor, get_timeout_number(), bytes(_INT.size)))
        return int(timeout_s)

    def _tell_weakness(self, path: Path) -> None:
        """Say once what the device does other than it should."""
        answer = fcntl.ioctl(self._descriptor, get_support_number(), bytes(_INFO.size))
        options, _, identity = _INFO.unpack(answer)
        fields = {"device": self.name, "identity": identity.split(b"\0")[0].decode(errors="replace")}
        if options & OPTION_ALARM_ONLY:
            logger.warning("watchdog.alarm-only", extra={**fields, "text": "it does not reset the machine"})
        if not options & OPTION_MAGIC_CLOSE:
            text = "it stops when the daemon is killed, and so does not reset the machine then"
            logger.warning("watchdog.stops-on-close", extra={**fields, "text": text})
        if _cannot_be_disarmed(path):
            text = "it cannot be disarmed (nowayout): when the daemon has ended, the machine is reset"
            logger.warning("watchdog.no-way-out", extra={**fields, "text": text})


def chosen_device(option: str, configured: str) -> Path | None:
    """Return the device to use, None for none. `configured` is the machine's own setting, "" where it has none.

    A device that merely exists is not used: it may belong to another program, may be impossible to disarm, and from then on
    a daemon that is killed costs the machine. That is for an administrator to want.
    """
    name = (configured or NONE) if option == AUTO else option
    return None if name == NONE else Path(name)


def get_support_number() -> int:
    """WDIOC_GETSUPPORT: fills in a struct watchdog_info."""
    return _reading(0, _INFO.size)


def set_timeout_number() -> int:
    """WDIOC_SETTIMEOUT: takes the seconds, fills in those that hold."""
    return _reading(6, _INT.size) | _writing_bit()


def get_timeout_number() -> int:
    """WDIOC_GETTIMEOUT: fills in the seconds."""
    return _reading(7, _INT.size)


def _open(path: Path) -> int:
    """Open the device; one that a dying daemon still has is waited for."""
    deadline = time.monotonic() + HANDOVER_S_MAX
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as failure:
            if failure.errno != errno.EBUSY or time.monotonic() >= deadline:
                raise
        time.sleep(HANDOVER_LOOK_S)


def _has_old_numbers() -> bool:
    """Whether this machine's kernel packs ioctl numbers the older way (asm/ioctl.h)."""
    return os.uname().machine.startswith(("alpha", "mips", "ppc", "sparc"))


def _reading(number: int, size: int) -> int:
    direction = 2 << 29 if _has_old_numbers() else 2 << 30
    return direction | size << 16 | ord("W") << 8 | number


def _writing_bit() -> int:
    return 4 << 29 if _has_old_numbers() else 1 << 30


def _cannot_be_disarmed(path: Path) -> bool:
    """Whether the kernel says that nobody may stop this device; False where it does not say."""
    number = path.stat().st_rdev
    device = (os.major(number), os.minor(number))
    folder = "class/watchdog/watchdog0" if device == _MISC_DEVICE else f"dev/char/{device[0]}:{device[1]}"
    try:
        return Path("/sys", folder, "nowayout").read_text().strip() == "1"
    except OSError:
        return False


def _unusable(path: Path, text: str, cure: str) -> RefusedError:
    return RefusedError(f"{path}: {text}; {cure}", code="watchdog-unusable")


def _cure(failure: OSError) -> str:
    match failure:
        case FileNotFoundError():
            return "load its driver (softdog, where the machine has none), or start with --watchdog none"
        case PermissionError():
            return "start the daemon as root"
        case _ if failure.errno == errno.EBUSY:
            return (
                "another program has it: corosync's own watchdog, the watchdog daemon, or systemd's RuntimeWatchdogSec; "
                "take it from that one, or name another device"
            )
        case _:
            return "mend it, or start with --watchdog none"
