# SPDX-License-Identifier: MIT
"""`make transcripts`: the GDB transcripts in the texts, made by running GDB.

A transcript is a fenced block marked ```console that holds lines beginning with `(gdb) `. Below
each such line stands what GDB answered; the tool writes it, nobody types it:

    ```console
    $ make debug LAB=1 ICOUNT=1
    (gdb) break trap_dispatch
    Breakpoint 1 at 0x402046f0: file solution/lab01-el2-boot/trap.c, line 57.
    (gdb) continue
    ...
    ```

The `$ make debug` line names the machine, as a reader would: LAB= is required; IMPL, BASE, GIC,
CPU, SMP, MEM, ICOUNT, VMS (build/guests/NAME.toml is the demo or probe of that name) and GUEST
(build/guests/NAME.elf) are known. A block without that line goes on with the machine of the block
above it in the same file. A block without a `(gdb) ` line is no transcript and is left alone.

Words after ```console change a block:
    show="REGEX"      of the output only lines in which REGEX is found; `...` stands for the others
    volatile="REGEX"  text that this matches is not compared, in addition to what follows

Lines of the source that GDB prints are left out, for they would give solutions away; so are blank
lines at the ends. A text shows what a run printed. The comparison passes over what an unrelated
edit changes:
    0x40200000 to 0x7fffffff, in the low 48 bits of a number: where EL2, its tables and the memory
        of the VMs lie. The 16 bits above (the VMID of a VTTBR_EL2) are compared.
    line numbers of sources, and the file where GDB stops in a function: another compiler inlines
        another function there
    the +N behind a function's name, where a guest stands (`pc 0x...`)
    solution/ or labs/ at the start of a path; runs of blanks
A transcript is rewritten when the comparison fails, and stays as it is otherwise.

A command that never stops is ended after SECONDS; what the VMs print is not part of a transcript.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from course.registry import ROOT
from tools.bundle import size_argument
from tools.debug import debugger_command, guest_symbols
from tools.errors import UserError, run_main
from tools.files import exclusive, write_atomically
from tools.qemu import HEARTBEAT, qemu_command
from tools.run import prepared
from tools.stub import Stub

TEXTS = ("solution/*/README.md", "docs/*.md")
SECONDS = 60
PROMPT = "(gdb) "
MACHINE = "$ make debug "
VARIABLES = {"LAB": "", "IMPL": "solution", "BASE": "own", "GIC": "3", "CPU": "cortex-a76",
             "SMP": "1", "MEM": "", "ICOUNT": "0", "VMS": "", "GUEST": ""}

FENCE = re.compile(r"(?P<indent> *)```console(?P<words>.*)")
WORD = re.compile(r'(?P<name>\w+)="(?P<value>[^"]*)"')
SOURCE_LINE = re.compile(r"\d+\t")

# Runs inside GDB: each command as if typed, and END behind its output. GDB reports stops on its own
# output alone, so that output is read.
END = "\x1e"
DRIVER = """
import gdb
for setting in ("width 0", "height 0", "backtrace limit 16", "breakpoint pending off",
                "debuginfod enabled off"):
    gdb.execute("set " + setting)
gdb.write("\\x1e")
for command in COMMANDS:
    try:
        gdb.execute(command, True)
    except gdb.error as error:
        gdb.write(str(error) + "\\n")
    gdb.write("\\x1e")
    gdb.flush()
"""


@dataclass
class Block:
    """One transcript: its place in a text, and its commands with the answers written there."""

    path: Path
    line: int  # of the fence, from 1
    end: int  # of the closing fence
    indent: str
    show: str
    volatile: str
    machine: str | None  # the $ line, without the prompt
    steps: list[tuple[str, list[str]]]

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"

    def body(self) -> list[str]:
        """The lines between the fences."""
        lines = [f"$ {self.machine}"] if self.machine else []
        for command, answer in self.steps:
            lines += [PROMPT + command, *answer]
        return [self.indent + line if line else "" for line in lines]


@dataclass
class Session:
    """The blocks that share one machine."""

    variables: dict[str, str]
    blocks: list[Block] = field(default_factory=list)

    @property
    def commands(self) -> list[str]:
        return [command for block in self.blocks for command, _ in block.steps]


# ---- texts ---------------------------------------------------------------------------------------


def read_blocks(path: Path) -> list[Block]:
    """The transcripts of a text."""
    lines = path.read_text("utf-8").splitlines()
    blocks = []
    number = 0
    while number < len(lines):
        fence = FENCE.fullmatch(lines[number])
        number += 1
        if not fence:
            continue
        first = number
        while number < len(lines) and lines[number].strip() != "```":
            number += 1
        if number == len(lines):
            raise UserError(f"{path}:{first}: a console block without an end")
        body = [line.removeprefix(fence["indent"]) for line in lines[first:number]]
        if any(line.startswith(PROMPT) for line in body):
            blocks.append(_block(path, first, number + 1, fence, body))
        number += 1
    return blocks


def _block(path: Path, line: int, end: int, fence: re.Match[str], body: list[str]) -> Block:
    words = {match["name"]: match["value"] for match in WORD.finditer(fence["words"])}
    if WORD.sub("", fence["words"]).strip() or words.keys() - {"show", "volatile"}:
        raise UserError(f'{path}:{line}: after console stand show="..." and volatile="..." alone')
    machine = None
    if body[0].startswith(MACHINE):
        machine = body.pop(0).removeprefix("$ ")
    steps: list[tuple[str, list[str]]] = []
    for text in body:
        if text.startswith(PROMPT):
            steps.append((text.removeprefix(PROMPT), []))
        elif not steps:
            raise UserError(f"{path}:{line}: a transcript begins with `{MACHINE}...` or "
                            f"`{PROMPT}...`")
        else:
            steps[-1][1].append(text)
    for regex in words.values():
        try:
            re.compile(regex)
        except re.error as error:
            raise UserError(f"{path}:{line}: {regex}: {error}") from error
    return Block(path, line, end, fence["indent"], words.get("show", ""), words.get("volatile", ""),
                 machine, steps)


def sessions(blocks: Iterable[Block]) -> Iterator[Session]:
    """The blocks of a text by the machine they speak of."""
    session: Session | None = None
    for block in blocks:
        if block.machine:
            if session:
                yield session
            session = Session(_variables(block))
        elif session is None:
            raise UserError(f"{block.where}: there is no `{MACHINE}...` above this transcript")
        assert session is not None
        session.blocks.append(block)
    if session:
        yield session


def _variables(block: Block) -> dict[str, str]:
    given = dict(word.partition("=")[::2]
                 for word in shlex.split((block.machine or "")[len("make debug"):]))
    if given.keys() - VARIABLES.keys() or not given.get("LAB", "").isdigit():
        raise UserError(f"{block.where}: `{MACHINE}` takes LAB=n and {', '.join(VARIABLES)}")
    return VARIABLES | given


def write_blocks(path: Path, blocks: Iterable[Block]) -> None:
    """Put the blocks' present answers into their text."""
    lines = path.read_text("utf-8").splitlines()
    for block in sorted(blocks, key=lambda block: block.line, reverse=True):
        lines[block.line:block.end - 1] = block.body()
    write_atomically(path, "\n".join(lines) + "\n")


# ---- comparing -----------------------------------------------------------------------------------

ADDRESSES = range(0x4020_0000, 0x8000_0000)
LOW = (1 << 48) - 1


def _number(match: re.Match[str]) -> str:
    value = int(match[0], 16)
    return f"0x{value >> 48:x}:RAM" if value & LOW in ADDRESSES else f"{value:#x}"


RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\bpc 0x[0-9a-f]+"), "pc"),
    (re.compile(r"0x[0-9a-f]+"), _number),
    (re.compile(r"\b(solution|labs)/(?=lab\d)"), "TREE/"),
    (re.compile(r"(\.[chS]:)\d+"), r"\1N"),
    (re.compile(r"(\.[chS], line )\d+"), r"\1N"),
    (re.compile(r"(: file |\) at )\S+(?=, line N|:N)"), r"\1FILE"),
    (re.compile(r"(?<=\w)\+\d+(?=[>) ]|$)"), "+N"),
    (re.compile(r"[ \t]+"), " "),
)


def comparable(lines: Iterable[str], volatile: str = "") -> list[str]:
    """Lines without what may differ from run to run and from build to build."""
    found = []
    for line in lines:
        if volatile:
            line = re.sub(volatile, "~", line)
        for pattern, replacement in RULES:
            line = pattern.sub(replacement, line)
        found.append(line.strip())
    return found


def shown(answer: str, show: str) -> list[str]:
    """What of GDB's answer stands in the text."""
    lines = [line.replace("\t", "  ").rstrip() for line in answer.splitlines()
             if not SOURCE_LINE.match(line)]
    if show:
        lines = [line if re.search(show, line) else "..." for line in lines]
        lines = [line for number, line in enumerate(lines)
                 if line != "..." or number == 0 or lines[number - 1] != "..."]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return [line.replace(str(ROOT) + "/", "") for line in lines]


def settle(session: Session, answers: list[str]) -> list[str]:
    """The differences from what GDB prints now; blocks that differ take the new text."""
    findings = []
    rest = iter(answers)
    for block in session.blocks:
        now = [(command, shown(next(rest), block.show)) for command, _ in block.steps]
        for (command, old), (_, new) in zip(block.steps, now, strict=True):
            before, after = comparable(old, block.volatile), comparable(new, block.volatile)
            if before != after:
                findings.append(f"{block.where}: {PROMPT}{command}\n" + "\n".join(
                    [f"  - {line}" for line in old] + [f"  + {line}" for line in new]))
        if any(finding.startswith(block.where + ":") for finding in findings):
            block.steps = now
    return findings


# ---- running -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """With what transcripts are run."""

    build: str = "build"
    qemu: str = "qemu-system-aarch64"

    def here(self, path: str) -> Path:
        """A file that a transcript says is below build/, where this build has it."""
        return ROOT / (self.build + path.removeprefix("build")
                       if path.startswith("build/") else path)


@cache
def build(folder: str, lab: str, impl: str, base: str, needs_linux: bool) -> None:
    """Make the image and the guests of a machine, once in a run."""
    targets = ["image", "guests"] + (["linux"] if needs_linux else [])
    command = ["make", "-C", str(ROOT), "--no-print-directory", *targets, f"BUILD={folder}"]
    command += [f"LAB={lab}", f"IMPL={impl}", f"BASE={base}"]
    environment = {k: v for k, v in os.environ.items()
                   if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    with exclusive(ROOT / folder / "grader" / "make.lock"):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise UserError("\n".join([" ".join(command[3:]),
                                   *(done.stdout + done.stderr).splitlines()[-8:]]))


def runs_linux(lab: int) -> bool:
    """What `make run` takes: a lab that has no guests of its own runs Linux."""
    return not (ROOT / f"guests/demos/lab{lab:02}.toml").exists()


def _arguments(variables: dict[str, str], setting: Setting, folder: Path) -> argparse.Namespace:
    """The machine as `make debug` hands it to tools.debug."""
    lab = int(variables["LAB"])
    base = "-reference" if variables["BASE"] == "reference" else ""
    image = ROOT / setting.build / f"{variables['IMPL']}-lab{lab:02}{base}"
    default = "build/linux/vms.toml" if runs_linux(lab) else f"build/guests/lab{lab:02}.toml"
    return argparse.Namespace(
        qemu=setting.qemu, cpu=variables["CPU"],
        gic=int(variables["GIC"]), smp=int(variables["SMP"]),
        memory=size_argument(variables["MEM"]) if variables["MEM"] else None,
        icount=variables["ICOUNT"] == "1", extra="", image=image / "strata.bin",
        elf=image / "strata.elf", lab=lab, append="", seed=None, out=folder,
        vms=setting.here(variables["VMS"] or default),
        guest=setting.here(variables["GUEST"]) if variables["GUEST"] else None)


def answers_of(session: Session, setting: Setting, folder: Path) -> list[str]:
    """Run a machine from its first instruction, under these commands."""
    arguments = _arguments(session.variables, setting, folder)
    driver = folder / "driver.py"
    driver.write_text(DRIVER.replace("COMMANDS", repr(session.commands)))
    where = session.blocks[0].where
    with prepared(arguments) as (options, _, bundle), Stub(folder) as stub:
        command = qemu_command(options, arguments.image, bundle,
                               serial=["-serial", "null", "-monitor", "none"],
                               extra=["-S", *stub.arguments(),
                                      *(HEARTBEAT if options.icount else [])])
        debugger = debugger_command(arguments.elf, stub.path,
                                    guest_symbols(arguments.guest, arguments.vms), [])
        debugger += ["-batch", "-ex", f"source {driver}"]
        qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True, start_new_session=True,
                                pass_fds=[stub.fileno()])
        stub.inherited()
        try:
            done = subprocess.run(debugger, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True,
                                  check=False, timeout=SECONDS, cwd=ROOT, start_new_session=True)
        except subprocess.TimeoutExpired as error:
            count = (error.stdout or b"").count(END.encode())
            command_line = [*session.commands, "GDB"][count - 1]
            raise UserError(f"{where}: no end in {SECONDS} s: {command_line}") from None
        finally:
            qemu.kill()
            errors = qemu.communicate()[1]
    answers = done.stdout.split(END)[1:-1]
    if len(answers) != len(session.commands):
        raise UserError(f"{where}: GDB ended early: {(done.stderr + errors).strip()[-600:]}")
    return answers


def run_text(path: Path, setting: Setting, write: bool) -> list[str]:
    """Run the transcripts of a text and return the differences; with `write` mend the text."""
    blocks = read_blocks(path)
    findings = []
    for session in sessions(blocks):
        given = session.variables
        build(setting.build, given["LAB"], given["IMPL"], given["BASE"],
              runs_linux(int(given["LAB"])) and not given["VMS"])
        with tempfile.TemporaryDirectory(prefix="strata-transcript-") as folder:
            findings += settle(session, answers_of(session, setting, Path(folder)))
    if findings and write:
        write_blocks(path, blocks)
    return findings


def texts(root: Path = ROOT) -> list[Path]:
    """The texts that may hold transcripts."""
    return sorted(path for pattern in TEXTS for path in root.glob(pattern))


def main() -> int:
    parser = argparse.ArgumentParser(prog="course/transcripts.py",
                                     description="GDB transcripts of the texts")
    parser.add_argument("--check", action="store_true",
                        help="change nothing; 1 when one is not right")
    parser.add_argument("--build", default=Setting.build)
    parser.add_argument("--qemu", default=Setting.qemu)
    parser.add_argument("texts", type=Path, nargs="*")
    arguments = parser.parse_args()
    setting, differ = Setting(arguments.build, arguments.qemu), False
    for path in arguments.texts or texts():
        findings = run_text(path, setting, write=not arguments.check)
        differ = differ or bool(findings)
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        print("\n".join([f"{name}: {len(findings)} answers differ" if findings
                         else f"{name}: right", *findings]), flush=True)
    return int(differ and arguments.check)


if __name__ == "__main__":
    run_main(main)
