# SPDX-License-Identifier: MIT
"""Machines, directories and disks unlike ours: messages name the trouble, nothing is lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.grading.run import build_error
from grader.machine.machine import Machine
from grader.machine.verdict import Finding, Verdict
from tools import lint
from tools.files import gdb_word, repository_files

ROOT = Path(__file__).parents[3]
GIVEN = ("Makefile", "course.toml", "course", "kit", "solution", "guests", "grader", "tools")
ODD = "it's a dir, 50 % odd"
EXIT_INFRASTRUCTURE = 3
FULL = "No space left on device"


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith(("MAKE", "MFLAGS", "STRATA"))}
    environment.update(options.pop("env", {}))  # type: ignore[call-overload]
    return subprocess.run(command, check=False, text=True, stdin=subprocess.DEVNULL,
                          env=environment, **{  # type: ignore[call-overload]
                              "cwd": ROOT, "capture_output": True, **options})


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


# ---- the doctor ----------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with a shell's usual programs, and an apt-get that notes its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "sed", "head", "cat", "dirname", "env"):
        (folder / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    script(folder / "apt-get", f'echo "$@" >>{tmp_path}/apt')
    script(folder / "id", "echo 1000")
    return folder


@pytest.mark.parametrize(("version", "good"), [
    ("6.2.0", False), ("7.1.9", False), ("7.2.22", True), ("8.0.0", True), ("10.0.2", True)])
def test_an_old_emulator_is_too_old_and_nothing_is_installed(
        bare: Path, version: str, good: bool) -> None:
    """apt would bring what is there, or what QEMU= or PATH hide."""
    emulator = script(bare / "an emulator", f'echo "QEMU emulator version {version} (Debian)"')
    done = run("/bin/sh", "tools/doctor", "--quiet", "--for", "run",
               env={"PATH": str(bare), "QEMU": f"'{emulator}' -L x"})
    assert done.returncode == 3
    message = f"QEMU >= 7.2 is needed, {version} ({emulator}) is too old: set QEMU="
    assert (message in done.stderr) is not good
    assert not (bare.parent / "apt").exists()
    listed = run("/bin/sh", "tools/doctor", env={"PATH": str(bare), "QEMU": f"'{emulator}'"}).stdout
    assert ("TOO OLD  QEMU >= 7.2" in listed) is not good


def test_no_message_asks_for_a_program_that_is_not_there(bare: Path) -> None:
    """Neither root nor sudo."""
    for words in ((), ("--quiet",)):
        done = run("/bin/sh", "tools/doctor", *words, env={"PATH": str(bare)})
        said = done.stdout + done.stderr
        assert done.returncode == 3 and "as root: apt-get install" in said and "sudo" not in said
    script(bare / "sudo", "exit 1")
    assert "sudo apt-get install" in run("/bin/sh", "tools/doctor", env={"PATH": str(bare)}).stdout


@pytest.mark.parametrize(("words", "need"), [
    (["run"], "run"), (["lab02"], "run"), (["test"], "test"), (["grade"], "test"),
    (["why", "TEST=x"], "test"),
    (["grader-check"], "test"), (["grade-class", "SUBMISSIONS=x"], "test"), (["debug"], "debug"),
    (["debug", "TEST=x"], "test"), (["bench"], "bench"),
    (["hint", "EX=1.1"], "python"), (["submit"], "python")])
def test_each_goal_asks_for_what_it_needs(words: list[str], need: str) -> None:
    said = run("make", "-n", *words)
    assert f"tools/doctor --quiet --for {need}\n" in said.stdout, said.stdout[-500:] + said.stderr


def test_a_hint_and_an_archive_need_python_alone(bare: Path, tmp_path: Path) -> None:
    """No emulator, no compiler; without Debian's modules, which -S leaves out."""
    assert run("/bin/sh", "tools/doctor", "--quiet", "--for", "python",
               env={"PATH": f"{bare}", "STRATA_PYTHON": sys.executable,
                    "QEMU": "/missing"}).returncode == 0
    hint = run(sys.executable, "-S", "-m", "course.lab", "hint", "--exercise", "1.1", "--state",
               tmp_path / "hints.json")
    assert hint.returncode == 0, hint.stderr
    packed = run(sys.executable, "-S", "-m", "course.submit", "--lab", "1", "--out", tmp_path,
                 "--scores", tmp_path)
    assert packed.returncode == 0, packed.stderr


# ---- names of directories ------------------------------------------------------------------------


def test_a_machine_starts_where_names_are_longer_than_a_socket_may_have(
        start_selftest: Callable[..., Machine], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("x" * 100) / ODD
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    machine = start_selftest("echo")
    assert machine.gdb.register("pc") and list(folder.iterdir())


def test_the_tree_may_lie_in_a_directory_of_any_name(tmp_path: Path) -> None:
    """It is built, and a machine runs there under GDB with all that the grader hands to the two."""
    tree = tmp_path / ODD / "strata"
    for path in repository_files():
        if path.parts[0] in GIVEN:
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, tree / path)
    built = run("make", "-C", tree, "-j2", "image", "LAB=1", "build/guests/hypercalls.bin",
                "build/guests/lab01.toml")
    assert built.returncode == 0, built.stdout + built.stderr
    assert str(tmp_path).encode() not in (tree / "build/solution-lab01/strata.elf").read_bytes()
    tests = ["grader/tests/harness/test_harness.py::test_budget_names_the_place",
             "grader/tests/lab01/test_lab01.py::test_the_machine_powers_off_when_all_guests_have"]
    tested = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
                 "--prebuilt", *tests, cwd=tree)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_a_file_of_vms_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    built = run("make", "image", "LAB=1", "IMPL=solution", "build/guests/hypercalls.bin")
    assert built.returncode == 0, built.stderr
    shutil.copy(ROOT / "build/guests/hypercalls.bin", folder / "a guest")
    (folder / "my vms.toml").write_text('[[vm]]\nname = "a"\nmemory = "8M"\nkernel = "a guest"\n',
                                        "utf-8")
    done = run("make", "run", "LAB=1", "IMPL=solution", f"VMS={folder}/my vms.toml")
    assert done.returncode == 0 and "[a] DONE" in done.stdout, done.stdout + done.stderr


def test_gdb_reads_a_file_name_as_one_word() -> None:
    assert gdb_word(Path("/it's a\\dir")) == "/it\\'s\\ a\\\\dir"


# ---- a full disk ---------------------------------------------------------------------------------


def with_room(folder: Path, size: int, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """A command that sees a file system of this size in `folder`."""
    return run("bwrap", "--dev-bind", "/", "/", "--size", str(size), "--tmpfs", folder, *command)


@pytest.mark.parametrize("size", [1 << 12, 1 << 20])
def test_a_disk_that_is_full_is_no_fault_of_what_is_graded(tmp_path: Path, size: int) -> None:
    done = with_room(tmp_path, size, sys.executable, "-m", "grader.grading.grade", "--lab", "1",
                     "--impl", "solution", "--build", tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == EXIT_INFRASTRUCTURE and FULL in said, said
    assert "does not build" not in done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize(("words", "is_full"), [
    ("labs/x.c:3:1: fatal error: error writing to /tmp/cc1.s: No space left on device\n"
     "compilation terminated.", True),
    ("mkdir: cannot create directory 'build': Disk quota exceeded", True),
    ("labs/x.c:3:1: error: expected ';' before 'return'", False)])
def test_a_build_without_room_is_not_said_to_be_wrong(
        tmp_path: Path, words: str, is_full: bool) -> None:
    """That of a submission too, whose compiler runs in the sandbox."""
    if not is_full:
        assert build_error(words, tmp_path) == words
        return
    with pytest.raises(Finding) as raised:
        build_error(words, tmp_path)
    assert raised.value.verdict is Verdict.ERROR and raised.value.observed == words.splitlines()[0]


def test_a_tool_that_cannot_write_says_so_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = run(sys.executable, "-m", "course.registry", "titles", capture_output=False,
                   stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == EXIT_INFRASTRUCTURE
    assert done.stderr.count("\n") == 1 and FULL in done.stderr


def test_what_was_written_before_is_not_lost(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    hints, archive = tmp_path / "hints.json", tmp_path / "lab01.tar.gz"
    hint: list[str | Path] = ["-m", "course.lab", "hint", "--exercise", "1.1", "--state", hints]
    submit: list[str | Path] = ["-m", "course.submit", "--lab", "1", "--out", tmp_path,
                                "--scores", tmp_path]
    for words in (hint, submit):
        assert run(sys.executable, *words).returncode == 0
    before = hints.read_bytes(), archive.read_bytes()
    for words in (hint, submit):
        assert run("prlimit", "--fsize=0", sys.executable, *words).returncode != 0
    assert before == (hints.read_bytes(), archive.read_bytes())
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {hints.name, archive.name}, "no half of a file lies about"


# ---- the lint, and a machine that has nothing ----------------------------------------------------


@pytest.mark.parametrize(("version", "looks"),
                         [("14.0.6", True), ("19.1.7", True), ("16.0.6", False)])
def test_the_lint_looks_with_the_tools_of_either_debian(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        version: str, looks: bool) -> None:
    script(tmp_path / "clang-format", f"""case $1 in
--version) echo "Debian clang-format version {version}" ;;
*) echo "x.c:3:4: warning: code should be clang-formatted" >&2 ;; esac""")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    findings = ["x.c:3: clang-format lays this out differently: make format"] if looks else []
    assert list(lint.check_format([Path("x.c")])) == findings
    assert ("not checked" in capsys.readouterr().out) is not looks


def test_the_lint_holds_python_against_pyproject(tmp_path: Path) -> None:
    """Lines of more than 100 columns and names that nobody uses are found, tabs in text are not."""
    source = f"import os\n\nC = '''\n\treturn 0;\n'''\nTEXT = '{92 * 'x'}'\n"
    (tmp_path / "x.py").write_text(source, "utf-8")
    findings = [line.split(": ")[1].split()[0] for line in lint.check_python([tmp_path / "x.py"])]
    assert findings == ["F401", "E501"]


@pytest.mark.parametrize(("line", "found"), [
    ("#define A(x) ((x)&0xf)", True), ("#define A ((u64)-2)", True),
    ("#define A(x) \\\n\t((x)*2)", True),
    ("#define A(x) \\\n\t{          \\\n\t\tx \\\n\t}", True), ("#define A(x) (0xf & (x))", False),
    ("#define A(x) ((u8 *)&x)", False), ("#define A(x) ((struct a){x})", False),
    ("a = (u64)-2;", False)])
def test_what_two_layouts_would_differ_in_is_found_with_one(
        tmp_path: Path, line: str, found: bool) -> None:
    (tmp_path / "x.h").write_text(line + "\n", "utf-8")
    assert bool(list(lint.check_macros(tmp_path / "x.h"))) is found


@pytest.mark.parametrize(("words", "says"), [
    ([], "usage: "), (["a", "b", "c"], "usage: "), (["../etc"], "no name of a Debian release"),
    (["jessica"], "no Debian release jessica")])
def test_a_clean_machine_is_not_made_of_nonsense(tmp_path: Path, words: list[str],
                                                 says: str) -> None:
    script(tmp_path / "id", "echo 0")
    for name in ("debootstrap", "unshare", "pivot_root"):
        script(tmp_path / name, "exit 1")
    done = run("tools/clean-machine", *words, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1


def test_a_clean_machine_needs_root(tmp_path: Path) -> None:
    script(tmp_path / "id", "echo 1000")
    done = run("tools/clean-machine", "trixie", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 3 and re.fullmatch(r"clean-machine: only root can .*\n", done.stderr)
