# SPDX-License-Identifier: MIT
"""What counts as unwritten, and the reference in its place: one exercise costs its own points."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from course import unwritten
from course.registry import ROOT, load_course
from course.starters import make_starter
from grader.grading import run
from grader.grading.filled import SOURCES, copy_tree
from grader.machine import images, options
from grader.proof import fairness

COURSE = load_course()
LAB = COURSE.lab(2)
SAMPLE = ("2.8",)  # graded in every run; with --full all are


def without(*ids: str) -> dict[str, str]:
    """Lab 2's files with these exercises taken out of the solution."""
    folder = ROOT / "solution" / LAB.directory
    return {file: make_starter(folder / file, ids, LAB.until_written).text for file in LAB.files}


def test_a_starter_is_unwritten_and_the_solution_is_not() -> None:
    for lab in COURSE.labs:
        ids = [exercise.id for exercise in lab.exercises]
        folder = ROOT / "solution" / lab.directory
        starter = unwritten.find(lab, {
            file: make_starter(folder / file, bodies=lab.until_written).text for file in lab.files})
        assert starter.whole == starter.begun == ids
        assert unwritten.read(lab, ROOT / "solution").places == ()


def test_an_exercise_of_which_a_function_is_written_is_begun_and_not_unwritten() -> None:
    texts = without("2.3", "2.8")
    file = "pgtable_change.c"
    texts[file] = texts[file].replace("{\n\tTODO(2.3);\n}", "{\n\treturn;\n}", 1)
    found = unwritten.find(LAB, texts)
    assert (found.begun, found.whole) == (["2.3", "2.8"], ["2.8"])
    assert {place.exercise for place in found.of(["2.8"]).places} == {"2.8"}


@pytest.mark.parametrize("other", [
    lambda text: "#define TODO(x) real()\n" + text,
    lambda text: text.replace("EXERCISE(2.7)\n", "#if 0\nEXERCISE(2.7)\n"),
    lambda text: "/*\n" + text.replace("*/", "").replace("/*", "") + "*/\n",
    lambda text: text.replace("\tTODO(2.7);\n", "\tstart();\n\tTODO(2.7);\n"),
    lambda text: text.replace("\tTODO(2.7);\n", "\tTODO(2.6);\n"),
    lambda text: text.replace("EXERCISE(2.7)\n", ""),
], ids=["macro", "conditional", "comment", "more", "other", "no-mark"])  # fmt: skip
def test_what_only_looks_unwritten_is_not(other: object) -> None:
    texts = without("2.7")
    assert unwritten.find(LAB, texts).whole == ["2.7"]
    changed = other(texts["mmio.c"])  # type: ignore[operator]
    assert unwritten.places(LAB, "mmio.c", changed) == []
    assert unwritten.find(LAB, {**texts, "mmio.c": changed}).whole == []


def test_lines_below_the_reference_keep_their_numbers() -> None:
    texts = without("2.8")
    file = next(iter(COURSE.exercise("2.8").functions))
    text = unwritten.filled(unwritten.find(LAB, texts))[file]
    mine = texts[file].splitlines()
    below = rf'#line (\d+) "labs/{LAB.directory}/{re.escape(file)}"\n(.*)\n'
    for match in re.finditer(below, text):
        assert mine[int(match[1]) - 1] == match[2]
    assert "TODO(2.8)" not in text


def code(elf: Path) -> dict[str, list[str]]:
    """What each function of an image does: its instructions without addresses."""
    done = subprocess.run([images.cross_prefix() + "objdump", "-d", "--no-show-raw-insn", str(elf)],
                          capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {}
    name = ""
    for line in done.stdout.splitlines():
        if match := re.match(r"[0-9a-f]+ <(.*)>:", line):
            name = match[1].removeprefix(unwritten.REFERENCES)
            found[name] = []
        elif "\t" in line:
            words = line.split("\t", 1)[1].split("//")[0]
            found[name].append(re.sub(r"#?-?(0x)?[0-9a-f]{3,}\b|#\d+|[+]0x[0-9a-f]+", "",
                                      words.replace(unwritten.REFERENCES, "")).strip())
    return found


@pytest.mark.parametrize("id_", [exercise.id for exercise in COURSE.exercises])
def test_one_unwritten_exercise_costs_its_own_points(id_: str, tmp_path: Path) -> None:
    if id_ not in SAMPLE and not options.current().full:
        pytest.skip("with --full, all exercises")
    images.make("guests")
    told = options.current()
    found = fairness.cost(COURSE, COURSE.exercise(id_), told.build, told.qemu, 1, tmp_path)
    assert found.is_fair, str(found)


@pytest.fixture(scope="module")
def filled_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the starters of all labs filled."""
    texts = {}
    for lab in COURSE.labs:
        folder = ROOT / "solution" / lab.directory
        starter = unwritten.find(lab, {
            file: make_starter(folder / file, bodies=lab.until_written).text for file in lab.files})
        texts.update({f"labs/{lab.directory}/{file}": text
                      for file, text in unwritten.filled(starter).items()})
    folder = tmp_path_factory.mktemp("filled")
    copy_tree(SOURCES, folder, texts)
    return folder


@pytest.mark.parametrize("number", [lab.number for lab in COURSE.labs])
def test_with_the_reference_in_all_places_it_is_the_solution(number: int,
                                                             filled_tree: Path) -> None:
    """To the instruction: what is unwritten alone decides about what is lost."""
    if number != COURSE.labs[-1].number and not options.current().full:
        pytest.skip("the last lab's image has the layers of all; with --full, each")
    settings = run.Settings("labs", build=str(filled_tree / "build"), root=filled_tree)
    assert run.build_image(settings, number, "cumulative", targets=("image",)) == ""
    mine = code(filled_tree / "build" / f"labs-lab{number:02}" / "strata.elf")
    assert mine == code(images.hypervisor(number, "solution").elf)
