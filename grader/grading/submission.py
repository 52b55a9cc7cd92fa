# SPDX-License-Identifier: MIT
"""A submission is data: which files are taken, and what may not stand in them.

Only the files that the registry names are looked at; everything else in an archive or directory
is left out and named. What is taken is text of a bounded size that brings no file of this machine
with it and claims no section of the image but its own. These are messages for the honest: what they
miss meets the sandbox (sandbox.py), in which there is nothing to find.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from elftools.elf.elffile import ELFFile

from course.registry import ANSWERS, LABS, ROOT, Course
from course.submit import content_hash, registered_files
from grader.grading import frames
from grader.grading.bounded import bounded
from grader.grading.unpack import shown
from grader.machine.verdict import infrastructure

# Sections that any object of ours may have. Registries are filled by the kit's macros.
SECTIONS = re.compile(
    r"\.(text|rodata|data|bss|init_array)(\.(?!head)[\w.$]+)?|\.registry\.[a-z_]+(\.[\w]+)?"
    r"|\.debug_(?!gdb_scripts)\w+|\.(symtab|strtab|shstrtab|comment|group)"
    r"|\.note\.GNU-stack|\.rela?\..*|")
SECTIONS_MAX, SECTION_NAMES_MAX, SECTIONS_SHOWN = 2000, 64 << 10, 5  # ours have 100 at most
OWN_SECTIONS = {"boot.S": {".text.head"}}

# Comments and literals, from where one begins; each alternative is decided within its own length.
TOKEN = re.compile(r"""/\*|//|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?""", re.DOTALL)
JOINED_LITERALS = re.compile(r'"\s*"')
ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2}))")
BLANK = r"[ \t\f\v]*"
DIRECTIVE = re.compile(rf"^{BLANK}(?:#|%:){BLANK}(include|include_next|import|embed)\b{BLANK}(.*)$",
                       re.MULTILINE)
PLAIN_INCLUDE = re.compile(r'"([\w/]+\.h)"')
OTHER_FILE = re.compile(rf"\.{BLANK}(incbin|include)\b")
TRIGRAPH = re.compile(r"\?\?[=/'()!<>-]")
SECTION = re.compile(rf"\bsection{BLANK}\(|__section__|\.(push)?section\b|\.subsection\b")
REGISTRY = re.compile(rf"\b(LAYER|DEVICE|GUEST_MEMORY|HOOK|VCPU_HOOKS|REGISTRY_\w+){BLANK}\("
                      rf"|\bregistry_\w+{BLANK}\[")

UNPACK_MEMORY, UNPACK_CPU_SECONDS, UNPACK_SECONDS = 512 << 20, 20, 600
UNPACK_OUTPUT = 64 << 20


@dataclass
class Submission:
    """What was found: files to build, why they are not built, and what nobody looked at."""

    files: dict[str, bytes] = field(default_factory=dict)  # path below labs/ -> contents
    refused: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The same for the same registered files, however they were packed."""
        content = content_hash(self.files)
        words = "\0".join([content, *sorted(self.refused)])
        return hashlib.sha256(words.encode()).hexdigest() if self.refused else content

    @property
    def result_key(self) -> str:
        """The same for what has the same result: the digest, and the answers to the questions."""
        answers = [name.encode() + b"\0" + data for name, data in sorted(self.files.items())
                   if PurePosixPath(name).name == ANSWERS]
        return " ".join([self.digest, *(hashlib.sha256(data).hexdigest() for data in answers)])


def read(source: Path, course: Course, lab: int) -> Submission:
    """Take the registered files of labs 1 to `lab` from an archive or a directory."""
    found = _unpack(source, lab)
    missing = sorted(name for name in set(registered_files(course, lab)) - found.files.keys()
                     if PurePosixPath(name).name != ANSWERS)
    if missing and not found.refused:
        more = f" and {len(missing) - 1} other files" if len(missing) > 1 else ""
        found.refused.append(f"{LABS}/{missing[0]}{more}: missing; "
                             "make submit packs all that is needed")
    if not found.refused:
        for name, data in sorted(found.files.items()):
            if PurePosixPath(name).name != ANSWERS:  # no code: who reads it says what is wrong
                found.refused += [f"{LABS}/{name}:{text}" for text in inspect(name, data)]
    return found


def _unpack(source: Path, lab: int) -> Submission:
    """What unpack.py, within its limits, says of it."""
    command = ["prlimit", f"--as={UNPACK_MEMORY}", f"--cpu={UNPACK_CPU_SECONDS}", "--core=0", "--",
               sys.executable, "-m", "grader.grading.unpack", str(source.absolute()), str(lab)]
    done = bounded(command, UNPACK_SECONDS, UNPACK_OUTPUT, cwd=ROOT)
    if done.took_too_long:  # by the clock: the host was too slow
        raise infrastructure(f"{source.name} can be read", done.ended)
    if done.returncode:
        why = done.ended or f"its reader ended with status {done.returncode}"
        return Submission(refused=[f"{shown(source.name)}: cannot be read: {why}"])
    values = json.loads(done.output)
    files = {name: base64.b64decode(data) for name, data in values["files"].items()}
    return Submission(files, values["refused"], values["ignored"])


# ---- what may not stand in a file ----


def inspect(name: str, data: bytes) -> Iterator[str]:
    """Line and reason of all that is refused in one file."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield "1: not a text file in UTF-8"
        return
    if "\0" in text:
        yield "1: holds NUL bytes"
        return
    if match := TRIGRAPH.search(text):
        yield f"{_line(text, match)}: a trigraph"
    code = code_of(text)
    for match in DIRECTIVE.finditer(code):
        if match[1] != "include":
            yield f"{_line(code, match)}: #{match[1]} is not taken"
        elif not PLAIN_INCLUDE.fullmatch(match[2].strip()) or match[2].strip().startswith('"/'):
            yield (f"{_line(code, match)}: #include {match[2].strip()[:60]}: "
                   "only headers of kit/ and of the lab's own directory exist, "
                   'as #include "name.h"')
    if match := OTHER_FILE.search(code):
        yield f"{_line(code, match)}: .{match[1]} brings a file that is not part of the submission"
    given = _given(name)
    for line_number, line in enumerate(code.split("\n"), start=1):
        if (SECTION.search(line) or REGISTRY.search(line)) and " ".join(line.split()) not in given:
            yield (f"{line_number}: {' '.join(line.split())[:60]}: a submission may add no section "
                   "and no registration to those that the file was given with")


def code_of(text: str) -> str:
    """A source without its comments, its lines where they were unless a backslash joined two.

    Literals that stand side by side are one, and octal and hexadecimal escapes in them are what
    they stand for: the assembler gets ".inc" "bin" as one word. Takes time in proportion to the
    text, whatever stands in it.
    """
    joined = "".join(line.rstrip(" \t")[:-1] if line.rstrip(" \t").endswith("\\") else f"{line}\n"
                     for line in text.split("\n"))
    parts: list[str] = []
    at = 0
    while match := TOKEN.search(joined, at):
        parts.append(joined[at:match.start()])
        at = match.end()
        if match[0] == "//":
            at = joined.find("\n", at)
        elif match[0] == "/*":
            close = joined.find("*/", at)
            at = close + 2 if close >= 0 else -1
        else:
            parts.append(match[0])
            continue
        if at < 0:
            at = len(joined)
        parts.append("\n" * joined.count("\n", match.start(), at) or " ")
    parts.append(joined[at:])
    code = JOINED_LITERALS.sub(lambda match: "\n" * match[0].count("\n"), "".join(parts))
    return ESCAPE.sub(lambda match: chr(int(match[1], 8) if match[1] else int(match[2], 16)), code)


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def _given(name: str) -> set[str]:
    """The lines of the starter."""
    path = ROOT / LABS / name
    if not path.is_file():
        return set()
    return {" ".join(line.split()) for line in path.read_text("utf-8").splitlines()}


def foreign_sections(path: Path) -> list[str]:
    """Sections of an object that its file may not have, however the text hid them."""
    with path.open("rb") as stream:
        try:
            elf = ELFFile(stream)
            if (problem := _too_much(elf)):
                return [problem]
            names = [section.name for section in elf.iter_sections()]
        except Exception as error:  # noqa: BLE001 - the assembler writes what it is told to
            return [f"what cannot be read ({type(error).__name__})"]
    allowed = OWN_SECTIONS.get(path.name.removesuffix(".o"), set())
    return sorted({name for name in names if not SECTIONS.fullmatch(name) and name not in allowed})


def _too_much(elf: ELFFile) -> str:
    """Why the names of an object's sections are not even read: many may share one long string."""
    if elf.num_sections() > SECTIONS_MAX:
        return f"{elf.num_sections()} sections"
    if elf["e_shstrndx"] >= elf.num_sections():
        return "sections without names"
    names = elf.get_section(elf.get_shstrndx())["sh_size"]
    return f"sections with {names} bytes of names" if names > SECTION_NAMES_MAX else ""


def _for_the_debugger(path: Path) -> str:
    """What an object brings for a debugger that it may not, or nothing."""
    with path.open("rb") as stream:
        found = [section for section in ELFFile(stream).iter_sections()
                 if section.name == frames.SECTION]
        if any(section.compressed for section in found):
            return "compressed call-frame information"
        return next(filter(None, (frames.objection(section.data()) for section in found)), "")


def foreign_text(build: Path, names: set[str]) -> str:
    """What to say of the first object below `build` that holds what it may not, or nothing."""
    for name in sorted(names):
        path = build / "obj" / LABS / f"{name}.o"
        foreign = foreign_sections(path) if path.is_file() else []
        if foreign:
            shown_names = ", ".join(map(shown, foreign[:SECTIONS_SHOWN]))
            return (f"{LABS}/{name}: refused: the file puts code or data into "
                    f"{shown_names}, a section that it may not have")
        programs = _for_the_debugger(path) if path.is_file() else ""
        if programs:
            return (f"{LABS}/{name}: refused: the file brings {programs} (.cfi_escape)")
    return ""
