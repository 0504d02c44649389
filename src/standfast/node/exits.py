"""How the daemon ends, for whoever started it: the unit file says after which of these it is started again."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """The daemon's exit status. Python itself ends with 1 where it fails, and a killed daemon with none of these."""

    IN_ORDER = 0  # it left the cluster, or was told to end and has stopped its services
    LOST = 1  # a defect, or the engine is gone: the next daemon may do better
    USAGE = 2  # its options are wrong (argparse's status)
    REFUSED = (
        3  # its configuration, the machine or the cluster does not admit it: somebody must mend what it says
    )
    AT_ONCE = 4  # a second signal, or cman_tool kill: somebody wanted it gone at once
