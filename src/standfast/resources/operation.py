"""One call of an agent: what it is told, how long it may take, and what its exit code means.

Pure. Source: spec resources, section 3.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum

from standfast.conf.model import Arguments
from standfast.resources.agent import Action
from standfast.resources.resource import ResourceKey, ResourceNode, resources_below

AGENT_DIRECTORY = "/usr/share/cluster"
AGENT_PATH = "/sbin:/usr/sbin:/bin:/usr/bin"  # rgmanager gives none; scripts of other people need one
CANNOT_EXECUTE = 1  # the exit code to report for an agent that is gone or cannot be executed
NOT_INSTALLED = 5  # exit code: the program behind the resource is not installed

_TEXTS = {
    0: "success",
    1: "generic error",
    2: "invalid argument(s)",
    3: "function not implemented",
    4: "insufficient privileges",
    NOT_INSTALLED: "program not installed",
    6: "program not configured",
    7: "not running",
}


class AgentOperation(StrEnum):
    """What an agent is asked to do; the first word of its arguments, but for `status` of a monitor-only agent."""

    START = "start"
    STOP = "stop"
    STATUS = "status"
    RECOVER = "recover"
    RECONFIG = "reconfig"
    MIGRATE = "migrate"


class MigrateOutcome(StrEnum):
    """What the exit code of `migrate` means for the service."""

    MIGRATED = "migrated"
    REFUSED = "refused"  # an invalid operation; state unchanged
    NOT_RUNNING = "not running"  # a plain failure; state unchanged
    STILL_HERE = "still here"  # it runs on the source; state unchanged
    FAILED = "failed"  # the service becomes failed


def find_action(node: ResourceNode, operation: AgentOperation, depth: int = 0) -> Action | None:
    """Return the agent's declaration of the operation; None: it is not run, and counts as a success."""
    return next((a for a in node.actions if a.name == operation and a.depth == depth), None)


def enforced_timeout_s(node: ResourceNode, operation: AgentOperation, depth: int = 0) -> int | None:
    """Return after how many seconds the agent is killed; None where it may take for ever."""
    action = find_action(node, operation, depth)
    return action.timeout_s or None if action is not None and node.place.enforce_timeouts else None


def argument_words(
    node: ResourceNode, operation: AgentOperation, target: str | None = None
) -> tuple[str, ...]:
    """Return the agent's arguments after its path. `target` is the node name that `migrate` goes to."""
    word = node.status_word if operation is AgentOperation.STATUS else operation.value
    return (word,) if target is None else (word, target)


def environment(
    node: ResourceNode,
    operation: AgentOperation,
    *,
    depth: int = 0,
    refcount: int = 0,
    agent_directory: str = AGENT_DIRECTORY,
) -> Arguments:
    """Return the agent's whole environment, as (name, value).

    `refcount` is the number of other running instances of the resource on this node (`other_instances`).
    """
    action = find_action(node, operation, depth)
    advised_s = action.timeout_s if action is not None and not node.place.enforce_timeouts else 0
    return (
        ("PATH", AGENT_PATH),
        ("OCF_ROOT", agent_directory),
        ("OCF_RA_VERSION_MAJOR", "1"),
        ("OCF_RA_VERSION_MINOR", "0"),
        ("OCF_RESOURCE_TYPE", node.type),
        ("OCF_RESOURCE_INSTANCE", f"{node.type}:{node.name}"),
        ("OCF_CHECK_LEVEL", str(depth)),
        *((f"OCF_RESKEY_{name}", value) for name, value in node.parameters),
        ("OCF_RESKEY_RGMANAGER_meta_refcnt", str(refcount)),
        ("OCF_RESKEY_RGMANAGER_meta_timeout", str(advised_s)),
    )


def other_instances(
    node: ResourceNode, running: Iterable[tuple[ResourceNode, Collection[ResourceKey]]]
) -> int:
    """Return how many other places that use the resource's shared definition are started.

    `running` has, for each service on this cluster node, the root of its tree and the keys that are started.
    """
    if not node.shared:
        return 0
    return sum(
        other.shared
        and (other.type, other.name) == (node.type, node.name)
        and other.key in keys
        and other.key != node.key
        for root, keys in running
        for other in resources_below(root)
    )


def has_succeeded(operation: AgentOperation, exit_code: int | None, *, started: bool) -> bool:
    """Tell whether the call succeeded; an `exit_code` of None is an agent that a signal ended.

    `started`: the resource was started here, or a start of it failed half-way. A stop of any other succeeds also when its
    program is not installed.
    """
    if operation is AgentOperation.STOP and exit_code == NOT_INSTALLED:
        return not started
    return exit_code == 0


def migrate_outcome(exit_code: int | None) -> MigrateOutcome:
    """Return what the exit code of `migrate` means; None is an agent that a signal ended."""
    match exit_code:
        case 0:
            return MigrateOutcome.MIGRATED
        case 6:
            return MigrateOutcome.REFUSED
        case 7:
            return MigrateOutcome.NOT_RUNNING
        case 150:
            return MigrateOutcome.STILL_HERE
        case _:
            return MigrateOutcome.FAILED


def exit_text(exit_code: int) -> str:
    """Return the words for an exit code, as they stand in the log."""
    return _TEXTS.get(exit_code, "unspecified")


def describe_exit(
    operation: AgentOperation,
    kind: str,
    name: str,
    exit_code: int | None,
    *,
    timed_out_after_s: int | None = None,
) -> str:
    """Return the log's sentence on a call of the agent `kind` for the resource `name`."""
    if timed_out_after_s is not None:
        return f"{operation} on {kind}:{name} timed out after {timed_out_after_s} seconds"
    if exit_code is None:
        return f'{operation} on {kind} "{name}" was ended by a signal'
    return f'{operation} on {kind} "{name}" returned {exit_code} ({exit_text(exit_code)})'
