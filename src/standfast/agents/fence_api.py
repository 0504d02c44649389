"""What our fence agents share: how they are asked, what they say about themselves, how they end.

A fence agent reads `key=value` lines from standard input, or options from its command line when it has any. The value
of a key that the agent does not know is never printed: it may be a password. Source: spec fencing, section 15.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import TextIO

from msgspec import Struct

from standfast.agents.contract import say, shielded

INPUT_BYTES_MAX = 64 * 1024  # longest standard input


class FenceExit(IntEnum):
    """Exit codes of a fence agent; every failure is 1."""

    SUCCESS = 0
    FAILURE = 1
    OFF = 2  # of `status` only


class FenceError(Exception):
    """A fence agent cannot do what it was asked for; the text is for a person."""


class Streams(Struct, frozen=True):
    """A program's standard input, output and error."""

    given: TextIO
    out: TextIO
    err: TextIO


class FenceOption(Struct, frozen=True, kw_only=True):
    """One key of an agent. `name` is today's key, `old` those that older configurations use."""

    name: str
    old: tuple[str, ...] = ()
    short: str
    content: str = "string"  # string, boolean, integer, second
    default: str | None = None
    required: bool = False
    shortdesc: str


class FenceAction(Struct, frozen=True):
    """One action of an agent, in its metadata."""

    name: str
    on_target: bool = False
    automatic: bool = False


class FenceAgent(Struct, frozen=True, kw_only=True):
    """What an agent says about itself."""

    name: str
    shortdesc: str
    longdesc: str
    options: tuple[FenceOption, ...]
    actions: tuple[FenceAction, ...]


Options = Mapping[str, str]
"""Values by today's key; an option without value or default is absent."""

Call = Callable[[str, Options, Streams], int]
"""Carry out one action with its options; returns the exit code."""

FenceMain = Callable[[Sequence[str], Streams], int]
"""A fence agent's entry: its command line without the program's name; returns the exit code."""

ACTION = FenceOption(
    name="action", old=("option",), short="o", default="reboot", required=True, shortdesc="Fencing action"
)
PLUG = FenceOption(
    name="plug",
    old=("port",),
    short="n",
    required=True,
    shortdesc="Physical plug number on device, UUID or identification of machine",
)
DELAY = FenceOption(
    name="delay",
    short="w",
    content="second",
    default="0",
    shortdesc="Wait X seconds before fencing is started",
)
POWER_TIMEOUT = FenceOption(
    name="power_timeout",
    short="t",
    content="second",
    default="20",
    shortdesc="Test X seconds for status change after ON/OFF",
)

METADATA_WORDS = {"metadata", "meta-data"}
_SILENT_KEYS = {"agent", "nodename"}  # the daemon adds them; an agent that has no use for them says nothing
_ACTION_LIKE_KEYS = {"act", "command", "operation"}  # ignored, such a key would become a reboot


def perform_fencing(agent: FenceAgent, call: Call, argv: Sequence[str], streams: Streams) -> int:
    """Read the options from `argv`, or from standard input where it is empty, and carry out the action."""
    try:
        options = _from_words(agent, argv, streams.err) if argv else _from_lines(agent, streams)
        if options is None:
            say(streams.out, _usage(agent))
            return FenceExit.SUCCESS
        action = options.get(ACTION.name, "").lower()
        if action in METADATA_WORDS:
            say(streams.out, render_fence_metadata(agent))
            return FenceExit.SUCCESS
        _check(agent, action, options)
        if action == "validate-all":
            return FenceExit.SUCCESS
        return call(action, options, streams)
    except FenceError as error:
        say(streams.err, f"Failed: {error}")
        return FenceExit.FAILURE


def run_fencing(main: FenceMain) -> None:
    """Start a fence agent as a program."""
    sys.exit(shielded(lambda: main(sys.argv[1:], Streams(sys.stdin, sys.stdout, sys.stderr))))


def read_options(agent: FenceAgent, text: str, err: TextIO) -> dict[str, str]:
    """Read `key=value` lines; the last line with a key wins, and a key that is unknown is named on `err` and ignored."""
    keys = {_canonical(key): option for option in agent.options for key in (option.name, *option.old)}
    found = {option.name: option.default for option in agent.options if option.default is not None}
    for number, whole in enumerate(text.splitlines(), 1):
        line = whole.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        name = _canonical(key.strip())
        option = keys.get(name)
        if not equals:
            say(err, f"Parse error: Ignoring line {number} of the input, which has no =")
        elif option is not None:
            found[option.name] = _unquoted(value.strip())
        elif name in _ACTION_LIKE_KEYS:
            raise FenceError(f"'{name}' is not a key of {agent.name}; write the action as action=")
        elif name not in _SILENT_KEYS:
            say(err, f"Parse error: Ignoring unknown option '{name}'")
    return {name: value for name, value in found.items() if value != ""}


def seconds(options: Options, option: FenceOption) -> float:
    """Return the value of an option that is a time, in seconds."""
    text = options.get(option.name, option.default or "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise FenceError(f"{option.name} '{text}' is no number of seconds")
    return float(text)


def render_fence_metadata(agent: FenceAgent) -> str:
    """Return the XML that the action `metadata` prints."""
    return "\n".join(
        (
            '<?xml version="1.0" ?>',
            f'<resource-agent name="{agent.name}" shortdesc="{_escape(agent.shortdesc)}">',
            f"<longdesc>{_escape(agent.longdesc)}</longdesc>",
            "<vendor-url></vendor-url>",
            "<parameters>",
            *(line for option in agent.options for line in _parameter_lines(option)),
            "</parameters>",
            "<actions>",
            *(_action_line(action) for action in agent.actions),
            "</actions>",
            "</resource-agent>",
        )
    )


def _from_lines(agent: FenceAgent, streams: Streams) -> dict[str, str]:
    text = streams.given.read(INPUT_BYTES_MAX + 1)
    if len(text) > INPUT_BYTES_MAX:
        raise FenceError(f"the input is longer than {INPUT_BYTES_MAX} bytes")
    return read_options(agent, text, streams.err)


def _from_words(agent: FenceAgent, argv: Sequence[str], err: TextIO) -> dict[str, str] | None:
    """Read the command line; None when it asks for help."""
    from getopt import GetoptError, gnu_getopt  # only here: the daemon never uses the command line

    options = agent.options
    flags = {option.name for option in options if option.content == "boolean"}
    short = "".join(option.short + ("" if option.name in flags else ":") for option in options)
    words = [_dashed(option.name) + ("" if option.name in flags else "=") for option in options]
    try:
        given, surplus = gnu_getopt(list(argv), "h" + short, ["help", *words])
    except GetoptError as error:
        raise FenceError(f"{error}; see {agent.name} --help") from None
    names = {f"-{option.short}": option.name for option in options}
    names |= {f"--{_dashed(option.name)}": option.name for option in options}
    if any(word in {"-h", "--help"} for word, _ in given):
        return None
    if surplus:
        say(err, "Unused arguments on command line")
    found = {option.name: option.default for option in options if option.default is not None}
    found |= {names[word]: value or "1" for word, value in given}
    return {name: value for name, value in found.items() if value != ""}


def _check(agent: FenceAgent, action: str, options: Options) -> None:
    if action not in {known.name for known in agent.actions}:
        raise FenceError(f"Unrecognised action '{action}'")
    for option in agent.options:
        if option.content in {"second", "integer"}:
            seconds(options, option)
        without = {"list", "list-status", "monitor"} if option.name == PLUG.name else set()
        if option.required and option.name not in options and action not in without:
            raise FenceError(f"You have to set {option.name}\nPlease use '-h' for usage")


def _usage(agent: FenceAgent) -> str:
    lines = [
        f"usage: {agent.name} [OPTION...], or key=value lines on standard input",
        "",
        agent.shortdesc,
        "",
    ]
    for option in agent.options:
        argument = "" if option.content == "boolean" else f"=[{option.name}]"
        lines.append(f"  -{option.short}, --{_dashed(option.name)}{argument}  {option.shortdesc}")
    return "\n".join(lines)


def _parameter_lines(option: FenceOption) -> list[str]:
    unique = 'unique="0"'
    required = f'required="{int(option.required)}"'
    default = "" if option.default is None else f' default="{_escape(option.default)}"'
    argument = "" if option.content == "boolean" else f"=[{option.name}]"
    body = [
        f'\t\t<getopt mixed="-{option.short}, --{_dashed(option.name)}{argument}" />',
        f'\t\t<content type="{option.content}"{default} />',
        f'\t\t<shortdesc lang="en">{_escape(option.shortdesc)}</shortdesc>',
        "\t</parameter>",
    ]
    obsoletes = f' obsoletes="{option.old[0]}"' if option.old else ""
    lines: list[str] = []
    for old in option.old:
        lines += [f'\t<parameter name="{old}" {unique} {required} deprecated="1">', *body]
    return [*lines, f'\t<parameter name="{option.name}" {unique} {required}{obsoletes}>', *body]


def _action_line(action: FenceAction) -> str:
    marks = (' on_target="1"' if action.on_target else "") + (' automatic="1"' if action.automatic else "")
    return f'\t<action name="{action.name}"{marks} />'


def _canonical(key: str) -> str:
    return key.replace("-", "_").lower()


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value.startswith('"') and value.endswith('"') else value


def _escape(text: str) -> str:
    for character in '&<>"':
        text = text.replace(character, f"&#{ord(character)};")
    return text
