# SPDX-License-Identifier: MIT
"""A collection: a folder or zip with what a class has handed in, and which of it counts.

An entry is a student's archive or directory, by the student's name. The bulk downloads of learning
platforms are taken as they come:

    Moodle   Anna Berg_1234567_assignsubmission_file_/lab02.tar.gz, or _file_lab02.tar.gz at the end
    Canvas   berganna_LATE_12345_67890_lab02-1.tar.gz: number of the student, of the upload, attempt

There a student is name and number together (two may share a name), the latest of several attempts
counts, and LATE is noted. What does not count is named, not forgotten.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from grader.grading.unpack import ARCHIVES, attempt_of, is_archive, shown
from tools.errors import UserError

NAME_MAX = 120
UPLOAD_BYTES_MAX = 1 << 30  # of one file in a zip of uploads; what is larger is no submission
CHUNK = 1 << 20

MOODLE = re.compile(r"(?P<student>.+_\d+)_assignsubmission_(?P<kind>file|onlinetext)"
                    r"(?:_(?P<file>.*))?", re.DOTALL)
CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<number>\d{2,})_"
                    r"(?:(?P<upload>\d{2,})_(?P<file>.+)|(?:text|link)\.html)", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """What a student has handed in."""

    path: Path
    late: bool = False
    others: tuple[str, ...] = ()  # uploads of the same student that do not count
    problem: str = ""  # why none of them can be the one that counts

    @property
    def file(self) -> str:
        return shown(self.path.name)


@dataclass(frozen=True)
class _Upload:
    """One entry of the folder: whose, and what tells it from others of that student."""

    path: Path
    student: str
    upload: int = 0
    file: str = ""
    late: bool = False
    platform: bool = True
    is_text: bool = False  # typed into the platform's page

    @property
    def rank(self) -> tuple[bool, int, int]:
        """The greatest counts: what may be a submission at all, then the latest."""
        readable = not self.is_text and (self.path.is_dir() or is_archive(self.path.name))
        return readable, self.upload, attempt_of(self.file)[1]


def _upload(path: Path) -> _Upload:
    if match := MOODLE.fullmatch(path.name):
        return _Upload(path, match["student"], file=match["file"] or "",
                       is_text=match["kind"] != "file")
    if match := CANVAS.fullmatch(path.name):
        return _Upload(path, f"{match['name']}_{match['number']}", int(match["upload"] or 0),
                       match["file"] or "", bool(match["late"]))
    return _Upload(path, path.name, platform=False)


def name_of(name: str) -> str:
    """The student's name: that of the entry, without the suffix of an archive.

    It becomes the name of files. So in a name that could be taken for another's, or that not
    everything can print, such characters are replaced by % and their bytes in hexadecimal.
    """
    for suffix in ARCHIVES:
        if name.lower().endswith(suffix):
            name = name[:-len(suffix)]
            break
    escaped = "".join(char if char.isprintable() and char not in "%/\\" else
                      "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
                      for char in name)
    for kind in (".gradescope", ".junit"):
        if escaped.endswith(kind):
            escaped = escaped.removesuffix(kind) + f"%2E{kind[1:]}"
    if len(escaped.encode()) > NAME_MAX:
        escaped = f"{escaped[:NAME_MAX // 4]}%{hashlib.sha256(escaped.encode()).hexdigest()[:16]}"
    return escaped


def entries(folder: Path) -> dict[str, Entry]:
    """Every student of the folder: a file that is no archive or a broken link is a line of the
    table, not a student forgotten. Two entries for one name are an error before anything is graded,
    unless they are a platform's, which says the order of attempts."""
    found: dict[str, list[_Upload]] = {}
    for path in sorted(folder.iterdir()):
        if not path.name.startswith((".", "__MACOSX")):
            upload = _upload(path)
            found.setdefault(name_of(upload.student), []).append(upload)
    for name, uploads in found.items():
        if len(uploads) > 1 and not all(upload.platform for upload in uploads):
            raise UserError(f"{name}: two submissions, {uploads[0].path.name!a} and "
                            f"{uploads[1].path.name!a}; keep the one that counts")
    return {name: _choose(found[name]) for name in sorted(found)}


def _choose(uploads: list[_Upload]) -> Entry:
    *others, best = sorted(uploads, key=lambda upload: upload.rank)
    names = tuple(shown(upload.path.name) for upload in others)
    equal = [upload.path.name for upload in others if upload.rank == best.rank]
    problem = ""
    if equal and best.rank[0]:
        problem = f"several uploads, none of them the latest: {', '.join(map(shown, equal))}, " \
                  f"{shown(best.path.name)}; keep the one that counts"
    return Entry(best.path, best.late, names, problem)


# ---- a zip of all uploads ----


def open_collection(source: Path, scratch: Path) -> Path:
    """The folder of a collection: `source` itself, or what a zip holds, unpacked into `scratch`."""
    if source.is_dir():
        return source
    if not source.exists():
        raise UserError(f"SUBMISSIONS={source}: no such file or directory")
    scratch.mkdir()
    try:
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                _extract(archive, member, scratch)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError,
            NotADirectoryError, FileExistsError, IsADirectoryError) as error:
        raise UserError(f"SUBMISSIONS={source}: neither a directory nor a zip of all uploads "
                        f"({error})") from error
    inside = [path for path in scratch.iterdir() if not path.name.startswith((".", "__MACOSX"))]
    if len(inside) == 1 and inside[0].is_dir() and not _upload(inside[0]).platform:
        return inside[0]  # a directory around all of them
    return scratch


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """Of a file beyond the limit only the size is kept, by a file of holes: it is refused later."""
    parts = [_short(part) for part in PurePosixPath(member.filename).parts
             if part not in ("/", "..")]
    if not parts:
        return
    path = folder.joinpath(*parts)
    if member.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if member.file_size > UPLOAD_BYTES_MAX:
        path.touch()
        os.truncate(path, member.file_size)
        return
    with path.open("wb") as out:
        for data in _contents(archive, member):
            out.write(data)


def _short(part: str) -> str:
    """A name as long as a file's may be; what says whose it is stands at its start."""
    raw = part.encode("utf-8", "replace")
    return part if len(raw) <= 255 else (raw[:150] + b"~" + raw[-100:]).decode("utf-8", "ignore")


def _contents(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(member) as file:
        while data := file.read(CHUNK):
            yield data
