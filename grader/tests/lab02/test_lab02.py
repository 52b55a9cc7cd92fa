# SPDX-License-Identifier: MIT
"""Lab 2: stage 2, EL2's own map, MMIO emulation, demand paging."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from grader.conftest import Lab, on_gics
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine, StopKind
from grader.machine.symbols import symbols_of
from grader.machine.verdict import expect, expect_that
from grader.oracle import address_space as space
from grader.oracle import crash
from grader.oracle.decode import el2_registers as el2
from grader.oracle.decode.esr import Esr
from grader.oracle.decode.fields import bits
from grader.oracle.decode.stage2 import Vtcr, Vttbr
from grader.oracle.objects import Objects, Vm
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm
from tools.vms import PAGE_SIZES

LAB = 2
PAGE = 4096
MIB = 1 << 20

MASK64 = (1 << 64) - 1
MEMORY_RELEASE = 0xC600_0010
HVC, DATA_ABORT = 0x16, 0x24  # exception classes

ALONE = [
    "stage2_abort",
    "stage1",
    "stage1_walk",
    "mmio_decode",
    "mmio_endian",
    "memory_release",
    "self_modifying",
    "pl011",
    "registers_preserved",
    "exit_modes",
    "id_registers",
    "hypercalls",
    "undef",
]
ON_GICV2: list[str] = []  # layers 1 and 2 do not touch the interrupt controller
IN_PAIRS = [
    "memory_isolation",
    "memory_reuse",
    "memory_release",
    "stage1",
    "mmio_decode",
    "world_switch_fp",
    "world_switch_el1",
]


@pytest.mark.parametrize(("gic", "probe"), on_gics(ALONE, ON_GICV2), indirect=["gic"])
def test_a_guest_sees_the_architecture(lab: Lab, gic: int, probe: str) -> None:
    lab.probe(probe)


@pytest.mark.parametrize("probe", IN_PAIRS)
def test_two_guests_do_not_disturb_each_other(lab: Lab, probe: str) -> None:
    lab.probe(ProbeVm(probe), ProbeVm(probe), ignore=("cntkctl_el1",))


@pytest.mark.parametrize("cpu", ["cortex-a57", "max"])
@pytest.mark.parametrize("probe", ["stage1", "stage2_abort"])
def test_older_and_newer_cpus(lab: Lab, cpu: str, probe: str) -> None:
    lab.probe(probe, cpu=cpu)


# What GDB sees, and what lies in the tables.


def in_guest(lab: Lab, *vms: ProbeVm | str) -> Machine:
    """The machine at the first instruction of VM 0."""
    machine = lab.start(*vms or ("memory_isolation", "memory_isolation"))
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    return machine


def layers_started(lab: Lab) -> Machine:
    """EL2 has its own map; no VM has been created yet."""
    machine = lab.start("hypercalls")
    machine.run_to("*vm_create_all", EL2_ONLY)
    return machine


def in_both_guests(lab: Lab, probe: str = "world_switch_el1") -> Machine:
    """VM 1 stands in its first call: both VMs have run and have memory."""
    machine = in_guest(lab, probe, probe)
    other = f"$VTTBR_EL2 != {machine.register('VTTBR_EL2'):#x}"
    machine.run_to(Objects(machine).trap(HVC), f"{EL2_ONLY} && {other}")
    return machine


def test_stage_2_registers_are_what_the_architecture_allows(lab: Lab) -> None:
    machine = in_guest(lab)
    vtcr = Vtcr(machine.register("VTCR_EL2"))
    expect_that(f"VTCR_EL2 is usable: {vtcr.problem}", not vtcr.problem, vtcr)
    expect_that(
        "tables are walked as Normal write-back memory", vtcr.inner == 1 and vtcr.outer == 1, vtcr
    )
    expect_that("tables are walked as inner shareable memory", vtcr.shareability == 3, vtcr)
    expect("VTCR_EL2.PS is what cortex-a76 has (40 bits)", vtcr.output_bits, 40)
    table = "stage2.table"
    vm = Objects(machine).vm(0)
    expect("T0SZ leaves as many input bits as the table has", vtcr.input_bits,
           vm.get(f"{table}.input_bits"))
    expect("SL0 is the level where the table begins", vtcr.start_level,
           vm.get(f"{table}.start_level"))
    hcr = machine.register("HCR_EL2")
    expect_that("stage 2 is on (HCR_EL2.VM)", el2.hcr_has(hcr, "VM"), el2.hcr(hcr))
    root = Vttbr(machine.register("VTTBR_EL2")).root
    expect("the root is aligned to its size", root % (vtcr.root_tables * PAGE), 0)


def test_registers_are_those_of_the_running_vm(lab: Lab) -> None:
    """At the first instruction of each VM; VM 1's comes when VM 0 has given way."""
    machine = lab.start("world_switch_el1", "world_switch_el1")
    first = RAM_BASE + LOAD_OFFSET
    for index in range(2):
        machine.run_to(first, EL1_ONLY)
        vm = Objects(machine).vm(index)
        expect(f"VTTBR_EL2 is {vm.name}'s", machine.register("VTTBR_EL2"),
               vm.get("stage2.vttbr"), Vttbr)
        expect(f"VTCR_EL2 is {vm.name}'s", machine.register("VTCR_EL2"),
               vm.get("stage2.vtcr"), Vtcr)
        machine.run_to(first + 4, EL1_ONLY)  # it is executed again when its page is there


def test_every_vm_has_a_vmid_and_a_table_of_its_own(lab: Lab) -> None:
    machine = in_guest(lab, *["hypercalls"] * 5)
    vttbrs = [Vttbr(vm.get("stage2.vttbr")) for vm in Objects(machine).vms()]
    expect("VMIDs differ", len({v.vmid for v in vttbrs}), 5)
    expect("roots differ", len({v.root for v in vttbrs}), 5)
    expect_that(
        "VMID 0 is not a guest's: it is what VTTBR_EL2 holds after reset",
        all(v.vmid for v in vttbrs),
    )


def test_a_guest_reaches_neither_el2_nor_another_guest_nor_any_table(lab: Lab) -> None:
    machine = in_both_guests(lab)
    vms = Objects(machine).vms()
    ram = [area for vm in vms for area in space.ram_of(machine, vm)]
    protected = space.hypervisor_ranges(machine)
    protected += [table for vm in vms for table in space.tables_of(machine, vm)]
    expect_that(
        "both guests have memory", len({area.owner for area in ram}) == 2, [str(a) for a in ram]
    )
    clashes = [f"{a} and {p}" for a in ram for p in protected if a.overlaps(p)]
    clashes += [f"{a} and {b}" for a in ram for b in ram if a.owner < b.owner and a.overlaps(b)]
    clashes += [
        f"two pages of {a}"
        for i, a in enumerate(ram)
        for b in ram[i + 1:]
        if a.owner == b.owner and a.overlaps(b)
    ]
    expect("physical memory has one owner", clashes, [])


def test_el2s_own_tables_are_reachable_by_nobody(lab: Lab) -> None:
    machine = in_both_guests(lab)
    tables = [
        space.Range(table, table + PAGE, "EL2's table")
        for table in space.hypervisor_map(machine).table.tables()
    ]
    vms = Objects(machine).vms()
    clashes = [
        f"{area} and {table}"
        for vm in vms
        for area in space.ram_of(machine, vm)
        for table in tables
        if area.overlaps(table)
    ]
    expect("no guest reaches EL2's page tables", clashes, [])


def test_guests_get_no_physical_device(lab: Lab) -> None:
    """GICv3: all of the guest's machine but RAM is emulated. (GICv2's GICV page is lab 3's.)"""
    machine = in_both_guests(lab)
    devices = [
        str(area)
        for vm in Objects(machine).vms()
        for area in space.reach_of(machine, vm)
        if area.start < machine.memory_start()
    ]
    expect("no device memory in stage 2", devices, [])


def test_leaves_are_well_formed(lab: Lab) -> None:
    machine = in_both_guests(lab)
    for vm in Objects(machine).vms():
        for walk, leaf in space.leaves_of(machine, vm):
            expect_that(f"{walk}: access flag set", leaf.access_flag, leaf)
            expect_that(f"{walk}: RAM is Normal write-back", "write-back" in leaf.type, leaf)
            expect_that(f"{walk}: RAM is inner shareable", leaf.shareability == 3, leaf)
            expect_that(
                f"{walk}: RAM is readable, writable and executable",
                leaf.readable and leaf.writable and leaf.executable,
                leaf,
            )
            inside = RAM_BASE <= walk.input and walk.input + walk.size <= RAM_BASE + vm.get(
                "ram_bytes"
            )
            expect_that(f"{walk}: lies in the VM's RAM", inside, hex(walk.input))


def test_guest_memory_is_write_back_by_force_where_the_cpu_can(lab: Lab) -> None:
    """FEAT_S2FWB: HCR_EL2.FWB is set, and the tables are written as it reads them."""
    machine = lab.start("hypercalls", cpu="max")
    machine.run_to(RAM_BASE + LOAD_OFFSET + 4, EL1_ONLY)
    hcr = machine.register("HCR_EL2")
    expect_that("HCR_EL2.FWB is set", el2.hcr_has(hcr, "FWB"), el2.hcr(hcr))
    leaves = [leaf for _, leaf in space.leaves_of(machine, Objects(machine).vm(0))]
    expect_that("the guest has memory", bool(leaves), leaves)
    expect("the memory type of its RAM", {leaf.type for leaf in leaves},
           {"Normal, forced write-back"})


def test_accounting_is_true(lab: Lab) -> None:
    """What a VM is said to have resident is what its table maps; table memory likewise."""
    machine = in_both_guests(lab)
    for vm in Objects(machine).vms():
        mapped = sum(walk.size for walk, _ in space.leaves_of(machine, vm))
        expect(f"{vm.name}: resident_bytes", vm.get("stage2.resident_bytes"), mapped)
        expect(f"{vm.name}: mapped_bytes", vm.get("stage2.table.mapped_bytes"), mapped)
        tables = len(space.tables_of(machine, vm)) * PAGE
        expect(f"{vm.name}: table_bytes", vm.get("stage2.table.table_bytes"), tables)


def accounted(machine: Machine, vms: list[Vm]) -> int:
    """Bytes that are free, or in the hands of these VMs: mapped for them, or tables of theirs."""
    mapped = sum(area.end - area.start for vm in vms for area in space.ram_of(machine, vm))
    tables = sum(len(space.tables_of(machine, vm)) for vm in vms) * PAGE
    return machine.memory.u64(machine.symbols["free_page_count"]) * PAGE + mapped + tables


def run_to_end_of_probe(machine: Machine, condition: str = EL1_ONLY) -> None:
    elf = machine.guests[0].elf
    end = RAM_BASE + LOAD_OFFSET + symbols_of(elf)["probe_finished"]
    machine.run_to(end, condition, budget=200_000_000)


@pytest.mark.parametrize("page_size", ["2M", "4K"])
def test_what_is_given_back_is_free_again(lab: Lab, page_size: str) -> None:
    """After thousands of pages were mapped, split and released no page is lost, no table either."""
    machine = in_guest(lab, ProbeVm("memory_release", page_size=page_size))
    vms = Objects(machine).vms()
    before = accounted(machine, vms)
    run_to_end_of_probe(machine)
    largest = max(walk.size for walk, _ in space.leaves_of(machine, vms[0]))
    expect("the largest leaf", largest, PAGE_SIZES[page_size])
    expect("free, mapped and table memory are what they were", accounted(machine, vms), before)
    tables = len(space.tables_of(machine, vms[0])) * PAGE
    expect("table_bytes counts the tables there are", vms[0].get("stage2.table.table_bytes"),
           tables)
    mapped = sum(area.end - area.start for area in space.ram_of(machine, vms[0]))
    expect("resident_bytes counts what is mapped", vms[0].get("stage2.resident_bytes"), mapped)


def test_memory_comes_on_demand(lab: Lab) -> None:
    machine = in_guest(lab, ProbeVm("hypercalls", memory_mib=256))
    vm = Objects(machine).vm(0)
    resident = vm.get("stage2.resident_bytes")
    expect_that(
        "a VM of 256 MiB that runs its first instruction has little", resident <= 8 * MIB, resident
    )
    expect_that(
        "its tables are small",
        vm.get("stage2.table.table_bytes") <= 64 * 1024,
        vm.get("stage2.table.table_bytes"),
    )


def test_released_memory_leaves_the_table_at_once(lab: Lab) -> None:
    """At the return from STRATA_MEMORY_RELEASE nothing of the range is mapped."""
    machine = in_guest(lab, "memory_release")
    seen = 0
    release = Objects(machine).hypercall(MEMORY_RELEASE)
    for _ in range(12):
        with machine.breakpoint(release, EL2_ONLY):
            stop = machine.run()
        if stop.kind is not StopKind.BREAKPOINT:
            if not seen:
                raise machine.finding_for(stop, "the probe releases memory")
            break
        vcpu = Objects(machine).loaded_vcpu()
        assert vcpu is not None
        ipa, size = vcpu.get("frame.x[1]"), vcpu.get("frame.x[2]")
        machine.run_to(vcpu.get("frame.pc"), EL1_ONLY)
        if machine.register("x0") != 0:
            continue
        seen += 1
        table = space.stage2_of(machine, Objects(machine).vm(0))
        left = [
            str(table.walk(at))
            for at in range(ipa, ipa + size, PAGE)
            if table.walk(at).output is not None
        ]
        expect(f"nothing of [{ipa:#x}, +{size:#x}) is mapped after its release", left[:4], [])
        if seen == 3:
            return
    expect_that("the probe releases memory", seen > 0)


def test_memory_of_a_vm_that_is_off_is_given_back(lab: Lab) -> None:
    """VM 0 ends; what it had is in no table any more, and free."""
    machine = in_guest(lab, "smc_power_off", "smc_power_off")
    vms = Objects(machine).vms()
    before = accounted(machine, vms)
    run_to_end_of_probe(machine, f"{EL1_ONLY} && $VTTBR_EL2 == {vms[1].get('stage2.vttbr')}")
    expect("a VM that is off has no resident memory", vms[0].get("stage2.resident_bytes"), 0)
    expect("a VM that is off has no tables", vms[0].get("stage2.table.table_bytes"), 0)
    left = accounted(machine, vms[1:])
    expect_that("what it had is free, or the other VM's", left >= before, left - before)


@pytest.mark.parametrize(
    "refused",
    [{"page_alloc": ""}, {"page_alloc": " && $x0 == 9", "page_alloc_zeroed": ""}],
    ids=["memory", "blocks-and-tables"],
)
def test_vm_for_which_there_is_no_memory_is_stopped_alone(
        lab: Lab, refused: dict[str, str]) -> None:
    """The allocator refuses what VM 0 would touch, or a table for the one page that is to be had.

    No bundle brings it so far: VMs that have more than the machine are refused at once.
    """
    machine = in_guest(lab, "hypercalls", "hypercalls")
    vms = Objects(machine).vms()
    before = accounted(machine, vms)
    with ExitStack() as stack:
        for function, condition in refused.items():
            stack.enter_context(machine.breakpoint(f"*{function}", EL2_ONLY + condition))
        stopped = stack.enter_context(machine.breakpoint("*vm_stop", EL2_ONLY))
        for refusals in range(8):
            stop = machine.run()
            if stop.kind is not StopKind.BREAKPOINT:
                raise machine.finding_for(stop, "a VM that gets no memory is stopped")
            if stop.number == stopped:
                break
            machine.gdb.set_register("x0", MASK64)
            machine.gdb.set_register("pc", machine.register("x30"))
        expect_that("VM 0 is stopped when it was refused memory", 0 < refusals < 7, refusals)
    expect("VM 0 is stopped", machine.register("x0"), vms[0].address)
    expect("nothing of what VM 0 got is lost (free, mapped and table bytes)",
           accounted(machine, vms), before)
    run_to_end_of_probe(machine)
    reason = vms[0].text("stop_reason")
    expect_that("vm_stop() was given a reason with \"no memory\" in it",
                "no memory" in reason, reason)


def test_abort_reports_the_right_guest_address(lab: Lab) -> None:
    """HPFAR_EL2 holds IPA[47:12] at bits 43:4: the page that is then mapped is the one touched."""
    machine = in_guest(lab, "memory_isolation")
    handler = Objects(machine).trap(DATA_ABORT)
    for _ in range(3):
        machine.run_to(handler, f"{EL2_ONLY} && $ESR_EL2 >> 26 == {DATA_ABORT}")
        vm = Objects(machine).vm(0)
        page = el2.page_of(machine.register("HPFAR_EL2"))
        pc = machine.register("ELR_EL2")
        expect_that(
            f"{page:#x} is not mapped yet", space.stage2_of(machine, vm).walk(page).output is None
        )
        machine.run_to(pc, EL1_ONLY)
        walk = space.stage2_of(machine, vm).walk(page)
        expect_that(
            f"{page:#x}, which the guest touched, is mapped when it returns",
            walk.output is not None,
            walk,
        )


# EL2's own map.


def test_el2_runs_with_its_mmu_and_caches_on(lab: Lab) -> None:
    machine = layers_started(lab)
    sctlr = machine.register("SCTLR_EL2")
    wanted = 0x30C5_0830 | 1 << 0 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19
    expect("SCTLR_EL2: M, C, I, SA and WXN on top of its RES1 bits", sctlr, wanted, el2.sctlr)
    own = space.hypervisor_map(machine)
    walks = bits(own.tcr.value, 13, 8)
    expect_that("tables are walked as inner shareable write-back memory",
                walks == 0b11_01_01, own.tcr)
    expect("the output size is what cortex-a76 has (40 bits)", own.tcr.output_bits, 40)
    leaf = own.leaf(own.walk(machine.register("sp") - 16))
    expect("its stack is", leaf.type, "Normal, inner write-back, outer write-back")


def test_el2_drops_stale_lines_before_its_caches_are_on(lab: Lab) -> None:
    """EL2 wrote image and tables past the caches: no stale cache line may cover these writes."""
    machine = lab.start("hypercalls")
    dropped: list[space.Range] = []
    with (
        machine.breakpoint("*dcache_invalidate", EL2_ONLY) as dropping,
        machine.breakpoint("*page_alloc_init", EL2_ONLY) as allocator,
    ):
        for stop in machine.stops("the page allocator begins"):
            if stop.number != dropping:
                break
            caches = machine.register("SCTLR_EL2") >> 2 & 1
            expect("SCTLR_EL2.C when lines are dropped that may be somebody's data", caches, 0)
            start = machine.register("x0")
            dropped.append(space.Range(start, start + machine.register("x1"), "dropped"))
    if stop.number != allocator:
        raise machine.finding_for(stop, "the page allocator begins")
    expect("SCTLR_EL2.C when the page allocator begins to write",
           machine.register("SCTLR_EL2") >> 2 & 1, 1)
    symbols = machine.symbols
    written = [space.Range(symbols["data_start"], symbols["data_end"], ".data"),
               space.Range(symbols["bss_start"], symbols["bss_end"], ".bss")]
    written += [space.Range(at, at + PAGE, "EL2's table")
                for at in space.hypervisor_map(machine).table.tables()]
    left = [str(area) for area in written
            if not any(d.start <= area.start and area.end <= d.end for d in dropped)]
    expect("written with the MMU off, and not invalidated since", left, [])


def test_nothing_at_el2_is_writable_and_executable(lab: Lab) -> None:
    machine = layers_started(lab)
    both = [
        f"{walk} {leaf}"
        for walk, leaf in space.hypervisor_leaves(machine)
        if leaf.writable and leaf.executable
    ]
    expect("W^X in EL2's map", both, [])


def test_el2_executes_its_text_and_nothing_else(lab: Lab) -> None:
    machine = layers_started(lab)
    start, end = machine.symbols["image_start"], machine.symbols["text_end"]
    executable = [walk for walk, leaf in space.hypervisor_leaves(machine) if leaf.executable]
    outside = [str(w) for w in executable if w.input < start or w.input + w.size > end]
    expect("executable pages are those of .text", outside, [])
    expect("all of .text is executable", sum(w.size for w in executable), end - start)


def test_constants_of_el2_are_read_only(lab: Lab) -> None:
    machine = layers_started(lab)
    table = space.hypervisor_map(machine)
    for page in range(machine.symbols["image_start"], machine.symbols["rodata_end"], PAGE):
        leaf = table.leaf(table.walk(page))
        expect_that(f"{machine.place(page, 2)} is read-only", not leaf.writable, leaf)


def test_devices_are_device_memory_at_el2(lab: Lab) -> None:
    machine = layers_started(lab)
    table = space.hypervisor_map(machine)
    walk = table.walk(0x0900_0000)
    expect_that("the UART is mapped", walk.output == 0x0900_0000, walk)
    leaf = table.leaf(walk)
    expect_that("the UART is mapped as Device memory", leaf.is_device, leaf)
    expect_that("the UART is not executable", not leaf.executable, leaf)


def test_el2_maps_itself_one_to_one(lab: Lab) -> None:
    machine = layers_started(lab)
    moved = [str(walk) for walk, _ in space.hypervisor_leaves(machine) if walk.output != walk.input]
    expect("virtual and physical addresses are the same", moved, [])
    table = space.hypervisor_map(machine)
    for page in (RAM_BASE, RAM_BASE + machine.memory.size - PAGE):
        walk = table.walk(page)
        what = f"{page:#x}, the first or the last page of RAM, is"
        expect_that(f"{what} mapped", walk.output is not None, "not mapped")
        leaf = table.leaf(walk)
        expect_that(f"{what} readable and writable", leaf.writable and not leaf.executable, leaf)


def test_stacks_of_all_cpus_have_their_guard_pages(lab: Lab) -> None:
    """Those of the CPUs that do not run yet, too: nothing changes the table afterwards."""
    machine = layers_started(lab)
    objects, table = Objects(machine), space.hypervisor_map(machine)
    stacks, size = machine.symbols["cpu_stacks"], machine.layout("sizeof(struct cpu_stacks)")
    count = machine.layout("sizeof(cpu_stacks)") // size
    expect_that("there are stacks for several CPUs", count > 1, count)
    for name, wanted in (("guard0", False), ("stack", True), ("guard1", False),
                         ("emergency", True)):
        offset, _ = objects.member("struct cpu_stacks", name)
        mapped = [number for number in range(count)
                  if table.walk(stacks + size * number + offset).output is not None]
        expect(f"CPUs whose {name} is mapped", mapped, [*range(count)] if wanted else [])


def test_a_stack_overflow_at_el2_hits_a_guard_page(lab: Lab) -> None:
    machine = layers_started(lab)
    top = Objects(machine).cpu(0).get("stack_top")
    table = space.hypervisor_map(machine)
    guard = top - PAGE
    while table.walk(guard).output is not None:
        guard -= PAGE
        expect_that(
            "a page below the stack is unmapped", top - guard <= 64 * PAGE, hex(top - guard)
        )
    machine.gdb.set_register("sp", guard + PAGE)
    stop = machine.run()
    expect("the machine ends with failure", stop.kind.value, StopKind.PANIC.value)
    report = crash.read(machine)
    assert report is not None, "the crash mailbox is filled"
    expect("what ends it is a data abort at EL2", Esr(report.esr).ec, 0x25, None)
    expect("the data abort is in the guard page", report.far & ~0xFFF, guard)


def test_el2_cannot_write_its_own_text(lab: Lab) -> None:
    """A store to .text is turned into a permission fault by the table, not by luck."""
    machine = layers_started(lab)
    machine.gdb.set_register("sp", machine.symbols["text_end"] & ~0xF)
    stop = machine.run()
    expect("the machine ends with failure", stop.kind.value, StopKind.PANIC.value)
    report = crash.read(machine)
    assert report is not None, "the crash mailbox is filled"
    abort = Esr(report.esr).abort
    expect_that(
        "what ends it is a permission fault on a write", abort.is_permission_fault and abort.write,
        abort
    )


def test_guest_memory_is_what_the_bundle_says(lab: Lab) -> None:
    """The first page of the guest, through its table, is that of the packed image."""
    machine = in_guest(lab, "hypercalls")
    machine.run_to(machine.pc + 4, EL1_ONLY)  # the fetch of the first one brought the page
    walk = space.stage2_of(machine, Objects(machine).vm(0)).walk(RAM_BASE + LOAD_OFFSET)
    assert walk.output is not None
    elf = machine.guests[0].elf
    image = elf.with_suffix(".bin").read_bytes()[:PAGE]
    seed = symbols_of(elf)["probe_seed"]
    expect_that("the seed is not in the first page", seed >= PAGE, hex(seed))
    expect("the guest's first page", machine.memory.read(walk.output, PAGE) == image, True)
