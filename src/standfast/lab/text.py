"""What `standfast lab` prints: the table of machines."""

from collections.abc import Sequence

from standfast.lab.calls import LabStatus, MachineStatus

_HEADINGS = ("MACHINE", "ID", "POWER", "DAEMON", "ADDRESSES")


def render_status(status: LabStatus) -> str:
    """Return the lab as a table, and below it what is cut and what is not as it should be."""
    lines = _columns([_HEADINGS, *(_row(machine) for machine in status.machines)])
    lines += [f"The link between {one} and {other} is cut." for one, other in status.cuts]
    if status.fallback:
        lines.append(
            f"Without namespaces ({status.fallback}): addresses are on the loopback, and ip(8) cannot show them."
        )
    return "".join(f"{line}\n" for line in lines)


def _row(machine: MachineStatus) -> tuple[str, ...]:
    return (
        machine.name,
        "-" if machine.nodeid is None else str(machine.nodeid),
        machine.power,
        "-" if machine.daemon_pid is None else f"pid {machine.daemon_pid}",
        " ".join(address for address in machine.addresses if not address.startswith("fe80:")) or "-",
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
