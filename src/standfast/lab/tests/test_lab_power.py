"""The power controller on its socket, with outlets that a test holds in its hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from standfast.errors import StandfastError
from standfast.lab.power import Outlet, PowerController

WITHIN_S = 10
UNDEAD = "vapp2: not dead within 10 s after SIGKILL"


class Plug:
    """One outlet; switching it off takes until `may_finish` is set, or fails."""

    def __init__(self, failure: str = "") -> None:
        self.failure = failure
        self.on = True
        self.asked = asyncio.Event()
        self.may_finish = asyncio.Event()
        self.may_finish.set()

    async def switch_off(self) -> None:
        self.asked.set()
        await self.may_finish.wait()
        if self.failure:
            raise StandfastError(self.failure, code="lab-undead")
        self.on = False

    async def switch_on(self) -> None:
        self.on = True

    def outlet(self) -> Outlet:
        return Outlet(switch_off=self.switch_off, switch_on=self.switch_on, is_on=lambda: self.on)


@asynccontextmanager
async def controller(path: Path, plugs: dict[str, Plug]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        outlets = {name: plug.outlet() for name, plug in plugs.items()}
        serving = tasks.create_task(PowerController(outlets, lambda _text: None).serve(path))
        async with asyncio.timeout(WITHIN_S):
            while not path.exists():
                await asyncio.sleep(0)
            yield
        serving.cancel()


async def ask(path: Path, line: str) -> str:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(f"{line}\n".encode())
    answer = await reader.readline()
    writer.close()
    return answer.decode().rstrip("\n")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("status vapp1", "ok on"),
        ("off vapp1", "ok off"),
        ("on vapp1", "ok on"),
        ("reboot vapp1", "ok on"),
        ("list", "ok vapp1,vapp2"),
        ("off vapp2", f"error {UNDEAD}"),
        ("off vapp9", 'error there is no node "vapp9"; there are vapp1, vapp2'),
        ("explode vapp1", "error not understood; ask off, on, reboot or status and a node, or list"),
        ("off", "error not understood; ask off, on, reboot or status and a node, or list"),
        ("", "error not understood; ask off, on, reboot or status and a node, or list"),
    ],
)
def test_each_request_gets_one_line(tmp_path: Path, line: str, answer: str) -> None:
    async def talk() -> str:
        async with controller(tmp_path / "p", {"vapp1": Plug(), "vapp2": Plug(UNDEAD)}):
            return await ask(tmp_path / "p", line)

    assert asyncio.run(talk()) == answer


def test_a_request_whose_client_died_before_its_turn_is_dropped(tmp_path: Path) -> None:
    async def race() -> tuple[str, bool]:
        vapp1, vapp2 = Plug(), Plug()
        vapp1.may_finish.clear()
        async with controller(tmp_path / "p", {"vapp1": vapp1, "vapp2": vapp2}), asyncio.TaskGroup() as tasks:
            first = tasks.create_task(ask(tmp_path / "p", "off vapp1"))
            await vapp1.asked.wait()
            _, of_vapp1 = await asyncio.open_unix_connection(tmp_path / "p")
            of_vapp1.write(b"off vapp2\n")
            await of_vapp1.drain()
            of_vapp1.transport.abort()
            vapp1.may_finish.set()
            await first
            return await ask(tmp_path / "p", "status vapp2"), vapp2.asked.is_set()

    assert asyncio.run(race()) == ("ok on", False)


def test_requests_are_served_one_at_a_time(tmp_path: Path) -> None:
    async def race() -> tuple[bool, str, str]:
        vapp1, vapp2 = Plug(), Plug()
        vapp1.may_finish.clear()
        async with controller(tmp_path / "p", {"vapp1": vapp1, "vapp2": vapp2}), asyncio.TaskGroup() as tasks:
            first = tasks.create_task(ask(tmp_path / "p", "off vapp1"))
            await vapp1.asked.wait()
            second = tasks.create_task(ask(tmp_path / "p", "off vapp2"))
            for _ in range(100):
                await asyncio.sleep(0)
            early = vapp2.asked.is_set()
            vapp1.may_finish.set()
            return early, await first, await second

    assert asyncio.run(race()) == (False, "ok off", "ok off")


def test_an_endless_line_is_hung_up_on(tmp_path: Path) -> None:
    async def talk() -> bytes:
        async with controller(tmp_path / "p", {"vapp1": Plug()}):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "p")
            writer.write(b"x" * 100_000)
            try:
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.close()

    assert asyncio.run(talk()) == b""
