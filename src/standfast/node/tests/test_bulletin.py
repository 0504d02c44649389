"""What a node that was away is told of the nodes, and by whom it lets itself be told."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from standfast.conf.corosync import render_corosync_conf
from standfast.conf.model import Cluster, ClusterNode
from standfast.errors import RefusedError
from standfast.node.bulletin import ASK_BYTES_MAX, Bulletin, Teller, adopt, newest
from standfast.terms import NodeId

ADDRESS = "127.0.0.1"
KEY = bytes(range(256))


def conf(version: int, *nodes: int, fallback: bool = False) -> str:
    """The corosync.conf of a cluster of these nodes."""
    cluster = Cluster(
        name="c",
        config_version=version,
        nodes=tuple(ClusterNode(name=f"n{n}", nodeid=NodeId(n)) for n in nodes),
    )
    addresses = {NodeId(n): (f"10.0.0.{n}",) for n in nodes}
    return render_corosync_conf(cluster, addresses, keyfile="/k", allow_knet_handle_fallback=fallback)


@contextmanager
def telling(folder: Path, text: str, *, key: bytes = KEY) -> Iterator[int]:
    """A daemon that tells this corosync.conf; yields its port."""
    (folder / "corosync.conf").write_text(text)
    (folder / "its-key").write_bytes(key)
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port: int = probe.getsockname()[1]
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    teller = Teller(folder / "corosync.conf", folder / "its-key", "c")

    async def listen() -> None:
        await teller.listen(ADDRESS, port)
        ready.set()

    begun = loop.create_task(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    assert ready.wait(10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(teller.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        assert begun.done()
        loop.close()


@pytest.fixture(name="key")
def _key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    return path


def test_node_with_the_key_is_told(tmp_path: Path, key: Path) -> None:
    text = conf(7, 1, 2)
    with telling(tmp_path, text) as port:
        assert newest([("n1", ADDRESS)], port, "c", key) == Bulletin(teller="n1", version=7, text=text)


def test_newest_of_several_counts(tmp_path: Path, key: Path) -> None:
    with telling(tmp_path, conf(7, 1, 2)) as port:
        found = newest([("n1", ADDRESS), ("n2", ADDRESS), ("away", "127.9.9.9")], port, "c", key)
    assert found is not None
    assert (found.teller, found.version) == ("n2", 7)


def test_node_with_another_key_is_told_nothing(tmp_path: Path, key: Path) -> None:
    with telling(tmp_path, conf(7, 1, 2), key=bytes(256)) as port:
        assert newest([("n1", ADDRESS)], port, "c", key) is None


def test_node_of_another_cluster_is_told_nothing(tmp_path: Path, key: Path) -> None:
    with telling(tmp_path, conf(7, 1, 2)) as port:
        assert newest([("n1", ADDRESS)], port, "other", key) is None


def test_file_that_is_not_ours_is_not_taken(tmp_path: Path, key: Path) -> None:
    with telling(tmp_path, "totem {\n}\n") as port:
        assert newest([("n1", ADDRESS)], port, "c", key) is None


def test_nobody_there_is_nothing_told(key: Path) -> None:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        assert newest([("n1", ADDRESS)], probe.getsockname()[1], "c", key) is None


def test_who_answers_anything_else_is_not_believed(key: Path) -> None:
    with socket.create_server((ADDRESS, 0)) as server:

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(
                    b'{"v":1,"text":"# Written by Standfast from version 9 of cluster.conf","mac":"00"}\n'
                )

        thread = threading.Thread(target=answer)
        thread.start()
        assert newest([("n1", ADDRESS)], server.getsockname()[1], "c", key) is None
        thread.join()


def test_who_is_silent_is_waited_for_no_longer_than_the_limit(key: Path) -> None:
    with socket.create_server((ADDRESS, 0)) as server:
        assert newest([("n1", ADDRESS)], server.getsockname()[1], "c", key, limit_s=0.2) is None


@pytest.mark.parametrize("line", [b"hello\n", b"{}\n", b"x" * (4 * ASK_BYTES_MAX) + b"\n", b"\xff\n"])
def test_stranger_is_sent_away_without_an_answer(tmp_path: Path, line: bytes) -> None:
    with telling(tmp_path, conf(7, 1, 2)) as port, socket.create_connection((ADDRESS, port), 10) as stranger:
        stranger.sendall(line)
        with suppress(ConnectionResetError):
            assert stranger.recv(1) == b""


def test_told_file_is_taken_but_for_what_depends_on_the_machine() -> None:
    bulletin = Bulletin(teller="n1", version=7, text=conf(7, 1, 2, 3))
    assert adopt(bulletin, conf(5, 1, 2), 2, "n2") == conf(7, 1, 2, 3)
    assert adopt(bulletin, conf(5, 1, 2, fallback=True), 2, "n2") == conf(7, 1, 2, 3, fallback=True)
    bulletin = Bulletin(teller="n1", version=7, text=conf(7, 1, 2, 3, fallback=True))
    assert adopt(bulletin, conf(5, 1, 2), 2, "n2") == conf(7, 1, 2, 3)


@pytest.mark.parametrize(("nodeid", "name"), [(4, "n4"), (2, "n3"), (3, "other")])
def test_node_that_is_not_in_the_told_file_is_refused(nodeid: int, name: str) -> None:
    bulletin = Bulletin(teller="n1", version=7, text=conf(7, 1, 2, 3))
    with pytest.raises(
        RefusedError, match=r"is not in version 7 of cluster\.conf, by which n1 runs"
    ) as caught:
        adopt(bulletin, conf(5, 1, 2), nodeid, name)
    assert caught.value.code == "node-removed"
