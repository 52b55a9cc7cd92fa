# SPDX-License-Identifier: MIT
"""What is handed in is data, whatever it is: an answer in bounded time, and never a traceback."""

from __future__ import annotations

import gzip
import io
import random
import re
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from course import questions, unwritten
from course.registry import ROOT, load_course
from course.submit import registered_files
from grader.grading import submission
from grader.grading.bounded import bounded
from grader.grading.unpack import UNPACKED_BYTES_MAX, unpack
from grader.machine import options
from grader.machine.verdict import Finding

COURSE = load_course()
WANTED = set(registered_files(COURSE, 1))
TRAP = "lab01-el2-boot/trap.c"


def starter() -> dict[str, bytes]:
    return {f"labs/{name}": (ROOT / "labs" / name).read_bytes() for name in sorted(WANTED)}


def tar(files: dict[str, bytes], behind: bytes = b"") -> bytes:
    """An archive, with raw blocks behind its last entry."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        end = archive.offset
    return gzip.compress(raw.getvalue()[:end] + behind + bytes(1024), 1, mtime=0)


def header(name: bytes, size: int, kind: bytes) -> bytes:
    """One block of POSIX's ustar, which tarfile would not write."""
    fields = bytearray(512)
    fields[:len(name)] = name
    fields[100:108] = b"0000644\0"
    fields[124:136] = b"%011o\0" % size
    fields[148:157] = b"        " + kind
    fields[257:265] = b"ustar  \0"
    fields[148:156] = b"%06o\0 " % sum(fields)
    return bytes(fields)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(**records: bytes) -> bytes:
    """An extended header with these records."""
    body = b""
    for key, value in records.items():
        record = b" %s=%s\n" % (key.replace("_", ".").encode(), value)
        length = len(record)
        while len(b"%d" % length) + len(record) != length:
            length += 1
        body += b"%d" % length + record
    return header(b"pax", len(body), b"x") + padded(body)


BEHIND = {
    "a link of no UTF-8": (header(b"labs/\xff", 0, b"2"), "a link to"),
    "a fifo": (header(b"labs/fifo", 0, b"6"), "not a regular file"),
    "a device": (header(b"labs/device", 0, b"3"), "not a regular file"),
    "a sparse map of text": (pax(GNU_sparse_major=b"1", GNU_sparse_minor=b"0",
                                 GNU_sparse_name=b"labs/x", GNU_sparse_realsize=b"10")
                             + header(b"a", 512, b"0") + padded(b"no number\n"), "not a tar.gz"),
    "a sparse map in records": (pax(GNU_sparse_size=b"x", GNU_sparse_map=b"a,b")
                                + header(b"a", 0, b"0"), "not a tar.gz"),
    "a negative size": (pax(size=b"-5000000") + header(b"a", 0, b"0"),
                        "grows beyond|not a tar.gz|^it ends there$"),
    "headers without end": (1500 * (header(b"././@LongLink", 2, b"L") + padded(b"a\0"))
                            + header(b"a", 0, b"0"), "not a tar.gz"),
    "the same file again": (header(b"./labs/./" + TRAP.encode(), 0, b"0"), "is there twice"),
}


@pytest.mark.parametrize("kind", BEHIND)
def test_a_strange_entry_is_told(tmp_path: Path, kind: str) -> None:
    blocks, words = BEHIND[kind]
    (tmp_path / "anna.tar.gz").write_bytes(tar(starter(), blocks))
    found = submission.read(tmp_path / "anna.tar.gz", COURSE, 1)
    # For newer versions of tarfile an archive ends at a size below 0, and they do not say so.
    told = found.refused or ["it ends there"]
    assert found.files or found.refused
    assert any(re.search(words, text) for text in told), told
    assert found.digest and "".join(found.refused).isprintable()


@pytest.mark.parametrize("kind", [b"L", b"x"])
def test_a_header_larger_than_memory_is_told(tmp_path: Path, kind: bytes) -> None:
    size = 2 * submission.UNPACK_MEMORY
    path = tmp_path / "anna.tar.gz"
    with gzip.open(path, "wb", 1) as archive:
        archive.write(header(b"././@LongLink", size, kind))
        for _ in range(size >> 20):
            archive.write(bytes(1 << 20))
    assert "needs more memory" in submission.read(path, COURSE, 1).refused[0]


def zipped(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return raw.getvalue()


def _wrapped(files: dict[str, bytes], folder: str) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in files.items()}


def _clone() -> dict[str, bytes]:
    objects = {f".git/objects/{n:04}": b"x" for n in range(3 * 10_000)}
    return {**objects, "build/obj/labs/x.o": bytes(100), "Makefile": b"all:", **starter()}


@pytest.mark.parametrize("pack", [tar, zipped])
@pytest.mark.parametrize("files", [
    starter, lambda: _wrapped(starter(), "strata-main"), lambda: _wrapped(_clone(), "strata"),
    lambda: {name.removeprefix("labs/"): data for name, data in starter().items()},
], ids=["as packed", "wrapped", "clone", "labs"])
def test_archives_are_taken_as_they_come(tmp_path: Path,
                                         pack: Callable[[dict[str, bytes]], bytes],
                                         files: Callable[[], dict[str, bytes]]) -> None:
    (tmp_path / "anna").write_bytes(pack(files()))
    found = submission.read(tmp_path / "anna", COURSE, 1)
    assert found.refused == [] and found.files.keys() == WANTED


def test_a_working_copy_is_taken_as_it_is(tmp_path: Path) -> None:
    for name, data in {**starter(), ".git/HEAD": b"ref", "build/obj/a.o": b"o"}.items():
        (tmp_path / "anna" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "anna" / name).write_bytes(data)
    found = submission.read(tmp_path / "anna", COURSE, 1)
    assert found.refused == [] and found.ignored == [] and found.files.keys() == WANTED


def test_two_copies_are_a_mistake_unless_one_is_at_the_top(tmp_path: Path) -> None:
    copies = {**_wrapped(starter(), "new"), **_wrapped(starter(), "old")}
    (tmp_path / "anna").write_bytes(tar(copies))
    assert "new, old" in submission.read(tmp_path / "anna", COURSE, 1).refused[0]
    (tmp_path / "bert").write_bytes(tar({**starter(), **_wrapped(starter(), "old")}))
    found = submission.read(tmp_path / "bert", COURSE, 1)
    assert found.refused == [] and len(found.ignored) == len(WANTED)


@pytest.mark.parametrize("text", [
    b"/* " * 87000, b"\n" * (256 << 10), (b"\\" + b" " * 1000) * 261, b"\\" + b" " * 262143,
    b'"' * (256 << 10), b"'" * (256 << 10), b"# " * 131072, b'"\\' * 131072, b"\t" * (256 << 10),
    b'"' + b'\\"' * 131000, b"EXERCISE(1.5)\n" * 18000, b"EXERCISE(1.5)\nx\n{\n" * 14000,
    b"EXERCISE_BEGIN(1.1)\n" * 13000, b"#if\nEXERCISE(1.5)\nx trap_dispatch(\n{\n}\n" * 6000,
])
def test_scanning_takes_time_in_proportion(text: bytes) -> None:
    """Processor time: well below a second, where a square of the length takes minutes."""
    start = time.process_time()
    list(submission.inspect(TRAP, text))
    for name in ("trap.c", "boot.S"):
        unwritten.places(COURSE.lab(1), name, text.decode())
    assert time.process_time() - start < 10


@pytest.mark.parametrize("line", [
    'char *a = "/*"; LAYER(7, mine); char *b = "*/";', "int a = '/*';\nLAYER(7, x)\nint b = '*/';",
    '__asm__(".inc" "bin \\"x\\"");', '__asm__(".\\151ncbin \\"x\\"");',
    "#\finclude <stdio.h>", '"a" // b \\\n\n LAYER(7, x)',
])
def test_literals_and_comments_are_told_apart(line: str) -> None:
    assert list(submission.inspect(TRAP, f"{line}\n".encode())) != []


@pytest.mark.parametrize("line", [
    "/* LAYER(7, x) */", "// .incbin", 'puts("/* no comment");', "char quote = '\"';",
    "/* a\n * #include <x>\n */", "int a; // it's",
])
def test_what_is_no_code_is_not_refused(line: str) -> None:
    assert list(submission.inspect(TRAP, f"{line}\nint x;\n".encode())) == []


def mutated(data: bytes, dice: random.Random) -> bytes:
    """A few bytes changed, a piece cut out, doubled or moved."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at, length = dice.randrange(len(changed) + 1), dice.randrange(600)
        piece = changed[at:at + length]
        kind = dice.randrange(4)
        if kind == 0:
            changed[at:at + 1] = bytes([dice.randrange(256)])
        elif kind == 1:
            del changed[at:at + length]
        elif kind == 2:
            changed[at:at] = piece
        else:
            words = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"9999", b"/* \"", b"[[[["]
            changed[at:at + 4] = dice.choice(words)
    return bytes(changed)


def test_mutated_submissions_have_an_answer(tmp_path: Path) -> None:
    """Archives below their compression, which would only find the damage, and sources."""
    dice = random.Random(options.current().seed)
    rounds = 2000 if options.current().full else 150
    plain = gzip.decompress(tar(starter()))
    in_zip = zipped(starter())
    path = tmp_path / "anna"
    for _ in range(rounds):
        path.write_bytes(dice.choice([lambda: gzip.compress(mutated(plain, dice), 1),
                                      lambda: mutated(in_zip, dice)])())
        found = unpack(path, WANTED)
        assert sum(map(len, found.files.values())) <= UNPACKED_BYTES_MAX
        "".join([*found.refused, *found.ignored]).encode()
    source = (ROOT / "labs" / TRAP).read_bytes()
    for _ in range(rounds):
        list(submission.inspect(TRAP, mutated(source, dice)))


@pytest.mark.parametrize("text", ["1" * 5000, "0x" + "f" * 5000, "[" * 100000, '"\ud800"', "-1"])
def test_an_answer_that_is_no_number_is_told(text: str) -> None:
    lab = COURSE.lab(1)
    data = f"{lab.questions[0].id} = {text}\n".encode("utf-8", "surrogatepass")
    told = questions.parse(data, lab)
    assert told.error and "\n" not in told.error and len(told.error) < 400


def test_answers_have_an_end() -> None:
    """A key of many parts is read in a time, and into a memory, that grow with their square."""
    told = questions.parse(b"a." * 100_000 + b"a = 1\n", COURSE.lab(1))
    assert "at most" in told.error


def test_a_program_without_end_is_ended() -> None:
    forever = [sys.executable, "-c", "while True: print('x' * 1000)"]
    assert "printed more than" in bounded(forever, 600, 1 << 20).ended
    asleep = ["sh", "-c", "sleep 600 & wait"]
    done = bounded(asleep, 1, 1 << 20)
    assert done.took_too_long and "took longer than" in done.ended


def test_a_slow_host_is_no_fault_of_a_submission(tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "anna.tar.gz").write_bytes(tar(starter()))
    monkeypatch.setattr(submission, "UNPACK_SECONDS", 0.001)
    with pytest.raises(Finding, match="can be read"):
        submission.read(tmp_path / "anna.tar.gz", COURSE, 1)


def test_a_program_cannot_wait_for_its_own_words() -> None:
    assert bounded(["cat", "/dev/fd/1"], 600, 1 << 20).returncode != 0
