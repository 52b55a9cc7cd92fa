# SPDX-License-Identifier: MIT
"""Layer 5 where no exercise asks: devices that fail, errors of the SMMU, what is told of both."""

from __future__ import annotations

from grader.conftest import Lab, MakeLab
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine
from grader.machine.verdict import expect, expect_that
from grader.oracle import crash, dma
from grader.oracle.calls import Bench
from grader.oracle.decode.smmu import positions
from grader.oracle.dma import Smmu
from grader.oracle.objects import Objects
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm
from tools.vms import DeviceConfig

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
    expect_that("of the VM's 16 MiB no block was freed", freed < 2 * MIB, freed)
    expect_that("its device is invalid to the SMMU", not Smmu(machine).ste(STREAM).valid)
    expect("and no bus master", command_register(machine, STREAM) & MASTER, 0)
    machine.run_to("*machine_off", EL2_ONLY, budget=BUDGET)
    expect("state of the VM", vms[0].get("state"), VM_STOPPED)
    expect("its reason", vms[0].text("stop_reason"), "no device to start again")
    for line in ("vm0: its device 00:02.0 does not answer its reset: nobody gets it any more",
                 "vm0: its 16 MiB of memory are nobody's any more"):
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
