"""The script resource: an LSB-style script, run as `FILE start`, `FILE stop` and `FILE status`.

What the script prints goes to a file, not to the daemon's pipe: the server that it leaves running keeps that output
open, and a pipe that nobody reads any more would kill it. Source: spec resources, section 9.3.
"""

import errno
import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, TextIO
from urllib.parse import quote

from standfast.agents.contract import PROGRAM_PATH, Exit, OperationError, parameter, perform, run, say
from standfast.wire.paths import PREFIX_VARIABLE, paths_under

OUTPUT_BYTES_MAX = 1024 * 1024  # a longer output file is emptied before the next operation
REPORT_BYTES_MAX = 4096  # how much of a failed operation's output the daemon is told, from its end


def main(operation: str, env: Mapping[str, str], out: TextIO) -> int:
    """Run one operation of the script resource and return its exit code."""
    return perform("script", _OPERATIONS, operation, env, out)


def check_file(text: str) -> None:
    """Raise OperationError where `text` is not the absolute path of an executable file with something in it."""
    if not text:
        raise OperationError(
            Exit.ARGUMENT, 'script has no file; give it one, such as file="/etc/init.d/http"'
        )
    if not text.startswith("/") or "\0" in text:
        raise OperationError(Exit.ARGUMENT, f'file "{text}" is no absolute path; write it with a leading /')
    try:
        found = Path(text).stat()
    except (FileNotFoundError, NotADirectoryError):
        raise OperationError(
            Exit.NOT_INSTALLED, f"{text} does not exist on this node; install it there"
        ) from None
    except OSError as error:
        raise OperationError(Exit.GENERIC, f"{text}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise OperationError(
            Exit.ARGUMENT, f"{text} is {_kind(found.st_mode)}, not a script; name the script itself"
        )
    if not os.access(text, os.X_OK):
        raise OperationError(Exit.PRIVILEGE, f"{text} is not executable; mend it with: chmod +x {text}")
    if found.st_size == 0:
        raise OperationError(Exit.GENERIC, f"{text} is empty; a script must do something")


def _execute(env: Mapping[str, str], out: TextIO, operation: str) -> None:
    file = parameter(env, "file")
    check_file(file)
    environment = {"PATH": PROGRAM_PATH, **env}
    with _open_output(env, out) as output:
        begins_at = output.seek(0, os.SEEK_END)
        try:
            status = _call((file, operation), environment, output)
        except OSError as error:
            raise OperationError(Exit.GENERIC, _why_not_run(file, error)) from None
        if status == 0:
            return
        _report(output, begins_at, out)
    ending = f"returned {status}" if status > 0 else f"was ended by signal {-status}"
    raise OperationError(Exit.GENERIC, f"{file} {operation} {ending}")


def _call(command: tuple[str, ...], environment: Mapping[str, str], output: BinaryIO) -> int:
    """Run the script and return its exit status, negative for a signal."""
    try:
        return subprocess.call(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # Without an interpreter in its first line: a shell takes it, as the original's shell did.
    return subprocess.call(
        ("/bin/sh", *command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
    )


def _open_output(env: Mapping[str, str], out: TextIO) -> BinaryIO:
    """Open the resource's output file to append to it; where that is impossible, the null device."""
    folder = Path(paths_under(env.get(PREFIX_VARIABLE, "")).run_dir, "scripts")
    path = folder / (quote(parameter(env, "name") or parameter(env, "file"), safe="")[:200] + ".out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        output = path.open("a+b", buffering=0)
        if output.seek(0, os.SEEK_END) > OUTPUT_BYTES_MAX:
            output.truncate(0)
    except OSError as error:
        say(out, f"{path}: {error.strerror}; the script's output is lost")
        return Path(os.devnull).open("a+b", buffering=0)
    return output


def _report(output: BinaryIO, begins_at: int, out: TextIO) -> None:
    """Say what a failed script printed, or the end of it."""
    try:
        output.seek(max(begins_at, output.seek(0, os.SEEK_END) - REPORT_BYTES_MAX))
        text = output.read(REPORT_BYTES_MAX)
    except OSError:  # the null device cannot seek
        return
    for line in text.decode(errors="replace").splitlines():
        say(out, line)


def _why_not_run(file: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{file} names an interpreter in its first line that does not exist; mend its #! line"
    return f"{file} cannot be run: {error.strerror}"


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _start(env: Mapping[str, str], out: TextIO) -> None:
    _execute(env, out, "start")


def _stop(env: Mapping[str, str], out: TextIO) -> None:
    _execute(env, out, "stop")


def _status(env: Mapping[str, str], out: TextIO) -> None:
    _execute(env, out, "status")


def _validate(env: Mapping[str, str], _out: TextIO) -> None:
    check_file(parameter(env, "file"))


_OPERATIONS = {
    "start": _start,
    "stop": _stop,
    "status": _status,
    "monitor": _status,
    "validate-all": _validate,
}


if __name__ == "__main__":
    run(main)
