# SPDX-License-Identifier: MIT
"""Self-hosted debug: a guest's breakpoints, watchpoints, steps and locks work, and are its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from grader.conftest import LABS, WHOLE, Lab, MakeLab
from grader.machine.images import build_directory
from grader.machine.verdict import expect, expect_that, infrastructure
from grader.oracle.calls import Bench
from grader.oracle.decode.sysreg_names import ENCODINGS
from grader.oracle.objects import Object
from grader.oracle.probe import ProbeVm
from grader.tests.harness.test_make_run import BATCH_MACHINES, NET_SECONDS, command, environment
from grader.tests.lab01.test_lab01 import OF_LAYER_4
from grader.tests.lab01.test_lab01_steps import DAIF, EL0T, EL1H, GUEST_VBAR, cold, sysreg_esr
from tools import cpio

PROBES = ["debug_registers", "debug_exceptions"]
EC_SYSREG = 0x18
MACHINES = [machine for lab, machine in BATCH_MACHINES if machine or lab == WHOLE]
PAIRS = 2  # of breakpoints and of watchpoints that ID_AA64DFR0_EL1 announces to a guest
MDE, TDCC = 1 << 15, 1 << 12
ENABLE, BOTH_LEVELS = 1, 3 << 1
HMC, SSC_EL2, VMID_MATCH = 1 << 13, 3 << 14, 8 << 20
CONTEXT_MATCH, LINKED_ADDRESS = 3 << 20, 1 << 20
TO_NUMBER_1, WATCH_LINKED = 1 << 16, 1 << 20
CHANNEL = {  # register: whether EL0 has it
    "MDCCSR_EL0": True, "DBGDTR_EL0": True, "DBGDTRRX_EL0": True, "OSDTRRX_EL1": False,
    "MDCCINT_EL1": False, "OSDTRTX_EL1": False, "OSECCR_EL1": False,
}  # fmt: skip


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    return make_lab(1)


@pytest.mark.parametrize("number", LABS)
@pytest.mark.parametrize("probe", PROBES)
def test_two_guests_debug_themselves(make_lab: MakeLab, number: int, probe: str) -> None:
    make_lab(number).probe(ProbeVm(probe), ProbeVm(probe), ignore=OF_LAYER_4 if number < 4 else ())


@pytest.mark.parametrize("cpu", ["cortex-a57", "max"])
@pytest.mark.parametrize("probe", PROBES)
def test_older_and_newer_cpus(make_lab: MakeLab, cpu: str, probe: str) -> None:
    make_lab(WHOLE, 2).probe(ProbeVm(probe), ProbeVm(probe), cpu=cpu)


def last_numbers(bench: Bench) -> tuple[int, int]:
    """Numbers of the machine's last breakpoint and last watchpoint."""
    dfr0 = bench.read_sysreg("ID_AA64DFR0_EL1")
    return dfr0 >> 12 & 0xF, dfr0 >> 20 & 0xF


def controls(bench: Bench) -> dict[str, int]:
    """The debug control registers that are not zero."""
    breakpoints, watchpoints = last_numbers(bench)
    names = [*(f"DBGBCR{n}_EL1" for n in range(breakpoints + 1)),
             *(f"DBGWCR{n}_EL1" for n in range(watchpoints + 1))]
    return {name: value for name in names if (value := bench.read_sysreg(name))}


def access(bench: Bench, vcpu: Object, name: str, read: bool, pstate: int = DAIF | EL1H) -> None:
    """One trapped access with register x1."""
    bench.put(vcpu, frame__pc=0x1000, frame__pstate=pstate)
    bench.call("trap_dispatch", vcpu.address, sysreg_esr(*ENCODINGS[name], 1, read))


def test_a_cpu_starts_with_debug_off_and_unlocked(lab: Lab, seed: int) -> None:
    """Reset leaves the registers UNKNOWN and the OS lock locked.

    Arm ARM, "The OS Lock and the OS Double Lock".
    """
    bench = cold(lab, seed)
    expect("the machine starts with OSLSR_EL1.OSLK set", bench.read_sysreg("OSLSR_EL1") >> 1 & 1, 1)
    breakpoints, watchpoints = last_numbers(bench)
    for number in range(breakpoints + 1):
        bench.sysreg(f"DBGBCR{number}_EL1", ENABLE)
    for number in range(watchpoints + 1):
        bench.sysreg(f"DBGWCR{number}_EL1", ENABLE)
    bench.sysreg("MDSCR_EL1", MDE)
    bench.sysreg("OSDLR_EL1", 1)
    bench.call("debug_init_cpu")
    expect("no breakpoint or watchpoint is enabled", controls(bench), {})
    expect("MDSCR_EL1", bench.read_sysreg("MDSCR_EL1"), 0)
    expect("OSLSR_EL1.OSLK", bench.read_sysreg("OSLSR_EL1") >> 1 & 1, 0)
    expect("OSDLR_EL1", bench.read_sysreg("OSDLR_EL1"), 0)


def test_the_hardware_gets_breakpoints_of_el1_and_el0_alone(lab: Lab, seed: int) -> None:
    bench = cold(lab, seed)
    bench.call("debug_init_cpu")
    breakpoints, _ = last_numbers(bench)
    enabled = ENABLE | BOTH_LEVELS
    bas, load_store = 0xF << 5, 3 << 3
    for what, member, control, register, wanted in (
        ("HMC and SSC of a breakpoint", "pair[0].bcr", enabled | bas | HMC | SSC_EL2,
         "DBGBCR0_EL1", enabled | bas),
        ("HMC and SSC of a watchpoint", "pair[1].wcr", enabled | load_store | HMC | SSC_EL2,
         "DBGWCR1_EL1", enabled | load_store),
        ("a match of VMIDs", "pair[1].bcr", enabled | VMID_MATCH, f"DBGBCR{breakpoints}_EL1", 0),
        ("a match of contexts", "pair[1].bcr", enabled | CONTEXT_MATCH,
         f"DBGBCR{breakpoints}_EL1", enabled | CONTEXT_MATCH),
        ("a breakpoint linked to it", "pair[0].bcr", enabled | LINKED_ADDRESS | TO_NUMBER_1,
         "DBGBCR0_EL1", enabled | LINKED_ADDRESS | breakpoints << 16),
        ("a watchpoint linked to it", "pair[0].wcr", enabled | WATCH_LINKED | TO_NUMBER_1,
         "DBGWCR0_EL1", enabled | WATCH_LINKED | breakpoints << 16),
        ("a link to number 3, which the guest has not", "pair[0].wcr",
         enabled | WATCH_LINKED | 3 << 16, "DBGWCR0_EL1", 0),
    ):  # fmt: skip
        vcpu = bench.vcpu()
        offset, _ = bench.objects.member("struct vcpu", f"debug.{member}")
        bench.write_u64(vcpu.address + offset, control)
        bench.call("debug_load", vcpu.address)
        expect(f"{what}: the hardware has", controls(bench), {register: wanted} if wanted else {})


def test_nobody_is_at_the_other_end_of_the_channel(lab: Lab, seed: int) -> None:
    """Each register reads zero and ignores writes; QEMU 7.2 has only two of them."""
    bench = cold(lab, seed)
    bench.call("trap_dispatch_init")
    bench.sysreg("VBAR_EL1", GUEST_VBAR)
    vcpu = bench.vcpu()
    for name, for_el0 in CHANNEL.items():
        for pstate in (DAIF | EL1H, EL0T) if for_el0 else (DAIF | EL1H,):
            bench.set_frame(vcpu, bench.noise(31))
            access(bench, vcpu, name, read=True, pstate=pstate)
            expect(f"MRS x1, {name}: x1", bench.frame(vcpu)[1], 0)
            expect(f"MRS x1, {name}: PC", vcpu.get("frame.pc"), 0x1004)
            if name != "MDCCSR_EL0":
                access(bench, vcpu, name, read=False, pstate=pstate)
                expect(f"MSR {name}, x1: PC", vcpu.get("frame.pc"), 0x1004)
        if not for_el0:
            access(bench, vcpu, name, read=True, pstate=EL0T)
            expect(f"{name} at EL0 is undefined: PC", vcpu.get("frame.pc"), GUEST_VBAR + 0x400)
    access(bench, vcpu, "MDCCSR_EL0", read=False)
    expect("MSR MDCCSR_EL0 is undefined: PC", vcpu.get("frame.pc"), GUEST_VBAR + 0x200)
    bench.put(vcpu, debug__mdscr=TDCC)
    access(bench, vcpu, "DBGDTR_EL0", read=True, pstate=EL0T)
    expect("with MDSCR_EL1.TDCC it traps to EL1: PC", vcpu.get("frame.pc"), GUEST_VBAR + 0x400)
    expect("ESR_EL1.EC", bench.machine.register("ESR_EL1") >> 26, EC_SYSREG)


def test_without_mde_the_hardware_keeps_its_breakpoints(make_lab: MakeLab, seed: int) -> None:
    """A vCPU that does not debug costs a switch nothing: what is off may stay."""
    bench = Bench.at(make_lab(1).start("hypercalls", "hypercalls"), 1, "vcpu_load")
    load = bench.machine.pc
    bench.call("debug_init_cpu")
    armed, plain = bench.vcpu(el1__mdscr=MDE, hcr=1 << 31), bench.vcpu(hcr=1 << 31)
    for vcpu, value in ((armed, ENABLE | BOTH_LEVELS), (plain, ENABLE)):
        offset, _ = bench.objects.member("struct vcpu", "debug.pair[0].bcr")
        bench.write_u64(vcpu.address + offset, value)
    bench.call(load, armed.address)
    expect("a vCPU with MDE brings its own", controls(bench), {"DBGBCR0_EL1": ENABLE | BOTH_LEVELS})
    bench.call(load, plain.address)
    expect("one without leaves what is there", controls(bench),
           {"DBGBCR0_EL1": ENABLE | BOTH_LEVELS})
    expect_that("and has it switched off", not bench.read_sysreg("MDSCR_EL1") & MDE)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda m: "-".join(m.values()) or "default")
def test_debuggers_in_two_linux_vms_do_not_disturb_each_other(
        tmp_path: Path, machine: dict[str, str]) -> None:
    """Both watch one address, hundreds of times, while their VMs take turns on one CPU."""
    linux = build_directory() / "linux"
    subprocess.run(command("image", "linux", LAB="4"), check=True, capture_output=True,
                   env=environment())
    (tmp_path / "debugger.cpio.gz").write_bytes(cpio.make_initramfs([
        cpio.directory("dev"), cpio.character_device("dev/console", 5, 1),
        cpio.executable("init", (linux / "debugger").read_bytes()),
    ]))  # fmt: skip
    vms = tmp_path / "vms.toml"
    vms.write_text("".join(f"""
[[vm]]
name = "vm{word}"
memory = "256M"
page_size = "4K"
kernel = "{linux}/Image"
initrd = "debugger.cpio.gz"
cmdline = "console=ttyAMA0 quiet -- {word}"
""" for word in range(2)))
    try:
        done = subprocess.run(command("run", LAB="4", VMS=str(vms), **machine), check=False,
                              capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, env=environment(), timeout=NET_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise infrastructure(f"no end after {NET_SECONDS} s", str(late.stdout)[-2000:])
    for word in range(2):
        assert f"[vm{word}] debugger: 11 of 11" in done.stdout, done.stdout[-4000:] + done.stderr
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
