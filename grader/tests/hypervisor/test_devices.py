# SPDX-License-Identifier: MIT
"""Layer 5 where no exercise asks: devices that fail, errors of the SMMU, what is told of both."""

from __future__ import annotations

import re
from pathlib import Path

from grader.conftest import Lab, MakeLab
from grader.machine import options
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine
from grader.machine.verdict import expect, expect_that
from grader.oracle import crash, dma
from grader.oracle.address_space import leaves_of
from grader.oracle.calls import Bench
from grader.oracle.decode.smmu import positions
from grader.oracle.dma import Smmu
from grader.oracle.objects import Objects
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm, judge, run_probes
from tools.vms import DeviceConfig, pci_number

LAB = 5
BUDGET = 1_000_000_000
MIB = 1 << 20
EBUSY = 16
MASK64 = (1 << 64) - 1
FIRST, SECOND = "00:02.0", "00:06.0"
STREAM, OTHER = 0x10, 0x30
EDU = (DeviceConfig(FIRST, "edu"), DeviceConfig(SECOND, "edu"))
ECAM = 0x40_1000_0000
MASTER = 1 << 2
VM_STOPPED = 2


def told(machine: Machine) -> str:
    machine.console.poll()
    return machine.console.text


def command_register(machine: Machine, stream: int) -> int:
    """As the device has it."""
    return int(machine.qmp.hmp(f"xp /1wx {ECAM + (stream << 12) + 4:#x}").split()[-1], 16) & 0xFFFF


def answer(machine: Machine, value: int) -> None:
    """The function at whose first instruction the machine stands returns this."""
    machine.gdb.set_core_registers({"x0": value & MASK64, "pc": machine.register("x30")})


def test_memory_of_a_device_that_does_not_stop_is_given_to_nobody(lab: Lab) -> None:
    """It does not answer when its VM is reset. The VM does not begin again; its neighbour lives."""
    machine = lab.start(ProbeVm("pci_reset", devices=(FIRST,)), ProbeVm("victim"), devices=EDU[:1])
    machine.run_to("*edu_reset", EL2_ONLY, budget=BUDGET)
    vms, pages = Objects(machine).vms(), machine.symbols["free_page_count"]
    before = machine.memory.u64(pages)
    answer(machine, -EBUSY)
    machine.run_to("*stage2_create", EL2_ONLY, budget=BUDGET)
    freed = (machine.memory.u64(pages) - before) * 4096
    expect_that("of the VM's 8 MiB no block was freed", freed < 2 * MIB, freed)
    expect_that("its device is invalid to the SMMU", not Smmu(machine).ste(STREAM).valid)
    expect("and no bus master", command_register(machine, STREAM) & MASTER, 0)
    machine.run_to("*machine_off", EL2_ONLY, budget=BUDGET)
    expect("state of the VM", vms[0].get("state"), VM_STOPPED)
    expect("its reason", vms[0].text("stop_reason"), "no device to start again")
    for line in ("vm0: its device 00:02.0 does not answer its reset: nobody gets it any more",
                 "vm0: its 8 MiB of memory are nobody's any more"):
        expect_that(f'the console says "{line}"', line in told(machine), told(machine))
    expect_that("the neighbour came to its end", vms[1].get("state") != VM_STOPPED)
    expect_that("EL2 lives", crash.read(machine) is None, crash.read(machine))


def test_registers_that_share_a_page_are_refused(lab: Lab) -> None:
    """The machine's pvpanic device has 16 bytes. EL2 is told here that it could stop it."""
    machine = lab.start(ProbeVm("hypercalls", devices=("00:01.0",)), devices=EDU)
    machine.run_to("*pci_model_of", EL2_ONLY)
    bench = Bench(machine)
    answer(machine, bench.make("struct pci_model").address)
    machine.run_to("*config_error", EL2_ONLY)
    machine.run(BUDGET)
    expect_that("it is told", "00:01.0 (ID 1b36:0011) has registers that share their page with "
                "others'" in told(machine), told(machine))


def test_a_command_that_is_not_taken_stops_nobody(lab: Lab) -> None:
    """The invalidation of an STE, at a VM's end, is turned into a command that no SMMU knows."""
    machine = lab.start(ProbeVm("dma_reset", devices=(FIRST,)), devices=EDU[:1])
    machine.run_to("*smmu_detach_stream", EL2_ONLY, budget=BUDGET)
    smmu = Smmu(machine)
    prod = smmu.commands.prod
    machine.run_to("*smmu_issue", EL2_ONLY)
    machine.gdb.set_core_registers({"x0": 0xFF})
    machine.run_to("*smmu_destroy_space", EL2_ONLY)
    expect("one error", Objects(machine).variable("struct smmu", "smmu").get("command_errors"), 1)
    expect("it is acknowledged", smmu.register(dma.GERROR), smmu.register(dma.GERRORN))
    names = [command.name for command in smmu.commands_since(prod)]
    expect("CMD_SYNC is in its place, and all that was cached is made to go", names[:5],
           ["SYNC", "SYNC", "CFGI_STE_RANGE", "TLBI_NSNH_ALL", "SYNC"])
    expect_that("it is told", "SMMU: command 0xff 0x1 is not taken: error 1" in told(machine),
                told(machine))
    machine.run_to("*machine_off", EL2_ONLY, budget=BUDGET)
    expect("state of the VM, whose second life has its device",
           Objects(machine).vm(0).get("reset_count"), 1)


def test_records_of_two_vms_that_come_with_one_pulse(make_lab: MakeLab, gic: int) -> None:
    machine = make_lab(LAB, gic).start(ProbeVm("dma_together", devices=(FIRST,)),
                                       ProbeVm("dma_together", devices=(SECOND,)), devices=EDU)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    smmu = Smmu(machine)
    prod = smmu.events.prod
    machine.run_to("*smmu_event_irq", EL2_ONLY, budget=BUDGET)
    queue = smmu.events
    waiting = positions(queue.prod, queue.cons, queue.log2_count)
    streams = [record.stream for record in smmu.events_since(prod)]
    expect("records that wait: 4 of each device", sorted(streams), [STREAM] * 4 + [OTHER] * 4)
    expect("none has been read", len(waiting), len(streams))
    machine.finish()
    expect_that("one interrupt drains the queue", smmu.events.is_empty)
    expect("charged to VM 0 and VM 1",
           [vm.get("dma.event_count") for vm in Objects(machine).vms()], [4, 4])


def test_a_device_that_was_cut_off_is_no_bus_master(lab: Lab) -> None:
    """Whatever its guest writes to the command register, until the VM's next life."""
    machine = lab.start(ProbeVm("dma_edu", devices=(FIRST,)), devices=EDU[:1])
    machine.run_to("*device_cut_off", EL2_ONLY, budget=BUDGET)
    expect("before: bus master", command_register(machine, STREAM) & MASTER, MASTER)
    machine.finish()
    expect("and after", command_register(machine, STREAM) & MASTER, 0)
    bench = Bench(machine)
    vm = Objects(machine).vm(0)
    bench.call("vmm_pci_set_command", vm.address, 0, 0x0006)
    expect("the guest asks for it again: bus master", command_register(machine, STREAM) & MASTER, 0)


def test_lost_records_are_told(lab: Lab) -> None:
    slots = [f"00:{slot:02x}.0" for slot in range(2, 18)]
    devices = tuple(DeviceConfig(address, "edu") for address in slots)
    machine = lab.start(ProbeVm("dma_storm", devices=tuple(slots)), devices=devices)
    machine.run_to("*machine_off", EL2_ONLY, budget=BUDGET)
    smmu = Objects(machine).variable("struct smmu", "smmu")
    expect_that("records were lost", smmu.get("overflows") > 0)
    expect_that("it is told", "SMMU: the event queue was full" in told(machine), told(machine))


# ---- ends of a VM while its devices are at work --------------------------------------------------

DISKS = ("00:02.0", "00:03.0")
CARD, NOTES = "00:04.0", "00:05.0"
DISK_BYTES = 1 << 20
SECTOR_BYTES = 4096
ENDS_QUICK, ENDS_FULL = 12, 1000
PATIENCE_SECONDS = 60  # of the host, which may be busy with other things


def with_disks(folder: Path) -> tuple[DeviceConfig, ...]:
    """A virtio-blk, an NVMe, an e1000e, an edu; each disk has its file, of no zero byte."""
    files = []
    for number in range(len(DISKS)):
        files.append(folder / f"disk{number}.img")
        files[-1].write_bytes(bytes([0xA0 + number]) * DISK_BYTES)
    return (DeviceConfig(DISKS[0], "virtio-blk-pci", files[0]),
            DeviceConfig(DISKS[1], "nvme", files[1]),
            DeviceConfig(CARD, "e1000e", hub=1),
            DeviceConfig(NOTES, "edu"))


def slow_down(machine: Machine) -> None:
    """A byte a second: what is submitted stays under way for an hour, unless the disk is reset or
    the machine stopped. The first request would pass, since nothing was read before: it is ours."""
    for address in DISKS:
        device = f"device{pci_number(address):x}"
        machine.qmp.command("block_set_io_throttle", device=device, bps=1,
                            bps_rd=0, bps_wr=0, iops=0, iops_rd=0, iops_wr=0)
        machine.qmp.hmp(f'qemu-io {device} "read -q 0 {SECTOR_BYTES}"')
    machine.patience_seconds = PATIENCE_SECONDS


def reads_done(machine: Machine) -> list[int]:
    """How many reads each disk has completed."""
    stats = {disk["device"]: disk["stats"]["rd_operations"]
             for disk in machine.qmp.command("query-blockstats")}
    return [stats[f"device{pci_number(address):x}"] for address in DISKS]


def test_requests_under_way_end_before_memory_is_given_on(lab: Lab, tmp_path: Path) -> None:
    """Two disks are at work at each end. When the machine stands in the last life, QEMU ends what
    is under way still: the two requests of this life and no others."""
    ends = ENDS_FULL if options.current().full else ENDS_QUICK
    vm = ProbeVm("dma_lives", devices=(*DISKS, CARD, NOTES), memory_mib=4,
                 words=(("lives", ends + 1),))
    machine = lab.start(vm, devices=with_disks(tmp_path), processor_seconds=60 + ends)
    slow_down(machine)
    before = reads_done(machine)  # the emulator's own
    judge(machine, run_probes(machine, [vm], LAB, budget=BUDGET * (1 + ends // 100)))
    expect("reads that each disk has completed",
           [now - then for now, then in zip(reads_done(machine), before, strict=True)],
           [ends + 1] * 2)
    owner = Objects(machine).vm(0)
    expect("lives before the last", owner.get("reset_count"), ends)
    ram = b"".join(machine.memory.read(walk.output or 0, walk.size)
                   for walk, _ in leaves_of(machine, owner) if walk.input >= RAM_BASE)
    for number in range(len(DISKS)):
        expect(f"bytes of disk {number} in the memory of the last life",
               ram.count(bytes([0xA0 + number]) * SECTOR_BYTES), 1)
    expect("refused accesses", owner.get("dma.event_count"), 0)
    expect_that("EL2 lives", crash.read(machine) is None, crash.read(machine))


WIRE = 1  # number of the hub
NET = "00:06.0"
NEIGHBOURS_CARD = "00:08.0"


def test_frames_under_way_are_written_to_no_later_life(lab: Lab) -> None:
    """Cards of a VM send to each other at each end, and a neighbour to both all the time."""
    ends = ENDS_FULL if options.current().full else ENDS_QUICK
    vms = [ProbeVm("dma_frames", devices=(CARD, NOTES, NET), memory_mib=4,
                   words=(("lives", ends + 1),)),
           ProbeVm("dma_sender", devices=(NEIGHBOURS_CARD,), memory_mib=4)]
    machine = lab.start(*vms, devices=(
        DeviceConfig(CARD, "e1000e", hub=WIRE), DeviceConfig(NOTES, "edu"),
        DeviceConfig(NET, "virtio-net-pci", hub=WIRE),
        DeviceConfig(NEIGHBOURS_CARD, "e1000e", hub=WIRE)), processor_seconds=60 + ends)
    judge(machine, run_probes(machine, vms, LAB, budget=BUDGET * (1 + ends // 20)))
    owner, neighbour = Objects(machine).vms()
    expect("lives before the last", owner.get("reset_count"), ends)
    expect("lives of the neighbour before this one", neighbour.get("reset_count"), 0)
    expect("refused accesses", [vm.get("dma.event_count") for vm in (owner, neighbour)], [0, 0])
    expect_that("EL2 lives", crash.read(machine) is None, crash.read(machine))


# ---- a guest that is hostile with its devices ----------------------------------------------------

STOP_INSTRUCTIONS = 10_000
DRAINS_IN_VAIN = 3


def test_a_line_that_stays_up_costs_the_neighbour_nothing(lab: Lab, tmp_path: Path) -> None:
    """An NVMe that its guest disabled too early asks for ever. EL2 tries three times to talk it out
    of that, and not each time that the guest is reset."""
    vms = [ProbeVm("hostile_nvme", "hostile", devices=DISKS[1:], memory_mib=4, reports=False),
           ProbeVm("victim", "victim")]
    machine = lab.start(*vms, devices=with_disks(tmp_path)[1:2])
    judge(machine, run_probes(machine, vms, LAB, BUDGET))
    taken = []
    for _ in range(2 * DRAINS_IN_VAIN):
        machine.run_to("*nvme_reset", EL2_ONLY, budget=BUDGET)
        before = machine.budget.retired
        machine.finish()
        taken.append(machine.budget.retired - before)
    dear = [count for count in taken if count > STOP_INSTRUCTIONS]
    expect_that(f"resets of more than {STOP_INSTRUCTIONS} instructions: {DRAINS_IN_VAIN} at most, "
                "and not the last", len(dear) <= DRAINS_IN_VAIN
                and taken[-1] <= STOP_INSTRUCTIONS, taken)
    expect_that("EL2 lives", crash.read(machine) is None, crash.read(machine))


HOSTILE = tuple(f"00:{slot:02x}.0" for slot in range(2, 10))  # two on each line
NEIGHBOUR = "00:0a.0"
OPERATIONS_QUICK, OPERATIONS_FULL = 4000, 500_000  # with each GIC
OPERATIONS_A_ROUND = 500  # of its neighbour, which is at work for longer than the hostile VM
TOLD = re.compile(r"hostile: device 00:0[2-9]\.0: DMA (write to|read of) 0x[0-9a-f]+ refused: "
                  r".+ \(event 0x1[01]\)")


def test_hostile_operations_on_devices_harm_nobody(make_lab: MakeLab, gic: int) -> None:
    operations = OPERATIONS_FULL if options.current().full else OPERATIONS_QUICK
    vms = [ProbeVm("hostile_devices", "hostile", devices=HOSTILE,
                   words=(("operations", operations),)),
           ProbeVm("victim_device", "victim", devices=(NEIGHBOUR,),
                   words=(("rounds", operations // OPERATIONS_A_ROUND),))]
    machine = make_lab(LAB, gic).start(
        *vms, devices=tuple(DeviceConfig(address, "edu") for address in (*HOSTILE, NEIGHBOUR)),
        processor_seconds=60 + operations // 200)
    judge(machine, run_probes(machine, vms, LAB, BUDGET * (1 + operations // 5000)))
    expect_that("EL2 lives", crash.read(machine) is None, crash.read(machine))
    hostile, victim = Objects(machine).vms()
    expect("the neighbour is charged with", victim.get("dma.event_count"), 0)
    expect("and was not reset", victim.get("reset_count"), 0)
    expect_that("the hostile VM is charged", hostile.get("dma.event_count") > 64)
    expect_that("and was reset on the way", hostile.get("reset_count") > 0)
    expect_that("VM, device, address and kind of a refusal are told", TOLD.search(told(machine))
                is not None, told(machine)[-2000:])
