"""The table of machines."""

from standfast.lab.calls import LabStatus, MachineStatus, PowerState
from standfast.lab.text import render_status


def machine(
    name: str, nodeid: int | None, power: PowerState, pid: int | None, *addresses: str
) -> MachineStatus:
    return MachineStatus(name=name, nodeid=nodeid, power=power, daemon_pid=pid, addresses=addresses)


def test_the_table_shows_power_daemons_addresses_and_cuts() -> None:
    status = LabStatus(
        directory="/run/standfast-lab",
        machines=(
            machine("core", None, PowerState.ON, None, "10.1.4.1"),
            machine("vapp1", 1, PowerState.FROZEN, 4, "10.1.4.201", "fe80::1", "10.1.4.150"),
            machine("vapp2", 2, PowerState.OFF, None),
        ),
        cuts=(("vapp1", "vapp2"),),
        fallback="",
    )
    assert render_status(status) == (
        "MACHINE  ID  POWER   DAEMON  ADDRESSES\n"
        "core     -   on      -       10.1.4.1\n"
        "vapp1    1   frozen  pid 4   10.1.4.201 10.1.4.150\n"
        "vapp2    2   off     -       -\n"
        "The link between vapp1 and vapp2 is cut.\n"
    )


def test_a_lab_without_namespaces_says_why() -> None:
    status = LabStatus(directory="/x", machines=(), cuts=(), fallback="Operation not permitted")
    assert "Without namespaces (Operation not permitted)" in render_status(status)
