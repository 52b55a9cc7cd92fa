# SPDX-License-Identifier: MIT
"""The templates for other services call what there is, as it wants to be called."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from course.registry import ROOT
from grader.grading import grade, grade_submission
from grader.grading.model import Grading
from grader.machine.verdict import Finding

TEMPLATES = ROOT / "templates"
SHELL = ["slurm.sh", "gradescope/setup.sh", "gradescope/run_autograder"]


def load(name: str) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((TEMPLATES / name).read_text("utf-8"))


def says(script: list[str], folder: Path, **variables: str) -> list[list[str]]:
    """What a script would run, with a doctor whose Python only says how it was called."""
    (folder / "tools").mkdir()
    for name, text in {"tools/doctor": f"case $1 in --python) echo {folder}/python ;; esac",
                       "python": 'echo "$@"'}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", "utf-8")
        (folder / name).chmod(0o755)
    done = subprocess.run(["sh", "-e", "-c", "\n".join(script)], cwd=folder, capture_output=True,
                          text=True, check=True, env={**os.environ, **variables})
    return [shlex.split(line) for line in done.stdout.splitlines()]


def test_github_grades_the_lab_and_keeps_what_came_out(tmp_path: Path) -> None:
    job = load("github-actions.yml")["jobs"]["grade"]
    runs = [step["run"].replace("${{ matrix.lab }}", "2") for step in job["steps"]
            if "tools/" in step.get("run", "")]
    (command,) = says(runs, tmp_path)
    assert command[:2] == ["-m", "grader.grading.grade"]
    assert grade.parser().parse_args(command[2:]).lab == 2
    kept = next(step for step in job["steps"] if "upload-artifact" in step.get("uses", ""))
    assert kept["with"]["path"] == "build/grade/" and kept["if"] == "always()"


def test_gitlab_grades_the_lab_and_tries_again_only_what_broke(tmp_path: Path) -> None:
    job = load("gitlab-ci.yml")["grade"]
    script = [line for line in job["before_script"] + job["script"] if "apt-get" not in line]
    (command,) = says(script, tmp_path, LAB="3")
    assert command[:2] == ["-m", "grader.grading.grade"]
    assert grade.parser().parse_args(command[2:]).lab == 3
    assert job["retry"]["exit_codes"] == 3
    assert job["artifacts"]["reports"]["junit"] == "build/grade/lab*.junit.xml"


@pytest.mark.parametrize(("first", "task", "shard"), [(0, 3, "3/16"), (1, 16, "15/16")])
def test_a_task_of_slurm_grades_its_part(tmp_path: Path, first: int, task: int,
                                         shard: str) -> None:
    script = f"set -- 2 in out\n{(TEMPLATES / 'slurm.sh').read_text('utf-8')}"
    (command,) = says([script], tmp_path, SLURM_SUBMIT_DIR=str(tmp_path),
                      SLURM_ARRAY_TASK_COUNT="16", SLURM_ARRAY_TASK_ID=str(task),
                      SLURM_ARRAY_TASK_MIN=str(first))
    assert command[:2] == ["-m", "grader.grading.grade_class"]
    options = dict(zip(command[2::2], command[3::2]))
    assert options == {"--lab": "2", "--submissions": "in", "--dest": "out",
                       "--build": f"build/node-{shard.split('/')[0]}", "--shard": shard}


def test_gradescope_gets_results_for_a_submission_that_is_refused(tmp_path: Path) -> None:
    """In a tree like theirs; the files of one that is not refused would be laid into labs/."""
    for name in ("source", "submission", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "source" / "strata").symlink_to(ROOT)
    done = subprocess.run(["sh", TEMPLATES / "gradescope/run_autograder"], capture_output=True,
                          text=True, check=False,
                          env={**os.environ, "AUTOGRADER": str(tmp_path), "LAB": "2"})
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results" / "results.json").read_text("utf-8"))
    assert (results["score"] == 0
            and "missing; make submit packs all that is needed" in results["output"])


@pytest.mark.parametrize(("reason", "confined"), [("", True), ("no user namespaces", False)])
def test_unconfined_is_only_where_there_is_no_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    reason: str, confined: bool
) -> None:
    sandboxed: list[Path] = []

    def in_the_sandbox(grader: grade_submission.Grader, source: Path) -> Grading:
        sandboxed.append(source)
        return Grading(grader.course, grader.course.lab(grader.lab), "labs", complete=True)

    monkeypatch.setattr(grade_submission, "no_sandbox", lambda: reason)
    monkeypatch.setattr(grade_submission, "grade_one", in_the_sandbox)
    monkeypatch.setattr(grade, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["grade", "--lab", "2", "--submission", str(tmp_path),
                                      "--unconfined", "--out", str(tmp_path)])
    grade.main()
    assert bool(sandboxed) is confined
    assert ("without one: no user namespaces" in capsys.readouterr().err) is not confined


def test_unconfined_is_not_where_the_solution_is(tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "solution").mkdir()
    monkeypatch.setattr(grade_submission, "no_sandbox", lambda: "no user namespaces")
    monkeypatch.setattr(grade, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["grade", "--lab", "2", "--submission", str(tmp_path),
                                      "--unconfined", "--out", str(tmp_path)])
    with pytest.raises(Finding, match="from a handout"):
        grade.main()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_are_clean() -> None:
    scripts = [TEMPLATES / name for name in SHELL]
    done = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout
