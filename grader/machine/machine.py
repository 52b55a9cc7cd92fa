# SPDX-License-Identifier: MIT
"""A machine under test: QEMU under GDB and QMP, run from stop to stop under an instruction budget.

Every wait is on file descriptors: GDB's output, QMP and the plugin's notification.
Time on the host decides one thing only, how soon a machine whose counter stands still is looked
at; what is then concluded comes from the machine's registers (grader/oracle/quiescence.py). That is
the emulator's processor time: where all CPUs sleep, the emulator is busy with letting the machine's
time pass, and on a busy host a counter stands still since the emulator does.
"""

from __future__ import annotations

import enum
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from grader.machine.budget import NO_LIMIT
from grader.machine.console import CONSOLE_BYTES
from grader.machine.gdb_client import Gdb, GdbError
from grader.machine.layouts import layout
from grader.machine.launch import Guest, MachineConfig, Process
from grader.machine.memory import RAM_BASE
from grader.machine.mi import Record
from grader.machine.qmp import Qmp
from grader.machine.symbols import Symbols, symbols_of
from grader.machine.verdict import Finding, Verdict, infrastructure, show

DEFAULT_BUDGET = 50_000_000
LOOK_SECONDS = 0.03  # between two looks at the counter
STILL_SECONDS = 0.02  # of the emulator, without an instruction: then the machine is looked at
STILL_WALL_SECONDS = 1.0  # or of the host, where the emulator sleeps, too
QUIET_LOOKS = 3
ALONE_SECONDS = 0.005  # the same where one CPU runs alone, and often falls asleep
# Two nets under the instruction budget. Some instructions cost the emulator thousands of times what
# others cost (code in a device's registers, a device in a loop, a sleep of years). A machine that
# executes nothing else fails, by processor time; a machine that gets no processor does not.
PROCESSOR_SECONDS = 60.0
# At a breakpoint whose condition does not hold the machine stops all the same, twice, and the
# debugger needs as long as for thousands of instructions. On the solution no run has more than 240
# such stops.
MOST_STOPS = 20 * 250
MOST_IN_A_ROW = 2_000  # that stops() gives to one loop of a test
WALL_SECONDS = 600.0
STOP_SECONDS = 60.0
END_SECONDS = 5.0

EL1_ONLY = "($cpsr & 0xc) == 4"
EL2_ONLY = "($cpsr & 0xc) == 8"
VECTORS_BYTES, VECTOR_BYTES = 0x800, 0x80


class StopKind(enum.Enum):
    """Why the machine stands."""

    BREAKPOINT = "breakpoint"
    WATCHPOINT = "watchpoint"
    STEP = "step"
    POWER_OFF = "power off"
    RESET = "reset"
    PANIC = "powered off with failure"
    FINISHED = "the probes have finished"
    BUDGET = "instruction budget used up"
    SLOW = "the emulator's processor time is used up"
    PASSED = "a breakpoint was passed too often"
    FLOODED = "it printed more than the console takes"
    QUIET = "nothing can happen any more"


@dataclass(frozen=True)
class Stop:
    """One stop. `number` is that of the breakpoint, `reason` a sentence for QUIET."""

    kind: StopKind
    pc: int = 0
    cpu: int = 0
    number: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Oracle:
    """Questions about the programs in a machine; grader/oracle/strata.py has our answers."""

    # The verdict on an end that EL2 itself reported, EL2's words, and the CPU that it names.
    crash: Callable[[Machine], tuple[Verdict, str, int] | None]
    why_quiet: Callable[[Machine], str | None]  # why nothing can happen any more
    timer_ahead: Callable[[Machine], bool]  # whether the selected CPU has one that will expire
    guest_frames: Callable[[Machine], list[str]]  # where EL1 was left


class Machine:
    """Use as a context manager; the machine stands before its first instruction at entry."""

    def __init__(self, config: MachineConfig, oracle: Oracle, log: Path | None = None) -> None:
        self.config = config
        self._oracle = oracle
        self.symbols: Symbols = symbols_of(config.elf)
        self._process = Process(config)
        self.memory = self._process.memory
        self.budget = self._process.budget
        places = ("image_start", "image_end", "vectors")
        if all(name in self.symbols for name in places):
            self.budget.watch_entries(*(self.symbols[name] for name in places))
        self.qmp = Qmp(self._process.monitor)
        self.console = self._process.console
        self._processor_seconds = config.processor_seconds or PROCESSOR_SECONDS
        self._deadline = time.monotonic() + max(WALL_SECONDS, 10 * config.processor_seconds)
        self._next_check = time.monotonic() + self._processor_seconds / config.smp
        self._guest_symbols: int | None = None
        self.guests: list[Guest] = list(config.guests)
        self.last_stop: Stop | None = None
        # The function and the arguments of a test's own call that has returned
        # (grader/oracle/calls.py).
        self.returned: tuple[int, tuple[int, ...]] | None = None
        # The same of a call that has come to a function for which the test answers; that function,
        # and the place of the call, 0 if nobody knows it.
        self.calling: tuple[int, tuple[int, ...], str, int] | None = None
        # A machine that executes nothing is stopped, to see whether it can. QEMU then ends all the
        # requests of disks, slowed ones as well: who wants them under way has more patience.
        self.patience_seconds = 0.0
        self._quiet_looks, self._look_seconds = QUIET_LOOKS, LOOK_SECONDS
        # A machine that lives by the host's time lets the emulator sleep.
        self._still_seconds = STILL_SECONDS if config.deterministic else 0.0
        self._log = log
        self._gdb: Gdb | None = None
        self._threads: list[int] = []
        self._last_stop_allowed = 0  # which of QMP's stops is the last that this run may have
        try:
            self.qmp.handshake(self._deadline)
        except Finding as error:
            detail = self._process.errors() or str(error)
            self.close()
            raise infrastructure("QEMU did not start", detail) from error

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Once: the debugger belongs to the next machine from here on."""
        if self._gdb is not None:
            self._gdb.give_back()
        self._process.close()

    @property
    def gdb(self) -> Gdb:
        """The debugger. It is attached at its first use, while the machine stands: many tests need
        none."""
        if self._gdb is None:
            gdb = Gdb.take(self.config.elf, self._log)
            try:
                gdb.connect(self._process.stub.path)
            except (Finding, GdbError) as error:
                gdb.close()
                raise self._lost(self._process.errors() or str(error)) from error
            self._gdb = gdb
        return self._gdb

    @property
    def emulator_pid(self) -> int:
        return self._process.pid

    @property
    def emulator_seconds(self) -> float:
        """Processor time that the emulator has used."""
        return self._process.processor_seconds()

    # Running.

    def run(self, budget: int = DEFAULT_BUDGET) -> Stop:
        """Go on until something stops the machine, at the latest after `budget` instructions."""
        return self._go("-exec-continue", budget)

    def stops(self, what: str, budget: int = DEFAULT_BUDGET) -> Iterator[Stop]:
        """Stop after stop, under one budget: who comes to a place for ever has a verdict, too."""
        end = self.budget.retired + budget
        for _ in range(MOST_IN_A_ROW):
            yield self.run(max(end - self.budget.retired, 1))
        raise self.finding(Verdict.BUDGET, what,
                           observed=f"the machine comes to {self.place(self.pc)} again and again: "
                                    f"{MOST_IN_A_ROW} stops so far")

    def step_instruction(self, count: int = 1) -> Stop:
        """Instructions of the selected vCPU; interrupts are held off meanwhile."""
        return self._go(f"-exec-step-instruction {count}", DEFAULT_BUDGET)

    def finish(self, budget: int = DEFAULT_BUDGET) -> Stop:
        """Run until the current function returns."""
        return self._go("-exec-finish", budget)

    def run_to(self, place: str | int, condition: str = "", budget: int = DEFAULT_BUDGET) -> Stop:
        """Run until `place` is reached with `condition` holding; anything else is a Finding."""
        with self.breakpoint(place, condition) as number:
            stop = self.run(budget)
            if stop.kind is StopKind.BREAKPOINT and stop.number == number:
                return stop
        raise self.finding_for(stop, f"the machine reaches {self._name_of(place)}")

    def run_to_guest(self, address: int, budget: int = DEFAULT_BUDGET) -> Stop:
        """Run until EL1 executes the instruction at this address of the guest."""
        return self.run_to(address, EL1_ONLY, budget)

    def run_until_off(self, budget: int = DEFAULT_BUDGET) -> Stop:
        """Run until the machine powers itself off in good order; anything else is a Finding."""
        stop = self.run(budget)
        if stop.kind is StopKind.POWER_OFF and self._oracle.crash(self) is None:
            return stop
        raise self.finding_for(stop, "the machine powers off when its work is done")

    def run_to_the_end(self, budget: int = DEFAULT_BUDGET) -> Stop:
        """As run_until_off(), but the machine stands before it is off, and can be asked."""
        stop = self.run_to("*machine_off", EL2_ONLY, budget)
        if self._oracle.crash(self) is not None:
            raise self.finding_for(stop, "the machine powers off when its work is done")
        return stop

    @contextmanager
    def breakpoint(self, place: str | int, condition: str = "") -> Iterator[int]:
        """A breakpoint for the length of a block, at an address or at `*symbol` of the image.

        QEMU compares addresses, so one set at EL2 also fires in a guest at the same address: the
        condition tells them apart (EL1_ONLY, EL2_ONLY).
        """
        text = f"*{self._address_of(place):#x}"
        try:
            number = self.gdb.insert_breakpoint(text, condition)
        except GdbError as error:
            raise Finding(Verdict.FAIL, f"there is code at {place}", str(error)) from error
        try:
            yield number
        finally:
            if not self.gdb.closed:
                self.gdb.delete_breakpoint(number)

    def _address_of(self, place: str | int) -> int:
        """By the image's symbol table: its debug information may tell anything of a function."""
        if isinstance(place, int):
            return place
        name = place.removeprefix("*")
        if name not in self.symbols:
            raise Finding(Verdict.FAIL, f"the image has the function {name}()",
                          observed=f"{self.symbols.path.name} has no symbol {name}",
                          expected="the name that the contract gives")
        return self.symbols[name]

    @contextmanager
    def watchpoint(self, expression: str, reads: bool = False) -> Iterator[int]:
        """A watchpoint for the length of a block."""
        number = self.gdb.insert_watchpoint(expression, reads)
        try:
            yield number
        finally:
            if not self.gdb.closed:
                self.gdb.delete_breakpoint(number)

    @contextmanager
    def alone(self, cpu: int) -> Iterator[None]:
        """For the length of a block this CPU runs, and all others stand where they are.

        If it falls asleep meanwhile, that is StopKind.QUIET: nothing else is there to wake it.
        """
        oracle = self._oracle

        def why_quiet(machine: Machine) -> str | None:
            if "halted" not in machine.gdb.threads()[cpu][1]:
                return None
            machine.select_cpu(cpu)
            self._quiet_looks = QUIET_LOOKS if oracle.timer_ahead(machine) else 1
            return f"CPU {cpu}, the only one that runs, sleeps"

        self._oracle = replace(oracle, why_quiet=why_quiet)
        before = self._still_seconds
        self._look_seconds = self._still_seconds = ALONE_SECONDS
        self.gdb.command("-gdb-set scheduler-locking on")
        self.select_cpu(cpu)
        # A stop by the monitor is told of the CPU that stopped last, which GDB has not let go.
        self.gdb.send_packet(f"Hcp1.{self._thread(cpu):x}")
        try:
            yield
        finally:
            self._oracle = oracle
            self._quiet_looks, self._look_seconds = QUIET_LOOKS, LOOK_SECONDS
            self._still_seconds = before
            if not self.gdb.closed:
                self.gdb.command("-gdb-set scheduler-locking off")

    # Looking.

    def register(self, name: str) -> int:
        """A register of the selected vCPU, system registers by the manual's name."""
        return self.gdb.register(name)

    @property
    def pc(self) -> int:
        return self.register("pc")

    @property
    def exception_level(self) -> int:
        return self.register("PSTATE") >> 2 & 3

    def layout(self, expression: str) -> int:
        """What the types of the headers that are given alone decide, as sizeof does.

        A debugger without a machine is asked, which knows nothing of the image.
        """
        return layout(expression)

    def select_cpu(self, cpu: int) -> None:
        """Make later questions speak about this vCPU of the machine."""
        if self.config.smp > 1:
            self.gdb.select_thread(self._thread(cpu))

    def _thread(self, cpu: int) -> int:
        """GDB's number of a vCPU. They stay the same; to ask for them makes GDB unwind each."""
        if not self._threads:
            self._threads = [number for number, _ in self.gdb.threads()]
        return self._threads[cpu]

    def memory_start(self) -> int:
        """First physical address of RAM: devices lie below."""
        return RAM_BASE

    def guest_named(self, name: str) -> Guest:
        return next(guest for guest in self.guests if guest.name == name)

    def place(self, address: int, el: int | None = None) -> str:
        """A code address with its symbol; `el` says in whose address space it lies."""
        el = self.exception_level if el is None else el
        if el == 2:
            name = self.symbols.place(address)
            line = self.gdb.source_line(address) if name else ""
            return f"{address:#x} {name or '(outside the image)'}" + (f" ({line})" if line else "")
        for guest in self.guests:
            found = symbols_of(guest.elf).place(address - guest.load_address)
            if found:
                return f"{address:#x} {found} of {guest.name}"
        return f"{address:#x}"

    def backtrace(self) -> list[str]:
        """Where the selected vCPU stands; at EL2 followed by where EL1 was when it was left."""
        lines = self.frames()
        if self.exception_level == 2:
            lines += self._oracle.guest_frames(self)
            self._load_guest_symbols(2)
        return lines

    def frames(self) -> list[str]:
        """The stack of the exception level that the selected vCPU is at."""
        el = self.exception_level
        self._load_guest_symbols(el)
        lines: list[str] = []
        seen: set[int] = set()
        for frame in self.gdb.backtrace():
            if frame.address in seen:
                break  # assembly without frame information: GDB goes round in circles
            seen.add(frame.address)
            lines.append(f"EL{el} {frame}")
        return lines

    def _load_guest_symbols(self, el: int) -> None:
        """EL1 and EL2 use the same numbers as addresses: one side's symbols at a time."""
        if self._guest_symbols is not None:
            self.gdb.remove_symbols(self._guest_symbols)
            self._guest_symbols = None
        if el != 1 or not self.guests:
            return
        pc = self.pc
        for guest in self.guests:
            if symbols_of(guest.elf).place(pc - guest.load_address):
                self.gdb.add_symbols(guest.elf, guest.load_address)
                self._guest_symbols = guest.load_address + symbols_of(guest.elf).base()
                return

    # Findings.

    def finding(
        self, verdict: Verdict, what: str, observed: object = "", expected: object = ""
    ) -> Finding:
        """A Finding that carries where the machine stands."""
        return Finding(verdict, what, show(observed), show(expected), self.where())

    def where(self) -> list[str]:
        """Place, stacks and console, as far as they can still be read."""
        lines = []
        try:
            if self.returned:
                lines += [f"{self.call_text(*self.returned)} has returned"]
            elif self.calling:
                function, arguments, callee, at = self.calling
                lines += [f"{self.call_text(function, arguments)} calls {callee}"
                          + (f" at {self.place(at, el=2)}" if at else "")]
            else:
                lines += self._of_each_cpu()
        except (Finding, GdbError) as error:
            lines.append(f"(the machine cannot be asked any more: {error})")
        self.console.poll()
        tail = self.console.tail()
        return lines + (["console:"] + ["| " + line for line in tail] if tail else [])

    def _of_each_cpu(self) -> list[str]:
        """Where the selected CPU stands, with its stack, and the place of each other one."""
        here = f"at EL{self.exception_level}, pc {self.place(self.pc)}"
        if self.config.smp == 1:
            return [f"vCPU {here}", *self.backtrace()]
        selected = self.gdb.current_thread()
        lines, others = self.backtrace(), []
        for cpu, (thread, description) in enumerate(self.gdb.threads()):
            if thread == selected:
                lines.insert(0, f"CPU {cpu} {here}")
                continue
            self.gdb.select_thread(thread)
            halted = ", halted" if "halted" in description else ""
            others.append(f"CPU {cpu} at EL{self.exception_level}, "
                          f"pc {self.place(self.pc)}{halted}")
        self.gdb.select_thread(selected)
        return lines + others

    def _instructions(self) -> str:
        """How many were executed; of several CPUs by which."""
        total = f"{self.budget.retired} instructions"
        if self.config.smp == 1:
            return total
        each = (f"CPU {cpu} {self.budget.retired_by(cpu)}" for cpu in range(self.config.smp))
        return f"{total} ({', '.join(each)})"

    def call_text(self, function: int, arguments: tuple[int, ...]) -> str:
        """A call that a test made: function, where it is written, arguments."""
        name = self.place(function, el=2).partition(" ")[2]
        return f"{name}, called with ({', '.join(map(hex, arguments))}),"

    def finding_for(self, stop: Stop, what: str) -> Finding:
        """The verdict on a machine that stopped otherwise than the test asked for."""
        crash = self._oracle.crash(self)
        if crash is not None:
            if crash[2] < self.config.smp:  # it is EL2's own word
                self.select_cpu(crash[2])
            return self.finding(crash[0], what, observed=crash[1])
        self.select_cpu(stop.cpu)
        verdict = Verdict.FAIL
        observed = stop.kind.value
        if stop.kind is StopKind.BUDGET and self.budget.looping:
            verdict = Verdict.HANG
            observed = ("an exception whose vector raises the next one, for ever, "
                        f"at {self.place(stop.pc)}")
        elif stop.kind is StopKind.BUDGET:
            verdict = Verdict.BUDGET
            observed = f"{self._instructions()} used, at {self.place(stop.pc)}"
            if self.budget.in_vain:
                observed += ": EL2 enters the guest there for ever, and it comes no further"
        elif stop.kind is StopKind.SLOW:
            verdict = Verdict.BUDGET
            observed = (
                f"{self._instructions()}, their device accesses and sleeps took the "
                f"emulator {self._processor_seconds:g} s of processor time; "
                f"at {self.place(stop.pc)}"
            )
        elif stop.kind is StopKind.PASSED:
            verdict = Verdict.BUDGET
            observed = (
                f"the machine came to the watched place {MOST_STOPS} times, never under the "
                f"test's condition; {self._instructions()} used, "
                f"at {self.place(stop.pc)}"
            )
        elif stop.kind is StopKind.FLOODED:
            verdict = Verdict.BUDGET
            observed = (f"the machine printed more than {CONSOLE_BYTES >> 20} MiB; "
                        f"{self._instructions()} used, at {self.place(stop.pc)}")
        elif stop.kind is StopKind.QUIET:
            verdict = Verdict.HANG
            observed = stop.reason
        elif stop.kind is StopKind.BREAKPOINT:
            observed = f"stopped at {self.place(stop.pc)}"
        return self.finding(verdict, what, observed=observed)

    def _name_of(self, place: str | int) -> str:
        if isinstance(place, str):
            return place.lstrip("*")
        for el in (1, 2):
            text = self.place(place, el)
            if " " in text:
                return text
        return f"{place:#x}"

    # Waiting.

    def _go(self, command: str, budget: int) -> Stop:
        ended = self._ended()
        if ended is not None:
            return Stop(ended, self.pc)
        self.budget.limit = min(self.budget.retired + budget, NO_LIMIT)
        try:
            stop = self._run_alone() if self._gdb is None and command == "-exec-continue" else None
            if stop is None:
                start = self.budget.retired  # before: it may be far when it is asked
                self.gdb.resume(command)
                stop = self._wait(command, start)
            # However it ended: that it had printed too much may have been seen late.
            self.console.poll()
            self.last_stop = replace(stop, kind=StopKind.FLOODED) if self.console.dropped else stop
        except GdbError as error:
            raise self._lost(str(error)) from error
        except Finding as error:
            if error.verdict is not Verdict.ERROR:
                raise
            raise self.emulator_failure() or error from error
        return self.last_stop

    def _run_alone(self) -> Stop | None:
        """Run without debugger until the machine ends or the plugin stops it; None: attach one."""
        self.qmp.command("cont", deadline=self._deadline)
        still = _Stillness(self, self.budget.retired)
        while True:
            ready = select.select([self.qmp, self.budget.notify_fd], [], [], LOOK_SECONDS)[0]
            printed = self.console.poll()
            self.qmp.poll()
            if self.qmp.closed:
                raise self._lost("QEMU closed its monitor")
            quiet = not still.moved() and not ready and not printed and still.lasts()
            stopped = (quiet or self.budget.notify_fd in ready or self._is_slow()
                       or bool(self.console.dropped))
            if stopped:
                self._stop_by_monitor()
            if stopped and self.budget.reached:
                stop = self._stop_of_budget()
                if not self._is_guests_loop(stop):
                    return stop
                self.budget.allow_loops()
                return None
            ended = self._ended()
            if ended is not None:
                while self.qmp.command("query-status", deadline=self._deadline)["running"]:
                    pass  # the event comes before QEMU's main loop stops the machine
                return Stop(ended)
            if stopped:
                return None

    def _stop_of_budget(self) -> Stop:
        kind = StopKind.FINISHED if self.budget.finished else StopKind.BUDGET
        return Stop(kind, self.budget.pc, self.budget.cpu)

    def _wait(self, command: str, start: int) -> Stop:
        """Until the machine, resumed at `start` instructions, stands for a reason to be told."""
        still, quiet = _Stillness(self, start), 0
        self._last_stop_allowed = self.qmp.stops + MOST_STOPS
        while True:
            record = self._next_stop()
            if record is not None:
                found = self._classify(record)
                if command != "-exec-continue" or not self._is_guests_loop(found):
                    return found
                self.budget.allow_loops()
                self.gdb.resume("-exec-continue")
                continue
            spent = self._overspent()
            if spent:
                return self._hold_at_once(spent)
            if still.moved():
                quiet = 0
            elif command == "-exec-continue" and still.lasts():
                stop = self._look()
                if stop is not None and stop.kind is not StopKind.QUIET:
                    return stop
                quiet = quiet + 1 if stop else 0
                if stop is not None and quiet >= self._quiet_looks:
                    return stop
                # Continue steps over a breakpoint at the very place. The machine may just have
                # reached that one when it was looked at, or have been put there before it was
                # resumed: only where it has stopped before has it had its stop.
                stood = self.budget.retired == start and (
                    self.last_stop is not None and self.pc == self.last_stop.pc)
                self.gdb.resume("-exec-continue" if stood else f"-exec-jump *{self.pc:#x}")
                still.begin()

    def _is_guests_loop(self, stop: Stop) -> bool:
        """Whether only a guest takes exceptions for ever, by itself or as EL2 reflects those that
        its vector raises: other VMs go on."""
        if stop.kind is not StopKind.BUDGET:
            return False
        if self.budget.in_vain:
            self.select_cpu(stop.cpu)
            place = stop.pc if self.exception_level == 1 else self.register("ELR_EL2")
            offset = place - self.register("VBAR_EL1")
            return 0 <= offset < VECTORS_BYTES and offset % VECTOR_BYTES == 0
        return self.budget.looping and self.exception_level == 1 and stop.pc >= RAM_BASE

    def _next_stop(self) -> Record | None:
        """GDB's next *stopped; None after some silence, or when time is used up."""
        while True:
            record = self._stop_that_came()
            if record is not None:
                return record
            if self._overspent() or not self._attend():
                return None

    def _interrupt(self) -> Record:
        """Stop the machine by its debugger, or wait for the stop that comes first.

        QEMU overlooks an interrupt while it stands at a breakpoint that GDB is about to pass: the
        breakpoint's stop comes instead.
        """
        again = 0.0
        while True:
            record = self._stop_that_came()
            if record is not None:
                return record
            if time.monotonic() >= again:
                self.gdb.command("-exec-interrupt")
                again = time.monotonic() + LOOK_SECONDS
            self._attend()

    def _stop_that_came(self) -> Record | None:
        record = self.gdb.next_stop()
        if record is None and time.monotonic() > self._deadline:
            raise self._stuck()
        return record

    def _attend(self) -> bool:
        """Wait for a look's time at most, and do what is due; whether anything came."""
        ready = select.select([self.gdb, self.qmp, self.budget.notify_fd], [], [],
                              self._look_seconds)[0]
        # What is printed wakes nobody: the pipe holds what comes between two looks.
        printed = self.console.poll()
        self.qmp.poll()
        if self.qmp.closed:
            raise self._lost("QEMU closed its monitor")
        if self.budget.notify_fd in ready:
            self._stop_by_monitor()
        return bool(ready) or printed

    def _overspent(self) -> StopKind | None:
        """Which of the nets under the instruction budget holds the machine."""
        if self.qmp.stops > self._last_stop_allowed:
            return StopKind.PASSED
        if self.console.dropped:
            return StopKind.FLOODED
        return StopKind.SLOW if self._is_slow() else None

    def _is_slow(self) -> bool:
        """Whether the emulator has used too much processor time; looked up when that can be so."""
        now = time.monotonic()
        if now < self._next_check:
            return False
        left = self._processor_seconds - self._process.processor_seconds()
        self._next_check = now + max(0.0, left / self.config.smp)
        return left <= 0

    def _hold_at_once(self, kind: StopKind) -> Stop:
        self._deadline = max(self._deadline, time.monotonic() + STOP_SECONDS)
        record = self._interrupt()
        if record.results.get("signal-name") != "SIGINT" or self._ended():
            return self._classify(record)
        return Stop(kind, self.pc)

    def _stuck(self) -> Finding:
        """The wall-clock net: nobody's failure."""
        used = self._process.processor_seconds()
        return infrastructure(
            "the machine comes to its end while the grader waits",
            f"{self.budget.retired} instructions in {used:.0f} s of processor time",
        )

    def _lost(self, words: str) -> Finding:
        return self.emulator_failure() or infrastructure("QEMU and GDB run", words)

    def emulator_failure(self) -> Finding | None:
        """QEMU's own end, if what the machine did brought it about: it aborts on some nonsense."""
        status = self._process.status(END_SECONDS if self.qmp.closed else 0)
        if status is None or status == -signal.SIGKILL or not self.budget.retired:
            return None
        return Finding(
            Verdict.CRASH,
            "the emulator can execute what the hypervisor does",
            observed=f"QEMU ended with status {status}: {self._process.errors()}",
            where=[f"after {self.budget.retired} instructions"],
        )

    def _stop_by_monitor(self) -> None:
        """QMP's stop. Once it is pending, a vCPU that the plugin holds is let go."""
        self.qmp.send("stop")
        while not self.qmp.replied and not self.qmp.closed:
            left = max(0.0, self._deadline - time.monotonic())
            ready = select.select([self.qmp, self.budget.notify_fd], [], [], left)[0]
            self.qmp.poll()
            if self.budget.notify_fd in ready:
                self._until_stop_is_pending()
                self.budget.release()
            if not ready:
                break
        self.qmp.reply(self._deadline)

    def _until_stop_is_pending(self) -> None:
        before = ""
        for _ in range(2000):
            call = self._process.main_thread_call()
            # Asleep for a lock or condition twice at the same address: it waits for the vCPU.
            if call == before and call.split()[0] in _FUTEX_CALLS:
                return
            before = call
            select.select([], [], [], 0.0005)

    def _look(self) -> Stop | None:
        """Stop the machine between two instructions and decide whether it can still move."""
        self._last_stop_allowed += 1
        record = self._interrupt()
        if record.results.get("signal-name") != "SIGINT" or self._ended():
            return self._classify(record)
        if self.budget.reached:
            return self._classify(record)
        reason = self._oracle.why_quiet(self)
        return Stop(StopKind.QUIET, self.pc, reason=reason) if reason else None

    def _classify(self, record: Record) -> Stop:
        self.qmp.poll()
        self.console.poll()
        pc = int(record.results["frame"]["addr"], 16)
        cpu = int(record.results.get("thread-id", "1")) - 1
        reason = str(record.results.get("reason", ""))
        ended = self._ended()
        if ended is not None:
            return Stop(ended, pc, cpu)
        if reason == "breakpoint-hit":
            return Stop(StopKind.BREAKPOINT, pc, cpu, int(record.results["bkptno"]))
        if reason.endswith("watchpoint-trigger"):
            number = next(v["number"] for k, v in record.results.items() if k.endswith("wpt"))
            return Stop(StopKind.WATCHPOINT, pc, cpu, int(number))
        if self.budget.reached:
            return self._stop_of_budget()
        if reason in ("end-stepping-range", "function-finished", "location-reached"):
            return Stop(StopKind.STEP, pc, cpu)
        raise infrastructure("GDB stopped for a reason unknown to the grader", str(record))

    def _ended(self) -> StopKind | None:
        if self.qmp.event("GUEST_PANICKED"):
            return StopKind.PANIC
        event = self.qmp.event("SHUTDOWN")
        if event is None:
            return None
        reset = event["data"].get("reason") == "guest-reset"
        return StopKind.RESET if reset else StopKind.POWER_OFF


class _Stillness:
    """How long a machine's counter has stood still."""

    def __init__(self, machine: Machine, retired: int) -> None:
        self._machine, self._retired = machine, retired
        self.begin()

    def begin(self) -> None:
        """From now on."""
        self._since = time.monotonic()
        self._used = self._machine.emulator_seconds

    def moved(self) -> bool:
        """Whether the machine has executed something since it was asked last."""
        retired = self._machine.budget.retired
        if retired == self._retired:
            return False
        self._retired = retired
        self.begin()
        return True

    def lasts(self) -> bool:
        """Whether it stands still for long enough to be looked at."""
        waited = time.monotonic() - self._since
        used = self._machine.emulator_seconds - self._used
        return waited >= self._machine.patience_seconds and (
            used >= self._machine._still_seconds or waited >= STILL_WALL_SECONDS)


_FUTEX_CALLS = ("202", "98")  # futex on x86-64 and on arm64 hosts
