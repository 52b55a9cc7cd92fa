# SPDX-License-Identifier: MIT
"""Takes the registered files out of what somebody handed in. Runs as a process of its own.

An archive may be made to use up memory or time before its reader notices. So the reader is a child
with limits on both (submission.read()): whatever it meets, the answer is a Submission, at the worst
one that says why nothing could be read.

A tar.gz or zip archive, or a directory. `labs/` in front of a path may be left out, and a directory
may be wrapped around all: what a student's own copy of the repository looks like. A directory that
has an archive and none of the lab's files stands for that archive: the download of a learning
platform. What git and a build leave behind is not looked at.
"""

from __future__ import annotations

import base64
import json
import re
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from course.registry import LABS, load_course
from course.submit import FILE_BYTES_MAX, registered_files
from grader.machine.console import escape

ENTRIES_MAX = 10_000  # of a whole copy of this repository
UNPACKED_BYTES_MAX = 64 << 20
NAME_MAX = 160  # of what is shown of a name
NOTES_MAX = 100  # of each kind
ARCHIVES = (".tar.gz", ".tgz", ".zip")
ATTEMPT = re.compile(r"(.*?)(?:-(\d{1,9})| ?\((\d{1,9})\))?((?:\.[A-Za-z]\w*)*)", re.DOTALL)
LEFT_OUT = (".git", "build", "__pycache__")  # directories of a working copy


@dataclass
class Unpacked:
    """Files by registered path, why they are not built, and the names that nobody looked at."""

    files: dict[str, bytes] = field(default_factory=dict)  # path below labs/ -> contents
    refused: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


class _TooMuch(Exception):
    pass


def shown(name: str) -> str:
    """A name that anything can print, and that has an end: what is no UTF-8, ends a line, moves a
    cursor or turns the direction of writing round is escaped."""
    text = escape(name.encode("utf-8", "backslashreplace").decode()).replace("\n", "\\x0a")
    return text if len(text) <= NAME_MAX else text[:NAME_MAX] + "…"


def is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def attempt_of(name: str) -> tuple[str, int]:
    """A file without the number of its attempt, and that: lab-2.tar.gz, lab.tar-2.gz, lab (2).zip
    are the second."""
    match = ATTEMPT.fullmatch(name)
    assert match  # any name matches
    return f"{match[1]}{match[4]}", int(match[2] or match[3] or 0)


class _Taker:
    """Sorts entries as they come."""

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = wanted
        self.found = Unpacked()
        self.copies: dict[str, dict[str, bytes]] = {}  # wrapping directory, or "" -> files
        self.count = self.bytes = 0

    def refuse(self, name: str, why: str) -> None:
        self.found.refused.append(f"{shown(name)}: {why}")

    def place(self, name: str) -> tuple[str, str] | None:
        """The wrapping directory and the registered path that a name stands for."""
        parts = [part for part in PurePosixPath(name).parts if part != "."]
        for depth in (0, 1):
            rest = parts[depth:]
            path = "/".join(rest[1:] if rest[:1] == [LABS] else rest)
            if path in self.wanted:
                return "/".join(parts[:depth]), path
        return None

    def left_out(self, name: str) -> bool:
        return any(part in LEFT_OUT for part in PurePosixPath(name).parts[:-1])

    def grow(self, name: str, size: int) -> None:
        """Count an entry; _TooMuch beyond what a submission may have."""
        self.count += 1
        self.bytes += size
        if self.count > ENTRIES_MAX or self.bytes > UNPACKED_BYTES_MAX or size < 0:
            raise _TooMuch(f"{shown(name)}: here the submission grows beyond "
                           f"{ENTRIES_MAX} entries or {UNPACKED_BYTES_MAX} bytes")

    def file(self, name: str, size: int, read: Callable[[], bytes]) -> None:
        """A regular file; it is read only if it is one that the registry names."""
        place = self.place(name)
        if place is None:
            self.found.ignored.append(shown(name))
            return
        if size > FILE_BYTES_MAX:
            self.refuse(name, f"{size} bytes; at most {FILE_BYTES_MAX} are taken")
            return
        wrapped, path = place
        files = self.copies.setdefault(wrapped, {})
        if path in files:
            self.refuse(f"{LABS}/{path}", "is there twice")
        files[path] = read()

    def choose(self) -> Unpacked:
        """The files that are not wrapped, or those of the only directory that has any."""
        found, copies = self.found, self.copies
        if "" not in copies and len(copies) > 1:
            names = ", ".join(shown(name) for name in sorted(copies)[:4])
            found.refused.append(f"several directories have the lab's files: {names}; hand in one")
        found.files = copies[""] if "" in copies else next(iter(copies.values()), {})
        for name, files in copies.items():
            if files is not found.files:
                found.ignored += [shown(f"{name}/{path}") for path in files]
        found.refused, found.ignored = found.refused[:NOTES_MAX], found.ignored[:NOTES_MAX]
        return found


def _directory(source: Path, taker: _Taker) -> None:
    folders, archives = [source], list[Path]()
    while folders:
        for path in sorted(folders.pop().iterdir()):
            relative = path.relative_to(source).as_posix()
            if path.name in LEFT_OUT and path.is_dir() and not path.is_symlink():
                continue
            taker.grow(relative, 0)
            if path.is_symlink():
                taker.refuse(relative, "a symbolic link")
            elif path.is_dir():
                folders.append(path)
            elif path.is_file():
                taker.file(relative, path.stat().st_size, path.read_bytes)
                archives += [path] if is_archive(path.name) else []
            else:
                taker.refuse(relative, "not a regular file")
    if archives and not taker.copies:
        _archive(_latest(source, archives, taker), taker)


def _latest(source: Path, archives: list[Path], taker: _Taker) -> Path:
    """Of several attempts the latest; of archives that are no attempts at one, none is."""
    last = max(archives, key=lambda path: attempt_of(path.name)[1])
    names = [path.relative_to(source).as_posix() for path in archives]
    if len({attempt_of(name)[0] for name in names}) > 1:
        taker.found.refused.append(f"several archives: {', '.join(map(shown, names[:4]))}; "
                                   "hand in one")
    taker.found.ignored.remove(shown(last.relative_to(source).as_posix()))
    return last


def _leads_out(name: str) -> bool:
    return name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts


def _tar(source: Path, taker: _Taker) -> None:
    with tarfile.open(source, "r:gz") as archive:
        for entry in archive:
            if taker.left_out(entry.name) and not _leads_out(entry.name):
                continue
            taker.grow(entry.name, entry.size)
            if _leads_out(entry.name):
                taker.refuse(entry.name, "a path that leads out of the archive")
            elif entry.issym() or entry.islnk():
                taker.refuse(entry.name, f"a link to {shown(entry.linkname)}")
            elif entry.isdir():
                continue
            elif not entry.isreg() or entry.issparse():
                taker.refuse(entry.name, "not a regular file")
            else:
                def contents(entry: tarfile.TarInfo = entry) -> bytes:
                    data = archive.extractfile(entry)
                    assert data is not None
                    return data.read()

                taker.file(entry.name, entry.size, contents)
        _ends_there(archive)


def _ends_there(archive: tarfile.TarFile) -> None:
    """A header that tarfile cannot read ends the archive for its newer versions, without a word."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    if any(archive.fileobj.read(tarfile.BLOCKSIZE)):
        raise tarfile.ReadError("a header that cannot be read")


def _zip(source: Path, taker: _Taker) -> None:
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            if taker.left_out(entry.filename) and not _leads_out(entry.filename):
                continue
            taker.grow(entry.filename, entry.file_size)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if _leads_out(entry.filename):
                taker.refuse(entry.filename, "a path that leads out of the archive")
            elif entry.is_dir():
                continue
            elif kind not in (0, stat.S_IFREG):
                taker.refuse(entry.filename, "not a regular file")
            else:
                def contents(entry: zipfile.ZipInfo = entry) -> bytes:
                    with archive.open(entry) as file:
                        return file.read(entry.file_size)

                taker.file(entry.filename, entry.file_size, contents)


def _archive(source: Path, taker: _Taker) -> None:
    if zipfile.is_zipfile(source):
        _zip(source, taker)
    else:
        _tar(source, taker)


def unpack(source: Path, wanted: set[str]) -> Unpacked:
    """Everything that can be said of it; no exception leaves this function."""
    taker = _Taker(wanted)
    try:
        if source.is_symlink():
            taker.refuse(source.name, "a symbolic link")
        elif source.is_dir():
            _directory(source, taker)
        elif not source.is_file():
            taker.refuse(source.name, "neither a file nor a directory")
        else:
            _archive(source, taker)
    except _TooMuch as error:
        taker.found.refused.append(str(error))
    except MemoryError:
        taker.refuse(source.name, "needs more memory to be read than a submission may")
    except Exception as error:  # noqa: BLE001 - a library's surprises are the archive's fault
        taker.refuse(source.name, "not a tar.gz or zip archive as make submit makes it "
                                  f"({type(error).__name__}: {shown(str(error))})")
    return taker.choose()


def main() -> int:
    source, lab = Path(sys.argv[1]), int(sys.argv[2])
    found = unpack(source, set(registered_files(load_course(), lab)))
    files = {name: base64.b64encode(data).decode() for name, data in found.files.items()}
    json.dump({"files": files, "refused": found.refused, "ignored": found.ignored}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
