# SPDX-License-Identifier: MIT
"""`make run` as people use it: two Linux VMs at a terminal, and without one."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from grader.conftest import LABS, WHOLE
from grader.machine import options
from grader.machine.images import build_directory
from grader.machine.verdict import infrastructure
from tools import cpio
from tools.qemu import qemu_version
from tools.vms import load_vms

ROOT = Path(__file__).parents[3]
NET_SECONDS = 240  # a run that takes this long says nothing about the hypervisor
SEES_INPUT = LABS[2:]  # with interrupts EL2 sees a key while a guest runs


def own_guests(lab: int) -> Path:
    """The VMs that show what a lab adds. `make run LAB=` of a lab without them starts Linux."""
    return ROOT / "guests" / "demos" / f"lab{lab:02}.toml"


LINUX = tuple(lab for lab in LABS if not own_guests(lab).exists())
SMALL = tuple(lab for lab in LABS if own_guests(lab).exists())
BATCH_MACHINES = [*((lab, {}) for lab in LINUX),
                  (LINUX[0], {"GIC": "2", "CPU": "cortex-a57"}), (WHOLE, {"CPU": "max"})]


def command(*goals: str, **variables: str) -> list[str]:
    variables.setdefault("BUILD", options.current().build)
    variables.setdefault("QEMU", options.current().qemu)
    return ["make", "-C", str(ROOT), *goals,
            *(f"{name}={value}" for name, value in variables.items())]


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items()
            if not key.startswith(("MAKE", "MFLAGS"))}


def run(variables: dict[str, str], seconds: int = NET_SECONDS
        ) -> subprocess.CompletedProcess[str]:
    """`make run` without a terminal, to its end."""
    with subprocess.Popen(command("run", **variables), stdin=subprocess.DEVNULL, text=True,
                          errors="replace", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(), start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            os.killpg(process.pid, signal.SIGKILL)  # the machine as well, not make alone
            raise infrastructure(f"no end after {seconds} s", str(late.stdout)[-2000:])
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def build(*goals: str, **variables: str) -> None:
    subprocess.run(command(*goals, **variables), check=True, capture_output=True,
                   env=environment())


@pytest.mark.parametrize("lab, machine", BATCH_MACHINES, ids=lambda value: (
    "-".join(value.values()) or "default" if isinstance(value, dict) else f"lab{value}"))
def test_without_a_terminal_both_vms_reach_userspace_and_power_off(
        lab: int, machine: dict[str, str]) -> None:
    done = run({"LAB": str(lab), "SMP": "1", **machine})  # several CPUs: test_linux_smp.py
    for name in ("alpha", "beta"):
        assert f"userspace: Linux {name} " in done.stdout, done.stdout[-2000:] + done.stderr
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@pytest.mark.parametrize("lab", SMALL)
def test_small_guests_show_what_a_lab_adds(lab: int) -> None:
    done = run({"LAB": str(lab)})
    for vm in load_vms(build_directory() / "guests" / own_guests(lab).name, lab=lab):
        assert f"[strata] {vm.name}: powered off" in done.stdout, done.stdout[-2000:] + done.stderr
    assert "FAIL" not in done.stdout, done.stdout[-2000:] + done.stderr
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_a_kernel_that_panics_ends_the_run_with_a_bad_status(tmp_path: Path) -> None:
    """Without an init there is no userspace, and Linux would stand still for ever."""
    (tmp_path / "empty.cpio.gz").write_bytes(cpio.make_initramfs([cpio.directory("dev")]))
    vms = tmp_path / "vms.toml"
    vms.write_text(f"""
[[vm]]
name = "lost"
memory = "256M"
kernel = "{build_directory()}/linux/Image"
initrd = "empty.cpio.gz"
cmdline = "console=ttyAMA0"
""")
    build("image", "linux")
    done = run({"VMS": str(vms)})
    assert "Kernel panic - not syncing" in done.stdout
    assert done.returncode != 0 and "panicked" in done.stderr


def test_without_el2_the_image_says_so_and_fails() -> None:
    done = run({"LAB": str(LABS[0]), "QEMU_EXTRA": "-machine virtualization=off"})
    assert "not entered at EL2: start QEMU with -M virt,virtualization=on" in done.stdout
    assert done.returncode != 0, done.stdout + done.stderr


def test_a_machine_smaller_than_the_bundle_says_is_refused_in_one_line() -> None:
    """EL2 believes the machine's device tree, not the bundle's header."""
    vms = build_directory() / "guests" / "hypercalls.toml"
    done = run({"VMS": str(vms), "QEMU_EXTRA": "-m 200M"})
    said = [line for line in done.stdout.splitlines() if "[strata]" in line]
    assert len(said) == 1 and "MiB, this one has 200 MiB" in said[0], done.stdout + done.stderr
    assert done.returncode != 0, done.stdout + done.stderr


class Terminal:
    """A program on a pseudo-terminal; every wait is on its descriptor."""

    def __init__(self, words: list[str]) -> None:
        self.seen = b""
        self.deadline = time.monotonic() + NET_SECONDS
        self.descriptor, theirs = pty.openpty()
        # The terminal belongs to a session of its own, as after pty.fork(), which a process with
        # threads had better not call.
        self.process = subprocess.Popen(["setsid", "--ctty", *words], stdin=theirs, stdout=theirs,
                                        stderr=theirs, env=environment())
        os.close(theirs)

    def read_until(self, text: str, count: int = 1) -> str:
        """What came up to the count-th appearance of text; it is consumed."""
        wanted = text.encode()
        while self.seen.count(wanted) < count:
            ready, _, _ = select.select([self.descriptor], [], [],
                                        max(0, self.deadline - time.monotonic()))
            if not ready:
                raise infrastructure(f"waiting for {text!r}, after {NET_SECONDS} s:\n{self.tail()}")
            try:
                piece = os.read(self.descriptor, 65536)
            except OSError:
                piece = b""
            assert piece, f"ended before {text!r}:\n{self.tail()}"
            self.seen += piece
        end = -1
        for _ in range(count):
            end = self.seen.index(wanted, end + 1)
        out, self.seen = self.seen[:end + len(wanted)], self.seen[end + len(wanted):]
        return out.decode(errors="replace")

    def tail(self) -> str:
        return self.seen[-2000:].decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def type_line(self, text: str) -> None:
        """As a person types: each character when the one before is on the screen."""
        for character in text:
            self.type(character)
            self.read_until(character)
        self.type("\r")

    def status(self) -> int:
        """Read to the end; the program's exit status."""
        while True:
            try:
                if not os.read(self.descriptor, 65536):
                    break
            except OSError:
                break
        return self.process.wait()

    def close(self) -> None:
        os.close(self.descriptor)
        self.process.wait()


def running(**variables: str) -> Iterator[Terminal]:
    build("image", "linux", **variables)
    terminal = Terminal(command("run", **variables))
    yield terminal
    terminal.close()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    yield from running(LAB=str(LINUX[0]))


@pytest.fixture
def terminal_of_four() -> Iterator[Terminal]:
    yield from running(LAB=str(WHOLE), SMP="4")


def test_a_shell_answers_and_the_focus_moves(terminal: Terminal) -> None:
    """The answers are computed by the guest, so that an echo cannot pass for one."""
    terminal.read_until("Ctrl-A x quits")
    terminal.read_until("userspace: Linux", count=2)
    terminal.type("\r")
    terminal.read_until("# ")
    terminal.type_line("echo $(hostname)-$((6 * 7))")
    first = "alpha" if "alpha-42" in terminal.read_until("-42") else "beta"
    other = "beta" if first == "alpha" else "alpha"
    terminal.type("\x1d")
    terminal.read_until(f"focus: {other}")
    terminal.type_line("echo $(hostname)-$((6 * 9))")
    terminal.read_until(f"{other}-54")
    terminal.type_line("poweroff -f")
    terminal.read_until(f"{other}: powered off")
    terminal.type_line("echo $(hostname)-$((6 * 11))")
    terminal.read_until(f"{first}-66")
    terminal.type_line("poweroff -f")
    assert terminal.status() == 0


@pytest.mark.parametrize("lab", SEES_INPUT)
def test_focus_moves_from_a_guest_that_never_reads(tmp_path: Path, lab: int) -> None:
    """With a clock EL2 waits for the guest to make room; else keys that find no room are lost."""
    vms = tmp_path / "vms.toml"
    vms.write_text("".join(f"""
[[vm]]
name = "{name}"
memory = "16M"
kernel = "{build_directory()}/guests/hostile_spin.bin"
""" for name in ("alpha", "beta")))
    build("image", "guests", LAB=str(lab))
    opened = Terminal(command("run", LAB=str(lab), VMS=str(vms)))
    try:
        opened.read_until("[alpha] PASS: about to spin")
        for name in ("beta", "alpha", "beta"):
            opened.type("x" * 400 + "\x1d")
            opened.read_until(f"focus: {name}")
        opened.type("\x01x")
        assert opened.status() == 0
    finally:
        opened.close()


def test_a_key_shows_what_the_vcpus_do(terminal: Terminal) -> None:
    terminal.read_until("userspace: Linux", count=2)
    terminal.type("\x1e")
    for name in ("alpha", "beta"):
        terminal.read_until(f"[strata] {name}: vCPU 0 ")
        line = terminal.read_until("\n").rstrip()
        assert re.fullmatch(r"(runs on|waits for|sleeps on) CPU 0, \d+\.\d{3} s", line), line
    terminal.type("\x01x")
    assert terminal.status() == 0


def test_a_key_shows_each_vcpu_of_several(terminal_of_four: Terminal) -> None:
    terminal_of_four.read_until("userspace: Linux", count=2)
    terminal_of_four.type("\x1e")
    for name in ("alpha", "beta"):
        terminal_of_four.read_until(f"[strata] {name}: ")
        shown = terminal_of_four.read_until("\n").rstrip().split("; ")
        assert len(shown) == 4, shown
        for index, vcpu in enumerate(shown):
            assert re.fullmatch(rf"vCPU {index} (runs on|waits for|sleeps on) CPU [0-3], "
                                r"\d+\.\d{3} s", vcpu), shown
    terminal_of_four.type("\x01x")
    assert terminal_of_four.status() == 0


def test_ctrl_a_x_quits(terminal: Terminal) -> None:
    terminal.read_until("userspace: Linux")
    terminal.type("\x01x")
    assert terminal.status() == 0


# ---- Linux with devices of its own ---------------------------------------------------------------

LARGE_BYTES = 8 << 20


def run_linux(vms: str) -> str:
    """What `make run` with these VMs prints; they power off by themselves."""
    build("image", "linux")
    # Modules are loaded, and disks read again and again.
    done = run({"VMS" if "/" in vms else "DEMO": vms}, 2 * NET_SECONDS)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


def test_a_vm_that_sends_its_device_astray_harms_nobody() -> None:
    """The status is 0 only if the refusal was told and the neighbour's data were intact."""
    shown = run_linux("passthrough")
    for address in ("0x60000000", "0x70000000", "0x80000000", "0x9000000"):
        assert f"alpha: device 00:04.0: DMA write to {address} refused" in shown, shown[-2000:]
    assert "[alpha] my own disk works" in shown


def linux_vm(name: str, part: str, devices: str) -> str:
    linux = build_directory() / "linux"
    return (f'[[vm]]\nname = "{name}"\nmemory = "256M"\npage_size = "4K"\n'
            f'kernel = "{linux}/Image"\ninitrd = "{linux}/devices.cpio.gz"\ndevices = {devices}\n'
            f'cmdline = "console=ttyAMA0 quiet hostname={name} strata.part={part}"\n')


def file_system(folder: Path, name: str) -> Path:
    """An ext4 file system with a large file and its checksum."""
    contents = folder / "contents"
    contents.mkdir(exist_ok=True)
    large = Random(name).randbytes(LARGE_BYTES)
    (contents / "large").write_bytes(large)
    (contents / "sums").write_text(f"{hashlib.md5(large).hexdigest()}  large\n", "ascii")
    make = shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    if not make:
        raise infrastructure("mke2fs is not on this machine: apt-get install e2fsprogs")
    image = folder / f"{name}.img"
    subprocess.run([make, "-q", "-t", "ext4", "-d", contents, image, "32M"], check=True,
                   capture_output=True)
    return image


def test_linux_drives_disks_of_its_own(tmp_path: Path) -> None:
    """NVMe from QEMU 10 on: before, its interrupt storms with large files, on bare machines too."""
    disks = {"vda": "virtio-blk-pci", "nvme0n1": "nvme"}
    if qemu_version(options.current().qemu) < (10,):
        del disks["nvme0n1"]
    vms = tmp_path / "vms.toml"
    devices = [f"00:{slot:02x}.0" for slot in range(2, 2 + len(disks))]
    vms.write_text(linux_vm("alpha", "disks", json.dumps(devices)) + "".join(
        f'[[device]]\naddress = "{address}"\nmodel = "{model}"\n'
        f'file = "{file_system(tmp_path, disk)}"\n'
        for address, (disk, model) in zip(devices, disks.items(), strict=True)), "utf-8")
    shown = run_linux(str(vms))
    for disk in disks:
        assert f"[alpha] /dev/{disk}: file system and contents are right" in shown, shown[-2000:]
