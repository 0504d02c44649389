"""What a client and the lab's supervisor say to each other: one JSON record a message, with descriptors beside Execute."""

from enum import StrEnum

from msgspec import Struct, json

MESSAGE_BYTES_MAX = 192 * 1024  # longest message either way; a longer command line is refused


class PowerState(StrEnum):
    """What a machine's power light would show."""

    ON = "on"
    OFF = "off"
    FROZEN = "frozen"


class DaemonAction(StrEnum):
    """What can be done to a node's daemon alone, its machine staying on."""

    START = "start"
    STOP = "stop"  # SIGTERM
    KILL = "kill"  # SIGKILL


class GetStatus(Struct, frozen=True, tag="status"):
    """Ask for the state of the whole lab."""


class Execute(Struct, frozen=True, tag="execute", kw_only=True):
    """Run a command on a machine.

    Beside it travel four descriptors: standard input, output and error, and a socket on which the machine reports. With
    `terminal` the three are a pseudo-terminal that becomes the command's controlling terminal.
    """

    machine: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    directory: str
    terminal: bool


class Kill(Struct, frozen=True, tag="kill"):
    """Pull the plug of a node."""

    node: str


class Freeze(Struct, frozen=True, tag="freeze"):
    """Stop every process of a node where it stands."""

    node: str


class Thaw(Struct, frozen=True, tag="thaw"):
    """Let a frozen node go on."""

    node: str


class PowerOn(Struct, frozen=True, tag="power-on"):
    """Switch a node on and wait until it has booted."""

    node: str


class OperateDaemon(Struct, frozen=True, tag="daemon"):
    """Start or end a node's daemon; answered when it is done."""

    node: str
    action: DaemonAction


class Cut(Struct, frozen=True, tag="cut"):
    """Break the link between two machines."""

    one: str
    other: str


class Heal(Struct, frozen=True, tag="heal"):
    """Mend all links."""


class GetAddresses(Struct, frozen=True, tag="addresses"):
    """Ask which addresses came, went and died with their node since the lab was started."""


class Down(Struct, frozen=True, tag="down"):
    """Remove the lab."""


Call = GetStatus | Execute | Kill | Freeze | Thaw | PowerOn | OperateDaemon | Cut | Heal | GetAddresses | Down


class Done(Struct, frozen=True, tag="done"):
    """A plain yes."""


class Refused(Struct, frozen=True, tag="refused"):
    """No, and why, for a person; `code` as in docs/errors.md."""

    text: str
    code: str


class MachineStatus(Struct, frozen=True, kw_only=True):
    """One machine as it stands; `daemon_pid` is its number on the machine itself, None while no daemon runs."""

    name: str
    nodeid: int | None
    power: PowerState
    daemon_pid: int | None
    addresses: tuple[str, ...]


class LabStatus(Struct, frozen=True, tag="lab-status", kw_only=True):
    """The whole lab; `fallback` says why it runs without namespaces, empty where it does not."""

    directory: str
    machines: tuple[MachineStatus, ...]
    cuts: tuple[tuple[str, str], ...]
    fallback: str


class AddressChange(StrEnum):
    """What happened to an address."""

    ADDED = "added"
    REMOVED = "removed"
    POWERED_OFF = "powered off"  # the node died, and with it all its addresses
    LOST_TRACK = "lost track"  # the kernel dropped events; nothing is known from here on


class AddressEvent(Struct, frozen=True, kw_only=True):
    """One change, in the order in which the kernel made them; `address` is "" where it concerns all of a node's.

    Times in milliseconds: `at_ms` on the machine's monotonic clock, `unix_ms` since 1970.
    """

    at_ms: float
    unix_ms: float
    node: str
    change: AddressChange
    address: str


class Addresses(Struct, frozen=True, tag="addresses"):
    """The answer to GetAddresses, in the order in which the kernel made the changes."""

    events: tuple[AddressEvent, ...]


Answer = Done | Refused | LabStatus | Addresses


class Began(Struct, frozen=True, tag="began"):
    """The machine has started the command; `pid` is its number on that machine."""

    pid: int


class Ended(Struct, frozen=True, tag="ended"):
    """The command has ended; negative: by that signal."""

    status: int


class NotBegun(Struct, frozen=True, tag="not-begun"):
    """The command could not be started; `status` is what a shell would return, 126 or 127."""

    status: int
    text: str


Report = Began | Ended | NotBegun


class Signal(Struct, frozen=True, tag="signal"):
    """The client asks the machine to send the command's process group a signal."""

    number: int


def decode_call(data: bytes) -> Call:
    """Read a client's message; raises msgspec.DecodeError, also when it is something else."""
    call: Call = json.decode(data, type=Call)
    return call


def decode_answer(data: bytes) -> Answer:
    """Read the supervisor's message; raises msgspec.DecodeError, also when it is something else."""
    answer: Answer = json.decode(data, type=Answer)
    return answer


def decode_report(data: bytes) -> Report:
    """Read what a machine reports of a command; raises msgspec.DecodeError, also when it is something else."""
    report: Report = json.decode(data, type=Report)
    return report
