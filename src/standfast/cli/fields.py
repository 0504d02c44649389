"""Reading the daemon's JSON field by field, for commands that must start at once: msgspec loads longer than they run."""

from __future__ import annotations

import json

from standfast.cli.line import PROTOCOL_VERSION
from standfast.errors import StandfastError, UnreachableError

Json = dict[str, object]


def read_answer(line: bytes) -> Json:
    """Return the answer's JSON object as it came.

    Raises StandfastError with the daemon's own text and code where it refuses, UnreachableError where this is no answer.
    """
    try:
        fields = object_of(json.loads(line))
        if fields.get("v") != PROTOCOL_VERSION:
            raise foreign(f"version {fields.get('v')} instead of {PROTOCOL_VERSION}")
        answer = object_of(fields.get("answer"))
    except (ValueError, RecursionError) as error:
        raise foreign(str(error)) from error
    if answer.get("type") == "failure":
        daemon_code = text_of(answer, "code")
        raise StandfastError(text_of(answer, "text"), code=daemon_code)
    return answer


def foreign(what: str) -> UnreachableError:
    """Return the error for an answer that no daemon of this release gives."""
    return UnreachableError(
        f"the answer is not of our protocol ({what}); the daemon is of another release: restart it",
        code="not-our-protocol",
    )


def object_of(raw: object) -> Json:
    """Return a JSON object; raises UnreachableError where it is something else, as the others here do."""
    if isinstance(raw, dict):
        return raw
    raise foreign(f"{raw!r:.40} is no object")


def list_of(fields: Json, key: str) -> list[object]:
    """Return the list in a field."""
    value = fields.get(key)
    if isinstance(value, list):
        return value
    raise foreign(f'"{key}" is {value!r:.40}')


def text_of(fields: Json, key: str, default: str | None = None) -> str:
    """Return the text in a field; `default` where it is missing."""
    value = fields.get(key, default)
    if isinstance(value, str):
        return value
    raise foreign(f'"{key}" is {value!r:.40}')


def name_of(fields: Json, key: str) -> str | None:
    """Return the text in a field, None where there is none."""
    return None if fields.get(key) is None else text_of(fields, key)


def number_of(fields: Json, key: str) -> int:
    """Return the whole number in a field."""
    value = fields.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise foreign(f'"{key}" is {value!r:.40}')


def flag_of(fields: Json, key: str, *, default: bool | None = None) -> bool:
    """Return the boolean in a field; `default` where it is missing."""
    value = fields.get(key, default)
    if isinstance(value, bool):
        return value
    raise foreign(f'"{key}" is {value!r:.40}')
