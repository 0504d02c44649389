"""The commands as programs: what they load, how fast they start, and pipes, disks, signals and terminals."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from standfast.cli.clustat import CLEAR_SCREEN
from standfast.cli.tests.daemon_double import STATUS, Reply, serving
from standfast.wire.control import (
    Acknowledged,
    AcknowledgeFencing,
    Call,
    Code,
    GetStatus,
    Operated,
    OperateService,
)

RUN_S_MAX = 60.0  # longest run of a command here
STARTS = 15  # of each program, for the ratio
RATIO_MAX = 4.0  # clustat against an empty program
UNWANTED = ("asyncio", "dataclasses", "logging", "lxml", "msgspec", "rich", "ssl", "typing")


@pytest.fixture
def prefix() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sf") as folder:
        yield Path(folder)


@pytest.fixture
def daemon(prefix: Path) -> Iterator[Callable[[Callable[[Call], Reply]], None]]:
    """Start a daemon for the prefix that answers as the test says."""
    with ExitStack() as stack:
        path = prefix / "run/standfast/control.sock"
        yield lambda reply: stack.enter_context(serving(path, reply))


def usual(call: Call) -> Reply:
    match call:
        case GetStatus():
            return [STATUS]
        case OperateService():
            return [Operated(code=Code.SUCCESS, owner="vapp1")]
        case _:
            return [Acknowledged()]


def program(module: str, *argv: str) -> list[str]:
    """The command as its entry point starts it."""
    code = f"import sys; from standfast.cli.{module} import run; sys.exit(run())"
    return [sys.executable, "-c", code, *argv]


def environment(prefix: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "STANDFAST_PREFIX": str(prefix), "TZ": "UTC", **more}


def run(prefix: Path, command: list[str], typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment(prefix),
        input=typed,
        capture_output=True,
        check=False,
        text=True,
        timeout=RUN_S_MAX,
    )


def start(prefix: Path, command: list[str], **streams: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, env=environment(prefix), text=True, **streams)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("module", "argv"),
    [
        ("clustat", ()),
        ("cman_tool", ("status",)),
        ("cman_tool", ("nodes", "-a", "-f")),
        ("cman_tool", ("services",)),
        ("cman_tool", ("version",)),
        ("cman_tool", ("wait", "-q")),
        ("cman_tool", ("kill", "-n", "vapp2")),
        ("cman_tool", ("expected", "-e", "1")),
    ],
)
def test_command_that_scripts_call_often_loads_little(
    prefix: Path,
    daemon: Callable[[Callable[[Call], Reply]], None],
    module: str,
    argv: tuple[str, ...],
) -> None:
    daemon(usual)
    code = (
        f"import sys; sys.argv[1:] = {list(argv)!r}; from standfast.cli.{module} import run; status = run();"
        f"print(sorted(set({UNWANTED!r}) & set(sys.modules)), status)"
    )
    ran = run(prefix, [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"])
    assert ran.stdout.endswith("[] 0\n"), ran


@pytest.mark.parametrize("command", [("clustat",), ("cman_tool", "status")])
def test_command_takes_less_than_four_times_an_empty_program(
    command: tuple[str, ...],
    prefix: Path,
    daemon: Callable[[Callable[[Call], Reply]], None],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    daemon(usual)
    settings = environment(prefix, PYTHONPYCACHEPREFIX=str(tmp_path))  # as installed: compiled once
    whole, bare = program(*command), [sys.executable, "-c", "pass"]
    took: dict[str, list[float]] = {"whole": [], "bare": []}
    for _ in range(STARTS):
        for name, words in (("whole", whole), ("bare", bare)):
            began = time.perf_counter()
            # No timeout: with one, the wait polls at 7.5, 15.5, 31.5 ms and so on, and measures itself.
            subprocess.run(words, env=settings, check=True, stdout=subprocess.DEVNULL)
            took[name].append(time.perf_counter() - began)
    ratio = min(took["whole"]) / min(took["bare"])
    record_property(f"{command[0]}_to_bare_python", round(ratio, 2))
    print(f"{command[0]} : python3 -c pass = {ratio:.2f}, {1000 * min(took['whole']):.1f} ms")
    assert ratio <= RATIO_MAX


def test_clustat_shows_what_the_daemon_says(
    prefix: Path, daemon: Callable[[Callable[[Call], Reply]], None]
) -> None:
    daemon(usual)
    ran = run(prefix, program("clustat", "-s", "VirtualHTTP"))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[2] == f" {'service:VirtualHTTP':<30} {'vapp1':<30} {'started':<14}"


@pytest.mark.parametrize(
    ("module", "argv", "code", "first"),
    [
        ("clustat", (), 1, "Could not connect to CMAN: No such file or directory"),
        ("clusvcadm", ("-e", "web"), 1, "Could not connect to cluster service"),
        ("fence_ack_manual", ("-O", "vapp2"), 1, "fence_ack_manual: "),
        ("standfast", ("status",), 1, "Could not connect to CMAN: No such file or directory"),
        ("standfast", ("history",), 1, "standfast history: "),
        ("standfast", ("leave",), 1, "standfast leave: "),
    ],
)
def test_command_without_a_daemon_says_what_to_do(
    prefix: Path, module: str, argv: tuple[str, ...], code: int, first: str
) -> None:
    ran = run(prefix, program(module, *argv))
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.startswith(first)
    assert ran.stderr.endswith("no daemon answers here; start this node with: standfast up\n")


def test_operation_is_carried_out(prefix: Path, daemon: Callable[[Callable[[Call], Reply]], None]) -> None:
    daemon(usual)
    ran = run(prefix, program("clusvcadm", "-e", "VirtualHTTP"))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == (
        "Local machine trying to enable service:VirtualHTTP...Success\n"
        "service:VirtualHTTP is now running on vapp1\n"
    )


def test_strange_answer_is_a_sentence(
    prefix: Path, daemon: Callable[[Callable[[Call], Reply]], None]
) -> None:
    daemon(lambda call: [Acknowledged()])
    ran = run(prefix, program("clusvcadm", "-e", "web"))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("clusvcadm: the daemon answered Acknowledged")


def test_consent_is_read_from_standard_input(
    prefix: Path, daemon: Callable[[Callable[[Call], Reply]], None]
) -> None:
    asked: list[Call] = []

    def reply(call: Call) -> Reply:
        asked.append(call)
        return usual(call)

    daemon(reply)
    ran = run(prefix, program("fence_ack_manual", "vapp2"), typed="absolutely\n")
    assert (ran.returncode, asked) == (0, [AcknowledgeFencing("vapp2")])


def test_nobody_consents_on_a_closed_standard_input(prefix: Path) -> None:
    ran = run(prefix, ["sh", "-c", 'exec "$@" <&-', "sh", *program("fence_ack_manual", "vapp2")])
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout.endswith("Aborted.\n")


@pytest.mark.parametrize("argv", [("clustat", "-h"), ("clusvcadm", "-h"), ("standfast", "--help")])
def test_reader_that_went_away_ends_the_command_silently(prefix: Path, argv: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start(prefix, program(*argv), stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, err = process.communicate(timeout=RUN_S_MAX)
    assert (process.returncode, err) == (141, "")


def test_full_disk_is_said(prefix: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = start(prefix, program("clustat", "-h"), stdout=full.fileno(), stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=RUN_S_MAX)
    assert (process.returncode, err) == (
        1,
        "clustat: standard output: No space left on device; what was printed is not complete\n",
    )


def test_closed_standard_output_is_no_error(
    prefix: Path, daemon: Callable[[Callable[[Call], Reply]], None]
) -> None:
    daemon(usual)
    ran = run(prefix, ["sh", "-c", 'exec "$@" >&-', "sh", *program("clustat", "-s", "VirtualHTTP")])
    assert (ran.returncode, ran.stderr) == (0, "")


def test_name_beyond_the_locale_is_escaped(
    prefix: Path, daemon: Callable[[Callable[[Call], Reply]], None]
) -> None:
    daemon(usual)
    ran = subprocess.run(
        program("clustat", "-s", "Ünïcode"),
        env=environment(prefix, PYTHONIOENCODING="ascii"),
        capture_output=True,
        check=False,
        text=True,
        timeout=RUN_S_MAX,
    )
    assert ran.returncode == 255
    assert ran.stderr.startswith('clustat: no service "service:\\xdcn\\xefcode"; there are: ')


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_refresh_ends_at_a_signal_after_one_more_round(
    prefix: Path, daemon: Callable[[Callable[[Call], Reply]], None], ending: signal.Signals
) -> None:
    daemon(usual)
    process = start(
        prefix,
        program("clustat", "-i", "3600", "-m", "vapp2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    first = [process.stdout.readline() for _ in range(3)]
    process.send_signal(ending)
    out, err = process.communicate(timeout=RUN_S_MAX)
    assert (process.returncode, out, err) == (0, "".join(first), "")


def test_interrupted_operation_goes_on(
    prefix: Path, daemon: Callable[[Callable[[Call], Reply]], None]
) -> None:
    asked, ended = threading.Event(), threading.Event()

    def reply(call: Call) -> Reply:
        if isinstance(call, OperateService):
            asked.set()
            ended.wait(RUN_S_MAX)
        return usual(call)

    daemon(reply)
    command = program("clusvcadm", "-e", "web")
    process = start(prefix, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert asked.wait(RUN_S_MAX)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=RUN_S_MAX)
    ended.set()
    assert (process.returncode, out) == (130, "Local machine trying to enable service:web...\n")
    assert err == "clusvcadm: the operation on service:web goes on; watch it with: clustat -s service:web\n"


def test_terminal_gives_the_width_and_is_cleared(
    prefix: Path, daemon: Callable[[Callable[[Call], Reply]], None]
) -> None:
    daemon(usual)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    process = start(
        prefix, program("clustat", "-i", "3600", "-s", "VirtualHTTP"), stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        seen = b""
        while seen.count(b"\n") < 3:
            seen += terminal.read(4096)
        process.terminate()
        process.communicate(timeout=RUN_S_MAX)
    assert seen.decode() == (
        CLEAR_SCREEN + " Service Na Owner (Las State         \r\n"
        " ------- -- ----- ---- -----         \r\n"
        " service:Vi vapp1      started       \r\n"
    )


def test_lab_is_another_program(prefix: Path) -> None:
    ran = run(prefix, program("standfast", "lab", "--help"))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("usage: standfast lab ")


def test_every_command_answers_help(prefix: Path) -> None:
    for module in ("clustat", "clusvcadm", "fence_ack_manual", "standfast"):
        assert run(prefix, program(module, "-h")).stdout.startswith("usage: ")
