"""How the text of an attribute becomes a number or a yes: strictly, and never by guessing.

Source: spec configuration, section 4.
"""

import re

_INTEGER = re.compile(r"[ \t\r\n]*([+-]?[0-9]{1,18})[ \t\r\n]*")
_TRUE = frozenset({"yes", "on", "true"})
_FALSE = frozenset({"no", "off", "false"})


def read_integer(text: str) -> int | None:
    """Return the number, None unless the text is an optional sign and at most 18 decimal digits."""
    match = _INTEGER.fullmatch(text)
    return int(match[1]) if match else None


def read_flag(text: str) -> bool | None:
    """Return whether a 0/1 flag is on; words are understood too; None for anything else."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    number = read_integer(text)
    return bool(number) if number in {0, 1} else None


def is_word_flag(text: str) -> bool:
    """Whether a flag is written as a word where 0 or 1 is meant."""
    return text.strip().lower() in _TRUE | _FALSE


def read_rank(text: str) -> int | None:
    """Return a service's `exclusive`: 0 is off, more is on; words are understood; None for anything else."""
    flag = read_flag(text)
    return int(flag) if flag is not None else read_integer(text)
