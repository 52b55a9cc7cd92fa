# SPDX-License-Identifier: MIT
"""Who has which VMID, read from memory. QEMU's TLBs know no VMIDs, so no guest would notice."""

from __future__ import annotations

from grader.machine.machine import Machine
from grader.machine.verdict import expect, expect_that
from grader.oracle.decode.stage2 import Vttbr
from grader.oracle.objects import Objects


def expect_vmids_are_unique(machine: Machine, what: str, last: int = 0xFFFF) -> dict[str, int]:
    """The invariants VMID-1 and VMID-2 (vmid.c), when nobody has vmid_lock; returns each VM's VMID.

    A VM that a CPU has loaded has a VMID, and no two VMs have the same.
    """
    objects = Objects(machine)
    vmids = {vm.name: vm.get("vmid") for vm in objects.vms()}
    owners: dict[int, str] = {}
    for vm in objects.vms():
        vmid = vmids[vm.name]
        expect(f"{what}: {vm.name}'s stage2.vttbr has its VMID",
               Vttbr(vm.get("stage2.vttbr")).vmid, vmid)
        expect_that(f"{what}: {vm.name}'s VMID is one of 1 to {last}, or 0: none",
                    vmid <= last, vmid)
        if vmid:
            expect(f"{what}: VMID {vmid} is {vm.name}'s and nobody else's",
                   owners.setdefault(vmid, vm.name), vm.name)
    for index in range(8):
        vcpu = objects.cpu(index).pointer("vcpu", "struct vcpu")
        loaded = vcpu and vcpu.pointer("vm", "struct vm")
        if loaded:
            expect_that(f"{what}: {loaded.text('name')}, which CPU {index} has loaded, has a VMID",
                        bool(loaded.get("vmid")))
    return vmids
