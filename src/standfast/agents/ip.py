"""The ip resource: one address that moves between nodes with its service.

It goes on the interface that already has a static address in the same subnet. Source: spec resources, section 9.2.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from standfast.agents.addresses import Address, Interface, Wanted, choose_interface, holders, parse_address
from standfast.agents.contract import Exit, OperationError, check_level, is_off, parameter, perform, run, say
from standfast.agents.echo import answers_echo
from standfast.agents.iproute import add_address, interfaces, remove_address
from standfast.agents.loopback import claim, is_claimed, is_loopback, is_usable, release
from standfast.agents.neighbours import link_of
from standfast.wire.paths import PREFIX_VARIABLE, paths_under

PAUSE_S_MAX = 3600  # longest sleeptime
ECHO_DEPTH = 10  # from this depth on, a status check also asks the address for an echo


def main(operation: str, env: Mapping[str, str], out: TextIO) -> int:
    """Run one operation of the ip resource and return its exit code."""
    return perform("ip", _OPERATIONS, operation, env, out)


def _start(env: Mapping[str, str], out: TextIO) -> None:
    wanted = _wanted(env)
    address = wanted.address
    if is_loopback(address):
        claim(_run_dir(env), address)
        return
    known = interfaces()
    for interface, found in holders(known, address):
        if not found.dadfailed:
            return
        remove_address(interface, address, found.prefix)
    interface, prefix = choose_interface(known, wanted)
    if interface.asks_neighbours:
        with link_of(interface, address) as link:
            other = link.claimant()
            if other:
                raise OperationError(
                    Exit.GENERIC,
                    f'another machine answers for {address} on "{interface.name}", link address {other}; '
                    "remove it there",
                )
            _add(interface, address, prefix)
            link.announce()
    else:
        _add(interface, address, prefix)
    say(out, f'{address}/{prefix} added to "{interface.name}"')
    # Differs from rgmanager: rdisc and the NFS lock reclaim of nfslock are not poked; neither program exists today.


def _add(interface: Interface, address: Address, prefix: int) -> None:
    try:
        add_address(interface, address, prefix)
    except OperationError:
        if not holders(interfaces(), address):  # else somebody else was faster, and all is well
            raise


def _stop(env: Mapping[str, str], out: TextIO) -> None:
    address = _wanted(env).address
    pause_s = _pause_s(env)
    if is_loopback(address):
        release(_run_dir(env), address)
        return
    places = holders(interfaces(), address)
    if not places:
        return
    failure: OperationError | None = None
    for interface, found in places:
        try:
            remove_address(interface, address, found.prefix)
            say(out, f'{address}/{found.prefix} removed from "{interface.name}"')
        except OperationError as error:
            failure = error
    if left := holders(interfaces(), address):
        reason = f": {failure}" if failure else ""
        raise OperationError(
            failure.status if failure else Exit.GENERIC, f'{address} is still on "{left[0][0].name}"{reason}'
        )
    # Differs from rgmanager: no pause of 10 s unless sleeptime asks for it, because it only delays the takeover:
    # connections to an address that is gone cannot end any better by waiting.
    time.sleep(pause_s)


def _status(env: Mapping[str, str], out: TextIO) -> None:
    wanted = _wanted(env)
    address = wanted.address
    if is_loopback(address):
        if not is_claimed(_run_dir(env), address):
            raise OperationError(Exit.NOT_RUNNING, f"{address} is not on this node")
        if not is_usable(address):
            raise OperationError(Exit.NOT_RUNNING, f"the kernel does not answer for {address}; is lo down?")
        return
    places = holders(interfaces(), address)
    if not places:
        raise OperationError(Exit.NOT_RUNNING, f"{address} is not on this node")
    interface, found = places[0]
    if found.dadfailed:
        raise OperationError(Exit.NOT_RUNNING, f'another machine on "{interface.name}" has {address} too')
    if wanted.monitors_link and not interface.has_link:
        raise OperationError(Exit.NOT_RUNNING, f'"{interface.name}", which has {address}, has no link')
    if check_level(env) >= ECHO_DEPTH:
        _check_echo(address, out)
    if not interface.is_up:
        raise OperationError(Exit.ARGUMENT, f'"{interface.name}", which has {address}, is down')


def _check_echo(address: Address, out: TextIO) -> None:
    answered = answers_echo(address)
    if answered is None:
        say(out, f"{address} was not asked for an echo: raw sockets are not permitted here")
    elif not answered:
        raise OperationError(Exit.NOT_RUNNING, f"{address} does not answer an echo request")


def _validate(env: Mapping[str, str], _out: TextIO) -> None:
    _wanted(env)
    _pause_s(env)


def _wanted(env: Mapping[str, str]) -> Wanted:
    address, prefix = parse_address(parameter(env, "address"), parameter(env, "family").lower())
    return Wanted(
        address=address,
        prefix=prefix,
        interface=parameter(env, "prefer_interface") or None,
        monitors_link=not is_off(parameter(env, "monitor_link")),
    )


def _pause_s(env: Mapping[str, str]) -> int:
    text = parameter(env, "sleeptime") or "0"
    if not (text.isascii() and text.isdigit() and int(text) <= PAUSE_S_MAX):
        raise OperationError(
            Exit.ARGUMENT,
            f'sleeptime "{text}" is no number of seconds from 0 to {PAUSE_S_MAX}; write one, or none',
        )
    return int(text)


def _run_dir(env: Mapping[str, str]) -> Path:
    return Path(paths_under(env.get(PREFIX_VARIABLE, "")).run_dir)


_OPERATIONS = {
    "start": _start,
    "stop": _stop,
    "status": _status,
    "monitor": _status,
    "validate-all": _validate,
}


if __name__ == "__main__":
    run(main)
