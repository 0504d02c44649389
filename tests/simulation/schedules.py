"""The shortest schedules that show the breakages, kept as JSON: one file a breakage, one line a fault."""

from pathlib import Path

from msgspec import Struct, json
from msgspec.structs import replace
from tests.simulation.breakages import HERE, Breakage
from tests.simulation.broken_run import Found

from standfast.simulation.plan import Plan

FOLDER = HERE / "schedules"


class Regression(Struct, frozen=True, kw_only=True):
    """One schedule, and what it showed where the rule was broken."""

    breakage: str
    fired: str
    plan: Plan


def path_of(breakage: Breakage) -> Path:
    """Where the schedule of a breakage is kept."""
    slug = "".join(c if c.isalnum() else "-" for c in breakage.name.replace("'", "").replace(",", "").lower())
    return FOLDER / f"{slug}.json"


def regression_of(breakage: Breakage) -> Regression:
    """Read the schedule of a breakage."""
    return json.decode(path_of(breakage).read_bytes(), type=Regression)


def keep(breakage: Breakage, found: Found) -> None:
    """Store a schedule."""
    assert found.plan is not None
    plan = replace(found.plan, schedule=())
    whole = json.encode(Regression(breakage=breakage.name, fired=found.violations[0], plan=plan)).decode()
    faults = ",\n".join(f"  {json.encode(scheduled).decode()}" for scheduled in found.plan.schedule)
    text = whole.replace(',"plan":', ',\n"plan":').replace('"schedule":[]', f'\n "schedule":[\n{faults}\n ]')
    path_of(breakage).parent.mkdir(exist_ok=True)
    path_of(breakage).write_text(f"{text}\n")
