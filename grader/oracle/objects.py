# SPDX-License-Identifier: MIT
"""The hypervisor's own objects (kit/vcpu.h), read from physical memory.

Where a member is, the headers that are given say (Machine.layout), never the image: the debug
information of a submission may tell anything of a type.

EL2 maps itself one to one, so its pointers are physical addresses. Reading them this way works
whichever EL the machine stands at, and changes nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from grader.machine.gdb_client import GdbError
from grader.machine.machine import Machine
from grader.machine.verdict import Finding, Verdict

_OF_POINTERS = ("registry_devices",)
_FORMATS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}


@dataclass
class Object:
    """A struct at an address; `get("frame.pc")` reads a member of it."""

    objects: Objects
    kind: str
    address: int

    def get(self, member: str) -> int:
        offset, size = self.objects.member(self.kind, member)
        data = self.objects.machine.memory.read(self.address + offset, size)
        return int(struct.unpack(_FORMATS[size], data)[0])

    def set(self, member: str, value: int) -> None:
        """Write an integer member, negative ones as their two's complement."""
        offset, size = self.objects.member(self.kind, member)
        data = struct.pack(_FORMATS[size], value & (1 << 8 * size) - 1)
        self.objects.machine.memory.write(self.address + offset, data)

    def text(self, member: str) -> str:
        offset, _ = self.objects.member(self.kind, member)
        return self.objects.machine.memory.text(self.address + offset)

    def pointer(self, member: str, kind: str) -> Object | None:
        """The object that a pointer member leads to, None for NULL."""
        target = self.get(member)
        return Object(self.objects, kind, target) if target else None


class Vm(Object):
    """A struct vm."""

    @property
    def name(self) -> str:
        return self.text("name")

    @property
    def index(self) -> int:
        return self.get("index")

    @property
    def ram_base(self) -> int:
        return self.get("ram_base")

    def vcpu(self, index: int) -> Object:
        found = self.pointer(f"vcpus[{index}]", "struct vcpu")
        if found is None:
            raise Finding(Verdict.FAIL, f"VM {self.name} has vCPU {index}")
        return found


@dataclass
class Objects:
    """Access to `vms`, `cpus` and what hangs on them."""

    machine: Machine

    def member(self, kind: str, member: str) -> tuple[int, int]:
        """(offset, size) of a member."""
        place = f"(({kind} *)0)->{member}"
        try:
            return self.machine.layout(f"&({place})"), self.machine.layout(f"sizeof({place})")
        except GdbError as error:
            raise Finding(
                Verdict.FAIL, f"{kind} has the member {member}", observed=str(error)
            ) from error

    def vms(self) -> list[Vm]:
        """All VMs there are."""
        memory, symbols = self.machine.memory, self.machine.symbols
        count = memory.u32(symbols["vm_count"])
        table = symbols["vms"]
        pointers = [memory.u64(table + 8 * index) for index in range(min(count, 32))]
        return [Vm(self, "struct vm", pointer) for pointer in pointers if pointer]

    def vm(self, index: int) -> Vm:
        return self.vms()[index]

    def registry(self, kind: str, table: str) -> list[Object]:
        """The entries of a registry of the image (kit/registry.h), or what its pointers lead to."""
        entry = 8 if table in _OF_POINTERS else self.machine.layout(f"sizeof(struct {kind})")
        symbols = self.machine.symbols
        addresses = list(range(symbols[table], symbols[f"{table}_end"], entry))
        if table in _OF_POINTERS:
            addresses = [self.machine.memory.u64(address) for address in addresses]
        return [Object(self, f"struct {kind}", address) for address in addresses]

    def handler(self, kind: str, table: str, key: str, value: int) -> int:
        """Address of the function that the image registered in one of its registries."""
        for entry in self.registry(kind, table):
            if entry.get(key) == value:
                return entry.get("handler")
        raise Finding(Verdict.FAIL, f"a handler is registered: {kind} with {key} {value:#x}")

    def hypercall(self, function_id: int) -> int:
        return self.handler("hypercall_entry", "registry_hypercalls", "function_id", function_id)

    def trap(self, ec: int) -> int:
        """The same for an exception class."""
        return self.handler("trap_entry", "registry_traps", "ec", ec)

    def variable(self, kind: str, name: str) -> Object:
        """A global variable of the image that is a struct."""
        return Object(self, kind, self.machine.symbols[name])

    def cpu(self, index: int) -> Object:
        size = self.machine.layout("sizeof(struct cpu)")
        return Object(self, "struct cpu", self.machine.symbols["cpus"] + size * index)

    def loaded_vcpu(self) -> Object | None:
        """The vCPU that the selected CPU runs, by the CPU's own TPIDR_EL2."""
        return Object(self, "struct cpu", self.machine.register("TPIDR_EL2")).pointer(
            "vcpu", "struct vcpu"
        )

    def loaded_vm_index(self) -> int:
        vcpu = self.loaded_vcpu()
        vm = vcpu.pointer("vm", "struct vm") if vcpu else None
        return vm.get("index") if vm else -1
