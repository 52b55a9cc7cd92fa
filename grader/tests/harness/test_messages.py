# SPDX-License-Identifier: MIT
"""What a failure says: the field, the instruction, the line; not a heap of numbers."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from course.registry import load_course
from grader.grading import symptoms
from grader.grading.debug_test import commands_for, shown_last
from grader.grading.debug_test import told as told_last
from grader.grading.model import CUMULATIVE, Column, Grading, Result
from grader.grading.text import Live, _field, hint_for
from grader.machine import images
from grader.machine.verdict import Finding, Verdict, expect, show, with_names
from grader.oracle.barriers import disassemble, name_of, said
from grader.oracle.decode import el2_registers as el2
from grader.tests.lab01.test_lab01_steps import same_fields, same_registers

WANTED = [0x1000 + n for n in range(31)]


def told(observed: list[int]) -> str:
    with pytest.raises(Finding) as raised:
        same_registers("the frame", observed, WANTED)
    return raised.value.observed


def test_few_registers_are_listed_and_many_are_explained() -> None:
    assert told([7, *WANTED[1:]]) == "x0 is 0x7, not 0x1000"
    assert "and 28 more; nothing was written there: does the code stand at its vector's offset" in (
        told([0] * 31))
    assert "most stand 1 place too low: x1 where x0 belongs" in told([*WANTED[1:], 0])


def test_many_fields_of_one_value_are_one_range() -> None:
    with pytest.raises(Finding) as raised:
        same_fields("HSTR_EL2", 0xFFFF, 0, {at: f"T{at}" for at in range(16)})
    assert raised.value.observed == "0xffff: 1 in 16 fields, T0 to T15"
    with pytest.raises(Finding) as raised:
        same_fields("HCR_EL2", 1 << 31, 1, el2.HCR_BITS)
    assert raised.value.observed == "0x80000000: VM is 0, RW is 1"
    with pytest.raises(Finding) as raised:
        same_fields("MDCR_EL2", 0x4E68, 0x84E66, el2.MDCR_BITS)
    assert raised.value.observed == "0x4e68: HPMN is 8, not 6, TTRF is 0"


def test_lists_of_sentences_are_sentences() -> None:
    assert (show(["a", "b"]), show([]), show([16, 2])) == ("a; b", "none", "[0x10, 2]")
    assert (show([("gic_set_active", 27, 1)]), show(None)) == ("[gic_set_active(0x1b, 1)]", "none")
    assert show({"pa.pa": 0x8000_0000, "level": 1}) == "pa.pa 0x80000000, level 1"


def test_members_of_a_tuple_have_the_names_that_the_sentence_gives() -> None:
    with pytest.raises(Finding) as raised:
        expect("f() (VM 1, on CPU 0): (active, request, calls of gic->set_active()), to active",
               (0, 16, []), (0, 2, []))
    assert raised.value.observed == "active 0, request 0x10, calls of gic->set_active() none"
    assert raised.value.expected == "active 0, request 2, calls of gic->set_active() none"
    assert with_names("without names", (1, 2)) == "(1, 2)"


def test_a_missing_barrier_is_told_by_instruction_and_line() -> None:
    elf = images.hypervisor(1, "solution").elf
    address = next(at for at, one in disassemble(elf).items() if one.name == "eret")
    assert "ERET at guest_return+" in said(elf, address)
    assert "lab01-el2-boot/vectors.S:" in said(elf, address)
    assert (name_of("dsb ish$"), name_of(r"(dmb|dsb) (ish|sy)$")) == ("DSB ISH", "DMB ISH")


@pytest.mark.parametrize(("facts", "text", "cause"), [
    ({"crash_kind": 2, "crash_esr": 0x25 << 26 | 0xB, "crash_far": 0, "crash_sp": 0,
      "crash_vector": 0x200}, "", "Access flag fault at EL2"),
    ({}, "the same exit again and again: 8 times data abort EC 0x24 access flag fault, level 3",
     "Access flag is clear in its leaf"),
    ({}, "the same exit again and again: 8 times SMC EC 0x17", "exercise 1.6"),
    ({"EL": 2}, "5000001 instructions used, at 0x402000cc boot_park (boot.S:88)",
     "not affinity"),
    ({}, "asleep in WFI at EL2; CNTHP armed for 0xffffffffffff1234, which is never",
     "vtimer_deadline() of exercise 4.1"),
])  # fmt: skip
def test_the_fault_is_blamed_and_not_its_neighbour(facts: dict[str, int], text: str,
                                                   cause: str) -> None:
    assert cause in symptoms.explain(facts, "CRASH" if "crash_kind" in facts else "BUDGET", text)


def test_debug_shows_the_code_that_a_static_test_is_about() -> None:
    text = "behind TLBI at stage2_invalidate+0x9c (x.c:18) no ISB comes before RET at f+0x5c"
    assert commands_for(text) == ["disassemble /s stage2_invalidate"]
    assert commands_for("a DSB stands between the entry of f() and its first TLBI") == [
        "disassemble /s f"]
    assert commands_for("there is an instruction like tlbi in the image") == []


def test_debug_ends_with_what_was_found() -> None:
    finding = "FAIL: x is 1\n  observed: 2\n  reproduce: make debug TEST=x\n  console:\n  | y"
    assert told_last(finding) == "FAIL: x is 1\n  observed: 2"
    assert shown_last(told_last(finding)) == r"echo FAIL: x is 1\n  observed: 2\n"


def test_the_hint_is_the_first_that_fits_the_failure() -> None:
    exercise = load_course().exercise("2.3")

    def shown(name: str, what: str = "so it is", observed: str = "") -> int:
        failed = Result(Verdict.FAIL, what=what, observed=observed)
        return [hint.text for hint in exercise.hints].index(
            hint_for(exercise, f"test_lab02_steps.py::{name}", failed))

    assert shown("test_a_block_is_split_with_break_before_make") == 0, "none fits: the first"
    assert shown("test_tables_are_freed_when_no_tlb_can_reach_them") == 1, "by the test"
    assert shown("test_x", "the pages around it stay mapped") == 2, "by what was tested"
    assert shown("test_x", observed="-ENOMEM") == 3, "by what was observed"


def test_every_exercise_says_which_failure_a_hint_is_for() -> None:
    assert not [exercise.id for exercise in load_course().exercises
                if not any(hint.fits for hint in exercise.hints)]


@pytest.mark.parametrize(("test", "what", "speaks"), [
    ("1.1 test_boot_prepares_the_cpu_for_c", "BSS is zero but for the two stack tops", "lost"),
    ("1.3 test_every_control_of_el2_is_written", "MDCR_EL2 has the value", "HPMN"),
    ("2.5 test_geometry_fits_the_memory_of_the_vm", "a VM of 64 MiB: start level", "T0SZ and SL0"),
    ("2.2 test_a_new_table", "that entry, at 0x4000, is written by STLR", "entry_write()"),
    ("2.4 test_stacks_of_all_cpus_have_their_guard_pages", "CPUs whose guard1 is mapped", "guard"),
    ("2.4 test_el2_maps_itself_one_to_one", "the last page of RAM, is mapped", "All of RAM"),
    ("2.5 test_invalidation_is_of_all_its_pages_and_of_its_vm",
     "three pages of another VM: vmid_lock is held, or its VMID changes hands: taken",
     "may change"),
    ("2.7 test_loads_extend_as_the_instruction_says", "LDRB W3: exit.value and exit.size", "model"),
    ("2.7 test_loads_extend_as_the_instruction_says",
     "LDRSH W3 of a big-endian guest: its bytes are put in order, then extended", "turned"),
    ("2.8 test_a_piece", "guest_ram_populate() without memory for a piece", "falls"),
    ("2.9 test_memory_goes_back_when_nothing_leads_to_it",
     "memory_stats(): X0 to X3 are 0, bytes of RAM, resident, of tables", "other CPUs"),
    ("2.9 test_memory_goes_back_when_nothing_leads_to_it",
     "it takes stage2.lock and gives it back: all are of one moment", "other CPUs"),
    ("3.5 test_what_is_left_out_asks_for_its_event", "six pending: what is asked for", "NPIE"),
    ("4.5 test_cntp_follows_its_registers", "TVAL -1 written, so due", "sign-extended"),
    ("5.3 test_stream_table_entry_says_what_it_should", "STE of 00:02.0: S2R is 0", "no record"),
    ("6.5 test_x", "TLBs drop all before VMID 1 is given out", "Three steps"),
])
def test_the_hint_speaks_about_what_differed(test: str, what: str, speaks: str) -> None:
    id_, name = test.split()
    failed = Result(Verdict.FAIL, what=what)
    assert speaks in hint_for(load_course().exercise(id_), f"x.py::{name}", failed)


@pytest.mark.parametrize(("test", "property_", "speaks"), [
    ("3.2 test_x[gic_enable]", "ICACTIVER lets it through", "leave a request"),
    ("3.8 test_x[gic_two_vms]", "the priority mask survives it", "ICH_VMCR_EL2"),
    ("3.8 test_x[gic_two_vms]", "pending interrupts survive the other VM's turn", "Fold before"),
    ("4.6 test_x[wfi]", "A32: WFI returns behind itself", "TI in ISS"),
    ("5.7 test_x[pci_edu]", "it can be sized", "as its mask"),
    ("6.2 test_x[smp_psci]", "CPU_ON of 1 with Aff1 = 1: INVALID_PARAMETERS", "upper halves"),
])
def test_the_hint_speaks_about_the_property_that_does_not_hold(
        test: str, property_: str, speaks: str) -> None:
    """As grader/oracle/probe.py says it, among the places where the machine stands."""
    id_, name = test.split()
    failed = Result(Verdict.FAIL, what="guests/probes/x.c: 1 of 25 properties", where=[
        f"vm0: {property_}: observed 0x1, expected 0x0", "vCPU at EL1, pc 0x40080000 deadline"])
    assert speaks in hint_for(load_course().exercise(id_), f"x.py::{name}", failed)


def test_lines_fit_a_terminal_and_no_number_is_broken() -> None:
    words = " ".join(f"{0x4020_0000 + n:#x}" for n in range(40))
    lines = list(_field("observed", words))
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()) == f"observed: {words}"


def test_what_follows_from_a_failed_step_is_one_line() -> None:
    course = load_course()
    grading = Grading(course, course.lab(1), "labs")
    column = grading.columns[CUMULATIVE] = Column(CUMULATIVE)
    live = Live(grading)
    out = io.StringIO()
    live.console = Console(file=out, soft_wrap=True)
    for name in "test_lab01_steps.py::a", *(f"test_lab01.py::{name}" for name in "bcd"):
        grading.add(CUMULATIVE, {"test": name, "verdict": "FAIL", "what": "it is so"})
        live.arrived(CUMULATIVE, name)
    column.results["test_lab01.py::d"].verdict = Verdict.BLOCKED  # by what comes first: no failure
    live.close()
    lines = out.getvalue().splitlines()
    assert len(column.results) == 4
    assert len(lines) == 2
    assert "2 more failed after those above" in lines[1]


def test_what_counts_only_with_another_test_is_no_pass_before_that_one() -> None:
    """The list says no PASS that the table counts as BLOCKED."""
    course = load_course()
    lab = course.lab(2)
    names = ["test_lab02.py::test_memory_comes_on_demand",
             "test_lab02_steps.py::test_memory_is_filled_before_it_is_mapped"]
    for verdict, wanted in (("FAIL", ["FAIL", "BLOCKED"]), ("PASS", ["PASS", "PASS"])):
        grading = Grading(course, lab, "labs")
        grading.tests.update({name: course.exercise("2.8") for name in names})
        grading.columns[CUMULATIVE] = Column(CUMULATIVE)
        live = Live(grading)
        out = io.StringIO()
        live.console = Console(file=out, soft_wrap=True)
        for name, ends in zip(names, ("PASS", verdict), strict=True):
            grading.add(CUMULATIVE, {"test": name, "verdict": ends, "what": "it is so"})
            live.arrived(CUMULATIVE, name)
        grading.block()
        live.close()
        assert [line.split()[2] for line in out.getvalue().splitlines()] == wanted
