"""The quorum disk and other sections of cluster.conf that are checked although nothing acts upon them yet.

Source: spec configuration, section 11 (I45 to I51, I62); spec membership, sections 15.1 and 15.3.
"""

from collections.abc import Iterator

from standfast.conf.document import BLANKS, Element
from standfast.conf.findings import Finding, error, warning
from standfast.conf.nodes import votes_of
from standfast.conf.values import read_integer
from standfast.conf.wiring import net_device

HEURISTICS_MAX = 10
NODEID_MAX_WITH_DISK = 16
TOKEN_MS_DEFAULT = 10_000
TOKEN_MS_MIN_WITH_DISK = 10_000


def check_quorum_disk(root: Element) -> Iterator[Finding]:
    """Yield what is wrong with <quorumd>."""
    disk = root.first("quorumd")
    if disk is None or net_device(root) is not None:
        return
    if not (disk.get("device") or disk.get("label")):
        yield error(disk.line, "I45", "quorumd needs device or label")
    yield from _check_heuristics(disk)
    yield from _check_timing(root, disk)
    yield from _check_nodes(root, disk)


def check_names(root: Element) -> Iterator[Finding]:
    """Yield the lock spaces, their masters and logging daemons that lack a name."""
    for logging in root.elements("logging"):
        for daemon in logging.elements("logging_daemon"):
            if not daemon.get("name"):
                yield warning(daemon.line, "I51", "logging_daemon without name ignored")
    spaces = tuple(space for dlm in root.elements("dlm") for space in dlm.elements("lockspace"))
    masters = tuple(master for space in spaces for master in space.elements("master"))
    for element in (*spaces, *masters):
        if not element.get("name"):
            yield error(element.line, "I62", f"{element.name} without name")


def _check_heuristics(disk: Element) -> Iterator[Finding]:
    heuristics = disk.elements("heuristic")
    for heuristic in heuristics:
        if not (heuristic.get("program") or "").strip(BLANKS):
            yield error(heuristic.line, "I46", "heuristic without program")
    if len(heuristics) > HEURISTICS_MAX:
        yield warning(
            heuristics[HEURISTICS_MAX].line, "I46", f"only the first {HEURISTICS_MAX} heuristics are used"
        )
    used = heuristics[:HEURISTICS_MAX]
    total = sum(max(1, _number(heuristic, "score", 1)) for heuristic in used) if used else 1
    least = _number(disk, "min_score", 0)
    if least > total:
        yield error(disk.line, "I47", f"min_score {least} can never be reached (sum of scores {total})")


def _check_timing(root: Element, disk: Element) -> Iterator[Finding]:
    totem = root.first("totem")
    token_ms = _number(totem, "token", TOKEN_MS_DEFAULT) if totem else TOKEN_MS_DEFAULT
    if token_ms < TOKEN_MS_MIN_WITH_DISK:
        yield error(
            disk.line, "I49", f"token {token_ms} ms is too short for a quorum disk ({TOKEN_MS_MIN_WITH_DISK})"
        )
        return
    interval_s = max(1, _number(disk, "interval", 1))
    tko = _number(disk, "tko", (token_ms // 1000 - interval_s) // 2)
    tko_up = max(2, _number(disk, "tko_up", tko // 3))
    upgrade_wait = max(1, _number(disk, "upgrade_wait", 2))
    master_wait = max(tko_up + 1, _number(disk, "master_wait", tko // 2))
    failover_ms = interval_s * (tko + master_wait + upgrade_wait) * 1000
    if failover_ms >= token_ms:
        yield error(
            disk.line,
            "I48",
            f"quorum disk needs {failover_ms} ms to fail over, token is {token_ms} ms; "
            f"set token to at least {failover_ms + interval_s * 1000}",
        )


def _check_nodes(root: Element, disk: Element) -> Iterator[Finding]:
    section = root.first("clusternodes")
    nodes = section.elements("clusternode") if section else ()
    if any(_number(node, "nodeid", 0) > NODEID_MAX_WITH_DISK for node in nodes):
        yield error(disk.line, "I50", f"quorum disk supports node ids 1..{NODEID_MAX_WITH_DISK}")
    unequal = next((node for node in nodes if votes_of(node) != 1), None)
    if unequal is not None and not (disk.get("votes") or "").strip(BLANKS):
        yield error(
            disk.line,
            "I50",
            f"give quorumd votes: node {unequal.get('name')} has {unequal.get('votes')} votes",
        )


def _number(element: Element, name: str, default: int) -> int:
    number = read_integer(element.get(name) or "")
    return default if number is None else number
