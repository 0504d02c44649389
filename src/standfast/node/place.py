"""Where one node's daemon keeps its files: below the run directory what a boot needs, below the state directory the rest."""

from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from standfast.terms import ServiceName
from standfast.wire.paths import paths_under

FILE_NAME_MAX = 200  # longest part of a file name that is made from another name


class Place(Struct, frozen=True, kw_only=True):
    """The paths of one node; `prefix` is "" for the machine itself."""

    prefix: str
    cluster_conf: Path
    control_socket: Path
    run_dir: Path
    state_dir: Path

    @property
    def lock(self) -> Path:
        """Locked as long as a daemon runs."""
        return self.run_dir / "daemon.lock"

    @property
    def booted(self) -> Path:
        """Holds the boot id for which this node's services were stopped once."""
        return self.run_dir / "booted"

    @property
    def disorder(self) -> Path:
        """Says since when the node is out of order; there while it is, and a watchdog is used."""
        return self.run_dir / "disorder"

    @property
    def agents(self) -> Path:
        """The folder with one file for each agent at work."""
        return self.run_dir / "agents"

    @property
    def output(self) -> Path:
        """The folder with what other people's resource agents print."""
        return self.run_dir / "output"

    @property
    def running(self) -> Path:
        """The folder with the trees of the services that may run here."""
        return self.state_dir / "running"

    @property
    def epoch(self) -> Path:
        """Holds the last epoch that this node took part in."""
        return self.state_dir / "epoch"

    @property
    def history(self) -> Path:
        """The history, one JSON object a line."""
        return self.state_dir / "history.log"


def place_under(prefix: str) -> Place:
    """Return the places of the node whose files lie below `prefix`."""
    paths = paths_under(prefix)
    return Place(
        prefix=prefix.rstrip("/"),
        cluster_conf=Path(paths.cluster_conf),
        control_socket=Path(paths.control_socket),
        run_dir=Path(paths.run_dir),
        state_dir=Path(paths.state_dir),
    )


def make_folders(place: Place) -> None:
    """Make the folders that are missing. Raises OSError."""
    for folder in (place.run_dir, place.state_dir):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for folder in (place.agents, place.output, place.running):
        folder.mkdir(mode=0o700, exist_ok=True)


def file_name(service: ServiceName) -> str:
    """Return the service's name as a part of a file name."""
    return quote(service, safe="")[:FILE_NAME_MAX]
