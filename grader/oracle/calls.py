# SPDX-License-Identifier: MIT
"""Functions of the hypervisor, called one at a time on state that the test has prepared.

For exercises of which a guest sees nothing before others are written. The machine boots to a place
where no guest has run yet, or does not boot at all; from there the test fills memory, points the
registers at a function, and looks at what the function did.

A function that the one under test calls may be *stubbed*: it returns at once what the test says,
and its arguments are kept. That works for calls through a pointer and for calls from one file to
another, which the compiler cannot fold away.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from grader.machine.machine import EL2_ONLY, Machine, StopKind
from grader.machine.memory import RAM_BASE
from grader.machine.symbols import symbols_of
from grader.machine.verdict import Finding, Verdict
from grader.oracle.barriers import Instruction, alike
from grader.oracle.decode.sysreg_names import ENCODINGS
from grader.oracle.objects import Object, Objects

CALL_BUDGET = 2_000_000
SCRATCH_BYTES = 1 << 20  # the end of RAM: memory that nobody has been given yet
PAGE = 4096
STORE, STORE_X = 0xB900_0001, 0xF900_0001  # str w1, [x0]; str x1, [x0]
RETURN = bytes.fromhex("c0035fd6")
ISB = 0xD503_3FDF
ROOM = 12  # bytes of two instructions, and of the breakpoint behind them
ARGUMENTS = ("x0", "x1", "x2", "x3")  # of a stub
STACK_BYTES = 4 * PAGE
MOST_CALLS = 2_000  # of stubs, in one call of a function; of stops in executed() as well
MASK = (1 << 64) - 1

Stub = int | Callable[..., int]  # what it returns, or what computes that from the arguments


@dataclass(frozen=True)
class Call:
    """One call of a stub."""

    name: str
    arguments: tuple[int, ...]


def trap_result(number: int) -> str:
    """Its name in enum trap_result."""
    names = ("TRAP_RESUME", "TRAP_SKIP_INSN", "TRAP_REFLECT")
    return names[number] if number < len(names) else "not in enum trap_result"


def hook_of(machine: Machine, layer: int, hook: str) -> int:
    """Address of a hook that the layer's LAYER() names, or as vcpu_X its VCPU_HOOKS()."""
    kind, table, number = "layer", "registry_layers", "number"
    if hook.startswith("vcpu_"):
        kind, table, number = "vcpu_hooks", "registry_vcpu_hooks", "layer"
    member = hook.removeprefix("vcpu_")
    for entry in Objects(machine).registry(kind, table):
        if entry.get(number) == layer and entry.get(member):
            return entry.get(member)
    raise Finding(Verdict.FAIL, f"layer {layer} has the hook {hook}")


def msr(name: str, register: int) -> int:
    """The instruction MSR name, x<register>."""
    op0, op1, crn, crm, op2 = ENCODINGS[name]
    return 0xD510_0000 | (op0 - 2) << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | register


def mrs(name: str, register: int) -> int:
    """The instruction MRS x<register>, name."""
    return msr(name, register) | 1 << 21


class Bench:
    """A machine that stands at the entry of a function, and what is needed to call others there."""

    def __init__(self, machine: Machine, seed: int = 0) -> None:
        self.machine = machine
        self.objects = Objects(machine)
        self.random = random.Random(seed)
        self._entry = machine.pc
        self._stack = machine.register("sp")
        self._home = machine.register("x30")
        self._free = RAM_BASE + machine.memory.size - SCRATCH_BYTES
        self._stops: dict[int, int] = {}  # breakpoints that are set: address to number
        self._functions: dict[str, int] = {}
        self.calls: list[Call] = []  # of stubs, during the last call
        # strata_main() never comes again: its first instructions make room for ours, and the
        # addresses behind them are functions that exist as stubs alone.
        self._room = machine.symbols["strata_main"]
        self.nowhere = self._room + ROOM

    @classmethod
    def at(cls, machine: Machine, layer: int, hook: str) -> Bench:
        """Where this hook of a layer is called first."""
        machine.run_to(hook_of(machine, layer, hook), EL2_ONLY)
        return cls(machine)

    @classmethod
    def cold(cls, machine: Machine, seed: int) -> Bench:
        """At the image's first instruction: all that a function needs is made by hand.

        A fault at EL2 is reported as such, by the vectors that are given: ESR, ELR and FAR.
        """
        machine.run_to("*_start", EL2_ONLY)
        bench = cls(machine, seed)
        bench._home = machine.symbols["boot_not_el2"]
        bench._stack = bench.room(STACK_BYTES) + STACK_BYTES
        bench.sysreg("TPIDR_EL2", bench.cpu.address)
        bench.sysreg("VBAR_EL2", machine.symbols["vectors"])
        bench.put(bench.cpu, emergency_top=bench.room(STACK_BYTES) + STACK_BYTES)
        return bench

    @classmethod
    def at_first_entry(cls, machine: Machine, seed: int) -> Bench:
        """All VMs have been created, and nothing of a guest has run."""
        machine.run_to("*vcpu_enter", EL2_ONLY)
        bench = cls(machine, seed)
        bench._home = machine.symbols["boot_not_el2"]
        return bench

    def go_on(self, layer: int, hook: str) -> Bench:
        """Let the machine run from where it stood to another hook."""
        self._stop_at(set())
        self.set_registers(x30=self._home, sp=self._stack, pc=self._entry)
        return Bench.at(self.machine, layer, hook)

    # State.

    def size(self, kind: str) -> int:
        """sizeof a type of the hypervisor."""
        return self.machine.layout(f"sizeof({kind})")

    def allocate(self, kind: str, count: int = 1) -> list[Object]:
        """Zeroed objects in memory that the hypervisor does not use."""
        size = self.size(kind)
        first = self.room(size * count)
        self.machine.memory.write(first, bytes(size * count))
        return [Object(self.objects, kind, first + size * index) for index in range(count)]

    def room(self, count: int, align: int = PAGE) -> int:
        """Memory that nothing else uses, in whole pages."""
        self._free = -(-self._free // align) * align
        self._free += -(-count // PAGE) * PAGE
        return self._free - -(-count // PAGE) * PAGE

    def make(self, kind: str, **members: int) -> Object:
        """One zeroed object with some members set, as put() does it."""
        made = self.allocate(kind)[0]
        self.put(made, **members)
        return made

    def noise(self, count: int) -> list[int]:
        """Numbers that stand nowhere by chance."""
        return [self.random.getrandbits(64) for _ in range(count)]

    def write_u64(self, address: int, *values: int) -> None:
        self.machine.memory.write(address,
                                  struct.pack(f"<{len(values)}Q", *(v & MASK for v in values)))

    @property
    def cpu(self) -> Object:
        return self.objects.cpu(0)

    def vcpu(self, **members: int) -> Object:
        """A vCPU made by hand, which the CPU has loaded."""
        vcpu = self.make("struct vcpu", cpu=self.cpu.address, **members)
        self.put(self.cpu, vcpu=vcpu.address)
        return vcpu

    def set_frame(self, vcpu: Object, general: list[int]) -> None:
        """x0 to x30 in the trap frame of a vCPU."""
        self.write_u64(self.address_of(vcpu, "frame.x"), *general)

    def frame(self, vcpu: Object) -> list[int]:
        """x0 to x30, as the trap frame has them."""
        data = self.machine.memory.read(self.address_of(vcpu, "frame.x"), 31 * 8)
        return list(struct.unpack("<31Q", data))

    # Registers.

    def set_registers(self, **registers: int) -> None:
        """General registers, in one step."""
        self.machine.gdb.set_core_registers(registers)

    @property
    def stack(self) -> int:
        """SP at the entry of what is called."""
        return self._stack

    def general(self, values: list[int]) -> None:
        """x0 and up."""
        self.set_registers(**{f"x{number}": value for number, value in enumerate(values)})

    def read_general(self) -> list[int]:
        """x0 to x30."""
        return self.machine.gdb.core_registers(*(f"x{number}" for number in range(31)))

    def sysreg(self, name: str, value: int) -> None:
        """Write a system register by an instruction: a debugger's own write has no effect."""
        self._execute(struct.pack("<2I", msr(name, 0), ISB), value)

    def read_sysreg(self, name: str) -> int:
        """The same for reading what a debugger does not show, such as a counter."""
        scratch = self.room(8)
        self._execute(struct.pack("<2I", mrs(name, 1), STORE_X), scratch, 0)
        return self.machine.memory.u64(scratch)

    def encode(self, kind: str, members: Mapping[str, int]) -> bytes:
        """A struct with these members and zeros."""
        data = bytearray(self.size(kind))
        for member, value in members.items():
            offset, size = self.objects.member(kind, member)
            data[offset:offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        return bytes(data)

    def put(self, target: Object, **members: int) -> None:
        """Write members of a struct; `__` stands for the dot of a nested one."""
        for name, value in members.items():
            offset, size = self.objects.member(target.kind, name.replace("__", "."))
            data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
            self.machine.memory.write(target.address + offset, data)

    def address_of(self, target: Object, member: str) -> int:
        return target.address + self.objects.member(target.kind, member)[0]

    def device32(self, address: int) -> int:
        """A device register, as EL2 would read it."""
        return int.from_bytes(self.machine.gdb.read_virtual(address, 4), "little")

    def store32(self, address: int, value: int) -> None:
        """Write a device register by an instruction: a debugger's own write reaches RAM alone."""
        self._execute(struct.pack("<2I", STORE, ISB), address, value)

    def _execute(self, code: bytes, *arguments: int) -> None:
        """Execute instructions with x0 and up; registers, stubs and noted calls are kept."""
        gdb, behind = self.machine.gdb, self._room + len(code)
        names = [*(f"x{index}" for index in range(len(arguments))), "pc"]
        before = gdb.core_registers(*names)
        gdb.write_virtual(self._room, code)
        self._stop_at(self._stops.keys() | {behind})
        self.set_registers(**dict(zip(names, (*arguments, self._room), strict=True)))
        stop = self.machine.run(CALL_BUDGET)
        if stop.kind is not StopKind.BREAKPOINT or stop.pc != behind:
            raise self.machine.finding_for(stop, "an instruction of the test is executed at EL2")
        self.set_registers(**dict(zip(names, before, strict=True)))

    def function(self, name: str) -> int:
        """The address of a function that exists as a stub alone; the same for the same name."""
        return self.nowhere + 4 * self._functions.setdefault(name, len(self._functions))

    def silence(self, function: str) -> None:
        """A function that returns at once from now on; cheaper than a stub that is called often."""
        self.machine.gdb.write_virtual(self._address(function), RETURN)

    # Calls.

    def call(
        self, function: str | int, *arguments: int, stubs: Mapping[str | int, Stub] | None = None
    ) -> int:
        """The result of the function under test; `stubs` answer the calls that it makes."""
        self.machine.returned = None
        result = self._run(self._address(function), arguments, stubs or {})
        self.machine.returned = self._address(function), arguments
        return result

    def ask(self, function: str | int, *arguments: int) -> int:
        """The same for a function that only helps: a failure's message is not about this call."""
        returned, self.machine.returned = self.machine.returned, None
        result = self._run(self._address(function), arguments, {})
        self.machine.returned = returned
        return result

    def _run(
        self, function: int, arguments: tuple[int, ...], stubs: Mapping[str | int, Stub]
    ) -> int:
        results = {self._address(stub): (str(stub), value) for stub, value in stubs.items()}
        end = self.machine.budget.retired + CALL_BUDGET
        self.calls = []
        self.machine.calling = None
        self.set_registers(
            x30=self._home,
            sp=self._stack,
            pc=function,
            **{f"x{index}": value for index, value in enumerate(arguments)},
        )
        self._stop_at({self._home, *results})
        while True:
            stop = self.machine.run(CALL_BUDGET)
            if stop.kind is not StopKind.BREAKPOINT:
                made = self.machine.call_text(function, arguments)
                raise self.machine.finding_for(stop, f"{made} returns")
            if stop.pc == self._home:
                return self.machine.register("x0")
            name, value = results[stop.pc]
            if len(self.calls) == MOST_CALLS or self.machine.budget.retired > end:
                made = self.machine.call_text(function, arguments)
                raise self.machine.finding(
                    Verdict.BUDGET, f"{made} returns",
                    observed=f"it calls {name} again and again: {len(self.calls)} calls so far")
            *values, home = self.machine.gdb.core_registers(*ARGUMENTS, "x30")
            self.calls.append(Call(name, tuple(values)))
            if callable(value):
                callee = f"{name}()" if name.isidentifier() else "a function of the test"
                at = 0 if home == self._home else home - 4  # a tail call comes back to the test
                self.machine.calling = function, arguments, callee, at
                value = value(*values)
                self.machine.calling = None
            self.set_registers(x0=value, pc=home)

    def enter(self, function: str | int, **registers: int) -> None:
        """Stand at a place with these registers: what follows is run_to()'s."""
        self.machine.returned = None
        self._stop_at(set())
        self.set_registers(**{"sp": self._stack, **registers}, pc=self._address(function))

    def loads(self, *functions: str) -> dict[int, Instruction]:
        """The loads of 32 bits of these functions, as far as the compiler has left them.

        A stop before each tells what is read from devices. A watchpoint would, too, but QEMU may
        abort when one hits a device register: "could not find TB for pc".
        """
        symbols = symbols_of(self.machine.config.elf)
        places = [symbols.extent(name) for name in functions if name in symbols]
        return {one.address: one for one in alike(self.machine.config.elf, r"ldr w")
                if any(one.address in place for place in places)}

    def read_by(self, load: Instruction) -> int:
        """The address that a load reads from, before which the machine stands."""
        base, *offset = load.operands.partition("[")[2].partition("]")[0].split(", ")
        address = self.machine.register(base)
        for part in offset:
            address += int(part[1:], 0) if part[0] == "#" else self.machine.register(part)
        return address & MASK

    def executed(self, like: str, function: str | int, *arguments: int,
                 within: str = "") -> Iterator[Instruction]:
        """Call a function; stop before each instruction like this (grader/oracle/barriers.py),
        of the image or of one function."""
        elf = self.machine.config.elf
        symbols = symbols_of(elf)
        extent = symbols.extent(within) if within in symbols else range(1 << 48)
        code = {one.address: one for one in alike(elf, like) if one.address in extent}
        address, stops = self._address(function), 0
        end = self.machine.budget.retired + CALL_BUDGET  # of the whole call, not from stop to stop
        self.machine.returned = None
        self._stop_at({self._home, *code})
        self.set_registers(sp=self._stack, x30=self._home, pc=address,
                           **{f"x{index}": value for index, value in enumerate(arguments)})
        try:
            while True:
                stop = self.machine.run(CALL_BUDGET)
                if stop.kind is not StopKind.BREAKPOINT:
                    made = self.machine.call_text(address, arguments)
                    raise self.machine.finding_for(stop, f"{made} returns")
                if stop.pc == self._home:
                    self.machine.returned = address, arguments
                    return
                stops += 1
                if stops > MOST_CALLS or self.machine.budget.retired > end:
                    made = self.machine.call_text(address, arguments)
                    raise self.machine.finding(
                        Verdict.BUDGET, f"{made} returns",
                        observed=f"it executes {code[stop.pc].text} at "
                                 f"{self.machine.place(stop.pc)} again and again: "
                                 f"{stops} times so far")
                yield code[stop.pc]
        finally:
            if not self.machine.gdb.closed:
                self._stop_at({self._home})

    def leave(self, result: int) -> None:
        """The function at whose entry the machine stood returns this: the machine goes on there."""
        self.machine.returned = None
        self._stop_at(set())
        self.set_registers(x0=result, sp=self._stack, pc=self._home)

    def run_to(self, place: str | int, what: str, condition: str = EL2_ONLY) -> None:
        """Run until `place` is reached; `what` says who should come there."""
        with self.machine.breakpoint(place, condition) as number:
            stop = self.machine.run(CALL_BUDGET)
        if stop.kind is not StopKind.BREAKPOINT or stop.number != number:
            raise self.machine.finding_for(stop, what)

    def _stop_at(self, addresses: set[int]) -> None:
        """Breakpoints there and nowhere else; those that are set already stay."""
        for address in self._stops.keys() - addresses:
            self.machine.gdb.delete_breakpoint(self._stops.pop(address))
        for address in addresses - self._stops.keys():
            self._stops[address] = self.machine.gdb.insert_breakpoint(f"*{address:#x}")

    def _address(self, function: str | int) -> int:
        if isinstance(function, int):
            return function
        if function not in self.machine.symbols:
            raise Finding(Verdict.FAIL, f"the image has the function {function}()")
        return self.machine.symbols[function]
