# SPDX-License-Identifier: MIT
"""The harness judges machines whose fate is known: they are the grader's own images."""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader.conftest import MakeLab
from grader.machine import images
from grader.machine import machine as machine_module
from grader.machine.console import Console
from grader.machine.launch import MachineConfig
from grader.machine.machine import EL2_ONLY, Machine, Stop, StopKind
from grader.machine.verdict import Finding, Verdict, expect, expect_that
from grader.oracle import crash, exits
from grader.oracle.calls import Bench
from grader.oracle.strata import ORACLE

StartSelftest = Callable[..., Machine]


def finding_of(machine: Machine, **options: int) -> Finding:
    """What is found in a machine that does not power off in good order."""
    with pytest.raises(Finding) as caught:
        machine.run_until_off(**options)
    return caught.value


def test_budget_stops_at_the_same_instruction_in_every_run(start_selftest: StartSelftest) -> None:
    places = []
    for _ in range(2):
        machine = start_selftest("spin")
        stop = machine.run(budget=1_234_567)
        assert stop.kind is StopKind.BUDGET
        places.append((stop.pc, machine.pc, machine.budget.retired, machine.register("x9")))
    assert places[0] == places[1]


def test_budget_is_hit_within_a_block(start_selftest: StartSelftest) -> None:
    machine = start_selftest("spin")
    machine.run(budget=100_000)
    assert 100_000 <= machine.budget.retired < 100_000 + 64
    machine.run(budget=50_000)
    assert 150_000 <= machine.budget.retired < 150_000 + 128


def test_budget_names_the_place(start_selftest: StartSelftest) -> None:
    machine = start_selftest("spin")
    found = finding_of(machine, budget=10_000)
    assert found.verdict is Verdict.BUDGET
    assert "spin_work" in str(found) or "inner" in str(found)


@pytest.mark.parametrize("with_debugger", [False, True])
def test_a_vcpu_that_is_held_while_nothing_seems_to_happen_is_let_go(
    start_selftest: StartSelftest, monkeypatch: pytest.MonkeyPatch, with_debugger: bool
) -> None:
    """On a loaded host the budget may run out after the look that saw nothing, before its stop."""
    machine = start_selftest("spin")
    if with_debugger:
        expect("PC", machine.pc, 0x4000_0000)
    see_nothing(monkeypatch)
    monkeypatch.setattr(machine_module, "STILL_WALL_SECONDS", 0.0)
    assert machine.run(budget=10_000).kind is StopKind.BUDGET


def see_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first three times that somebody waits for a machine: whatever happens there."""
    look, unseen = select.select, [3]

    def late(reads: list[Any], writes: list[Any], others: list[Any],
             seconds: float | None = None) -> Any:
        if seconds == machine_module.LOOK_SECONDS and unseen[0]:
            unseen[0] -= 1
            look([], [], [], seconds)
            return [], [], []
        return look(reads, writes, others, seconds)

    monkeypatch.setattr(select, "select", late)


@pytest.mark.parametrize("with_debugger", [False, True])
def test_a_machine_whose_emulator_gets_no_processor_is_not_disturbed(
    start_selftest: StartSelftest, monkeypatch: pytest.MonkeyPatch, with_debugger: bool
) -> None:
    """A look costs a hundred commands of the debugger, on a host that is busy anyhow."""
    machine = start_selftest("spin")
    if with_debugger:
        expect("PC", machine.pc, 0x4000_0000)
    see_nothing(monkeypatch)
    monkeypatch.setattr(Machine, "emulator_seconds", 0.0)
    looks: list[int] = []
    for name in ("_look", "_stop_of_budget"):
        monkeypatch.setattr(machine, name, counted(looks, getattr(machine, name)))
    assert machine.run(budget=10_000).kind is StopKind.BUDGET
    assert looks == [1]


def counted(calls: list[int], function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: object) -> Any:
        calls.append(1)
        return function(*arguments)

    return call


def test_one_cpu_that_runs_alone_and_sleeps_for_good_is_looked_at_once(
    start_selftest: StartSelftest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No timer can wake it; one that could is waited for."""
    machine = start_selftest("sleep_forever", smp=2)
    machine.run_to("*main")
    for ahead, wanted in ((False, 1), (True, machine_module.QUIET_LOOKS)):
        looks: list[int] = []
        monkeypatch.setattr(machine, "_oracle",
                            replace(ORACLE, timer_ahead=lambda _, ahead=ahead: ahead))
        monkeypatch.setattr(machine, "_look", counted(looks, Machine._look.__get__(machine)))
        with machine.alone(0):
            assert machine.run().kind is StopKind.QUIET
        assert len(looks) == wanted


@pytest.mark.parametrize("is_put_there", [False, True])
def test_a_breakpoint_that_is_reached_before_anybody_looks_is_not_passed(
        start_selftest: StartSelftest, monkeypatch: pytest.MonkeyPatch, is_put_there: bool
) -> None:
    """On a loaded host the machine may be there before resume() returns, and be interrupted there;
    and so it may be before it has executed anything, where a test has put it.

    Continue would step over the breakpoint.
    """
    machine = start_selftest("spin")
    if is_put_there:
        machine.run_to("*main")
        machine.gdb.set_core_registers({"pc": machine.symbols["spin_work"]})
    resume, commands = machine.gdb.resume, []

    def at_once(command: str) -> None:
        commands.append(command.split()[0])
        resume(command)
        while len(commands) == 1 and machine.gdb.next_stop() is None:
            select.select([machine.gdb], [], [], 1)

    monkeypatch.setattr(machine_module, "STILL_WALL_SECONDS", 0.0)
    with machine.breakpoint("*spin_work"):
        monkeypatch.setattr(machine.gdb, "resume", at_once)
        monkeypatch.setattr(machine, "_look", lambda: None)
        stop = machine.run()
    assert (stop.kind, stop.pc) == (StopKind.BREAKPOINT, machine.symbols["spin_work"])
    assert commands == ["-exec-continue", "-exec-jump"]


def test_an_exit_that_comes_again_and_again_is_named(start_selftest: StartSelftest) -> None:
    machine = start_selftest("smc_for_ever")
    machine.run_to("guest")
    assert machine.run(budget=10_000).kind is StopKind.BUDGET
    guest = machine.symbols["guest"]
    assert exits.repeated(machine) == (
        f"the same exit again and again: of {exits.LOOKS} in a row, {exits.LOOKS} times "
        f"0x5e000000 EC 0x17 SMC: #0x0 at ELR_EL2 {guest:#x}")


@pytest.mark.parametrize("without_memory", [False, True], ids=["smc", "fetch"])
def test_a_guest_that_comes_no_further_does_not_take_the_whole_budget(
    start_selftest: StartSelftest, without_memory: bool
) -> None:
    machine = start_selftest("smc_for_ever")
    machine.gdb.set_register("x21", 0)
    machine.gdb.set_register("x22", int(without_memory))
    found = finding_of(machine)
    assert found.verdict is Verdict.BUDGET
    assert "EL2 enters the guest there for ever, and it comes no further" in found.observed
    assert machine.budget.retired < 100_000
    assert "of 8 in a row, 8 times" in exits.repeated(machine)


@pytest.mark.parametrize("without_memory", [False, True], ids=["smc", "fetch"])
def test_a_guest_may_loop_in_exceptions_that_el2_reflects(
    start_selftest: StartSelftest, without_memory: bool
) -> None:
    """Its vector raises the next one: that is its own affair, and other VMs go on."""
    machine = start_selftest("smc_for_ever")
    machine.gdb.set_register("x21", machine.symbols["guest"] - 0x200)
    machine.gdb.set_register("x22", int(without_memory))
    assert machine.run(budget=200_000).kind is StopKind.BUDGET
    assert machine.budget.retired >= 200_000


def test_a_guest_that_goes_on_may_be_left_at_one_place_for_ever(
    start_selftest: StartSelftest
) -> None:
    machine = start_selftest("smc_for_ever")
    machine.run_to("guest")
    machine.gdb.set_register("x20", 4)
    assert machine.run(budget=200_000).kind is StopKind.BUDGET
    assert machine.budget.retired >= 200_000


def test_of_two_cpus_the_one_that_repeats_its_exit_is_named(
    start_selftest: StartSelftest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one makes progress; both are at the same place, which proves nothing."""
    machine = start_selftest("smc_for_ever")
    machine.run_to("guest")
    run, stops = machine.run, [0]

    def of_two(budget: int) -> Stop:
        """What CPU 1 does has another register each time."""
        stops[0] += 1
        machine.gdb.set_register("x19", stops[0] if stops[0] % 2 else 0)
        return replace(run(budget), cpu=stops[0] % 2)

    monkeypatch.setattr(machine, "run", of_two)
    monkeypatch.setattr(machine, "config", replace(machine.config, smp=2))
    assert exits.repeated(machine).startswith(
        f"the same exit again and again on CPU 0: of {exits.LOOKS} in a row, {exits.LOOKS} times ")


def test_a_guest_that_calls_in_a_loop_makes_progress(start_selftest: StartSelftest) -> None:
    machine = start_selftest("smc_for_ever")
    machine.run_to("guest")
    machine.gdb.set_register("x20", 4)
    assert machine.run(budget=10_000).kind is StopKind.BUDGET
    assert exits.repeated(machine) == ""


def test_a_machine_without_exits_has_none_that_repeats(start_selftest: StartSelftest) -> None:
    machine = start_selftest("spin")
    assert machine.run(budget=10_000).kind is StopKind.BUDGET
    assert exits.repeated(machine) == ""


def test_sleep_without_a_timer_is_a_hang_with_its_reason(start_selftest: StartSelftest) -> None:
    machine = start_selftest("sleep_forever")
    found = finding_of(machine)
    assert found.verdict is Verdict.HANG
    text = str(found)
    assert "in WFI at EL2" in text
    assert "CNTHP off" in text


def test_exceptions_whose_vector_cannot_be_fetched_are_a_hang(
    start_selftest: StartSelftest,
) -> None:
    machine = start_selftest("no_vectors")
    found = finding_of(machine)
    assert found.verdict is Verdict.HANG
    text = str(found)
    assert "VBAR_EL2 + 0x200 = 0x800000000200, cannot be executed" in text
    assert "address size fault" in text


@pytest.mark.parametrize("vectors", [0, 0x0010_0000, 0x4100_0000], ids=["reset", "flash", "zeros"])
def test_exceptions_without_a_vector_table_do_not_take_the_whole_budget(
    start_selftest: StartSelftest, vectors: int
) -> None:
    machine = start_selftest("exception_loop")
    machine.gdb.set_register("x20", vectors)
    found = finding_of(machine)
    assert found.verdict is Verdict.HANG
    words = f"an exception whose vector raises the next one, for ever, at {vectors + 0x200:#x}"
    assert words in str(found)
    assert machine.budget.retired < 100_000


def test_a_guest_may_loop_in_exceptions(start_selftest: StartSelftest) -> None:
    machine = start_selftest("exception_loop")
    machine.gdb.set_register("x20", 0x4100_0000)
    machine.gdb.set_register("x21", 1)
    assert machine.run(budget=10_000).kind is StopKind.BUDGET
    assert machine.budget.retired >= 10_000


def two_cpus(start_selftest: StartSelftest, second: int) -> Machine:
    """CPU 0 starts CPU 1 and sleeps; `second` says what CPU 1 does."""
    machine = start_selftest("two_cpus", smp=2)
    machine.run_to("*start_second")
    machine.gdb.set_register("x20", second)
    return machine


def test_a_hang_of_several_cpus_says_how_each_sleeps(start_selftest: StartSelftest) -> None:
    found = finding_of(two_cpus(start_selftest, 0))
    assert found.verdict is Verdict.HANG
    for cpu, place in ((0, "first_sleeps"), (1, "second+")):
        assert re.search(rf"CPU {cpu} in WFI at EL2, 0x\w+ {re.escape(place)}", found.observed)


def test_a_budget_of_several_cpus_says_who_used_it(start_selftest: StartSelftest) -> None:
    machine = two_cpus(start_selftest, 1)
    found = finding_of(machine, budget=90_000)
    assert found.verdict is Verdict.BUDGET
    match = re.search(r"instructions \(CPU 0 (\d+), CPU 1 (\d+)\) used, at \w+ second_spins",
                      found.observed)
    assert match
    assert int(match[1]) < 100
    assert int(match[2]) > 80_000
    assert int(match[1]) + int(match[2]) == machine.budget.retired
    assert re.match(r"CPU 1 at EL2, pc 0x\w+ second_spins", found.where[0])
    assert any(re.match(r"CPU 0 at EL2, pc 0x\w+ first_sleeps.*, halted", line)
               for line in found.where)


def test_a_crash_shows_the_cpu_that_it_was(start_selftest: StartSelftest) -> None:
    found = finding_of(two_cpus(start_selftest, 2))
    assert found.verdict is Verdict.CRASH
    assert found.observed == "PANIC: panic; CPU 1, SP 0x0"
    assert re.match(r"CPU 1 at EL2, pc 0x\w+ power_off", found.where[0])


def test_a_step_is_one_of_the_selected_cpu_alone(start_selftest: StartSelftest) -> None:
    machine = two_cpus(start_selftest, 1)
    machine.run(budget=1_000)
    machine.select_cpu(0)
    assert "first_sleeps" in machine.place(machine.pc)
    machine.select_cpu(1)
    count = machine.register("x9")
    for _ in range(6):
        machine.step_instruction()
    assert count < machine.register("x9") <= count + 3  # a turn is two steps: YIELD takes one along


def test_forged_console_text_does_not_change_a_verdict(start_selftest: StartSelftest) -> None:
    machine = start_selftest("sleep_forever")
    found = finding_of(machine)
    assert "all tests passed" in machine.console.text
    assert found.verdict is Verdict.HANG


def test_a_deadline_in_years_is_no_deadline(start_selftest: StartSelftest) -> None:
    machine = start_selftest("sleep_for_years")
    found = finding_of(machine)
    assert found.verdict is Verdict.HANG
    assert "CNTHP armed for 0x4000000000000000, which is never" in str(found)


def test_a_machine_that_costs_the_emulator_too_much_is_at_fault_itself(
    start_selftest: StartSelftest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_module, "PROCESSOR_SECONDS", 0.3)
    machine = start_selftest("spin")
    found = finding_of(machine, budget=1 << 40)
    assert found.verdict is Verdict.BUDGET
    assert "s of processor time; at 0x" in str(found)
    assert "spin" in str(found)


def test_a_breakpoint_that_is_passed_for_ever_ends_the_run(
    start_selftest: StartSelftest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_module, "MOST_STOPS", 50)
    machine = start_selftest("spin")
    with pytest.raises(Finding) as raised:
        machine.run_to("*spin_work", "$x11 == 1")
    assert raised.value.verdict is Verdict.BUDGET
    assert "the machine reaches spin_work" in str(raised.value)
    assert "came to the watched place 50 times, never under the test's condition" in str(
        raised.value)
    expect_that("the instruction budget is not what ended it", machine.budget.retired < 1_000_000,
                machine.budget.retired)


@pytest.mark.parametrize(("number", "verdict"),
                         [(signal.SIGABRT, Verdict.CRASH), (signal.SIGKILL, Verdict.ERROR)])
def test_the_machine_is_at_fault_when_qemu_gives_up_and_not_when_the_host_ends_it(
    start_selftest: StartSelftest, number: signal.Signals, verdict: Verdict
) -> None:
    machine = start_selftest("spin")
    machine.run(budget=100_000)
    os.kill(machine.emulator_pid, number)
    with pytest.raises(Finding) as caught:
        machine.run(budget=1 << 40)
    assert caught.value.verdict is verdict


def test_sleep_with_a_deadline_ahead_is_no_hang(start_selftest: StartSelftest) -> None:
    machine = start_selftest("sleep_once")
    assert machine.run_until_off().kind is StopKind.POWER_OFF


def test_filled_mailbox_is_a_crash_although_the_machine_powers_off(
    start_selftest: StartSelftest,
) -> None:
    machine = start_selftest("crash")
    found = finding_of(machine)
    assert found.verdict is Verdict.CRASH
    text = str(found)
    assert "synchronous exception at EL2" in text
    assert "translation fault, level 1, write" in text
    assert "fill" in text


def test_unwritten_exercise_is_todo(start_selftest: StartSelftest) -> None:
    machine = start_selftest("crash")
    machine.run_to("*fill")
    machine.gdb.set_register("x20", 3)
    found = finding_of(machine)
    assert found.verdict is Verdict.TODO


def test_mailbox_without_magic_is_empty(start_selftest: StartSelftest) -> None:
    machine = start_selftest("crash")
    machine.run_to("*fill")
    assert crash.read(machine) is None


def test_missing_a_breakpoint_is_a_failure_that_names_it(start_selftest: StartSelftest) -> None:
    machine = start_selftest("sleep_once")
    with pytest.raises(Finding) as caught:
        machine.run_to("*power_off", condition="$x0 == 0x1234567")
    assert caught.value.verdict is Verdict.FAIL
    assert "power_off" in str(caught.value)


def test_unknown_function_is_the_students_failure(start_selftest: StartSelftest) -> None:
    machine = start_selftest("spin")
    with pytest.raises(Finding) as caught:
        machine.run_to("no_such_function")
    assert caught.value.verdict is Verdict.FAIL


def test_breakpoints_and_steps(start_selftest: StartSelftest) -> None:
    machine = start_selftest("spin")
    stop = machine.run_to("*spin_work")
    assert stop.pc == machine.symbols["spin_work"]
    before = machine.register("x11")
    machine.step_instruction()
    assert machine.pc == stop.pc + 4
    assert machine.register("x11") == before + machine.register("x10")


def test_registers_by_the_manuals_names(start_selftest: StartSelftest) -> None:
    machine = start_selftest("spin")
    machine.run_to("*main")
    assert machine.exception_level == 2
    assert machine.register("SCTLR_EL1") & 0x800 == 0x800  # RES1
    assert machine.register("VBAR_EL1") == 0
    assert machine.register("CNTFRQ_EL0") == 1_000_000_000


def test_physical_memory_is_readable_after_power_off(start_selftest: StartSelftest) -> None:
    machine = start_selftest("sleep_once")
    machine.run_until_off()
    header = machine.memory.read(0x4020_0038, 4)
    assert header == b"ARM\x64"


def test_console_takes_keys(start_selftest: StartSelftest) -> None:
    machine = start_selftest("echo")
    machine.console.type("abcz")
    machine.run_until_off()
    assert machine.console.text == "bcd{"


def test_failure_shows_the_console_with_control_characters_escaped(
    start_selftest: StartSelftest,
) -> None:
    machine = start_selftest("echo")
    machine.console.type("\x1a\x06z")  # prints ESC and BEL
    machine.run_until_off()
    tail = "\n".join(machine.console.tail())
    assert "\\x1b" in tail
    assert "\x1b" not in tail


def test_failure_shows_what_a_probe_found_wrong_before_the_last_lines(tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    lines = [f"[vm0] {'FAIL' if n == 3 else 'PASS'}: property {n}" for n in range(20)]
    console.raw += "\r\n".join(lines).encode()
    assert console.tail() == [lines[3], "...", *lines[8:]]
    assert console.tail(17) == lines[3:], "told once"
    console.close()


def spinning(qemu: str) -> MachineConfig:
    image = images.selftest("spin")
    return MachineConfig(image=image.binary, elf=image.elf, memory_mib=256, qemu=qemu)


def test_a_debugger_serves_the_next_machine_without_a_trace_of_the_last(
    tmp_path: Path, qemu: str
) -> None:
    config = spinning(qemu)
    with Machine(config, ORACLE) as machine:
        first = machine.gdb
        machine.gdb.insert_breakpoint("*spin_work")
        machine.gdb.insert_watchpoint("*(long *)0x40300000")
        machine.gdb.add_symbols(config.elf, 0x1000_0000)
        machine.run()
    with Machine(config, ORACLE, tmp_path / "gdb.log") as machine:
        assert machine.gdb is first
        assert machine.run(budget=100_000).kind is StopKind.BUDGET
        assert machine.gdb.execute("info symbol 0x50200000").startswith("No symbol")
    assert "info symbol" in (tmp_path / "gdb.log").read_text()


def test_a_machine_that_only_runs_has_no_debugger(tmp_path: Path, qemu: str) -> None:
    log = tmp_path / "gdb.log"
    with Machine(spinning(qemu), ORACLE, log) as machine:
        assert machine.run(budget=10_000).kind is StopKind.BUDGET
        assert not log.exists()
        assert machine.register("pc")
        assert log.exists()


def test_a_debugger_that_took_any_command_is_not_used_again(qemu: str) -> None:
    config = spinning(qemu)
    with Machine(config, ORACLE) as machine:
        first = machine.gdb
        machine.gdb.execute("set $left_behind = 1")
    with Machine(config, ORACLE) as machine:
        assert machine.gdb is not first


def test_a_debugger_that_is_gone_is_the_graders_trouble(qemu: str) -> None:
    with Machine(spinning(qemu), ORACLE) as machine:
        expect("PC", machine.pc, 0x4000_0000)
        os.kill(machine.gdb.pid, signal.SIGKILL)
        with pytest.raises(Finding) as caught:
            machine.run()
        assert caught.value.verdict is Verdict.ERROR
        assert "GDB has ended" in str(caught.value)


def test_a_debugger_whose_machine_runs_is_not_used_again(qemu: str) -> None:
    config = spinning(qemu)
    with Machine(config, ORACLE) as machine:
        first = machine.gdb
        machine.gdb.resume("-exec-continue")
    with Machine(config, ORACLE) as machine:
        assert machine.gdb is not first


@pytest.mark.skipif(not (images.ROOT / "solution").is_dir(), reason="needs a hypervisor that works")
def test_a_call_that_executes_an_instruction_for_ever_has_a_verdict(make_lab: MakeLab) -> None:
    """Each stop is soon after the last one: the budget is that of the whole call."""
    bench = Bench.cold(make_lab(1).start("hypercalls"), 1)
    with pytest.raises(Finding) as caught:
        list(bench.executed("wfe", "boot_park"))
    assert caught.value.verdict is Verdict.BUDGET
    assert re.search(r"boot_park.*, called with \(\), returns", str(caught.value))
    assert re.search(r"it executes wfe at .*boot_park.* again and again", str(caught.value))


@pytest.mark.skipif(not (images.ROOT / "solution").is_dir(), reason="needs a hypervisor that works")
def test_stacks_of_both_levels_are_shown(make_lab: MakeLab) -> None:
    machine = make_lab(4).start("hypercalls")
    machine.run_to("*trap_dispatch", f"{EL2_ONLY} && ($ESR_EL2 >> 26 & 0x3f) == 0x16")
    machine.run_to("*vm_stop", EL2_ONLY, budget=600_000_000)
    before = [machine.register(name) for name in ("pc", "sp", "x19", "x30", "PSTATE")]
    lines = machine.backtrace()
    after = [machine.register(name) for name in ("pc", "sp", "x19", "x30", "PSTATE")]
    expect("looking changes nothing", after, before)
    expect_that("EL2 stands in vm_stop()", "vm_stop" in lines[0], lines)
    expect_that(
        "EL1 was left in probe_finish(), called by guest_main()",
        any(
            "EL1 #0" in a and "probe_finish" in a and "guest_main" in b
            for a, b in zip(lines, lines[1:], strict=False)
        ),
        lines,
    )
