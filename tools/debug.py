# SPDX-License-Identifier: MIT
"""`make debug`: the machine of `make run`, stopped at its first instruction, under GDB.

GDB has the terminal. QEMU runs in a session of its own, so that Ctrl-C stops the machine and not
the emulator; what the VMs print appears between GDB's lines. QEMU ends with GDB.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tools.errors import UserError, run_main
from tools.files import gdb_word
from tools.guest_map import GUEST_MAP
from tools.qemu import HEARTBEAT, add_machine_arguments, ends_with_us, qemu_command
from tools.run import add_vm_arguments, prepared
from tools.stub import Stub

DEBUGGERS = ("gdb-multiarch", "aarch64-none-elf-gdb", "aarch64-linux-gnu-gdb")
COMMANDS = Path("grader/gdb/strata.py")
RAM_BASE = GUEST_MAP["RAM_BASE"]


def find_debugger() -> str:
    for name in DEBUGGERS:
        if shutil.which(name):
            return name
    raise UserError(f"none of {', '.join(DEBUGGERS)} is on this machine; "
                    "`make doctor` says how to get one")


def guest_symbols(guest: Path | None, vms: Path) -> list[str]:
    """GDB commands that add the symbols of what runs in the VMs."""
    if guest is None:
        vmlinux = vms.parent / "vmlinux"
        guest = vmlinux if vmlinux.exists() else None
    if guest is None:
        return []
    if not guest.exists():
        raise UserError(f"GUEST={guest}: no such file")
    # A probe is linked at 0 and loaded 512 KiB into RAM; a vmlinux has its own virtual addresses.
    return [add_guest(guest, 0 if guest.name.startswith("vmlinux") else RAM_BASE + 0x8_0000)]


def add_guest(elf: Path, offset: int) -> str:
    """GDB's command for the symbols of a guest that runs `offset` above where it was linked."""
    return f"add-symbol-file {gdb_word(elf)}" + (f" -o {offset:#x}" if offset else "")


def debugger_command(elf: Path, stub: Path, guest: list[str], commands: list[str]) -> list[str]:
    """GDB's command line: symbols of EL2, our commands, the connection, then what the user adds."""
    # Frames end at the vectors, which no unwinder knows.
    lines = ["set confirm off", "set pagination off", "set backtrace limit 24",
             "set architecture aarch64"]
    if COMMANDS.exists():
        lines.append(f"source {COMMANDS}")
    # Timers go on while GDB steps: under icount QEMU live-locks otherwise once one has expired.
    lines += [f"target remote {stub}", "maintenance packet Qqemu.sstep=3", *guest, *commands]
    arguments = [word for line in lines for word in ("-ex", line)]
    return [find_debugger(), "-q", "-nx", *arguments, str(elf)]


def heed_interrupts() -> None:
    """In the new process: Ctrl-C, which this one ignores, is GDB's."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/debug.py",
                                     description="debug the hypervisor under GDB")
    add_machine_arguments(parser)
    add_vm_arguments(parser)
    parser.add_argument("--elf", type=Path, required=True, help="the hypervisor with symbols")
    parser.add_argument("--guest", type=Path, help="an ELF of what runs in the VMs")
    parser.add_argument("--ex", action="append", default=[],
                        help="a GDB command to run at the start")
    arguments = parser.parse_args()
    guest = guest_symbols(arguments.guest, arguments.vms)

    with prepared(arguments) as (options, _, bundle), \
            tempfile.TemporaryDirectory(prefix="strata-debug-") as directory, \
            Stub(Path(directory)) as stub:
        command = qemu_command(options, arguments.image, bundle,
                               serial=["-serial", "stdio", "-monitor", "none"],
                               extra=["-S", *stub.arguments(),
                                      *(HEARTBEAT if options.icount else [])])
        qemu = subprocess.Popen(ends_with_us(command), stdin=subprocess.DEVNULL,
                                start_new_session=True, pass_fds=[stub.fileno()])
        stub.inherited()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            debugger = debugger_command(arguments.elf, stub.path, guest, arguments.ex)
            return subprocess.Popen(debugger, preexec_fn=heed_interrupts).wait()
        finally:
            qemu.kill()
            qemu.wait()


if __name__ == "__main__":
    run_main(main)
