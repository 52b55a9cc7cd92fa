# SPDX-License-Identifier: MIT
"""The templates as their platforms run them: each line of the file itself, in a machine with our
programs and nothing else of ours, on what a student or an instructor would have put there.

apt-get is one that has nothing to do. A run grades a lab, and takes a minute: with --full alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from course import handout, starters
from course.registry import ROOT, load_course
from course.submit import registered_files
from grader.grading import sandbox
from grader.machine import options
from grader.tests.harness.test_unpack import tar

COURSE = load_course()
TEMPLATES = ROOT / "templates"
APT = '#!/bin/sh\necho "apt-get $*" >>"$HOME/apt.log"\n'
REFUSED = "missing; make submit packs all that is needed"

pytestmark = [
    pytest.mark.skipif(bool(sandbox.available()), reason="no bubblewrap here"),
    pytest.mark.skipif(not options.current().full, reason="with --full"),
]


def load(name: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((TEMPLATES / name).read_text("utf-8"))


class Machine:
    """A container of a platform: root, an empty home, of the environment what is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("home", "bin"):
            (folder / name).mkdir(parents=True)
        (folder / "bin" / "apt-get").write_text(APT, "utf-8")
        (folder / "bin" / "apt-get").chmod(0o755)

    def run(self, shell: tuple[str, ...], script: str, where: str,
            **variables: str) -> subprocess.CompletedProcess[str]:
        given = {"PATH": f"{self.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "CI": "true",
                 "HOME": f"{self.folder}/home", **variables}
        command = ["bwrap", "--unshare-all", "--die-with-parent", "--uid", "0", "--gid", "0",
                   "--clearenv", *(word for name, value in given.items()
                                   for word in ("--setenv", name, value)),
                   *sandbox.system(), "--bind", str(self.folder), str(self.folder),
                   "--chdir", str(self.folder / where), *shell, script]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False)

    @property
    def fetched(self) -> str:
        log = self.folder / "home" / "apt.log"
        return log.read_text("utf-8") if log.exists() else ""


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The handout of lab 1."""
    folder = tmp_path_factory.mktemp("handout") / "strata"
    folder.mkdir()
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        handout.fill(folder, COURSE, starters.make_tree(COURSE), 1, [])
    finally:
        os.chdir(before)
    return folder


def is_graded(folder: Path) -> None:
    """A starter's results are there, in all formats: no points, and the grader worked."""
    values = json.loads((folder / "lab01.json").read_text("utf-8"))
    assert values["complete"] and values["score"] == 0 and values["infrastructure"] == []
    assert {test["verdict"] for test in values["tests"]} <= {"TODO", "BLOCKED", "FAIL"}
    cases = ElementTree.parse(folder / "lab01.junit.xml").getroot().iter("testcase")
    assert len(list(cases)) == len(values["tests"])


def test_github(tmp_path: Path, given: Path) -> None:
    """Steps in their order; a container's shell is sh -e. What is uploaded is what is there."""
    job = load("github-actions.yml")["jobs"]["grade"]
    machine, status, kept = Machine(tmp_path / "github"), 0, Path()
    (machine.folder / "work").mkdir()
    summary = machine.folder / "summary.md"
    for step in job["steps"]:
        uses = step.get("uses", "").split("@")[0]
        if uses == "actions/checkout":
            shutil.copytree(given, machine.folder / "work", dirs_exist_ok=True)
        elif uses == "actions/upload-artifact":
            kept = machine.folder / "work" / step["with"]["path"]
        elif not status:
            lab = job["strategy"]["matrix"]["lab"][0]
            script = step["run"].replace("${{ matrix.lab }}", str(lab))
            assert "${{" not in script
            done = machine.run(("sh", "-e", "-c"), script, "work", GITHUB_ACTIONS="true",
                               GITHUB_WORKSPACE=f"{machine.folder}/work",
                               GITHUB_STEP_SUMMARY=str(summary))
            status = done.returncode
            assert status in (0, 1), done.stdout + done.stderr
    assert status == 1 and "install" in machine.fetched
    is_graded(kept)
    assert "0 of 100 points" in summary.read_text("utf-8")


def test_gitlab(tmp_path: Path, given: Path) -> None:
    """before_script and script are one script for bash; the working copy is there before it."""
    job = load("gitlab-ci.yml")["grade"]
    machine = Machine(tmp_path / "gitlab")
    shutil.copytree(given, machine.folder / "builds")
    variables = {name: values[0] for entry in job["parallel"]["matrix"]
                 for name, values in entry.items()}
    script = "\n".join(["set -eo pipefail", *job["before_script"], *job["script"]])
    done = machine.run(("bash", "-c"), script, "builds", GITLAB_CI="true",
                       CI_PROJECT_DIR=f"{machine.folder}/builds", **variables)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "install" in machine.fetched
    (kept,) = job["artifacts"]["paths"]
    is_graded(machine.folder / "builds" / kept)
    assert list((machine.folder / "builds").glob(job["artifacts"]["reports"]["junit"]))


def test_gradescope(tmp_path: Path, given: Path) -> None:
    """setup.sh makes the image; then run_autograder, for a submission and for a wrong one."""
    machine = Machine(tmp_path / "autograder")
    for name in ("source", "submission", "results"):
        (machine.folder / name).mkdir()
    shutil.copytree(given, machine.folder / "source" / "strata")
    for name in ("setup.sh", "run_autograder"):
        shutil.copy(TEMPLATES / "gradescope" / name, machine.folder / "source" / name)
    where = {"AUTOGRADER": str(machine.folder), "LAB": "1"}
    done = machine.run(("sh",), str(machine.folder / "source" / "setup.sh"), ".", **where)
    assert done.returncode == 0 and "install" in machine.fetched, done.stdout + done.stderr
    files = {f"labs/{name}": (given / "labs" / name).read_bytes()
             for name in registered_files(COURSE, 1)}
    results = machine.folder / "results" / "results.json"
    for files_of, count in ((files, 10), ({"labs/x": b""}, 1)):
        (machine.folder / "submission" / "lab01.tar.gz").write_bytes(tar(files_of))
        done = machine.run(("sh",), str(machine.folder / "source" / "run_autograder"), ".", **where)
        assert done.returncode == 0, done.stdout + done.stderr
        values = json.loads(results.read_text("utf-8"))
        assert values["score"] == 0 and len(values["tests"]) >= count
        assert (REFUSED in values["output"]) is (files_of is not files)
        results.unlink()
