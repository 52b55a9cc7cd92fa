# SPDX-License-Identifier: MIT
"""The course's machinery: the registry, the starters, what a student is told, what is handed in."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from course import lab as loop
from course import lab_text, starters, submit, unwritten
from course.registry import ROOT, Course, load_course
from grader.conftest import Lab
from grader.machine import images
from grader.machine.machine import StopKind
from grader.oracle import crash
from grader.oracle.probe import ProbeVm, prepare
from tools.errors import UserError
from tools.vms import DeviceConfig

COURSE = load_course()
PRESENT = [lab.number for lab in COURSE.labs if (ROOT / "solution" / lab.directory).is_dir()]
SMMU_LAB = 5  # it lies on the way of machines with an SMMU alone
NOT_WRITTEN = re.compile(r'exercise (\d\.\d) "(.+)" is not written yet '
                         r'\((labs|solution)/(\S+):(\d+)\): '
                         r"see (labs/\S+/README\.md#\d+)")


@pytest.fixture(scope="module")
def tree() -> starters.Tree:
    return starters.make_tree(COURSE)


# ---- what is committed ---------------------------------------------------------------------------


def test_every_mark_has_its_entry_and_the_reverse(tree: starters.Tree) -> None:
    assert list(starters.check_registry(COURSE, tree)) == []


def test_regeneration_changes_nothing_and_no_line_of_a_solution_leaks(tree: starters.Tree) -> None:
    assert list(starters.check_tree(tree)) == []


def test_generation_is_deterministic(tree: starters.Tree) -> None:
    assert starters.make_tree(COURSE) == tree


def test_a_leaked_line_is_found(tree: starters.Tree, tmp_path: Path) -> None:
    secrets = starters.secret_lines(tree)
    assert len(secrets) > 300
    secret = max(secrets, key=len)
    (tmp_path / "text.md").write_text(f"Try this:\n\n    {secret.replace(' ', '   ')} // so\n",
                                      "utf-8")
    assert list(starters.find_leaks(tmp_path, ["text.md"], secrets))[0].startswith("text.md:3: ")


# ---- how a starter is made -----------------------------------------------------------------------

SOURCE = """// SPDX-License-Identifier: MIT
#include "exercise.h"

static int helper(int a);

/* Doubles. */
EXERCISE_PRIVATE(2.1)
static int helper(int a)
{
	return 2 * a;
}

/** answer() - twice @a, or zero when @a is negative */
EXERCISE(2.1)
int answer(int a,
	   int b)
{
	if (a < 0) {
		return 0;
	}
	return helper(a) + b;
}

int given(void)
{
	return answer(21, 0);
}
"""
STARTER = """// SPDX-License-Identifier: MIT
#include "exercise.h"

/** answer() - twice @a, or zero when @a is negative */
EXERCISE(2.1)
int answer(int a,
	   int b)
{
	TODO(2.1);
}

int given(void)
{
	return answer(21, 0);
}
"""


def starter_of(folder: Path, text: str, name: str = "file.c",
               only: set[str] | None = None) -> starters.Starter:
    path = folder / name
    path.write_text(text, "utf-8")
    return starters.make_starter(path, only)


def test_a_function_may_do_something_until_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file.c"
    path.write_text(SOURCE, "utf-8")
    text = starters.make_starter(path, bodies={"answer": "\tNOT_YET(2.1);\n\treturn a;"}).text
    assert text == STARTER.replace("\tTODO(2.1);", "\tNOT_YET(2.1);\n\treturn a;")


def test_the_text_of_a_lab_lists_its_tests_and_names_the_students_files() -> None:
    lab = COURSE.labs[0]
    text = lab_text.for_students("at solution/lab01-el2-boot/trap.c, of solution/\n"
                                 "<!-- tests of 1.9 -->\n", lab)
    assert text == """at labs/lab01-el2-boot/trap.c, of solution/
- Tests by itself: `test_simd_state_follows_its_vcpu`
- Tests on the machine: `test_two_guests_do_not_disturb_each_other` with `world_switch_fp`
"""


def test_bodies_become_todo_and_private_helpers_vanish(tmp_path: Path) -> None:
    starter = starter_of(tmp_path, SOURCE)
    assert starter.text == STARTER
    assert [(tag.id, tag.name, tag.is_private) for tag in starter.tags] == [
        ("2.1", "helper", True), ("2.1", "answer", False)]
    assert "\treturn helper(a) + b;" in starter.removed


def test_one_exercise_alone_can_be_taken_out(tmp_path: Path) -> None:
    assert starter_of(tmp_path, SOURCE, only={"2.2"}).text == SOURCE


def test_assembly_between_the_marks_becomes_todo(tmp_path: Path) -> None:
    text = "boot:\nEXERCISE_BEGIN(1.1)\n\tmov\tx0, #1\n\tret\nEXERCISE_END\n\tnop\n"
    starter = starter_of(tmp_path, text, "file.S")
    assert starter.text == "boot:\nEXERCISE_BEGIN(1.1)\n\tTODO(1.1)\nEXERCISE_END\n\tnop\n"
    assert [(tag.id, tag.name) for tag in starter.tags] == [("1.1", "boot")]


@pytest.mark.parametrize(("name", "text"), [
    ("file.c", "EXERCISE(2.1)\n\nint f(void)\n{\n\treturn 0;\n}\n"),
    ("file.c", "EXERCISE(two)\nint f(void)\n{\n\treturn 0;\n}\n"),
    ("file.c", "EXERCISE(2.1)\nint f(void) { return 0; }\n"),
    ("file.c", "EXERCISE(2.1)\nint f;\n"),
    ("file.S", "f:\nEXERCISE_BEGIN(1.1)\n\tret\n"),
    ("file.S", "f:\n\tret\nEXERCISE_END\n"),
    ("file.S", "EXERCISE_BEGIN(1.1)\n\tret\nEXERCISE_END\n"),
])
def test_a_misplaced_mark_is_an_error_that_names_its_line(
        tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UserError, match=rf"{name}:\d+: "):
        starter_of(tmp_path, text, name)


def test_work_in_labs_is_not_written_over(tree: starters.Tree, tmp_path: Path) -> None:
    starters.write_tree(tree, tmp_path)
    assert starters.write_tree(tree, tmp_path) == []
    mine = tmp_path / "labs" / COURSE.labs[0].directory / "trap.c"
    mine.write_text("my work\n", "utf-8")
    with pytest.raises(UserError, match="was changed by hand"):
        starters.write_tree(tree, tmp_path)
    assert mine.read_text("utf-8") == "my work\n"
    written = starters.write_tree(tree, tmp_path, overwrite=True)
    assert written == [f"{COURSE.labs[0].directory}/trap.c"]
    assert list(starters.check_tree(tree, tmp_path)) == []


# ---- starters build and run ----------------------------------------------------------------------


def image_of(lab: int, base: str) -> images.Image:
    images.make("image", f"LAB={lab}", "IMPL=labs", f"BASE={base}")
    suffix = "-reference" if base == "reference" else ""
    folder = images.build_directory() / f"labs-lab{lab:02}{suffix}"
    return images.Image(folder / "strata.bin", folder / "strata.elf")


def not_written(
    lab: Lab, image: images.Image, folder: Path, qemu: str, extra: tuple[str, ...] = ()
) -> re.Match[str]:
    """What a machine with this image says about the exercise at which it stopped."""
    devices = (DeviceConfig("00:02.0", "edu"),) if lab.number == SMMU_LAB else ()
    config = prepare(
        lab.number, [ProbeVm("hypercalls")], folder, seed=1, qemu=qemu, extra=extra, devices=devices
    )
    machine = lab._start(replace(config, image=image.binary, elf=image.elf))
    stop = machine.run()
    assert stop.kind in (StopKind.POWER_OFF, StopKind.PANIC), stop
    report = crash.read(machine)
    assert report is not None, "the crash mailbox is filled"
    assert report.kind == crash.Kind.TODO
    match = NOT_WRITTEN.fullmatch(report.text)
    assert match, report.text
    exercise = COURSE.exercise(match[1])
    assert match[2] == exercise.title
    assert match[6] == COURSE.lab(exercise.lab).text_of(exercise)
    assert Path(match[4]).name in exercise.functions
    return match


@pytest.mark.parametrize("base", ["own", "reference"])
@pytest.mark.parametrize("number", PRESENT)
def test_a_starter_builds_and_ends_in_a_defined_not_written_yet(
    make_lab: Callable[..., Lab], tmp_path: Path, qemu: str, number: int, base: str
) -> None:
    match = not_written(make_lab(number), image_of(number, base), tmp_path, qemu)
    if base == "own":
        assert match[1] == "1.1"
    else:
        assert match[1].startswith(f"{number}.")
    line = (ROOT / match[3] / match[4]).read_text("utf-8").splitlines()[int(match[5]) - 1]
    assert f"TODO({match[1]})" in line


def test_a_starter_says_so_on_a_machine_without_el2_too(
    make_lab: Callable[..., Lab], tmp_path: Path, qemu: str
) -> None:
    match = not_written(make_lab(1), image_of(1, "own"), tmp_path, qemu,
                        ("-machine", "virtualization=off"))
    assert match[1] == "1.1"


def test_todo_works_in_assembly_wherever_it_stands(
    make_lab: Callable[..., Lab], tmp_path: Path, qemu: str
) -> None:
    """Before there is a stack; in a vector while the guest's registers are live; before ERET."""
    copy = tmp_path / "tree"
    copy.mkdir()
    for name in ("Makefile", "course.toml"):
        shutil.copy2(ROOT / name, copy)
    for name in ("course", "kit", "tools"):
        shutil.copytree(ROOT / name, copy / name)
    directory = Path("solution") / COURSE.labs[0].directory
    shutil.copytree(ROOT / directory, copy / directory)
    folder = copy / "build" / "solution-lab01"
    image = images.Image(folder / "strata.bin", folder / "strata.elf")
    environment = {k: v for k, v in os.environ.items()
                   if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    for exercise in ("1.1", "1.2", "1.4"):
        for path in sorted((ROOT / directory).glob("*.S")):
            text = starters.make_starter(path, {exercise}).text
            (copy / directory / path.name).write_text(text, "utf-8")
        done = subprocess.run(["make", "-C", str(copy), "image", "LAB=1", "BUILD=build"],
                              capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not_written(make_lab(1), image, tmp_path, qemu)[1] == exercise


# ---- the registry --------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new", "says"), [
    ("points = 9", "points = 10", "lab.toml: exercise: the points add up to 101, not to 100"),
    ("points = 0", "points = -1", "exercise 1.10: points: must not be negative"),
    ("hours = 14", "hour = 14", "lab.toml: hours: is missing"),
    ("hours = 14", "hours = 14\nweeks = 2", "lab.toml: weeks: unknown key"),
    ('order = ["1.1", ', "order = [", "lab.toml: order: must name each exercise of the lab once"),
    ("\tNOT_YET(1.3);\n\treturn HCR", "\treturn HCR", "until_written: el2_guest_hcr names no TODO"),
    ("fp_leave = \"\"\"", "fp_left = \"\"\"", "until_written: fp_left is not a function"),
    ('id = "1.2"', 'id = "1.3"', "exercise 1.2: id: exercises are in order"),
    ("tests = [", 'tests = [ "a", "a",', "exercise 1.1: tests: has an entry twice"),
    ('needs = ["1.1", "1.4"', 'needs = ["1.99"', "lab.toml: needs: 1.99 is not an exercise"),
    ('title = "Entry at EL2"', f'title = "{"x" * 99}"', "exercise 1.1: title: "),
    ('title = "Entry at EL2"', "title = 3", "exercise 1.1: title: must be of type str"),
    ('fits = ["BSS is zero"', 'fits = ["test_of_nothing"',
     "exercise 1.1: hint 2: fits: no test of this exercise begins with test_of_nothing"),
    ('fits = ["BSS is zero"', 'fits = ["BSS (is"', "hint 2: fits: \"BSS (is\" is no regular"),
    ("isolated_factor = 0.9", "isolated_factor = 1.5", "isolated_factor: must be above 0"),
])
def test_a_mistake_in_the_registry_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    files = ("course.toml", f"solution/{COURSE.labs[0].directory}/lab.toml")
    texts = {name: (ROOT / name).read_text("utf-8") for name in files}
    assert sum(old in text for text in texts.values()) == 1
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(UserError, match=re.escape(says)):
        load_course(tmp_path)


# ---- the student's loop --------------------------------------------------------------------------


@pytest.fixture
def student(tree: starters.Tree, tmp_path: Path) -> Path:
    """A tree with untouched starters."""
    starters.write_tree(tree, tmp_path)
    return tmp_path


def write_exercise(student: Path, course: Course, id_: str) -> None:
    """Fill the holes of an exercise with nothing at all."""
    lab = course.lab(course.exercise(id_).lab)
    for name in course.exercise(id_).functions:
        path = student / "labs" / lab.directory / name
        path.write_text(path.read_text("utf-8").replace(f"TODO({id_})", f"/* was TODO({id_}) */")
                        .replace(f"NOT_YET({id_});", ""), "utf-8")


def test_the_next_exercise_is_the_first_that_still_says_todo(student: Path) -> None:
    assert "next: exercise 1.1 " in loop.next_text(COURSE, 2, "own", student)
    write_exercise(student, COURSE, "1.1")
    text = loop.next_text(COURSE, 2, "own", student)
    assert "1 of 19 exercises are written" in text
    assert re.search(r'next: exercise 1\.4 ".*\n  labs/lab01-el2-boot/vectors\.S:\d+', text)
    assert "labs/lab01-el2-boot/README.md#14" in text
    assert "next: exercise 2.1 " in loop.next_text(COURSE, 2, "reference", student)
    assert "next: exercise 5.2 " in loop.next_text(COURSE, 5, "reference", student)  # its `order`
    write_exercise(student, COURSE, "1.2")
    left = unwritten.read(COURSE.labs[0], student / "labs")
    assert "1.2" not in left.begun
    assert left.where("1.10").startswith("labs/lab01-el2-boot/trap.c:")
    for exercise in COURSE.labs[0].exercises:
        write_exercise(student, COURSE, exercise.id)
    assert "10 of 10 exercises are written" in loop.next_text(COURSE, 1, "own", student)


def test_the_next_text_says_how_the_last_grade_ended(student: Path, tmp_path: Path) -> None:
    """Of the lab, or of one exercise, whichever was graded last."""
    tests = [{"verdict": "PASS"}, {"verdict": "FAIL"}, {"verdict": "TODO"},
             *({"verdict": "BLOCKED", "waits_for": id_} for id_ in ("1.10", "1.9", "1.9"))]
    (tmp_path / "exercise-1-2.json").write_text(json.dumps({"exercise": "1.2", "tests": tests}))
    text = loop.next_text(COURSE, 1, "own", student, tmp_path)
    assert ("graded last, exercise 1.2: 1 of 2 tests that can pass so far pass, 2 wait for 1.9, "
            "1 waits for 1.10") in text
    (tmp_path / "exercise-1-2.json").write_text("rubbish")
    assert "graded last" not in loop.next_text(COURSE, 1, "own", student, tmp_path)


def test_hints_come_one_by_one(tmp_path: Path) -> None:
    state = tmp_path / "hints.json"
    hints = COURSE.exercise("2.3").hints
    for given in range(1, len(hints) + 2):
        text = " ".join(loop.hint_text(COURSE, "2.3", state).split())
        assert [hint.text in text for hint in hints] == [n < given for n in range(len(hints))]
    assert "that is all of them" in text
    state.write_text("rubbish", "utf-8")
    assert " 2. " not in loop.hint_text(COURSE, "2.3", state)
    with pytest.raises(UserError, match="EX=7.7: no such exercise"):
        loop.hint_text(COURSE, "7.7", state)


def test_a_submission_is_the_registered_files_and_always_the_same_bytes(student: Path) -> None:
    names = submit.registered_files(COURSE, 2)
    data = submit.pack(student, names)
    for path in student.rglob("*.c"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert submit.pack(student, list(reversed(names))) == data
    with tarfile.open(fileobj=BytesIO(gzip.decompress(data))) as archive:
        assert archive.getnames() == sorted(f"labs/{name}" for name in names)
        assert {(entry.mtime, entry.uid, entry.mode) for entry in archive} == {(0, 0, 0o644)}
    directories = {name.split("/")[0] for name in names}
    assert directories == {COURSE.labs[0].directory, COURSE.labs[1].directory}


def test_what_is_not_handed_in_is_said(student: Path) -> None:
    directory = student / "labs" / COURSE.labs[0].directory
    assert submit.left_out(student, COURSE, 1) == []
    (directory / "trap.c").write_text("registered\n", "utf-8")
    (directory / "internal.h").write_text("given, and changed\n", "utf-8")
    (directory / "mine.c").write_text("new\n", "utf-8")
    assert submit.left_out(student, COURSE, 1) == [f"{directory.name}/internal.h",
                                                   f"{directory.name}/mine.c"]


def test_a_score_says_of_what_it_is(student: Path, tmp_path: Path) -> None:
    def told(**values: object) -> str:
        known = {"score": 55.5, "max": 100, "impl": "labs", "complete": True, "exit_code": 1,
                 "base": "own", "source": submit.hash_of_labs(student, COURSE, 1), **values}
        (tmp_path / "lab01.json").write_text(json.dumps(known), "utf-8")
        return submit.local_score(student, COURSE, tmp_path, 1)

    assert submit.local_score(student, COURSE, tmp_path, 1) == (
        "not graded here yet: make grade LAB=1")
    assert told() == "55.5 of 100"
    assert "did not finish" in told(complete=False)
    assert "of the solution" in told(impl="solution", source="")
    assert "reference" in told(base="reference")
    assert "could not be judged" in told(exit_code=3)
    before = submit.hash_of_labs(student, COURSE, 1)
    answers = student / "labs" / COURSE.labs[0].directory / "answers.toml"
    answers.write_text(answers.read_text("utf-8") + "# mine\n", "utf-8")
    assert told(source=before) == "55.5 of 100"  # answers have no points
    path = student / "labs" / COURSE.labs[0].directory / "trap.c"
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    os.utime(path, (1, 1))
    assert told(source=before) == "55.5 of 100 (of other files than these: make grade LAB=1)"


def test_a_submission_takes_files_only(student: Path) -> None:
    path = student / "labs" / COURSE.labs[0].directory / "trap.c"
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises(UserError, match=r"trap\.c: must be a file"):
        submit.pack(student, submit.registered_files(COURSE, 1))
    path.unlink()
    path.write_bytes(b"\n" * (submit.FILE_BYTES_MAX + 1))
    with pytest.raises(UserError, match="at most"):
        submit.pack(student, submit.registered_files(COURSE, 1))
