"""A plan as Python text that can be pasted into a test."""

from enum import Enum

from msgspec import Struct
from msgspec.structs import fields

from standfast.simulation.plan import Plan


def plan_source(plan: Plan) -> str:
    """Return the expression that makes this plan again, with one line for each fault."""
    lines = ["Plan("]
    for field in fields(Plan):
        value = getattr(plan, field.name)
        if value == field.default:
            continue
        if field.name == "schedule" and value:
            lines.append("    schedule=(")
            lines.extend(f"        {_source(scheduled)}," for scheduled in value)
            lines.append("    ),")
        else:
            lines.append(f"    {field.name}={_source(value)},")
    return "\n".join([*lines, ")"])


def _source(value: object) -> str:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, Struct):
        inside = ", ".join(f"{f.name}={_source(getattr(value, f.name))}" for f in fields(type(value)))
        return f"{type(value).__name__}({inside})"
    if isinstance(value, tuple):
        return f"({', '.join(_source(item) for item in value)}{',' if len(value) == 1 else ''})"
    return repr(value)
