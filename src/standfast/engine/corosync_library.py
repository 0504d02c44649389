"""corosync's C libraries, called from Python: process groups (CPG) and votes (votequorum).

Nothing is compiled: the libraries are loaded as they are. A call that can block while corosync hangs is marked so; the
daemon's event loop makes none of those. Source: cpg_overview(3), votequorum_overview(3), and the headers of corosync 3.1.
"""

import ctypes
from collections.abc import Callable
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    byref,
    c_char,
    c_int,
    c_size_t,
    c_uint,
    c_uint32,
    c_uint64,
    c_void_p,
)
from enum import IntEnum
from typing import Any

from msgspec import Struct

from standfast.errors import EngineError

OK = 1
ERR_LIBRARY = 2  # corosync is gone, or was never there
ERR_TRY_AGAIN = 6
ERR_ACCESS = 11
ERR_NOT_EXIST = 12
_DISPATCH_ALL = 2  # everything that is there, without waiting
_AGREED = 2
_TRACK = 0x01 | 0x02  # what is now, and every change
_INITIAL_RING = 0x01

_IS_MEMBER = 1  # a node's state
FLAG_QUORATE = 2
FLAG_LAST_MAN_STANDING = 8
FLAG_DEVICE = 64


class Reason(IntEnum):
    """Why a process came or went; source: cpg_join(3)."""

    JOIN = 1
    LEAVE = 2
    NODE_DOWN = 3
    NODE_UP = 4
    PROCESS_DOWN = 5


class Address(Struct, frozen=True):
    """One process of a group, and why it is named."""

    nodeid: int
    pid: int
    reason: int


class VoteCount(Struct, frozen=True, kw_only=True):
    """What votequorum knows, as this node sees it; votes as in corosync.conf or set since."""

    quorate: bool
    quorum: int
    total_votes: int
    expected_votes: int
    device_votes: int
    flags: int


class _Name(Structure):
    _fields_ = [("length", c_uint32), ("value", c_char * 128)]


class _Address(Structure):
    _fields_ = [("nodeid", c_uint32), ("pid", c_uint32), ("reason", c_uint32)]


class _RingId(Structure):
    _fields_ = [("nodeid", c_uint32), ("seq", c_uint64)]


class _IoVector(Structure):
    _fields_ = [("base", c_void_p), ("length", c_size_t)]


class _Info(Structure):
    _fields_ = [
        ("node_id", c_uint),
        ("node_state", c_uint),
        ("node_votes", c_uint),
        ("node_expected_votes", c_uint),
        ("highest_expected", c_uint),
        ("total_votes", c_uint),
        ("quorum", c_uint),
        ("flags", c_uint),
        ("qdevice_votes", c_uint),
        ("qdevice_name", c_char * 255),
    ]


class _VoteNode(Structure):
    _fields_ = [("nodeid", c_uint32), ("state", c_uint32)]


_Deliver = CFUNCTYPE(None, c_uint64, POINTER(_Name), c_uint32, c_uint32, c_void_p, c_size_t)
_Regroup = CFUNCTYPE(
    None,
    c_uint64,
    POINTER(_Name),
    POINTER(_Address),
    c_size_t,
    POINTER(_Address),
    c_size_t,
    POINTER(_Address),
    c_size_t,
)
_Ring = CFUNCTYPE(None, c_uint64, _RingId, c_uint32, POINTER(c_uint32))
_Quorate = CFUNCTYPE(None, c_uint64, c_uint64, c_uint32, c_uint32, POINTER(_VoteNode))
_Expected = CFUNCTYPE(None, c_uint64, c_uint64, c_uint32)
_Nodes = CFUNCTYPE(None, c_uint64, c_uint64, _RingId, c_uint32, POINTER(c_uint32))


class _CpgModel(Structure):
    _fields_ = [
        ("model", c_int),
        ("deliver", _Deliver),
        ("regroup", _Regroup),
        ("ring", _Ring),
        ("flags", c_uint),
    ]


class _VoteCallbacks(Structure):
    _fields_ = [("quorate", _Quorate), ("expected", _Expected), ("nodes", _Nodes)]


class CorosyncError(Exception):
    """A call failed with a number of corosync's (CS_ERR_...)."""

    def __init__(self, call: str, number: int) -> None:
        super().__init__(f"{call}: {error_text(number)}")
        self.number = number


def error_text(number: int) -> str:
    """Return corosync's word for an error number."""
    library = load_library("libcorosync_common.so.4")
    library.cs_strerror.restype = ctypes.c_char_p
    text = library.cs_strerror(c_int(number))
    return text.decode() if text else f"error {number}"


class Group:
    """One connection to corosync's process groups; callbacks are called from `dispatch` only."""

    def __init__(
        self,
        *,
        deliver: Callable[[int, int, bytes], None],
        regroup: Callable[[tuple[Address, ...], tuple[Address, ...], tuple[Address, ...]], None],
        ring: Callable[[int, tuple[int, ...]], None],
    ) -> None:
        """`deliver` gets node id, process id and message; `regroup` members, left, joined; `ring` its number and nodes.

        Can block. Raises CorosyncError, and EngineError when the library is missing.
        """
        self._library = load_library("libcpg.so.4")
        self._happened: list[Callable[[], None]] = []
        # The callbacks only note: an exception in one would be lost. They live as long as the handle.
        self._model = _CpgModel(
            1,
            _Deliver(
                lambda _h, _n, nodeid, pid, at, size: self._note(
                    deliver, nodeid, pid, ctypes.string_at(at, size)
                )
            ),
            _Regroup(
                lambda _h, _g, members, there, left, gone, joined, new: self._note(
                    regroup, _addresses(members, there), _addresses(left, gone), _addresses(joined, new)
                )
            ),
            _Ring(lambda _h, ring_id, count, nodes: self._note(ring, ring_id.seq, tuple(nodes[:count]))),
            _INITIAL_RING,
        )
        self._handle = c_uint64()
        check(
            "cpg_model_initialize",
            self._library.cpg_model_initialize(byref(self._handle), 1, byref(self._model), None),
        )

    def _note(self, call: Callable[..., None], *arguments: Any) -> None:
        self._happened.append(lambda: call(*arguments))

    def descriptor(self) -> int:
        """Return the descriptor that is readable when there is something to dispatch."""
        number = c_int()
        check("cpg_fd_get", self._library.cpg_fd_get(self._handle, byref(number)))
        return number.value

    def nodeid(self) -> int:
        """Return this node's id, as corosync has it. Can block."""
        number = c_uint32()
        check("cpg_local_get", self._library.cpg_local_get(self._handle, byref(number)))
        return number.value

    def join(self, name: str) -> None:
        """Become a member. Can block; raises CorosyncError with ERR_TRY_AGAIN while the ring changes."""
        check("cpg_join", self._library.cpg_join(self._handle, byref(_name(name))))

    def leave(self, name: str) -> None:
        """Say goodbye. Can block."""
        check("cpg_leave", self._library.cpg_leave(self._handle, byref(_name(name))))

    def cast(self, data: bytes) -> bool:
        """Send to all members; False: not now, try again later. Raises CorosyncError."""
        vector = _IoVector(ctypes.cast(ctypes.c_char_p(data), c_void_p), len(data))
        number = self._library.cpg_mcast_joined(self._handle, _AGREED, byref(vector), 1)
        if number == ERR_TRY_AGAIN:
            return False
        check("cpg_mcast_joined", number)
        return True

    def dispatch(self) -> None:
        """Make the callbacks for everything that is there. Raises CorosyncError when corosync is gone."""
        number = self._library.cpg_dispatch(self._handle, _DISPATCH_ALL)
        happened, self._happened = self._happened, []
        for act in happened:
            act()
        if number != ERR_TRY_AGAIN:
            check("cpg_dispatch", number)

    def close(self) -> None:
        """Break off; the others see that this process ended."""
        self._library.cpg_finalize(self._handle)


class Votes:
    """One connection to votequorum; every call can block, so that it belongs into a thread of its own."""

    def __init__(self, *, ring: Callable[[int], None], quorate: Callable[[], None]) -> None:
        """`ring` gets the number of the ring that the votes are counted in; `quorate` is called when they were counted.

        Raises CorosyncError.
        """
        self._library = load_library("libvotequorum.so.8")
        self._happened: list[Callable[[], None]] = []
        self._callbacks = _VoteCallbacks(
            _Quorate(lambda _h, _c, _q, _n, _nodes: self._happened.append(quorate)),
            _Expected(lambda _h, _c, _e: self._happened.append(quorate)),
            _Nodes(lambda _h, _c, ring_id, _n, _nodes: self._note_ring(ring, ring_id.seq)),
        )
        self._handle = c_uint64()
        check(
            "votequorum_initialize",
            self._library.votequorum_initialize(byref(self._handle), byref(self._callbacks)),
        )
        check("votequorum_trackstart", self._library.votequorum_trackstart(self._handle, c_uint64(0), _TRACK))

    def _note_ring(self, ring: Callable[[int], None], seq: int) -> None:
        self._happened.append(lambda: ring(seq))

    def descriptor(self) -> int:
        """Return the descriptor that is readable when there is something to dispatch."""
        number = c_int()
        check("votequorum_fd_get", self._library.votequorum_fd_get(self._handle, byref(number)))
        return number.value

    def dispatch(self) -> None:
        """Make the callbacks for everything that is there."""
        number = self._library.votequorum_dispatch(self._handle, _DISPATCH_ALL)
        happened, self._happened = self._happened, []
        for act in happened:
            act()
        if number != ERR_TRY_AGAIN:
            check("votequorum_dispatch", number)

    def count(self) -> VoteCount:
        """Return the votes as they are counted now."""
        info = self._info(0)
        return VoteCount(
            quorate=bool(info.flags & FLAG_QUORATE),
            quorum=info.quorum,
            total_votes=info.total_votes,
            expected_votes=info.highest_expected,
            device_votes=info.qdevice_votes,
            flags=info.flags,
        )

    def votes_of(self, nodeid: int) -> int | None:
        """Return a node's votes; None when corosync does not reach it."""
        try:
            info = self._info(nodeid)
            return int(info.node_votes) if info.node_state == _IS_MEMBER else None
        except CorosyncError as failure:
            if failure.number == ERR_NOT_EXIST:
                return None
            raise

    def expect(self, votes: int) -> None:
        """Set the expected votes of the whole cluster."""
        check("votequorum_setexpected", self._library.votequorum_setexpected(self._handle, c_uint(votes)))

    def set_votes(self, nodeid: int, votes: int) -> None:
        """Set a node's votes."""
        check(
            "votequorum_setvotes",
            self._library.votequorum_setvotes(self._handle, c_uint(nodeid), c_uint(votes)),
        )

    def close(self) -> None:
        """Break off."""
        self._library.votequorum_finalize(self._handle)

    def _info(self, nodeid: int) -> _Info:
        info = _Info()
        check(
            "votequorum_getinfo", self._library.votequorum_getinfo(self._handle, c_uint(nodeid), byref(info))
        )
        return info


def load_library(name: str) -> ctypes.CDLL:
    """Return a C library of corosync. Raises EngineError where it is missing."""
    try:
        return ctypes.CDLL(name)
    except OSError as failure:
        raise EngineError(
            f"{name}: {failure}; install corosync 3 on this node: apt-get install corosync",
            code="corosync-missing",
        ) from failure


def check(call: str, number: int) -> None:
    """Raise CorosyncError unless the call succeeded."""
    if number != OK:
        raise CorosyncError(call, number)


def _name(text: str) -> _Name:
    data = text.encode()
    return _Name(len(data), data)


def _addresses(found: Any, count: int) -> tuple[Address, ...]:
    return tuple(Address(a.nodeid, a.pid, a.reason) for a in found[:count]) if count else ()
