# SPDX-License-Identifier: MIT
"""Decides from the machine's own state whether anything can still happen in it.

A counter that stands still on the host proves nothing: the host may be busy. What proves it is
that every vCPU sleeps and that no timer which could wake one has its deadline still ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.gdb_client import GdbError

if TYPE_CHECKING:
    from grader.machine import Machine

# Control register of each timer that wakes a CPU, and the name people use for the timer.
TIMERS = {
    "CNTHP_CTL_EL2": "CNTHP",
    "CNTHV_CTL_EL2": "CNTHV",
    "CNTP_CTL_EL0": "CNTP",
    "CNTV_CTL_EL0": "CNTV",
}
ENABLE, IMASK, ISTATUS = 1, 2, 4
WAITS = {0xD503207F: "WFI", 0xD503205F: "WFE"}


def timer_state(control: int) -> str:
    """A timer's control register in words."""
    if not control & ENABLE:
        return "off"
    if control & IMASK:
        return "masked"
    return "expired but not delivered" if control & ISTATUS else "armed"


def reason(machine: Machine) -> str | None:
    """Why nothing can happen any more, or None when something still can. The machine stands."""
    threads = machine.gdb.threads()
    parts = []
    for index, (number, description) in enumerate(threads):
        if "halted" not in description:
            return None
        machine.gdb.select_thread(number)
        states = _timers(machine)
        if "armed" in states.values():
            return None
        timers = ", ".join(f"{name} {state}" for name, state in states.items())
        parts.append(f"CPU {index} {_wait(machine)}; {timers}")
    machine.gdb.select_thread(threads[0][0])
    return "all vCPUs asleep and no timer ahead: " + " | ".join(parts)


def _timers(machine: Machine) -> dict[str, str]:
    states = {}
    for register, name in TIMERS.items():
        try:
            states[name] = timer_state(machine.register(register))
        except GdbError:
            continue
    return states


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
