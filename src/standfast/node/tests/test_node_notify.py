"""What the service manager hears, on a real socket of either kind."""

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from standfast.node.notify import STATUS_CHARACTERS_MAX, Notices, Notifier, wanted_notices


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """A service manager that listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        listener.setblocking(False)
        yield listener


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return (
        str(tmp_path / "n") if request.param == "path" else f"@standfast-test-{os.getpid()}-{tmp_path.name}"
    )


def test_daemon_says_that_it_is_ready_and_which_process_it_is(address: str) -> None:
    with manager(address) as listener, closing(Notifier(address)) as notifier:
        notifier.ready()
        assert listener.recv(1000) == f"READY=1\nMAINPID={os.getpid()}".encode()


def test_each_notice_has_its_line(address: str) -> None:
    with manager(address) as listener, closing(Notifier(address)) as notifier:
        notifier.alive()
        notifier.need_longer(15_000)
        notifier.stopping()
        said = [listener.recv(1000) for _ in range(3)]
        assert said == [b"WATCHDOG=1", b"EXTEND_TIMEOUT_USEC=15000000", b"STOPPING=1"]


def test_status_is_one_line_and_said_again_only_when_it_is_another(tmp_path: Path) -> None:
    with manager(str(tmp_path / "n")) as listener, closing(Notifier(str(tmp_path / "n"))) as notifier:
        notifier.status("waiting for quorum")
        notifier.status("waiting for quorum")
        notifier.status("synced\nREADY=1")
        notifier.status("x" * 10_000)
        assert listener.recv(1000) == b"STATUS=waiting for quorum"
        assert listener.recv(1000) == b"STATUS=synced READY=1"
        assert listener.recv(20_000) == b"STATUS=" + b"x" * STATUS_CHARACTERS_MAX


def test_without_a_service_manager_nothing_is_sent() -> None:
    with closing(Notifier("")) as notifier:
        notifier.ready()
        assert not notifier.is_heard


@pytest.mark.parametrize("address", ["/nonexistent/notify", "vsock:2:1234", f"/{'x' * 200}"])
def test_address_where_nobody_listens_is_said_once(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), closing(Notifier(address)) as notifier:
        notifier.ready()
        notifier.alive()
    assert [record.message for record in caplog.records] == ["notify.lost"]


def test_full_queue_of_the_service_manager_delays_a_notice_and_nothing_else(tmp_path: Path) -> None:
    async def talk(listener: socket.socket) -> list[bytes]:
        with closing(Notifier(str(tmp_path / "n"))) as notifier:
            for _ in range(5_000):
                notifier.alive()
            notifier.stopping()
            heard = [b""]
            while heard[-1] != b"STOPPING=1":
                heard.append(await asyncio.get_running_loop().sock_recv(listener, 1000))
            return heard

    with manager(str(tmp_path / "n")) as listener:
        assert len(asyncio.run(talk(listener))) < 5_000


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, Notices()),
        ({"WATCHDOG_USEC": "30000000"}, Notices()),
        ({"NOTIFY_SOCKET": "/n"}, Notices(address="/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "30000000"}, Notices(address="/n", alive_ms=30_000)),
        (
            {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"},
            Notices(address="/n", alive_ms=30_000),
        ),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, Notices(address="/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "0"}, Notices(address="/n")),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, Notices(address="/n")),
    ],
)
def test_what_the_service_manager_wants_is_read_from_the_environment(
    environ: dict[str, str], wanted: Notices
) -> None:
    assert wanted_notices(environ, 7) == wanted
