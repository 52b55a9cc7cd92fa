# SPDX-License-Identifier: MIT
"""Lab 5, one function at a time: what no device can show before the other exercises are written.

The functions are called at EL2 where the layer starts (grader/oracle/calls.py): nobody has touched
the SMMU yet, and its registers are written by the test.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from grader.conftest import Lab
from grader.machine.machine import EL2_ONLY
from grader.machine.verdict import expect, expect_that
from grader.oracle import dma
from grader.oracle.calls import Bench, Stub, hook_of
from grader.oracle.decode.smmu import STAGE_1, STAGE_2, SYNC, Cd, Ste
from grader.oracle.decode.stage2 import Vtcr
from grader.oracle.dma import Smmu
from grader.oracle.objects import Object
from grader.oracle.probe import ProbeVm
from tools.vms import DeviceConfig

LAB = 5
EDU = (DeviceConfig("00:02.0", "edu"),)
ENOMEM, EBUSY, ENODEV = -12, -16, -19
ONES = (1 << 32) - 1

CFGI_ALL, CFGI_RANGE_ALL = 0x04, 31
CR0_SMMUEN, CR0_EVENTQEN, CR0_CMDQEN = 1 << 0, 1 << 2, 1 << 3
IRQ_CTRL_BOTH = 1 << 0 | 1 << 2
CONS_ERROR = 1 << 24  # of CMDQ_CONS: the last error's reason, which stays
GERROR_CMDQ, GERROR_EVENTQ_ABT = 1 << 0, 1 << 2
GERROR_IRQ_CFG0, EVENTQ_IRQ_CFG0 = 0x068, 0x0B0
ATTACHED, CHANGING, QUARANTINED = "STREAM_ATTACHED", "STREAM_CHANGING", "STREAM_QUARANTINED"
COMMAND_LOG2, EVENT_LOG2 = 8, 11

COMMAND, STATUS_INTX = 0x04, 1 << 19
MEMORY, MASTER, INTX_DISABLE = 1 << 1, 1 << 2, 1 << 10


def at_start(lab: Lab) -> Bench:
    return Bench.at(lab.start("hypercalls", devices=EDU), LAB, "init")


def smmu_of(bench: Bench) -> Object:
    return Object(bench.objects, "struct smmu", bench.machine.symbols["smmu"])


def ring(bench: Bench, name: str, log2_count: int, words: int) -> int:
    """A ring in memory that EL2 knows; the lock that protects it is held."""
    entries = bench.room((8 * words) << log2_count, (8 * words) << log2_count)
    smmu = smmu_of(bench)
    members = {"entries": entries, "log2_count": log2_count, "words": words, "prod": 0, "cons": 0}
    bench.put(smmu, **{f"{name}__{member}": value for member, value in members.items()})
    bench.put(smmu, lock__taken=1)
    return entries


def command_queue(bench: Bench, position: int = 0) -> int:
    """The SMMU takes commands from memory, from this position of the ring on."""
    entries = ring(bench, "commands", COMMAND_LOG2, 2)
    bench.put(smmu_of(bench), commands__prod=position)
    for register, value in (
        (dma.CR0, 0),
        (dma.CMDQ_BASE, entries & ONES | COMMAND_LOG2),
        (dma.CMDQ_BASE + 4, entries >> 32),
        (dma.CMDQ_PROD, position),
        (dma.CMDQ_CONS, position),
        (dma.CR0, CR0_CMDQEN),
    ):
        bench.store32(dma.BASE + register, value)
    return entries


def issue(bench: Bench, opcode: int, second: int = 0) -> None:
    bench.call("smmu_issue", opcode, second)


# ---- 5.2 -----------------------------------------------------------------------------------------


def test_a_ring_that_is_full_is_not_one_that_is_empty(lab: Lab, seed: int) -> None:
    bench = at_start(lab)
    numbers = random.Random(seed)
    for log2_count in (1, 8, 11):
        queue = bench.make("struct smmu_queue", log2_count=log2_count, words=2).address
        size = 1 << log2_count
        flag = 1 << 31
        start = numbers.randrange(2 * size)
        for ahead in {0, 1, size - 1, size}:
            prod = (start + ahead) % (2 * size)
            where = f"a ring of {size} with PROD {prod:#x}, CONS {start:#x}"
            empty, full = (bench.call(f"queue_is_{what}", queue, prod | flag, start) & 1
                           for what in ("empty", "full"))
            expect(f"{where}: (empty, full)", (empty, full), (ahead == 0, ahead == size))
        following = bench.call("queue_next", queue, 2 * size - 1 | flag) & ONES
        expect(f"behind the last position of a ring of {size}, the wrap bit set", following, 0)
        following = bench.call("queue_next", queue, size - 1) & ONES
        expect(f"behind the last index of a ring of {size}, the wrap bit clear", following, size)


def test_the_command_queue_goes_round(lab: Lab) -> None:
    bench = at_start(lab)
    size = 1 << COMMAND_LOG2
    entries = command_queue(bench, 2 * size - 2)
    smmu = Smmu(bench.machine)
    for number in range(4):
        issue(bench, CFGI_ALL, CFGI_RANGE_ALL)
        wanted = (2 * size - 1 + number) % (2 * size)
        expect("CMDQ_PROD", smmu.register(dma.CMDQ_PROD), wanted)
        expect("the SMMU has taken the command: CMDQ_CONS", smmu.register(dma.CMDQ_CONS), wanted)
    for index in (size - 2, size - 1, 0, 1):
        words = smmu.words(entries + 16 * index, 2)
        expect(f"entry {index}", words, (CFGI_ALL, CFGI_RANGE_ALL))


def test_nothing_is_written_over_what_the_smmu_has_not_taken(lab: Lab) -> None:
    """The ring is full; while EL2 waits the SMMU takes one entry."""
    bench = at_start(lab)
    entries = command_queue(bench)
    size, smmu = 1 << COMMAND_LOG2, smmu_of(bench)
    bench.store32(dma.BASE + dma.CR0, 0)  # it takes none
    bench.put(smmu, commands__prod=size)
    bench.store32(dma.BASE + dma.CMDQ_CONS, CONS_ERROR)
    seen = []

    def counted(*_: int) -> int:
        """command_wait() looks for an error each time."""
        seen.append(bench.machine.memory.u64(entries))
        bench.store32(dma.BASE + dma.CMDQ_CONS, CONS_ERROR | 1)
        return 0

    bench.write_u64(entries, 0x1234)
    bench.call("smmu_issue", CFGI_ALL, CFGI_RANGE_ALL, stubs={"command_take_error": counted})
    expect("EL2 waited, whatever the error field of CMDQ_CONS says, and the oldest entry was there "
           "meanwhile", seen, [0x1234])
    expect("then the command is in its place", bench.machine.memory.u64(entries), CFGI_ALL)
    expect("and PROD behind it", smmu.get("commands.prod"), size + 1)


def test_a_sync_waits_until_the_smmu_has_taken_it(lab: Lab) -> None:
    """QEMU's takes commands at once: here it takes none, until EL2 has waited for some time."""
    bench = at_start(lab)
    entries = command_queue(bench)
    bench.store32(dma.BASE + dma.CR0, 0)  # it takes none
    waits = []

    def counted(*_: int) -> int:
        """command_wait() looks for an error each time."""
        waits.append(bench.machine.memory.u64(entries) & 0xFF)
        bench.store32(dma.BASE + dma.CMDQ_CONS, len(waits) // 3)
        return 0

    bench.call("smmu_sync", stubs={"command_take_error": counted})
    expect("it waits for CMDQ_CONS, behind its CMD_SYNC: the opcode at each look", waits,
           [SYNC & 0xFF] * 3)
    expect("one command was issued", smmu_of(bench).get("commands.prod"), 1)
    looks = []

    def taken(*_: int) -> int:
        looks.append(0)
        field = CONS_ERROR if len(looks) < 4 else 0
        bench.store32(dma.BASE + dma.CMDQ_CONS, field | 2)
        return 0

    bench.call("smmu_sync", stubs={"command_take_error": taken})
    expect_that("it does not wait for the error field of CMDQ_CONS, which stays after an error",
                len(looks) < 4, f"{len(looks)} looks at CMDQ_CONS, the last without such a field")


def test_a_command_that_is_not_taken_is_told_and_passed(lab: Lab) -> None:
    bench = at_start(lab)
    entries, smmu = command_queue(bench), smmu_of(bench)
    registers = Smmu(bench.machine)
    issue(bench, 0xFF)
    issue(bench, CFGI_ALL, CFGI_RANGE_ALL)
    expect("the SMMU stands at the first", registers.register(dma.CMDQ_CONS) & 0xFFFF, 0)
    pending = registers.register(dma.GERROR) ^ registers.register(dma.GERRORN)
    expect("and says so: GERROR against GERRORN", pending, GERROR_CMDQ)
    differ(bench, GERROR_EVENTQ_ABT)
    bench.call("command_take_error")
    expect("the error is acknowledged, and no other: GERROR against GERRORN",
           registers.register(dma.GERROR) ^ registers.register(dma.GERRORN), GERROR_EVENTQ_ABT)
    expect("a CMD_SYNC is in its place", registers.words(entries, 2), (SYNC, 0))
    expect("the SMMU has gone on to the end", registers.register(dma.CMDQ_CONS) & 0xFFFF, 2)
    expect("it is counted", smmu.get("command_errors"), 1)
    expect("and remembered: what it was to invalidate is still cached",
           smmu.get("has_lost_command"), 1)
    bench.call("command_take_error")
    expect("without an error nothing happens", smmu.get("command_errors"), 1)


def differ(bench: Bench, error: int) -> None:
    """An error that QEMU does not make: GERRORN differs where it did not."""
    bench.store32(dma.BASE + dma.GERRORN, Smmu(bench.machine).register(dma.GERRORN) ^ error)


def test_a_global_error_is_acknowledged_and_no_later_one(lab: Lab) -> None:
    bench = at_start(lab)
    command_queue(bench)
    smmu, registers = smmu_of(bench), Smmu(bench.machine)
    issue(bench, 0xFF)
    bench.put(smmu, lock__taken=0)
    before = registers.register(dma.GERRORN)
    held = []

    def looked(*_: int) -> int:
        held.append(smmu.get("lock.taken"))
        return 0

    # As if the command error came behind the look of command_take_error().
    bench.call("smmu_error_irq", bench.cpu.address, 0, stubs={"command_take_error": looked})
    expect("command_take_error() is asked once", len(held), 1)
    expect("smmu.lock is held meanwhile: taken", held[0], 1)
    expect("a command error that has come since is not acknowledged: GERRORN",
           registers.register(dma.GERRORN), before)
    bench.call("smmu_error_irq", bench.cpu.address, 0)
    expect("its own interrupt acknowledges it: GERRORN", registers.register(dma.GERRORN),
           registers.register(dma.GERROR))
    expect("and counts it", smmu.get("command_errors"), 1)
    expect("the lock is given back", smmu.get("lock.taken"), 0)
    for error, wanted in ((GERROR_EVENTQ_ABT, ["events_lost", "smmu_drain_events"]),
                          (1 << 8, ["console_printf"])):
        differ(bench, error)
        bench.call("smmu_error_irq", bench.cpu.address, 0, stubs={
            "events_lost": 0, "smmu_drain_events": 0, "console_printf": 0})
        expect(f"what is called for an error {error:#x} of GERROR", [c.name for c in bench.calls],
               wanted)
        expect("it is acknowledged: GERRORN", registers.register(dma.GERRORN),
               registers.register(dma.GERROR))


def test_a_command_is_in_memory_before_prod_says_so(lab: Lab) -> None:
    """IHI 0070, "SMMU circular queues": at some DSB the words are there, and PROD is as before. So
    it is of the CMD_SYNC in place of a command that was not taken, and GERRORN."""
    bench = at_start(lab)
    entries, smmu = command_queue(bench), Smmu(bench.machine)
    seen = []
    for _ in bench.executed(r"dsb", "smmu_issue", CFGI_ALL, CFGI_RANGE_ALL):
        seen.append((smmu.words(entries, 2), smmu.register(dma.CMDQ_PROD)))
    wanted = ((CFGI_ALL, CFGI_RANGE_ALL), 0)
    expect_that("a DSB stands between the words of a command and CMDQ_PROD", wanted in seen, seen)
    issue(bench, 0xFF)
    bench.silence("console_printf")
    replaced = []
    for _ in bench.executed(r"dsb", "command_take_error"):
        pending = smmu.register(dma.GERROR) ^ smmu.register(dma.GERRORN)
        replaced.append((smmu.words(entries + 16, 2), pending))
    expect_that("the CMD_SYNC in place of a command is in memory before GERRORN acknowledges the "
                "error: a DSB stands between them", ((SYNC, 0), GERROR_CMDQ) in replaced, replaced)


# ---- 5.1 -----------------------------------------------------------------------------------------

IDR0, IDR1, IDR5 = 0x000, 0x004, 0x014
# A sound SMMU: both stages, tables of AArch64, coherent; as many StreamIDs, commands and events as
# are used; 4 KiB.
SOUND = {IDR0: 1 << 4 | 1 << 3 | 0b11, IDR1: COMMAND_LOG2 << 21 | EVENT_LOG2 << 16 | 8,
         IDR5: 1 << 4 | 5}


def test_an_smmu_is_used_if_its_identification_allows(lab: Lab) -> None:
    """The test answers for the identification registers, in place of EL2's loads."""
    bench = at_start(lab)
    machine, smmu = bench.machine, smmu_of(bench)
    hook = hook_of(machine, LAB, "init_cpu")
    loads = bench.loads("smmu_init_cpu", "smmu_problem")

    def is_used(answers: dict[int, int]) -> bool:
        bench.put(smmu, is_present=0)
        bench.enter(hook, x0=bench.cpu.address, x30=bench.nowhere)
        with ExitStack() as stack:
            for place in (bench.nowhere, machine.symbols["console_printf"], *loads):
                stack.enter_context(machine.breakpoint(place, EL2_ONLY))
            for stop in machine.stops("smmu_init_cpu() returns", 4_000_000):
                if stop.pc not in loads:
                    break
                load = loads[stop.pc]
                answer = answers.get(bench.read_by(load) - dma.BASE)
                if answer is not None:
                    register = load.operands.split(",")[0].replace("w", "x")
                    bench.set_registers(**{register: answer, "pc": stop.pc + 4})
        if stop.pc == machine.symbols["console_printf"]:
            text = machine.memory.text(machine.register("x0"))
            return not text.startswith("the SMMU is of no use")
        return bool(smmu.get("is_present"))

    expect("an SMMU that has what is needed, and no more, is used", is_used(SOUND), True)
    for what, register, value, wanted in (
        ("stage 1 alone", IDR0, SOUND[IDR0] & ~0b01, True),
        ("stage 2 alone", IDR0, SOUND[IDR0] & ~0b10, True),
        ("mixed endianness", IDR0, SOUND[IDR0] | 2 << 21, True),
        ("no stage of translation", IDR0, SOUND[IDR0] & ~0b11, False),
        ("no tables of AArch64", IDR0, SOUND[IDR0] & ~(1 << 3), False),
        ("big-endian tables alone", IDR0, SOUND[IDR0] | 3 << 21, False),
        ("no coherent accesses", IDR0, SOUND[IDR0] & ~(1 << 4), False),
        ("faults that stall always", IDR0, SOUND[IDR0] | 2 << 24, False),
        ("tables that are preset", IDR1, SOUND[IDR1] | 1 << 30, False),
        ("queues that are preset", IDR1, SOUND[IDR1] | 1 << 29, False),
        ("7 bits of StreamID", IDR1, SOUND[IDR1] - 1, False),
        ("an event queue of half the size", IDR1, SOUND[IDR1] - (1 << 16), False),
        ("a command queue of half the size", IDR1, SOUND[IDR1] - (1 << 21), False),
        ("no granule of 4 KiB", IDR5, 5, False),
    ):
        expect(f"an SMMU with {what} (IDR{register // 4} {value:#x}) is used",
               is_used(SOUND | {register: value}), wanted)


def test_nothing_of_what_was_set_before_stays(lab: Lab) -> None:
    bench = at_start(lab)
    smmu = Smmu(bench.machine)
    left = (dma.CMDQ_PROD, dma.CMDQ_CONS, dma.EVENTQ_PROD, dma.EVENTQ_CONS, GERROR_IRQ_CFG0,
            EVENTQ_IRQ_CFG0)
    for number, register in enumerate(left):
        bench.store32(dma.BASE + register, 0x100 + 8 * number)
    differ(bench, GERROR_EVENTQ_ABT)
    bench.store32(dma.BASE + dma.IRQ_CTRL, IRQ_CTRL_BOTH)
    bench.store32(dma.BASE + dma.CR0, CR0_EVENTQEN)
    steps = enables(bench)
    begin = steps.index((0, 0)) if (0, 0) in steps else 0
    expect("CR0 and IRQ_CTRL are 0 before anything is set up: (CR0, IRQ_CTRL) then", steps[begin],
           (0, 0))
    expect("CR0 and IRQ_CTRL from step to step: [(CR0, IRQ_CTRL), ...]", steps[begin:],
           [(0, 0), (CR0_CMDQEN, 0), (CR0_CMDQEN | CR0_EVENTQEN, 0),
            (CR0_CMDQEN | CR0_EVENTQEN, IRQ_CTRL_BOTH),
            (CR0_CMDQEN | CR0_EVENTQEN | CR0_SMMUEN, IRQ_CTRL_BOTH)])
    expect("the SMMU is on", smmu_of(bench).get("is_present"), 1)
    expect("EVENTQ_PROD, EVENTQ_CONS", (smmu.register(dma.EVENTQ_PROD),
                                        smmu.register(dma.EVENTQ_CONS)), (0, 0))
    expect("GERROR_IRQ_CFG0, EVENTQ_IRQ_CFG0: interrupts by wire, not by a message",
           (smmu.register(GERROR_IRQ_CFG0), smmu.register(EVENTQ_IRQ_CFG0)), (0, 0))
    expect("CMDQ_CONS: all commands are taken, from the first entry on",
           smmu.register(dma.CMDQ_CONS), smmu_of(bench).get("commands.prod"))
    expect("an error of the past is acknowledged: GERRORN", smmu.register(dma.GERRORN),
           smmu.register(dma.GERROR))


def enables(bench: Bench) -> list[tuple[int, int]]:
    """What CR0 and IRQ_CTRL are while the SMMU is turned on, by looks at each read of the counter:
    every wait for an acknowledgement begins with one. Interrupts may come one by one."""
    smmu, seen = Smmu(bench.machine), list[tuple[int, int]]()

    def look() -> None:
        now = smmu.register(dma.CR0), smmu.register(dma.IRQ_CTRL)
        if now[1] in (0, IRQ_CTRL_BOTH) and now not in seen[-1:]:
            seen.append(now)

    init = hook_of(bench.machine, LAB, "init_cpu")
    for _ in bench.executed(r"mrs.*cntpct_el0", init, bench.cpu.address):
        look()
    look()
    return seen


# ---- 5.3 -----------------------------------------------------------------------------------------


def returned(bench: Bench, kind: str, function: str, *arguments: int) -> tuple[int, ...]:
    """The words of a struct that a function returns: where X8 says."""
    place, size = bench.room(bench.size(kind)), bench.size(kind)
    bench.write_u64(place, *bench.noise(size // 8))
    bench.set_registers(x8=place)
    bench.call(function, *arguments)
    return struct.unpack(f"<{size // 8}Q", bench.machine.memory.read(place, size))


def test_entries_of_both_stages_describe_their_tables(lab: Lab, seed: int) -> None:
    """Whichever stage the SMMU has: the functions are called for tables that nobody walks."""
    bench = at_start(lab)
    numbers = random.Random(seed)
    for input_bits, level, size, bits in ((32, 1, 0, 32), (39, 1, 2, 40), (40, 0, 4, 44),
                                          (48, 0, 5, 48)):
        tag, root = numbers.randrange(1, 1 << 16), numbers.getrandbits(28) << 12
        table = bench.make("struct pgtable", input_bits=input_bits, start_level=level,
                           root__pa=root)
        of = f"a table of {input_bits} bits"
        ste = Ste(returned(bench, "struct smmu_ste", "ste_stage2", table.address, tag, size))
        expect_that(f"STE of stage 2, {of}: {ste.problem}", not ste.problem, ste)
        expect(f"STE of stage 2, {of}: Config", ste.config, STAGE_2)
        expect(f"STE of stage 2, {of}: (VMID, root)", (ste.vmid, ste.root), (tag, root))
        expect(f"STE of stage 2, {of}: (S2T0SZ, level of S2SL0, bits of S2PS)",
               (ste.vtcr.t0sz, ste.vtcr.start_level, ste.vtcr.output_bits),
               (64 - input_bits, level, bits))
        same_walks(f"STE of stage 2, {of}", ste.vtcr)
        cd = Cd(returned(bench, "struct smmu_cd", "cd_stage1", table.address, tag, size))
        expect_that(f"context descriptor of {of}: {cd.problem}", not cd.problem, cd)
        expect(f"context descriptor of {of}: (ASID, ASET, root)",
               (cd.asid, cd.words[0] >> 47 & 1, cd.root), (tag, 1, root))
        expect(f"context descriptor of {of}: (T0SZ, IPS)",
               (cd.tcr.value & 0x3F, cd.words[0] >> 32 & 7), (64 - input_bits, size))
        same_walks(f"context descriptor of {of}", Vtcr(cd.tcr.value))
    place = bench.room(64)
    ste = Ste(returned(bench, "struct smmu_ste", "ste_stage1", place))
    expect_that(f"STE of stage 1: {ste.problem}", not ste.problem, ste)
    expect("STE of stage 1: (Config, context descriptor)", (ste.config, ste.context),
           (STAGE_1, place))
    expect("STE of stage 1: its descriptor is read as (S1CIR, S1COR, S1CSH)",
           tuple(ste.words[1] >> at & 3 for at in (2, 4, 6)), (1, 1, 3))


def same_walks(what: str, vtcr: Vtcr) -> None:
    expect(f"{what}: walks are write-back, inner shareable: (IR0, OR0, SH0)",
           (vtcr.inner, vtcr.outer, vtcr.shareability), (1, 1, 3))
    expect(f"{what}: granule, KiB", vtcr.granule_kib, 4)


def test_an_entry_is_complete_before_it_is_valid(lab: Lab) -> None:
    """IHI 0070, "Configuration structure invalidation and updates": at some DSB all words but the
    first."""
    stream = 0x10
    machine = lab.start(ProbeVm("hypercalls", devices=("00:02.0",)), devices=EDU)
    machine.run_to(hook_of(machine, LAB, "vm_create"), EL2_ONLY)
    bench, smmu = Bench(machine), Smmu(machine)
    vm = machine.register("x0")
    expect("smmu_create_space()", bench.call("smmu_create_space", vm) & ONES, 0)
    space = Object(bench.objects, "struct vm", vm)
    bench.ask("guest_ram_populate", vm, space.get("ram_base"))
    refused: dict[str | int, Stub] = {"pgtable_map": ENOMEM}
    expect("space_fill() without memory for a table", bench.call("space_fill", vm, stubs=refused)
           & ONES, ENOMEM & ONES)
    expect("dma.filled_bytes", space.get("dma.filled_bytes"), 0)
    expect("space_fill() with memory", bench.call("space_fill", vm) & ONES, 1)
    expect_that("dma.filled_bytes grows", space.get("dma.filled_bytes") > 0)
    seen, prod = [], smmu.commands.prod
    for _ in bench.executed(r"dsb", "smmu_attach_stream", vm, stream):
        seen.append(smmu.ste(stream))
    done = smmu.ste(stream)
    expect_that("the entry is valid in the end", done.valid, done)
    early = [ste for ste in seen if ste.valid and ste.words[1:] != done.words[1:]]
    expect_that("the store that makes the entry valid comes behind words 1 to 7: at no DSB it is "
                "valid and they are others", not early, early)
    expect("commands: the entry is invalid; what was cached of a context descriptor goes; it is "
           "valid", [command.name for command in smmu.commands_since(prod)],
           ["CFGI_STE", "SYNC", "CFGI_CD", "CFGI_STE", "SYNC"])
    expect_that("CFGI_STE comes behind the store that makes the entry valid: at the DSB of this "
                "command it is", [ste.valid for ste in seen].count(True) >= 2, seen)
    complete = [not ste.valid and ste.words[1:] == done.words[1:] for ste in seen]
    expect_that("a DSB stands between words 1 to 7 and the store that makes it valid",
                any(complete), seen)


# ---- 5.5 -----------------------------------------------------------------------------------------


def record(stream: int, kind: int, address: int, read: bool = False, stage: int = 1) -> bytes:
    return struct.pack("<4Q", kind | stream << 32, int(read) << 35 | int(stage == 2) << 39, address,
                       0)


def event_queue(bench: Bench, cons: int, records: list[bytes], flags: int = 0) -> int:
    """The SMMU has written these records from that position on; `flags` go into PROD."""
    entries = ring(bench, "events", EVENT_LOG2, 4)
    size = 1 << EVENT_LOG2
    bench.put(smmu_of(bench), events__prod=cons, events__cons=cons)
    for number, data in enumerate(records):
        bench.machine.memory.write(entries + 32 * ((cons + number) % size), data)
    prod = (cons + len(records)) % (2 * size)
    bench.store32(dma.BASE + dma.EVENTQ_PROD, prod | flags)
    bench.store32(dma.BASE + dma.EVENTQ_CONS, cons)
    return prod


def stream_of(bench: Bench, number: int) -> Object:
    smmu, size = smmu_of(bench), bench.size("struct smmu_stream")
    return Object(bench.objects, "struct smmu_stream",
                  bench.address_of(smmu, "streams") + size * number)


def test_records_are_read_to_the_last_and_charged(lab: Lab) -> None:
    bench = at_start(lab)
    size = 1 << EVENT_LOG2
    cons = 2 * size - 2
    records = [record(0x10, 0x10, 0x1000), record(0x30, 0x04, 0),
               record(0x10, 0x13, 0x2008, read=True, stage=2), record(0x777, 0x02, 0)]
    prod = event_queue(bench, cons, records)
    added: list[int] = []

    def say(*_: int) -> int:
        """The SMMU adds a record while EL2 reads the others, and pulses for none of these."""
        if not added:
            added.append(prod)
            entries = smmu_of(bench).get("events.entries")
            bench.machine.memory.write(entries + 32 * prod, record(0x31, 0x10, 0x5000))
            bench.store32(dma.BASE + dma.EVENTQ_PROD, prod + 1)
        return 0

    bench.call("smmu_drain_events", stubs={"console_printf": say})
    prod += 1
    smmu = smmu_of(bench)
    expect("EVENTQ_CONS: all records are given back, one that came meanwhile, too",
           Smmu(bench.machine).register(dma.EVENTQ_CONS), prod)
    expect("smmu.events.cons", smmu.get("events.cons"), prod)
    counts = {number: stream_of(bench, number).get("event_count")
              for number in (0x10, 0x30, 0x31, 256)}
    expect("events of each stream; 256 stands for those beyond the table", counts,
           {0x10: 2, 0x30: 1, 0x31: 1, 256: 1})
    last = stream_of(bench, 0x10)
    names = ("stream", "kind", "is_write", "is_stage2", "address")
    seen = tuple(last.get(f"last.{name}") for name in names)
    expect(f"the last event of stream 0x10: {names}", seen, (0x10, 0x13, 0, 1, 0x2008))
    expect("nothing was lost", smmu.get("overflows"), 0)
    barriers, read_behind = barriers_around_a_record(bench)
    expect_that("a record is read behind PROD: a DSB stands between them", read_behind > 0,
                f"{barriers} DSB before EVENTQ_CONS changes, none before the record is read")
    expect_that("a record is read before EVENTQ_CONS gives its room back: a DSB stands between the "
                "two",
                read_behind < barriers,
                f"{barriers} DSB before EVENTQ_CONS changes, none after the record is read")


def barriers_around_a_record(bench: Bench) -> tuple[int, int]:
    """How many barriers there are before EVENTQ_CONS changes, and behind how many of them a record
    is read: it changes at each, and what was charged tells."""
    prod = event_queue(bench, 0, [record(0x10, 0x10, 0)])
    entry = smmu_of(bench).get("events.entries")
    bench.silence("console_printf")
    count = 0
    for _ in bench.executed(r"d[sm]b", "smmu_drain_events"):
        if Smmu(bench.machine).register(dma.EVENTQ_CONS) != prod:
            count += 1
            bench.machine.memory.write(entry, record(0x10, 0x10, 0x1000 * count))
    return count, stream_of(bench, 0x10).get("last.address") // 0x1000


def test_what_is_new_of_a_device_is_told(lab: Lab) -> None:
    """Within one window: the first event, and each that is not the last one going on."""
    bench = at_start(lab)
    told = []
    for what, data in (("the first", record(0x10, 0x10, 0x1000)),
                       ("the same page", record(0x10, 0x10, 0x1008)),
                       ("another page", record(0x10, 0x10, 0x3000)),
                       ("that page, read", record(0x10, 0x10, 0x3000, read=True)),
                       ("that page, for another reason", record(0x10, 0x13, 0x3000, read=True)),
                       ("the same again", record(0x10, 0x13, 0x3000, read=True))):
        event_queue(bench, 0, [data])
        bench.call("smmu_drain_events", stubs={"console_printf": 0})
        told.append((what, len(bench.calls)))
    expect("lines on the console for each event", told,
           [("the first", 1), ("the same page", 0), ("another page", 1), ("that page, read", 1),
            ("that page, for another reason", 1), ("the same again", 0)])
    expect("window_told", stream_of(bench, 0x10).get("window_told"), 4)


def test_lost_records_are_counted_once(lab: Lab) -> None:
    bench = at_start(lab)
    flag = 1 << 31
    for flags, overflows in ((flag, 1), (flag, 1), (0, 2)):
        smmu = smmu_of(bench)
        before = smmu.get("events.prod")
        prod = event_queue(bench, 0, [record(0x10, 0x10, 0x1000)], flags)
        bench.put(smmu, events__prod=before)
        bench.call("smmu_drain_events", stubs={"console_printf": 0})
        expect("smmu.overflows", smmu.get("overflows"), overflows)
        cons = Smmu(bench.machine).register(dma.EVENTQ_CONS)
        expect("CONS takes the flag over, which acknowledges it", cons, prod | flags)


def test_a_stream_has_a_budget(lab: Lab) -> None:
    bench = at_start(lab)
    stream = bench.make("struct smmu_stream").address
    second = bench.read_sysreg("CNTFRQ_EL0")
    budget = 64
    over = [bench.call("stream_is_over_budget", stream, 1000 + n) & 1 for n in range(budget + 2)]
    first = over.index(1) + 1 if 1 in over else 0
    expect("64 events of a window are allowed: the number of the first that is one too many", first,
           budget + 1)
    expect("the one behind it is, too", over[budget + 1], 1)
    of = Object(bench.objects, "struct smmu_stream", stream)
    bench.put(of, window_told=5)
    expect("in the last tick of the window it is too many",
           bench.call("stream_is_over_budget", stream, 1000 + second - 1) & 1, 1)
    expect("the next window begins anew",
           bench.call("stream_is_over_budget", stream, 1000 + second) & 1, 0)
    expect("window_start, window_count, window_told",
           (of.get("window_start"), of.get("window_count"), of.get("window_told")),
           (1000 + second, 1, 0))


def test_a_stream_over_its_budget_is_cut_off_once(lab: Lab) -> None:
    """Not while its entry is changing: who changes it writes it anew."""
    bench = at_start(lab)
    budget = 64
    stream, now = stream_of(bench, 0x10), bench.read_sysreg("CNTPCT_EL0")
    names = {name: bench.machine.layout(name) for name in (ATTACHED, CHANGING, QUARANTINED)}
    vm = bench.make("struct vm")
    for state, wanted, told in ((ATTACHED, QUARANTINED, budget + 1), (CHANGING, CHANGING,
                                budget + 1), (QUARANTINED, QUARANTINED, budget)):
        bench.put(stream, vm=vm.address, state=names[state], window_start=now, window_told=9,
                  window_count=budget, event_count=0)
        bench.put(vm, dma__event_count=0)
        event_queue(bench, 0, [record(0x10, 0x10, 0x1000)])
        bench.call("smmu_drain_events", stubs={"console_printf": 0, "ste_write_first": 0,
                                               "device_cut_off": 0})
        what = f"one record too many of a stream that is {state}"
        expect(f"{what}: its state", stream.get("state"), names[wanted])
        expect(f"{what}: it is written to the table", [c.arguments[0] for c in bench.calls
                                                       if c.name == "ste_write_first"],
               [0x10] if state == ATTACHED else [])
        expect(f"{what}: (events of the stream, of its VM, of its window)",
               (stream.get("event_count"), vm.get("dma.event_count"), stream.get("window_count")),
               (1, 1, told))


# ---- 5.4, 5.6, 5.7: devices by hand --------------------------------------------------------------


def devices(bench: Bench, count: int, intid: int = 36, vm: int = 0) -> list[Object]:
    """PCI devices that a VM uses: number n has its configuration space at n << 12."""
    symbols = bench.machine.symbols
    size = bench.size("struct pci_device")
    bench.machine.memory.write(symbols["pci_device_count"], struct.pack("<I", count))
    found = []
    for number in range(count):
        device = Object(bench.objects, "struct pci_device", symbols["pci_devices"] + size * number)
        bench.machine.memory.write(device.address, bytes(size))
        bench.put(device, config__pa=number << 12, intid=intid, vm=vm)
        found.append(device)
    return found


def test_who_asks_is_held_and_its_owner_told(lab: Lab) -> None:
    bench = at_start(lab)
    vms = [bench.make("struct vm", index=index) for index in range(2)]
    vcpus = [bench.make("struct vcpu", vm=vm.address) for vm in vms]
    table = bench.machine.symbols["vms"]
    bench.machine.memory.write(bench.machine.symbols["vm_count"], struct.pack("<I", len(vms)))
    for vm, vcpu in zip(vms, vcpus, strict=True):
        bench.put(vm, **{"vcpus[0]": vcpu.address})
        bench.write_u64(table + 8 * vm.get("index"), vm.address)
    found = devices(bench, 5)
    for device, owner in zip(found, (0, 1, 1, 0, 0), strict=True):
        bench.put(device, owner=owner, vm=vms[owner].address)
    bench.put(found[3], intid=37)
    bench.put(found[4], vm=0)  # its VM is being made
    asking = {0, 2, 3, 4}

    def read(config: int, offset: int, *_: int) -> int:
        expect("the status register is read", offset, COMMAND)
        return STATUS_INTX if config >> 12 in asking else 0

    lock = bench.machine.symbols["pci_lock"]

    def raised(*_: int) -> int:
        expect("pci_lock is not held where a line is raised: taken",
               bench.machine.memory.u32(lock), 0)
        return 0

    stubs: dict[str | int, Stub] = {"pci_read": read, "pci_grant": 0, "vgic_set_line": raised}

    def lines() -> list[tuple[int, ...]]:
        return sorted(call.arguments[:3] for call in bench.calls if call.name == "vgic_set_line")

    def held() -> list[int]:
        return [device.get("is_held") for device in found]

    expect("the line is handled", bench.call("intx_interrupt", bench.cpu.address, 36, stubs=stubs),
           0)
    told = sorted((vcpu.address, 36, 1) for vcpu in vcpus)
    expect("both owners' lines are raised", lines(), told)
    expect("who asks on this line is held", held(), [1, 0, 1, 0, 0])
    granted = [call.arguments[0] for call in bench.calls if call.name == "pci_grant"]
    expect("and its command register written", granted, [found[0].address, found[2].address])
    bench.call("intx_interrupt", bench.cpu.address, 36, stubs=stubs)
    expect("one that is held is not the reason for another interrupt", lines(), [])
    asking.add(1)
    bench.call("intx_interrupt", bench.cpu.address, 36, stubs=stubs)
    expect("another on the same line is", lines(), [(vcpus[1].address, 36, 1)])
    counts = [device.get("interrupt_count") for device in found]
    expect("how often each raised its line", counts, [1, 1, 1, 0, 0])
    asking.discard(2)
    level = bench.call("intx_resample", vms[1].address, 36, stubs=stubs) & 1
    expect("the line of VM 1 stays up: one of its devices asks", level, 1)
    expect("the one that is quiet is let go", held(), [1, 1, 0, 0, 0])
    asking.discard(1)
    level = bench.call("intx_resample", vms[1].address, 36, stubs=stubs) & 1
    expect("now the line falls", level, 0)
    expect("and VM 0's device is held still", held(), [1, 0, 0, 0, 0])
    bench.put(found[0], command=INTX_DISABLE)
    level = bench.call("intx_resample", vms[0].address, 36, stubs=stubs) & 1
    expect("a device whose guest has disabled INTx does not count", (level, held()[0]), (0, 0))


def test_what_the_command_register_gets(lab: Lab) -> None:
    bench = at_start(lab)
    vm = bench.make("struct vm").address
    device = devices(bench, 1, vm=vm)[0]
    model = bench.make("struct pci_model").address
    wanted = MEMORY | MASTER
    bench.put(device, model=model, command=wanted)
    written: list[int] = []

    def write(_config: int, offset: int, value: int, *_: int) -> int:
        if offset == COMMAND:
            written.append(value & 0xFFFF)
        return 0

    stubs: dict[str | int, Stub] = {"pci_write": write, "deadline_arm": 0}

    def granted(**members: int) -> int:
        bench.put(device, **members)
        bench.call("pci_grant", device.address, stubs=stubs)
        return written[-1]

    expect("what the guest wants", granted(), wanted)
    expect("with INTx disabled while it is held", granted(is_held=1), wanted | INTX_DISABLE)
    busy = bench.function("is_busy")
    bench.put(Object(bench.objects, "struct pci_model", model), is_busy=busy)
    stubs[busy] = 1
    expect("no bus master while it is busy for its last owner",
           granted(is_held=0, is_settling=1), MEMORY)
    expect_that("a deadline looks again", any(call.name == "deadline_arm" for call in bench.calls))
    stubs[busy] = 0
    expect("idle: a bus master", granted(), wanted)
    expect("cut off: none", granted(is_cut_off=1), MEMORY)
    bench.put(device, is_cut_off=0)
    expect("INTx disabled, and nothing else, while no VM uses it", granted(vm=0), INTX_DISABLE)


def test_how_each_kind_of_device_is_stopped(lab: Lab) -> None:
    """Its registers are memory here, in which the device has done at once what it was told."""
    bench = at_start(lab)
    bar = bench.room(0x4000)
    register = bench.machine.memory.u32

    def stopped(identity: int, class_: int, pattern: bytes, offset: int,
                more: Mapping[int, int] | None = None) -> int:
        device = devices(bench, 1)[0]
        bench.put(device, **{"function.bar[0]": bar, "function.bar_mask[0]": 0xFFFFC000})
        bench.machine.memory.write(bar + offset, pattern)

        def read(_config: int, at: int, *_: int) -> int:
            return {0: identity, 8: class_, **(more or {})}.get(at, 0)

        model = Object(bench.objects, "struct pci_model",
                       bench.call("pci_model_of", 0, stubs={"pci_read": read}))
        expect_that("EL2 knows its kind", bool(model.address))
        return bench.call(model.get("reset"), device.address, stubs={
            "pci_read": read, "pci_capability": 0x40 if more else 0}) & ONES

    expect("NVMe stops", stopped(0x00101B36, 0x01080200, b"\1\0\x46\0", 0x14), 0)
    expect("its CC, at 0x14, is 0", register(bar + 0x14), 0)
    expect("its completions are acknowledged before: nvme_drain() has masked it by INTMC",
           register(bar + 0x10), ONES)
    bench.machine.memory.write(bar + 0x400, b"\2")
    bench.sysreg("CNTFRQ_EL0", 1000)  # so that EL2 waits half of a thousand ticks
    bench.machine.memory.write(bar + 0x1C, b"\1")
    expect("NVMe whose CSTS.RDY stays: -EBUSY", stopped(0x00101B36, 0x01080200, b"\1", 0x14),
           EBUSY & ONES)
    expect("e1000e: CTRL.RST stays, as in memory: -EBUSY", stopped(0x10D38086, 0, b"\2", 0x100),
           EBUSY & ONES)
    expect("RCTL and TCTL are 0", (register(bar + 0x100), register(bar + 0x400)), (0, 0))
    expect("IMC is all ones", register(bar + 0xD8), ONES)
    expect("CTRL.RST is written", register(bar), 1 << 26)
    expect("virtio without its registers: -ENODEV", stopped(0x10441AF4, 0, b"", 0), ENODEV & ONES)
    # Its common configuration structure: BAR 0, from 0x200 on, says a capability at 0x40.
    capability = {0x40: 1 << 24 | 0x10 << 16 | 0x09, 0x44: 0, 0x48: 0x200}
    beside = b"\x66\x77\x0f\x88\x99\xaa"
    expect("virtio stops", stopped(0x10441AF4, 0, beside, 0x212, capability), 0)
    expect("its device_status, at 0x14, is 0, and nothing beside it is written",
           bench.machine.memory.read(bar + 0x212, 6), beside.replace(b"\x0f", b"\0"))


def test_a_device_is_stopped_before_it_is_cut_off(lab: Lab) -> None:
    bench = at_start(lab)
    vm = bench.make("struct vm")
    config = bench.make("struct bundle_vm", device_count=1)
    bench.put(vm, config=config.address)
    device = devices(bench, 1, vm=vm.address)[0]
    reset = bench.function("reset")
    model = bench.make("struct pci_model", reset=reset)
    bench.put(device, model=model.address, command=MEMORY | MASTER, is_held=0)
    steps: list[str] = []

    def write(_config: int, offset: int, value: int, *_: int) -> int:
        names = {MEMORY: "memory", MASTER: "master", INTX_DISABLE: "quiet"}
        if offset == COMMAND:
            steps.append(" ".join(name for bit, name in names.items() if value & bit))
        return 0

    def step(name: str) -> Callable[..., int]:
        return lambda *_: steps.append(name) or 0  # type: ignore[func-returns-value]

    def reset_device(*_: int) -> int:
        expect("pci_lock is not held while a device is reset, which takes long: taken",
               bench.machine.memory.u32(bench.machine.symbols["pci_lock"]), 0)
        return step("reset")()

    stubs: dict[str | int, Stub] = {
        "pci_write": write,
        reset: reset_device,
        "smmu_detach_stream": step("detach"),
        "smmu_destroy_space": step("destroy"),
        "deadline_cancel": step("cancel"),
    }
    bench.call(hook_of(bench.machine, LAB, "vm_destroy"), vm.address, stubs=stubs)
    expect_that("device->settle is cancelled when nobody can arm it any more: the VM has left it",
                "cancel" in steps and "quiet" in steps[:steps.index("cancel")], steps)
    steps.remove("cancel")
    expect("steps", steps, ["memory master quiet", "reset", "quiet", "detach", "destroy"])
    expect("nobody uses it", (device.get("vm"), device.get("is_broken")), (0, 0))
    steps.clear()
    bench.put(device, vm=vm.address, command=INTX_DISABLE)
    stubs[reset] = EBUSY
    bench.call(hook_of(bench.machine, LAB, "vm_destroy"), vm.address,
               stubs=stubs | {"console_printf": 0})
    expect("one that its guest has not made a bus master is none for its reset", steps[:1],
           ["memory quiet"])
    expect("a device that does not answer is taken back all the same", steps[-2:],
           ["detach", "destroy"])
    expect("and nobody gets it any more", device.get("is_broken"), 1)


def test_what_a_vm_gets_of_a_device(lab: Lab) -> None:
    """And what it does not get when something fails."""
    bench = at_start(lab)
    machine, vm = bench.machine, bench.make("struct vm")
    config = bench.make("struct bundle_vm", device_count=1)
    bench.put(vm, config=config.address)
    device = devices(bench, 1, intid=0)[0]
    model = bench.make("struct pci_model")
    create = hook_of(machine, LAB, "vm_create")
    resample = machine.symbols["intx_resample"]
    read, write, device_memory = 1, 2, 8
    bars = {"function.bar[0]": 0x1010_000C, "function.bar_mask[0]": ONES & -0x4000,
            "function.bar_mask[1]": ONES, "function.bar[4]": 0x1020_0000,
            "function.bar_mask[4]": ONES & -0x1000}
    maps = [("stage2_map", vm.address, at, at, size, read | write | device_memory)
            for at, size in ((0x1010_0000, 0x4000), (0x1020_0000, 0x1000))]
    attach = ("smmu_attach_stream", vm.address, 0x10)
    watch = ("vgic_watch_spi", vm.address, 36, resample)
    given = ("pci_write", COMMAND, 0)

    def created(fails: str = "", **members: int) -> tuple[int, list[tuple[object, ...]]]:
        bench.put(device, **{"function.address": 0x10, "intid": 36, "vm": 0, "is_broken": 0,
                             "is_held": 1, "is_cut_off": 1, "command": 0x406, "is_settling": 0,
                             "model": model.address, **bars, **members})
        made: list[tuple[object, ...]] = []

        def note(name: str, count: int, first: int = 0) -> Stub:
            def answer(*arguments: int) -> int:
                last = [machine.register("x4")] if name == "stage2_map" else []
                made.append((name, *arguments[first:count], *last))
                return ENOMEM if name == fails else 0
            return answer

        result = bench.call(create, vm.address, stubs={
            "smmu_create_space": 0, "stage2_map": note("stage2_map", 4),
            "smmu_attach_stream": note("smmu_attach_stream", 2),
            "vgic_watch_spi": note("vgic_watch_spi", 3), "pci_write": note("pci_write", 3, 1)})
        return result & ONES, made

    expect("a device with two BARs and a line: result, and what is called", created(),
           (0, [*maps, attach, watch, given]))
    state = tuple(device.get(name) for name in ("vm", "command", "is_held", "is_cut_off",
                                                "is_settling"))
    expect("(vm, command, is_held, is_cut_off, is_settling)", state, (vm.address, 0, 0, 0, 0))
    expect("one without a line", created(intid=0), (0, [*maps, attach, given]))
    expect("a BAR that cannot be mapped", created("stage2_map"), (ENOMEM & ONES, maps[:1]))
    expect("a stream that cannot be attached", created("smmu_attach_stream"),
           (ENOMEM & ONES, [*maps, attach]))
    expect("nobody uses it: vm", device.get("vm"), 0)
    expect("one that did not answer its reset", created(is_broken=1), (EBUSY & ONES, []))
    bench.put(model, is_busy=bench.function("is_busy"))
    expect("one that may be busy for its last owner", created()[0], 0)
    expect("is_settling", device.get("is_settling"), 1)


BAR_FLAGS = 0xC  # 64 bits, prefetchable
BAR_AT, BAR_SIZE = 0x10100000 | BAR_FLAGS, 0x4000
# A function whose hardware reads as a pattern, with a vendor's capability behind another one.
HARDWARE = {0x00: 0x10441AF4, 0x04: 0x00180000, 0x08: 0x00FF0001, 0x0C: 0x00800000,
            0x2C: 0x11001AF4, 0x34: 0x40, 0x3C: 0x00000155, 0x40: 0x00005005, 0x44: 0x1234,
            0x50: 0x01100009, 0x54: 0xABCD}
SHOWN = {0x00: 0x10441AF4, 0x04: 0x00180000, 0x08: 0x00FF0001, 0x10: BAR_AT, 0x14: 0, 0x30: 0,
         0x34: 0x50, 0x3C: 0x100, 0x40: 0, 0x44: 0, 0x50: 0x01100009, 0x54: 0xABCD,
         0x5C: 0xEEEEEEEE, 0x60: 0, 0xFC: 0, 0x100: 0}


class View:
    """What a guest sees of a function whose configuration space is memory here."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        model = Object(bench.objects, "struct device", bench.machine.symbols["device_pci"])
        self.read, self.write = model.get("read"), model.get("write")
        self.state, self.config = bench.room(model.get("state_bytes")), bench.room(0x1000)
        config = bench.make("struct bundle_vm", device_count=1)
        self.vm = bench.make("struct vm", config=config.address).address
        self.device = devices(bench, 1, intid=0, vm=self.vm)[0]
        bench.put(self.device, config__pa=self.config, function__address=0x10,
                  **{"function.bar[0]": BAR_AT, "function.bar_mask[0]": ONES & -BAR_SIZE})
        self.reset = model.get("reset")

    def begin(self) -> None:
        """The hardware and the guest's view of it as after power-on."""
        values = [HARDWARE.get(offset, 0xEEEEEEEE) for offset in range(0, 0x1000, 4)]
        self.bench.machine.memory.write(self.config, struct.pack("<1024I", *values))
        self.bench.put(self.device, command=0)
        self.bench.call(self.reset, self.vm, self.state)

    def load(self, offset: int, size: int) -> int:
        value = self.bench.call(self.read, 0, self.state, (0x10 << 12) + offset, size)
        return value & (1 << 8 * size) - 1

    def store(self, offset: int, size: int, value: int) -> None:
        stubs: dict[str | int, Stub] = {"pci_grant": 0}
        self.bench.call(self.write, 0, self.state, (0x10 << 12) + offset, size, value, stubs=stubs)

    def register(self, offset: int, size: int) -> int:
        """32 bits, read in pieces of this size."""
        if size == 8:
            return self.load(offset & ~7, 8) >> 8 * (offset % 8) & ONES
        return sum(self.load(offset + at, size) << 8 * at for at in range(0, 4, size))

    def set_register(self, offset: int, size: int, value: int) -> None:
        """32 bits, written in pieces of this size; the register beside it gets what it reads as."""
        if size == 8:
            other = self.register(offset ^ 4, 4)
            both = value | other << 32 if offset % 8 == 0 else other | value << 32
            self.store(offset & ~7, 8, both)
            return
        for at in range(0, 4, size):
            self.store(offset + at, size, value >> 8 * at & (1 << 8 * size) - 1)


def test_configuration_space_is_shown_in_part(lab: Lab) -> None:
    view = View(at_start(lab))
    view.begin()
    for offset, value in SHOWN.items():
        expect(f"the register at {offset:#x}", view.register(offset, 4), value)
    for size in (1, 2, 8):
        for offset in (0x00, 0x10, 0x54):
            expect(f"the register at {offset:#x} by loads of {size} bytes",
                   view.register(offset, size), SHOWN[offset])
    memory, config = view.bench.machine.memory, view.config
    for offset, value in ((0x50, 0x01107009), (0x70, 0x00008011), (0x80, 0x01080009)):
        memory.write(config + offset, struct.pack("<I", value))
    expect("a capability that is shown leads to the next one that is shown: the register at 0x50",
           view.register(0x50, 4), 0x01108009)
    memory.write(config + 0x50, struct.pack("<I", HARDWARE[0x50]))
    for size in (1, 2, 4, 8):
        expect(f"another slot reads as ones, by {size} bytes", view.load(0x8000, size),
               (1 << 8 * size) - 1)
    for what, changes, pointer in (
        ("a list with a loop, of capabilities that are not shown", {0x40: 0x00004005}, 0),
        ("the lowest two bits of a pointer do not count", {0x34: 0x43, 0x40: 0x00005305}, 0x50),
        ("a pointer into the header ends the list", {0x40: 0x00003005, 0x30: 0x00000009}, 0),
    ):
        for offset, value in changes.items():
            view.bench.machine.memory.write(view.config + offset, struct.pack("<I", value))
        expect(f"{what}: the first that is shown", view.register(0x34, 4), pointer)
        expect(f"{what}: a register that is in none", view.register(0x60, 4), 0)


def test_what_a_guest_writes_to_configuration_space(lab: Lab) -> None:
    """Nothing of it reaches the hardware but by pci_grant(), which is left out here."""
    view = View(at_start(lab))
    wanted = MEMORY | MASTER | INTX_DISABLE
    for size in (1, 2, 4, 8):
        by = f"by stores of {size} bytes"
        view.begin()
        hardware = view.bench.machine.memory.read(view.config, 0x1000)
        view.set_register(0x10, size, 0x40000000)
        expect(f"a BAR does not move, {by}", view.register(0x10, 4), BAR_AT)
        if size >= 4:
            view.set_register(0x10, size, ONES)
            expect(f"all ones ask for its size, the flags stay, {by}", view.register(0x10, 4),
                   ONES & -BAR_SIZE | BAR_FLAGS)
            view.set_register(0x10, size, BAR_AT)
            expect(f"until anything else is written, {by}", view.register(0x10, 4), BAR_AT)
        view.set_register(0x04, size, ONES)
        expect(f"of the command register three bits are kept, {by}",
               view.register(0x04, 4) & 0xFFFF, wanted)
        expect(f"and EL2 is told, {by}: device->command", view.device.get("command"), wanted)
        view.set_register(0x3C, size, 0x0000005A)
        expect(f"the interrupt line is the guest's note, {by}", view.register(0x3C, 4), 0x15A)
        if size == 2:
            view.store(0x06, 2, ONES)
            expect("a store to the status register alone is nothing to EL2: calls",
                   [call.name for call in view.bench.calls], [])
        view.set_register(0x50, size, ONES)
        expect(f"a capability cannot be written, {by}", view.register(0x50, 4), 0x01100009)
        expect(f"nothing else is told to EL2, {by}", view.device.get("command"), wanted)
        expect_that(f"no register of the hardware is written, {by}",
                    view.bench.machine.memory.read(view.config, 0x1000) == hardware)
