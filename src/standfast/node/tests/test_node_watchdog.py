"""The watchdog device: the kernel's numbers, and what is said of something that is no device."""

import os
import re
import socket
import struct
from contextlib import closing
from pathlib import Path

import pytest

from standfast.errors import RefusedError
from standfast.node.watchdog import (
    OPTION_ALARM_ONLY,
    OPTION_MAGIC_CLOSE,
    DeviceWatchdog,
    chosen_device,
    get_support_number,
    get_timeout_number,
    set_timeout_number,
)

HEADER = Path("/usr/include/linux/watchdog.h")


def header() -> str:
    if not HEADER.exists():
        pytest.skip(f"{HEADER} is not there (package linux-libc-dev)")
    return HEADER.read_text()


def number_in_header(name: str) -> int:
    """Return the ioctl number that the kernel's header defines, put together as asm-generic/ioctl.h does."""
    found = re.search(rf"#define\s+{name}\s+(_IO\w+)\(WATCHDOG_IOCTL_BASE, (\d+), ([\w ]+)\)", header())
    assert found is not None
    directions = {"_IOR": 2, "_IOWR": 3}
    sizes = {"int": struct.calcsize("i"), "struct watchdog_info": struct.calcsize("II32B")}
    return directions[found[1]] << 30 | sizes[found[3]] << 16 | ord("W") << 8 | int(found[2])


def flag_in_header(name: str) -> int:
    found = re.search(rf"#define\s+{name}\s+(0x[0-9a-fA-F]+)", header())
    assert found is not None
    return int(found[1], 16)


def test_numbers_are_those_of_the_kernels_header() -> None:
    ours = (get_support_number(), set_timeout_number(), get_timeout_number())
    names = ("WDIOC_GETSUPPORT", "WDIOC_SETTIMEOUT", "WDIOC_GETTIMEOUT")
    assert ours == tuple(number_in_header(name) for name in names)
    assert ours == (0x80285700, 0xC0045706, 0x80045707)  # what others measured on the usual machines


def test_flags_are_those_of_the_kernels_header() -> None:
    ours = (OPTION_MAGIC_CLOSE, OPTION_ALARM_ONLY)
    assert ours == tuple(flag_in_header(name) for name in ("WDIOF_MAGICCLOSE", "WDIOF_ALARMONLY"))


@pytest.mark.parametrize(
    ("option", "configured", "device"),
    [
        ("auto", "", None),
        ("auto", "none", None),
        ("auto", "/dev/watchdog1", Path("/dev/watchdog1")),
        ("none", "/dev/watchdog1", None),
        ("/dev/watchdog", "none", Path("/dev/watchdog")),
    ],
)
def test_device_is_used_only_where_somebody_named_it(
    option: str, configured: str, device: Path | None
) -> None:
    assert chosen_device(option, configured) == device


def test_missing_device_is_named_with_what_to_do() -> None:
    with pytest.raises(
        RefusedError, match=r"/nonexistent/watchdog: No such file or directory; load its driver"
    ):
        DeviceWatchdog(Path("/nonexistent/watchdog"))


@pytest.mark.parametrize("name", ["/dev/null", "file"])
def test_something_else_than_a_watchdog_is_refused(name: str, tmp_path: Path) -> None:
    device = tmp_path / name
    device.touch()
    with pytest.raises(RefusedError, match="it is no watchdog: Inappropriate ioctl for device"):
        DeviceWatchdog(device)


def test_refused_device_is_not_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(RefusedError):
        DeviceWatchdog(Path("/dev/null"))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_socket_in_the_place_of_the_device_is_refused(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(tmp_path / "s"))
        with pytest.raises(RefusedError, match="No such device or address"):
            DeviceWatchdog(tmp_path / "s")
