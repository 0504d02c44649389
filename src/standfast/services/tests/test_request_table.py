"""Every operation of clusvcadm in every state: the table of spec services, section 6.10.

What we do otherwise is marked: `waits` stands where rgmanager answers at once because its queue is on another node, and what
is answered in the end is told by the stories. A refusal that rgmanager got wrong follows the spec's "Follow".
"""

import pytest
from msgspec.structs import replace

from standfast.conf.model import ResourceElement, Service
from standfast.services import policy
from standfast.services.placement import Neighbourhood
from standfast.services.proposal import Answer, Freeze, ServiceProposal, ServiceRequest, Settle, Start, Stop
from standfast.services.record import Flag, Goal, Intent, ServiceRecord, ServiceState
from standfast.services.tests.service_story import OPERATIONS
from standfast.terms import NodeId, ServiceName

WEB = ServiceName("service:web")
SERVICE = Service(name=WEB, element=ResourceElement(type="service"))
HERE, THERE, ELSEWHERE = NodeId(1), NodeId(2), NodeId(3)

# R is node 1. An answer is its number; with a state or a flag where the record changes with it.
TABLE = """
              | -e      | -e -m 3 | -eF     | -r             | -r -m 3             | -r -m 2             | -R
stopped       | start 1 | start 3 | start 1 | start 2        | start 3             | start 2             | start 1
disabled      | start 1 | start 3 | start 1 | -8             | -8                  | -8                  | -8
starting on 2 | waits   | waits   | waits   | waits          | waits               | waits               | waits
started on 1  | -10     | -10     | -10     | stop, relocate | stop, relocate to 3 | stop, relocate to 2 | stop, restart to 1
started on 2  | -10     | -10     | -10     | stop, relocate | stop, relocate to 3 | stop, restart to 2  | stop, restart to 2
stopping on 2 | waits   | waits   | waits   | waits          | waits               | waits               | waits
recoverable   | waits   | waits   | waits   | waits          | waits               | waits               | waits
recovering    | waits   | waits   | waits   | waits          | waits               | waits               | waits
failed        | -2      | -2      | -1      | -2             | -2                  | -2                  | -1
failed, loose | -2      | -2      | -1      | -2             | -2                  | -2                  | -1
frozen        | -11     | -11     | -11     | -11            | -11                 | -11                 | -11
frozen on 2   | -11     | -11     | -11     | -11            | -11                 | -11                 | -11
frozen, off   | -11     | -11     | -11     | -11            | -11                 | -11                 | -11

              | -s            | -d                   | -Z            | -U
stopped       | 0, parked     | 0 disabled           | 0 frozen      | 0 unfrozen
disabled      | 0             | 0 disabled           | 0 frozen      | 0 unfrozen
starting on 2 | stop, stop    | stop, disable        | waits         | waits
started on 1  | stop, stop    | stop, disable        | 0 frozen      | 0 unfrozen
started on 2  | stop, stop    | stop, disable        | 0 frozen      | 0 unfrozen
stopping on 2 | waits         | waits                | -6            | -6
recoverable   | waits         | waits                | -6            | -6
recovering    | 0 stopped, parked | 0 disabled       | -6            | -6
failed        | -1            | stop on 1, disable   | -6            | -6
failed, loose | -1            | 0 disabled           | -6            | -6
frozen        | -11           | -11                  | 0 frozen      | 0 unfrozen
frozen on 2   | -11           | -11                  | 0 frozen      | 0 unfrozen
frozen, off   | -11           | -11                  | 0 frozen      | 0 unfrozen
"""

RECOVER = Intent(goal=Goal.RECOVER, origin=THERE)
EMPTY = ServiceRecord(name=WEB, generation=7)
RECORDS = {
    "stopped": EMPTY,
    "disabled": replace(EMPTY, state=ServiceState.DISABLED),
    "starting on 2": replace(
        EMPTY, state=ServiceState.STARTING, owner=THERE, may_run_on=(THERE,), intent=Intent(goal=Goal.START)
    ),
    "started on 1": replace(EMPTY, state=ServiceState.STARTED, owner=HERE, may_run_on=(HERE,)),
    "started on 2": replace(EMPTY, state=ServiceState.STARTED, owner=THERE, may_run_on=(THERE,)),
    "stopping on 2": replace(
        EMPTY,
        state=ServiceState.STOPPING,
        owner=THERE,
        may_run_on=(THERE,),
        intent=Intent(goal=Goal.FAILBACK),
    ),
    "recoverable": replace(
        EMPTY, state=ServiceState.RECOVERABLE, owner=THERE, may_run_on=(THERE,), intent=RECOVER
    ),
    "recovering": replace(EMPTY, state=ServiceState.RECOVERING, last_owner=THERE, intent=RECOVER),
    "failed": replace(EMPTY, state=ServiceState.FAILED, last_owner=HERE, may_run_on=(HERE,)),
    "failed, loose": replace(EMPTY, state=ServiceState.FAILED, last_owner=HERE),
    "frozen": replace(EMPTY, flags=int(Flag.FROZEN)),
    "frozen on 2": replace(
        EMPTY, state=ServiceState.STARTED, owner=THERE, may_run_on=(THERE,), flags=int(Flag.FROZEN)
    ),
    "frozen, off": replace(EMPTY, state=ServiceState.DISABLED, flags=int(Flag.FROZEN)),
}


def cells() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for block in TABLE.strip("\n").split("\n\n"):
        head, *rows = ([cell.strip() for cell in line.split("|")] for line in block.splitlines())
        found.extend(
            (state, command, expected)
            for state, *row in rows
            for command, expected in zip(head[1:], row, strict=True)
        )
    return found


def asked(command: str) -> ServiceRequest:
    option, _, target = command.partition(" -m ")
    return ServiceRequest(
        id="r1",
        operation=OPERATIONS[option],
        service=WEB,
        asked_by=HERE,
        target=NodeId(int(target)) if target else None,
        by_domain=option == "-eF",
    )


def decided(record: ServiceRecord, request: ServiceRequest) -> ServiceProposal | None:
    """What the coordinator proposes for this request, None where it has to wait."""
    around = Neighbourhood(
        online=(HERE, THERE, ELSEWHERE),
        names={n: f"node{n}" for n in (HERE, THERE, ELSEWHERE)},
        domains={},
        services={WEB: SERVICE},
        records=(record,),
    )
    situation = policy.Situation(
        around=around, requests=(request,), victims=frozenset(), leaving=frozenset(), now_ms=0
    )
    proposals = policy.decide(situation)
    return next((p for p in proposals if answers(p) == request.id), None)


def answers(proposal: ServiceProposal) -> str | None:
    """The request that a proposal is about."""
    match proposal:
        case Answer() | Freeze() | Settle():
            return proposal.request
        case Start() | Stop():
            return proposal.intent.request
        case _:
            return None


def spelled(proposal: ServiceProposal | None) -> str:
    match proposal:
        case Answer():
            return str(proposal.code.value)
        case Start():
            return f"start {proposal.owner}"
        case Stop():
            where = "" if proposal.owner is None else f" on {proposal.owner}"
            target = proposal.intent.target
            return f"stop{where}, {proposal.intent.goal.value}" + (f" to {target}" if target else "")
        case Settle():
            state = "" if proposal.state is None else f" {proposal.state.value}"
            return f"{proposal.code.value}{state}" + (", parked" if proposal.parked else "")
        case Freeze():
            return "0 frozen" if proposal.frozen else "0 unfrozen"
        case _:
            return "waits"


@pytest.mark.parametrize(("state", "command", "expected"), cells())
def test_operation_in_a_state_is_answered_as_the_table_says(state: str, command: str, expected: str) -> None:
    assert spelled(decided(RECORDS[state], asked(command))) == expected


def test_table_has_a_cell_for_each_state_and_command() -> None:
    assert len(cells()) == len(RECORDS) * 11
    assert {state for state, _, _ in cells()} == set(RECORDS)


def test_request_for_a_service_that_is_no_longer_configured_is_answered_so() -> None:
    around = Neighbourhood(online=(HERE,), names={}, domains={}, services={}, records=(RECORDS["disabled"],))
    record = replace(RECORDS["disabled"], may_run_on=(HERE,))
    situation = policy.Situation(
        around=replace(around, records=(record,)),
        requests=(asked("-e"),),
        victims=frozenset(),
        leaving=frozenset(),
        now_ms=0,
    )
    assert [spelled(p) for p in policy.decide(situation)] == ["-4"]
