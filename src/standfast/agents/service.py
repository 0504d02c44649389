"""The service resource: the container at the top of each service; it does nothing by itself.

Source: spec resources, section 9.1.
"""

from collections.abc import Mapping
from typing import TextIO

from standfast.agents.contract import Exit, OperationError, parameter, perform, run


def main(operation: str, env: Mapping[str, str], out: TextIO) -> int:
    """Run one operation of the service resource and return its exit code."""
    return perform("service", _OPERATIONS, operation, env, out)


def _agree(_env: Mapping[str, str], _out: TextIO) -> None:
    # Differs from rgmanager: nfslock does not kill lockd; today's lockd is a kernel thread that ignores it.
    return


def _validate(env: Mapping[str, str], _out: TextIO) -> None:
    if not parameter(env, "name"):
        raise OperationError(Exit.ARGUMENT, 'service has no name; give it one, such as name="web"')


_OPERATIONS = {
    "start": _agree,
    "stop": _agree,
    "status": _agree,
    "monitor": _agree,
    "recover": _agree,
    "reconfig": _agree,
    "reload": _agree,
    "validate-all": _validate,
}


if __name__ == "__main__":
    run(main)
