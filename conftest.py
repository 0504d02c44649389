"""How the test suite runs: on loaded machines, side by side, without silent gaps where that is asked for."""

import os
import signal

import pytest
from hypothesis import settings

if os.environ.get("CI") != "true":  # hypothesis has a profile of its own for CI
    settings.register_profile("standfast", deadline=None)
    settings.load_profile("standfast")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Whoever started us in the background had ^C ignored, and every program that a test interrupts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def must_run_all() -> bool:
    """Whether a skipped test fails the run; `./run test` asks for it under CI=true."""
    return os.environ.get("STANDFAST_REQUIRE_ALL") == "1"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that start daemons together: one after the other, however many processes run the suite.

    Those on corosync are two rows of their own, as long as the other; they wait for its token most of the time.
    """
    for item in items:
        if item.get_closest_marker("lab"):
            row = "corosync" if "corosync" in item.nodeid else "lab"
            if row == "corosync" and ("storm" in item.nodeid or "contract" in item.nodeid):
                row = "storms"
            item.add_marker(pytest.mark.xdist_group(row))


def _count_skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", ())) if reporter and must_run_all() else 0


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run where a test was skipped and none may be."""
    if _count_skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why the run failed although no test did."""
    if skipped := _count_skipped(config):
        terminalreporter.write_line(f"STANDFAST_REQUIRE_ALL=1: {skipped} skipped, and none may be", red=True)
