# SPDX-License-Identifier: MIT
"""Submissions are data; known faults and cheats get what they must get (a sample of each)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from course.registry import ROOT, load_course
from course.submit import pack, registered_files
from grader.grading import sandbox, submission
from grader.machine import images
from grader.machine.symbols import symbols_of
from grader.proof import cheating, mutation
from tools.compile_commands import compile_commands

COURSE = load_course()
BUILD = str(images.build_directory())


def starters(tmp_path: Path) -> Path:
    archive = tmp_path / "anna.tar.gz"
    archive.write_bytes(pack(ROOT, registered_files(COURSE, 2)))
    return archive


def test_what_make_submit_packs_is_taken_as_it_is(tmp_path: Path) -> None:
    found = submission.read(starters(tmp_path), COURSE, 2)
    assert found.refused == []
    assert sorted(found.files) == sorted(registered_files(COURSE, 2))


def test_the_same_files_are_the_same_submission(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in registered_files(COURSE, 2):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / "labs" / name).read_bytes())
    (folder / "notes.txt").write_text("hello")
    read = submission.read(folder, COURSE, 2)
    assert read.digest == submission.read(starters(tmp_path), COURSE, 2).digest
    assert read.ignored == ["notes.txt"]


def test_other_answers_are_another_result_of_the_same_code() -> None:
    code, answers = {"lab01-el2-boot/boot.S": b"nop\n"}, "lab01-el2-boot/answers.toml"
    one, other = (submission.Submission({**code, answers: text}) for text in (b"1 = 2", b"1 = 3"))
    assert one.digest == other.digest and one.result_key != other.result_key


@pytest.mark.parametrize("tree", ["labs", "solution"])
def test_nothing_that_we_write_is_refused(tree: str) -> None:
    names = registered_files(COURSE, COURSE.labs[-1].number)
    findings = [text for name in names
                for text in submission.inspect(name, (ROOT / tree / name).read_bytes())]
    assert findings == []


@pytest.mark.parametrize("line", [
    '#include </etc/passwd>', '# /* */ include "/etc/passwd"', '%:include "../x.h"',
    "#include NAME", '#include_next "vcpu.h"', '#inc\\\nlude "../x.h"', '??=include "vcpu.h"',
    '__asm__(".incbin \\"x\\"");', "\t.include \"x\"",
    '__attribute__((section(".text.head"))) int x;', '\t.pushsection .foo',
    "LAYER(7, mine);", "a\0b",
])
def test_what_would_bring_in_more_than_the_file_is_refused(line: str) -> None:
    assert list(submission.inspect("lab01-el2-boot/trap.c", f"int a;\n{line}\n".encode())) != []


@pytest.mark.parametrize(("code", "wanted"), [
    ("int f(int x) { return x; }", ""),
    ('void f(void) { __asm__ volatile(".cfi_escape 0x0f, 3, 0x2f, 0xfd, 0xff"); }', "expression"),
    ('void f(void) { __asm__ volatile(".cfi_escape 0x10, 29, 3, 0x2f, 0xfd, 0xff"); }',
     "expression"),
    ('void f(void) { __asm__ volatile(".cfi_escape 0x16, 29, 3, 0x2f, 0xfd, 0xff"); }',
     "expression"),
    ('void f(void) { __asm__ volatile(".cfi_escape 0x3f"); }', "not a compiler's"),
    ('__asm__(".section .debug_frame\\n.byte 1, 2, 3, 4, 5, 6, 7, 8, 9");', "not a compiler's"),
    ('__asm__(".section .debug_frame\\n.fill 300000");', "more call-frame information"),
    ('__asm__(".cfi_sections .eh_frame\\n.cfi_startproc\\nnop\\n.cfi_endproc");', "eh_frame"),
])
def test_nothing_in_an_object_has_a_debugger_compute(tmp_path: Path, code: str,
                                                     wanted: str) -> None:
    """Call-frame information may compute where a caller stands: for ever, if it likes."""
    target = tmp_path / "obj" / "labs" / "lab01-el2-boot" / "trap.c.o"
    target.parent.mkdir(parents=True)
    (tmp_path / "trap.c").write_text(code + "\n")
    subprocess.run([f"{images.cross_prefix()}gcc", "-g", "-O2", "-ffreestanding", "-c",
                    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-o", str(target),
                    str(tmp_path / "trap.c")], check=True)
    found = submission.foreign_text(tmp_path, {"lab01-el2-boot/trap.c"})
    assert (wanted in found) if wanted else not found
    assert "\n" not in found


def test_what_tests_look_up_in_the_kit_is_there_once() -> None:
    """A name that is one file's own in the kit could be another file's global: a submission's."""
    looked_up = re.compile(r'symbols\["(\w+)"\]|(?:run_to|breakpoint)\(\s*"\*(\w+)"'
                           r'|variable\("struct \w+", "(\w+)"')
    files = [file for folder in ("oracle", "tests")
             for file in (ROOT / "grader" / folder).rglob("*.py")]
    names = {name for file in files for match in looked_up.finditer(file.read_text("utf-8"))
             for name in match.groups() if name}
    objects = sorted((ROOT / BUILD / "obj" / "kit").rglob("*.o"))
    assert objects and "vms" in names
    own = {name for path in objects for name, symbol in symbols_of(path).by_name.items()
           if symbol.is_local}
    assert names & own == set()


needs_sandbox = pytest.mark.skipif(bool(sandbox.available()), reason="no bubblewrap here")


@needs_sandbox
@pytest.mark.parametrize("lab", sorted({cheat.lab for cheat in cheating.all_cheats()}))
def test_cheats_get_what_they_deserve(tmp_path: Path, lab: int) -> None:
    assert {name for name in cheating.SAMPLE} <= {cheat.name for cheat in cheating.all_cheats()}
    wanted = [cheat for cheat in cheating.all_cheats()
              if cheat.lab == lab and cheat.name in cheating.SAMPLE]
    found: dict[str, list[str]] = {}
    cheating.try_all(BUILD, wanted, tmp_path,
                     lambda cheat, problems: found.update({cheat.name: problems}))
    assert {name: problems for name, problems in found.items() if problems} == {}


@needs_sandbox
def test_a_submission_can_be_debugged_where_it_fails(tmp_path: Path) -> None:
    """In the sandbox: its sources are the student's, and nothing can be written."""
    archive = tmp_path / "anna.tar.gz"
    text = (ROOT / "labs" / COURSE.lab(1).directory / "boot.S").read_text("utf-8")
    archive.write_bytes(pack(student(tmp_path, {"boot.S": f"/* anna's own */\n{text}"}),
                             registered_files(COURSE, 1)))
    commands = ("list boot.S:1,2\nframe\npython print(open('/etc/strata', 'w'))\n"
                "quit\n")
    done = subprocess.run([sys.executable, "-m", "grader.grading.debug_submission", "--lab", "1",
                           "--submission", str(archive), "--build", BUILD,
                           "test_boot_prepares_the_cpu_for_c"], cwd=ROOT, input=commands,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is not written yet" in done.stdout and "anna's own" in done.stdout
    assert "Read-only file system" in done.stdout + done.stderr


def student(folder: Path, changed: dict[str, str]) -> Path:
    """A tree with labs/lab01-... in which these files are the student's."""
    for name in registered_files(COURSE, 1):
        path = folder / "labs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(changed.get(path.name, (ROOT / "labs" / name).read_text("utf-8")), "utf-8")
    return folder


def test_there_are_enough_mutants_and_each_names_its_tests() -> None:
    mutants = mutation.all_mutants()
    for lab in COURSE.labs:
        assert sum(mutant.lab == lab.number and bool(mutant.fails) for mutant in mutants) >= 8
    assert [mutant.name for mutant in mutants if not mutant.fails or not mutant.text] == []
    assert len(mutation.sampled(mutants)) >= len(COURSE.labs)


def test_all_mutants_still_apply() -> None:
    for mutant in mutation.all_mutants():
        assert mutation.patched(mutant, ROOT)


@pytest.mark.parametrize("lab", [lab.number for lab in COURSE.labs])
def test_all_mutants_still_compile(lab: int) -> None:
    """Functions that the solution has renamed; a header is compiled when a mutant is tried."""
    make = subprocess.run(["make", "-Bn", "V=1", "image", f"LAB={lab}", "IMPL=solution",
                           f"BUILD={BUILD}"], cwd=ROOT, text=True, capture_output=True, check=True)
    commands = {}
    for entry in compile_commands(make.stdout.splitlines(), str(ROOT)):
        assert isinstance(entry["arguments"], list)
        commands[str(entry["file"])] = [word for word in entry["arguments"]
                                        if word != entry["file"] and word[:2] != "-M"
                                        and not word.endswith(".d")]
    problems = {}
    for mutant in mutation.all_mutants(lab):
        for file, text in mutation.patched(mutant, ROOT).items():
            if file.endswith(".c") and file in commands:
                found = subprocess.run([*commands[file], "-fsyntax-only", "-iquote",
                                        str(Path(file).parent), "-x", "c", "-"], cwd=ROOT,
                                       input=text, text=True, capture_output=True)
                if found.returncode:
                    problems[mutant.name] = found.stderr
    assert problems == {}


def test_known_faults_are_noticed() -> None:
    wanted = mutation.sampled(mutation.all_mutants())
    outcomes = mutation.try_all(BUILD, wanted, whole=False, done=lambda _: None)
    assert {o.mutant.name: o.problem or o.missed for o in outcomes if not o.good} == {}
