# SPDX-License-Identifier: MIT
"""What the `strata` commands ask of GDB: registers, physical memory, the hypervisor's objects.

Runs inside GDB. Objects are read with physical addresses: EL2 maps itself one to one, and so it
works also when the machine stands in a guest, whose translation knows nothing of EL2.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import gdb  # provided by GDB

MASK = (1 << 64) - 1
CPU_NAME = re.compile(r"cpu([0-9]+)")


def register(name: str) -> int:
    """A register of the selected CPU; 0 when this CPU does not have it."""
    value = gdb.parse_and_eval("$" + name)
    if value.type.code == gdb.TYPE_CODE_VOID:
        return 0
    return int(value) & MASK


def is_there() -> bool:
    """Whether GDB has a machine; QEMU's CPUs are its threads."""
    return bool(gdb.selected_inferior().threads())


def exception_level() -> int:
    return register("cpsr") >> 2 & 3


def leave_inlined() -> None:
    """Select the function that the machine stands in, out of helpers that are inlined there."""
    frame = gdb.newest_frame()
    while frame.type() == gdb.INLINE_FRAME and frame.older():
        frame = frame.older()
    if frame != gdb.selected_frame():
        frame.select()
        gdb.execute("frame")


def quietly(command: str) -> None:
    """A command whose failure and whose output mean nothing here."""
    with contextlib.suppress(gdb.error):
        gdb.execute(command, to_string=True)


@contextlib.contextmanager
def physical() -> Iterator[None]:
    """Memory accesses of the block use physical addresses."""
    quietly("maintenance packet Qqemu.PhyMemMode:1")
    quietly("maintenance flush dcache")
    try:
        yield
    finally:
        quietly("maintenance packet Qqemu.PhyMemMode:0")
        quietly("maintenance flush dcache")


def read(address: int, count: int) -> bytes:
    with physical():
        return bytes(gdb.selected_inferior().read_memory(address, count))


def read_u64(address: int) -> int:
    return int(struct.unpack("<Q", read(address, 8))[0])


@contextlib.contextmanager
def physical_reader() -> Iterator[object]:
    """A reader of 64-bit words for a whole walk of tables."""
    inferior = gdb.selected_inferior()

    def words(address: int, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}Q", bytes(inferior.read_memory(address, 8 * count)))

    with physical():
        yield words


def symbol_address(name: str) -> int | None:
    try:
        return int(gdb.parse_and_eval(f"(unsigned long)&{name}")) & MASK
    except gdb.error:
        return None


def code_name(address: int) -> str:
    """`function+16 (file.c:12)` for a code address of the image."""
    text = gdb.execute(f"info symbol {address:#x}", to_string=True).strip()
    name = text.split(" in section")[0].replace(" + ", "+") if "in section" in text else ""
    line = gdb.find_pc_line(address)
    where = f" ({line.symtab.filename}:{line.line})" if line.symtab else ""
    return f"{address:#x} {name}{where}".rstrip()


@dataclass(frozen=True)
class Struct:
    """An object of the hypervisor; members are read one by one."""

    kind: str
    address: int

    def _member(self, member: str) -> tuple[int, gdb.Type]:
        place = gdb.parse_and_eval(f"(({self.kind} *)0)->{member}")
        return int(place.address) & MASK, place.type

    def get(self, member: str) -> int:
        offset, kind = self._member(member)
        return int.from_bytes(read(self.address + offset, kind.sizeof), "little")

    def has(self, member: str) -> bool:
        try:
            self._member(member)
        except gdb.error:
            return False
        return True

    def name_of(self, member: str) -> str:
        """Name of an enumeration's value, in lower case and without its prefix."""
        offset, kind = self._member(member)
        value = int.from_bytes(read(self.address + offset, kind.sizeof), "little")
        for field in kind.strip_typedefs().fields():
            if field.enumval == value:
                return str(field.name).partition("_")[2].lower().replace("_", " ")
        return str(value)

    def text(self, member: str) -> str:
        offset, kind = self._member(member)
        data = read(self.address + offset, kind.sizeof)
        return data.split(b"\0")[0].decode("ascii", "backslashreplace")

    def at(self, member: str, kind: str) -> Struct:
        """An embedded struct."""
        offset, _ = self._member(member)
        return Struct(kind, self.address + offset)

    def pointer(self, member: str, kind: str) -> Struct | None:
        target = self.get(member)
        return Struct(kind, target) if target else None


class NotThere(gdb.GdbError):
    """Answer of a command to an image that lacks what it is about, or has not made it yet."""


def vms() -> list[Struct]:
    """Every VM that exists."""
    table, count = symbol_address("vms"), symbol_address("vm_count")
    if table is None or count is None:
        raise NotThere("this image has no table of VMs (vms, vm_count)")
    number = int.from_bytes(read(count, 4), "little")
    most = int(gdb.parse_and_eval("sizeof(vms) / sizeof(vms[0])"))
    pointers = [read_u64(table + 8 * index) for index in range(min(number, most))]
    found = [Struct("struct vm", pointer) for pointer in pointers if pointer]
    if not found:
        raise NotThere("no VM has been created yet: run on, for example to vcpu_enter")
    return found


def vm_named(text: str) -> Struct:
    """A VM by its name or number."""
    for vm in vms():
        if text in (vm.text("name"), str(vm.get("index"))):
            return vm
    names = ", ".join(f"{vm.get('index')} {vm.text('name')}" for vm in vms())
    raise gdb.GdbError(f"no VM {text}; there are: {names}")


def vcpus(vm: Struct) -> list[Struct]:
    found = (vm.pointer(f"vcpus[{i}]", "struct vcpu") for i in range(vm.get("vcpu_count")))
    return [vcpu for vcpu in found if vcpu]


def vcpu_named(text: str) -> Struct:
    """`VM`, `VM.N`, or `cpuN` for the one that CPU N has loaded; without a text the selected CPU's.
    """
    if not text:
        return loaded_vcpu() or vcpus(vms()[0])[0]
    name, _, number = text.partition(".")
    match = CPU_NAME.fullmatch(text)
    if match and text not in (vm.text("name") for vm in vms()):
        loaded = cpu_numbered(int(match[1])).loaded()
        if loaded is None:
            raise gdb.GdbError(f"CPU {match[1]} has no vCPU loaded; see: strata cpus")
        return loaded
    found = vcpus(vm_named(name))
    index = int(number) if number.isdigit() else 0
    if index >= len(found):
        raise gdb.GdbError(f"VM {name} has {len(found)} vCPUs, numbered from 0")
    return found[index]


def loaded_vcpu() -> Struct | None:
    """The vCPU whose registers the selected CPU holds."""
    cpu = register("TPIDR_EL2")
    return Struct("struct cpu", cpu).pointer("vcpu", "struct vcpu") if cpu else None


@dataclass(frozen=True)
class Cpu:
    """A CPU of the machine: QEMU shows each as a thread."""

    index: int
    thread: gdb.InferiorThread
    record: Struct  # EL2's struct cpu for it

    @contextlib.contextmanager
    def selected(self) -> Iterator[None]:
        """Registers of the block are this CPU's."""
        before = gdb.selected_thread()
        self.thread.switch()
        try:
            yield
        finally:
            before.switch()

    def is_on(self) -> bool:
        """Whether EL2 runs on it, or did when it last left for a guest."""
        with self.selected():
            return register("TPIDR_EL2") == self.record.address

    def is_halted(self) -> bool:
        return "halted" in (self.thread.details or "")

    def loaded(self) -> Struct | None:
        return self.record.pointer("vcpu", "struct vcpu")


def machine_cpus() -> list[Cpu]:
    """Every CPU of the machine, on or off."""
    table = symbol_address("cpus")
    if table is None:
        raise NotThere("this image has no table of CPUs (cpus)")
    size = gdb.lookup_type("struct cpu").sizeof
    threads = sorted(gdb.selected_inferior().threads(), key=lambda thread: int(thread.num))
    return [Cpu(index, thread, Struct("struct cpu", table + size * index))
            for index, thread in enumerate(threads)]


def cpu_numbered(index: int) -> Cpu:
    cpus = machine_cpus()
    if index >= len(cpus):
        raise gdb.GdbError(f"there is no CPU {index}: they are 0 to {len(cpus) - 1}")
    return cpus[index]


def cpu_with(vcpu: Struct) -> Cpu | None:
    """The CPU that holds the registers of this vCPU; None when they are in memory."""
    for cpu in machine_cpus():
        loaded = cpu.loaded()
        if loaded is not None and loaded.address == vcpu.address:
            return cpu
    return None


def cpu_name(cpu: Cpu) -> str:
    """Its number matters where there are several."""
    return f"CPU {cpu.index}" if len(machine_cpus()) > 1 else "the CPU"


def loaded_mark(vcpu: Struct) -> str:
    """Whether it is loaded, and on which CPU where there are several."""
    cpu = cpu_with(vcpu)
    if cpu is None:
        return "not loaded"
    return f"loaded on {cpu_name(cpu)}" if len(machine_cpus()) > 1 else "loaded"


def interface_mark(vcpu: Struct) -> str:
    """Where its virtual interface is, in the words of struct vgic_cpu."""
    if not vcpu.get("vgic.resident"):
        return "not resident"
    cpu = cpu_with(vcpu)
    where = f" on {cpu_name(cpu)}" if cpu and len(machine_cpus()) > 1 else ""
    return f"loaded{where}" if vcpu.get("vgic.loaded") else f"resident{where}, not loaded"


def vcpu_name(vcpu: Struct) -> str:
    vm = vcpu.pointer("vm", "struct vm")
    return f"{vm.text('name') if vm else '?'}.{vcpu.get('index')}"


def linked_layers() -> set[int]:
    """Numbers of the layers in this image, from its registry."""
    first, end = symbol_address("registry_layers"), symbol_address("registry_layers_end")
    if first is None or end is None:
        return set()
    size = gdb.lookup_type("struct layer").sizeof
    return {Struct("struct layer", address).get("number") for address in range(first, end, size)}


def require_layer(number: int, what: str) -> None:
    if number not in linked_layers():
        raise NotThere(f"this image has no {what}: layer {number} is not linked")
