# SPDX-License-Identifier: MIT
"""What learning platforms hand over is taken as it comes; nobody is forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from course.registry import ROOT, load_course
from course.submit import pack, registered_files
from grader.grading import collection, submission
from grader.grading.collection import Entry, entries, open_collection
from grader.grading.unpack import attempt_of
from tools.errors import UserError

COURSE = load_course()
LAB_1 = registered_files(COURSE, 1)


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack(ROOT, LAB_1))
    return folder


def taken(entry: Entry) -> bool:
    found = submission.read(entry.path, COURSE, 1)
    return found.refused == [] and len(found.files) == len(LAB_1)


def test_moodles_folders(tmp_path: Path) -> None:
    fill(tmp_path, "Anna Berg_1234567_assignsubmission_file_/lab01.tar.gz",
         "Zoë O'Neil-Å_1234568_assignsubmission_file/work/lab01.tar.gz",
         "Participant 7_1234569_assignsubmission_file_lab01.tar.gz",
         "Anna Berg_1234570_assignsubmission_file_/lab01.tar.gz",
         "Anna Berg_1234570_assignsubmission_onlinetext_/onlinetext.html",
         "Carl_Maria Weber_1234571_assignsubmission_onlinetext_/onlinetext.html")
    found = entries(tmp_path)
    assert list(found) == ["Anna Berg_1234567", "Anna Berg_1234570", "Carl_Maria Weber_1234571",
                           "Participant 7_1234569", "Zoë O'Neil-Å_1234568"]
    assert [name for name, entry in found.items() if not taken(entry)] == [
        "Carl_Maria Weber_1234571"]


def test_several_archives_in_one_folder(tmp_path: Path) -> None:
    fill(tmp_path, "A_11_assignsubmission_file_/lab01.tar.gz",
         "A_11_assignsubmission_file_/lab01 (2).tar.gz",
         "B_12_assignsubmission_file_/lab01.tar.gz", "B_12_assignsubmission_file_/other.tar.gz")
    (tmp_path / "A_11_assignsubmission_file_" / "lab01.tar.gz").write_bytes(b"old")
    found = entries(tmp_path)
    assert taken(found["A_11"])
    refused = submission.read(found["B_12"].path, COURSE, 1).refused
    assert refused == ["several archives: lab01.tar.gz, other.tar.gz; hand in one"]


def test_a_lab_in_a_folder_is_more_than_an_archive_beside_it(tmp_path: Path) -> None:
    fill(tmp_path, "A_11_assignsubmission_file_/old.zip")
    for name in LAB_1:
        path = tmp_path / "A_11_assignsubmission_file_" / "labs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((ROOT / "labs" / name).read_bytes())
    assert taken(entries(tmp_path)["A_11"])


def test_canvas_files(tmp_path: Path) -> None:
    fill(tmp_path, "berganna_12345_67890_lab01.tar.gz", "berganna_LATE_12345_67999_lab01-1.tar.gz",
         "berganna_12345_68500_notes.pdf", "berganna_22222_67891_lab01.tar.gz",
         "o-neilzoë_33333_10_lab01.tar-1.gz", "o-neilzoë_33333_10_lab01.tar-10.gz",
         "o-neilzoë_33333_10_lab01.tar-9.gz", "weber_LATE_44444_text.html")
    found = entries(tmp_path)
    assert {name: (entry.path.name, entry.late) for name, entry in found.items()} == {
        "berganna_12345": ("berganna_LATE_12345_67999_lab01-1.tar.gz", True),
        "berganna_22222": ("berganna_22222_67891_lab01.tar.gz", False),
        "o-neilzoë_33333": ("o-neilzoë_33333_10_lab01.tar-10.gz", False),
        "weber_44444": ("weber_LATE_44444_text.html", True)}
    assert found["berganna_12345"].others == ("berganna_12345_68500_notes.pdf",
                                              "berganna_12345_67890_lab01.tar.gz")


def test_what_has_no_latest_is_told_and_stops_nobody(tmp_path: Path) -> None:
    fill(tmp_path, "A_11_assignsubmission_file_a.zip", "A_11_assignsubmission_file_b.zip",
         "C_12_assignsubmission_file_a.zip")
    found = entries(tmp_path)
    assert found["A_11"].problem.endswith("keep the one that counts") and not found["C_12"].problem


@pytest.mark.parametrize("name, parts", [
    ("lab01.tar.gz", ("lab01.tar.gz", 0)), ("lab01-2.tar.gz", ("lab01.tar.gz", 2)),
    ("lab01.tar-3.gz", ("lab01.tar.gz", 3)), ("lab 1 (4).zip", ("lab 1.zip", 4)),
    ("strata-0.9.zip", ("strata-0.9.zip", 0)), ("a\nb-5", ("a\nb", 5)), ("", ("", 0)),
])
def test_attempts(name: str, parts: tuple[str, int]) -> None:
    assert attempt_of(name) == parts


@pytest.mark.parametrize("around", ["", "CS 101-Lab 1-4711/"])
def test_a_zip_of_all_uploads(tmp_path: Path, around: str) -> None:
    folder = fill(tmp_path / "in", "Anna Berg_11_assignsubmission_file_/lab01.tar.gz",
                  "Zoë_12_assignsubmission_file_/lab01.tar.gz")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted(folder.rglob("*.gz")):
            archive.write(path, around + path.relative_to(folder).as_posix())
        archive.writestr("__MACOSX/._x", b"")
    found = entries(open_collection(tmp_path / "all.zip", tmp_path / "scratch"))
    assert list(found) == ["Anna Berg_11", "Zoë_12"] and all(map(taken, found.values()))


def test_a_zip_leads_nowhere_and_fills_no_disk(tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "UPLOAD_BYTES_MAX", 1000)
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../out.zip", b"x")
        archive.writestr("/etc/A_11_assignsubmission_file_x.zip", b"x")
        archive.writestr("B_12_assignsubmission_file_" + 300 * "ë" + ".zip", b"x")
        archive.writestr("C_13_assignsubmission_file_x.zip", bytes(1 << 20))
    folder = open_collection(tmp_path / "all.zip", tmp_path / "scratch")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.zip", "scratch"]
    large = folder / "C_13_assignsubmission_file_x.zip"
    assert large.stat().st_size == 1 << 20 and large.stat().st_blocks == 0
    assert {"B_12", "C_13", "out"} < set(entries(folder))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip"])
def test_what_is_no_zip_is_told_in_a_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "all.zip").write_bytes(content)
    with pytest.raises(UserError, match="neither a directory nor a zip of all uploads"):
        open_collection(tmp_path / "all.zip", tmp_path / "scratch")
    with pytest.raises(UserError, match="no such file or directory"):
        open_collection(tmp_path / "none", tmp_path / "scratch")


def test_what_a_killed_run_left_is_removed_and_what_another_uses_is_not(tmp_path: Path) -> None:
    program = ("import os, signal, sys\nfrom tools.files import scratch\n"
               "with scratch('strata-class-') as folder:\n"
               "    print(folder, flush=True)\n    sys.stdin.readline() or os.kill(0, 9)\n")
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def start() -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, bufsize=1,
                                   stdout=subprocess.PIPE, env=environment, process_group=0)
        assert process.stdout
        return process, Path(process.stdout.readline().strip())

    killed, left = start()
    killed.kill()
    killed.communicate()
    assert left.is_dir()
    first, used = start()
    second, other = start()
    assert not left.exists() and used.is_dir() and other.is_dir()
    for process in (first, second):
        process.communicate("end\n")
    assert list(tmp_path.iterdir()) == []
