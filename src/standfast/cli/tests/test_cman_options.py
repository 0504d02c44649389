"""cman_tool's command line: options and words in any order, and the complaints of getopt and of cman_tool."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standfast.cli.cman_options import OPERATIONS, UsageError, read_options

HINT = "\nPlease use '-h' for usage."


@pytest.mark.parametrize(
    "argv",
    [
        ["-w", "-t", "60", "leave", "remove"],
        ["leave", "-wt60", "remove"],
        ["remove", "leave", "-t60", "-w"],
        [*["-t", "60", "--", "leave", "remove", "-w"][:2], "-w", "--", "leave", "remove"],
    ],
)
def test_options_and_words_stand_in_any_order(argv: list[str]) -> None:
    options = read_options("cman_tool", argv)
    assert (options.operation, options.remove, options.force) == ("leave", True, False)
    assert (options.has("w"), options.numbers["t"]) == (True, 60)


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "no operation specified"),
        (["-a"], "no operation specified"),
        (["remove"], "no operation specified"),
        (["status", "nodes"], "can't specify two operations"),
        (["wait", "-t", "5", "status"], "can't specify two operations"),
        (["statsu"], "unknown option statsu"),
        (["-Z", "status"], f"invalid option -- 'Z'{HINT}"),
        (["status", "-aZ"], f"invalid option -- 'Z'{HINT}"),
        (["votes", "-v"], f"option requires an argument -- 'v'{HINT}"),
        (["votes", "-v", "abc"], "argument to v (abc) is not an integer"),
        (["votes", "-v", "1.5"], "argument to v (1.5) is not an integer"),
        (["votes", "-v", ""], "argument to v () is not an integer"),
        (["votes", "-v", "-"], "argument to v (-) is not an integer"),
        (["votes", "-v", "9" * 30], f"argument to v ({'9' * 30}) is not an integer"),
        (["expected", "-e", "-1"], "argument to e cannot be negative"),
        (["-dx", "debug"], "argument to d (x) is not an integer"),
        (["-t", "5", "join"], "timeout is only appropriate with wait"),
        (["-t", "5", "leave"], "timeout is only appropriate with wait"),
        (["join", "-N", "4097"], "Node id must be between 1 and 4096"),
        (["join", "-p", "65536"], "Port must be a number between 1 and 65535"),
        (["kill", *(["-n", "vapp1"] * 11)], "maximum of 10 node names allowed"),
        (["version", "-Dloudly"], "invalid option to -D, it should be 'force', 'warn' or 'none'"),
    ],
)
def test_command_line_that_cannot_be_used_is_refused(argv: list[str], complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        read_options("cman_tool", argv)
    assert str(error.value) == f"cman_tool: {complaint}"


@pytest.mark.parametrize(
    ("word", "check"),
    [("-D", "none"), ("-Dfail", "fail"), ("-Dforce", "fail"), ("-Dwarn", "warn"), ("-Dnonsense", "none")],
)
def test_only_the_first_letter_of_the_check_counts(word: str, check: str) -> None:
    assert read_options("cman_tool", ["version", "-r1", word]).check == check


def test_file_is_checked_unless_something_else_is_said() -> None:
    assert read_options("cman_tool", ["version"]).check == "fail"


@pytest.mark.parametrize(("word", "mask"), [("-d", 255), ("-d4", 4), ("-d0", 0)])
def test_debug_mask_follows_without_a_blank(word: str, mask: int) -> None:
    assert read_options("cman_tool", ["debug", word]).debug == mask


def test_names_are_collected() -> None:
    assert read_options("cman_tool", ["nodes", "-n", "vapp1", "-nvapp2"]).names == ["vapp1", "vapp2"]


@given(
    st.lists(st.one_of(st.sampled_from([*OPERATIONS, "-h", "-w", "-t", "5", "-n", "-D", "--"]), st.text()))
)
def test_any_command_line_is_read_or_refused_in_words(argv: list[str]) -> None:
    said = ""
    try:
        options = read_options("cman_tool", argv)
        said = f"cman_tool: {options.operation or 'h' * options.has('h') or 'V' * options.has('V')}"
    except UsageError as error:
        said = str(error)
    assert said.startswith("cman_tool: ")
    assert said != "cman_tool: "
