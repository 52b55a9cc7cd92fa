# SPDX-License-Identifier: MIT
"""A typed client of the real gdb-multiarch: a method for each thing that tests ask of it."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from grader.machine.mi import Record, Value, parse, quote
from grader.machine.symbols import symbols_of
from grader.machine.verdict import Finding, infrastructure
from tools.files import gdb_word
from tools.qemu import ends_with_us

REPLY_SECONDS = 60.0
MASK64 = (1 << 64) - 1
# Notifications, log, target's output, prompts, and that something runs: of all that there is much.
_UNHEARD = (b"=", b"&", b"@", b"(gdb)", b"*running")
_SAID = (b"~",)  # what GDB tells people: heard where a command is one that people type

# QEMU gives some EL1 registers other names than the manual's.
QEMU_NAMES = {
    "SCTLR_EL1": "SCTLR",
    "VBAR_EL1": "VBAR",
    "CPACR_EL1": "CPACR",
    "CNTKCTL_EL1": "CNTKCTL",
    "AMAIR_EL1": "AMAIR0",
    "MDSCR_EL1": "MDSCR_EL1",
    "PSTATE": "cpsr",
    "FPCR": "fpcr",
    "FPSR": "fpsr",
}

# GDB's own numbers of the registers that it knows without a target's description.
CORE_REGISTERS = {**{f"x{number}": number for number in range(31)}, "sp": 31, "pc": 32, "cpsr": 33}

# Half of the time that GDB takes to start, its Python reads what stands in its data directory. The
# one that is named here has next to nothing of that.
WITHOUT_PYTHON = (f"--data-directory={Path(__file__).parent / 'debugger'}",)

_SETTINGS = (
    "confirm off",
    "pagination off",
    "mi-async on",
    "architecture aarch64",
    "debuginfod enabled off",
    "auto-load off",
    "disassemble-next-line off",
    "print elements 64",
    "print frame-arguments none",
    "print entry-values no",
    "remotetimeout 60",
    "width 0",
    "backtrace limit 24",
    "auto-solib-add off",
)


class GdbError(Exception):
    """GDB's answer was ^error: an unknown symbol, unreadable memory."""


@dataclass(frozen=True)
class Frame:
    """One line of a backtrace."""

    level: int
    address: int
    function: str
    file: str
    line: int

    def __str__(self) -> str:
        where = f" at {self.file}:{self.line}" if self.file else ""
        return f"#{self.level} {self.address:#x} {self.function or '??'}{where}"


class Gdb:
    """The debugger process. It is all-stop: one command at a time, replies in order.

    Starting one takes longer than most tests, and reading the image's symbols as long again. So a
    process serves one machine after another: take() and give_back().
    """

    def __init__(self) -> None:
        program = shutil.which("gdb-multiarch") or shutil.which("gdb")
        if program is None:
            raise infrastructure("gdb-multiarch is not installed")
        self._process = subprocess.Popen(
            ends_with_us([program, "-i=mi3", "-nx", "-q", *WITHOUT_PYTHON]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in = self._process.stdin
        self._out_fd = self._process.stdout.fileno()
        os.set_blocking(self._out_fd, False)
        self._log: TextIO | None = None
        self._buffer = b""
        self._token = 0
        self._pending: deque[Record] = deque()
        self.console = ""
        self._unheard: tuple[bytes, ...] = _UNHEARD + _SAID
        self.closed = False
        self._running = False
        self._altered = False  # by a command that a person may type: nobody knows what it left
        self._loaded: tuple[Path, int] | None = None
        self._numbers: dict[str, str] = {}  # of the machine's registers
        self._added: list[int] = []
        for setting in _SETTINGS:
            self._write(f"-gdb-set {setting}")
        self._wait_reply(self._token)

    @classmethod
    def take(cls, elf: Path, log: Path | None = None) -> Gdb:
        """A debugger with this image's symbols and without a machine, from now on the caller's."""
        while _idle and not _idle[-1].lives:
            _idle.pop()  # it ended with the thread that started it
        gdb = _idle.pop() if _idle else cls()
        gdb._log = log.open("w") if log else None
        version = (elf, elf.stat().st_mtime_ns)
        if gdb._loaded != version:
            gdb.command(f"-file-exec-and-symbols {quote(str(elf))}")
            gdb._loaded = version
        return gdb

    def give_back(self) -> None:
        """Leave the machine without touching it; what the next user could notice ends GDB."""
        if self.closed or self._running or self._altered:
            self.close()
            return
        try:
            self.command("-break-delete")
            for address in self._added:
                self.remove_symbols(address)
            self.command("-target-disconnect")
        except (GdbError, Finding):
            self.close()
            return
        self._pending.clear()
        self._close_log()
        _idle.append(self)

    def fileno(self) -> int:
        return self._out_fd

    @property
    def lives(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    # Talking to the process.

    def command(self, line: str) -> dict[str, Value]:
        """An MI command; its results, or GdbError."""
        self._write(line)
        record = self._wait_reply(self._token)
        if record.name == "error":
            raise GdbError(record.results.get("msg", "unknown error"))
        return record.results

    def execute(self, line: str) -> str:
        """A command as typed by a person, and what it prints."""
        self._altered = True
        return self._execute(line)

    def _execute(self, line: str) -> str:
        self.console, self._unheard = "", _UNHEARD
        try:
            self.command(f"-interpreter-exec console {quote(line)}")
        finally:
            self._unheard = _UNHEARD + _SAID
        return self.console

    def next_stop(self) -> Record | None:
        """A *stopped record that has arrived, oldest first; never waits."""
        self._fill(0)
        self._drain()
        while self._pending:
            record = self._pending.popleft()
            if record.kind == "*" and record.name == "stopped":
                self._running = False
                return record
        return None

    def resume(self, command: str) -> None:
        """A command that sets the machine running; stops reported before it are history."""
        self._pending.clear()
        self._running = True
        self.command(command)

    def close(self) -> None:
        """End GDB without letting it touch the machine."""
        self.closed = True
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):  # a command that GDB did not live to read
            self._in.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._close_log()

    def _close_log(self) -> None:
        if self._log:
            self._log.close()
            self._log = None

    def _write(self, line: str) -> None:
        self._token += 1
        text = f"{self._token}{line}\n"
        if self._log:
            self._log.write(">> " + text)
            self._log.flush()
        try:
            self._in.write(text.encode())
            self._in.flush()
        except OSError as error:
            raise infrastructure("GDB has ended", str(error)) from error

    def _wait_reply(self, token: int) -> Record:
        deadline = time.monotonic() + REPLY_SECONDS
        while True:
            record = self._take()
            if record is None:
                if not self._fill(deadline - time.monotonic()):
                    raise infrastructure("GDB did not answer a command")
                continue
            if record.kind == "^" and record.token == token:
                return record
            self._keep(record)

    def _drain(self) -> None:
        while (record := self._take()) is not None:
            self._keep(record)

    def _keep(self, record: Record) -> None:
        if record.kind == "~":
            self.console += record.text
        elif record.kind == "*":
            self._pending.append(record)

    def _fill(self, seconds: float) -> bool:
        if seconds < 0 or not select.select([self._out_fd], [], [], seconds)[0]:
            return False
        data = os.read(self._out_fd, 1 << 16)
        if not data:
            self.closed = True
            raise infrastructure("GDB has ended")
        if self._log:
            self._log.write(data.decode("utf-8", "replace"))
            self._log.flush()
        self._buffer += data
        return True

    def _take(self) -> Record | None:
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if not newline:
                return None
            self._buffer = rest
            if line.startswith(self._unheard):
                continue
            record = parse(line.decode("utf-8", "replace"))
            if record is not None:
                return record

    # What tests ask.

    def connect(self, socket_path: Path) -> None:
        """Attach to QEMU's stub; the machine stands before its first instruction."""
        self._numbers = {}
        self.command(f"-target-select remote {socket_path}")
        # A step masks interrupts but does not stop the clock: a stopped clock with a deadline in
        # the past leaves no instruction to execute under icount.
        self.send_packet("Qqemu.sstep=3")
        # Where there are several CPUs, a step is one of the selected CPU, and the others stand.
        self.command("-gdb-set scheduler-locking step")

    def send_packet(self, packet: str) -> None:
        """Tell QEMU's stub something that GDB has no command for."""
        self._execute(f"maintenance packet {packet}")

    def insert_breakpoint(self, place: str, condition: str = "", once: bool = False) -> int:
        """Number of a new breakpoint; `place` is anything GDB's break takes."""
        flags = "-t " if once else ""
        if condition:
            flags += f"-c {quote(condition)} "
        reply = self.command(f"-break-insert {flags}{quote(place)}")
        return int(str(reply["bkpt"]["number"]))

    def insert_watchpoint(self, expression: str, reads: bool = False) -> int:
        """Number of a new watchpoint: stops when the value is written and has changed, or read."""
        reply = self.command(f"-break-watch {'-r ' if reads else ''}{quote(expression)}")
        return int(reply["hw-rwpt" if reads else "wpt"]["number"])

    def delete_breakpoint(self, number: int) -> None:
        self.command(f"-break-delete {number}")

    def evaluate(self, expression: str) -> str:
        """Value of a C expression as GDB prints it (with the image's debug information)."""
        return str(self.command(f"-data-evaluate-expression {quote(expression)}")["value"])

    def evaluate_int(self, expression: str) -> int:
        """Value of an integer or pointer expression, as an unsigned 64-bit number."""
        text = self.evaluate(f"(unsigned long)({expression})")
        match = re.match(r"-?(0x[0-9a-f]+|\d+)", text)
        if match is None:
            raise GdbError(f"{expression} is not a number: {text}")
        return int(match[0], 0) & MASK64

    def register(self, name: str) -> int:
        """A register of the selected vCPU by its name in the manual, system registers too."""
        return self.evaluate_int("$" + QEMU_NAMES.get(name, name))

    def set_register(self, name: str, value: int) -> None:
        """Changes a register of the selected vCPU."""
        self.evaluate(f"${QEMU_NAMES.get(name, name)} = {value:#x}")

    def core_registers(self, *names: str) -> list[int]:
        """Registers of CORE_REGISTERS, in one step."""
        numbers = [str(CORE_REGISTERS[name]) for name in names]
        reply = self.command(f"-data-list-register-values x {' '.join(numbers)}")
        values = {entry["number"]: int(entry["value"], 16) for entry in reply["register-values"]}
        return [values[number] for number in numbers]

    def registers(self, *names: str) -> list[int]:
        """Registers of the selected vCPU, system registers too, in one step."""
        if not self._numbers:
            known = self.command("-data-list-register-names")["register-names"]
            self._numbers = {name: str(number) for number, name in enumerate(known) if name}
        numbers = [self._numbers[QEMU_NAMES.get(name, name)] for name in names]
        reply = self.command(f"-data-list-register-values x {' '.join(numbers)}")
        values = {entry["number"]: int(entry["value"], 16) for entry in reply["register-values"]}
        return [values[number] for number in numbers]

    def set_core_registers(self, values: Mapping[str, int]) -> None:
        """Write registers of CORE_REGISTERS, in one step.

        After an assignment GDB reads all registers again, which takes ten times as long. Until the
        machine has run, GDB's backtrace is still that of the old values.
        """
        pairs = (f"{CORE_REGISTERS[name]} {value & MASK64:#x}" for name, value in values.items())
        self.command(f"-data-write-register-values x {' '.join(pairs)}")

    def has_register(self, name: str) -> bool:
        return self.evaluate("$" + QEMU_NAMES.get(name, name)) != "void"

    def read_virtual(self, address: int, count: int) -> bytes:
        """Memory as the selected vCPU would read it, with its current translation."""
        reply = self.command(f"-data-read-memory-bytes {address:#x} {count}")
        return bytes.fromhex("".join(part["contents"] for part in reply["memory"]))

    def write_virtual(self, address: int, data: bytes) -> None:
        self.command(f"-data-write-memory-bytes {address:#x} {data.hex()}")

    def backtrace(self) -> list[Frame]:
        """The stack of the selected vCPU, innermost first."""
        try:
            frames = self.command("-stack-list-frames")["stack"]
        except GdbError:
            return []
        return [
            Frame(
                level=int(frame["level"]),
                address=int(frame["addr"], 16),
                function=frame.get("func", ""),
                file=frame.get("file", ""),
                line=int(frame.get("line", 0)),
            )
            for frame in frames
        ]

    def threads(self) -> list[tuple[int, str]]:
        """(GDB's number, description) of each vCPU; the description tells whether it is halted."""
        reply = self.command("-thread-info")
        threads = [
            (int(t["id"]), f"{t.get('target-id', '')} {t.get('details', '')}")
            for t in reply["threads"]
        ]
        return sorted(threads)

    def current_thread(self) -> int:
        """GDB's number of the vCPU that registers and stacks are of."""
        return int(self.command("-thread-info")["current-thread-id"])

    def select_thread(self, number: int) -> None:
        self.command(f"-thread-select {number}")

    def source_line(self, address: int) -> str:
        """`file:line` of a code address, or nothing."""
        text = self._execute(f"info line *{address:#x}")
        match = re.match(r'Line (\d+) of "([^"]+)"', text)
        return f"{match[2]}:{match[1]}" if match else ""

    def add_symbols(self, elf: Path, offset: int) -> None:
        """Symbols of a guest, as they lie after it was loaded `offset` above its link address."""
        self._execute(f"add-symbol-file {gdb_word(elf)} -o {offset:#x}")
        self._added.append(symbols_of(elf).base() + offset)

    def remove_symbols(self, address: int) -> None:
        """Take out the guest's symbols that cover this address."""
        self._execute(f"remove-symbol-file -a {address:#x}")
        self._added.remove(address)


_idle: list[Gdb] = []
