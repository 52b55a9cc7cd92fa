# SPDX-License-Identifier: MIT
"""A handout: nothing of solution/ in it, and all that a student needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from course import handout, starters, submit
from course.registry import ROOT, load_course
from grader.machine import images

LAB = 2
COURSE = load_course()


# What the make that runs this test hands down is not meant for the copy's.
INHERITED = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "TESTS", "PYTEST_ARGS")


def make(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in INHERITED}
    return subprocess.run(["make", "-C", str(tree), "--no-print-directory", *arguments],
                          capture_output=True, text=True, check=False, env=environment,
                          stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dest = tmp_path_factory.mktemp("handout") / "strata"
    with images.exclusive("make"):
        done = make(ROOT, "handout", f"LAB={LAB}", f"DEST={dest}",
                    f"BUILD={images.build_directory()}")
    assert done.returncode == 0, done.stdout + done.stderr
    return dest


def test_a_handout_holds_no_solution_no_later_lab_and_no_history(copy: Path) -> None:
    names = {path.relative_to(copy).as_posix() for path in copy.rglob("*")}
    assert not {name for name in names
                if name.startswith(("solution", ".git/", "grader/proof/mutants",
                                    "grader/proof/cheats"))}
    directories = {lab.directory for lab in COURSE.labs[:LAB]}
    assert {path.name for path in (copy / "labs").glob("lab*")} == directories
    assert {path.name for path in (copy / "handout/reference").iterdir()} == {"lab01.a"}
    assert "grader/tests/lab02/test_lab02.py" in names
    assert "grader/tests/lab03/test_lab03.py" not in names
    assert not [path for path in copy.rglob("*") if path.is_symlink()]
    assert starters.changed_files(copy / "labs") == []


@pytest.mark.parametrize("number", [lab.number for lab in COURSE.labs])
def test_no_labs_handout_holds_a_line_of_a_solution(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.chdir(ROOT)
    tree = starters.make_tree(COURSE)
    handout.fill(tmp_path, COURSE, tree, number, [])
    assert list(handout.inspect(tmp_path, COURSE, number, starters.secret_lines(tree))) == []


def test_archives_are_the_same_wherever_they_are_made(copy: Path, tmp_path: Path) -> None:
    """The archives say nothing about the machine that made them."""
    for name in ("course", "kit", "tools", "solution"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("Makefile", "course.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    done = make(tmp_path, "build/reference/lab01.a")
    assert done.returncode == 0, done.stdout + done.stderr
    archive = (copy / "handout/reference/lab01.a").read_bytes()
    assert archive == (tmp_path / "build/reference/lab01.a").read_bytes()
    assert str(ROOT).encode() not in archive


def test_help_lists_what_works(copy: Path) -> None:
    listed = set(re.findall(r"^  make (\S+)", make(copy, "help").stdout, re.MULTILINE))
    assert {"run", "test", "unit", "grade", "submit"} <= listed
    for name in ("starters", "transcripts", "handout", "grader-check", "grade-class"):
        assert name not in listed
        assert "this is a handout" in make(copy, name).stderr
    listed = set(re.findall(r"^  make (\S+)", make(ROOT, "help").stdout, re.MULTILINE))
    assert {"starters", "handout"} <= listed


def test_kit_and_grader_of_a_handout_work(copy: Path, qemu: str) -> None:
    done = make(copy, "test", f"QEMU={qemu}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("base", ["own", "reference"])
def test_a_unit_test_waits_for_what_is_not_written(copy: Path, base: str) -> None:
    """It names the exercise, and is no failure. Layers that are the reference's it leaves alone."""
    done = make(copy, "unit", f"LAB={LAB}", f"BASE={base}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^  lab02_pgtable +waits: exercise 2\.1 is not written yet "
                     r"\(labs/lab02-stage2/pgtable", done.stdout,
                     re.MULTILINE), done.stdout + done.stderr
    assert ("lab01_" in done.stdout) == (base == "own")


def test_what_does_not_belong_is_found(copy: Path, tmp_path: Path) -> None:
    tree = starters.make_tree(COURSE)
    secrets = starters.secret_lines(tree)
    spoilt = tmp_path / "spoilt"
    shutil.copytree(copy, spoilt, ignore=shutil.ignore_patterns("build"))
    assert list(handout.inspect(spoilt, COURSE, LAB, secrets)) == []
    assert submit.changed_outside(spoilt) == []
    (spoilt / "kit/hypervisor.mk").write_text("# mine\n", "utf-8")
    (spoilt / "guests/guests.mk").unlink()
    (spoilt / "docs/glossary.md").write_text("mine\n", "utf-8")
    (spoilt / "labs/README.md").write_text("mine\n", "utf-8")
    assert submit.changed_outside(spoilt) == ["guests/guests.mk", "kit/hypervisor.mk"]
    (spoilt / "solution").mkdir()
    (spoilt / "docs" / "notes.md").write_text(f"{max(secrets, key=len)}\n", "utf-8")
    (spoilt / "labs" / COURSE.labs[2].directory).mkdir()
    found = "\n".join(handout.inspect(spoilt, COURSE, LAB, secrets))
    assert "solution: does not belong" in found
    assert "docs/notes.md:1: a line of the solution" in found
    assert f"labs/{COURSE.labs[2].directory}: does not belong" in found


def test_nothing_is_written_over_a_directory(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine\n", "utf-8")
    done = make(ROOT, "handout", f"LAB={LAB}", f"DEST={tmp_path}",
                f"BUILD={images.build_directory()}")
    assert done.returncode != 0
    assert "is not an empty directory" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_students_can_build_run_and_hand_in(copy: Path, qemu: str) -> None:
    """First the starters over the reference's layer 1; then lab 2's demo, once lab 2 is written."""
    first = make(copy, f"lab0{LAB}", "BASE=reference")
    assert first.returncode == 0, first.stdout + first.stderr
    assert f"next: exercise {LAB}.1 " in first.stdout
    assert make(copy, "submit", f"LAB={LAB}").returncode == 0

    run = ("run", f"LAB={LAB}", "BASE=reference", f"QEMU={qemu}")
    unwritten = make(copy, *run)
    assert unwritten.returncode != 0
    assert "is not written yet (labs/lab02-stage2/" in unwritten.stdout + unwritten.stderr

    directory = COURSE.lab(LAB).directory
    for path in sorted((ROOT / "solution" / directory).iterdir()):
        shutil.copyfile(path, copy / "labs" / directory / path.name)
    done = make(copy, *run)
    assert done.returncode == 0, done.stdout + done.stderr


def test_symptoms_of_later_labs_stay_with_the_authors() -> None:
    text = (ROOT / handout.SYMPTOMS).read_text("utf-8")
    known = {number: handout.symptoms_of(text, number).count(handout.SYMPTOM)
             for number in range(1, len(COURSE.labs) + 1)}
    assert sorted(known.values()) == list(known.values()) and known[1] < known[6]
    assert known[6] == text.count(handout.SYMPTOM)
    assert not re.search(r"exercise [2-6]\.", handout.symptoms_of(text, 1))


def test_rows_of_later_labs_stay_with_the_authors() -> None:
    def page(name: str, number: int) -> str:
        return handout.page_of(COURSE, (ROOT / "docs" / name).read_text("utf-8"), number)

    for path in sorted((ROOT / "docs").glob("*.md")):
        assert page(path.name, 6) == handout.OF_A_CLONE.sub("", path.read_text("utf-8"))
    assert "exercise 6.4" in page("what-qemu-hides.md", 6)
    assert "exercise 6." not in page("what-qemu-hides.md", 5)
    assert "exercise 2.3" in page("debugging.md", 1), "an example in a code span"


def test_a_handout_says_nothing_of_two_trees() -> None:
    files = handout.starters_of(COURSE, starters.make_tree(COURSE), 6)
    texts = {name: data.decode() for name, data in files.items() if name.endswith("README.md")}
    assert len(texts) == 7
    for name, text in texts.items():
        assert "IMPL=labs" not in text and "in a clone" not in text, name


def test_pictures_of_later_labs_stay_with_the_authors() -> None:
    later = {number: handout.pictures_of_later_labs(COURSE, number) for number in (2, 3, 4, 6)}
    assert "docs/time-vgic.svg" in later[2] and "docs/time-vgic.svg" not in later[3]
    assert "docs/time-smp.svg" in later[4] and "docs/time-smp.svg" not in later[6]
    assert "docs/kick.svg" not in later[2]  # docs/architecture.md shows it
