# SPDX-License-Identifier: MIT
"""A submission is data: which files are taken, and what may not stand in them.

Only the files that the registry names are looked at; everything else in an archive or directory
is left out and named. What is taken is text of a bounded size that brings no file of this machine
with it and claims no section of the image but its own. These are messages for the honest: what they
miss meets the sandbox (sandbox.py), in which there is nothing to find.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from elftools.elf.elffile import ELFFile

from course.registry import ANSWERS, LABS, Course
from course.submit import FILE_BYTES_MAX, registered_files

ENTRIES_MAX = 1000
UNPACKED_BYTES_MAX = 8 << 20

# Sections that any object of ours may have. Registries are filled by the kit's macros.
SECTIONS = re.compile(
    r"\.(text|rodata|data|bss|init_array)(\.(?!head)[\w.$]+)?|\.registry\.[a-z_]+(\.[\w]+)?"
    r"|\.debug_(?!gdb_scripts)\w+|\.(symtab|strtab|shstrtab|comment|group|eh_frame)"
    r"|\.note\.GNU-stack|\.rela?\..*|")
OWN_SECTIONS = {"boot.S": {".text.head"}}

NOT_CODE = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
DIRECTIVE = re.compile(r"^\s*(?:#|%:)\s*(include|include_next|import|embed)\b\s*(.*)$",
                       re.MULTILINE)
PLAIN_INCLUDE = re.compile(r'"([\w/]+\.h)"\s*')
OTHER_FILE = re.compile(r"\.\s*(incbin|include)\b")
TRIGRAPH = re.compile(r"\?\?[=/'()!<>-]")
SECTION = re.compile(r"\bsection\s*\(|__section__|\.(push)?section\b|\.subsection\b")
REGISTRY = re.compile(r"^\s*(LAYER|DEVICE|GUEST_MEMORY|HOOK|VCPU_HOOKS)\s*\("
                      r"|\bREGISTRY_\w+\s*\(|registry_\w+\s*\[", re.MULTILINE)


@dataclass
class Submission:
    """What was found: files to build, why they are not built, and what nobody looked at."""

    files: dict[str, bytes] = field(default_factory=dict)  # path below labs/ -> contents
    refused: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The same for the same registered files, however they were packed."""
        total = hashlib.sha256()
        for name, data in sorted(self.files.items()):
            total.update(f"{name}\0{len(data)}\0".encode() + data)
        for text in sorted(self.refused):
            total.update(text.encode() + b"\0")
        return total.hexdigest()


def _entry_name(name: str, wanted: set[str]) -> str:
    """The registered path that an entry stands for, or ""; labs/ in front may be left out."""
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    if parts and parts[0] == LABS:
        parts = parts[1:]
    path = "/".join(parts)
    return path if path in wanted else ""


def read(source: Path, course: Course, lab: int) -> Submission:
    """Take the registered files of labs 1 to `lab` from a tar.gz or a directory."""
    wanted = set(registered_files(course, lab))
    found = Submission()
    if source.is_symlink():
        found.refused.append(f"{source.name}: a symbolic link")
    elif source.is_dir():
        _read_directory(source, wanted, found)
    elif source.is_file():
        _read_archive(source, wanted, found)
    else:
        found.refused.append(f"{source.name}: neither a file nor a directory")
    missing = sorted(name for name in wanted - found.files.keys()
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


def _take(found: Submission, name: str, data: bytes) -> None:
    if name in found.files:
        found.refused.append(f"{LABS}/{name}: is in the archive twice")
    found.files[name] = data


def _read_directory(source: Path, wanted: set[str], found: Submission) -> None:
    count = 0
    for path in sorted(source.rglob("*")):
        count += 1
        if count > ENTRIES_MAX:
            found.refused.append(f"more than {ENTRIES_MAX} entries")
            return
        relative = path.relative_to(source).as_posix()
        if path.is_symlink():
            found.refused.append(f"{relative}: a symbolic link")
        elif path.is_dir():
            continue
        elif not path.is_file():
            found.refused.append(f"{relative}: not a regular file")
        elif name := _entry_name(relative, wanted):
            size = path.stat().st_size
            if size > FILE_BYTES_MAX:
                found.refused.append(f"{relative}: {size} bytes; "
                                     f"at most {FILE_BYTES_MAX} are taken")
            else:
                _take(found, name, path.read_bytes())
        else:
            found.ignored.append(relative)


def _read_archive(source: Path, wanted: set[str], found: Submission) -> None:
    unpacked = 0
    try:
        with tarfile.open(source, "r:gz") as archive:
            for count, entry in enumerate(archive):
                unpacked += entry.size
                if count >= ENTRIES_MAX or unpacked > UNPACKED_BYTES_MAX:
                    found.refused.append(f"{entry.name}: here the archive grows beyond "
                                         f"{ENTRIES_MAX} entries or {UNPACKED_BYTES_MAX} bytes")
                    return
                if entry.name.startswith("/") or ".." in PurePosixPath(entry.name).parts:
                    found.refused.append(f"{entry.name}: a path that leads out of the archive")
                elif entry.issym() or entry.islnk():
                    found.refused.append(f"{entry.name}: a link to {entry.linkname}")
                elif entry.isdir():
                    continue
                elif not entry.isfile():
                    found.refused.append(f"{entry.name}: not a regular file")
                elif name := _entry_name(entry.name, wanted):
                    if entry.size > FILE_BYTES_MAX:
                        found.refused.append(f"{entry.name}: {entry.size} bytes; "
                                             f"at most {FILE_BYTES_MAX} are taken")
                        continue
                    data = archive.extractfile(entry)
                    assert data is not None
                    _take(found, name, data.read())
                else:
                    found.ignored.append(entry.name)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, OSError) as error:
        found.refused.append(f"{source.name}: "
                             f"not a tar.gz archive as make submit makes it ({error})")


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
    # A backslash at the end of a line joins it with the next; comments may split a directive.
    joined = re.sub(r"\\[ \t]*\n", "", text)
    code = NOT_CODE.sub(lambda match: "\n" * match[0].count("\n") or " ", joined)
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


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def _given(name: str) -> set[str]:
    """The lines of the starter."""
    from course.registry import ROOT

    path = ROOT / LABS / name
    if not path.is_file():
        return set()
    return {" ".join(line.split()) for line in path.read_text("utf-8").splitlines()}


def foreign_sections(path: Path) -> list[str]:
    """Sections of an object that its file may not have, however the text hid them."""
    with path.open("rb") as stream:
        names = [section.name for section in ELFFile(stream).iter_sections()]
    allowed = OWN_SECTIONS.get(path.name.removesuffix(".o"), set())
    return sorted({name for name in names if not SECTIONS.fullmatch(name) and name not in allowed})


def foreign_text(build: Path, names: set[str]) -> str:
    """What to say of the first object below `build` with such a section, or nothing."""
    for name in sorted(names):
        path = build / "obj" / LABS / f"{name}.o"
        foreign = foreign_sections(path) if path.is_file() else []
        if foreign:
            return (f"{LABS}/{name}: refused: the file puts code or data into "
                    f"{', '.join(foreign)}, a section that it may not have")
    return ""
