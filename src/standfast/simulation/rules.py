"""What must never happen, as questions about a whole history: each has the verdict held, broken or unknown.

Pure. Source: design section 3.
"""

from collections.abc import Sequence

from standfast.simulation.acknowledged import answers_are_true, nothing_acknowledged_is_lost, one_config
from standfast.simulation.calm import a_daemons_restart_is_no_failure
from standfast.simulation.chronicle import Step
from standfast.simulation.lineage import one_history, one_state, time_never_goes_back
from standfast.simulation.ownership import no_unfenced_recovery, one_owner, who_leaves_has_nothing
from standfast.simulation.quorate import no_quorum_no_services, who_is_given_up_rests
from standfast.simulation.strangers import nothing_odd, only_strangers_are_refused
from standfast.simulation.verdict import Verdict

RULES = (
    nothing_odd,
    one_owner,
    who_leaves_has_nothing,
    no_quorum_no_services,
    who_is_given_up_rests,
    one_state,
    time_never_goes_back,
    one_history,
    one_config,
    nothing_acknowledged_is_lost,
    answers_are_true,
    no_unfenced_recovery,
    only_strangers_are_refused,
    a_daemons_restart_is_no_failure,
)


def verdicts(history: Sequence[Step]) -> tuple[Verdict, ...]:
    """Ask every rule."""
    return tuple(rule(history) for rule in RULES)
