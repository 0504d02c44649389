"""One call of an agent: environment, words, timeouts, and what exit codes mean."""

import pytest

from standfast.resources.agent import Action
from standfast.resources.operation import (
    AgentOperation,
    MigrateOutcome,
    argument_words,
    describe_exit,
    enforced_timeout_s,
    environment,
    exit_text,
    find_action,
    has_succeeded,
    migrate_outcome,
    other_instances,
)
from standfast.resources.resource import Place, ResourceKey, ResourceNode
from standfast.resources.tests.sample import forest, tree_of

START, STOP, STATUS = AgentOperation.START, AgentOperation.STOP, AgentOperation.STATUS

SERVICE = """
<service name="S">
  <ip address="10.1.4.150/24"/>
  <fs name="data" device="/dev/d" mountpoint="/d" options="" __enforce_timeouts="1"/>
  <script name="http" file="/h" __enforce_timeouts="1"/>
</service>"""


def _resource(kind: str) -> ResourceNode:
    return next(child for child in tree_of(SERVICE).children if child.type == kind)


def test_agent_gets_the_whole_environment_that_the_agent_api_names() -> None:
    assert environment(_resource("ip"), STATUS, depth=10, refcount=2) == (
        ("PATH", "/sbin:/usr/sbin:/bin:/usr/bin"),
        ("OCF_ROOT", "/usr/share/cluster"),
        ("OCF_RA_VERSION_MAJOR", "1"),
        ("OCF_RA_VERSION_MINOR", "0"),
        ("OCF_RESOURCE_TYPE", "ip"),
        ("OCF_RESOURCE_INSTANCE", "ip:10.1.4.150/24"),
        ("OCF_CHECK_LEVEL", "10"),
        ("OCF_RESKEY_address", "10.1.4.150/24"),
        ("OCF_RESKEY_monitor_link", "1"),
        ("OCF_RESKEY_nfslock", "0"),
        ("OCF_RESKEY_RGMANAGER_meta_refcnt", "2"),
        ("OCF_RESKEY_RGMANAGER_meta_timeout", "20"),
    )


def test_empty_values_are_exported_and_absent_ones_are_not() -> None:
    found = dict(environment(_resource("fs"), START))
    assert found["OCF_RESKEY_options"] == ""
    assert "OCF_RESKEY_fsid" not in found


def test_timeout_is_told_to_the_agent_only_while_it_is_not_enforced() -> None:
    assert dict(environment(_resource("ip"), START))["OCF_RESKEY_RGMANAGER_meta_timeout"] == "20"
    assert dict(environment(_resource("fs"), START))["OCF_RESKEY_RGMANAGER_meta_timeout"] == "0"


def test_timeout_of_an_action_that_the_agent_does_not_declare_is_told_as_0() -> None:
    environ = dict(environment(_resource("ip"), AgentOperation.RECOVER, agent_directory="/opt/agents"))
    assert (environ["OCF_RESKEY_RGMANAGER_meta_timeout"], environ["OCF_ROOT"]) == ("0", "/opt/agents")


def test_timeouts_are_enforced_only_where_the_place_says_so() -> None:
    assert enforced_timeout_s(_resource("ip"), START) is None
    assert enforced_timeout_s(_resource("fs"), STATUS, 20) == 30
    assert enforced_timeout_s(_resource("fs"), AgentOperation.RECOVER) is None


def test_timeout_of_0_is_unlimited_even_where_timeouts_are_enforced() -> None:
    assert enforced_timeout_s(_resource("script"), START) is None


def test_action_is_found_by_operation_and_depth() -> None:
    action = Action(name="status", depth=10, timeout_s=20, interval_s=60)
    assert find_action(_resource("ip"), STATUS, 10) == action
    assert find_action(_resource("ip"), STATUS, 5) is None


def test_agent_is_asked_with_the_word_of_the_operation() -> None:
    assert argument_words(_resource("ip"), STATUS) == ("status",)
    assert argument_words(_resource("ip"), AgentOperation.MIGRATE, "vapp2") == ("migrate", "vapp2")


def test_agent_that_declares_only_monitor_is_asked_for_that() -> None:
    node = ResourceNode(key=ResourceKey("a:1"), type="a", name="1", status_word="monitor")
    assert (argument_words(node, STATUS), argument_words(node, STOP)) == (("monitor",), ("stop",))


@pytest.mark.parametrize("operation", AgentOperation)
def test_exit_code_0_is_success_and_a_signal_is_not(operation: AgentOperation) -> None:
    assert has_succeeded(operation, 0, started=True)
    assert not has_succeeded(operation, None, started=False)


@pytest.mark.parametrize("exit_code", [1, 2, 3, 4, 6, 7, 8, 150, 255])
@pytest.mark.parametrize("operation", [START, STOP, STATUS])
def test_other_exit_codes_are_failures_also_7_from_stop(operation: AgentOperation, exit_code: int) -> None:
    assert not has_succeeded(operation, exit_code, started=False)


def test_stop_without_its_program_succeeds_only_where_nothing_was_started() -> None:
    assert has_succeeded(STOP, 5, started=False)
    assert not has_succeeded(STOP, 5, started=True)
    assert not has_succeeded(START, 5, started=False)
    assert not has_succeeded(STATUS, 5, started=False)


@pytest.mark.parametrize(
    ("exit_code", "outcome"),
    [
        (0, MigrateOutcome.MIGRATED),
        (1, MigrateOutcome.FAILED),
        (6, MigrateOutcome.REFUSED),
        (7, MigrateOutcome.NOT_RUNNING),
        (150, MigrateOutcome.STILL_HERE),
        (None, MigrateOutcome.FAILED),
    ],
)
def test_exit_codes_of_migrate_have_meanings_of_their_own(
    exit_code: int | None, outcome: MigrateOutcome
) -> None:
    assert migrate_outcome(exit_code) is outcome


def test_exit_codes_have_words() -> None:
    words = [exit_text(code) for code in range(9)]
    assert words == [
        "success",
        "generic error",
        "invalid argument(s)",
        "function not implemented",
        "insufficient privileges",
        "program not installed",
        "program not configured",
        "not running",
        "unspecified",
    ]


def test_log_says_how_a_call_ended() -> None:
    assert (
        describe_exit(STATUS, "ip", "10.1.4.150", 7) == 'status on ip "10.1.4.150" returned 7 (not running)'
    )
    assert describe_exit(STOP, "fs", "d", None) == 'stop on fs "d" was ended by a signal'
    assert (
        describe_exit(START, "fs", "d", None, timed_out_after_s=9)
        == "start on fs:d timed out after 9 seconds"
    )


def test_other_instances_are_the_started_places_of_the_same_definition() -> None:
    found = forest(
        '<service name="s"><clusterfs ref="c"/><clusterfs ref="d"/></service>'
        '<service name="t"><clusterfs ref="c"/><script name="x" file="/x"/></service>'
        '<service name="u"><clusterfs ref="c"/></service>',
        '<clusterfs name="c" device="/c" mountpoint="/c"/><clusterfs name="d" device="/d" mountpoint="/d"/>',
    )
    roots = [tree.root for tree in found.trees if tree.root is not None]
    first, second, third = roots
    running = [
        (first, {ResourceKey("service:s/clusterfs:c"), ResourceKey("service:s/clusterfs:d")}),
        (second, {ResourceKey("service:t/clusterfs:c"), ResourceKey("service:t/script:x")}),
        (third, set[ResourceKey]()),
    ]
    assert other_instances(first.children[0], running) == 1
    assert other_instances(third.children[0], running) == 2
    assert other_instances(first.children[1], running) == 0


def test_inline_resource_has_no_other_instances() -> None:
    root = tree_of(SERVICE)
    assert other_instances(root.children[0], [(root, {root.children[0].key})]) == 0


def test_place_of_the_sample_enforces_timeouts() -> None:
    assert _resource("fs").place == Place(enforce_timeouts=True)
