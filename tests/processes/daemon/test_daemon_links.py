"""A link that goes down under a service's address is noticed at once, not at the next check."""

import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.lab

NAMESPACE = ("unshare", "--user", "--map-root-user", "--net")

WATCH = """
import asyncio, subprocess
from standfast.node.linkwatch import LinkWatch

async def main():
    changed = asyncio.Event()
    watch = LinkWatch(changed.set)
    watch.start()
    async with asyncio.timeout(10):
        for state in ("up", "down"):
            subprocess.run(["ip", "link", "set", "lo", state], check=True)
            await changed.wait()
            changed.clear()
            print(state)
    watch.close()

asyncio.run(main())
"""


def test_every_change_of_a_link_is_told() -> None:
    if shutil.which("ip") is None or subprocess.run([*NAMESPACE, "true"], check=False).returncode:
        pytest.skip("no network namespace can be made here")
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", WATCH], capture_output=True, check=True, text=True, timeout=30
    )
    assert done.stdout == "up\ndown\n"
