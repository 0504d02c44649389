"""The command line of cman_tool: options and words in any order, with getopt's complaints and cman_tool's own.

Source: spec membership, sections 9.1 and 9.3.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know this name; the module typing takes 2 ms to load
if TYPE_CHECKING:
    from collections.abc import Sequence

PLAIN = "aAfhPqSVwX2"  # options without an argument
WITH_ARGUMENT = "cCeFkmnNoprtv"
PERHAPS_WITH_ARGUMENT = "dD"  # an argument follows without a blank, or there is none
NUMBERS = "eNprtv"
NAMES_MAX = 10
NODEID_MAX = 4096
PORT_MAX = 65535
DEBUG_ALL = 255  # -d alone

OPERATIONS = (
    "join",
    "leave",
    "kill",
    "expected",
    "votes",
    "wait",
    "status",
    "nodes",
    "services",
    "version",
    "debug",
)


class UsageError(Exception):
    """The command line cannot be used; the text is what is printed, newline excluded."""


class Options:
    """What the command line says."""

    def __init__(self) -> None:
        self.operation: str | None = None
        self.letters: set[str] = set()  # of the options that are there
        self.texts: dict[str, str] = {}  # arguments, the last one of each letter
        self.numbers: dict[str, int] = {}
        self.names: list[str] = []  # of -n
        self.remove = False
        self.force = False
        self.debug = 0
        self.check = "fail"  # of -D: fail, warn, none

    def has(self, letter: str) -> bool:
        """Whether the option is there."""
        return letter in self.letters


def read_options(program: str, argv: Sequence[str]) -> Options:
    """Return what the command line says; raises UsageError where it cannot be used.

    An operation that is missing is not an error here, since -h and -V need none.
    """
    options = Options()
    words: list[str] = []
    arguments = list(argv)
    while arguments:
        word = arguments.pop(0)
        if word == "--":
            words.extend(arguments)
            break
        if word.startswith("-") and word != "-":
            _read_letters(program, options, word[1:], arguments)
        else:
            words.append(word)
    if not options.has("h") and not options.has("V"):
        _read_words(program, options, words)
    else:
        options.operation = next((word for word in words if word in OPERATIONS), None)
    return options


def _read_letters(program: str, options: Options, letters: str, arguments: list[str]) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in PLAIN:
            options.letters.add(letter)
        elif letter in PERHAPS_WITH_ARGUMENT:
            _take(program, options, letter, letters)
            return
        elif letter in WITH_ARGUMENT:
            if not letters and not arguments:
                complaint = f"{program}: option requires an argument -- '{letter}'"
                raise UsageError(f"{complaint}\nPlease use '-h' for usage.")
            _take(program, options, letter, letters or arguments.pop(0))
            return
        else:
            raise UsageError(f"{program}: invalid option -- '{letter}'\nPlease use '-h' for usage.")


def _take(program: str, options: Options, letter: str, argument: str) -> None:
    options.letters.add(letter)
    options.texts[letter] = argument
    if letter in NUMBERS:
        options.numbers[letter] = _number(program, letter, argument)
    elif letter == "d":
        options.debug = _number(program, letter, argument) if argument else DEBUG_ALL
    elif letter == "D":
        options.check = _check_of(program, argument)
    elif letter == "n":
        if len(options.names) == NAMES_MAX:
            raise UsageError(f"{program}: maximum of {NAMES_MAX} node names allowed")
        options.names.append(argument)
    if letter == "N" and not 1 <= options.numbers["N"] <= NODEID_MAX:
        raise UsageError(f"{program}: Node id must be between 1 and {NODEID_MAX}")
    if letter == "p" and not 1 <= options.numbers["p"] <= PORT_MAX:
        raise UsageError(f"{program}: Port must be a number between 1 and {PORT_MAX}")


def _number(program: str, letter: str, argument: str) -> int:
    digits = argument.removeprefix("-").removeprefix("+") if len(argument) > 1 else argument
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 9:
        raise UsageError(f"{program}: argument to {letter} ({argument}) is not an integer")
    if argument.startswith("-"):
        raise UsageError(f"{program}: argument to {letter} cannot be negative")
    return int(digits)


def _check_of(program: str, argument: str) -> str:
    words = {"": "none", "f": "fail", "w": "warn", "n": "none"}
    found = words.get(argument[:1])
    if found is None:  # the original's own word for "fail"
        raise UsageError(f"{program}: invalid option to -D, it should be 'force', 'warn' or 'none'")
    return found


def _read_words(program: str, options: Options, words: Sequence[str]) -> None:
    for word in words:
        if word == "remove":
            options.remove = True
        elif word == "force":
            options.force = True
        elif word not in OPERATIONS:
            raise UsageError(f"{program}: unknown option {word}")
        elif options.operation is not None:
            raise UsageError(f"{program}: can't specify two operations")
        else:
            options.operation = word
    if options.operation is None:
        raise UsageError(f"{program}: no operation specified")
    waits = options.has("w") or options.has("q")
    if options.operation in ("join", "leave") and options.has("t") and not waits:
        raise UsageError(f"{program}: timeout is only appropriate with wait")
