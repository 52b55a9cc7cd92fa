# SPDX-License-Identifier: MIT
"""Has spin search the models of grader/models/: every order in which CPUs can take their steps.

The head of a model names its invariants and its faults. As it is no order may break an invariant;
with each fault spin must find one that does, or the model would not see that mistake.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from tools.errors import UserError, run_main

MODELS = Path("grader/models")
FAULT = re.compile(r"^ \* FAULT=(\d+): (.*?)\t", re.MULTILINE)
ERRORS = re.compile(r"errors: (\d+)")
STATES = re.compile(r"(\d+) states, stored")
INCOMPLETE = ("max search depth too small", "MEMLIM", "memory")
SEARCH = ["-m1000000"]  # steps in a row
COMPILE = ["-O0", "-w", "-DSAFETY", "-DMEMLIM=1024"]


@dataclass(frozen=True)
class Found:
    """What a search came to: the number of states, and the trail to the first error, if any."""

    states: int
    trail: str


def command(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(words)}: exit status {done.returncode}:\n"
                        f"{done.stdout}{done.stderr}")
    return done.stdout


def search(model: Path, fault: int, folder: Path) -> Found:
    """Every reachable state of the model, or the way to the first that breaks an invariant."""
    rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "model.pml").write_bytes(model.read_bytes())
    command(["spin", "-a", f"-DFAULT={fault}", "model.pml"], folder)
    command(["gcc", *COMPILE, "-o", "pan", "pan.c"], folder)
    said = command(["./pan", *SEARCH], folder)
    errors, states = ERRORS.search(said), STATES.search(said)
    if not errors or not states:
        raise UserError(f"{model}: the search did not end:\n{said}")
    if errors[1] == "0":
        if any(word in said.split("State-vector")[0] for word in INCOMPLETE):
            raise UserError(f"{model}: the search was not complete:\n{said}")
        return Found(int(states[1]), "")
    return Found(int(states[1]), command(["spin", "-t", "-p", f"-DFAULT={fault}", "model.pml"],
                                         folder))


def check(model: Path, out: Path) -> list[str]:
    """What is wrong with a model, nothing if it is as it should be."""
    text = model.read_text("utf-8")
    faults = {int(number): what for number, what in FAULT.findall(text)}
    if list(faults) != list(range(1, len(faults) + 1)) or not faults:
        return [f"{model}: its head has to name its faults, FAULT=1 and so on"]
    sound = search(model, 0, out / model.stem / "0")
    problems = [f"{model}: an invariant is broken:\n{sound.trail}"] if sound.trail else []
    for number, what in faults.items():
        if not search(model, number, out / model.stem / str(number)).trail:
            problems.append(f"{model}: FAULT={number} breaks no invariant: {what}")
    print(f"  {model.stem:<8} {'FAILED' if problems else 'ok'}: {sound.states} states, "
          f"{len(faults)} faults found" + (" but for these" if problems else ""), flush=True)
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(prog="grader.proof.models", description="search the models")
    parser.add_argument("--build", type=Path, default=Path("build"))
    parser.add_argument("models", nargs="*", type=Path, help="default: all of grader/models")
    arguments = parser.parse_args()
    models = arguments.models or sorted(MODELS.glob("*.pml"))
    if not models:
        raise UserError(f"{MODELS}: there are no models")
    out = arguments.build.resolve() / "models"
    with ThreadPoolExecutor(2) as pool:
        problems = [line for lines in pool.map(lambda model: check(model, out), models)
                    for line in lines]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    run_main(main)
