"""Services on real daemons: started, moved, checked, and ended whatever their agents do."""

import time

import pytest
from tests.processes.daemon.town import Town, eventually, is_alive, town

from standfast.terms import ServiceName
from standfast.wire.control import Code, Failure, Operated, OperateService, Operation

pytestmark = pytest.mark.lab

WEB = ServiceName("service:web")
HANG_ON_START = 'if [ "$1" = start ]; then trap "" TERM; echo $$ >"$place.hangs"; sleep 1000 & wait; wait; fi'
MEGABYTES = "head -c 20000000 /dev/zero | tr '\\0' 'x'"
FAIL_ON_START = 'if [ "$1" = start ]; then echo "no licence"; exit 3; fi'
FAIL_ON_STOP = 'if [ "$1" = stop ] && [ -f "$place.stuck" ]; then echo "it will not go"; exit 1; fi'


def operate(cluster: Town, operation: Operation, target: str | None = None) -> Operated:
    """Ask the first node for an operation on the service."""
    answer = cluster.nodes[0].ask(OperateService(operation=operation, service=WEB, target=target))
    assert isinstance(answer, Operated)
    return answer


def test_service_runs_on_exactly_one_node() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        assert (owner.runs("web"), cluster.other(owner).runs("web")) == (True, False)


def test_service_is_stopped_here_and_started_there_when_an_operator_relocates_it() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        other = cluster.other(owner)
        outcome = operate(cluster, Operation.RELOCATE, other.name)
        assert (outcome.code, outcome.owner) == (Code.SUCCESS, other.name)
        assert (owner.runs("web"), other.runs("web")) == (False, True)


def test_service_is_disabled_and_enabled_as_the_operator_asks() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        owner = cluster.owner("web")
        assert operate(cluster, Operation.DISABLE).code is Code.SUCCESS
        assert not owner.runs("web")
        enabled = operate(cluster, Operation.ENABLE, "vapp2")
        assert (enabled.code, enabled.owner) == (Code.SUCCESS, "vapp2")
        assert cluster.nodes[1].runs("web")


def test_operation_on_an_unknown_node_is_refused_with_the_names_to_choose_from() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web")))
        answer = cluster.nodes[0].ask(
            OperateService(operation=Operation.RELOCATE, service=WEB, target="vapp9")
        )
        assert isinstance(answer, Failure)
        assert (answer.code, "vapp1, vapp2" in answer.text) == ("node-unknown", True)


def test_service_whose_check_fails_is_restarted() -> None:
    with town() as cluster:
        action = '<action name="status" interval="1s"/>'
        path = cluster.script("web")
        service = f'<service name="web"><script name="web" file="{path}">{action}</script></service>'
        cluster.start(cluster.conf(service, rm='status_poll_interval="1"'))
        owner = cluster.owner("web")
        before = owner.pid_of("web")
        (owner.root / "service-web.pid").write_text("999999999")
        eventually(lambda: owner.runs("web") and owner.pid_of("web") != before)
        assert cluster.owner("web") is owner


def test_start_that_fails_everywhere_is_stopped_and_told_with_the_agents_own_words() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web", FAIL_ON_START, 'autostart="0"')))
        outcome = operate(cluster, Operation.ENABLE)
        assert outcome.code is not Code.SUCCESS
        assert "no licence" in cluster.nodes[0].log + cluster.nodes[1].log
        assert all(node.calls("web")[-1] == "stop" for node in cluster.nodes)


def test_start_that_hangs_is_given_up_when_the_operator_disables_the_service() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web", HANG_ON_START)))
        hung = eventually(lambda: next((n for n in cluster.nodes if "start" in n.calls("web")), None))
        marker = hung.root / "service-web.hangs"
        eventually(marker.exists)
        assert operate(cluster, Operation.DISABLE).code is Code.SUCCESS
        assert not is_alive(int(marker.read_text()))
        assert hung.calls("web")[-1] == "stop"


def test_agent_that_prints_megabytes_works_like_any_other() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web", MEGABYTES)))
        owner = cluster.owner("web")
        assert owner.runs("web")
        output = owner.run_dir / "scripts"
        assert sum(file.stat().st_size for file in output.iterdir()) < 64_000_000


def test_script_that_does_not_exist_is_said_by_name_and_the_service_is_not_started() -> None:
    with town() as cluster:
        missing = '<service name="web" autostart="0"><script name="web" file="/nonexistent/http"/></service>'
        cluster.start(cluster.conf(missing))
        assert operate(cluster, Operation.ENABLE).code is not Code.SUCCESS
        assert "/nonexistent/http does not exist on this node" in "".join(n.log for n in cluster.nodes)


def test_stop_that_fails_leaves_the_service_failed_and_started_nowhere_else() -> None:
    with town() as cluster:
        cluster.start(cluster.conf(cluster.service("web", FAIL_ON_STOP)))
        owner = cluster.owner("web")
        (owner.root / "service-web.stuck").touch()
        assert operate(cluster, Operation.DISABLE).code is not Code.SUCCESS
        found = eventually(lambda: (s := owner.service("web")) is not None and s.state == "failed" and s)
        assert found
        assert not cluster.other(owner).runs("web")


def test_agent_that_takes_longer_than_its_enforced_time_is_killed_with_all_its_children() -> None:
    with town() as cluster:
        path = cluster.script("web", HANG_ON_START)
        attributes = f'name="web" file="{path}" __enforce_timeouts="1"'
        action = '<action name="start" timeout="1s"/>'
        service = f'<service name="web" autostart="0"><script {attributes}>{action}</script></service>'
        cluster.start(cluster.conf(service))
        outcome = operate(cluster, Operation.ENABLE)
        assert outcome.code is not Code.SUCCESS
        assert "start on script:web timed out after 1 seconds" in "".join(n.log for n in cluster.nodes)
        markers = [n.root / "service-web.hangs" for n in cluster.nodes]
        assert [is_alive(int(m.read_text())) for m in markers if m.exists()] in ([False], [False, False])


def test_frozen_service_is_not_checked() -> None:
    with town() as cluster:
        action = '<action name="status" interval="1s"/>'
        path = cluster.script("web")
        service = f'<service name="web"><script name="web" file="{path}">{action}</script></service>'
        cluster.start(cluster.conf(service, rm='status_poll_interval="1"'))
        owner = cluster.owner("web")
        eventually(lambda: "status" in owner.calls("web"))
        assert operate(cluster, Operation.FREEZE).code is Code.SUCCESS
        checked = owner.calls("web").count("status")
        begun = time.monotonic()
        eventually(lambda: time.monotonic() - begun > 2.5)
        assert owner.calls("web").count("status") <= checked + 1
        assert operate(cluster, Operation.UNFREEZE).code is Code.SUCCESS
        eventually(lambda: owner.calls("web").count("status") > checked + 1)
