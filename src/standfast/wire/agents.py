"""The records between the daemon and its warm fork server, and how they travel.

The daemon makes a connected pair of Unix sockets of type SOCK_SEQPACKET, starts `python -m standfast.agents.server` with
one end as standard input (descriptor 0), and keeps the other. One packet is one record: a JSON object whose `type` names
the record, at most PACKET_BYTES_MAX bytes, no newline, no other framing.

- Daemon to server: `RunAgent` carries exactly three descriptors in one SCM_RIGHTS message, in this order: the agent's
  standard input, output and error. Python: `socket.send_fds(sock, [encode_request(run)], [stdin, stdout, stderr])`. The
  daemon may close its copies as soon as the packet is sent. `SignalAgent` carries none.
- Server to daemon: for each `RunAgent`, in this order, either `Refused` alone, or `Started` and later `Exited`. Answers
  to different runs interleave. `Exited` follows the exit of the agent itself; what the agent left running does not delay it
  and may still hold the descriptors, so the daemon must not wait for the end of the output.
- The daemon closes its end: the server ends and leaves running agents alone.
- The server ends by itself only when it cannot read a packet: the daemon reads b"". Running agents go on; a pidfd tells
  the daemon when they end, but not how.

The agent runs as leader of its own session and process group: `Started.pid` is the group's id, too. It has the given
environment and nothing else, `/` as its directory, umask 022, default signals (SIGPIPE stays ignored), and the three
descriptors only. A node whose files lie below a prefix gives it as STANDFAST_PREFIX: `ip` and `script` keep files there.
"""

from msgspec import Struct, json

SERVED_AGENTS = ("fence_lab", "fence_manual", "ip", "script", "service")  # what the server can run
PACKET_BYTES_MAX = 64 * 1024  # longest record; an environment must fit
DESCRIPTORS = 3  # of a RunAgent: standard input, output, error
RUNS_MAX = 512  # agents at the same time; more are refused


class RunAgent(Struct, frozen=True, kw_only=True, tag=True):
    """Run one of SERVED_AGENTS. `id` is the daemon's own, not that of a run that has not ended yet.

    `operation` is a resource agent's only argument. For a fence agent it is "", which makes it read `key=value` lines
    from its standard input, or an action that needs no other option, such as metadata.

    `pid_file`, where given, is an absolute path: before the agent begins, its process writes `PID START\\n` there
    (START as in field 22 of /proc/PID/stat, so that another process with the same pid is not taken for it), and the
    server removes the file when the agent has ended. A daemon that starts anew thus finds what a killed one left.
    """

    id: int
    agent: str
    operation: str
    environment: tuple[tuple[str, str], ...] = ()
    pid_file: str = ""


class SignalAgent(Struct, frozen=True, tag=True):
    """Send a signal to the process group of a run; nothing happens when its agent has ended.

    Safer than killpg in the daemon: the server knows which pids it has not reaped yet.
    """

    id: int
    signal: int


Request = RunAgent | SignalAgent


class Started(Struct, frozen=True, tag=True):
    """The agent of run `id` runs as process `pid`."""

    id: int
    pid: int


class Exited(Struct, frozen=True, kw_only=True, tag=True):
    """The agent of run `id` ended: with exit code `status`, or by `signal`; the other one is None."""

    id: int
    status: int | None = None
    signal: int | None = None


class Refused(Struct, frozen=True, tag=True):
    """Run `id` did not begin; `text` says why and what to do."""

    id: int
    text: str


Answer = Started | Exited | Refused


def encode_request(request: Request) -> bytes:
    """Return the packet for a request; more than PACKET_BYTES_MAX bytes will be refused."""
    return json.encode(request)


def encode_answer(answer: Answer) -> bytes:
    """Return the packet for an answer."""
    return json.encode(answer)


def decode_request(packet: bytes) -> Request:
    """Read a daemon's packet; raises msgspec.ValidationError or msgspec.DecodeError on anything else."""
    request: Request = json.decode(packet, type=Request)
    return request


def decode_answer(packet: bytes) -> Answer:
    """Read a server's packet; raises msgspec.ValidationError or msgspec.DecodeError on anything else."""
    answer: Answer = json.decode(packet, type=Answer)
    return answer
