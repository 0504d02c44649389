"""ccs_tool: creates, edits and lists cluster.conf, and makes a new version the active one on every member.

Source: spec configuration, section 7.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from msgspec import Struct

from standfast.cli.ccs_usage import USAGE, usage_of
from standfast.cli.conf_file import FileError, Lock, create_file, read_file, replace_file
from standfast.cli.entry import run_command
from standfast.cli.options import Option, OptionError, read_options
from standfast.conf import edit
from standfast.conf.document import Element
from standfast.conf.findings import Level, fatal, render_finding
from standfast.conf.nodes import is_multicast
from standfast.conf.values import read_integer
from standfast.errors import ConfError, StandfastError
from standfast.wire.control import Answer, Call, GetStatus
from standfast.wire.paths import PREFIX_VARIABLE, Paths, paths_under

PROGRAM = "ccs_tool"
STATUS_S_MAX = 5.0  # longest wait for the daemon's status
UPDATE_S_MAX = 120.0  # longest wait for all members to have a new configuration
HELP = ("-h", "--help")


class Session(Struct, frozen=True, kw_only=True):
    """What a command works with."""

    ask: Callable[[Call], Answer]
    out: TextIO
    err: TextIO
    paths: Paths
    verbose: bool = False  # ccs_tool -verbose


class Words(Struct, frozen=True):
    """A command's options and arguments, as written."""

    options: tuple[Option, ...]
    rest: tuple[str, ...]

    def has(self, *names: str) -> bool:
        """Whether one of these options is given."""
        return any(name in names for name, _ in self.options)

    def value(self, *names: str) -> str | None:
        """The value of the last of these options, None where none is given."""
        return next((value for name, value in reversed(self.options) if name in names), None)


class Command(Struct, frozen=True, kw_only=True):
    """One command: the work, its options as getopt wants them, and how many arguments it takes."""

    work: Callable[[Session, Words], int]
    letters: str
    words: tuple[str, ...]
    least: int
    most: int | None  # None: any number


class UsageError(Exception):
    """The command line of a command is wrong; its text says how, unless it is empty."""


def main(argv: Sequence[str], ask: Callable[[Call], Answer], out: TextIO, err: TextIO, paths: Paths) -> int:
    """Run the command and return its exit status; `argv` is without the program's name, `ask` talks to the daemon."""
    rest = list(argv)
    verbose = False
    while rest and rest[0] in {"-verbose", "--verbose"}:
        verbose = True
        del rest[0]
    if not rest or rest[0] in {*HELP, "help"}:
        out.write(USAGE)
        return 0
    if rest[0] in {"-V", "--version"}:
        out.write(_version())
        return 0
    if rest[0] not in COMMANDS:
        err.write(f"Unknown command, {rest[0]}.\nTry 'ccs_tool help' for help.\n")
        return 1
    return _run(rest[0], rest[1:], Session(ask=ask, out=out, err=err, paths=paths, verbose=verbose))


def run() -> int:
    """Run ccs_tool as a program."""
    from standfast.cli.client import ask as ask_daemon

    paths = paths_under(os.environ.get(PREFIX_VARIABLE, ""))

    def ask(call: Call) -> Answer:
        timeout_s = STATUS_S_MAX if isinstance(call, GetStatus) else UPDATE_S_MAX
        return ask_daemon(call, socket_path=paths.control_socket, timeout_s=timeout_s, progress=_tell)

    return run_command(PROGRAM, lambda out, err: main(sys.argv[1:], ask, out, err, paths))


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run(name: str, argv: Sequence[str], session: Session) -> int:
    command = COMMANDS[name]
    try:
        options, rest = read_options(PROGRAM, argv, f"{command.letters}h", (*command.words, "help"))
        words = Words(tuple(options), tuple(rest))
        if words.has(*HELP):
            session.out.write(usage_of(name))
            return 0
        if len(rest) < command.least or (command.most is not None and len(rest) > command.most):
            raise UsageError
        return command.work(session, words)
    except OptionError as error:
        session.err.write(f"{error}\n{usage_of(name)}")
    except UsageError as error:
        session.err.write(f"{PROGRAM}: {error}\n" if error.args else "")
        session.err.write(usage_of(name))
    except StandfastError as error:
        session.err.write(f"{PROGRAM}: {error}\n")
    return 1


def _create(session: Session, words: Words) -> int:
    path = _file(session, words)
    nodes = _number(words, "n", "-n") or 0
    if os.path.lexists(path):
        raise FileError(f"{path} already exists", code="file-exists")
    text = edit.create(words.rest[0], two_node=words.has("-2"), nodes=nodes, agent=words.value("-f"))
    create_file(path, text.encode())
    return 0


def _add_node(session: Session, words: Words) -> int:
    nodeid = _number(words, "n", "-n", "--nodeid")
    votes = _number(words, "v", "-v", "--votes")
    if not words.rest:
        raise UsageError
    node = edit.NewNode(
        name=words.rest[0],
        nodeid=nodeid,
        votes=1 if votes is None else votes,
        altname=words.value("-a", "--altname"),
        fence=words.value("-f", "--fence_type"),
        arguments=words.rest[1:],
    )
    if node.arguments and node.fence is None:
        raise UsageError("arguments for a fence device need -f DEVICE")
    return _edit(session, words, lambda draft: edit.add_node(draft, node))


def _remove_node(session: Session, words: Words) -> int:
    return _edit(session, words, lambda draft: edit.remove_node(draft, words.rest[0]))


def _add_fence(session: Session, words: Words) -> int:
    name, agent, *arguments = words.rest
    return _edit(session, words, lambda draft: edit.add_fence(draft, name, agent, arguments))


def _remove_fence(session: Session, words: Words) -> int:
    return _edit(session, words, lambda draft: edit.remove_fence(draft, words.rest[0]))


def _add_nodeids(session: Session, words: Words) -> int:
    path = _file(session, words)
    start = _number(words, "n", "-n", "--nodeid")
    address = words.value("-m", "--multicast")
    if address is not None and not is_multicast(address):
        raise ConfError(f"{address} is not a valid multicast address", code="edit-refused")
    with Lock(path):
        draft = _read(path, session)
        text, given = edit.add_nodeids(draft, start=1 if start is None else start, multicast=address)
        _write(session, words, path, text)
    if address is None and edit.multicast_address(draft.root) is None:
        session.err.write(
            f"{PROGRAM}: warning: the cluster has no multicast address; a default will be used\n"
        )
    if words.has("-v", "--verbose") or session.verbose:
        session.err.writelines(f"Node {name} now has id {nodeid}\n" for name, nodeid in given)
    return 0


def _list_nodes(session: Session, words: Words) -> int:
    from standfast.cli.ccs_listing import render_nodes

    root = _readable(session, words, "clusternodes")
    verbose = words.has("-v", "--verbose") or session.verbose
    session.out.write(render_nodes(root, verbose=verbose, with_secrets=_with_secrets(words)))
    return 0


def _list_fence_devices(session: Session, words: Words) -> int:
    from standfast.cli.ccs_listing import render_fence_devices

    root = _readable(session, words, "fencedevices")
    verbose = words.has("-v", "--verbose") or session.verbose
    session.out.write(render_fence_devices(root, verbose=verbose, with_secrets=_with_secrets(words)))
    return 0


def _update(session: Session, words: Words) -> int:
    from standfast.cli.ccs_update import update

    if not words.rest:
        session.err.write("Too few arguments.\nTry 'ccs_tool help' for help.\n")
        return 1
    if not update(words.rest[0], session.ask, session.out, session.err, verbose=session.verbose):
        session.err.write("\nFailed to update config file.\n")
        return 1
    session.out.write("\nUpdate complete.\n")
    return 0


def _query(session: Session, words: Words) -> int:
    from standfast.conf.query import query
    from standfast.conf.redact import redact_document

    document = _read(_file(session, words), session).document
    try:
        found = query(document if _with_secrets(words) else redact_document(document), words.rest[0])
    except ConfError as error:
        session.err.write(f"Query failed: {error}\n")
        return 1
    if not found:
        session.err.write("Query failed: No data available\n")
        return 1
    session.out.writelines(f"{value}\n" for value in found)
    return 0


def _upgrade(_session: Session, _words: Words) -> int:
    raise ConfError("upgrade is not supported", code="edit-refused")


def _edit(session: Session, words: Words, change: Callable[[edit.Draft], str]) -> int:
    """Edit the file, and activate it where it is the one that is read (or -F asks for it) and no -C forbids it."""
    path = _file(session, words)
    output = words.value("-o", "--outputfile") or path
    is_same = output != "-" and os.path.realpath(output) == os.path.realpath(path)
    activates = (is_same or (words.has("-F", "--force_ccs") and output != "-")) and not words.has(
        "-C", "--no_ccs"
    )
    with Lock(path):
        text = change(_read(path, session))
        if activates and not _check(session, output, text):
            return 1
        _write(session, words, path, text)
    return _activate(session, output) if activates else 0


def _check(session: Session, path: str, text: str) -> bool:
    """Say why a text could not be activated, before it is written."""
    from standfast.conf.load import load

    loaded = load(path, text.encode())
    if loaded.cluster is None:
        for line, finding in zip(loaded.lines, loaded.findings, strict=True):
            session.err.write("" if finding.level is Level.WARNING else f"{line}\n")
        session.err.write(
            f"{PROGRAM}: nothing was changed (the lines are those of the edited file); "
            "mend that first, or edit the file without making it active: -C\n"
        )
    return loaded.cluster is not None


def _activate(session: Session, path: str) -> int:
    from standfast.cli.ccs_update import update

    session.out.write("running ccs_tool update...\n")
    session.out.flush()
    if update(path, session.ask, session.out, session.err, verbose=session.verbose):
        return 0
    session.err.write(
        f"{PROGRAM}: {path} was changed but is not active; run 'ccs_tool update {path}' when the cluster runs\n"
    )
    return 1


def _file(session: Session, words: Words) -> str:
    return words.value("-c", "--configfile") or session.paths.cluster_conf


def _read(path: str, session: Session) -> edit.Draft:
    """Read and parse a file; a ConfError after the parser's own line is printed."""
    from standfast.conf.parse import BYTES_MAX, parse

    problem = ConfError("Error: unable to parse cluster.conf file", code="conf-unreadable")
    try:
        return edit.Draft(path, parse(path, read_file(path, BYTES_MAX)))
    except OSError as error:
        session.err.write(render_finding(path, fatal(0, "I03", f"cannot read: {error.strerror}")) + "\n")
        if isinstance(error, FileNotFoundError):
            session.err.write(
                f"{PROGRAM}: make it with 'ccs_tool create NAME', or name another file with -c\n"
            )
        raise problem from error
    except ConfError as error:
        session.err.write(f"{error}\n")
        raise problem from error


def _write(session: Session, words: Words, path: str, text: str) -> None:
    output = words.value("-o", "--outputfile") or path
    if output == "-":
        session.out.write(text)
    else:
        replace_file(output, text.encode())


def _readable(session: Session, words: Words, section: str) -> Element:
    path = _file(session, words)
    root = _read(path, session).root
    if root.first(section) is None:
        raise ConfError(f'Can\'t find "{section}" in {path}', code="edit-refused")
    return root


def _number(words: Words, letter: str, *names: str) -> int | None:
    text = words.value(*names)
    if text is None:
        return None
    number = read_integer(text)
    if number is None:
        raise ConfError(f"argument to {letter} ({text}) is not an integer", code="edit-refused")
    if number < 0:
        raise ConfError(f"argument to {letter} cannot be negative", code="edit-refused")
    return number


def _with_secrets(words: Words) -> bool:
    if not words.has("--show-secrets"):
        return False
    if os.geteuid() != 0:
        raise UsageError("--show-secrets is for root only")
    return True


def _version() -> str:
    from importlib.metadata import version

    return f"{PROGRAM} {version('standfast')}\nCopyright (C) the Standfast authors. Apache License 2.0.\n"


_EDIT_WORDS = ("configfile=", "outputfile=", "no_ccs", "force_ccs")
_LIST_WORDS = ("configfile=", "verbose", "show-secrets")

COMMANDS = {
    "create": Command(work=_create, letters="2c:n:f:", words=("configfile=",), least=1, most=1),
    "addnode": Command(
        work=_add_node,
        letters="c:o:CFv:n:a:f:",
        words=(*_EDIT_WORDS, "votes=", "nodeid=", "altname=", "fence_type="),
        least=0,
        most=None,
    ),
    "delnode": Command(work=_remove_node, letters="c:o:CF", words=_EDIT_WORDS, least=1, most=1),
    "addfence": Command(work=_add_fence, letters="c:o:CF", words=_EDIT_WORDS, least=2, most=None),
    "delfence": Command(work=_remove_fence, letters="c:o:CF", words=_EDIT_WORDS, least=1, most=1),
    "addnodeids": Command(
        work=_add_nodeids,
        letters="c:o:n:m:v",
        words=("configfile=", "outputfile=", "nodeid=", "multicast=", "verbose"),
        least=0,
        most=0,
    ),
    "lsnode": Command(work=_list_nodes, letters="c:v", words=_LIST_WORDS, least=0, most=0),
    "lsfence": Command(work=_list_fence_devices, letters="c:v", words=_LIST_WORDS, least=0, most=0),
    "update": Command(work=_update, letters="", words=(), least=0, most=1),
    "query": Command(work=_query, letters="c:n", words=("configfile=", "show-secrets"), least=1, most=1),
    "upgrade": Command(work=_upgrade, letters="", words=(), least=0, most=None),
}
