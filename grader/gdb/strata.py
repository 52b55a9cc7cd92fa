# SPDX-License-Identifier: MIT
"""GDB commands for Strata: `source grader/gdb/strata.py`, then `help strata`.

They show the hypervisor's objects and the hardware's registers decoded by the same code that the
grader judges with. They only look; nothing in the machine changes.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from pathlib import Path

import gdb  # provided by GDB

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from grader.gdb import target  # noqa: E402
from grader.oracle.decode import el2_registers as el2  # noqa: E402
from grader.oracle.decode import smmu as smmu_memory  # noqa: E402
from grader.oracle.decode.esr import CLASSES, Esr  # noqa: E402
from grader.oracle.decode.list_register import ListRegister, Vmcr, ich_hcr  # noqa: E402
from grader.oracle.decode.stage2 import PA_SIZES, Stage2, Vtcr, Vttbr  # noqa: E402
from grader.oracle.decode.timer import timer_state  # noqa: E402


class Strata(gdb.Command):
    """The hypervisor and its VMs, decoded. `help strata` lists the commands."""

    def __init__(self) -> None:
        super().__init__("strata", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class Command(gdb.Command):
    """Base: a subcommand whose words come split, and whose use is known."""

    name = ""
    most = 0

    def __init__(self) -> None:
        super().__init__(f"strata {self.name}", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        del from_tty
        words = gdb.string_to_argv(argument)
        if len(words) > self.most:
            raise gdb.GdbError(f"too many arguments; see: help strata {self.name}")
        if not (target.is_there() or self.is_of_no_machine(words)):
            raise gdb.GdbError("no machine is there: it has ended, or was never started")
        self.run(words)

    def is_of_no_machine(self, words: list[str]) -> bool:
        """Whether the answer can be given without one."""
        return False

    def run(self, words: list[str]) -> None:
        raise NotImplementedError


def show(*lines: str) -> None:
    for line in lines:
        print(line)


def number(text: str) -> int:
    """A number or any expression that GDB can evaluate."""
    return int(gdb.parse_and_eval(text)) & target.MASK


class Vms(Command):
    """strata vms: every VM with its state, memory, tables and vCPUs.

    With layer 2 the memory column says how much of it is backed now, and what its tables take."""

    name = "vms"

    def run(self, words: list[str]) -> None:
        has_stage2 = 2 in target.linked_layers()
        for vm in target.vms():
            base, size = vm.get("ram_base"), vm.get("ram_bytes")
            line = f"{vm.get('index')} {vm.text('name')}: {vm.name_of('state')}"
            line += f", RAM {base:#x} + {size >> 20} MiB"
            if has_stage2:
                line += f" ({vm.get('stage2.resident_bytes') >> 10} KiB resident"
                line += f", {vm.get('stage2.table.table_bytes') >> 10} KiB of tables)"
                line += f", VMID {Vttbr(vm.get('stage2.vttbr')).vmid}"
            reason = vm.text("stop_reason")
            show(line + (f", stopped: {reason}" if reason else ""))
            for vcpu in target.vcpus(vm):
                cpu, pc = target.cpu_with(vcpu), vcpu.get("frame.pc")
                mark = f" ({target.loaded_mark(vcpu)})" if cpu else ""
                if cpu is not None:
                    with cpu.selected():
                        pc = target.register("pc") if target.exception_level() < 2 else pc
                show(f"    vCPU {vcpu.get('index')}: {vcpu.name_of('state')}{mark}, pc {pc:#x}")


class Cpus(Command):
    """strata cpus: what each CPU of the machine does.

    A CPU runs a vCPU, is in EL2 for one or for none, is idle because none can run (it keeps the
    last one loaded), or has not been started. With the length of its run queue, and the physical
    count at which the time slice ends, where there are time slices (layer 4)."""

    name = "cpus"

    def run(self, words: list[str]) -> None:
        running = running_vcpus()
        for cpu in target.machine_cpus():
            if not cpu.is_on():
                show(f"CPU {cpu.index}: off")
                continue
            line = f"CPU {cpu.index}: {self.doing(cpu, running.get(cpu.record.address))}"
            line += f", {cpu.record.get('runnable_count')} in its run queue"
            slice_end = cpu.record.get("slice_end")
            show(line + (f", slice ends at {slice_end:#x}" if slice_end else ""))

    def doing(self, cpu: target.Cpu, vcpu: target.Struct | None) -> str:
        loaded = cpu.loaded()
        with cpu.selected():
            level, pc = target.exception_level(), target.register("pc")
        if vcpu is None:
            awake = f"in EL2 for none, {target.code_name(pc)}"
            where = "idle in WFI" if cpu.is_halted() else awake
            return where + (f", {target.vcpu_name(loaded)} is loaded" if loaded else "")
        name = target.vcpu_name(vcpu)
        if level < 2:
            return f"runs {name} at EL{level}, pc {pc:#x}"
        if loaded is None or loaded.address != vcpu.address:
            return f"in EL2, about to load {name}, {target.code_name(pc)}"
        return f"in EL2 for {name}, {target.code_name(pc)}"


def running_vcpus() -> dict[int, target.Struct]:
    """The vCPU that each CPU, by the address of its struct cpu, has taken off its run queue."""
    found: dict[int, target.Struct] = {}
    try:
        vms = target.vms()
    except target.NotThere:
        return found
    for vm in vms:
        for vcpu in target.vcpus(vm):
            if vcpu.name_of("state") == "running":
                found[vcpu.get("cpu")] = vcpu
    return found


class Runq(Command):
    """strata runq: the run queue of each CPU, the next vCPU first, and where the other vCPUs are.

    A blocked vCPU sleeps in WFI. The CPU behind its name is where it ran last."""

    name = "runq"
    LONGEST = 256  # as many vCPUs as there can be

    def run(self, words: list[str]) -> None:
        for cpu in target.machine_cpus():
            if cpu.is_on():
                names = [target.vcpu_name(vcpu) for vcpu in self.queue(cpu)]
                show(f"CPU {cpu.index}: {', '.join(names) or 'nobody waits'}")
        others: dict[str, list[str]] = {"running": [], "blocked": [], "off": []}
        for vm in target.vms():
            for vcpu in target.vcpus(vm):
                self.note(vcpu, others)
        for state, names in others.items():
            if names:
                show(f"{state}: {', '.join(names)}")

    def note(self, vcpu: target.Struct, others: dict[str, list[str]]) -> None:
        names = others.get(vcpu.name_of("state"))
        cpu = vcpu.pointer("cpu", "struct cpu")
        if names is not None:
            where = f" (CPU {cpu.get('index')})" if cpu else ""
            names.append(target.vcpu_name(vcpu) + where)

    def queue(self, cpu: target.Cpu) -> list[target.Struct]:
        head = cpu.record.at("run_queue", "struct list").address
        offset = target.Struct("struct vcpu", 0).at("run_node", "struct list").address
        found: list[target.Struct] = []
        node = target.read_u64(head)
        while node != head:
            if not node or len(found) == self.LONGEST:
                raise gdb.GdbError(f"the run queue of CPU {cpu.index} is not closed: "
                                   f"behind {len(found)} vCPUs comes {node:#x}")
            found.append(target.Struct("struct vcpu", node - offset))
            node = target.read_u64(node)
        return found


class Vcpu(Command):
    """strata vcpu [VM[.N] | cpuN]: one vCPU's registers, its last exit and its EL1 state.

    VM is a name or a number, N the vCPU's (0 if left out); cpu2 is the one that CPU 2 has loaded,
    and without an argument it is that of the selected CPU (`thread 3` selects CPU 2).
    While the guest itself runs (its CPU stands at EL1 or EL0) its frame in memory is that of
    its last exit, and the CPU's own registers are the present ones; the command says so."""

    name = "vcpu"
    most = 1

    def run(self, words: list[str]) -> None:
        vcpu = target.vcpu_named(words[0] if words else "")
        cpu = target.cpu_with(vcpu)
        with cpu.selected() if cpu else contextlib.nullcontext():
            self.show_vcpu(vcpu, cpu)

    def show_vcpu(self, vcpu: target.Struct, cpu: target.Cpu | None) -> None:
        """If the vCPU is loaded, its CPU is selected."""
        running = cpu is not None and target.exception_level() < 2
        show(f"{target.vcpu_name(vcpu)}: {vcpu.name_of('state')}, struct vcpu at {vcpu.address:#x}")
        if running:
            show("it runs now: frame and EL1 state below are those of its last exit and switch")
        for row in range(0, 31, 4):
            names = range(row, min(row + 4, 31))
            show("  " + "  ".join(f"x{i:<2} {vcpu.get(f'frame.x[{i}]'):#018x}" for i in names))
        show(f"  pc  {vcpu.get('frame.pc'):#018x}  pstate {el2.spsr(vcpu.get('frame.pstate'))}")
        show(f"  last exit: {self.last_exit(vcpu)}")
        if vcpu.get("exit.hpfar"):
            page = (vcpu.get("exit.hpfar") & 0xFFF_FFFF_FFF0) << 8
            show(f"  last abort: FAR {vcpu.get('exit.far'):#x}, IPA page {page:#x}")
        self.show_hcr(vcpu.get("hcr"), cpu)
        show(f"  EL1 state in {target.cpu_name(cpu) if cpu else 'memory'}:")
        for member, register in EL1_REGISTERS:
            value = target.register(register) if cpu else vcpu.get(f"el1.{member}")
            text = el2.sctlr(value) if member == "sctlr" else f"{value:#x}"
            show(f"    {member:<10} {text}")

    def last_exit(self, vcpu: target.Struct) -> str:
        esr = vcpu.get("exit.esr")
        return str(Esr(esr)) if esr else "no synchronous one yet"

    def show_hcr(self, hcr: int, cpu: target.Cpu | None) -> None:
        """That of memory, and what the CPU lacks of it."""
        show(f"  HCR_EL2 {el2.hcr(hcr)}")
        kept = target.register("HCR_EL2") if cpu else hcr
        if kept != hcr:
            show(f"  (this is vcpu->hcr; the CPU's HCR_EL2 differs in {el2.hcr(kept ^ hcr)})")


EL1_REGISTERS = (
    ("sctlr", "SCTLR"),
    ("ttbr0", "TTBR0_EL1"),
    ("ttbr1", "TTBR1_EL1"),
    ("tcr", "TCR_EL1"),
    ("vbar", "VBAR"),
    ("esr", "ESR_EL1"),
    ("far", "FAR_EL1"),
    ("elr_el1", "ELR_EL1"),
    ("spsr_el1", "SPSR_EL1"),
    ("sp_el0", "SP_EL0"),
    ("sp_el1", "SP_EL1"),
)


class S2walk(Command):
    """strata s2walk IPA [VM]: walk a guest-physical address through the VM's stage-2 table.

    Prints every descriptor on the way and what the leaf allows. VM is a name or a number; without
    it the loaded VM. IPA is any expression: strata s2walk $HPFAR_EL2<<8"""

    name = "s2walk"
    most = 2

    def run(self, words: list[str]) -> None:
        if not words:
            raise gdb.GdbError("an address is missing; see: help strata s2walk")
        target.require_layer(2, "stage 2")
        ipa = number(words[0])
        vm = target.vm_named(words[1]) if len(words) > 1 else None
        if vm is None:
            vcpu = target.vcpu_named("")
            vm = vcpu.pointer("vm", "struct vm")
        assert vm is not None
        first = vm.pointer("vcpus[0]", "struct vcpu")
        fwb = first is not None and el2.hcr_has(first.get("hcr"), "FWB")
        vtcr, vttbr = vm.get("stage2.vtcr"), vm.get("stage2.vttbr")
        show(f"{vm.text('name')}: VTCR_EL2 {Vtcr(vtcr)}", f"VTTBR_EL2 {Vttbr(vttbr)}")
        with target.physical_reader() as reader:
            space = Stage2(vtcr, vttbr, reader, fwb)  # type: ignore[arg-type]
            walk = space.walk(ipa)
        show(*(f"  {step}" for step in walk.steps), f"  {walk}")
        if walk.output is not None:
            show(f"  {space.leaf(walk)}")


class EsrCommand(Command):
    """strata esr [VALUE]: an exception syndrome in words; without a value, those of EL2 and EL1."""

    name = "esr"
    most = 1

    def is_of_no_machine(self, words: list[str]) -> bool:
        return bool(words)

    def run(self, words: list[str]) -> None:
        if words:
            show(str(Esr(number(words[0]))))
            return
        show(
            f"ESR_EL2 {Esr(target.register('ESR_EL2'))}",
            f"ESR_EL1 {Esr(target.register('ESR_EL1'))}",
        )


class Lrs(Command):
    """strata lrs [VM[.N] | cpuN]: a vCPU's list registers as EL2 wrote or read them last.

    QEMU shows no ICH register to GDB, so this is the copy in memory (struct vgic_cpu), in the
    layout of the GICv3 on both GICs. Of ICH_VMCR_EL2, which the guest itself changes, it is that of
    the last save as long as a CPU has the interface; the command says so. Loaded: the list
    registers are the truth. Resident, but not loaded: they have been folded. Not resident: no CPU
    has them."""

    name = "lrs"
    most = 1

    def run(self, words: list[str]) -> None:
        target.require_layer(3, "virtual interrupt controller")
        vcpu = target.vcpu_named(words[0] if words else "")
        show(f"{target.vcpu_name(vcpu)} ({target.interface_mark(vcpu)}): "
             f"ICH_HCR_EL2 {ich_hcr(vcpu.get('vgic.hcr'))}")
        when = " as of its last save" if vcpu.get("vgic.resident") else ""
        show(f"  ICH_VMCR_EL2{when} {Vmcr(vcpu.get('vgic.vmcr'))}")
        used = vcpu.get("vgic.lr_used")
        for index in range(16):
            value = vcpu.get(f"vgic.lr[{index}]")
            if used >> index & 1:
                show(f"  LR{index} {value:#018x} {ListRegister(value)}")
        if not used:
            show("  no list register is in use")


class Irqs(Command):
    """strata irqs [VM]: interrupts of a VM that are enabled, pending or active.

    Without an argument, of every VM. `line_level` is that of the input, `LR` where it is cached."""

    name = "irqs"
    most = 1

    def run(self, words: list[str]) -> None:
        target.require_layer(3, "virtual interrupt controller")
        chosen = [target.vm_named(words[0])] if words else target.vms()
        for vm in chosen:
            show(f"{vm.text('name')}: GICD_CTLR {vm.get('vgic.ctlr'):#x}")
            for vcpu in target.vcpus(vm):
                for intid in range(32):
                    irq = vcpu.at(f"vgic.private_irqs[{intid}]", "struct vgic_irq")
                    self.show_irq(irq, f"vCPU {vcpu.get('index')}")
            spis = vm.get("vgic.spis")
            size = gdb.lookup_type("struct vgic_irq").sizeof
            for index in range(224 if spis else 0):
                self.show_irq(target.Struct("struct vgic_irq", spis + index * size), "SPI")

    def show_irq(self, irq: target.Struct, owner: str) -> None:
        flags = ("enabled", "pending_latch", "line_level", "active")
        state = [name for name in flags if irq.get(name)]
        if not state:
            return
        lr = irq.get("lr")
        words = [*state, "edge" if irq.get("edge") else "level"]
        words.append(f"priority {irq.get('priority'):#04x}")
        if lr != 0xFF:
            words.append(f"LR {lr}")
        if irq.get("hw"):
            words.append(f"HW {irq.get('pintid')}")
        show(f"  {owner} INTID {irq.get('intid')}: " + ", ".join(words))


class Timers(Command):
    """strata timers [cpuN]: the timers of each CPU that is on, or of this one, and of every vCPU.

    CNTHP is EL2's own: the head of that CPU's deadline queue. CNTV belongs to the loaded vCPU;
    those of the others are in memory, with the deadline that EL2 keeps for them."""

    name = "timers"
    most = 1

    def run(self, words: list[str]) -> None:
        match = target.CPU_NAME.fullmatch(words[0]) if words else None
        if words and not match:
            raise gdb.GdbError(f"{words[0]} is no CPU like cpu0; see: help strata timers")
        cpus = [target.cpu_numbered(int(match[1]))] if match else target.machine_cpus()
        for cpu in cpus:
            if match or cpu.index == 0 or cpu.is_on():
                with cpu.selected():
                    self.show_cpu(target.cpu_name(cpu).removeprefix("the "))
        target.require_layer(4, "virtual timer")
        for vm in target.vms():
            for vcpu in target.vcpus(vm):
                self.show_vcpu(vcpu)

    def show_cpu(self, label: str) -> None:
        """Of the selected CPU."""
        for name, suffix in (("CNTHP", "EL2"), ("CNTV", "EL0"), ("CNTP", "EL0")):
            control = target.register(f"{name}_CTL_{suffix}")
            value = target.register(f"{name}_CVAL_{suffix}")
            show(f"{label}: {name} {timer_state(control)}, CVAL {value:#x}")
        show(f"{label}: CNTVOFF_EL2 {target.register('CNTVOFF_EL2'):#x}")
        show(f"{label}: CNTHCTL_EL2 {el2.cnthctl(target.register('CNTHCTL_EL2'))}")

    def show_vcpu(self, vcpu: target.Struct) -> None:
        name = target.vcpu_name(vcpu)
        if cpu := target.cpu_with(vcpu):
            show(f"{name}: CNTV is in {target.cpu_name(cpu)}, "
                 f"offset {vcpu.get('vtimer.cntv.offset'):#x}")
        else:
            state = timer_state(vcpu.get("vtimer.cntv.ctl"))
            armed = (vcpu.get("vtimer.cntv.deadline.cpu")
                     and vcpu.get("vtimer.cntv.deadline.node.next"))
            ticks = vcpu.get("vtimer.cntv.deadline.ticks")
            deadline = f", EL2 wakes it at {ticks:#x}" if armed else ""
            show(f"{name}: CNTV {state}, CVAL {vcpu.get('vtimer.cntv.cval'):#x}{deadline}")
        state = timer_state(vcpu.get("vtimer.cntp.ctl"))
        show(f"{name}: CNTP {state}, CVAL {vcpu.get('vtimer.cntp.cval'):#x} (emulated)")


def smmu() -> target.Struct:
    """EL2's record of the SMMU, once it is on."""
    address = target.symbol_address("smmu")
    if address is None:
        raise target.NotThere("no SMMU: layer 5 is not linked")
    found = target.Struct("struct smmu", address)
    if not found.get("is_present"):
        raise target.NotThere("the SMMU is off: this machine has none, or it is not set up yet")
    return found


def words_at(address: int, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}Q", target.read(address, 8 * count))


class Smmu(Command):
    """strata smmu: which stage the SMMU uses, its queues, and what went wrong.

    PROD and CONS are what EL2 knows of them. Of the command queue the last commands are shown."""

    name = "smmu"
    LAST = 8

    def run(self, words: list[str]) -> None:
        found = smmu()
        stage = 2 if found.get("use_stage2") else 1
        show(
            f"translation by stage {stage}, "
            f"output addresses of {PA_SIZES[found.get('address_size')]} bits",
            f"commands: {found.get('commands.prod'):#x} written, {found.get('command_errors')} not "
            "taken",
            f"events: {found.get('events.cons'):#x} read, queue full "
            f"{found.get('overflows')} times",
        )
        entries, size = found.get("commands.entries"), 1 << found.get("commands.log2_count")
        prod = found.get("commands.prod")
        for position in range(prod - self.LAST, prod):
            entry = words_at(entries + 16 * (position % size), 2)
            if entry[0]:
                show(f"  [{position % size}] {smmu_memory.Command((entry[0], entry[1]))}")


class Streams(Command):
    """strata streams [VM]: devices that are a VM's, or have made accesses that were refused.

    For each its owner, what EL2 thinks of it, its stream table entry as it is in memory, and the
    last access that was refused."""

    name = "streams"
    most = 1

    def run(self, words: list[str]) -> None:
        only = target.vm_named(words[0]).address if words else 0
        streams, table = smmu(), target.symbol_address("stream_table") or 0
        for stream in range(int(gdb.parse_and_eval("sizeof(smmu.streams) "
                                                   "/ sizeof(smmu.streams[0])")) - 1):
            record = streams.at(f"streams[{stream}]", "struct smmu_stream")
            owner = record.pointer("vm", "struct vm")
            if not (owner
                    or record.get("event_count")) or (only
                                                      and not (owner and owner.address == only)):
                continue
            ste = smmu_memory.Ste(words_at(table + smmu_memory.STE_BYTES * stream, 8))
            show(
                f"{smmu_memory.device(stream)} {owner.text('name') if owner else 'nobody'}: "
                f"{record.name_of('state')}, STE {ste}"
            )
            if ste.valid and ste.config == smmu_memory.STAGE_1:
                show(f"  {smmu_memory.Cd(words_at(ste.context, 8))}")
            if count := record.get("event_count"):
                what = "write to" if record.get("last.is_write") else "read of"
                kind = smmu_memory.EVENTS.get(record.get("last.kind"), hex(record.get("last.kind")))
                show(f"  {count} refused, among the last: {kind}, {what} "
                     f"{record.get('last.address'):#x}")


EVENTQ_PROD = 0x0906_00A8  # a register of the SMMU, where QEMU's virt has it


class Events(Command):
    """strata events [N]: the last N records of the SMMU's event queue (10), oldest first.

    They stay in memory when EL2 has read them, until the queue has gone round. Those that wait for
    EL2, between EVENTQ_CONS and EVENTQ_PROD, are marked."""

    name = "events"
    most = 1

    def run(self, words: list[str]) -> None:
        found = smmu()
        entries, size = found.get("events.entries"), 1 << found.get("events.log2_count")
        cons = found.get("events.cons")
        (prod,) = struct.unpack("<I", target.read(EVENTQ_PROD, 4))
        waiting = (prod - cons) % (2 * size)  # indexes and wrap bits; flags above do not matter
        count = min(number(words[0]) if words else 10, size)
        shown = 0
        for position in range(cons + waiting - count, cons + waiting):
            event = smmu_memory.Event(words_at(entries + 32 * (position % size), 4))
            if event.kind:
                show(f"[{position % size}] {event}{', not read yet' * (position >= cons)}")
                shown += 1
        if not shown:
            show("no access was refused so far")


class BreakExit(Command):
    """strata break-exit EC: stop at EL2's vector when a guest exits with this exception class.

    EC is a number: 0x16 HVC, 0x17 SMC, 0x18 system register, 0x24 data abort, 0x20 instruction
    abort, 0x01 WFI; `any` for all. It is an ordinary breakpoint: `info breakpoints`, `delete`."""

    name = "break-exit"
    most = 1

    def run(self, words: list[str]) -> None:
        if not words:
            raise gdb.GdbError("an exception class is missing; see: help strata break-exit")
        vectors = target.register("VBAR_EL2") or target.symbol_address("vectors")
        if not vectors:
            raise target.NotThere("VBAR_EL2 is not set yet and the image has no symbol vectors")
        condition = "($cpsr & 0xc) == 8"
        ec = None if words[0] == "any" else number(words[0])
        if ec is not None:
            if ec not in CLASSES:
                raise gdb.GdbError(f"{ec:#x} is not an exception class")
            condition += f" && (($ESR_EL2 >> 26) & 0x3f) == {ec:#x}"
        # Lower EL, AArch64: the third group of vectors, its synchronous entry.
        point = gdb.Breakpoint(f"*{vectors + 0x400:#x}")
        point.condition = condition
        what = "any exit" if ec is None else f"exits with EC {ec:#04x} {CLASSES[ec]}"
        show(f"breakpoint {point.number} stops at {what}")


Strata()
for command in (Vms, Vcpu, Cpus, Runq, S2walk, EsrCommand, Lrs, Irqs, Timers, Smmu, Streams, Events,
                BreakExit):
    command()
