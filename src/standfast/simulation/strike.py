"""How faults happen to the simulated world, and how they end."""

from functools import partial
from typing import assert_never

from msgspec.structs import replace

from standfast.engine.contract import EngineEvent
from standfast.errors import RefusedError
from standfast.simulation import chronicle as steps
from standfast.simulation import fault as faults
from standfast.simulation.configs import service_name, votes_of
from standfast.simulation.fault import Aimed, Blow, Fault
from standfast.simulation.machine import Machine
from standfast.simulation.world import World
from standfast.terms import NodeId
from standfast.wire.control import Operation

KNOCK_MS = 3_000  # how often somebody starts the daemon of a machine that does not belong


def strike(world: World, fault: Fault) -> None:
    """Let a fault happen."""
    world.counts[f"faults: {type(fault).__name__}"] += 1
    world.time.say(f"FAULT {fault}")
    machines, later = world.machines, world.time.call_in
    match fault:
        case faults.Crash():
            _blow(world, machines[fault.nodeid], Blow.CRASH, fault.off_ms)
        case faults.PowerCut():
            for machine in machines.values():
                world.power_off(machine)
            for off_ms, machine in zip(fault.off_ms, machines.values(), strict=True):
                later(off_ms, partial(world.power_on, machine))
        case faults.KillDaemon():
            world.kill_daemon(machines[fault.nodeid])
            if fault.away_ms:
                later(fault.away_ms, partial(world.start_daemon, machines[fault.nodeid]))
        case faults.Freeze():
            _blow(world, machines[fault.nodeid], Blow.FREEZE, fault.ms)
        case faults.Cut():
            others = [n for n in world.everybody() if n not in fault.side]
            world.cut([(a, b) for a in fault.side for b in others], fault.ms)
        case faults.CutLink():
            world.cut([(fault.a, fault.b)], fault.ms)
        case faults.ServiceDies():
            for machine in machines.values():
                world.agents.end_by_itself(machine, service_name(fault.service))
        case faults.ResourceBroken():
            name = service_name(fault.service)
            until_ms = max(world.agents.broken_until.get(name, 0), world.time.now_ms + fault.ms)
            world.agents.broken_until[name] = until_ms
        case faults.AgentsFail():
            _agents_fail(world, fault)
        case faults.FencingFails():
            fences = world.fences
            fences.fails, fences.slow, fences.lies = fault.fails, fault.slow, fault.lies
            later(fault.ms, fences.work)
        case (
            faults.Ask()
            | faults.AskOverride()
            | faults.AskVotes()
            | faults.UpdateFile()
            | faults.LeaveOrderly()
        ):
            _ask(world, fault)
        case faults.SwapFile():
            _swap_file(world, fault)
        case faults.ClockJumps():
            machines[fault.nodeid].change_clock(world.time.now_ms, fault.offset_ms, fault.per_mille)
            world.chronicle.append(steps.ClockChanged(world.time.now_ms, fault.nodeid))
        case faults.DiskFull():
            full = machines[fault.nodeid]
            full.disk_full_until = max(full.disk_full_until, world.time.now_ms + fault.ms)
        case faults.Stranger():
            _stranger_comes(world, fault)
        case faults.WrongName():
            _wrong_name(world, fault)
        case faults.SecondDaemon():
            _second_daemon(world, fault)
        case faults.Corrupt():
            _corrupt(world, machines[fault.nodeid])
        case faults.Aimed():
            world.aims.arm(fault, partial(_hit, world))
        case _:
            assert_never(fault)


def end_faults(world: World) -> None:
    """From now on everything works: links, agents, fencing, disks. What is off stays off."""
    world.time.say("faults end")
    world.aims.disarm()
    world.links.heal_all()
    world.links.note(world.machines.values())
    world.fences.work()
    world.agents.broken_until.clear()
    world.power_off(world.stranger)
    for machine in world.machines.values():
        machine.agents_work()
        machine.disk_full_until = 0
        world.thaw(machine)
        machine.alias = None
        if not machine.own:
            world.kill_daemon(machine)


def start_everything(world: World) -> None:
    """Switch on what is off."""
    for machine in world.machines.values():
        start(world, machine)


def start(world: World, machine: Machine) -> None:
    """Switch a machine on, if it is off, and start its daemon, if it does not run."""
    world.power_on(machine)
    world.start_daemon(machine)


def ask_everywhere(world: World) -> None:
    """Operators ask what changes nothing, so that the log goes on until states have been compared."""
    for machine in world.machines.values():
        _ask(world, faults.Ask(machine.nodeid, Operation.UNFREEZE, 0, None))


def _hit(world: World, aimed: Aimed, nodeid: NodeId) -> None:
    """Let an aimed fault hit."""
    machine = world.machines.get(nodeid)
    if machine is None:
        return
    world.counts[f"aimed: {aimed.moment.value}"] += 1
    world.time.call_in(aimed.wait_ms, partial(_blow, world, machine, aimed.blow, aimed.ms))


def _blow(world: World, machine: Machine, blow: Blow, ms: int) -> None:
    """Hit one machine, for a while where that makes sense."""
    later = world.time.call_in
    world.time.say(f"FAULT {blow.value} {machine.name} for {ms} ms")
    match blow:
        case Blow.CRASH:
            world.power_off(machine)
            later(ms, partial(world.power_on, machine))
        case Blow.KILL:
            world.kill_daemon(machine)
            later(ms, partial(world.start_daemon, machine))
        case Blow.FREEZE:
            world.freeze(machine)
            later(ms, partial(world.thaw, machine))
        case Blow.CUT_OFF:
            world.cut([(machine.nodeid, other) for other in world.everybody()], ms)
        case Blow.SERVICES_DIE:
            for service in sorted(machine.services):
                world.agents.end_by_itself(machine, service)
        case Blow.UPDATE:
            _ask(world, faults.UpdateFile(machine.nodeid, 0, "change"))
        case Blow.RELOCATE:
            _ask(world, faults.Ask(machine.nodeid, Operation.RELOCATE, 0, None))
        case _:
            assert_never(blow)


def _corrupt(world: World, machine: Machine) -> None:
    """Change a part of what a daemon knows that decides nothing: only the comparison of states can notice it."""
    daemon = machine.daemon
    if daemon is None or not machine.own:
        return
    node, state = daemon.participant, daemon.participant.session.state
    if state is None:
        return
    state = replace(state, estranged=((NodeId(99), "nobody"),))
    daemon.participant = replace(node, session=replace(node.session, state=state))
    world.corrupted = True
    world.chronicle.append(steps.Corrupted(world.time.now_ms, machine.nodeid))


def _agents_fail(world: World, fault: faults.AgentsFail) -> None:
    machine = world.machines[fault.nodeid]
    machine.start_fails, machine.stop_fails = fault.start_fails, fault.stop_fails
    machine.hangs, machine.slow = fault.hangs, fault.slow
    world.time.call_in(fault.ms, machine.agents_work)


def _ask(
    world: World,
    fault: faults.Ask | faults.AskOverride | faults.AskVotes | faults.UpdateFile | faults.LeaveOrderly,
) -> None:
    """An operator asks something of a daemon; one that cannot answer is not asked."""
    machine = world.machines[fault.nodeid]
    if isinstance(fault, faults.LeaveOrderly):
        world.time.call_in(fault.away_ms, partial(world.start_daemon, machine))
    if isinstance(fault, faults.AskVotes):
        away = world.machines[fault.target if fault.what == "kill" else fault.nodeid]
        world.time.call_in(fault.ms, partial(world.start_daemon, away))
    if not machine.alive():
        return
    match fault:
        case faults.AskVotes():
            world.ask(machine, world.operators.votes_request(machine, fault, world.machines.values()))
        case faults.Ask():
            world.ask(machine, world.operators.service_request(machine, fault))
        case faults.UpdateFile():
            world.ask(machine, world.operators.config_request(machine, fault))
        case faults.LeaveOrderly():
            world.ask(machine, world.operators.leave_request(machine))
        case faults.AskOverride():
            for request in world.operators.override_requests(
                machine, world.machines.values(), fault.mistaken
            ):
                world.ask(machine, request)


def _swap_file(world: World, fault: faults.SwapFile) -> None:
    machine = world.machines[fault.nodeid]
    _blow(world, machine, Blow.CRASH, fault.off_ms)
    version = max(1, machine.disk.config_version + fault.versions)
    world.disks.swap(machine, replace(machine.disk, config_version=version))


def _stranger_comes(world: World, fault: faults.Stranger) -> None:
    until_ms = world.time.now_ms + fault.ms

    def knock() -> None:
        if world.time.now_ms >= until_ms:
            world.power_off(world.stranger)
        else:
            world.power_on(world.stranger)
            world.start_daemon(world.stranger)
            world.time.call_in(min(KNOCK_MS, until_ms - world.time.now_ms), knock)

    knock()


def _wrong_name(world: World, fault: faults.WrongName) -> None:
    machine = world.machines[fault.nodeid]
    machine.alias = (machine.name, "other") if fault.of_cluster else ("impostor", machine.disk.name)
    world.kill_daemon(machine)
    world.start_daemon(machine)

    def mended() -> None:
        machine.alias = None
        if not machine.own:
            world.kill_daemon(machine)
        world.start_daemon(machine)

    world.time.call_in(fault.ms, mended)


def _second_daemon(world: World, fault: faults.SecondDaemon) -> None:
    machine = world.machines[fault.nodeid]
    if not machine.alive():
        return

    def deliver(event: EngineEvent) -> None:
        text = f"a second daemon of {machine.name} was given {type(event).__name__}"
        world.chronicle.append(steps.Odd(world.time.now_ms, text))

    try:
        world.network.attach(machine.nodeid, "second", votes_of(machine.disk), deliver)
    except RefusedError:
        world.counts["second daemons refused"] += 1
