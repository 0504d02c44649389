"""Who is at the other end of a Unix socket, by the kernel's word, and what they may ask for.

Source: design section 8.
"""

import grp
import os
import socket
from struct import Struct as Layout

from msgspec import Struct

GROUP = "standfast"

_CREDENTIALS = Layout("3i")  # pid, uid, gid
_SO_PEERGROUPS = 59  # Linux 4.13; Python has no name for it
_GROUPS_BYTES_MAX = 1024  # the most that Python asks for; a user with more groups counts by the first one


class Peer(Struct, frozen=True, kw_only=True):
    """The user that opened a connection, with all groups."""

    uid: int
    gids: frozenset[int]


def peer_of(connection: socket.socket) -> Peer:
    """Return who opened the connection. Raises OSError."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(raw)
    try:
        more = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES_MAX)
    except OSError:
        more = b""
    gids = Layout(f"{len(more) // 4}I").unpack(more)
    return Peer(uid=uid, gids=frozenset((gid, *gids)))


def operators_gid() -> int | None:
    """Return the id of the operators' group, None where the machine has none."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


def may_act(peer: Peer, gid: int | None) -> bool:
    """Whether the peer may do more than look: root, the daemon's own user, and the operators' group `gid` may."""
    return peer.uid in (0, os.getuid()) or (gid is not None and gid in peer.gids)
