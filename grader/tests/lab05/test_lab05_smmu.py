# SPDX-License-Identifier: MIT
"""Lab 5: the SMMU. Devices are QEMU's edu, whose transfers a probe can send anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from grader.conftest import Lab
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine
from grader.machine.verdict import expect, expect_that
from grader.oracle import dma
from grader.oracle.address_space import leaves_of
from grader.oracle.calls import Bench, hook_of
from grader.oracle.decode import smmu as memory
from grader.oracle.dma import Smmu
from grader.oracle.objects import Objects
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm
from tools.vms import DeviceConfig

LAB = 5
MIB = 1 << 20
BUDGET = 1_000_000_000
FIRST, SECOND = "00:02.0", "00:06.0"
STREAM, OTHER = 0x10, 0x30
EDU = (DeviceConfig(FIRST, "edu"), DeviceConfig(SECOND, "edu"))


def two(probe: str, *mib: int) -> tuple[ProbeVm, ProbeVm]:
    """VMs of so many MiB, which differ: whose table is meant can be seen."""
    first, second = mib or (8, 12)
    return (ProbeVm(probe, memory_mib=first, devices=(FIRST,)),
            ProbeVm(probe, memory_mib=second, devices=(SECOND,)))


def in_guest(lab: Lab, probe: str = "dma_edu", *mib: int) -> Machine:
    """The machine at the first instruction of VM 0; both VMs have a device."""
    machine = lab.start(*two(probe, *mib), devices=EDU)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    return machine


def without_owners(lab: Lab) -> Machine:
    """The machine at the first instruction of a VM without devices; there is an SMMU."""
    machine = lab.start("hypercalls", devices=EDU)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    return machine


def attached(lab: Lab, stage: int | None = None) -> Machine:
    """The machine at the first instruction of VM 0; both VMs have a DMA space and a stream.

    The test does what of assign_vm_create() concerns the SMMU: no other exercise is needed.
    """
    machine = lab.start(*two("dma_edu"), devices=EDU, smmu_stage=stage)
    for stream in (STREAM, OTHER):
        machine.run_to(hook_of(machine, LAB, "vm_create"), EL2_ONLY)
        bench = Bench(machine)
        vm = machine.register("x0")
        for name, arguments in {"smmu_create_space": (), "smmu_attach_stream": (stream,)}.items():
            expect(f"result of {name}()", bench.call(name, vm, *arguments) & 0xFFFF_FFFF, 0)
        bench.leave(0)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    return machine


def by_each_stage(make: Callable[[int | None], Machine]) -> Iterator[tuple[Smmu, bool]]:
    """With the best stage that the SMMU has, and with stage 1 if that is another; is it stage 2?"""
    smmu = Smmu(make(None))
    yield smmu, smmu.has_stage2
    if smmu.has_stage2:
        yield Smmu(make(1)), False


# 5.1


def test_the_smmu_is_set_up_as_its_identification_allows(lab: Lab) -> None:
    smmu = Smmu(without_owners(lab))
    expect("CR0 and CR0ACK: translation, event queue, command queue",
           smmu.register(dma.CR0), 0b1101)
    expect_that("and nothing of it waits to take effect", smmu.is_on)
    expect("CR1: tables and queues are shared, write-back memory", smmu.register(dma.CR1), 0xD75)
    expect("CR2.RECINVSID: unknown StreamIDs are recorded", smmu.register(dma.CR2) >> 1 & 1, 1)
    expect("CR2.PTM: the CPU's TLB maintenance is not for it", smmu.register(dma.CR2) >> 2 & 1, 1)
    expect("IRQ_CTRL: the event queue's interrupt and that of errors",
           smmu.register(dma.IRQ_CTRL), 0b101)
    expect("no error is left", smmu.register(dma.GERROR), smmu.register(dma.GERRORN))
    expect_that("the stream table has all of bus 0", smmu.stream_count >= 256)
    expect("it is aligned to its size", smmu.stream_table % (64 * smmu.stream_count), 0)
    rings = Objects(smmu.machine).variable("struct smmu", "smmu")
    for name, queue in {"command": smmu.commands, "event": smmu.events}.items():
        expect(f"the sizes of the {name} queue: the low bits of its base register are the log2 of "
               "the number of entries", queue.log2_count, rings.get(f"{name}s.log2_count"))
        expect_that(f"the {name} queue is aligned to its size", queue.is_aligned)
        expect_that(f"the {name} queue is empty", queue.is_empty)
    symbols = smmu.machine.symbols
    for base in (smmu.stream_table, smmu.commands.base, smmu.events.base):
        expect_that("tables and queues are EL2's own memory", base >= symbols["image_start"])


def test_an_smmu_without_owners_is_on_all_the_same(lab: Lab) -> None:
    """Neither bypass, which refuses nothing, nor abort, which names nobody."""
    smmu = Smmu(without_owners(lab))
    expect_that("it translates", smmu.is_on)
    expect("StreamIDs with a valid entry: nobody has one", smmu.valid_streams(), [])


def test_a_machine_without_an_smmu_is_as_before(lab: Lab) -> None:
    """Which says something of a hypervisor that uses one where there is one."""
    expect_that("an SMMU translates", Smmu(without_owners(lab)).is_on)
    lab.probe("hypercalls")


# 5.3


def test_what_nobody_owns_is_refused_and_named(lab: Lab) -> None:
    expect("StreamIDs with a valid entry: those of the VMs' devices",
           Smmu(attached(lab)).valid_streams(), [STREAM, OTHER])


def test_stream_table_entry_says_what_it_should(lab: Lab) -> None:
    for smmu, by_stage2 in by_each_stage(lambda stage: attached(lab, stage)):
        check_entries(smmu, by_stage2)


def check_entries(smmu: Smmu, by_stage2: bool) -> None:
    tags = []
    for stream in (STREAM, OTHER):
        ste = smmu.ste(stream)
        expect_that(f"STE of {memory.device(stream)}: {ste.problem}", not ste.problem, ste)
        expect("Config", ste.config, memory.STAGE_2 if by_stage2 else memory.STAGE_1)
        if by_stage2:
            tags.append((ste.vmid, ste.root))
            continue
        cd = smmu.cd(ste)
        expect_that(f"context descriptor: {cd.problem}", not cd.problem, cd)
        expect("MAIR: index 0 Device-nGnRE, index 1 Normal write-back", cd.mair & 0xFFFF, 0xFF04)
        tags.append((cd.asid, cd.root))
    expect_that("each VM has a tag of its own", tags[0][0] != tags[1][0])
    expect_that("and a table of its own", tags[0][1] != tags[1][1])
    expect_that("the tag is not 0, which is nobody's", all(tag for tag, _ in tags))


def test_dma_table_maps_ram_and_nothing_else(lab: Lab) -> None:
    for smmu, _ in by_each_stage(lambda stage: attached(lab, stage)):
        check_tables(smmu)


def check_tables(smmu: Smmu) -> None:
    machine = smmu.machine
    for stream, vm, size in ((STREAM, 0, 8 * MIB), (OTHER, 1, 12 * MIB)):
        space = smmu.space(stream)
        expect("in blocks of 2 MiB", {reach.walk.size for reach in space}, {2 * MIB})
        addresses = [reach.walk.input for reach in space]
        expect("all RAM", addresses, list(range(RAM_BASE, RAM_BASE + size, 2 * MIB)))
        expect_that("readable and writable, Normal",
                    all(r.writable and not r.is_device for r in space))
        table = Objects(machine).vm(vm)
        cpu = {w.input: w.output for w, _ in leaves_of(machine, table) if w.input >= RAM_BASE}
        expect("the same memory as the CPU's", {r.walk.input: r.walk.output for r in space}, cpu)
        expect("which is all resident", table.get("stage2.resident_bytes"), size)
        if smmu.ste(stream).config == memory.STAGE_1:
            expect_that("no entry serves every ASID (nG)", not any(r.global_ for r in space))


def test_a_device_reaches_the_memory_of_its_vm_and_nothing_else(lab: Lab) -> None:
    """One VM, which stops at the end of its probe: no device is taken back."""
    alone = ProbeVm("dma_edu", devices=(FIRST,))
    for _ in by_each_stage(lambda stage: lab.probe(alone, devices=EDU, smmu_stage=stage)[0]):
        pass


# 5.4


def test_commands_are_followed_by_a_sync(lab: Lab) -> None:
    """From the first guest's start to the machine's end: VMs are reset, and devices come and go."""
    machine = in_guest(lab, "dma_reset", 4, 6)
    prod = Smmu(machine).commands.prod
    machine.run_to_the_end(BUDGET)
    names = [str(command) for command in Smmu(machine).commands_since(prod)]
    expect_that("commands were issued when devices were taken back", bool(names))
    expect("the last one", names[-1], "SYNC")
    for index, name in enumerate(names[:-1]):
        if name.startswith(("CFGI_STE", "TLBI")):
            expect(f"behind {name}", names[index + 1], "SYNC")


def test_order_of_taking_back(lab: Lab) -> None:
    """The commands of one end, and the state of the stream when its VM's memory goes back."""
    machine = lab.start(ProbeVm("dma_reset", devices=(FIRST,)), devices=EDU[:1])
    machine.run_to("*smmu_detach_stream", EL2_ONLY)
    smmu = Smmu(machine)
    prod = smmu.commands.prod
    machine.run_to("*smmu_drain_events", EL2_ONLY)
    names = [command.name for command in smmu.commands_since(prod)]
    expect_that("events are read when no access can be under way any more: all is forgotten",
                len(names) == 4 and smmu.commands.is_empty, names)
    state = Objects(machine).variable("struct smmu", "smmu")
    expect("they are charged to the VM that the device still has",
           state.get(f"streams[{STREAM}].vm"), Objects(machine).vm(0).address)
    machine.run_to("*smmu_destroy_space", EL2_ONLY)
    expect("then it is nobody's", state.get(f"streams[{STREAM}].vm"), 0)
    expect("its VM has one stream less: dma.stream_count",
           Objects(machine).vm(0).get("dma.stream_count"), 0)
    expect_that("the entry is invalid", not smmu.ste(STREAM).valid, smmu.ste(STREAM))
    names = [command.name for command in smmu.commands_since(prod)]
    forget = "TLBI_S12_VMALL" if smmu.has_stage2 else "TLBI_NH_ASID"
    expect("commands", names, ["CFGI_STE", "SYNC", forget, "SYNC"])
    expect_that("all of them are done", smmu.commands.is_empty)


def test_memory_of_a_vm_that_ended_is_reached_by_no_device(lab: Lab) -> None:
    lab.probe(*two("dma_reset", 4, 6), devices=EDU)


def test_memory_under_dma_is_pinned(lab: Lab) -> None:
    machine = in_guest(lab)
    table = Objects(machine).vm(0)
    machine.run_to(Objects(machine).hypercall(0xC600_0010), EL2_ONLY)
    machine.finish()
    expect("nothing is given back", table.get("stage2.resident_bytes"), 8 * MIB)


# 5.5


def test_a_stray_access_is_charged_to_its_owner(lab: Lab) -> None:
    """By the records in the queue, and what EL2 made of them."""
    machine = in_guest(lab)
    smmu = Smmu(machine)
    prod = smmu.events.prod
    machine.run_to_the_end()
    records = smmu.events_since(prod)
    by_stream = {s: sum(record.stream == s for record in records) for s in (STREAM, OTHER)}
    expect("every record is of one of the two", sum(by_stream.values()), len(records))
    for index, stream in enumerate((STREAM, OTHER)):
        expect_that(f"{memory.device(stream)} went where it may not", by_stream[stream] > 0)
        vm = Objects(machine).vm(index)
        expect(f"what vm{index} is charged with", vm.get("dma.event_count"), by_stream[stream])
    expect_that("all is read: the event queue is empty", smmu.events.is_empty)


def test_the_event_queue_overflows_and_goes_on(lab: Lab) -> None:
    slots = [f"00:{slot:02x}.0" for slot in range(2, 18)]
    devices = tuple(DeviceConfig(address, "edu") for address in slots)
    machine = lab.start(ProbeVm("dma_storm", devices=tuple(slots)), devices=devices)
    machine.run_to_the_end(BUDGET)
    smmu = Smmu(machine)
    expect("no error is left", smmu.register(dma.GERROR), smmu.register(dma.GERRORN))
    expect_that("the queue is empty", smmu.events.is_empty)
    state = Objects(machine).variable("struct smmu", "smmu")
    expect_that("smmu.overflows: it was full", state.get("overflows") > 0)


def test_a_storm_is_cut_off(lab: Lab) -> None:
    lab.probe(ProbeVm("dma_storm", devices=(FIRST, SECOND)), devices=EDU)


def test_hostile_transfers_end_nothing(lab: Lab) -> None:
    vms = ProbeVm("hostile_dma", memory_mib=4, devices=(FIRST,)), ProbeVm("victim")
    for _ in by_each_stage(
        lambda stage: lab.probe(*vms, devices=EDU[:1], smmu_stage=stage)[0]
    ):
        pass
