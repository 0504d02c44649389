"""Options of the commands that RHCS had, with its getopt's complaints."""

from __future__ import annotations

import getopt

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Sequence

Option = tuple[str, str]
"""An option as written, such as "-m" or "--json", and its argument ("" where it takes none)."""


class OptionError(Exception):
    """An unknown option or a missing argument, in getopt's words."""


def read_options(
    program: str, argv: Sequence[str], letters: str, words: Sequence[str] = ()
) -> tuple[list[Option], list[str]]:
    """Split `argv` into options, in order, and the other arguments. `letters` and `words` are as for getopt."""
    try:
        options, rest = getopt.gnu_getopt(list(argv), letters, list(words))
    except getopt.GetoptError as error:
        raise OptionError(_complaint(program, error)) from error
    return options, rest


def _complaint(program: str, error: getopt.GetoptError) -> str:
    if len(error.opt) == 1:
        if "requires" in error.msg:
            return f"{program}: option requires an argument -- '{error.opt}'"
        return f"{program}: invalid option -- '{error.opt}'"
    return f"{program}: {error.msg}"
