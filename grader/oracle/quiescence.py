# SPDX-License-Identifier: MIT
"""Decides from the machine's own state whether anything can still happen in it.

A counter that stands still on the host proves nothing: the host may be busy. What proves it is
that every vCPU sleeps and no timer which could wake one has its deadline still ahead, or that it
takes an exception whose vector it cannot fetch: that is the same exception again, for ever.
"""

from __future__ import annotations

import struct

from grader.machine.gdb_client import GdbError
from grader.machine.launch import Guest
from grader.machine.machine import Machine
from grader.machine.symbols import symbols_of
from grader.machine.verdict import Finding
from grader.oracle.decode.esr import Esr
from grader.oracle.decode.timer import timer_state
from grader.oracle.objects import Objects, Vm

# Each timer that wakes a CPU: the name people use for it, its control register, its deadline.
TIMERS = {
    "CNTHP": ("CNTHP_CTL_EL2", "CNTHP_CVAL_EL2"),
    "CNTHV": ("CNTHV_CTL_EL2", "CNTHV_CVAL_EL2"),
    "CNTP": ("CNTP_CTL_EL0", "CNTP_CVAL_EL0"),
    "CNTV": ("CNTV_CTL_EL0", "CNTV_CVAL_EL0"),
}
CURRENT_EL_SPX = 0x200  # offset in a vector table: synchronous, from the same EL
EC_FETCH_AT_SAME_EL = 0x21
WAITS = {0xD503207F: "WFI", 0xD503205F: "WFE"}
BLOCKED = 3  # enum vcpu_state


def reason(machine: Machine) -> str | None:
    """Why nothing can happen any more, or None when something still can. The machine stands."""
    threads = machine.gdb.threads()
    asleep, looping = [], []
    for index, (number, description) in enumerate(threads):
        machine.gdb.select_thread(number)
        if "halted" not in description:
            loop = _exception_loop(machine)
            if loop is None:
                return None
            looping.append(f"CPU {index} {loop}")
            continue
        states = _timers(machine)
        if "armed" in states.values():
            return None
        timers = ", ".join(f"{name} {state}" for name, state in states.items())
        asleep.append(f"CPU {index} {_wait(machine)}; {timers}")
    machine.gdb.select_thread(threads[0][0])
    if looping:
        return " | ".join(looping + asleep)
    words = " | ".join(asleep) + _blocked(machine) + "".join(
        f" | {text}" for text in beside_a_queue(machine))
    return f"all vCPUs asleep and no timer ahead: {words}"


def _exception_loop(machine: Machine) -> str | None:
    """What a vCPU does that cannot fetch the first instruction of its own vector; else None."""
    el = machine.exception_level
    if el not in (1, 2):
        return None
    vector = machine.register(f"VBAR_EL{el}") + CURRENT_EL_SPX
    syndrome = Esr(machine.register(f"ESR_EL{el}"))
    fault = [machine.register(name) for name in ("pc", f"ELR_EL{el}", f"FAR_EL{el}")]
    if syndrome.ec != EC_FETCH_AT_SAME_EL or fault != [vector] * 3:
        return None
    return (
        f"takes the same exception for ever: its vector, VBAR_EL{el} + {CURRENT_EL_SPX:#x} ="
        f" {vector:#x}, cannot be executed ({syndrome})"
    )


def _timers(machine: Machine) -> dict[str, str]:
    states = {}
    offset = machine.register("CNTVOFF_EL2")
    for name, (control, deadline) in TIMERS.items():
        try:
            ticks = machine.register(deadline) + (offset if name == "CNTV" else 0)
            states[name] = timer_state(machine.register(control), ticks & (1 << 64) - 1)
        except GdbError:
            continue
    return states


def timer_ahead(machine: Machine) -> bool:
    """Whether a timer of the selected CPU will expire, which can wake it."""
    return "armed" in _timers(machine).values()


def _blocked(machine: Machine) -> str:
    """Where the guests stand that EL2 has put to sleep, as far as its own objects can be read."""
    words = ""
    try:
        for vm, guest in zip(Objects(machine).vms(), machine.guests, strict=True):
            for index in range(vm.get("vcpu_count")):
                words += _blocked_vcpu(vm, index, guest)
    except (Finding, GdbError, LookupError, ValueError, struct.error):
        pass  # what else there is to say stands already
    return words


def beside_a_queue(machine: Machine) -> list[str]:
    """Which CPUs sleep although a vCPU waits for them, in words."""
    found = []
    try:
        for index, (_, description) in enumerate(machine.gdb.threads()):
            if "halted" in description and Objects(machine).cpu(index).get("runnable_count"):
                found.append(f"a vCPU waits on the run queue of CPU {index}, which sleeps")
    except (Finding, GdbError, LookupError, ValueError, struct.error):
        pass
    return found


def _blocked_vcpu(vm: Vm, index: int, guest: Guest) -> str:
    """The same of one vCPU; its number where the VM has several."""
    vcpu = vm.vcpu(index)
    if vcpu.get("state") != BLOCKED:
        return ""
    who = f"VM {vm.index}" + (f" vCPU {index}" if vm.get("vcpu_count") > 1 else "")
    pc = vcpu.get("frame.pc")
    symbols, address = symbols_of(guest.elf), pc - guest.load_address
    wait = WAITS.get(symbols.word(address) or 0)
    how = f" at its {wait} and not behind it," if wait else ", to go on"
    return f" | {who} blocked{how} at {pc:#x} {symbols.place(address) or ''} of {guest.name}"


def _wait(machine: Machine) -> str:
    """Which instruction a halted vCPU sleeps in, and where."""
    pc = machine.pc
    try:
        opcode = int.from_bytes(machine.gdb.read_virtual(pc - 4, 4), "little")
    except GdbError:
        opcode = 0
    if opcode not in WAITS:
        return f"powered off (pc {pc:#x})"
    return f"in {WAITS[opcode]} at EL{machine.exception_level}, {machine.place(pc - 4)}"
