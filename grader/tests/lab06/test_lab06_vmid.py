# SPDX-License-Identifier: MIT
"""Lab 6, exercise 6.5: more VMs than VMIDs.

QEMU's TLB has no VMIDs: it is dropped whenever VTTBR_EL2 gets another VMID, or TCR_EL1 is written,
which every world switch does. So no guest would see another's memory, whatever the allocator does.
What it does is read from memory (grader/oracle/vmids.py), and in the disassembly
(test_lab06_vmid_barriers.py).
"""

from __future__ import annotations

import pytest

from grader.conftest import Lab
from grader.machine.machine import EL1_ONLY
from grader.machine.verdict import expect, expect_that
from grader.oracle.calls import Bench
from grader.oracle.decode.stage2 import Vttbr
from grader.oracle.objects import Object, Objects
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm
from grader.oracle.vmids import expect_vmids_are_unique
from tools.bundle import BUNDLE_ADDRESS as BUNDLE

LAB = 6
CPU_MAX = 8


@pytest.mark.parametrize(("cpus", "vms", "vmids"), [(1, 2, 1), (1, 3, 2), (2, 5, 2), (2, 6, 3)])
def test_more_vms_than_vmids_run_side_by_side(lab: Lab, cpus: int, vms: int, vmids: int) -> None:
    """None sees another's memory, however often a VMID changes hands."""
    machine, _ = lab.probe(*[ProbeVm("memory_isolation", memory_mib=4)] * vms, vmids=vmids,
                           smp=cpus, ignore=("cntkctl_el1",))
    space = Object(Objects(machine), "struct vmid_space", machine.symbols["vmid_space"])
    expect("VMIDs that are used", space.get("last"), vmids)
    expect_that("all VMIDs were given out anew", space.get("generation") > 1,
                space.get("generation"))


@pytest.mark.parametrize("vmids", [1, 2, 0])
def test_no_vmid_belongs_to_two_vms(lab: Lab, vmids: int) -> None:
    """At the first instruction of each of three VMs: VTTBR_EL2 has the VMID of the VM that runs."""
    machine = lab.start(*[ProbeVm("memory_isolation", memory_mib=4)] * 3, vmids=vmids)
    for index in range(3):
        machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
        vm = Objects(machine).vm(index)
        expect_vmids_are_unique(machine, f"{vm.name} starts", vmids or 0xFFFF)
        expect(f"VTTBR_EL2 is {vm.name}'s", machine.register("VTTBR_EL2"),
               vm.get("stage2.vttbr"), Vttbr)
        machine.run_to(RAM_BASE + LOAD_OFFSET + 4, EL1_ONLY)


def test_vmids_change_hands_behind_an_invalidation_and_not_of_loaded_vms(
    lab: Lab, seed: int
) -> None:
    """The test says what three CPUs, the first and the last among them, have loaded, and asks for
    VMIDs again and again. The bundle asks for one VMID: three CPUs need three."""
    machine = lab.start(*["memory_isolation"] * 5, vmids=3)
    bench = Bench.at_first_entry(machine, seed)
    objects, cpus = bench.objects, (0, 3, CPU_MAX - 1)
    vms = objects.vms()
    lock = Object(objects, "struct spinlock", machine.symbols["vmid_lock"])
    space = Object(objects, "struct vmid_space", machine.symbols["vmid_space"])
    bench.put(Object(objects, "struct bundle_header", BUNDLE), machine_cpus=len(cpus), vmids=1)
    bench.put(lock, taken=1)
    bench.put(space, next=2, last=1)
    bench.put(objects.cpu(0), vcpu=0)
    bench.call("vmid_new")  # nothing is loaded: this returns, however few VMIDs there are
    expect("the last VMID after a roll-over, by vmid_count(): the bundle says vmids 1 and "
           "machine_cpus 3, and each CPU needs one", space.get("last"), len(cpus))
    has = dict.fromkeys(range(len(vms)), 0)
    loaded = dict.fromkeys(cpus, -1)
    used = set[int]()
    for _ in range(60):
        cpu, index = bench.random.choice(cpus), bench.random.randrange(len(vms))
        loaded[cpu] = index
        bench.put(objects.cpu(cpu), vcpu=vms[index].vcpu(0).address)
        if has[index]:
            continue
        dropped = len([*bench.executed("tlbi alle1is", "vmid_new")])
        vmid = machine.register("x0") & 0xFFFF_FFFF
        now = {other: vm.get("vmid") for other, vm in enumerate(vms)}
        expect_that("vmid_new() returns one of the VMIDs 1 to 3", 1 <= vmid <= 3, vmid)
        for other in loaded.values():
            if other >= 0 and has[other]:
                expect(f"the VMID of {vms[other].name}, which a CPU has loaded", now[other],
                       has[other])
        expect_that("nobody else has the VMID that vmid_new() returns", vmid not in now.values(),
                    f"VMID {vmid}; the VMs have {[*now.values()]}")
        expect_that(f"TLBs drop all before VMID {vmid}, which another VM had, is given out",
                    dropped > 0 or vmid not in used, f"VMIDs given out since the last time: {used}")
        used = (set() if dropped else used) | {vmid}
        bench.ask("stage2_set_vmid", vms[index].address, vmid)
        has = now | {index: vmid}


def test_a_cpu_that_loads_a_vm_in_a_roll_over_is_seen_or_sees(lab: Lab, seed: int) -> None:
    """CPU 1 loads a VM at the worst moment: all VMs have lost their VMIDs, nobody has looked yet.

    CPU 1 has found the VMID still there: it stored cpu->vcpu before. What it stored is visible
    behind the barrier at the latest, so the VM keeps its VMID.
    """
    machine = lab.start(*["memory_isolation"] * 3, vmids=3)
    bench = Bench.at_first_entry(machine, seed)
    vms, cpu = bench.objects.vms(), bench.objects.cpu(1)
    lock = Object(bench.objects, "struct spinlock", machine.symbols["vmid_lock"])
    space = Object(bench.objects, "struct vmid_space", machine.symbols["vmid_space"])
    bench.put(lock, taken=1)
    for number, vm in enumerate(vms, start=1):
        bench.ask("stage2_set_vmid", vm.address, number)
    bench.put(space, next=4, last=3)
    bench.put(cpu, vcpu=0)
    told: list[tuple[str, list[int]]] = []
    for instruction in bench.executed(r"(dmb|dsb) (ish|sy)$|tlbi alle1is", "vmid_new"):
        told.append((instruction.text, [vm.get("vmid") for vm in vms]))
        if not any(told[-1][1]):
            bench.put(cpu, vcpu=vms[1].vcpu(0).address)
    names = [text for text, _ in told]
    expect_that("a roll-over drops what TLBs hold: TLBI ALLE1IS", "tlbi alle1is" in names, told)
    before = told[:names.index("tlbi alle1is")]
    expect_that("first every VM loses its VMID, and a barrier (DMB ISH) comes then",
                any(not any(vmids) for _, vmids in before),
                f"(barrier, VMIDs of the three VMs) until TLBI ALLE1IS: {before}")
    expect("CPU 0 had the first VM loaded all the time, CPU 1 loads the second at that barrier: "
           "VMIDs of the three VMs at TLBI ALLE1IS", told[names.index("tlbi alle1is")][1],
           [1, 2, 0])


@pytest.mark.parametrize(("cpu", "count"), [("cortex-a53", 255), ("cortex-a76", 65535)])
def test_there_are_as_many_vmids_as_the_cpu_has(lab: Lab, cpu: str, count: int) -> None:
    machine = lab.start("memory_isolation", cpu=cpu)
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    space = Object(Objects(machine), "struct vmid_space", machine.symbols["vmid_space"])
    expect("the last VMID", space.get("last"), count)


def test_each_life_of_a_vm_has_a_vmid_that_nobody_had(lab: Lab) -> None:
    """A VM that is reset finds nothing in a TLB of what it was before."""
    machine = lab.start("psci_reset")
    seen = []
    for _ in range(2):
        machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
        seen.append(Objects(machine).vm(0).get("vmid"))
        machine.run_to(RAM_BASE + LOAD_OFFSET + 4, EL1_ONLY)
    expect_that("the VMID is another one after the reset", seen[0] != seen[1], seen)
