"""The fence actions on a device that switches power: each change is verified by asking the device again.

Source: spec fencing, section 15, "Actions and exit codes".
"""

import time
from enum import StrEnum
from typing import Protocol

from standfast.agents.contract import say
from standfast.agents.fence_api import (
    DELAY,
    PLUG,
    POWER_TIMEOUT,
    FenceAction,
    FenceError,
    FenceExit,
    Options,
    Streams,
    seconds,
)

POLL_MS = 100  # between two questions whether the power has changed

POWER_ACTIONS = tuple(
    FenceAction(name)
    for name in (
        "on",
        "off",
        "reboot",
        "status",
        "list",
        "list-status",
        "monitor",
        "metadata",
        "validate-all",
    )
)


class Power(StrEnum):
    """What a device says about a plug."""

    ON = "on"
    OFF = "off"


class PowerDevice(Protocol):
    """A device with plugs. Each method raises FenceError when the device fails, refuses or does not answer in time."""

    def power(self, plug: str) -> Power:
        """Ask for the state of a plug."""
        ...

    def switch(self, plug: str, wanted: Power) -> None:
        """Order a plug to be switched; the device may still be at it when this returns."""
        ...

    def plugs(self) -> tuple[str, ...]:
        """Return the names of all plugs."""
        ...


def perform_power_action(device: PowerDevice, action: str, options: Options, streams: Streams) -> int:
    """Carry out one of POWER_ACTIONS and return the exit code."""
    plug = options.get(PLUG.name, "")
    match action:
        case "monitor":
            device.plugs()
        case "list":
            for name in device.plugs():
                say(streams.out, f"{name},")
        case "list-status":
            for name in device.plugs():
                say(streams.out, f"{name},,{device.power(name).upper()}")
        case "status":
            state = device.power(plug)
            say(streams.out, f"Status: {state.upper()}")
            return FenceExit.SUCCESS if state is Power.ON else FenceExit.OFF
        case "on":
            _power_to(device, plug, Power.ON, options, streams)
        case "off":
            _wait_delay(options)
            _power_to(device, plug, Power.OFF, options, streams)
        case "reboot":
            _wait_delay(options)
            _reboot(device, plug, options, streams)
        case _:
            raise FenceError(f"Unrecognised action '{action}'")
    return FenceExit.SUCCESS


def _power_to(device: PowerDevice, plug: str, wanted: Power, options: Options, streams: Streams) -> None:
    if device.power(plug) is wanted:
        say(streams.out, f"Success: Already {wanted.upper()}")
        return
    _switch_verified(device, plug, wanted, options)
    say(streams.out, f"Success: Powered {wanted.upper()}")


def _reboot(device: PowerDevice, plug: str, options: Options, streams: Streams) -> None:
    if device.power(plug) is Power.ON:
        _switch_verified(device, plug, Power.OFF, options)
    try:
        _switch_verified(device, plug, Power.ON, options)
    except FenceError as error:  # the node was verifiably off: that is what fencing is about
        say(streams.err, f"Timed out waiting to power ON: {error}")
    say(streams.out, "Success: Rebooted")


def _switch_verified(device: PowerDevice, plug: str, wanted: Power, options: Options) -> None:
    """Switch a plug and return when the device says that it has happened."""
    limit_s = seconds(options, POWER_TIMEOUT)
    deadline_s = time.monotonic() + limit_s
    device.switch(plug, wanted)
    while device.power(plug) is not wanted:
        if time.monotonic() >= deadline_s:
            raise FenceError(f"plug '{plug}' is not {wanted.upper()} after {limit_s:.0f} s")
        time.sleep(POLL_MS / 1000)


def _wait_delay(options: Options) -> None:
    time.sleep(seconds(options, DELAY))
