# SPDX-License-Identifier: MIT
"""The `strata` commands, typed into the GDB of a standing machine."""

from __future__ import annotations

import re
import subprocess

import pytest

from grader.conftest import LABS, WHOLE, Lab, MakeLab
from grader.machine import gdb_client
from grader.machine.images import ROOT, cross_prefix
from grader.machine.machine import EL1_ONLY, EL2_ONLY, Machine
from grader.machine.symbols import symbols_of
from grader.oracle.probe import LOAD_OFFSET, RAM_BASE, ProbeVm, ram_bases
from tools.vms import DeviceConfig

COMMANDS = ["vms", "vcpu", "cpus", "runq", "s2walk", "esr", "lrs", "irqs", "timers", "smmu",
            "streams", "events", "break-exit"]


@pytest.fixture(autouse=True)
def debugger_with_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tests need no commands written in it GDB goes without."""
    monkeypatch.setattr(gdb_client, "WITHOUT_PYTHON", ())
    monkeypatch.setattr(gdb_client, "_idle", [])


def typed(machine: Machine, line: str) -> str:
    """What GDB answers; a command's error is its answer too."""
    return machine.gdb.execute(
        f"python\ntry: gdb.execute({line!r})\nexcept gdb.error as e: print(e)"
    )


def in_guest(lab: Lab, *vms: ProbeVm, smp: int = 1) -> Machine:
    """The machine at the first instruction of VM 0, with the commands loaded."""
    machine = lab.start(*vms, smp=smp)
    machine.gdb.execute(f"source {ROOT / 'grader' / 'gdb' / 'strata.py'}")
    base = ram_bases(machine, list(vms), lab.number)[0]
    machine.run_to(base + LOAD_OFFSET, EL1_ONLY)
    return machine


TWO = (ProbeVm("hypercalls", name="alpha"), ProbeVm("hypercalls", name="beta"))


@pytest.mark.parametrize("number", LABS)
def test_vms_and_vcpus_are_listed(make_lab: MakeLab, number: int) -> None:
    machine = in_guest(make_lab(number), *TWO)
    text = typed(machine, "strata vms")
    assert "0 alpha: running, RAM" in text
    assert "1 beta: running, RAM" in text
    assert "(loaded)" in text
    assert ("KiB resident" in text) == (number >= 2)
    text = typed(machine, "strata vcpu beta.0")
    assert text.startswith("beta.0: runnable")
    assert "x30" in text
    assert "EL1 state in memory:" in text
    assert "alpha.0: running" in typed(machine, "strata vcpu")


@pytest.mark.parametrize("number", [1, 4, WHOLE])
def test_what_the_cpu_does_and_who_waits_for_it(make_lab: MakeLab, number: int) -> None:
    machine = in_guest(make_lab(number), *TWO)
    text = typed(machine, "strata cpus")
    assert f"CPU 0: runs alpha.0 at EL1, pc {machine.pc:#x}, 1 in its run queue" in text
    assert (", slice ends at 0x" in text) == (number >= 4)
    assert typed(machine, "strata runq").splitlines()[:2] == ["CPU 0: beta.0",
                                                              "running: alpha.0 (CPU 0)"]
    machine.run_to("trap_dispatch")
    assert "CPU 0: in EL2 for alpha.0, 0x4020" in typed(machine, "strata cpus")
    assert "trap_dispatch" in typed(machine, "strata cpus")


def test_what_is_inlined_is_left_for_the_function_that_has_it(make_lab: MakeLab) -> None:
    """As make debug TEST=... does: a student has not written esr_ec()."""
    machine = in_guest(make_lab(1), *TWO)
    symbols = symbols_of(machine.config.elf)
    places = subprocess.run([cross_prefix() + "addr2line", "-i", "-e", str(machine.config.elf),
                             *map(hex, symbols.extent("trap_dispatch")[::4])],
                            capture_output=True, text=True, check=True).stdout.splitlines()
    inlined = next(at for at, line in enumerate(places) if "/trap.c:" not in line)
    machine.run_to(symbols["trap_dispatch"] + 4 * inlined)
    assert "trap_dispatch" not in typed(machine, "frame").splitlines()[0]
    assert " trap_dispatch (" in typed(machine, "python target.leave_inlined()")


def test_a_cpu_without_a_vcpu_that_can_run_is_idle(make_lab: MakeLab) -> None:
    machine = in_guest(make_lab(4), ProbeVm("wfi", name="alpha"))
    machine.run_to("cpu_idle")
    text = typed(machine, "strata cpus")
    assert re.match(r"CPU 0: in EL2 for none, 0x\w+ .*, alpha.0 is loaded, 0 in its", text)
    assert typed(machine, "strata runq").splitlines()[:2] == ["CPU 0: nobody waits",
                                                              "blocked: alpha.0 (CPU 0)"]


def test_a_cpu_that_was_never_started_is_off(make_lab: MakeLab) -> None:
    machine = in_guest(make_lab(4), *TWO, smp=3)
    assert typed(machine, "strata cpus").splitlines()[1:] == ["CPU 1: off", "CPU 2: off"]
    assert typed(machine, "strata runq").splitlines()[1] == "running: alpha.0 (CPU 0)"
    assert "CPU 2 has no vCPU loaded" in typed(machine, "strata vcpu cpu2")
    assert "there is no CPU 3: they are 0 to 2" in typed(machine, "strata lrs cpu3")
    assert "alpha.0 (loaded on CPU 0)" in typed(machine, "strata lrs cpu0")
    assert "alpha.0: CNTV is in CPU 0" in typed(machine, "strata timers")
    assert "CPU 2: CNTHP off" in typed(machine, "strata timers cpu2")
    assert "CPU 2: CNTHP" not in typed(machine, "strata timers")
    machine.select_cpu(2)
    assert "alpha.0: running" in typed(machine, "strata vcpu cpu0")
    assert "EL1 state in CPU 0:" in typed(machine, "strata vcpu alpha")


def test_several_cpus(make_lab: MakeLab) -> None:
    """A VM on each CPU: three are pinned and compute, one sleeps."""
    vms = [ProbeVm("hostile_spin", name=f"spin{cpu}", pin=((cpu,),)) for cpu in (1, 2, 3)]
    machine = in_guest(make_lab(6), ProbeVm("wfi", name="alpha", pin=((0,),)), *vms, smp=4)
    machine.run(budget=30_000_000)
    lines = typed(machine, "strata cpus").splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"CPU {cpu}" for cpu in range(4)]
    assert not any(line.endswith("off") for line in lines)
    queues = typed(machine, "strata runq").splitlines()[:4]
    assert all(line.startswith("CPU ") for line in queues)
    text = typed(machine, "strata timers")
    assert all(f"CPU {cpu}: CNTHP" in text for cpu in range(4))
    for cpu in range(4):
        loaded = typed(machine, f"strata lrs cpu{cpu}")
        if loaded.startswith("CPU 0 has no vCPU loaded"):
            continue  # alpha sleeps or is over: its CPU may have let go of it
        name = loaded.partition(" ")[0]
        assert re.match(rf"{re.escape(name)} \((loaded|resident) on CPU {cpu}\b", loaded)
        assert f"EL1 state in CPU {cpu}:" in typed(machine, f"strata vcpu {name}")


def test_walk_through_stage_2(make_lab: MakeLab) -> None:
    machine = in_guest(make_lab(2), *TWO)
    machine.run_to(machine.pc + 4, EL1_ONLY)
    text = typed(machine, "strata s2walk 0x40080000")
    assert "VTTBR_EL2" in text
    assert "level 3 [0x" in text or "level 2 [0x" in text
    assert "0x40080000 -> 0x" in text
    assert "rwx Normal, inner write-back, outer write-back" in text
    assert "translation fault" in typed(machine, "strata s2walk 0x10000000 beta")


def test_commands_about_layers_that_are_not_linked_say_so(make_lab: MakeLab) -> None:
    machine = in_guest(make_lab(1), *TWO)
    assert "no stage 2: layer 2 is not linked" in typed(machine, "strata s2walk 0x40080000")
    assert "layer 3 is not linked" in typed(machine, "strata lrs")
    assert "layer 3 is not linked" in typed(machine, "strata irqs")
    assert "layer 4 is not linked" in typed(machine, "strata timers")
    assert "layer 5 is not linked" in typed(machine, "strata smmu")


def test_interrupts_and_list_registers(make_lab: MakeLab) -> None:
    machine = in_guest(make_lab(3), ProbeVm("gic_enable", name="alpha"), TWO[1])
    assert "alpha.0 (loaded): ICH_HCR_EL2" in typed(machine, "strata lrs")
    assert "ICH_VMCR_EL2 as of its last save 0x" in typed(machine, "strata lrs alpha")
    text = typed(machine, "strata lrs beta")
    assert "beta.0 (not resident): ICH_HCR_EL2" in text
    assert "ICH_VMCR_EL2 0x" in text  # in memory, and nowhere else
    assert "beta: GICD_CTLR 0x0" in typed(machine, "strata irqs beta")


def test_timers(make_lab: MakeLab) -> None:
    machine = in_guest(make_lab(4), *TWO)
    text = typed(machine, "strata timers")
    assert "CPU: CNTHP" in text
    assert "alpha.0: CNTV is in the CPU" in text
    assert "beta.0: CNTV off" in text


def test_syndromes_in_words(make_lab: MakeLab) -> None:
    machine = in_guest(make_lab(1), TWO[0])
    assert "HVC: #0x12" in typed(machine, "strata esr 0x5a000012")
    assert "ESR_EL1" in typed(machine, "strata esr")


def test_break_at_an_exit_class(make_lab: MakeLab) -> None:
    machine = in_guest(make_lab(4), ProbeVm("id_registers", name="alpha"))
    assert "exits with EC 0x18" in typed(machine, "strata break-exit 0x18")
    stop = machine.run()
    assert machine.exception_level == 2
    assert stop.pc == machine.register("VBAR_EL2") + 0x400
    assert machine.register("ESR_EL2") >> 26 == 0x18
    assert "mrs x" in typed(machine, "strata esr")


def test_wrong_arguments_are_answered_in_a_sentence(make_lab: MakeLab) -> None:
    machine = in_guest(make_lab(2), *TWO)
    assert "no VM gamma; there are: 0 alpha, 1 beta" in typed(machine, "strata vcpu gamma")
    assert "has 1 vCPUs" in typed(machine, "strata vcpu alpha.3")
    assert "address is missing" in typed(machine, "strata s2walk")
    assert "alpha is no CPU like cpu0" in typed(machine, "strata timers alpha")
    assert "not an exception class" in typed(machine, "strata break-exit 0x3f")
    assert "too many arguments" in typed(machine, "strata vms 1 2")


def test_before_any_vm_exists(make_lab: MakeLab) -> None:
    machine = make_lab(2).start("hypercalls")
    machine.gdb.execute(f"source {ROOT / 'grader' / 'gdb' / 'strata.py'}")
    assert "no VM has been created yet" in typed(machine, "strata vms")


def test_when_the_machine_has_gone(make_lab: MakeLab) -> None:
    """One line, not what GDB cannot read; a syndrome can be decoded all the same."""
    machine = in_guest(make_lab(1), *TWO)
    typed(machine, "disconnect")  # as when QEMU has ended
    for command in COMMANDS:
        words = " 0x16" if command == "break-exit" else " 0" if command == "s2walk" else ""
        assert typed(machine, f"strata {command}{words}").strip() == (
            "no machine is there: it has ended, or was never started"), command
    assert "HVC: #0x12" in typed(machine, "strata esr 0x5a000012")


def test_every_command_has_help(make_lab: MakeLab) -> None:
    machine = make_lab(1).start("hypercalls")
    machine.gdb.execute(f"source {ROOT / 'grader' / 'gdb' / 'strata.py'}")
    listed = typed(machine, "help strata")
    for command in COMMANDS:
        assert f"strata {command}" in listed
        assert f"strata {command}" in typed(machine, f"help strata {command}").splitlines()[0]


def test_the_smmu_its_streams_and_its_events(make_lab: MakeLab) -> None:
    machine = make_lab(5).start(
        ProbeVm("dma_edu", name="alpha", memory_mib=16, devices=("00:02.0",)),
        devices=(DeviceConfig("00:02.0", "edu"),)
    )
    machine.gdb.execute(f"source {ROOT / 'grader' / 'gdb' / 'strata.py'}")
    assert "the SMMU is off" in typed(machine, "strata smmu")
    machine.run_to(RAM_BASE + LOAD_OFFSET, EL1_ONLY)
    assert "translation by stage" in typed(machine, "strata smmu")
    assert "CFGI_STE 00:02.0" in typed(machine, "strata smmu")
    assert "no access was refused so far" in typed(machine, "strata events")
    assert "00:02.0 alpha: attached, STE stage" in typed(machine, "strata streams")
    assert "PROBLEM" not in typed(machine, "strata streams alpha")
    machine.run_to("*smmu_event_irq", EL2_ONLY)
    assert typed(machine, "strata events").count("not read yet") == 2  # of 8 bytes
    machine.finish()
    assert "not read yet" not in typed(machine, "strata events")
    machine.run_to("*machine_off")
    assert "00:02.0 F_TRANSLATION write to 0x4110" in typed(machine, "strata events 3")
    assert "refused, among the last: F_TRANSLATION, write to" in typed(machine, "strata streams")
